//! The engine: what every part of it shares, and the way to ask it for a run.

use super::queue;
use super::runs::{self, Opening, RunRequest};
use super::task::TaskKind;
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
    /// Whether a connection of the queue's listens for messages; without one the queue is only looked at.
    pub listens: bool,
}

impl Engine {
    /// An engine that knows these kinds of tasks.
    #[must_use]
    pub fn new(pool: PgPool, queue: PgPool, kinds: Vec<Arc<dyn TaskKind>>, clock: Clock, limit: Option<u32>) -> Self {
        let kinds = kinds.into_iter().map(|k| (k.spec().name, k)).collect();
        Self { pool, queue, kinds: Arc::new(kinds), clock, limit, listens: true }
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
        runs::open(&self.pool, request, self.clock.now(), self.limit).await
    }
}
