//! The only door to `bursar.occurrences` and `bursar.schedules`.
//!
//! Each instant at which a job was due is one row under a unique key, whatever number of daemons see it.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// What becomes of a due instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// Its calendar day in the job's zone.
    pub run_date: NaiveDate,
    /// None: it is to be run. Else the state and the reason why it isn't.
    pub passed_over: Option<(&'static str, String)>,
}

/// The instant since which a job's occurrences are not recorded yet: that of the last one, or when a daemon first
/// saw the job with this schedule. What an earlier schedule missed, or what this one would have had before it was
/// there, is nobody's to run.
///
/// # Errors
/// What the server says.
pub async fn watermark(pool: &PgPool, job: &str, schedule: &str, now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
    let known: Option<(String, DateTime<Utc>)> = sqlx::query_as(
        "select schedule, greatest(watched_since, (select max(due_at) from bursar.occurrences where job = $1))
           from bursar.schedules where job = $1",
    )
    .bind(job)
    .fetch_optional(pool)
    .await
    .context("look for the occurrence recorded last")?;
    if let Some((_, since)) = known.filter(|(known, _)| known == schedule) {
        return Ok(since);
    }
    sqlx::query(
        "insert into bursar.schedules (job, schedule, watched_since) values ($1, $2, $3)
         on conflict (job) do update set schedule = excluded.schedule, watched_since = excluded.watched_since
          where schedules.schedule <> excluded.schedule",
    )
    .bind(job)
    .bind(schedule)
    .bind(now)
    .execute(pool)
    .await
    .context("remember the job's schedule")?;
    Ok(now)
}

/// Records occurrences; those another daemon recorded already stay as they are.
///
/// # Errors
/// What the server says.
pub async fn record(pool: &PgPool, job: &str, occurrences: &[Occurrence]) -> anyhow::Result<()> {
    let due: Vec<DateTime<Utc>> = occurrences.iter().map(|o| o.due_at).collect();
    let dates: Vec<NaiveDate> = occurrences.iter().map(|o| o.run_date).collect();
    let states: Vec<&str> = occurrences.iter().map(|o| o.passed_over.as_ref().map_or("queued", |p| p.0)).collect();
    let reasons: Vec<Option<&str>> = occurrences.iter().map(|o| o.passed_over.as_ref().map(|p| p.1.as_str())).collect();
    sqlx::query(
        "insert into bursar.occurrences (job, due_at, run_date, state, reason)
         select $1, o.due_at, o.run_date, o.state, o.reason
           from unnest($2::timestamptz[], $3::date[], $4::text[], $5::text[]) as o (due_at, run_date, state, reason)
         on conflict (job, due_at) do nothing",
    )
    .bind(job)
    .bind(due)
    .bind(dates)
    .bind(states)
    .bind(reasons)
    .execute(pool)
    .await
    .context("record the occurrences")?;
    Ok(())
}

/// The oldest occurrence of a job that waits to be run.
///
/// # Errors
/// What the server says.
pub async fn oldest_queued(pool: &PgPool, job: &str) -> anyhow::Result<Option<(DateTime<Utc>, NaiveDate)>> {
    sqlx::query_as(
        "select due_at, run_date from bursar.occurrences where job = $1 and state = 'queued' order by due_at limit 1",
    )
    .bind(job)
    .fetch_optional(pool)
    .await
    .context("look for a queued occurrence")
}

/// A queued occurrence is what the run was opened for; false when another daemon was first.
pub(super) async fn settle_as_run(
    connection: &mut PgConnection,
    job: &str,
    due_at: DateTime<Utc>,
    run: Uuid,
) -> anyhow::Result<bool> {
    let changed = sqlx::query(
        "update bursar.occurrences set state = 'ran', run_id = $3, reason = null
          where job = $1 and due_at = $2 and state = 'queued'",
    )
    .bind(job)
    .bind(due_at)
    .bind(run)
    .execute(connection)
    .await
    .context("settle the occurrence")?;
    Ok(changed.rows_affected() == 1)
}

/// A queued occurrence is not run; false when another daemon has settled it.
///
/// # Errors
/// What the server says.
pub async fn skip(pool: &PgPool, job: &str, due_at: DateTime<Utc>, reason: &str) -> anyhow::Result<bool> {
    let changed = sqlx::query(
        "update bursar.occurrences set state = 'skipped', reason = $3
          where job = $1 and due_at = $2 and state = 'queued'",
    )
    .bind(job)
    .bind(due_at)
    .bind(reason)
    .execute(pool)
    .await
    .context("skip the occurrence")?;
    Ok(changed.rows_affected() == 1)
}
