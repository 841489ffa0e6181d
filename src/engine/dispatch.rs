//! Turns due instants into occurrences, and occurrences into runs.
//!
//! Any number of daemons may do this side by side: an occurrence is one row under a unique key, and a run
//! of a job and run date can be opened only once.

use super::execute::Engine;
use super::job::{Catchup, Job};
use super::occurrences::{self, Cause, Occurrence, PassedOver};
use super::overlap::{OpenRun, judge_overlap};
use super::runs::{Items, Opening, RunRequest};
use super::schedule::Schedule;
use super::task::Trigger;
use super::watermarks::{self, Watermarks};
use crate::clock::timestamp;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::sync::Arc;
use tracing::{info, warn};

/// An occurrence that is recorded at most this long after it was due was not missed.
pub(super) const ON_TIME: TimeDelta = TimeDelta::seconds(60);

/// More occurrences than this are never recorded in one go; the rest follows at the next beat.
const MOST_AT_ONCE: usize = 10_000;

/// Returns the items of the fanned-out tasks of a job for a run date.
pub type ItemsOf<'a> = dyn Fn(&Job, NaiveDate) -> Items + Sync + 'a;

/// What came of one look at the jobs.
#[derive(Debug, Default)]
pub struct Dispatched {
    /// How many runs were opened.
    pub opened: usize,
    /// Why some jobs could not be looked at; they are at the next beat.
    pub faults: Vec<anyhow::Error>,
    /// What a daemon whose clock was ahead recorded for times that have not come, and that is ignored.
    pub recorded_ahead: Vec<String>,
}

/// Records what has fallen due since the last time and opens the runs that are to start now.
pub async fn dispatch_due(engine: &Engine, jobs: &[Arc<Job>], items: &ItemsOf<'_>, now: DateTime<Utc>) -> Dispatched {
    let mut dispatched = Dispatched::default();
    let known = match Watermarks::read(&engine.pool, now).await {
        Ok(known) => known,
        Err(error) => return Dispatched { faults: vec![error], ..dispatched },
    };
    for job in jobs {
        let Some(schedule) = job.due_schedule() else { continue };
        dispatched.recorded_ahead.extend(known.warning(job));
        match dispatch_job(engine, &known, job, schedule, items, now).await {
            Ok(is_opened) => dispatched.opened += usize::from(is_opened),
            Err(error) => dispatched.faults.push(error.context(job.name.clone())),
        }
    }
    dispatched
}

/// Whether a run was opened.
async fn dispatch_job(
    engine: &Engine,
    known: &Watermarks,
    job: &Arc<Job>,
    schedule: &Schedule,
    items: &ItemsOf<'_>,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    let (pool, words) = (&engine.pool, schedule.to_string());
    let Some(since) = known.watermark(&job.name, &words) else {
        watermarks::begin_to_watch(pool, &job.name, &words, now).await?;
        return Ok(false);
    };
    if let Some(paused) = known.paused(&job.name) {
        let skipped = paused.skip(job, since, now, MOST_AT_ONCE);
        if !skipped.is_empty() {
            occurrences::record(pool, job, &skipped).await?;
        }
        return Ok(false);
    }
    let mut due = judge_due(job, since, now);
    if !due.is_empty() {
        judge_overlap(pool, job, &mut due, now - ON_TIME).await?;
        let recorded = occurrences::record(pool, job, &due).await?;
        log_overlaps(job, &due, &recorded);
    } else if !known.is_queued(&job.name) {
        return Ok(false);
    }
    open_next(engine, job, items, now).await
}

/// The job's occurrences in `(since, now]` and what its catchup policy makes of each. Pure.
#[must_use]
pub fn judge_due(job: &Job, since: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Occurrence> {
    let Some(schedule) = &job.schedule else { return Vec::new() };
    if schedule.next_after(since).is_none_or(|due| due > now) {
        return Vec::new();
    }
    let passed_over = policy(job, schedule, since, now);
    schedule
        .between(since, now)
        .take(MOST_AT_ONCE)
        .map(|due_at| Occurrence { due_at, run_date: job.run_date(due_at), passed_over: passed_over(due_at) })
        .collect()
}

/// Returns what the catchup policy makes of a due instant: `None` if it is to be run. All that was due until `now` counts,
/// not only what one batch holds.
fn policy(
    job: &Job,
    schedule: &Schedule,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> impl Fn(DateTime<Utc>) -> Option<PassedOver> + use<> {
    let missed = |state, reason| Some(PassedOver { state, cause: Cause::Missed, reason });
    let (catchup, limit) = (job.catchup, job.catchup_limit);
    let missed_before = now - ON_TIME;
    let last = schedule.last_at(now);
    let caught_up_after = match catchup {
        Catchup::All => schedule.before_latest(limit, since, missed_before - TimeDelta::nanoseconds(1)),
        Catchup::None | Catchup::Latest => since,
    };
    move |due_at| match catchup {
        Catchup::None if due_at < missed_before => {
            missed("skipped", "missed while no daemon or no database was up (catchup = none)".to_owned())
        }
        Catchup::Latest if Some(due_at) != last => {
            let by = last.map_or_else(String::new, |l| timestamp(&l));
            missed("coalesced", format!("the occurrence of {by} stands for it (catchup = latest)"))
        }
        Catchup::All if due_at <= caught_up_after => {
            missed("skipped", format!("missed, and not one of the latest {limit} missed (catchup_limit = {limit})"))
        }
        Catchup::All | Catchup::None | Catchup::Latest => None,
    }
}

/// Logs the occurrences that this process has recorded as overlapping.
fn log_overlaps(job: &Job, due: &[Occurrence], recorded: &[DateTime<Utc>]) {
    for occurrence in due {
        let overlapping = occurrence.passed_over.as_ref().filter(|passed_over| passed_over.cause == Cause::Overlap);
        let Some(PassedOver { state, reason, .. }) = overlapping else { continue };
        let due_at = occurrence.due_at;
        if recorded.contains(&due_at) {
            warn!(job.name = %job.name, "{} was due at {due_at} and is {state}: {reason}", job.name);
        }
    }
}

/// Opens the run of the oldest queued occurrence that no open run of its date keeps waiting, unless a scheduled run of the
/// job is at work. Returns whether one was opened.
async fn open_next(engine: &Engine, job: &Arc<Job>, items: &ItemsOf<'_>, now: DateTime<Utc>) -> anyhow::Result<bool> {
    let pool = &engine.pool;
    let Some((due_at, run_date)) = occurrences::oldest_queued(pool, &job.name, now).await? else { return Ok(false) };
    if OpenRun::list(pool, &job.name, run_date).await?.iter().any(OpenRun::is_blocking) {
        return Ok(false);
    }
    let request = RunRequest {
        job: Arc::clone(job),
        run_date,
        trigger: Trigger::Schedule,
        occurrence: Some(due_at),
        items: items(job, run_date),
        publish: false,
        force: false,
    };
    let Opening::Opened(id) = engine.open(&request).await? else { return Ok(false) };
    info!(run.id = %id, job.name = %job.name, run.date = %run_date, "run {id} of {} for {run_date} begins: it was due at {due_at}", job.name);
    Ok(true)
}
