//! A snapshot's life: opened or gone on with, published as a whole.

use super::store::Store;
use crate::config::{BalanceSource, Metronome};
use crate::engine::task::{Outcome, RunInfo};
use crate::fault::Fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

/// How many of the customers that failed are told by name.
const MOST_TOLD: i64 = 3;

/// A snapshot that is to be fetched or gone on with.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Open {
    pub(super) id: i64,
    balance_source: String,
    pub(super) is_listed: bool,
}

impl Open {
    pub(super) fn balance_source(&self) -> BalanceSource {
        BalanceSource::parse(&self.balance_source)
    }
}

/// How many customers of a snapshot are how far.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub(super) struct Counts {
    pub(super) customers: i64,
    pub(super) fetched: i64,
    pub(super) failed: i64,
    pub(super) transient: i64,
}

/// A customer that failed.
#[derive(Clone, Debug, sqlx::FromRow)]
struct Failed {
    id: String,
    fault: String,
    error: String,
}

/// The complete snapshot of a run date, where there is one, and when it was whole.
pub(super) async fn find_complete(
    pool: &PgPool,
    run_date: NaiveDate,
) -> anyhow::Result<Option<(i64, Option<DateTime<Utc>>)>> {
    sqlx::query_as("select id, ended_at from metronome.current_snapshots where run_date = $1 and state = 'complete'")
        .bind(run_date)
        .fetch_optional(pool)
        .await
        .context("look whether there is a snapshot of the run date")
}

/// The run's own snapshot: a new one, or the one that an attempt before has begun. One that is published already, and
/// is fetched by a retry of its run, is of the same run and goes on, too.
pub(super) async fn open(
    connection: &mut PgConnection,
    run: &RunInfo,
    section: &Metronome,
    now: DateTime<Utc>,
) -> anyhow::Result<Open> {
    sqlx::query(
        "insert into metronome.snapshots (run_id, run_date, balance_source, base_url, began_at)
         values ($1, $2, $3, $4, $5)
         on conflict (run_id) do nothing",
    )
    .bind(run.id)
    .bind(run.run_date)
    .bind(section.balance_source.as_str())
    .bind(&section.base_url)
    .bind(now)
    .execute(&mut *connection)
    .await
    .context("open a snapshot")?;
    sqlx::query_as(
        "select id, balance_source, listed_at is not null as is_listed from metronome.snapshots where run_id = $1",
    )
    .bind(run.id)
    .fetch_one(connection)
    .await
    .context("open a snapshot")
}

/// Finds the latest complete snapshot up to a run date: its run date and number of customers.
pub(super) async fn find_count_before(pool: &PgPool, run_date: NaiveDate) -> anyhow::Result<Option<(NaiveDate, i64)>> {
    sqlx::query_as(
        "select run_date, customers
           from metronome.current_snapshots
          where run_date <= $1 and state = 'complete'
          order by run_date desc
          limit 1",
    )
    .bind(run_date)
    .fetch_optional(pool)
    .await
    .context("count the customers of the snapshot before")
}

/// Counts a snapshot's customers.
pub(super) async fn count(connection: &mut PgConnection, snapshot: i64) -> anyhow::Result<Counts> {
    sqlx::query_as(
        "select
             count(*) as customers,
             count(*) filter (where state = 'fetched') as fetched,
             count(*) filter (where state = 'failed') as failed,
             count(*) filter (where state = 'failed' and fault = 'transient') as transient
           from metronome.customers
          where snapshot_id = $1",
    )
    .bind(snapshot)
    .fetch_one(connection)
    .await
    .context("count the customers of the snapshot")
}

/// Closes a snapshot: it takes the place of what counts for its run date, unless that is complete and this one is not.
/// How the attempt ended is recorded in the same transaction.
pub(super) async fn publish(store: &Store, run: &RunInfo) -> anyhow::Result<Outcome> {
    let mut transaction = store.begin().await?;
    let counts = count(&mut transaction, store.snapshot).await?;
    let state = if counts.failed == 0 { "complete" } else { "partial" };
    let is_current = take_place(&mut transaction, store.snapshot, run.run_date, counts.failed == 0).await?;
    close(&mut transaction, store.snapshot, state, is_current, &counts).await?;
    let summary = json!({
        "state": state, "snapshot": store.snapshot, "is_current": is_current,
        "customers": counts.customers, "fetched": counts.fetched, "failed": counts.failed,
    });
    let outcome = if counts.failed == 0 {
        Outcome::Done(summary)
    } else {
        let failed = list_failed(&mut transaction, store.snapshot).await?;
        Outcome::Refused { fault: gravest(&counts), reason: told(&counts, &failed, is_current), summary }
    };
    store.fence.settle(&mut transaction, &outcome.settlement()).await?;
    transaction.commit().await.context("publish the snapshot")?;
    Ok(outcome)
}

/// Whether the snapshot counts from now on. What counted before, and what runs that are over have left, is dropped.
async fn take_place(
    connection: &mut PgConnection,
    snapshot: i64,
    run_date: NaiveDate,
    is_complete: bool,
) -> anyhow::Result<bool> {
    let stands: bool = sqlx::query_scalar(
        "select exists (
                select from metronome.current_snapshots
                 where run_date = $1 and id <> $2 and state = 'complete')",
    )
    .bind(run_date)
    .bind(snapshot)
    .fetch_one(&mut *connection)
    .await
    .context("look at what counts for the run date")?;
    let is_current = is_complete || !stands;
    sqlx::query(
        "delete from metronome.snapshots as s
          where s.run_date = $1 and s.id <> $2
            and case
                    when s.is_current then $3
                    else not exists (select from bursar.runs as r where r.id = s.run_id and r.state = 'running')
                end",
    )
    .bind(run_date)
    .bind(snapshot)
    .bind(is_current)
    .execute(connection)
    .await
    .context("drop what counted for the run date")?;
    Ok(is_current)
}

async fn close(
    connection: &mut PgConnection,
    snapshot: i64,
    state: &str,
    is_current: bool,
    counts: &Counts,
) -> anyhow::Result<()> {
    sqlx::query(
        "update metronome.snapshots
            set state = $2, is_current = $3, customers = $4, failed = $5, ended_at = clock_timestamp()
          where id = $1",
    )
    .bind(snapshot)
    .bind(state)
    .bind(is_current)
    .bind(counts.customers)
    .bind(counts.failed)
    .execute(connection)
    .await
    .context("close the snapshot")?;
    Ok(())
}

async fn list_failed(connection: &mut PgConnection, snapshot: i64) -> anyhow::Result<Vec<Failed>> {
    sqlx::query_as(
        "select id, fault, error
           from metronome.customers
          where snapshot_id = $1 and state = 'failed'
          order by fault, id
          limit $2",
    )
    .bind(snapshot)
    .bind(MOST_TOLD)
    .fetch_all(connection)
    .await
    .context("list the customers that failed")
}

fn gravest(counts: &Counts) -> Fault {
    if counts.failed > counts.transient { Fault::Data } else { Fault::Transient }
}

fn told(counts: &Counts, failed: &[Failed], is_current: bool) -> String {
    let names: Vec<String> =
        failed.iter().map(|failed| format!("customer {} ({}): {}", failed.id, failed.fault, failed.error)).collect();
    let more = usize::try_from(counts.failed).unwrap_or(usize::MAX).saturating_sub(failed.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let kept = if is_current { "" } else { "; the complete snapshot that the run date had stays" };
    format!(
        "{} of {} customers could not be fetched: {}{more}{kept}",
        counts.failed,
        counts.customers,
        names.join("; ")
    )
}
