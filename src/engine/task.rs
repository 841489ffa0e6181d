//! What a task is to the engine: a kind that can be run, a context, an outcome.

use super::job::Task;
use crate::db::fence::{Fence, Settlement};
use crate::fault::{self, Fault};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The log target of messages that repeat the outcome of a task or a run. A command that prints the outcome itself
/// switches this target off, so that nothing is printed twice.
pub const OUTCOME_TARGET: &str = "bursar::outcome";

/// What a kind of task asks of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct KindSpec {
    /// Its name, as in `kind = "load"`.
    pub name: &'static str,
    /// The key that names what it works on: `dataset` or `report`; empty where there is nothing to name.
    pub subject: &'static str,
    /// Whether it runs for one item (customer) at a time, where its subject is one of several.
    pub needs_item: bool,
}

/// The future of a task.
pub type TaskFuture<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + Send + 'a>>;

/// A kind of task: what a system hands to the engine.
pub trait TaskKind: Send + Sync {
    /// What it asks of the configuration.
    fn spec(&self) -> KindSpec;

    /// Returns the credentials without which a task cannot be done for an item, by the names of their variables. Asked
    /// when a run is opened, by the process that opens it: one that may be left out is needed if that process has it.
    fn needs(&self, _task: &Task, _item: Option<&str>) -> Vec<String> {
        Vec::new()
    }

    /// Makes one attempt. Must be harmless when made again for the same run date, and have no effect once
    /// [`TaskContext::fence`] is stale.
    fn run<'a>(&'a self, context: &'a TaskContext) -> TaskFuture<'a>;
}

/// The run a task belongs to.
#[derive(Clone, Debug, Serialize)]
pub struct RunInfo {
    /// Its id.
    pub id: Uuid,
    /// The job's name.
    pub job: String,
    /// The business day it is for.
    pub run_date: NaiveDate,
    /// Whether an older run date may take the place of what readers see.
    pub publish: bool,
    /// Whether files are loaded again of which nothing has changed.
    pub force: bool,
    /// Who asked for it.
    pub trigger: Trigger,
    /// The configuration under which its tasks are done.
    pub config_hash: String,
}

/// Who asked for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// An occurrence of its schedule.
    Schedule,
    /// A person, for one run date.
    Operator,
    /// A person, for a range of run dates.
    Backfill,
}

impl Trigger {
    /// The word kept in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Operator => "operator",
            Self::Backfill => "backfill",
        }
    }

    /// Reads the word kept in the database.
    ///
    /// # Errors
    /// A bug fault for any other.
    pub fn parse(word: &str) -> anyhow::Result<Self> {
        [Self::Schedule, Self::Operator, Self::Backfill]
            .into_iter()
            .find(|t| t.as_str() == word)
            .ok_or_else(|| fault::bug(format!("the trigger {word:?} is unknown")))
    }

    /// Whose tasks are delivered first, the greatest: somebody waits for an operator's run, nobody for a backfill.
    #[must_use]
    pub const fn priority(self) -> i32 {
        match self {
            Self::Operator => 30,
            Self::Schedule => 20,
            Self::Backfill => 10,
        }
    }
}

/// All that a task is told.
pub struct TaskContext {
    /// The run it belongs to.
    pub run: RunInfo,
    /// What it is in its job.
    pub task: Task,
    /// The item it is for (a customer's name), for a task with `for_each`.
    pub item: Option<String>,
    /// Which attempt it is; what it does is recorded behind it.
    pub fence: Fence,
    /// Says that it shall stop.
    pub cancel: CancellationToken,
    /// Told how far it is.
    pub watch: Arc<dyn Watch>,
}

impl TaskContext {
    /// Its name for people: `load[agency_a]`.
    #[must_use]
    pub fn label(&self) -> Label {
        Label { task: self.task.name.clone(), item: self.item.clone() }
    }
}

/// A task's name for people: `load[agency_a]`, or just `report`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// The task's name.
    pub task: String,
    /// The item it is for.
    pub item: Option<String>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.item {
            Some(item) => write!(f, "{}[{item}]", self.task),
            None => f.write_str(&self.task),
        }
    }
}

/// What a task came to, when it did not break off with an error.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It did what it is for.
    Done(Value),
    /// There is nothing to do yet, which is no fault.
    Skipped {
        /// Why.
        reason: String,
        /// What it found.
        summary: Value,
    },
    /// It decided that it must not do it, and kept a record of that.
    Refused {
        /// Whose fault it is.
        fault: Fault,
        /// Why.
        reason: String,
        /// What it found.
        summary: Value,
    },
    /// It waits for something outside, and occupies no worker meanwhile.
    Deferred {
        /// By which [`super::tasks::wake`] finds it, such as `file DATASET/CUSTOMER/DATE`.
        key: String,
        /// When it looks again at the latest.
        until: DateTime<Utc>,
        /// What it waits for.
        reason: String,
    },
}

impl Outcome {
    /// What is recorded of an attempt that ended so. A deferred one has not: it counts as skipped.
    #[must_use]
    pub fn settlement(&self) -> Settlement {
        let settlement = |state: TaskState, fault, error: Option<&String>, outcome: &Value| Settlement {
            state: state.as_str(),
            fault,
            error: error.cloned(),
            outcome: outcome.clone(),
        };
        match self {
            Self::Done(summary) => settlement(TaskState::Succeeded, None, None, summary),
            Self::Skipped { reason, summary } => settlement(TaskState::Skipped, None, Some(reason), summary),
            Self::Refused { fault, reason, summary } => {
                settlement(TaskState::Failed, Some(*fault), Some(reason), summary)
            }
            Self::Deferred { reason, .. } => settlement(TaskState::Skipped, None, Some(reason), &Value::Null),
        }
    }
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Some of its tasks have not ended.
    Running,
    /// Every task did what it is for, or had nothing to do yet.
    Succeeded,
    /// At least one did not.
    Failed,
    /// An operator said so.
    Cancelled,
    /// Its process died; only in earlier versions of the program.
    Abandoned,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled, Self::Abandoned];

    /// The word kept in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        }
    }

    /// Reads the word kept in the database.
    ///
    /// # Errors
    /// A bug fault for any other.
    pub fn parse(word: &str) -> anyhow::Result<Self> {
        let known = Self::ALL.into_iter().find(|s| s.as_str() == word);
        known.ok_or_else(|| fault::bug(format!("the run's state {word:?} is unknown")))
    }
}

/// The state a task ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It did what it is for.
    Succeeded,
    /// It did not.
    Failed,
    /// An upstream failed, or there was nothing to do yet.
    Skipped,
    /// It was told to stop.
    Cancelled,
}

impl TaskState {
    /// The word kept in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word kept in the database; none for a task that has not ended.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::Skipped, Self::Cancelled].into_iter().find(|s| s.as_str() == word)
    }
}

/// How a task ended.
#[derive(Clone, Debug, Serialize)]
pub struct TaskResult {
    /// The task's name.
    pub task: String,
    /// The item it was for.
    pub item: Option<String>,
    /// The state it ended in.
    pub state: TaskState,
    /// Whose fault it is, when it failed.
    pub fault: Option<Fault>,
    /// Why it failed or was skipped.
    pub error: Option<String>,
    /// What it came to.
    pub outcome: Value,
    /// How long it took, in milliseconds.
    pub elapsed_ms: i64,
}

impl TaskResult {
    /// Its name for people.
    #[must_use]
    pub fn label(&self) -> Label {
        Label { task: self.task.clone(), item: self.item.clone() }
    }
}

/// Watches a run: a terminal's progress bars, or nobody.
pub trait Watch: Send + Sync {
    /// A task begins.
    fn started(&self, _label: &Label) {}
    /// A task has done `done` of `total` (bytes, for a load).
    fn progressed(&self, _label: &Label, _done: u64, _total: u64) {}
    /// A task is over.
    fn ended(&self, _result: &TaskResult) {}
}

/// Who watches the tasks of a run in this process.
pub type Watching = Arc<dyn Fn(&RunInfo) -> Arc<dyn Watch> + Send + Sync>;

/// Nobody watches.
#[derive(Debug)]
pub struct Unwatched;

impl Watch for Unwatched {}
