//! The door to `bursar.occurrences`.
//!
//! Each instant at which a job was due is one row under a unique key, whatever number of daemons see it.

use super::dispatch::ON_TIME;
use super::job::Job;
use super::skew::{MAX_SKEW, seconds};
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use std::collections::HashSet;
use uuid::Uuid;

/// So many due instants, the latest ones, are looked at for gaps: some five hours of a job that is due every second,
/// 54 years of one that is due every day.
const MOST_LOOKED_AT: usize = 20_000;

/// Which occurrences are asked for. Run dates are inclusive; what is none does not narrow them.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only of this job.
    pub job: Option<&'a str>,
    /// Only from this run date on.
    pub from: Option<NaiveDate>,
    /// Only up to this run date.
    pub to: Option<NaiveDate>,
    /// Only in this state.
    pub state: Option<&'a str>,
}

/// An occurrence as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Recorded {
    /// The job.
    pub job: String,
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// The business day it is for.
    pub run_date: NaiveDate,
    /// `queued`, `ran`, `skipped` or `coalesced`.
    pub state: String,
    /// Why it was skipped or coalesced.
    pub reason: Option<String>,
    /// The run it was opened for.
    pub run_id: Option<Uuid>,
}

/// The gaps of a job: instants at which it was due and that nobody has recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// They were looked for after this instant.
    pub since: DateTime<Utc>,
    /// Whether that is later than what was asked for, because there are too many instants.
    pub is_cut: bool,
    /// The occurrence recorded last, among all of the job: a daemon yet records what was due after it, and nothing
    /// that was due before.
    pub recorded_until: Option<DateTime<Utc>>,
    /// The instants, oldest first.
    pub missing: Vec<DateTime<Utc>>,
}

/// What becomes of a due instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// Its calendar day in the job's zone.
    pub run_date: NaiveDate,
    /// Why it is not run; `None` if it is.
    pub passed_over: Option<PassedOver>,
}

/// The outcome of a due instant that is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// `skipped` or `coalesced`.
    pub state: &'static str,
    /// What decided it.
    pub cause: Cause,
    /// The same in words.
    pub reason: String,
}

/// What decided that a due instant is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was missed, and the catchup policy does not run it.
    Missed,
    /// A run of the job was going on.
    Overlap,
    /// The job was paused.
    Paused,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Overlap => "overlap",
            Self::Paused => "paused",
        }
    }
}

/// Queues the newest `limit` occurrences of a job that were skipped because it was paused since then. Returns how many.
///
/// # Errors
/// Returns a database fault.
pub(super) async fn queue_skipped_by_pause(
    connection: &mut PgConnection,
    job: &str,
    since: DateTime<Utc>,
    limit: i64,
) -> anyhow::Result<u64> {
    let queued = sqlx::query(
        "update bursar.occurrences
            set state = 'queued', cause = null, reason = null
          where job = $1
            and due_at in (
                select due_at
                  from bursar.occurrences
                 where job = $1 and due_at >= $2 and cause = 'paused'
                 order by due_at desc
                 limit $3)",
    )
    .bind(job)
    .bind(since)
    .bind(limit)
    .execute(connection)
    .await
    .context("queue what was due during the pause")?;
    Ok(queued.rows_affected())
}

/// Records occurrences of a job; those another daemon recorded already stay as they are. One that was passed over before it
/// was due, by a daemon whose clock was ahead, was not judged rightly and is recorded anew. Returns the instants that were
/// new.
///
/// # Errors
/// Returns a database fault.
pub async fn record(pool: &PgPool, job: &Job, occurrences: &[Occurrence]) -> anyhow::Result<Vec<DateTime<Utc>>> {
    let passed_over = || occurrences.iter().map(|o| o.passed_over.as_ref());
    let due: Vec<DateTime<Utc>> = occurrences.iter().map(|o| o.due_at).collect();
    let dates: Vec<NaiveDate> = occurrences.iter().map(|o| o.run_date).collect();
    let states: Vec<&str> = passed_over().map(|p| p.map_or("queued", |p| p.state)).collect();
    let causes: Vec<Option<&str>> = passed_over().map(|p| p.map(|p| p.cause.as_str())).collect();
    let reasons: Vec<Option<&str>> = passed_over().map(|p| p.map(|p| p.reason.as_str())).collect();
    sqlx::query_scalar(
        "insert into bursar.occurrences (job, due_at, run_date, state, cause, reason, is_alerted)
         select $1, o.due_at, o.run_date, o.state, o.cause, o.reason, $7 and coalesce(o.cause in ('missed', 'overlap'), false)
           from unnest($2::timestamptz[], $3::date[], $4::text[], $5::text[], $6::text[])
                as o (due_at, run_date, state, cause, reason)
         on conflict (job, due_at) do update
            set state = excluded.state, cause = excluded.cause, reason = excluded.reason,
                is_alerted = excluded.is_alerted, recorded_at = now()
          where occurrences.state in ('skipped', 'coalesced')
            and occurrences.recorded_at < occurrences.due_at - make_interval(secs => $8)
         returning due_at",
    )
    .bind(&job.name)
    .bind(due)
    .bind(dates)
    .bind(states)
    .bind(causes)
    .bind(reasons)
    .bind(job.alert_skipped)
    .bind(seconds(MAX_SKEW))
    .fetch_all(pool)
    .await
    .context("record the occurrences")
}

/// Finds the oldest occurrence of a job that waits to be run, was due by `now`, and for whose run date no run is open.
///
/// # Errors
/// Returns a database fault.
pub async fn oldest_queued(
    pool: &PgPool,
    job: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<(DateTime<Utc>, NaiveDate)>> {
    sqlx::query_as(
        "select o.due_at, o.run_date
           from bursar.occurrences as o
          where o.job = $1
            and o.state = 'queued' and o.due_at <= $2
            and not exists (
                select from bursar.runs as r where r.job = o.job and r.run_date = o.run_date and r.state = 'running')
          order by o.due_at
          limit 1",
    )
    .bind(job)
    .bind(now)
    .fetch_optional(pool)
    .await
    .context("look for a queued occurrence")
}

/// Finds the oldest occurrence of a job for a run date that waits to be run and was due by `until`.
///
/// # Errors
/// Returns a database fault.
pub async fn oldest_queued_for(
    pool: &PgPool,
    job: &str,
    run_date: NaiveDate,
    until: DateTime<Utc>,
) -> anyhow::Result<Option<DateTime<Utc>>> {
    let oldest = "select min(due_at) from bursar.occurrences where job = $1 and run_date = $2 and due_at <= $3 and state = 'queued'";
    let asked = sqlx::query_scalar(oldest).bind(job).bind(run_date).bind(until).fetch_one(pool).await;
    asked.context("look for a queued occurrence")
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

/// Makes sure that there are tables to read, without making them.
///
/// # Errors
/// A configuration fault when there are none.
pub async fn check_tables(pool: &PgPool) -> anyhow::Result<()> {
    let is_there: bool = sqlx::query_scalar("select to_regclass('bursar.workers') is not null")
        .fetch_one(pool)
        .await
        .context("look for Bursar's own tables")?;
    if is_there {
        return Ok(());
    }
    Err(fault::config("the database has no tables of Bursar's (schema bursar) yet; `bursar migrate` makes them"))
}

/// The latest `limit` recorded occurrences, the newest first.
///
/// # Errors
/// What the server says.
pub async fn list_latest(pool: &PgPool, filter: &Filter<'_>, limit: i64) -> anyhow::Result<Vec<Recorded>> {
    sqlx::query_as(
        "select job,
                due_at,
                run_date,
                state,
                reason,
                run_id
           from bursar.occurrences
          where ($1::text is null or job = $1)
            and ($2::date is null or run_date >= $2)
            and ($3::date is null or run_date <= $3)
            and ($4::text is null or state = $4)
          order by due_at desc, job desc
          limit $5",
    )
    .bind(filter.job)
    .bind(filter.from)
    .bind(filter.to)
    .bind(filter.state)
    .bind(limit)
    .fetch_all(pool)
    .await
    .context("list the occurrences")
}

/// The gaps of a job among the run dates of a filter, since daemons watch it with its present schedule: none where
/// they never did. What was due within the last minute may yet be recorded and is no gap.
///
/// # Errors
/// What the server says.
pub async fn find_gaps(
    pool: &PgPool,
    job: &Job,
    filter: &Filter<'_>,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<Gaps>> {
    let Some(schedule) = job.due_schedule() else { return Ok(None) };
    let watching = watching(pool, &job.name, &schedule.to_string()).await?;
    let Some((watched, recorded_until)) = watching else { return Ok(None) };
    let (first, last) = span(job, filter);
    let asked = first.map_or(watched, |first| first.max(watched));
    let upto = last.map_or(now - ON_TIME, |last| last.min(now - ON_TIME));
    let since = schedule.before_latest(MOST_LOOKED_AT, asked, upto);
    let known = due_between(pool, &job.name, since, upto).await?;
    let is_asked = |date: NaiveDate| filter.from.is_none_or(|d| d <= date) && filter.to.is_none_or(|d| date <= d);
    let unknown = schedule.between(since, upto).filter(|due| !known.contains(due));
    let missing = unknown.filter(|due| is_asked(job.run_date(*due))).collect();
    Ok(Some(Gaps { since, is_cut: since > asked, recorded_until, missing }))
}

/// Instants between which all lie that are due for the run dates of a filter, and some others: a day begins within
/// a day of midnight in UTC, whatever its zone.
fn span(job: &Job, filter: &Filter<'_>) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let day = |date: Option<NaiveDate>, margin: i64| {
        let day = date?.checked_add_signed(TimeDelta::days(margin) - job.offset_days())?;
        Some(day.and_time(NaiveTime::MIN).and_utc())
    };
    (day(filter.from, -2), day(filter.to, 3))
}

/// Since when daemons watch a job with this schedule, and the job's occurrence that is recorded last.
async fn watching(
    pool: &PgPool,
    job: &str,
    schedule: &str,
) -> anyhow::Result<Option<(DateTime<Utc>, Option<DateTime<Utc>>)>> {
    sqlx::query_as(
        "select watched_since, (select max(due_at) from bursar.occurrences where job = $1)
           from bursar.schedules where job = $1 and schedule = $2",
    )
    .bind(job)
    .bind(schedule)
    .fetch_optional(pool)
    .await
    .context("look since when the job is watched")
}

async fn due_between(
    pool: &PgPool,
    job: &str,
    after: DateTime<Utc>,
    upto: DateTime<Utc>,
) -> anyhow::Result<HashSet<DateTime<Utc>>> {
    let due: Vec<DateTime<Utc>> =
        sqlx::query_scalar("select due_at from bursar.occurrences where job = $1 and due_at > $2 and due_at <= $3")
            .bind(job)
            .bind(after)
            .bind(upto)
            .fetch_all(pool)
            .await
            .context("list the instants that are recorded")?;
    Ok(due.into_iter().collect())
}
