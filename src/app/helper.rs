//! This process as one that opens runs, helps to work on them and follows them to their end: what `run-job` is.

use super::App;
use crate::engine::again;
use crate::engine::attempt::Cause;
use crate::engine::presence::Role;
use crate::engine::runs::{self, Opening, RunRequest, RunSummary};
use crate::engine::task::{Label, Watching};
use crate::engine::worker::Worker;
use crate::fault;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

/// A worker for any number of runs. Those that were opened through it are cancelled when it is told to stop.
pub struct Helper<'a> {
    app: &'a App,
    worker: Worker,
    cancel: CancellationToken,
    opened: Mutex<Vec<Uuid>>,
}

impl App {
    /// Starts to help until [`Helper::leave`], which must be called.
    ///
    /// # Errors
    /// What the server says.
    pub async fn help(&self, watching: Watching, cancel: &CancellationToken) -> anyhow::Result<Helper<'_>> {
        let parallel = self.parallel_tasks();
        let worker = Worker::start(&self.engine, Role::RunJob, parallel, Some(watching)).await?;
        Ok(Helper { app: self, worker, cancel: cancel.clone(), opened: Mutex::default() })
    }

    /// Runs a job once, to its end: opens a run (or joins the open one that does the same), helps to work on it, and
    /// follows it wherever its tasks are worked on. A run that was opened here and is told to stop is cancelled.
    ///
    /// # Errors
    /// A transient fault when another run of the same job and run date is open.
    pub async fn run_job(
        &self,
        request: &RunRequest,
        watching: Watching,
        cancel: &CancellationToken,
    ) -> anyhow::Result<RunSummary> {
        let helper = self.help(watching, cancel).await?;
        let ran = helper.run(request).await;
        helper.leave(ran).await
    }

    /// Retries a run ([`again::retry`]), helps to work on it and follows it to its end; it is cancelled when this is told
    /// to stop.
    ///
    /// # Errors
    /// See [`again::retry`].
    pub async fn retry(
        &self,
        id: Uuid,
        only: Option<&Label>,
        watching: Watching,
        cancel: &CancellationToken,
    ) -> anyhow::Result<RunSummary> {
        let helper = self.help(watching, cancel).await?;
        let retried = helper.retry(id, only).await;
        helper.leave(retried).await
    }
}

impl Helper<'_> {
    /// Opens a run, or joins the open one that does the same, and follows it to its end, or until it is told to stop.
    ///
    /// # Errors
    /// A transient fault when another run of the same job and run date is open, or the database is away for too long.
    pub async fn run(&self, request: &RunRequest) -> anyhow::Result<RunSummary> {
        let id = match self.app.engine.open(request).await? {
            Opening::Opened(id) => {
                self.remember(id);
                id
            }
            Opening::Open(id) => {
                info!(run.id = %id, "run {id} of {} for {} is open; it is followed", request.job.name, request.run_date);
                id
            }
            Opening::Settled => return Err(fault::bug("a run without an occurrence was settled")),
        };
        self.follow(id).await
    }

    async fn retry(&self, id: Uuid, only: Option<&Label>) -> anyhow::Result<RunSummary> {
        let engine = &self.app.engine;
        again::retry(&engine.pool, id, only, engine.clock.now(), engine.limit).await?;
        self.remember(id);
        self.follow(id).await
    }

    fn remember(&self, id: Uuid) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    /// What was opened here is cancelled when it is told to stop.
    async fn follow(&self, id: Uuid) -> anyhow::Result<RunSummary> {
        let pool = &self.app.engine.pool;
        self.worker.follow(id, &self.cancel).await?;
        let is_ours = self.opened.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
        if self.cancel.is_cancelled() && is_ours {
            self.worker.cancel(id).await;
            again::cancel(pool, id, "the run was cancelled: the program was told to stop").await?;
        }
        runs::summary(pool, id).await
    }

    /// Stops helping: at once when it was told to stop or failed, else when what is under way is done. What is not is
    /// handed back.
    ///
    /// # Errors
    /// Passes on what came of it.
    pub async fn leave<T>(self, came: anyhow::Result<T>) -> anyhow::Result<T> {
        let is_over = self.cancel.is_cancelled() || came.is_err();
        let grace_s = if is_over { 0 } else { self.app.settings.file.engine.grace_s };
        self.worker.stop(Duration::from_secs(grace_s), Cause::Stopping).await;
        came
    }
}
