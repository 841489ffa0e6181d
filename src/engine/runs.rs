//! The door to `bursar.runs`: a run is opened and looked at. Its end is [`super::advance`]'s; that an operator retries
//! or cancels it is [`super::again`]'s.
//!
//! At most one run of a job and run date is open, which a unique index holds, whatever number of processes ask.

use super::advance::advance;
use super::execute::Engine;
use super::job::{Job, Task};
use super::occurrences;
use super::task::{RunInfo, RunState, TaskResult, TaskState, Trigger};
use crate::clock::timestamp;
use crate::config::short_hash;
use crate::fault::{self, Fault};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// The items of the tasks that are fanned out, by the task's name.
pub type Items = HashMap<String, Vec<String>>;

/// A run that is asked for.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The job.
    pub job: Arc<Job>,
    /// The business day.
    pub run_date: NaiveDate,
    /// Who asks.
    pub trigger: Trigger,
    /// When it fell due, for a run by schedule.
    pub occurrence: Option<DateTime<Utc>>,
    /// The items of each task that is fanned out.
    pub items: Items,
    /// Whether an older run date may take the place of what readers see.
    pub publish: bool,
    /// Whether files are loaded again of which nothing has changed.
    pub force: bool,
}

impl RunRequest {
    /// The tasks' names and items, in the plan's order; an item is empty where there is none.
    #[must_use]
    pub fn nodes(&self) -> Vec<(&str, &str)> {
        let mut nodes = Vec::new();
        for task in &self.job.tasks {
            match &task.for_each {
                None => nodes.push((task.name.as_str(), "")),
                Some(_) => {
                    let items = self.items.get(&task.name).map_or(&[][..], Vec::as_slice);
                    nodes.extend(items.iter().map(|item| (task.name.as_str(), item.as_str())));
                }
            }
        }
        nodes
    }
}

/// What came of asking for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It was opened.
    Opened(Uuid),
    /// One of the same job, run date, tasks and purpose is open already.
    Open(Uuid),
    /// Its occurrence was settled by another daemon, or has to wait for a run that was open just now.
    Settled,
}

/// Opens a run under the configuration in force and offers its first tasks.
///
/// # Errors
/// A transient fault when another run of the same job and run date is open that does something else, or is worked on
/// under another configuration.
pub async fn open(engine: &Engine, request: &RunRequest) -> anyhow::Result<Opening> {
    let (pool, config_hash) = (&engine.pool, engine.configuration().hash);
    let mut transaction = pool.begin().await.context("open the run")?;
    let id = Uuid::now_v7();
    if !insert(&mut transaction, id, request, &config_hash).await? {
        transaction.rollback().await.context("open the run")?;
        return join(pool, request, &config_hash).await;
    }
    insert_tasks(&mut transaction, id, request, engine).await?;
    if let Some(due_at) = request.occurrence
        && !occurrences::settle_as_run(&mut transaction, &request.job.name, due_at, id).await?
    {
        return Ok(Opening::Settled);
    }
    advance(&mut transaction, id, engine.clock.now(), engine.limit).await?;
    transaction.commit().await.context("open the run")?;
    Ok(Opening::Opened(id))
}

async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    request: &RunRequest,
    config_hash: &str,
) -> anyhow::Result<bool> {
    let inserted = sqlx::query(
        "insert into bursar.runs
                (id, job, run_date, trigger, priority, publish, force, plan, max_parallel_tasks, host, pid, config_hash, tasks)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict (job, run_date) where state = 'running' do nothing",
    )
    .bind(id)
    .bind(&request.job.name)
    .bind(request.run_date)
    .bind(request.trigger.as_str())
    .bind(request.trigger.priority())
    .bind(request.publish)
    .bind(request.force)
    .bind(Json(&request.job.tasks))
    .bind(request.job.max_parallel_tasks.and_then(|n| i32::try_from(n).ok()))
    .bind(nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned())
    .bind(i32::try_from(std::process::id()).unwrap_or(0))
    .bind(config_hash)
    .bind(i32::try_from(request.nodes().len()).unwrap_or(i32::MAX))
    .execute(connection)
    .await
    .context("record the run")?;
    Ok(inserted.rows_affected() == 1)
}

async fn insert_tasks(
    connection: &mut PgConnection,
    id: Uuid,
    request: &RunRequest,
    engine: &Engine,
) -> anyhow::Result<()> {
    let (tasks, items): (Vec<&str>, Vec<&str>) = request.nodes().into_iter().unzip();
    let needs = needs_of(engine, &request.job.tasks, tasks.iter().copied().zip(items.iter().copied()));
    sqlx::query(
        "insert into bursar.task_runs (run_id, task, item, position, needs)
         select $1, t.task, t.item, t.place - 1, array(select jsonb_array_elements_text(t.needs))
           from unnest($2::text[], $3::text[], $4::jsonb[]) with ordinality as t (task, item, needs, place)",
    )
    .bind(id)
    .bind(tasks)
    .bind(items)
    .bind(needs)
    .execute(connection)
    .await
    .context("record the run's tasks")?;
    Ok(())
}

/// The credentials that each of these tasks and items needs, as JSON: PostgreSQL has no arrays of ragged arrays.
pub(super) fn needs_of<'a>(
    engine: &Engine,
    plan: &[Task],
    nodes: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<Json<Vec<String>>> {
    let needs = |(name, item): (&str, &str)| {
        let task = plan.iter().find(|task| task.name == name);
        Json(task.map_or_else(Vec::new, |task| engine.needs(task, item)))
    };
    nodes.map(needs).collect()
}

#[derive(sqlx::FromRow)]
struct OpenRun {
    id: Uuid,
    host: String,
    pid: i32,
    opened_at: DateTime<Utc>,
    config_hash: String,
    is_same: bool,
}

/// The run that is open instead: one that does the same under the same configuration is as good as a new one.
async fn join(pool: &PgPool, request: &RunRequest, config_hash: &str) -> anyhow::Result<Opening> {
    let nodes: Vec<String> = request.nodes().into_iter().map(|(task, item)| format!("{task}/{item}")).collect();
    let (job, run_date) = (&request.job.name, request.run_date);
    let open: Option<OpenRun> = sqlx::query_as(
        "select id,
                host,
                pid,
                opened_at,
                config_hash,
                publish = $3 and force = $5 and (
                    select array_agg(task || '/' || item order by position) = $4
                      from bursar.task_runs
                     where run_id = id) as is_same
           from bursar.runs
          where job = $1 and run_date = $2 and state = 'running'",
    )
    .bind(job)
    .bind(run_date)
    .bind(request.publish)
    .bind(nodes)
    .bind(request.force)
    .fetch_optional(pool)
    .await
    .context("look for the open run")?;
    match open {
        Some(run) if request.occurrence.is_none() && run.is_same && run.config_hash == config_hash => {
            Ok(Opening::Open(run.id))
        }
        // Nobody waits for an answer: it is looked at again at the next beat.
        _ if request.occurrence.is_some() => Ok(Opening::Settled),
        Some(OpenRun { id, config_hash: other, .. }) if other != config_hash => {
            let (other, ours) = (short_hash(&other), short_hash(config_hash));
            Err(fault::transient(format!(
                "another run of {job} for {run_date} is open: {id}, opened under the configuration {other}, and this \
                 command has {ours}; nothing was done. Try again when it is over (bursar runs show {id}). If no daemon \
                 has its configuration any more, bursar runs retry {id} goes on with it under this one, and bursar runs \
                 cancel {id} ends it"
            )))
        }
        Some(OpenRun { id, host, pid, opened_at, .. }) => Err(fault::transient(format!(
            "another run of {job} for {run_date} is open: {id}, opened by process {pid} on {host} at {}; nothing was \
             done, try again when it is over (bursar runs show {id})",
            timestamp(&opened_at),
        ))),
        None => {
            Err(fault::transient(format!("a run of {job} for {run_date} has just ended; nothing was done, try again")))
        }
    }
}

/// Whether a run is over.
///
/// # Errors
/// A data fault when there is no such run.
pub async fn is_over(pool: &PgPool, id: Uuid) -> anyhow::Result<bool> {
    let is_over: Option<bool> = sqlx::query_scalar("select state <> 'running' from bursar.runs where id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
        .context("look whether the run is over")?;
    is_over.ok_or_else(|| fault::data(format!("there is no run {id}")))
}

/// Whether somebody works on a task of a run.
///
/// # Errors
/// What the server says.
pub async fn is_worked_on(pool: &PgPool, id: Uuid) -> anyhow::Result<bool> {
    sqlx::query_scalar("select exists (select from bursar.task_runs where run_id = $1 and state = 'running')")
        .bind(id)
        .fetch_one(pool)
        .await
        .context("look whether somebody works on the run")
}

/// How a run ended, or how far it is.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// What it is.
    pub run: RunInfo,
    /// The state it is in.
    pub state: RunState,
    /// The gravest fault among its tasks.
    pub fault: Option<Fault>,
    /// How each task ended, in the order they did.
    pub tasks: Vec<TaskResult>,
    /// How long it took, or has taken by now, in milliseconds.
    pub elapsed_ms: i64,
}

#[derive(sqlx::FromRow)]
struct SummaryRow {
    job: String,
    run_date: NaiveDate,
    publish: bool,
    force: bool,
    trigger: String,
    config_hash: String,
    state: String,
    fault: Option<String>,
    elapsed_ms: i64,
}

#[derive(sqlx::FromRow)]
struct ResultRow {
    task: String,
    item: String,
    state: String,
    fault: Option<String>,
    error: Option<String>,
    outcome: Option<Json<Value>>,
    elapsed_ms: i64,
}

/// A run with what its tasks came to.
///
/// # Errors
/// A data fault when there is no such run.
pub async fn summary(pool: &PgPool, id: Uuid) -> anyhow::Result<RunSummary> {
    let row: Option<SummaryRow> = sqlx::query_as(
        "select job,
                run_date,
                publish,
                force,
                trigger,
                config_hash,
                state,
                fault,
                (extract(epoch from coalesce(closed_at, clock_timestamp()) - opened_at) * 1000)::bigint as elapsed_ms
           from bursar.runs
          where id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
    .context("look at the run")?;
    let row = row.ok_or_else(|| fault::data(format!("there is no run {id}")))?;
    let run = RunInfo {
        id,
        job: row.job,
        run_date: row.run_date,
        publish: row.publish,
        force: row.force,
        trigger: Trigger::parse(&row.trigger)?,
        config_hash: row.config_hash,
    };
    Ok(RunSummary {
        run,
        state: RunState::parse(&row.state)?,
        fault: row.fault.as_deref().map(Fault::parse),
        tasks: results(pool, id).await?,
        elapsed_ms: row.elapsed_ms,
    })
}

/// How those tasks of a run ended that have, in the order they did.
///
/// # Errors
/// What the server says.
pub async fn results(pool: &PgPool, id: Uuid) -> anyhow::Result<Vec<TaskResult>> {
    let rows: Vec<ResultRow> = sqlx::query_as(
        "select task,
                item,
                state,
                fault,
                error,
                outcome,
                coalesce((extract(epoch from ended_at - started_at) * 1000)::bigint, 0) as elapsed_ms
           from bursar.task_runs
          where run_id = $1 and state in ('succeeded', 'failed', 'skipped', 'cancelled')
          order by ended_at, position",
    )
    .bind(id)
    .fetch_all(pool)
    .await
    .context("look at the run's tasks")?;
    let result = |row: ResultRow| {
        Some(TaskResult {
            state: TaskState::parse(&row.state)?,
            item: (!row.item.is_empty()).then_some(row.item),
            fault: row.fault.as_deref().map(Fault::parse),
            outcome: row.outcome.map_or(Value::Null, |o| o.0),
            task: row.task,
            error: row.error,
            elapsed_ms: row.elapsed_ms,
        })
    };
    Ok(rows.into_iter().filter_map(result).collect())
}
