//! The load ledger for people: lists loads and refused files, and shows one with everything that is kept of it.

use crate::fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// Which loads.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this dataset.
    pub dataset: Option<String>,
    /// Only of this customer.
    pub customer: Option<String>,
    /// From this run date on.
    pub from: Option<NaiveDate>,
    /// Up to this run date.
    pub to: Option<NaiveDate>,
    /// Only in this state: published, measured, held (and still to be decided about), overtaken (held, and a later load
    /// of its run date came after it), discarded, or refused (a file of which nothing was loaded).
    pub state: Option<String>,
    /// Only of runs of this job.
    pub job: Option<String>,
    /// How many at most.
    pub limit: i64,
}

/// One line of the list.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct LoadRow {
    /// Its id.
    pub id: i64,
    /// The run it belongs to.
    pub run_id: Uuid,
    /// The dataset.
    pub dataset: String,
    /// The customer.
    pub customer: String,
    /// The day it is for.
    pub run_date: NaiveDate,
    /// The table it was meant for; `None` for a refused file.
    pub table_name: Option<String>,
    /// Its state; `refused` for a refused file.
    pub state: String,
    /// Of a held load, the later one of its run date that came after it: nothing is left to decide about it.
    pub overtaken_by: Option<i64>,
    /// Whether it is the one that counts for its customer and run date.
    pub is_current: bool,
    /// How its rows got into the table.
    pub way: Option<String>,
    /// The file's name.
    pub file_name: String,
    /// The file's size in bytes; `None` for a refused file that could not be read to its end.
    pub file_bytes: Option<i64>,
    /// The file's SHA-256 in hexadecimal; as `file_bytes`.
    pub file_sha256: Option<String>,
    /// Good rows.
    pub loaded: i64,
    /// Bad rows.
    pub rejected: i64,
    /// Why it was held, only measured, or refused.
    pub reasons: Value,
    /// When it was entered.
    pub loaded_at: DateTime<Utc>,
}

/// The newest loads first.
///
/// # Errors
/// What the server says.
pub async fn list(pool: &PgPool, filter: &Filter) -> anyhow::Result<Vec<LoadRow>> {
    sqlx::query_as(include_str!("ledger_list.sql"))
        .bind(&filter.dataset)
        .bind(&filter.customer)
        .bind(filter.from)
        .bind(filter.to)
        .bind(&filter.state)
        .bind(filter.limit)
        .bind(&filter.job)
        .fetch_all(pool)
        .await
        .context("list the loads")
}

/// Everything that is kept of a load or a refused file, column by column.
///
/// # Errors
/// [`fault::not_found`] if no load has this id.
pub async fn get(pool: &PgPool, id: i64) -> anyhow::Result<serde_json::Map<String, Value>> {
    let found: Option<Value> = sqlx::query_scalar(
        "select to_jsonb(l) from bursar.loads as l where id = $1
          union all
         select to_jsonb(r) || jsonb_build_object('state', 'refused') from bursar.refused_files as r where id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
    .context("look for the load")?;
    match found {
        Some(Value::Object(columns)) => Ok(columns),
        _ => Err(no_load(id)),
    }
}

/// Refuses the id of a load that does not exist.
///
/// # Errors
/// [`fault::not_found`] if no load has this id.
pub async fn check_id(pool: &PgPool, id: i64) -> anyhow::Result<()> {
    let exists: bool = sqlx::query_scalar("select exists (select from bursar.loads where id = $1)")
        .bind(id)
        .fetch_one(pool)
        .await
        .context("look for the load")?;
    if exists { Ok(()) } else { Err(no_load(id)) }
}

/// The error for an id that no load has.
pub(super) fn no_load(id: i64) -> anyhow::Error {
    fault::not_found(format!("there is no load {id}; \"bursar loads list\" lists the loads"))
}
