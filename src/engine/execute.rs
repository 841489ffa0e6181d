//! The engine: what every part of it shares, and the way to ask it for a run.

use super::configurations::{Configuration, Configurations, Unconfigured};
use super::heartbeat::Pulse;
use super::job::Task;
use super::queue;
use super::runs::{self, Opening, RunRequest};
use super::task::TaskKind;
use super::tasks::Claimant;
use crate::clock::Clock;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;

/// What runs are opened and worked on with.
#[derive(Clone)]
pub struct Engine {
    /// The database.
    pub pool: PgPool,
    /// The database, as the queue uses it: what it says is a hint and need not outlive a crash of the server.
    pub queue: PgPool,
    /// The kinds of tasks, by name.
    pub(super) kinds: Arc<HashMap<&'static str, Arc<dyn TaskKind>>>,
    /// What time it is.
    pub clock: Clock,
    /// At most so many tasks under way over all jobs and daemons.
    pub limit: Option<u32>,
    /// When this process's worker last swept.
    pub swept: Pulse,
    /// Whether a connection of the queue's listens for messages; without one the queue is only looked at.
    pub listens: bool,
    configurations: Arc<dyn Configurations>,
    credentials: Arc<[String]>,
}

impl Engine {
    /// An engine that knows these kinds of tasks.
    #[must_use]
    pub fn new(pool: PgPool, queue: PgPool, kinds: Vec<Arc<dyn TaskKind>>, clock: Clock, limit: Option<u32>) -> Self {
        let kinds = kinds.into_iter().map(|k| (k.spec().name, k)).collect();
        let (configurations, credentials) = (Arc::new(Unconfigured), Arc::default());
        let swept = Pulse::new();
        Self { pool, queue, kinds: Arc::new(kinds), clock, limit, swept, listens: true, configurations, credentials }
    }

    /// The same engine, which works by these configurations.
    #[must_use]
    pub fn with_configurations(self, configurations: Arc<dyn Configurations>) -> Self {
        Self { configurations, ..self }
    }

    /// The same engine, whose process was started with these credentials.
    #[must_use]
    pub fn with_credentials(self, credentials: Vec<String>) -> Self {
        Self { credentials: credentials.into(), ..self }
    }

    /// Returns the configuration in force in this process.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        self.configurations.present()
    }

    /// Whether this process works on runs under a configuration.
    #[must_use]
    pub fn has_configuration(&self, hash: &str) -> bool {
        self.configurations.served().iter().any(|served| served == hash)
    }

    /// Returns what tells whether a worker of this process may take a task.
    #[must_use]
    pub fn claimant(&self, worker: &str) -> Claimant {
        let (configurations, credentials) = (self.configurations.served(), self.credentials.to_vec());
        Claimant { worker: worker.to_owned(), configurations, credentials }
    }

    /// Returns the credentials without which a task cannot be done for an item (empty: for none).
    #[must_use]
    pub fn needs(&self, task: &Task, item: &str) -> Vec<String> {
        let item = (!item.is_empty()).then_some(item);
        self.kinds.get(task.kind.as_str()).map_or_else(Vec::new, |kind| kind.needs(task, item))
    }

    /// Makes what the queue needs in the database.
    ///
    /// # Errors
    /// See [`queue::set_up`].
    pub async fn prepare(pool: &PgPool) -> anyhow::Result<()> {
        queue::set_up(pool).await
    }

    /// Opens a run and offers its first tasks to whatever workers are up.
    ///
    /// # Errors
    /// See [`runs::open`].
    pub async fn open(&self, request: &RunRequest) -> anyhow::Result<Opening> {
        runs::open(self, request).await
    }
}
