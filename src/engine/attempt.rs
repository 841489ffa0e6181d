//! One attempt at a task: run it under its timeout, judge how it ended, record that.

use super::execute::Engine;
use super::task::{Label, OUTCOME_TARGET, Outcome, TaskContext, TaskResult, TaskState, Watch};
use super::tasks::{self, Claimed, Later, Standing};
use super::{advance, retry};
use crate::clock::Stopwatch;
use crate::db::patience::within;
use crate::db::{self, fence::Settlement};
use crate::fault::{self, Fault};
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

/// How long a task that was told to stop may take to do so.
const LAST_CALL: Duration = Duration::from_secs(10);

/// How long the end of an attempt is tried to be recorded while the database is away; after that somebody takes the
/// task over.
const PERSISTENCE: Duration = Duration::from_mins(10);

/// How long one try to record it may take.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an attempt may take whose task has no `timeout_s`, in seconds: none hangs for ever.
const DEFAULT_TIMEOUT_S: u64 = 21_600;

/// Why an attempt was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The daemon is stopping: the task is handed back.
    Stopping,
    /// An operator said so.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// It is not the present attempt any more.
    Stale,
    /// The server does not have its transaction any more, and the connection has not said so.
    CutOff,
}

/// What the end of an attempt means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No item of the task is open: the run may go on.
    Last,
    /// The task, or other items of it, have not ended.
    Open,
    /// It was not the present attempt any more.
    Stale,
}

/// Makes an attempt and records what it came to. A failure is logged here, once.
pub(super) async fn make(
    engine: &Engine,
    claimed: Claimed,
    watch: Arc<dyn Watch>,
    cancel: &CancellationToken,
    cause: &Arc<OnceLock<Cause>>,
) -> Ended {
    let item = (!claimed.fence.item.is_empty()).then(|| claimed.fence.item.clone());
    let label = Label { task: claimed.task.name.clone(), item };
    let span = info_span!(
        "task",
        run.id = %claimed.run.id,
        job.name = %claimed.run.job,
        run.date = %claimed.run.run_date,
        task.name = %label,
        task.attempt = claimed.fence.attempt
    );
    let making = Making { engine, claimed: &claimed, label, cancel, cause };
    async {
        let stopwatch = Stopwatch::start();
        if !engine.has_configuration(&claimed.run.config_hash) {
            // It was dropped here just when the task was claimed: its run had been over, and was opened again.
            return making.postpone(&Later::HandedBack, engine.clock.now()).await.0;
        }
        watch.started(&making.label);
        let outcome = making.perform(Arc::clone(&watch)).await;
        let (ended, mut result) = making.conclude(outcome).await;
        result.elapsed_ms = stopwatch.elapsed_ms();
        watch.ended(&result);
        ended
    }
    .instrument(span)
    .await
}

struct Making<'a> {
    engine: &'a Engine,
    claimed: &'a Claimed,
    label: Label,
    cancel: &'a CancellationToken,
    cause: &'a Arc<OnceLock<Cause>>,
}

impl Making<'_> {
    async fn perform(&self, watch: Arc<dyn Watch>) -> anyhow::Result<Outcome> {
        let Claimed { run, task, fence, .. } = self.claimed;
        let kind = self.engine.kinds.get(task.kind.as_str()).cloned();
        let kind = kind.ok_or_else(|| fault::config(format!("this program has no kind of task {:?}", task.kind)))?;
        let context = TaskContext {
            run: run.clone(),
            task: task.clone(),
            item: self.label.item.clone(),
            fence: fence.clone(),
            cancel: self.cancel.child_token(),
            watch,
        };
        // In a task of its own, so that a panic ends this one attempt and is reported like any bug.
        let mut running = tokio::spawn(async move { kind.run(&context).await }.in_current_span());
        let limit = Duration::from_secs(task.timeout_s.unwrap_or(DEFAULT_TIMEOUT_S));
        let joined = tokio::select! {
            joined = &mut running => Some(joined),
            () = self.cancel.cancelled() => None,
            () = tokio::time::sleep(limit) => {
                let _ = self.cause.set(Cause::TimedOut);
                self.cancel.cancel();
                None
            }
        };
        let joined = match joined {
            Some(joined) => Ok(joined),
            None => tokio::time::timeout(LAST_CALL, &mut running).await,
        };
        if let Ok(joined) = joined {
            return joined.unwrap_or_else(|error| Err(fault::bug(format!("the task broke off: {error}"))));
        }
        running.abort();
        self.break_off().await;
        Err(fault::transient("the task was told to stop and did not"))
    }

    /// Ends what the attempt may still do in the database.
    async fn break_off(&self) {
        if let Err(error) = within(LAST_CALL, self.claimed.fence.break_off(&self.engine.pool)).await {
            warn!("what {} does in the database could not be ended: {}", self.label, fault::told(&error));
        }
    }

    async fn conclude(&self, outcome: anyhow::Result<Outcome>) -> (Ended, TaskResult) {
        if self.claimed.fence.is_settled() {
            // The transaction that settled it may have failed, or its success may not have been heard of.
            match self.persistently(|| self.standing()).await {
                Some(standing) if self.is_settled_by_us(&standing) => return self.settled(&standing, outcome),
                Some(_) => {}
                None => return self.unrecorded(),
            }
        }
        match outcome {
            Ok(Outcome::Deferred { key, until, reason }) => {
                info!("{} waits: {reason}", self.label);
                let later = Later::Deferred { key, reason };
                self.postpone(&later, until).await
            }
            Err(error) if fault::judge(&error) == Fault::Transient => self.transient(error).await,
            other => self.record(other).await,
        }
    }

    /// A transient fault: who is stopping hands the task back, else the policy says whether it is tried again.
    async fn transient(&self, error: anyhow::Error) -> (Ended, TaskResult) {
        let now = self.engine.clock.now();
        let error = match self.cause.get() {
            Some(Cause::Stopping) => return self.postpone(&Later::HandedBack, now).await,
            Some(Cause::Stale) => {
                info!("{} was told to stop, and broke off: {}", self.label, fault::told(&error));
                return self.stale();
            }
            Some(Cause::TimedOut) => {
                let limit = self.claimed.task.timeout_s.unwrap_or(DEFAULT_TIMEOUT_S);
                fault::transient(format!("not done within {limit} s (timeout_s): {}", fault::told(&error)))
            }
            Some(Cause::CutOff) => fault::transient(
                "the database no longer has the transaction of this attempt: its server was restarted or replaced, and the \
                 connection did not close",
            ),
            Some(Cause::Cancelled) => return self.record(Err(error)).await,
            None => db::explain(&self.engine.pool, error).await,
        };
        let failures = self.claimed.failures + 1;
        let policy = &self.claimed.task.retry;
        if failures >= policy.attempts {
            return self.record(Err(error)).await;
        }
        let delay = retry::delay(policy, failures, fastrand::f64());
        let told = fault::told(&error);
        warn!(
            "{} failed and is tried again in {:.1} s (attempt {failures} of {}): {told}",
            self.label,
            delay.as_secs_f64(),
            policy.attempts
        );
        self.postpone(&Later::Retry(told), now + delay).await
    }

    async fn postpone(&self, later: &Later, at: chrono::DateTime<chrono::Utc>) -> (Ended, TaskResult) {
        let fence = &self.claimed.fence;
        let postponed = self.persistently(|| tasks::postpone(&self.engine.pool, fence, later, at)).await;
        match postponed {
            Some(true) => (Ended::Open, self.result(TaskState::Skipped, None)),
            Some(false) => self.stale(),
            None => self.unrecorded(),
        }
    }

    async fn record(&self, outcome: anyhow::Result<Outcome>) -> (Ended, TaskResult) {
        let settlement = self.settlement(outcome);
        let recording = || async {
            let mut transaction = self.engine.pool.begin().await?;
            let is_recorded = self.claimed.fence.record(&mut transaction, &settlement).await?;
            if is_recorded {
                advance::alert_failure(&mut transaction, &self.claimed.run, &settlement).await?;
            }
            transaction.commit().await?;
            anyhow::Ok(is_recorded)
        };
        match self.persistently(recording).await {
            Some(true) => {}
            Some(false) => return self.stale(),
            None => return self.unrecorded(),
        }
        let mut result = self.result(TaskState::parse(settlement.state).unwrap_or(TaskState::Failed), settlement.error);
        (result.fault, result.outcome) = (settlement.fault, settlement.outcome);
        log(&result);
        match self.persistently(|| self.standing()).await {
            Some(standing) if standing.has_open_siblings => (Ended::Open, result),
            Some(_) => (Ended::Last, result),
            None => (Ended::Open, result),
        }
    }

    fn settlement(&self, outcome: anyhow::Result<Outcome>) -> Settlement {
        let failed = |error: &anyhow::Error| Settlement {
            state: if self.cause.get() == Some(&Cause::Cancelled) { TaskState::Cancelled } else { TaskState::Failed }
                .as_str(),
            fault: Some(fault::judge(error)),
            error: Some(fault::told(error)),
            outcome: Value::Null,
        };
        match outcome {
            Ok(outcome) => outcome.settlement(),
            Err(error) => failed(&error),
        }
    }

    async fn standing(&self) -> anyhow::Result<Standing> {
        let fence = &self.claimed.fence;
        tasks::standing(&self.engine.pool, fence.run, &fence.task, &fence.item).await
    }

    fn is_settled_by_us(&self, standing: &Standing) -> bool {
        standing.attempt == self.claimed.fence.attempt && TaskState::parse(&standing.state).is_some()
    }

    fn settled(&self, standing: &Standing, outcome: anyhow::Result<Outcome>) -> (Ended, TaskResult) {
        let state = TaskState::parse(&standing.state).unwrap_or(TaskState::Failed);
        let mut result = self.result(state, standing.error.clone());
        result.fault = standing.fault();
        result.outcome = outcome.map_or(Value::Null, |o| o.settlement().outcome);
        log(&result);
        (if standing.has_open_siblings { Ended::Open } else { Ended::Last }, result)
    }

    fn stale(&self) -> (Ended, TaskResult) {
        let attempt = self.claimed.fence.attempt;
        let why = format!("attempt {attempt} is stale: the task was taken over or cancelled meanwhile");
        warn!("{}: {why}; what it came to counts for nothing", self.label);
        (Ended::Stale, self.result(TaskState::Cancelled, Some(why)))
    }

    fn unrecorded(&self) -> (Ended, TaskResult) {
        error!("how {} ended could not be recorded; it will be taken over", self.label);
        (Ended::Stale, self.result(TaskState::Cancelled, None))
    }

    fn result(&self, state: TaskState, error: Option<String>) -> TaskResult {
        let Label { task, item } = self.label.clone();
        TaskResult { task, item, state, fault: None, error, outcome: Value::Null, elapsed_ms: 0 }
    }

    /// Asks the database until it answers: it may be away for a while, and what was done must not be lost with that.
    async fn persistently<T, F>(&self, ask: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let since = Stopwatch::start();
        loop {
            let error = match within(RECORD_TIMEOUT, ask()).await {
                Ok(answer) => return Some(answer),
                Err(error) => error,
            };
            let is_stopping = self.cause.get() == Some(&Cause::Stopping) && since.elapsed() > LAST_CALL;
            if is_stopping || fault::judge(&error) != Fault::Transient || since.elapsed() > PERSISTENCE {
                error!("{}: {}", self.label, fault::told(&error));
                return None;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn log(result: &TaskResult) {
    let label = result.label();
    match (&result.error, result.fault) {
        (Some(error), Some(fault)) => {
            error!(target: OUTCOME_TARGET, fault = %fault, "{label} {}: {error}", result.state.as_str());
        }
        (Some(reason), None) => warn!(target: OUTCOME_TARGET, "{label} {}: {reason}", result.state.as_str()),
        (None, _) => info!(target: OUTCOME_TARGET, "{label} {}", result.state.as_str()),
    }
}
