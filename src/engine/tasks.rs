//! The door to `bursar.task_runs` and `bursar.attempts`: what becomes of one task.
//!
//! Every change is conditional on the state and the attempt it leaves, so that a late writer can't overwrite what
//! was decided. What the end of a task means for others is [`super::advance`]'s.

use super::job::Task;
use super::queue::Message;
use super::task::{RunInfo, Trigger};
use crate::db::fence::Fence;
use crate::fault::{self, Fault};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::HashSet;
use uuid::Uuid;

/// A task whose workers died so often is taken to be what kills them.
const MOST_LOSSES: i32 = 5;

/// A task that this process may work on.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The run it belongs to.
    pub run: RunInfo,
    /// What it is in the run's plan.
    pub task: Task,
    /// The attempt.
    pub fence: Fence,
    /// How many of its attempts ended in a transient fault before.
    pub failures: u32,
    /// Whether the job says how many of its tasks may be under way.
    pub is_limited: bool,
}

/// A worker that takes tasks, and what it has for them.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// Its id.
    pub worker: String,
    /// The hashes of the configurations whose runs it works on.
    pub configurations: Vec<String>,
    /// The names of its credentials.
    pub credentials: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct ClaimedRow {
    run_id: Uuid,
    task: String,
    item: String,
    attempt: i32,
    failures: i32,
    job: String,
    run_date: NaiveDate,
    publish: bool,
    force: bool,
    trigger: String,
    config_hash: String,
    is_limited: bool,
    plan: Json<Vec<Task>>,
}

/// Begins an attempt at the task that a message names; none when the message is void (the task was offered again, has
/// ended, or its run is over), or the claimant lacks the run's configuration or a credential that the task needs.
///
/// # Errors
/// What the server says.
pub async fn claim(pool: &PgPool, message: &Message, by: &Claimant) -> anyhow::Result<Option<Claimed>> {
    claim_any(pool, Some(message), by).await
}

/// Begins an attempt at the task that the queue would deliver next to the claimant, without its message, which is taken
/// out of the queue; none where nothing is offered that the claimant may take.
///
/// # Errors
/// What the server says.
pub async fn claim_next(pool: &PgPool, by: &Claimant) -> anyhow::Result<Option<Claimed>> {
    claim_any(pool, None, by).await
}

async fn claim_any(pool: &PgPool, message: Option<&Message>, by: &Claimant) -> anyhow::Result<Option<Claimed>> {
    let row: Option<ClaimedRow> = sqlx::query_as(include_str!("tasks_claim.sql"))
        .bind(message.map(|message| message.run))
        .bind(message.map(|message| &message.task))
        .bind(message.map(|message| &message.item))
        .bind(message.map(|message| message.offer))
        .bind(&by.worker)
        .bind(&by.configurations)
        .bind(&by.credentials)
        .fetch_optional(pool)
        .await
        .context("claim a task")?;
    row.map(ClaimedRow::claimed).transpose()
}

impl ClaimedRow {
    fn claimed(self) -> anyhow::Result<Claimed> {
        let task = self.plan.0.into_iter().find(|t| t.name == self.task);
        let task =
            task.ok_or_else(|| fault::bug(format!("the plan of run {} has no task {}", self.run_id, self.task)))?;
        Ok(Claimed {
            run: RunInfo {
                id: self.run_id,
                job: self.job,
                run_date: self.run_date,
                publish: self.publish,
                force: self.force,
                trigger: Trigger::parse(&self.trigger)?,
                config_hash: self.config_hash,
            },
            task,
            fence: Fence::new(self.run_id, self.task, self.item, self.attempt),
            failures: u32::try_from(self.failures).unwrap_or(0),
            is_limited: self.is_limited,
        })
    }
}

/// What became of an attempt that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The task is ready for the next attempt.
    Ready,
    /// Its workers died too often: it has failed.
    Failed,
    /// It was not the present attempt any more.
    Stale,
}

/// Gives up an attempt whose worker died or fell silent, and ends what it may still hold in the database.
///
/// # Errors
/// What the server says.
pub async fn lose(pool: &PgPool, fence: &Fence, why: &str, now: DateTime<Utc>) -> anyhow::Result<Lost> {
    // Before: one that has settled and not committed holds the task's row. After: one may just have begun.
    fence.break_off(pool).await?;
    let state: Option<String> = sqlx::query_scalar(
        "with lost as (
              update bursar.task_runs
                 set state = case when losses + 1 >= $5 then 'failed' else 'ready' end,
                     losses = losses + 1, ready_at = $6, offered_at = null, error = $7,
                     fault = case when losses + 1 >= $5 then 'transient' end,
                     ended_at = case when losses + 1 >= $5 then clock_timestamp() end
               where run_id = $1 and task = $2 and item = $3 and attempt = $4 and state = 'running'
              returning state),
         logged as (
              update bursar.attempts
                 set state = 'lost', error = $7, ended_at = clock_timestamp()
               where run_id = $1 and task = $2 and item = $3 and attempt = $4 and exists (select from lost))
         select state from lost",
    )
    .bind(fence.run)
    .bind(&fence.task)
    .bind(&fence.item)
    .bind(fence.attempt)
    .bind(MOST_LOSSES)
    .bind(now)
    .bind(why)
    .fetch_optional(pool)
    .await
    .context("take a task over")?;
    let Some(state) = state else { return Ok(Lost::Stale) };
    fence.break_off(pool).await?;
    Ok(if state == "ready" { Lost::Ready } else { Lost::Failed })
}

/// How an attempt leaves its task to a later one.
#[derive(Clone, Debug)]
pub enum Later {
    /// It met a transient fault, and the task is tried again.
    Retry(String),
    /// It found that it must wait for something.
    Deferred {
        /// By which it is woken.
        key: String,
        /// What it waits for.
        reason: String,
    },
    /// The daemon is stopping: nobody's fault.
    HandedBack,
}

impl Later {
    /// The task's state, the attempt's state, the reason and the key.
    fn words(&self) -> (&'static str, &'static str, Option<&str>, Option<&str>) {
        match self {
            Self::Retry(error) => ("ready", "failed", Some(error), None),
            Self::Deferred { key, reason } => ("deferred", "deferred", Some(reason), Some(key)),
            Self::HandedBack => ("ready", "handed_back", Some("the daemon was stopped"), None),
        }
    }
}

/// Leaves a task to a later attempt, at `at` at the earliest (or, deferred, at the latest); false when the attempt was
/// not the present one any more.
///
/// # Errors
/// What the server says.
pub async fn postpone(pool: &PgPool, fence: &Fence, later: &Later, at: DateTime<Utc>) -> anyhow::Result<bool> {
    let (task_state, attempt_state, reason, key) = later.words();
    let is_failure = matches!(later, Later::Retry(_));
    let changed = sqlx::query(
        "with left_to as (
              update bursar.task_runs
                 set state = $5, ready_at = $6, offered_at = null, wake_key = $7, error = $8,
                     fault = case when $9 then 'transient' end,
                     failures = failures + case when $9 then 1 else 0 end
               where run_id = $1 and task = $2 and item = $3 and attempt = $4 and state = 'running'
              returning 1)
         update bursar.attempts
            set state = $10, error = $8, ended_at = clock_timestamp(), fault = case when $9 then 'transient' end
          where run_id = $1 and task = $2 and item = $3 and attempt = $4 and exists (select from left_to)",
    )
    .bind(fence.run)
    .bind(&fence.task)
    .bind(&fence.item)
    .bind(fence.attempt)
    .bind(task_state)
    .bind(at)
    .bind(key)
    .bind(reason)
    .bind(is_failure)
    .bind(attempt_state)
    .execute(pool)
    .await
    .context("leave the task to a later attempt")?;
    Ok(changed.rows_affected() == 1)
}

/// A message came to a process that takes no more: the task is offered to others.
///
/// # Errors
/// What the server says.
pub async fn withdraw_offer(pool: &PgPool, message: &Message) -> anyhow::Result<()> {
    sqlx::query(
        "update bursar.task_runs
            set offered_at = null
          where run_id = $1 and task = $2 and item = $3 and offer = $4 and state = 'ready'",
    )
    .bind(message.run)
    .bind(&message.task)
    .bind(&message.item)
    .bind(message.offer)
    .execute(pool)
    .await
    .context("hand a task back")?;
    Ok(())
}

/// The keys that begin with `prefix` and that tasks wait for.
///
/// # Errors
/// What the server says.
pub async fn list_deferred(connection: &mut PgConnection, prefix: &str) -> anyhow::Result<Vec<String>> {
    sqlx::query_scalar(
        "select distinct wake_key from bursar.task_runs where state = 'deferred' and starts_with(wake_key, $1)",
    )
    .bind(prefix)
    .fetch_all(connection)
    .await
    .context("list what is waited for")
}

/// Wakes what waits for one of `keys`: it is ready from `now` on. Returns how many there were. What somebody else is
/// waking or cancelling at this moment is left to him.
///
/// # Errors
/// What the server says.
pub async fn wake(connection: &mut PgConnection, keys: &[String], now: DateTime<Utc>) -> anyhow::Result<u64> {
    let woken = sqlx::query(
        "with picked as (
              select run_id, task, item
                from bursar.task_runs
               where wake_key = any ($1) and state = 'deferred'
               order by run_id, task, item
                 for update skip locked)
         update bursar.task_runs as t
            set state = 'ready', ready_at = $2, offered_at = null
           from picked as p
          where t.run_id = p.run_id and t.task = p.task and t.item = p.item",
    )
    .bind(keys)
    .bind(now)
    .execute(connection)
    .await
    .context("wake what waits for something")?;
    Ok(woken.rows_affected())
}

/// How a task stands after an attempt.
#[derive(Debug, sqlx::FromRow)]
pub struct Standing {
    /// Its state.
    pub state: String,
    /// The attempt it is at.
    pub attempt: i32,
    /// The class of its failure.
    pub fault: Option<String>,
    /// Why it failed, or waits.
    pub error: Option<String>,
    /// Whether other items of the task have not ended.
    pub has_open_siblings: bool,
}

impl Standing {
    /// The class of its failure.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault.as_deref().map(Fault::parse)
    }
}

/// Looks how a task stands.
///
/// # Errors
/// What the server says.
pub async fn standing(pool: &PgPool, run: Uuid, task: &str, item: &str) -> anyhow::Result<Standing> {
    sqlx::query_as(
        "select state,
                attempt,
                fault,
                error,
                exists (
                    select from bursar.task_runs as s
                     where s.run_id = t.run_id and s.task = t.task and s.item <> t.item
                       and s.state in ('waiting', 'ready', 'running', 'deferred')) as has_open_siblings
           from bursar.task_runs as t
          where run_id = $1 and task = $2 and item = $3",
    )
    .bind(run)
    .bind(task)
    .bind(item)
    .fetch_one(pool)
    .await
    .context("look how the task stands")
}

/// A task of a run: the run, the task's name, the item or nothing.
pub type Key = (Uuid, String, String);

/// The attempts that are recorded as under way at a worker.
///
/// # Errors
/// What the server says.
pub async fn list_of_worker(pool: &PgPool, worker: &str) -> anyhow::Result<HashSet<(Key, i32)>> {
    let rows: Vec<(Uuid, String, String, i32)> = sqlx::query_as(
        "select run_id, task, item, attempt from bursar.task_runs where state = 'running' and worker = $1",
    )
    .bind(worker)
    .fetch_all(pool)
    .await
    .context("list this worker's tasks")?;
    Ok(rows.into_iter().map(|(run, task, item, attempt)| ((run, task, item), attempt)).collect())
}
