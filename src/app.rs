//! Builds everything from the configuration and keeps the order of starting and stopping.

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Ident, Settings};
use crate::db::Database;
use crate::engine::dispatch::{Dispatched, dispatch_due};
use crate::engine::execute::{Engine, Opened, RunRequest, RunSummary};
use crate::engine::heartbeat::{Heartbeat, Pulse};
use crate::engine::job::Job;
use crate::engine::store;
use crate::engine::task::{Unwatched, Watch};
use crate::rows::table;
use crate::tasks::Deps;
use crate::{fault, http, report, systems};
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The program, ready to work.
pub struct App {
    settings: Arc<Settings>,
    catalog: Arc<Catalog>,
    database: Database,
    engine: Engine,
    clock: Clock,
}

/// Compiles the configuration folder.
///
/// # Errors
/// One configuration fault that names every problem.
pub fn compile(settings: &Settings) -> anyhow::Result<Catalog> {
    let schema = Ident::parse(&settings.file.database.schema)?;
    let (catalog, problems) = Catalog::compile(&settings.config_dir, &schema, &systems::kind_specs());
    problems.into_result()?;
    Ok(catalog)
}

impl App {
    /// Compiles the configuration, makes sure of the output folder, opens the database and makes what it lacks.
    ///
    /// # Errors
    /// A configuration fault for anything that must be mended first; a transient one for a database that is away.
    pub async fn build(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let catalog = Arc::new(compile(&settings)?);
        report::write::check_output(&settings.file.paths.output)?;
        let database = Database::open(&settings).await?;
        let prepared = prepare(&database, &catalog, settings.file.database.lock_timeout_s).await;
        let settings = Arc::new(settings);
        let deps = Deps {
            pool: database.pool.clone(),
            catalog: Arc::clone(&catalog),
            settings: Arc::clone(&settings),
            clock: clock.clone(),
        };
        let parallel = settings.file.engine.parallel_tasks;
        let engine = Engine::new(database.pool.clone(), systems::build_kinds(&deps), parallel);
        let app = Self { settings, catalog, database, engine, clock };
        match prepared {
            Ok(left) => {
                for error in &left {
                    warn!("{}", fault::told(error));
                }
                Ok(app)
            }
            Err(error) => {
                app.close().await?;
                Err(error)
            }
        }
    }

    /// Makes what the database lacks, and says where it is not what the configuration describes; gives the
    /// compiled configuration.
    ///
    /// # Errors
    /// As [`App::build`]; also for what loads can do without: a table that differs, a view that is in use.
    pub async fn migrate(settings: &Settings) -> anyhow::Result<Catalog> {
        let catalog = compile(settings)?;
        let database = Database::open(settings).await?;
        let prepared = prepare(&database, &catalog, settings.file.database.lock_timeout_s).await;
        database.close().await?;
        match prepared?.into_iter().next() {
            None => Ok(catalog),
            Some(left) => Err(left),
        }
    }

    /// The compiled configuration.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The open database.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Runs a job once, to its end.
    ///
    /// # Errors
    /// A transient fault when the same job and run date is being run by somebody else.
    pub async fn run_job(
        &self,
        request: &RunRequest,
        watch: Arc<dyn Watch>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<RunSummary> {
        let opened = self.engine.open(request).await?;
        let opened = opened.ok_or_else(|| fault::bug("a run without an occurrence was not opened"))?;
        Ok(self.engine.work(opened, watch, cancel).await)
    }

    /// Runs the daemon until `stop`; `listening` is told the address it answers on.
    ///
    /// # Errors
    /// A configuration fault when it can't start; runs that fail are recorded, not returned.
    pub async fn serve(&self, stop: CancellationToken, listening: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
        let listener = http::listen(self.settings.file.http.bind).await?;
        let recovered = store::recover(&self.database.pool, None).await?;
        if recovered > 0 {
            warn!("{recovered} runs were left open by processes that died; their occurrences are queued again");
        }
        let (heartbeat, beats) = Heartbeat::start().await?;
        let address = listener.local_addr().context("look at the listening address")?;
        let router = http::router(self.database.pool.clone(), heartbeat.pulse());
        let answering = tokio::spawn(http::answer(listener, router, stop.clone()));
        self.announce(address);
        listening(address);
        let mut runs = Runs { engine: &self.engine, running: JoinSet::new(), cancel: CancellationToken::new() };
        let followed = self.follow(beats, &heartbeat.pulse(), &mut runs, &stop).await;
        info!("stopping: no new runs are started");
        heartbeat.stop().await;
        runs.stop(Duration::from_secs(self.settings.file.engine.grace_s)).await;
        // A client that keeps its connection open does not keep the daemon alive.
        match tokio::time::timeout(Duration::from_secs(5), answering).await {
            Ok(answered) => answered.context("stop answering")??,
            Err(_) => warn!("a connection was still open and is cut"),
        }
        info!("stopped");
        followed
    }

    /// Starts what falls due at each beat, until `stop`.
    async fn follow(
        &self,
        mut beats: mpsc::Receiver<()>,
        pulse: &Pulse,
        runs: &mut Runs<'_>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(_) = runs.running.join_next() => continue,
                beat = beats.recv() => beat.context("the heartbeat has stopped")?,
            }
            // A database that hangs must not keep the daemon from stopping; a run that was just being opened
            // is found and run again by the next daemon.
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                looked = self.beat() => looked,
            };
            for run in looked.opened {
                runs.start(run);
            }
            match looked.faults.first() {
                None => pulse.feel(),
                Some(error) => warn!("could not look for what is due: {}", fault::told(error)),
            }
        }
    }

    async fn beat(&self) -> Dispatched {
        let jobs: Vec<Arc<Job>> = self.catalog.jobs.values().cloned().collect();
        dispatch_due(&self.database.pool, &self.engine, &jobs, &self.catalog.items(), self.clock.now()).await
    }

    fn announce(&self, address: SocketAddr) {
        info!(http.address = %address, "answering on http://{address} (no authentication: keep it on loopback)");
        for job in self.catalog.jobs.values() {
            let Some(schedule) = &job.schedule else { continue };
            match schedule.next_after(self.clock.now()) {
                Some(due) => {
                    info!(job.name = %job.name, "{} is next due at {} ({})", job.name, due.with_timezone(&job.timezone), schedule.expression());
                }
                None => warn!(job.name = %job.name, "{} is never due", job.name),
            }
        }
    }

    /// Closes the database; the embedded one is stopped where this process was its last user.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn close(self) -> anyhow::Result<()> {
        self.database.close().await
    }
}

/// The daemon's runs under way.
struct Runs<'a> {
    engine: &'a Engine,
    running: JoinSet<RunSummary>,
    cancel: CancellationToken,
}

impl Runs<'_> {
    fn start(&mut self, opened: Opened) {
        let (engine, cancel) = (self.engine.clone(), self.cancel.clone());
        self.running.spawn(async move { engine.work(opened, Arc::new(Unwatched), &cancel).await });
    }

    /// Waits for what is under way, then cancels it; a cancelled run's occurrence is queued again.
    async fn stop(mut self, grace: Duration) {
        let drained = tokio::time::timeout(grace, async { while self.running.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            warn!(
                "{} runs are still going on after {} s; they are cancelled and will run again",
                self.running.len(),
                grace.as_secs()
            );
            self.cancel.cancel();
            while self.running.join_next().await.is_some() {}
        }
    }
}

/// Bursar's own tables, the customers' tables and the views over them; gives what is left undone and no load needs.
async fn prepare(database: &Database, catalog: &Catalog, lock_timeout_s: u64) -> anyhow::Result<Vec<anyhow::Error>> {
    database.migrate().await?;
    let customers: Vec<_> = catalog.customers.values().map(|c| c.as_ref().clone()).collect();
    let datasets: Vec<_> = catalog.datasets.values().map(AsRef::as_ref).collect();
    let mut connection = database.pool.acquire().await.context("make the customers' tables")?;
    table::prepare(&mut connection, &datasets, &customers, lock_timeout_s).await
}
