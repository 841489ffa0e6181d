//! Asks a report for its rows; nothing is written.

use super::compile::Report;
use super::parameter::Values;
use super::query::{self, Kind};
use crate::fault;
use anyhow::Context;
use sqlx::{Executor, PgPool};

/// Takes an answer as it comes.
pub trait Reader: Send {
    /// What the columns hold, in the report's order, before the first row.
    ///
    /// # Errors
    /// Where it can't be shown; the report is not run.
    fn begin(&mut self, kinds: &[Kind]) -> anyhow::Result<()>;

    /// A row: values as PostgreSQL writes them, null as none.
    ///
    /// # Errors
    /// Where it can't be shown; no further row comes.
    fn row(&mut self, values: &[Option<String>]) -> anyhow::Result<()>;

    /// What is said where the report has nothing to be made from, and is not run.
    fn nothing(&self, why: String) -> anyhow::Error {
        fault::data(why)
    }
}

/// Runs a report over one snapshot of the database, which its SQL can only read; gives how many rows there were.
///
/// # Errors
/// [`fault::not_found`] if a parameter names something that does not exist; a data fault when what the report is made from is not there for its dates; a configuration fault when its SQL can't
/// be used; whatever `reader` says.
pub async fn ask(pool: &PgPool, report: &Report, values: &Values, reader: &mut dyn Reader) -> anyhow::Result<u64> {
    let mut transaction = pool.begin().await.context("begin the report's transaction")?;
    transaction
        .execute("set transaction isolation level repeatable read, read only")
        .await
        .context("begin the report's transaction")?;
    query::check_existence(&mut transaction, report, values).await?;
    let sources = query::sources(&mut transaction, report, values).await?;
    let empty: Vec<String> = sources
        .iter()
        .filter(|source| source.rows.is_empty())
        .map(|source| format!("{} holds nothing of {}", source.relation, source.date))
        .collect();
    if !empty.is_empty() {
        let why = format!("the report {} has nothing to say: {}", report.name, empty.join("; "));
        return Err(reader.nothing(why));
    }
    reader.begin(&query::check_described(&mut transaction, report).await?)?;
    let count = query::each(&mut transaction, report, values, |row| reader.row(row)).await?;
    transaction.rollback().await.context("end the report's snapshot")?;
    Ok(count)
}
