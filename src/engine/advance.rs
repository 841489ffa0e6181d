//! Applies the DAG to a run in the database: releases what is ready, skips what can't be done any more, closes the run
//! when all is over, and offers what is ready to the queue.

use super::board::{Board, Mark, Move, Node};
use super::job::Task;
use super::queue::{self, Message};
use super::task::{OUTCOME_TARGET, RunInfo, RunState, TaskState, Trigger};
use crate::db::fence::Settlement;
use crate::fault::Fault;
use crate::notify::alert::{self, Kind, Subject};
use crate::notify::wording;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::HashMap;
use tracing::info;
use uuid::Uuid;

/// At most so many tasks are offered in one go; a sweep offers the rest.
const MOST_OFFERED: i64 = 10_000;

/// A process that says nothing for so long in the middle of a transaction that others wait for is taken to be paused.
const PAUSED: &str = "5s";

/// The tasks of a run as its row in `bursar.task_runs` has them.
#[derive(sqlx::FromRow)]
struct TaskRow {
    task: String,
    item: String,
    state: String,
    fault: Option<String>,
    error: Option<String>,
    /// The key of an alert of its own.
    alert: Option<String>,
    ended_at: Option<DateTime<Utc>>,
}

/// Does for a run what its tasks' states ask for; nothing for a run that is over. Returns the state it ended in, when
/// this was its end.
///
/// # Errors
/// What the server says.
pub async fn advance(
    connection: &mut PgConnection,
    run: Uuid,
    now: DateTime<Utc>,
    limit: Option<u32>,
) -> anyhow::Result<Option<RunState>> {
    let Some(plan) = lock(connection, run).await? else { return Ok(None) };
    let rows = rows(connection, run).await?;
    let mut board = board(plan, &rows);
    let moves = board.advance();
    apply(connection, run, &rows, &moves, now).await?;
    let is_over = board.is_over();
    let ended = if is_over { Some(close(connection, run, RunState::Running, &board, &rows).await?) } else { None };
    offer(connection, now, limit).await?;
    Ok(ended)
}

/// The same, in a transaction of its own.
///
/// # Errors
/// What the server says.
pub async fn advance_now(pool: &PgPool, run: Uuid, now: DateTime<Utc>, limit: Option<u32>) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await.context("go on with the run")?;
    let ended = advance(&mut transaction, run, now, limit).await?;
    transaction.commit().await.context("go on with the run")?;
    if let Some(state) = ended {
        info!(target: OUTCOME_TARGET, { run.id = %run }, "run {run} is over: {}", state.as_str());
    }
    Ok(())
}

/// The plan of an open run, which nobody else can advance or close until the transaction ends. The server ends it
/// for a process that is paused, so that it does not keep the others from the run for as long.
async fn lock(connection: &mut PgConnection, run: Uuid) -> anyhow::Result<Option<Vec<Task>>> {
    let found: Option<(Json<Vec<Task>>, String)> = sqlx::query_as(
        "select plan, set_config('idle_in_transaction_session_timeout', $2, true)
           from bursar.runs
          where id = $1 and state = 'running'
            for no key update",
    )
    .bind(run)
    .bind(PAUSED)
    .fetch_optional(connection)
    .await
    .context("lock the run")?;
    Ok(found.map(|(plan, _)| plan.0))
}

async fn rows(connection: &mut PgConnection, run: Uuid) -> anyhow::Result<Vec<TaskRow>> {
    sqlx::query_as(
        "select task, item, state, fault, error, outcome ->> 'alert' as alert, ended_at
           from bursar.task_runs
          where run_id = $1
          order by position",
    )
    .bind(run)
    .fetch_all(connection)
    .await
    .context("list the run's tasks")
}

/// The board of a run that is locked, with what it needs to be written back.
///
/// # Errors
/// What the server says.
pub(super) async fn board_of(connection: &mut PgConnection, run: Uuid, plan: Vec<Task>) -> anyhow::Result<Board> {
    Ok(board(plan, &rows(connection, run).await?))
}

fn board(plan: Vec<Task>, rows: &[TaskRow]) -> Board {
    let index: HashMap<String, usize> = plan.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
    let nodes = rows
        .iter()
        .filter_map(|row| {
            let mark = match (row.state.as_str(), TaskState::parse(&row.state)) {
                (_, Some(state)) => Mark::Ended(state),
                ("waiting", None) => Mark::Waiting,
                _ => Mark::Open,
            };
            let item = (!row.item.is_empty()).then(|| row.item.clone());
            Some(Node { task: *index.get(row.task.as_str())?, item, mark, ended_at: row.ended_at })
        })
        .collect();
    Board::new(plan, nodes)
}

async fn apply(
    connection: &mut PgConnection,
    run: Uuid,
    rows: &[TaskRow],
    moves: &[(usize, Move)],
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let tasks: Vec<&str> = moves.iter().map(|(i, _)| rows[*i].task.as_str()).collect();
    let items: Vec<&str> = moves.iter().map(|(i, _)| rows[*i].item.as_str()).collect();
    let reasons: Vec<Option<&str>> =
        moves.iter().map(|(_, m)| if let Move::Skip(why) = m { Some(why.as_str()) } else { None }).collect();
    sqlx::query(
        "update bursar.task_runs as t
            set state = case when m.reason is null then 'ready' else 'skipped' end,
                ready_at = case when m.reason is null then $5 end,
                error = m.reason,
                ended_at = case when m.reason is null then null else clock_timestamp() end
           from unnest($2::text[], $3::text[], $4::text[]) as m (task, item, reason)
          where t.run_id = $1 and t.task = m.task and t.item = m.item and t.state = 'waiting'",
    )
    .bind(run)
    .bind(tasks)
    .bind(items)
    .bind(reasons)
    .bind(now)
    .execute(connection)
    .await
    .context("release the run's tasks")?;
    Ok(())
}

/// Closes a run once more that is locked and over, and of which a task came to something else since.
///
/// # Errors
/// What the server says.
pub(super) async fn close_again(
    connection: &mut PgConnection,
    run: Uuid,
    from: RunState,
    plan: Vec<Task>,
) -> anyhow::Result<()> {
    let rows = rows(connection, run).await?;
    let board = board(plan, &rows);
    close(connection, run, from, &board, &rows).await.map(drop)
}

/// The run is over: its state follows from its tasks', its fault is the gravest of theirs.
async fn close(
    connection: &mut PgConnection,
    run: Uuid,
    from: RunState,
    board: &Board,
    rows: &[TaskRow],
) -> anyhow::Result<RunState> {
    let has = |state: TaskState| board.nodes().iter().any(|n| n.mark == Mark::Ended(state));
    let state = if has(TaskState::Cancelled) {
        RunState::Cancelled
    } else if has(TaskState::Failed) {
        RunState::Failed
    } else {
        RunState::Succeeded
    };
    let fault = rows.iter().filter_map(|r| r.fault.as_deref().map(Fault::parse)).max();
    let first = rows.iter().find(|r| fault.is_some() && r.fault.as_deref().map(Fault::parse) == fault);
    sqlx::query(
        "update bursar.runs
            set state = $2, fault = $3, error = $4, closed_at = coalesce(closed_at, clock_timestamp())
          where id = $1 and state = $5",
    )
    .bind(run)
    .bind(state.as_str())
    .bind(fault.map(Fault::as_str))
    .bind(first.and_then(|r| r.error.as_deref()))
    .bind(from.as_str())
    .execute(&mut *connection)
    .await
    .context("close the run")?;
    tell(connection, run, state, rows).await?;
    Ok(state)
}

/// Raises the alert of a scheduled run as soon as one of its tasks fails, unless that failure has an alert of its own.
///
/// # Errors
/// Passes on errors of the database.
pub(super) async fn alert_failure(
    connection: &mut PgConnection,
    run: &RunInfo,
    ended: &Settlement,
) -> anyhow::Result<()> {
    let has_own_alert = ended.outcome.get("alert").is_some();
    if run.trigger != Trigger::Schedule || ended.state != TaskState::Failed.as_str() || has_own_alert {
        return Ok(());
    }
    let (fault, why) = (ended.fault.unwrap_or(Fault::Bug), ended.error.as_deref().unwrap_or_default());
    alert::raise(connection, &wording::run_failed(&run.job, run.run_date, run.id, fault, why)).await?;
    Ok(())
}

/// Brings the alert of a scheduled run that failed up to date with its gravest failure, unless each of its failures has
/// an alert of its own; whatever run succeeds in all it is for resolves it. One that loads a single customer, and whose
/// report waits for others, does not.
async fn tell(connection: &mut PgConnection, run: Uuid, state: RunState, rows: &[TaskRow]) -> anyhow::Result<()> {
    let (job, run_date, trigger): (String, NaiveDate, String) =
        sqlx::query_as("select job, run_date, trigger from bursar.runs where id = $1")
            .bind(run)
            .fetch_one(&mut *connection)
            .await
            .context("close the run")?;
    let untold = rows.iter().filter(|r| r.fault.is_some() && r.state == "failed" && r.alert.is_none());
    let untold = untold.rev().max_by_key(|r| r.fault.as_deref().map(Fault::parse));
    match (state, untold) {
        (RunState::Failed, Some(first)) if trigger == Trigger::Schedule.as_str() => {
            let fault = first.fault.as_deref().map_or(Fault::Bug, Fault::parse);
            let why = first.error.as_deref().unwrap_or_default();
            let alert = wording::run_failed(&job, run_date, run, fault, why);
            // A task that was lost with its workers has not raised it.
            if !alert::reword(connection, &alert).await? {
                alert::raise(connection, &alert).await?;
            }
        }
        (RunState::Succeeded, _) if rows.iter().all(|r| r.state != TaskState::Skipped.as_str()) => {
            let key = Subject::run(&job, run_date).key(Kind::RunFailed);
            alert::resolve(connection, &key, &format!("run {run} succeeded")).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Waits for the turn to offer tasks, which lasts to the end of the transaction. One at a time, so that two who count
/// what is under way don't both fill the same gap; who cancels tasks takes it too, as he locks the same rows.
pub(super) async fn take_turn(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::query(
        "select set_config('idle_in_transaction_session_timeout', $1, true),
                pg_advisory_xact_lock(hashtextextended('bursar offer', 0))",
    )
    .bind(PAUSED)
    .execute(connection)
    .await
    .context("wait for the turn to offer tasks")?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Offered {
    run_id: Uuid,
    task: String,
    item: String,
    offer: i32,
    priority: i32,
}

/// Offers to the queue what is ready and not offered yet, runs of a greater priority first, as far as the jobs' limits
/// and `limit` (tasks under way over all jobs and daemons) allow.
///
/// # Errors
/// What the server says.
pub async fn offer(connection: &mut PgConnection, now: DateTime<Utc>, limit: Option<u32>) -> anyhow::Result<usize> {
    take_turn(connection).await?;
    let mut offered: Vec<Offered> = sqlx::query_as(include_str!("advance_offer.sql"))
        .bind(now)
        .bind(limit.map(i64::from))
        .bind(MOST_OFFERED)
        .fetch_all(&mut *connection)
        .await
        .context("offer tasks")?;
    offered.sort_by_key(|o| -o.priority);
    let messages: Vec<(Message, i32)> = offered
        .into_iter()
        .map(|o| (Message { run: o.run_id, task: o.task, item: o.item, offer: o.offer }, o.priority))
        .collect();
    queue::push(connection, &messages, now).await?;
    Ok(messages.len())
}
