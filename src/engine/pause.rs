//! The door to `bursar.paused_jobs`: jobs that an operator has paused, in the database, for all daemons.

use super::job::Job;
use super::occurrences::{self, Cause, Occurrence, PassedOver};
use super::watermarks::Watermarks;
use crate::clock::timestamp;
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use std::collections::HashMap;

/// At most this many due instants of a pause that no daemon recorded are recorded when the job is resumed.
const MAX_RECORDED: usize = 10_000;

/// The pause of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Paused {
    /// When it began.
    pub paused_at: DateTime<Utc>,
    /// Who paused the job.
    pub paused_by: String,
    /// Why.
    pub reason: Option<String>,
}

/// The end of a clause: since when the job is paused, by whom and why.
impl std::fmt::Display for Paused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "paused since {} by {}", timestamp(&self.paused_at), self.paused_by)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

impl Paused {
    /// Returns the due instants in `(since, now]` of the paused job, as they are recorded.
    pub(super) fn skip(&self, job: &Job, since: DateTime<Utc>, now: DateTime<Utc>, limit: usize) -> Vec<Occurrence> {
        let Some(schedule) = job.due_schedule() else { return Vec::new() };
        let passed_over =
            || PassedOver { state: "skipped", cause: Cause::Paused, reason: format!("the job was {self}") };
        let skipped = |due_at| Occurrence { due_at, run_date: job.run_date(due_at), passed_over: Some(passed_over()) };
        schedule.between(since, now).take(limit).map(skipped).collect()
    }
}

/// Lists the paused jobs.
///
/// # Errors
/// Returns a database fault.
pub async fn list(pool: &PgPool) -> anyhow::Result<HashMap<String, Paused>> {
    let rows: Vec<(String, DateTime<Utc>, String, Option<String>)> =
        sqlx::query_as("select job, paused_at, paused_by, reason from bursar.paused_jobs")
            .fetch_all(pool)
            .await
            .context("look which jobs are paused")?;
    let pause = |(job, paused_at, paused_by, reason)| (job, Paused { paused_at, paused_by, reason });
    Ok(rows.into_iter().map(pause).collect())
}

/// Pauses a job. Returns whether it was not paused before.
///
/// # Errors
/// Returns a database fault.
pub async fn pause(pool: &PgPool, job: &str, paused: &Paused) -> anyhow::Result<bool> {
    let inserted = sqlx::query(
        "insert into bursar.paused_jobs (job, paused_at, paused_by, reason) values ($1, $2, $3, $4)
         on conflict (job) do nothing",
    )
    .bind(job)
    .bind(paused.paused_at)
    .bind(&paused.paused_by)
    .bind(&paused.reason)
    .execute(pool)
    .await
    .context("pause the job")?;
    Ok(inserted.rows_affected() == 1)
}

/// How occurrences that were due during a pause are treated when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// They stay skipped.
    Skip,
    /// The newest `catchup_limit` of them are run, oldest first.
    Run,
}

/// Resumes a job. Returns how many occurrences were queued; `None` if the job was not paused.
///
/// # Errors
/// Returns a database fault.
pub async fn resume(pool: &PgPool, job: &Job, meanwhile: Meanwhile, now: DateTime<Utc>) -> anyhow::Result<Option<u64>> {
    let known = Watermarks::read(pool, now).await?;
    let Some(paused) = known.paused(&job.name) else { return Ok(None) };
    // What no daemon has recorded was due during the pause as well.
    let watermark = job.due_schedule().and_then(|schedule| known.watermark(&job.name, &schedule.to_string()));
    if let (Some(since), Some(schedule)) = (watermark, job.due_schedule()) {
        let since = schedule.before_latest(MAX_RECORDED, since, now);
        occurrences::record(pool, job, &paused.skip(job, since, now, MAX_RECORDED)).await?;
    }
    let mut transaction = pool.begin().await.context("resume the job")?;
    let resumed = sqlx::query("delete from bursar.paused_jobs where job = $1")
        .bind(&job.name)
        .execute(&mut *transaction)
        .await
        .context("resume the job")?;
    if resumed.rows_affected() == 0 {
        return Ok(None);
    }
    let mut queued = 0;
    if meanwhile == Meanwhile::Run {
        let limit = i64::try_from(job.catchup_limit).unwrap_or(i64::MAX);
        queued = occurrences::queue_skipped_by_pause(&mut transaction, &job.name, paused.paused_at, limit).await?;
    }
    transaction.commit().await.context("resume the job")?;
    Ok(Some(queued))
}
