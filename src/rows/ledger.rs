//! The load ledger `bursar.loads`: one row for each load, written in the transaction that publishes it.

use super::certificate::Certificate;
use super::load::State;
use super::publish::{Merged, Publication, Way};
use crate::config::Table;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// What a load enters into the ledger.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Reserved by [`next_id`].
    pub id: i64,
    /// The run it belongs to.
    pub run_id: Uuid,
    /// The dataset's name.
    pub dataset: &'a str,
    /// The customer's name.
    pub customer: &'a str,
    /// The day it is for.
    pub run_date: NaiveDate,
    /// The table it was meant for.
    pub table: &'a Table,
    /// What became of it.
    pub state: State,
    /// Why it was held, or not published; empty otherwise.
    pub reasons: &'a [String],
    /// The file's path as it was found.
    pub file_path: &'a str,
    /// The file's name alone.
    pub file_name: &'a str,
    /// When the file's bytes were last changed, by its own account.
    pub file_modified_at: DateTime<Utc>,
    /// The proof that nothing was lost or invented.
    pub certificate: &'a Certificate,
    /// Columns of the file that were left unread.
    pub ignored_columns: &'a [String],
    /// The measures, name to value.
    pub measures: &'a Value,
    /// How long it took so far, in milliseconds.
    pub elapsed_ms: i64,
    /// How its rows got into the table.
    pub publication: &'a Publication,
    /// The fingerprint of the dataset's definition.
    pub definition: &'a str,
    /// The load of another customer with the same bytes.
    pub misdelivery_of: Option<i64>,
    /// What an operator should know of it that did not hold it.
    pub warnings: &'a [String],
    /// What control totals stated and what was found.
    pub control: Option<&'a Value>,
}

/// Reserves a load's id.
///
/// # Errors
/// What the server says.
pub async fn next_id(connection: &mut PgConnection) -> anyhow::Result<i64> {
    sqlx::query_scalar("select nextval('bursar.loads_id_seq')")
        .fetch_one(connection)
        .await
        .context("reserve a load's id")
}

/// The run date whose rows readers of `table` see; none where nothing was published into it yet. Publications are
/// numbered under the table's lock, so that the greatest one was the last.
///
/// # Errors
/// What the server says.
pub async fn published_date(
    connection: &mut PgConnection,
    dataset: &str,
    customer: &str,
    table: &Table,
) -> anyhow::Result<Option<NaiveDate>> {
    sqlx::query_scalar(
        "select run_date from bursar.loads
          where dataset = $1 and customer = $2 and table_name = $3 and state = 'published' order by publication desc limit 1",
    )
    .bind(dataset)
    .bind(customer)
    .bind(table.to_string())
    .fetch_optional(connection)
    .await
    .context("look for the load published last")
}

/// Makes way for a load of a run date that was loaded before. One that counts (published or measured) takes the place
/// of the one that counted for the same customer, and the open rejects of that one are closed as superseded. The rejects
/// of an earlier held load are superseded by whatever comes after it.
///
/// # Errors
/// What the server says.
pub async fn make_way(
    connection: &mut PgConnection,
    (dataset, customer, run_date): (&str, &str, NaiveDate),
    by: i64,
    state: State,
) -> anyhow::Result<()> {
    sqlx::query(
        "update bursar.rejects set status = 'superseded', closed_at = now(), closed_by_load = $4
          where status = 'open' and load_id in (
                select l.id from bursar.loads as l
                 where l.dataset = $1 and l.customer = $2 and l.run_date = $3
                   and not ($5 and exists (
                           select from bursar.loads as c
                            where c.dataset = $1 and c.customer = $2 and c.run_date = $3 and c.is_current
                              and coalesce(c.redrive_of, c.id) = l.id)))",
    )
    .bind(dataset)
    .bind(customer)
    .bind(run_date)
    .bind(by)
    .bind(state == State::Held)
    .execute(&mut *connection)
    .await
    .context("close the rejects of the load before")?;
    if state == State::Held { Ok(()) } else { no_longer_current(connection, dataset, customer, run_date).await }
}

async fn no_longer_current(
    connection: &mut PgConnection,
    dataset: &str,
    customer: &str,
    run_date: NaiveDate,
) -> anyhow::Result<()> {
    sqlx::query("update bursar.loads set is_current = false where dataset = $1 and customer = $2 and run_date = $3 and is_current")
        .bind(dataset)
        .bind(customer)
        .bind(run_date)
        .execute(connection)
        .await
        .context("step over the load before")?;
    Ok(())
}

/// Lets a held load take the place of the one that counted for its customer and run date, whose open rejects are
/// closed as superseded.
///
/// # Errors
/// What the server says.
pub async fn step_over(
    connection: &mut PgConnection,
    dataset: &str,
    customer: &str,
    run_date: NaiveDate,
    by: i64,
) -> anyhow::Result<()> {
    sqlx::query(
        "update bursar.rejects set status = 'superseded', closed_at = now(), closed_by_load = $4
          where status = 'open' and load_id in (
                select id from bursar.loads where dataset = $1 and customer = $2 and run_date = $3 and id <> $4)",
    )
    .bind(dataset)
    .bind(customer)
    .bind(run_date)
    .bind(by)
    .execute(&mut *connection)
    .await
    .context("close the rejects of the load before")?;
    no_longer_current(connection, dataset, customer, run_date).await
}

/// Enters a load, as the last thing but the commit.
///
/// # Errors
/// What the server says.
pub async fn enter(connection: &mut PgConnection, entry: &Entry<'_>) -> anyhow::Result<()> {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (tally, publication) = (&entry.certificate.tally, entry.publication);
    sqlx::query(include_str!("ledger_insert.sql"))
        .bind(entry.id)
        .bind(entry.run_id)
        .bind(entry.dataset)
        .bind(entry.customer)
        .bind(entry.run_date)
        .bind(entry.table.to_string())
        .bind(entry.state.as_str())
        .bind(entry.state != State::Held)
        .bind(Json(entry.reasons))
        .bind(entry.file_path)
        .bind(entry.file_name)
        .bind(signed(entry.certificate.bytes))
        .bind(&entry.certificate.sha256)
        .bind(signed(tally.records))
        .bind(signed(tally.loaded))
        .bind(signed(tally.rejected))
        .bind(signed(tally.skipped.total()))
        .bind(Json(entry.certificate))
        .bind(Json(entry.ignored_columns))
        .bind(Json(entry.measures))
        .bind(entry.elapsed_ms)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(entry.file_modified_at)
        .bind((entry.state == State::Published).then_some(entry.id))
        .bind(publication.way.map(Way::as_str))
        .bind(&publication.reason)
        .bind(i32::try_from(publication.streams).unwrap_or(i32::MAX))
        .bind(publication.lock_waited_ms)
        .bind(publication.lock_held_ms)
        .bind(publication.merged.map(|m| m.inserted))
        .bind(publication.merged.map(|m| m.updated))
        .bind(publication.merged.map(|m| m.unchanged))
        .bind(entry.definition)
        .bind(entry.misdelivery_of)
        .bind(Json(entry.warnings))
        .bind(entry.control.map(Json))
        .execute(connection)
        .await
        .context("enter the load into the ledger")?;
    Ok(())
}

/// What a redrive enters into the ledger.
#[derive(Debug)]
pub struct Redrive<'a> {
    /// Reserved by [`next_id`].
    pub id: i64,
    /// The load of the file whose rejects were corrected.
    pub of: i64,
    /// The load that counted until now: that one, or the redrive before this one.
    pub current: i64,
    /// Rows that were added, and rejects that were resolved.
    pub rows: u64,
    /// The file of corrected rows.
    pub file: &'a str,
    /// Who redrove it.
    pub by: &'a str,
    /// The measures over all rows of the load, name to value; none where those of the load stay.
    pub measures: Option<&'a Value>,
    /// What a merge did with the rows.
    pub merged: Option<Merged>,
}

/// Enters a redrive. It takes the place of the load that counted: what that says of the file holds for it too, but that
/// some of the rejected records are loaded now.
///
/// # Errors
/// A bug fault when the ledger and the quarantine do not agree; what the server says.
pub async fn enter_redrive(connection: &mut PgConnection, entry: &Redrive<'_>) -> anyhow::Result<()> {
    sqlx::query("update bursar.loads set is_current = false where id = $1")
        .bind(entry.current)
        .execute(&mut *connection)
        .await
        .context("step over the load before")?;
    sqlx::query(include_str!("ledger_redrive.sql"))
        .bind(entry.id)
        .bind(entry.of)
        .bind(entry.current)
        .bind(i64::try_from(entry.rows).unwrap_or(i64::MAX))
        .bind(entry.file)
        .bind(entry.by)
        .bind(entry.measures.map(Json))
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(entry.merged.map(|m| m.inserted))
        .bind(entry.merged.map(|m| m.updated))
        .bind(entry.merged.map(|m| m.unchanged))
        .execute(&mut *connection)
        .await
        .context("enter the redrive into the ledger")?;
    let (rejected, kept): (i64, i64) = sqlx::query_as(
        "select rejected, (select count(*) from bursar.rejects where load_id = $2 and status <> 'resolved')
           from bursar.loads where id = $1",
    )
    .bind(entry.id)
    .bind(entry.of)
    .fetch_one(connection)
    .await
    .context("compare the ledger with the quarantine")?;
    if rejected == kept {
        return Ok(());
    }
    Err(crate::fault::bug(format!(
        "the redrive does not balance: {rejected} rejected by the ledger, {kept} in quarantine"
    )))
}
