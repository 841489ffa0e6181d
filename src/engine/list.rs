//! Reads runs, tasks, attempts and workers for people; changes nothing but that a worker is asked to reload.

use super::runs::RunRequest;
use super::stranded;
use super::task::RunState;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::types::Json;
use std::collections::HashSet;
use uuid::Uuid;

/// Which runs are asked for. Run dates are inclusive; what is none does not narrow them.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only of this job.
    pub job: Option<&'a str>,
    /// Only in this state.
    pub state: Option<&'a str>,
    /// Only from this run date on.
    pub from: Option<NaiveDate>,
    /// Only up to this run date.
    pub to: Option<NaiveDate>,
}

/// A run as it is recorded.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct RunRow {
    /// Its id.
    pub id: Uuid,
    /// The job.
    pub job: String,
    /// The business day it is for.
    pub run_date: NaiveDate,
    /// Who asked for it.
    pub trigger: String,
    /// Whether it may take the place of a newer run date.
    pub publish: bool,
    /// Whether it loads files again of which nothing has changed.
    pub force: bool,
    /// The state it is in.
    pub state: String,
    /// The class of its gravest failure.
    pub fault: Option<String>,
    /// What that was.
    pub error: Option<String>,
    /// How many tasks it has.
    pub tasks: i64,
    /// How many of them have ended.
    pub ended_tasks: i64,
    /// The machine it was opened on.
    pub host: String,
    /// The process that opened it.
    pub pid: i32,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it ended.
    pub closed_at: Option<DateTime<Utc>>,
    /// The configuration under which it was opened or last retried.
    pub config_hash: String,
    /// Why it stands still, if no worker that is up can go on with it.
    #[sqlx(skip)]
    pub stranded: Option<String>,
}

/// Says of the open ones among these runs whether they stand still, and why.
async fn with_stranded(pool: &PgPool, mut runs: Vec<RunRow>) -> anyhow::Result<Vec<RunRow>> {
    if runs.iter().all(|run| run.state != RunState::Running.as_str()) {
        return Ok(runs);
    }
    for stranded in stranded::list(pool, None).await? {
        for run in runs.iter_mut().filter(|run| run.id == stranded.run) {
            run.stranded = Some(format!("{stranded}. {}", stranded.next_step()));
        }
    }
    Ok(runs)
}

/// The latest `limit` runs, the newest first.
///
/// # Errors
/// What the server says.
pub async fn list_runs(pool: &PgPool, filter: &Filter<'_>, limit: i64) -> anyhow::Result<Vec<RunRow>> {
    let runs = sqlx::query_as(include_str!("list_runs.sql"))
        .bind(filter.job)
        .bind(filter.state)
        .bind(filter.from)
        .bind(filter.to)
        .bind(None::<Uuid>)
        .bind(None::<Uuid>)
        .bind(limit)
        .fetch_all(pool)
        .await
        .context("list the runs")?;
    with_stranded(pool, runs).await
}

/// At most two runs whose ids begin with these hexadecimal digits; hyphens in them do not count.
///
/// # Errors
/// What the server says.
pub async fn find_runs(pool: &PgPool, beginning: &str) -> anyhow::Result<Vec<RunRow>> {
    let digits: String = beginning.chars().filter(|c| *c != '-').collect();
    let end = |fill: char| {
        let padded: String = digits.chars().chain(std::iter::repeat_n(fill, 32)).take(32).collect();
        Uuid::try_parse(&padded).ok().filter(|_| digits.len() <= 32)
    };
    let Some((first, last)) = end('0').zip(end('f')) else { return Ok(Vec::new()) };
    let filter = Filter::default();
    let runs = sqlx::query_as(include_str!("list_runs.sql"))
        .bind(filter.job)
        .bind(filter.state)
        .bind(filter.from)
        .bind(filter.to)
        .bind(first)
        .bind(last)
        .bind(2_i64)
        .fetch_all(pool)
        .await
        .context("look for the run")?;
    with_stranded(pool, runs).await
}

/// A task of a run as it is recorded.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct TaskRow {
    /// The task's name.
    pub task: String,
    /// The item it is for; empty where there is none.
    pub item: String,
    /// The state it is in.
    pub state: String,
    /// How often it was begun.
    pub attempt: i32,
    /// Who works on it, or did last.
    pub worker: Option<String>,
    /// ready: not begun before; deferred: looked at again then at the latest.
    pub ready_at: Option<DateTime<Utc>>,
    /// What a deferred task waits for.
    pub wake_key: Option<String>,
    /// When its last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The class of its failure.
    pub fault: Option<String>,
    /// Why it failed, was skipped, or waits.
    pub error: Option<String>,
    /// What it came to.
    pub outcome: Option<Json<Value>>,
}

/// The tasks of a run, in the plan's order.
///
/// # Errors
/// What the server says.
pub async fn list_tasks(pool: &PgPool, run: Uuid) -> anyhow::Result<Vec<TaskRow>> {
    sqlx::query_as(
        "select task,
                item,
                state,
                attempt,
                worker,
                ready_at,
                wake_key,
                started_at,
                ended_at,
                fault,
                error,
                outcome
           from bursar.task_runs
          where run_id = $1
          order by position, task, item",
    )
    .bind(run)
    .fetch_all(pool)
    .await
    .context("list the run's tasks")
}

/// An attempt at a task as it is recorded.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct AttemptRow {
    /// The task's name.
    pub task: String,
    /// The item it was for; empty where there is none.
    pub item: String,
    /// Its number, from 1.
    pub attempt: i32,
    /// Who made it.
    pub worker: String,
    /// What became of it.
    pub state: String,
    /// The class of its failure.
    pub fault: Option<String>,
    /// Why.
    pub error: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// All attempts at a run's tasks, task by task.
///
/// # Errors
/// What the server says.
pub async fn list_attempts(pool: &PgPool, run: Uuid) -> anyhow::Result<Vec<AttemptRow>> {
    sqlx::query_as(
        "select task,
                item,
                attempt,
                worker,
                state,
                fault,
                error,
                started_at,
                ended_at
           from bursar.attempts
          where run_id = $1
          order by task, item, attempt",
    )
    .bind(run)
    .fetch_all(pool)
    .await
    .context("list the attempts")
}

/// Those of the requests' run dates that have a succeeded run with all the tasks that are asked for. The requests are
/// for one job.
///
/// # Errors
/// What the server says.
pub async fn find_succeeded(pool: &PgPool, requests: &[RunRequest]) -> anyhow::Result<HashSet<NaiveDate>> {
    let mut succeeded = HashSet::new();
    // Most run dates have the same tasks: those of a customer that delivers only since some date are left out before it.
    for same in requests.chunk_by(|one, next| one.nodes() == next.nodes()) {
        let Some(first) = same.first() else { continue };
        let dates: Vec<NaiveDate> = same.iter().map(|request| request.run_date).collect();
        let (tasks, items): (Vec<&str>, Vec<&str>) = first.nodes().into_iter().unzip();
        let found: Vec<NaiveDate> = sqlx::query_scalar(
            "select distinct r.run_date
               from bursar.runs as r
              where r.job = $1 and r.run_date = any($2) and r.state = 'succeeded'
                and not exists (
                    select task, item from unnest($3::text[], $4::text[]) as asked (task, item)
                    except
                    select task, item from bursar.task_runs where run_id = r.id)",
        )
        .bind(&first.job.name)
        .bind(dates)
        .bind(tasks)
        .bind(items)
        .fetch_all(pool)
        .await
        .context("look for runs that succeeded")?;
        succeeded.extend(found);
    }
    Ok(succeeded)
}

/// A process that works on tasks, or did.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct WorkerRow {
    /// Its id.
    pub id: String,
    /// `serve` or `run-job`.
    pub role: String,
    /// The machine.
    pub host: String,
    /// The process there.
    pub pid: i32,
    /// Whether it holds its lock.
    pub is_alive: bool,
    /// How many tasks it has under way.
    pub busy: i64,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it stopped, or was found dead.
    pub stopped_at: Option<DateTime<Utc>>,
    /// The configuration in force in it.
    pub config_hash: String,
    /// Earlier ones that it keeps for open runs.
    pub kept_hashes: Vec<String>,
    /// The names of the credentials it was started with.
    pub credentials: Vec<String>,
    /// When it last looked at its configuration.
    pub config_loaded_at: DateTime<Utc>,
    /// How far the clock of its machine is ahead of the database's, in seconds; negative if it is behind.
    pub clock_skew_s: f64,
    /// Why it kept the one it had.
    pub config_error: Option<String>,
    /// When it was last told to read it again.
    pub reload_requested_at: Option<DateTime<Utc>>,
}

impl WorkerRow {
    /// Whether it works on runs under a configuration.
    #[must_use]
    pub fn has_configuration(&self, hash: &str) -> bool {
        self.config_hash == hash || self.kept_hashes.iter().any(|kept| kept == hash)
    }
}

/// The workers that are alive, and the latest `others` of the rest, the newest first.
///
/// # Errors
/// What the server says.
pub async fn list_workers(pool: &PgPool, others: i64) -> anyhow::Result<Vec<WorkerRow>> {
    let listed = sqlx::query_as(include_str!("list_workers.sql")).bind(others).fetch_all(pool).await;
    listed.context("list the workers")
}

/// Asks workers to read their configuration again; returns the instant, which their `config_loaded_at` passes when
/// they have.
///
/// # Errors
/// What the server says.
pub async fn request_reload(pool: &PgPool, workers: &[String]) -> anyhow::Result<DateTime<Utc>> {
    let requested: Option<DateTime<Utc>> = sqlx::query_scalar(
        "with asked as (
              update bursar.workers
                 set reload_requested_at = statement_timestamp()
               where id = any($1)
              returning reload_requested_at)
         select max(reload_requested_at) from asked",
    )
    .bind(workers)
    .fetch_one(pool)
    .await
    .context("ask the daemons to reload")?;
    requested.ok_or_else(|| fault::transient("the daemons have just gone"))
}
