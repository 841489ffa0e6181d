//! What a task is to the engine: a kind that can be run, a context, an outcome.

use super::job::Task;
use crate::fault::Fault;
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a kind of task asks of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct KindSpec {
    /// Its name, as in `kind = "load"`.
    pub name: &'static str,
    /// The key that names what it works on: `dataset` or `report`.
    pub subject: &'static str,
    /// Whether it can only run for one item (customer) at a time.
    pub needs_item: bool,
}

/// The future of a task.
pub type TaskFuture<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + Send + 'a>>;

/// A kind of task: what a system hands to the engine.
pub trait TaskKind: Send + Sync {
    /// What it asks of the configuration.
    fn spec(&self) -> KindSpec;

    /// Runs one task. Must be harmless when run again for the same run date.
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
}

/// All that a task is told.
pub struct TaskContext {
    /// The run it belongs to.
    pub run: RunInfo,
    /// What it is in its job.
    pub task: Task,
    /// The item it is for (a customer's name), for a task with `for_each`.
    pub item: Option<String>,
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

/// Nobody watches.
#[derive(Debug)]
pub struct Unwatched;

impl Watch for Unwatched {}
