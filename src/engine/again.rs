//! What an operator does to a run: retries what failed in it, settles a task of it by other means, or cancels it.

use super::advance::{advance, board_of, close_again, take_turn};
use super::execute::Engine;
use super::job::Task;
use super::runs::needs_of;
use super::task::{Label, RunState};
use crate::db::fence::Fence;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::HashSet;
use uuid::Uuid;

/// Opens a run again for what failed in it (or just `only`, whatever became of it), and all that is downstream of that.
/// What succeeded otherwise is left as it is. Returns the tasks that run again.
///
/// The run is worked on under the configuration in force in this process from then on. An open run keeps the one it has
/// while a worker is up that has it; if none is, all of it that has not ended goes on under the one in force here.
///
/// # Errors
/// A data fault when there is no such run or nothing in it to repeat; a transient one when a newer run of the same
/// job and run date is open, or something downstream is under way, which would not see what is repeated.
pub async fn retry(engine: &Engine, id: Uuid, only: Option<&Label>) -> anyhow::Result<Vec<Label>> {
    let mut transaction = engine.pool.begin().await.context("retry the run")?;
    let labels = repeat(&mut transaction, engine, id, only, Asked::ByOperator, engine.clock.now()).await?;
    transaction.commit().await.context("retry the run")?;
    Ok(labels)
}

/// Who asks for the repetition of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An operator, who decides about the configuration of an open run, too.
    ByOperator,
    /// A daemon, which found what the task had waited for. An open run keeps its configuration.
    ByDaemon,
}

/// The same, in the caller's transaction.
///
/// # Errors
/// As [`retry`].
pub async fn repeat(
    connection: &mut PgConnection,
    engine: &Engine,
    id: Uuid,
    only: Option<&Label>,
    asked: Asked,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<Label>> {
    let (plan, state) = lock(connection, id).await?;
    let moves = moves_to(connection, engine, id, &state, asked).await?;
    let board = board_of(connection, id, plan.clone()).await?;
    let again = board.to_repeat(only);
    if again.is_empty() && (moves != Moves::Stranded || only.is_some()) {
        let what = only.map_or_else(|| "nothing in it failed".to_owned(), |l| format!("{l} has not ended"));
        return Err(fault::data(format!("run {id} is {state} and {what}: there is nothing to repeat")));
    }
    if let Some(label) = board.in_the_way(only) {
        return Err(fault::transient(format!(
            "{label} of run {id} is downstream of that and under way; wait for its end"
        )));
    }
    reopen(connection, id).await?;
    let mut labels: Vec<Label> = again.iter().map(|i| board.label(*i)).collect();
    repeat_tasks(connection, id, &labels).await?;
    if moves != Moves::Not {
        for label in reconfigure(connection, engine, id, &plan).await? {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
    }
    advance(connection, id, now, engine.limit).await?;
    Ok(labels)
}

/// Whether a run that is repeated moves to the configuration in force here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moves {
    /// It is open, and a worker that is up has its configuration.
    Not,
    /// It is open, and no worker that is up has its configuration.
    Stranded,
    /// It is over.
    Over,
}

async fn moves_to(
    connection: &mut PgConnection,
    engine: &Engine,
    id: Uuid,
    state: &str,
    asked: Asked,
) -> anyhow::Result<Moves> {
    if state != RunState::Running.as_str() {
        return Ok(Moves::Over);
    }
    if asked == Asked::ByDaemon {
        return Ok(Moves::Not);
    }
    let (config_hash, is_served): (String, bool) = sqlx::query_as(
        "select r.config_hash,
                exists (
                    select
                      from bursar.workers as w
                     where r.config_hash = any(w.config_hash || w.kept_hashes)
                       and w.stopped_at is null
                       and bursar.is_up(w.id))
           from bursar.runs as r
          where r.id = $1",
    )
    .bind(id)
    .fetch_one(connection)
    .await
    .context("look who has the run's configuration")?;
    Ok(if is_served || engine.has_configuration(&config_hash) { Moves::Not } else { Moves::Stranded })
}

/// Moves a run to the configuration in force here: its tasks that have not ended are taken by workers that have it, and
/// need the credentials that they need under it. Offers made before are void. Returns those tasks.
async fn reconfigure(
    connection: &mut PgConnection,
    engine: &Engine,
    id: Uuid,
    plan: &[Task],
) -> anyhow::Result<Vec<Label>> {
    sqlx::query("update bursar.runs set config_hash = $2 where id = $1")
        .bind(id)
        .bind(engine.configuration().hash)
        .execute(&mut *connection)
        .await
        .context("move the run to another configuration")?;
    take_turn(connection).await?;
    let open: Vec<(String, String)> = sqlx::query_as(
        "select task, item
           from bursar.task_runs
          where run_id = $1 and state in ('waiting', 'ready', 'deferred')
          order by position
            for update",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await
    .context("list what has not ended of the run")?;
    let nodes = || open.iter().map(|(task, item)| (task.as_str(), item.as_str()));
    let (tasks, items): (Vec<&str>, Vec<&str>) = nodes().unzip();
    sqlx::query(
        "update bursar.task_runs as t
            set needs = array(select jsonb_array_elements_text(o.needs)), offered_at = null
           from unnest($2::text[], $3::text[], $4::jsonb[]) as o (task, item, needs)
          where t.run_id = $1 and t.task = o.task and t.item = o.item",
    )
    .bind(id)
    .bind(tasks)
    .bind(items)
    .bind(needs_of(engine, plan, nodes()))
    .execute(connection)
    .await
    .context("move the run's tasks to another configuration")?;
    let label =
        |(task, item): &(String, String)| Label { task: task.clone(), item: (!item.is_empty()).then(|| item.clone()) };
    Ok(open.iter().map(label).collect())
}

/// The plan of a run and its state, which nobody else can change until the transaction ends.
async fn lock(connection: &mut PgConnection, id: Uuid) -> anyhow::Result<(Vec<Task>, String)> {
    let found: Option<(Json<Vec<Task>>, String)> =
        sqlx::query_as("select plan, state from bursar.runs where id = $1 for no key update")
            .bind(id)
            .fetch_optional(connection)
            .await
            .context("lock the run")?;
    let (plan, state) = found.ok_or_else(|| fault::data(format!("there is no run {id}")))?;
    Ok((plan.0, state))
}

async fn reopen(connection: &mut PgConnection, id: Uuid) -> anyhow::Result<()> {
    let reopened = sqlx::query(
        "update bursar.runs
            set state = 'running', fault = null, error = null, closed_at = null, reopened_at = clock_timestamp()
          where id = $1 and state <> 'running'",
    )
    .bind(id)
    .execute(connection)
    .await;
    match reopened {
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("runs_one_open") => {
            Err(fault::transient(format!("a newer run of the job and run date of {id} is open; wait for its end")))
        }
        other => other.map(drop).context("open the run again"),
    }
}

async fn repeat_tasks(connection: &mut PgConnection, id: Uuid, labels: &[Label]) -> anyhow::Result<()> {
    let tasks: Vec<&str> = labels.iter().map(|l| l.task.as_str()).collect();
    let items: Vec<&str> = labels.iter().map(|l| l.item.as_deref().unwrap_or_default()).collect();
    sqlx::query(
        "update bursar.task_runs as t
            set state = 'waiting', ready_at = null, offered_at = null, wake_key = null, failures = 0, losses = 0,
                fault = null, error = null, outcome = null, ended_at = null
           from unnest($2::text[], $3::text[]) as again (task, item)
          where t.run_id = $1 and t.task = again.task and t.item = again.item
            and t.state in ('succeeded', 'failed', 'skipped', 'cancelled')",
    )
    .bind(id)
    .bind(tasks)
    .bind(items)
    .execute(connection)
    .await
    .context("set the tasks back")?;
    Ok(())
}

/// What an operator did by other means than the run's.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// The kind of task that would have done it.
    pub kind: &'a str,
    /// What that is about, such as a dataset.
    pub subject: &'a str,
    /// The item; empty for a task without `for_each`.
    pub item: &'a str,
    /// What it came to.
    pub outcome: &'a Value,
}

/// Counts the tasks of a run that failed or were cancelled as done, because an operator did what they are for. Nothing
/// is begun: what ended before has not seen it, and is left to [`retry`]. Returns what that would run again by now.
///
/// # Errors
/// A data fault when there is no such run; what the server says.
pub async fn settle(connection: &mut PgConnection, id: Uuid, done: Settled<'_>) -> anyhow::Result<Vec<Label>> {
    let (plan, state) = lock(connection, id).await?;
    let is_meant = |task: &&Task| task.kind == done.kind && task.subject == done.subject;
    let tasks: Vec<&str> = plan.iter().filter(is_meant).map(|task| task.name.as_str()).collect();
    sqlx::query(
        "update bursar.task_runs
            set state = 'succeeded', fault = null, error = null, outcome = $4, ended_at = clock_timestamp()
          where run_id = $1 and task = any ($2) and item = $3 and state in ('failed', 'cancelled')",
    )
    .bind(id)
    .bind(tasks)
    .bind(done.item)
    .bind(Json(done.outcome))
    .execute(&mut *connection)
    .await
    .context("settle the task")?;
    let board = board_of(connection, id, plan.clone()).await?;
    let again: Vec<Label> = board.to_repeat(None).into_iter().map(|node| board.label(node)).collect();
    let state = RunState::parse(&state)?;
    if again.is_empty() && state != RunState::Running {
        close_again(connection, id, state, plan).await?;
    }
    Ok(again)
}

/// Cancels a run: nothing more of it is begun, and what is under way is ended without effect. Returns what was under
/// way; none when the run is over.
///
/// # Errors
/// What the server says.
pub async fn cancel(pool: &PgPool, id: Uuid, why: &str) -> anyhow::Result<Option<Vec<Label>>> {
    // Before: a paused process may hold the row of a task that it has settled. After: it may just have begun.
    let broken_off = break_off_all(pool, id).await?;
    let mut transaction = pool.begin().await.context("cancel the run")?;
    let cancelled = sqlx::query(
        "update bursar.runs
            set state = 'cancelled', fault = 'transient', error = $2, closed_at = clock_timestamp()
          where id = $1 and state = 'running'",
    )
    .bind(id)
    .bind(why)
    .execute(&mut *transaction)
    .await
    .context("cancel the run")?;
    if cancelled.rows_affected() == 0 {
        return Ok(None);
    }
    take_turn(&mut transaction).await?;
    let under_way: Vec<(String, String, i32, bool)> = sqlx::query_as(include_str!("again_cancel_tasks.sql"))
        .bind(id)
        .bind(why)
        .fetch_all(&mut *transaction)
        .await
        .context("cancel the run's tasks")?;
    transaction.commit().await.context("cancel the run")?;
    let mut labels = Vec::new();
    for (task, item, attempt, was_running) in under_way {
        // Whoever was broken off may have left its task to a later attempt before it was cancelled.
        if !was_running && !broken_off.contains(&(task.clone(), item.clone(), attempt)) {
            continue;
        }
        labels.push(Label { task: task.clone(), item: (!item.is_empty()).then(|| item.clone()) });
        Fence::new(id, task, item, attempt).break_off(pool).await?;
    }
    Ok(Some(labels))
}

/// Ends the transactions of a run's attempts under way, and tells which those are.
async fn break_off_all(pool: &PgPool, id: Uuid) -> anyhow::Result<HashSet<(String, String, i32)>> {
    let under_way: Vec<(String, String, i32)> =
        sqlx::query_as("select task, item, attempt from bursar.task_runs where run_id = $1 and state = 'running'")
            .bind(id)
            .fetch_all(pool)
            .await
            .context("look what is under way of the run")?;
    for (task, item, attempt) in &under_way {
        Fence::new(id, task.clone(), item.clone(), *attempt).break_off(pool).await?;
    }
    Ok(under_way.into_iter().collect())
}
