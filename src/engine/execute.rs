//! Works on a run: starts what is ready, judges how it ended, releases what waited for it.

use super::board::{Board, Next};
use super::job::Job;
use super::store::{self, OpenRun, RunState};
use super::task::{Label, Outcome, RunInfo, TaskContext, TaskKind, TaskResult, TaskState, Watch};
use crate::clock::Stopwatch;
use crate::fault::{self, Fault};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

/// Works on runs: the kinds of tasks it knows, and how many it works on at a time.
#[derive(Clone)]
pub struct Engine {
    pool: PgPool,
    kinds: Arc<HashMap<&'static str, Arc<dyn TaskKind>>>,
    slots: Arc<Semaphore>,
}

/// A run that is asked for.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The job.
    pub job: Arc<Job>,
    /// The business day.
    pub run_date: NaiveDate,
    /// When it fell due, for a run by schedule; none when an operator asks.
    pub occurrence: Option<DateTime<Utc>>,
    /// What each `for_each` goes over.
    pub items: HashMap<String, Vec<String>>,
    /// Whether an older run date may take the place of what readers see.
    pub publish: bool,
}

/// A run that was opened and not worked on yet.
#[derive(Debug)]
pub struct Opened {
    /// What it is.
    pub info: RunInfo,
    open: OpenRun,
    board: Board,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// What it was.
    pub run: RunInfo,
    /// The state it ended in.
    pub state: RunState,
    /// The gravest fault among its tasks.
    pub fault: Option<Fault>,
    /// How each task ended, in the order they did.
    pub tasks: Vec<TaskResult>,
    /// Why its end could not be recorded; the next run of the same date closes it as abandoned.
    pub unrecorded: Option<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: i64,
}

impl Engine {
    /// An engine that works on at most `parallel` tasks at a time.
    #[must_use]
    pub fn new(pool: PgPool, kinds: Vec<Arc<dyn TaskKind>>, parallel: usize) -> Self {
        let kinds = kinds.into_iter().map(|k| (k.spec().name, k)).collect();
        Self { pool, kinds: Arc::new(kinds), slots: Arc::new(Semaphore::new(parallel)) }
    }

    /// Opens a run: records it, and makes sure that nobody else works on the same job and run date. None when
    /// its occurrence was run by another daemon meanwhile.
    ///
    /// # Errors
    /// A transient fault when somebody works on it.
    pub async fn open(&self, request: &RunRequest) -> anyhow::Result<Option<Opened>> {
        let board = Board::new(&request.job.tasks, &request.items);
        let opened = store::open_run(&self.pool, &request.job, request.run_date, request.occurrence, &board).await?;
        let Some(open) = opened else { return Ok(None) };
        let info = RunInfo {
            id: open.id,
            job: request.job.name.clone(),
            run_date: request.run_date,
            publish: request.publish,
        };
        Ok(Some(Opened { info, open, board }))
    }

    /// Works on an opened run to its end. Failures of tasks are in the summary, not an error.
    pub async fn work(&self, opened: Opened, watch: Arc<dyn Watch>, cancel: &CancellationToken) -> RunSummary {
        let stopwatch = Stopwatch::start();
        let Opened { info, open, board } = opened;
        info!(run.id = %info.id, job.name = %info.job, run.date = %info.run_date, "run of {} for {} begins", info.job, info.run_date);
        let mut round =
            Round { engine: self, run: &info, board, watch, cancel, running: JoinSet::new(), results: Vec::new() };
        round.play().await;
        let results = round.results;
        let (state, fault) = store::verdict(&results);
        let first_error = results.iter().filter(|r| r.fault == fault && fault.is_some()).find_map(|r| r.error.clone());
        let closed = store::close_run(&self.pool, open, state, fault, first_error.as_deref()).await;
        let unrecorded = closed.err().map(|error| fault::told(&error));
        if let Some(why) = &unrecorded {
            warn!(run.id = %info.id, "the end of run {} could not be recorded: {why}", info.id);
        }
        let fault = fault.or(unrecorded.is_some().then_some(Fault::Transient));
        let elapsed_ms = stopwatch.elapsed_ms();
        info!(run.id = %info.id, job.name = %info.job, run.date = %info.run_date, elapsed_ms, "run of {} for {} ended: {state:?}", info.job, info.run_date);
        RunSummary { run: info, state, fault, tasks: results, unrecorded, elapsed_ms }
    }
}

/// One run being worked on.
struct Round<'a> {
    engine: &'a Engine,
    run: &'a RunInfo,
    board: Board,
    watch: Arc<dyn Watch>,
    cancel: &'a CancellationToken,
    running: JoinSet<(usize, TaskResult)>,
    results: Vec<TaskResult>,
}

impl Round<'_> {
    async fn play(&mut self) {
        loop {
            match self.board.next() {
                Next::Over => return,
                Next::Skip(node, upstream) => self.skip(node, upstream).await,
                Next::Start(node) => self.start(node),
                Next::Wait => match self.running.join_next().await {
                    Some(Ok((node, result))) => self.end(node, result).await,
                    Some(Err(error)) => warn!("a task could not be joined: {error}"),
                    None => return self.give_up(),
                },
            }
        }
    }

    /// Nothing runs and nothing can start: what is left was lost on the way, and must not pass for done.
    fn give_up(&mut self) {
        let ended: HashSet<Label> = self.results.iter().map(TaskResult::label).collect();
        for (index, node) in self.board.nodes().iter().enumerate() {
            let label = Label { task: self.board.task(index).name.clone(), item: node.item.clone() };
            if !ended.contains(&label) {
                self.results.push(judge(&label, Err(fault::bug("the task was lost"))));
            }
        }
    }

    fn start(&mut self, node: usize) {
        self.board.start(node);
        let task = self.board.task(node).clone();
        let item = self.board.nodes()[node].item.clone();
        let kind = self.engine.kinds.get(task.kind.as_str()).cloned();
        let context = TaskContext {
            run: self.run.clone(),
            task,
            item,
            cancel: self.cancel.child_token(),
            watch: Arc::clone(&self.watch),
        };
        let (pool, slots) = (self.engine.pool.clone(), Arc::clone(&self.engine.slots));
        let span = info_span!("task", run.id = %self.run.id, task.name = %context.label());
        self.running.spawn(async move { (node, attempt(&pool, &slots, kind, context).await) }.instrument(span));
    }

    async fn skip(&mut self, node: usize, upstream: String) {
        let result = TaskResult {
            task: self.board.task(node).name.clone(),
            item: self.board.nodes()[node].item.clone(),
            state: TaskState::Skipped,
            fault: None,
            error: Some(format!("its upstream {upstream}")),
            outcome: Value::Null,
            elapsed_ms: 0,
        };
        self.end(node, result).await;
    }

    async fn end(&mut self, node: usize, result: TaskResult) {
        self.board.end(node, result.state);
        if let Err(error) = store::end_task(&self.engine.pool, self.run.id, &result).await {
            warn!("the end of {} could not be recorded: {}", result.label(), fault::told(&error));
        }
        self.watch.ended(&result);
        self.results.push(result);
    }
}

/// One attempt: claim a place, run, judge, report. A failure is logged here, once.
async fn attempt(
    pool: &PgPool,
    slots: &Semaphore,
    kind: Option<Arc<dyn TaskKind>>,
    context: TaskContext,
) -> TaskResult {
    let stopwatch = Stopwatch::start();
    let label = context.label();
    let cancel = context.cancel.clone();
    let outcome = perform(pool, slots, kind, context, &label).await;
    let mut result = judge(&label, outcome);
    if result.state == TaskState::Failed && cancel.is_cancelled() {
        result.state = TaskState::Cancelled;
    }
    result.elapsed_ms = stopwatch.elapsed_ms();
    log(&label, &result);
    result
}

async fn perform(
    pool: &PgPool,
    slots: &Semaphore,
    kind: Option<Arc<dyn TaskKind>>,
    context: TaskContext,
    label: &Label,
) -> anyhow::Result<Outcome> {
    let _slot = tokio::select! {
        () = context.cancel.cancelled() => return Err(fault::transient("the program was told to stop before the task began")),
        slot = slots.acquire() => slot?,
    };
    let kind = kind.ok_or_else(|| fault::bug(format!("no kind of task is called {:?}", context.task.kind)))?;
    store::start_task(pool, context.run.id, &context.task.name, context.item.as_deref()).await?;
    context.watch.started(label);
    // In a task of its own, so that a panic ends this one attempt and is reported like any bug.
    let running = tokio::spawn(async move { kind.run(&context).await }.in_current_span());
    running.await.unwrap_or_else(|error| Err(fault::bug(format!("the task broke off: {error}"))))
}

fn judge(label: &Label, outcome: anyhow::Result<Outcome>) -> TaskResult {
    let (state, fault, error, outcome) = match outcome {
        Ok(Outcome::Done(summary)) => (TaskState::Succeeded, None, None, summary),
        Ok(Outcome::Skipped { reason, summary }) => (TaskState::Skipped, None, Some(reason), summary),
        Ok(Outcome::Refused { fault, reason, summary }) => (TaskState::Failed, Some(fault), Some(reason), summary),
        Err(error) => (TaskState::Failed, Some(fault::judge(&error)), Some(fault::told(&error)), Value::Null),
    };
    TaskResult { task: label.task.clone(), item: label.item.clone(), state, fault, error, outcome, elapsed_ms: 0 }
}

fn log(label: &Label, result: &TaskResult) {
    let elapsed_ms = result.elapsed_ms;
    match (&result.error, result.fault) {
        (Some(error), Some(fault)) => {
            tracing::error!(fault = %fault, elapsed_ms, "{label} {}: {error}", result.state.as_str());
        }
        (Some(reason), None) => tracing::warn!(elapsed_ms, "{label} {}: {reason}", result.state.as_str()),
        (None, _) => info!(elapsed_ms, "{label} {}", result.state.as_str()),
    }
}
