//! Where a report's numbers come from: the loads it read, as a sidecar beside the file and a row in the database.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// The sidecar `….csv.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// The report's name.
    pub report: String,
    /// The business day it is for.
    pub run_date: NaiveDate,
    /// The run that wrote it.
    pub run: RunOrigin,
    /// When it was written.
    pub written_at: DateTime<Utc>,
    /// The program that wrote it.
    pub program: Program,
    /// The SQL it is made by.
    pub sql: SqlOrigin,
    /// The file itself.
    pub file: FileFacts,
    /// The loads it was made from, one for each dataset and customer.
    pub inputs: Vec<Input>,
    /// Customers without a load for the run date.
    pub missing: Vec<Missing>,
    /// What the relations that it is made from hold, where the report names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceRows>,
}

/// What a relation that a report is made from holds of a date.
#[derive(Clone, Debug, Serialize)]
pub struct SourceRows {
    /// Its name.
    pub relation: String,
    /// The date.
    pub date: NaiveDate,
    /// Its rows.
    pub rows: Vec<serde_json::Value>,
}

/// The run that wrote a report.
#[derive(Clone, Debug, Serialize)]
pub struct RunOrigin {
    /// Its id.
    pub id: Uuid,
    /// Its job.
    pub job: String,
}

/// The program that wrote a report.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// The SQL a report is made by.
#[derive(Clone, Debug, Serialize)]
pub struct SqlOrigin {
    /// Where it lies.
    pub file: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// A written file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FileFacts {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its rows, without the header.
    pub rows: u64,
}

/// A load that a report read.
#[derive(Clone, Debug, Serialize, Deserialize, sqlx::FromRow)]
pub struct Input {
    /// The dataset.
    pub dataset: String,
    /// The customer.
    pub customer: String,
    /// The load's id in the ledger.
    pub load_id: i64,
    /// published, or measured.
    pub state: String,
    /// The file's name.
    pub file_name: String,
    /// Its SHA-256 in hexadecimal.
    pub file_sha256: String,
    /// Its size in bytes.
    pub file_bytes: i64,
    /// Records in it.
    pub records: i64,
    /// Good rows.
    pub loaded: i64,
    /// Bad rows.
    pub rejected: i64,
    /// Records that are no rows.
    pub skipped: i64,
}

/// A customer without a load for the run date.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Missing {
    /// The dataset.
    pub dataset: String,
    /// The customer.
    pub customer: String,
}

/// The loads that count for a run date, and who has none.
///
/// # Errors
/// What the server says.
pub async fn inputs(
    connection: &mut PgConnection,
    datasets: &[String],
    expected: &[(String, String)],
    run_date: NaiveDate,
) -> anyhow::Result<(Vec<Input>, Vec<Missing>)> {
    let inputs: Vec<Input> = sqlx::query_as(
        "select dataset, customer, id as load_id, state, file_name, file_sha256, file_bytes, records, loaded, rejected, skipped
           from bursar.loads
          where dataset = any ($1) and run_date = $2 and is_current
          order by dataset, customer",
    )
    .bind(datasets)
    .bind(run_date)
    .fetch_all(connection)
    .await
    .context("list the loads the report is made from")?;
    let has: HashSet<(&str, &str)> = inputs.iter().map(|i| (i.dataset.as_str(), i.customer.as_str())).collect();
    let without = expected.iter().filter(|(dataset, customer)| !has.contains(&(dataset.as_str(), customer.as_str())));
    let missing = without.map(|(dataset, customer)| Missing { dataset: dataset.clone(), customer: customer.clone() });
    let missing = missing.collect();
    Ok((inputs, missing))
}
