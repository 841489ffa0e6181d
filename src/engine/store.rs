//! The only door to `bursar.runs` and `bursar.task_runs`.
//!
//! Every change of state is conditional on the state it leaves, so that a late writer can't overwrite
//! what was decided.

use super::board::Board;
use super::job::Job;
use super::occurrences;
use super::task::{TaskResult, TaskState};
use crate::fault::{self, Fault};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

/// Who asked for a run.
#[derive(Clone, Copy, Debug)]
enum Trigger {
    /// An occurrence of its schedule.
    Schedule,
    /// A person.
    Operator,
}

impl Trigger {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Operator => "operator",
        }
    }
}

/// The state a run ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Every task did what it is for, or had nothing to do yet.
    Succeeded,
    /// At least one did not.
    Failed,
    /// The program was told to stop.
    Cancelled,
}

impl RunState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A run that was opened: nobody else can open one for the same job and run date while this lives.
#[derive(Debug)]
pub struct OpenRun {
    /// Its id.
    pub id: Uuid,
    /// Holds the session lock; closing the connection, also by dying, lets it go.
    lock: PgConnection,
}

#[derive(sqlx::FromRow)]
struct Holder {
    id: Uuid,
    host: String,
    pid: i32,
    opened_at: DateTime<Utc>,
}

/// Opens a run. What a dead process left open for the same job and run date is closed as abandoned.
/// With the run its occurrence (when it fell due) is settled; none is opened when another daemon did that before.
///
/// # Errors
/// A transient fault that names the holder when the same job and run date is being run.
pub async fn open_run(
    pool: &PgPool,
    job: &Job,
    run_date: NaiveDate,
    occurrence: Option<DateTime<Utc>>,
    board: &Board,
) -> anyhow::Result<Option<OpenRun>> {
    let mut lock = pool.acquire().await.context("take a connection for the run's lock")?.detach();
    let is_free: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))")
        .bind(lock_name(&job.name, run_date))
        .fetch_one(&mut lock)
        .await
        .context("lock the run")?;
    if !is_free && occurrence.is_some() {
        return Ok(None);
    }
    if !is_free {
        return Err(already_running(pool, &job.name, run_date).await);
    }
    let id = Uuid::now_v7();
    let trigger = if occurrence.is_some() { Trigger::Schedule } else { Trigger::Operator };
    let mut transaction = pool.begin().await.context("open the run")?;
    wait_for_late_work(&mut transaction, &job.name, run_date).await?;
    abandon(&mut transaction, &job.name, run_date).await?;
    insert_run(&mut transaction, id, job, run_date, trigger, board).await?;
    if let Some(due_at) = occurrence
        && !occurrences::settle_as_run(&mut transaction, &job.name, due_at, id).await?
    {
        return Ok(None);
    }
    transaction.commit().await.context("open the run")?;
    Ok(Some(OpenRun { id, lock }))
}

/// What is taken for dead may be about to commit: its work is let to its end, within bounds.
async fn wait_for_late_work(
    transaction: &mut Transaction<'_, Postgres>,
    job: &str,
    run_date: NaiveDate,
) -> anyhow::Result<()> {
    sqlx::query("set local lock_timeout = '10s'").execute(&mut **transaction).await.context("open the run")?;
    sqlx::query("select id from bursar.runs where job = $1 and run_date = $2 and state = 'running' for update")
        .bind(job)
        .bind(run_date)
        .execute(&mut **transaction)
        .await
        .with_context(|| format!("wait for the end of a run of {job} for {run_date} whose process is gone"))?;
    Ok(())
}

fn lock_name(job: &str, run_date: NaiveDate) -> String {
    format!("bursar run {job} {run_date}")
}

async fn already_running(pool: &PgPool, job: &str, run_date: NaiveDate) -> anyhow::Error {
    let holder: sqlx::Result<Option<Holder>> = sqlx::query_as(
        "select id, host, pid, opened_at from bursar.runs where job = $1 and run_date = $2 and state = 'running'",
    )
    .bind(job)
    .bind(run_date)
    .fetch_optional(pool)
    .await;
    let by = match holder {
        Ok(Some(h)) => {
            format!(" by process {} on {} since {} (run {})", h.pid, h.host, h.opened_at.format("%F %T UTC"), h.id)
        }
        Ok(None) | Err(_) => String::new(),
    };
    fault::transient(format!(
        "{job} for {run_date} is already being run{by}; nothing was done, try again when it is over"
    ))
}

async fn insert_run(
    transaction: &mut Transaction<'_, Postgres>,
    id: Uuid,
    job: &Job,
    run_date: NaiveDate,
    trigger: Trigger,
    board: &Board,
) -> anyhow::Result<()> {
    sqlx::query("insert into bursar.runs (id, job, run_date, trigger, host, pid) values ($1, $2, $3, $4, $5, $6)")
        .bind(id)
        .bind(&job.name)
        .bind(run_date)
        .bind(trigger.as_str())
        .bind(nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned())
        .bind(i32::try_from(std::process::id()).unwrap_or(0))
        .execute(&mut **transaction)
        .await
        .context("record the run")?;
    let tasks: Vec<String> = (0..board.nodes().len()).map(|n| board.task(n).name.clone()).collect();
    let items: Vec<String> = board.nodes().iter().map(|n| n.item.clone().unwrap_or_default()).collect();
    sqlx::query("insert into bursar.task_runs (run_id, task, item) select $1, t.task, t.item from unnest($2::text[], $3::text[]) as t (task, item)")
        .bind(id)
        .bind(tasks)
        .bind(items)
        .execute(&mut **transaction)
        .await
        .context("record the run's tasks")?;
    Ok(())
}

/// Closes runs whose process is gone; returns their ids. The caller holds their lock. One whose work is still
/// about to commit (it holds the fence) is left alone: waiting for it would stop the heart.
async fn abandon(
    transaction: &mut Transaction<'_, Postgres>,
    job: &str,
    run_date: NaiveDate,
) -> anyhow::Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "update bursar.runs set state = 'abandoned', closed_at = now(), error = 'the process died before the run was over'
          where id in (select id from bursar.runs
                        where job = $1 and run_date = $2 and state = 'running' for update skip locked)
         returning id",
    )
    .bind(job)
    .bind(run_date)
    .fetch_all(&mut **transaction)
    .await
    .context("close what a dead process left open")?;
    sqlx::query(
        "update bursar.task_runs set state = 'cancelled', ended_at = now(), error = 'the process died'
          where run_id = any ($1) and state in ('waiting', 'running')",
    )
    .bind(&ids)
    .execute(&mut **transaction)
    .await
    .context("close what a dead process left open")?;
    for id in &ids {
        tracing::warn!(run.id = %id, job.name = job, "run {id} of {job} was left open by a process that died; it is closed as abandoned");
    }
    Ok(ids)
}

/// Closes the runs (of one job, or of all) that dead processes left open, and queues the occurrences they were
/// for once more. Returns how many there were.
///
/// # Errors
/// What the server says.
pub async fn recover(pool: &PgPool, job: Option<&str>) -> anyhow::Result<usize> {
    let open: Vec<(String, NaiveDate)> = sqlx::query_as(
        "select job, run_date from bursar.runs where state = 'running' and ($1::text is null or job = $1)",
    )
    .bind(job)
    .fetch_all(pool)
    .await
    .context("list the open runs")?;
    let mut recovered = 0;
    for (job, run_date) in open {
        let mut transaction = pool.begin().await.context("recover a run")?;
        let is_free: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(lock_name(&job, run_date))
            .fetch_one(&mut *transaction)
            .await
            .context("lock the run")?;
        if is_free {
            let ids = abandon(&mut transaction, &job, run_date).await?;
            recovered += ids.len();
            occurrences::queue_again(&mut transaction, &ids).await?;
        }
        transaction.commit().await.context("recover a run")?;
    }
    Ok(recovered)
}

/// A task begins.
///
/// # Errors
/// What the server says, or a bug fault when the task is not waiting.
pub async fn start_task(pool: &PgPool, run: Uuid, task: &str, item: Option<&str>) -> anyhow::Result<()> {
    let changed = sqlx::query(
        "update bursar.task_runs set state = 'running', attempt = attempt + 1, started_at = now()
          where run_id = $1 and task = $2 and item = $3 and state = 'waiting'",
    )
    .bind(run)
    .bind(task)
    .bind(item.unwrap_or_default())
    .execute(pool)
    .await
    .context("record that the task begins")?;
    if changed.rows_affected() == 1 {
        Ok(())
    } else {
        Err(fault::bug(format!("the task {task} of run {run} is not waiting")))
    }
}

/// A task is over.
///
/// # Errors
/// What the server says.
pub async fn end_task(pool: &PgPool, run: Uuid, result: &TaskResult) -> anyhow::Result<()> {
    sqlx::query(
        "update bursar.task_runs set state = $4, fault = $5, error = $6, outcome = $7, ended_at = now()
          where run_id = $1 and task = $2 and item = $3 and state in ('waiting', 'running')",
    )
    .bind(run)
    .bind(&result.task)
    .bind(result.item.as_deref().unwrap_or_default())
    .bind(result.state.as_str())
    .bind(result.fault.map(Fault::as_str))
    .bind(&result.error)
    .bind(Json(&result.outcome))
    .execute(pool)
    .await
    .context("record how the task ended")?;
    Ok(())
}

/// What a run comes to by its tasks, with the gravest fault among them.
#[must_use]
pub fn verdict(results: &[TaskResult]) -> (RunState, Option<Fault>) {
    let fault = results.iter().filter_map(|r| r.fault).max();
    let state = if results.iter().any(|r| r.state == TaskState::Cancelled) {
        RunState::Cancelled
    } else if results.iter().any(|r| r.state == TaskState::Failed) {
        RunState::Failed
    } else {
        RunState::Succeeded
    };
    (state, fault)
}

/// A run is over. The occurrence of a cancelled one is queued again: a stop for a deployment is no failure.
///
/// # Errors
/// What the server says.
pub async fn close_run(
    pool: &PgPool,
    run: OpenRun,
    state: RunState,
    fault: Option<Fault>,
    error: Option<&str>,
) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await.context("close the run")?;
    sqlx::query("update bursar.runs set state = $2, fault = $3, error = $4, closed_at = now() where id = $1 and state = 'running'")
        .bind(run.id)
        .bind(state.as_str())
        .bind(fault.map(Fault::as_str))
        .bind(error)
        .execute(&mut *transaction)
        .await
        .context("record how the run ended")?;
    if state == RunState::Cancelled {
        occurrences::queue_again(&mut transaction, &[run.id]).await?;
    }
    transaction.commit().await.context("close the run")?;
    // However closing it goes, the server lets go of the lock with the connection.
    let _ = sqlx::Connection::close(run.lock).await;
    Ok(())
}

/// A run that keeps the job from being run for `run_date` by schedule: another scheduled one, or one for the same
/// date. An operator's backfill of another date does not.
///
/// # Errors
/// What the server says.
pub async fn find_open_run(pool: &PgPool, job: &str, run_date: NaiveDate) -> anyhow::Result<Option<Uuid>> {
    sqlx::query_scalar("select id from bursar.runs where job = $1 and state = 'running' and (trigger = 'schedule' or run_date = $2) limit 1")
        .bind(job)
        .bind(run_date)
        .fetch_optional(pool)
        .await
        .context("look for an open run")
}
