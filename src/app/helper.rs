//! This process as one that opens runs, helps to work on them and follows them to their end: what `run-job` is.

use super::App;
use crate::config::short_hash;
use crate::engine::attempt::Cause;
use crate::engine::list::list_workers;
use crate::engine::presence::Role;
use crate::engine::runs::{self, Opening, RunRequest, RunSummary};
use crate::engine::stranded::{self, differing};
use crate::engine::task::{Label, Watching};
use crate::engine::worker::Worker;
use crate::engine::{again, configurations};
use crate::fault;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

/// How long to wait between two looks whether anybody can go on with a run.
const STRANDED: Duration = Duration::from_secs(2);

/// A worker for any number of runs. Those that were opened through it are cancelled when it is told to stop.
pub struct Helper<'a> {
    app: &'a App,
    worker: Worker,
    cancel: CancellationToken,
    opened: Mutex<Vec<Uuid>>,
    has_named_others: AtomicBool,
}

impl App {
    /// Starts to help until [`Helper::leave`], which must be called.
    ///
    /// # Errors
    /// A database fault.
    pub async fn help(&self, watching: Watching, cancel: &CancellationToken) -> anyhow::Result<Helper<'_>> {
        let parallel = self.parallel_tasks();
        let worker = Worker::start(&self.engine, Role::RunJob, parallel, Some(watching)).await?;
        Ok(Helper {
            app: self,
            worker,
            cancel: cancel.clone(),
            opened: Mutex::default(),
            has_named_others: AtomicBool::new(false),
        })
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
                self.name_others().await?;
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
        again::retry(&self.app.engine, id, only).await?;
        self.remember(id);
        self.name_others().await?;
        self.follow(id).await
    }

    fn remember(&self, id: Uuid) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    fn is_ours(&self, id: Uuid) -> bool {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Names the daemons that have another configuration and leave what is opened here alone, once.
    async fn name_others(&self) -> anyhow::Result<()> {
        if self.has_named_others.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let (pool, ours) = (&self.app.engine.pool, self.app.engine.configuration());
        for worker in list_workers(pool, 0).await? {
            if worker.role != "serve" || worker.has_configuration(&ours.hash) {
                continue;
            }
            let parts = configurations::differences(pool, &worker.config_hash, &ours.fingerprint).await?;
            let kept = worker.config_error.map(|error| format!(" It kept the one it had: {error}."));
            warn!(
                "the daemon {} {} has another configuration ({}, this command has {}{}) and leaves these tasks to this \
                 command.{} bursar reload has every daemon read its configuration again; settings in bursar.toml and \
                 the environment it reads when it is started",
                worker.host,
                worker.pid,
                short_hash(&worker.config_hash),
                short_hash(&ours.hash),
                differing(&parts),
                kept.unwrap_or_default()
            );
        }
        Ok(())
    }

    /// What was opened here is cancelled when it is told to stop.
    async fn follow(&self, id: Uuid) -> anyhow::Result<RunSummary> {
        let pool = &self.app.engine.pool;
        tokio::select! {
            followed = self.worker.follow(id, &self.cancel) => followed?,
            stranded = self.until_stranded(id) => return Err(stranded),
        }
        if self.cancel.is_cancelled() && self.is_ours(id) {
            self.worker.cancel(id).await;
            again::cancel(pool, id, "the run was cancelled: the program was told to stop").await?;
        }
        runs::summary(pool, id).await
    }

    /// Waits until nobody can go on with a run that was not opened here. In one that was, tasks are tried for which no
    /// worker has the credentials: somebody waits for their end.
    async fn until_stranded(&self, id: Uuid) -> anyhow::Error {
        let engine = &self.app.engine;
        loop {
            match stranded::list(&engine.pool, Some(id)).await.map(|mut found| found.pop()) {
                // Runs that are followed have the configuration of this process, which is up.
                Ok(Some(stranded)) if stranded.lacks_configuration => {}
                Ok(Some(stranded)) if self.is_ours(id) => {
                    if let Err(error) = stranded::try_without_credentials(engine, &stranded).await {
                        debug!("tasks could not be tried without credentials: {}", fault::told(&error));
                    }
                }
                Ok(Some(stranded)) => return stranded::waits_in_vain(&stranded),
                Ok(None) => {}
                // Whoever follows the run says so.
                Err(error) => debug!("could not look what the run waits for: {}", fault::told(&error)),
            }
            tokio::time::sleep(STRANDED).await;
        }
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
