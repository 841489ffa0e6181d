//! The fence: what an attempt at a task does takes effect only while it is the task's present attempt.
//!
//! A worker that was taken for dead (it was paused, or cut off, for too long) may still be at work when somebody else
//! makes the next attempt. Its outcome is recorded in the same transaction as its effect, on the condition that
//! the attempt is still the present one: else the transaction fails, and nothing was changed.

use crate::fault::{self, Fault};
use anyhow::Context;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use uuid::Uuid;

/// One attempt at a task.
#[derive(Clone, Debug)]
pub struct Fence {
    /// The run it belongs to.
    pub run: Uuid,
    /// The task's name.
    pub task: String,
    /// The item it is for; empty for a task without `for_each`.
    pub item: String,
    /// Which attempt it is, from 1.
    pub attempt: i32,
    settled: Arc<AtomicBool>,
    transactions: Arc<AtomicUsize>,
}

/// A transaction of an attempt that holds its lock, from the process's point of view, for as long as this lives.
#[derive(Debug)]
pub struct OpenTransaction(Arc<AtomicUsize>);

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What an attempt came to.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// `succeeded`, `failed`, `skipped` or `cancelled`.
    pub state: &'static str,
    /// Whose fault it is, when it failed.
    pub fault: Option<Fault>,
    /// Why it failed or was skipped.
    pub error: Option<String>,
    /// What it came to.
    pub outcome: Value,
}

/// What is to be done in the transaction of an effect, just before it is committed: settling the attempt, at least.
pub trait Finish<T>: Send + Sync {
    /// Does it; an error rolls the effect back.
    fn finish<'a>(&'a self, connection: &'a mut PgConnection, effect: &'a T) -> Finishing<'a>;
}

/// The future of [`Finish::finish`].
pub type Finishing<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

impl Fence {
    /// The fence of an attempt.
    #[must_use]
    pub fn new(run: Uuid, task: String, item: String, attempt: i32) -> Self {
        Self { run, task, item, attempt, settled: Arc::default(), transactions: Arc::default() }
    }

    /// The attempt before this one, if there was one.
    #[must_use]
    pub fn before(&self) -> Option<Self> {
        let Self { run, task, item, attempt, .. } = self.clone();
        (attempt > 1).then(|| Self::new(run, task, item, attempt - 1))
    }

    /// Whether this attempt's outcome was recorded by the attempt itself; the transaction may yet have failed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Notes that a transaction is open which holds the attempt's lock ([`Fence::hold`]). If the server has none, the
    /// connection broke without a word, and who waits for an answer waits in vain.
    #[must_use]
    pub fn open_transaction(&self) -> OpenTransaction {
        self.transactions.fetch_add(1, Ordering::AcqRel);
        OpenTransaction(Arc::clone(&self.transactions))
    }

    /// Whether a transaction of the attempt is open, as far as this process knows.
    #[must_use]
    pub fn has_open_transaction(&self) -> bool {
        self.transactions.load(Ordering::Acquire) > 0
    }

    /// Makes a transaction known as this attempt's, so that whoever takes the task over can end it. Asked first in
    /// every transaction of an attempt that takes locks others wait for.
    ///
    /// # Errors
    /// A transient fault when the attempt is not the present one any more.
    pub async fn hold(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        sqlx::query("select pg_advisory_xact_lock_shared(hashtextextended($1, 0))")
            .bind(self.lock_name())
            .execute(&mut *connection)
            .await
            .context("make the attempt known")?;
        let is_present: bool = sqlx::query_scalar(
            "select exists (
                    select from bursar.task_runs
                     where run_id = $1 and task = $2 and item = $3 and attempt = $4 and state = 'running')",
        )
        .bind(self.run)
        .bind(&self.task)
        .bind(&self.item)
        .bind(self.attempt)
        .fetch_one(connection)
        .await
        .context("look whether the attempt is the present one")?;
        self.check(is_present)
    }

    /// Judges what somebody found who took the attempt's lock and looked for its row himself.
    ///
    /// # Errors
    /// A transient fault when the attempt is not the present one any more.
    pub fn check(&self, is_present: bool) -> anyhow::Result<()> {
        if is_present { Ok(()) } else { Err(self.stale()) }
    }

    /// Records the outcome, among the last statements of the attempt's transaction.
    ///
    /// # Errors
    /// A transient fault when the attempt is not the present one any more: the transaction must be rolled back.
    pub async fn settle(&self, connection: &mut PgConnection, settlement: &Settlement) -> anyhow::Result<()> {
        if self.record(connection, settlement).await? {
            self.settled.store(true, Ordering::Release);
            Ok(())
        } else {
            Err(self.stale())
        }
    }

    /// Records the outcome; false when the attempt is not the present one any more.
    ///
    /// # Errors
    /// What the server says.
    pub async fn record(&self, connection: &mut PgConnection, settlement: &Settlement) -> anyhow::Result<bool> {
        let changed = sqlx::query(
            "with ended as (
                  update bursar.task_runs
                     set state = $5, fault = $6, error = $7, outcome = $8, ended_at = clock_timestamp()
                   where run_id = $1 and task = $2 and item = $3 and attempt = $4 and state = 'running'
                  returning run_id, task, item, attempt)
             update bursar.attempts as a
                set state = $5, fault = $6, error = $7, ended_at = clock_timestamp()
               from ended as e
              where a.run_id = e.run_id and a.task = e.task and a.item = e.item and a.attempt = e.attempt",
        )
        .bind(self.run)
        .bind(&self.task)
        .bind(&self.item)
        .bind(self.attempt)
        .bind(settlement.state)
        .bind(settlement.fault.map(Fault::as_str))
        .bind(&settlement.error)
        .bind(Json(&settlement.outcome))
        .execute(connection)
        .await
        .context("record how the task ended")?;
        Ok(changed.rows_affected() == 1)
    }

    /// Ends the transactions of this attempt, wherever they are: its task was taken over or cancelled, and they may
    /// hold locks for as long as a paused process sleeps. Returns how many there were.
    ///
    /// # Errors
    /// What the server says.
    pub async fn break_off(&self, pool: &PgPool) -> anyhow::Result<u64> {
        let ended = sqlx::query(
            "select pg_terminate_backend(pid)
               from pg_locks
              where locktype = 'advisory' and granted and objsubid = 1 and pid <> pg_backend_pid()
                and database = (select oid from pg_database where datname = current_database())
                and ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)",
        )
        .bind(self.lock_name())
        .execute(pool)
        .await
        .context("end the transactions of an attempt that was taken over")?;
        Ok(ended.rows_affected())
    }

    /// Returns those of the attempts' locks, by name, that no session holds.
    ///
    /// # Errors
    /// A database fault.
    pub async fn list_unheld(pool: &PgPool, names: &[String]) -> anyhow::Result<HashSet<String>> {
        let unheld: Vec<String> = sqlx::query_scalar(
            "select name
               from unnest($1::text[]) as name
              where not exists (
                    select
                      from pg_locks
                     where locktype = 'advisory' and granted and objsubid = 1
                       and database = (select oid from pg_database where datname = current_database())
                       and ((classid::bigint << 32) | objid::bigint) = hashtextextended(name, 0))",
        )
        .bind(names)
        .fetch_all(pool)
        .await
        .context("look for the transactions of attempts")?;
        Ok(unheld.into_iter().collect())
    }

    /// What the lock is called by which the attempt's transactions are known.
    #[must_use]
    pub fn lock_name(&self) -> String {
        format!("bursar attempt {} {} {} {}", self.run, self.task, self.item, self.attempt)
    }

    fn stale(&self) -> anyhow::Error {
        fault::transient(format!(
            "attempt {} is stale: the task was taken over by another worker or cancelled meanwhile; nothing was changed",
            self.attempt
        ))
    }
}
