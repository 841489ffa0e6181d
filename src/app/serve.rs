//! The daemon: it beats, answers, works and reloads until it is told to stop.

use super::App;
use super::beside::Troubles;
use crate::db::patience::within;
use crate::engine::attempt::Cause;
use crate::engine::dispatch::{Dispatched, dispatch_due};
use crate::engine::fleet::Fleet;
use crate::engine::heartbeat::{Heartbeat, Pulse};
use crate::engine::job::Job;
use crate::engine::presence::Role;
use crate::engine::schedule::Schedule;
use crate::engine::skew;
use crate::engine::watermarks::{self, Watermarks};
use crate::engine::worker::Worker;
use crate::fault;
use crate::http::{self, Access, Answering};
use crate::notify::Channels;
use crate::report::write::check_output;
use crate::systems;
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a beat may wait for the database.
const BEAT_TIMEOUT: Duration = Duration::from_mins(1);

/// What the daemon is told from outside.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// To stop.
    pub stop: CancellationToken,
    /// To read its configuration again.
    pub reload: Arc<Notify>,
}

impl App {
    /// Runs the daemon until it is told to stop; `listening` is told the address it answers on.
    ///
    /// # Errors
    /// A configuration fault when it can't start; runs that fail are recorded, not returned.
    pub async fn serve(&self, orders: Orders, listening: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
        self.database.room.check_daemon()?;
        if let Err(error) = check_output(&self.settings.file.paths.output) {
            warn!("reports are retried until the output folder can be written to: {}", fault::told(&error));
        }
        let channels = Channels::from_settings(&self.settings)?;
        let listener = http::listen(self.settings.file.http.bind).await?;
        let (heartbeat, beats) = Heartbeat::start().await?;
        let address = listener.local_addr().context("look at the listening address")?;
        let access = Access::of(&self.settings.tokens, address);
        let router = http::router(Answering {
            pool: self.database.reader.clone(),
            pulse: heartbeat.pulse(),
            swept: self.engine.swept.clone(),
            clock: self.clock.clone(),
            configurations: Arc::new(self.catalog.clone()),
            routes: systems::routes(&self.deps),
            access: access.clone(),
            http: self.settings.file.http.clone(),
        });
        let answering = tokio::spawn(http::answer(listener, router, orders.stop.clone()));
        self.report_left_over().await?;
        let parallel = self.parallel_tasks();
        let worker = Worker::start(&self.engine, Role::Serve, parallel, None).await?;
        Self::announce(address, &access);
        // Nothing depends on it; what the database does not answer now it is asked again at the next beat.
        if let Err(error) = self.announce_jobs().await {
            warn!("can't read when jobs are due next: {}", fault::told(&error));
        }
        listening(address);
        let beside = orders.stop.child_token();
        let pulse = heartbeat.pulse();
        let beating = async {
            let followed = self.follow_beats(beats, &pulse, &orders, worker.id()).await;
            beside.cancel();
            followed
        };
        let (looking, sending) = (self.look_for_files(&beside), self.send_notices(&channels, &beside));
        let (sweeping, watching) = (self.sweep_staged(&beside), self.watch_workers(&beside));
        let acting = systems::beside(&self.deps, &beside);
        let keeping = async {
            let kept = self.keep_private_server(&beside).await;
            if kept.is_err() {
                orders.stop.cancel();
            }
            kept
        };
        let (followed, kept, (), (), (), (), ()) =
            Box::pin(async { tokio::join!(beating, keeping, looking, sending, sweeping, watching, acting) }).await;
        info!("stopping: no new runs are started");
        heartbeat.stop().await;
        worker.stop(Duration::from_secs(self.settings.file.engine.grace_s), Cause::Stopping).await;
        // A client that keeps its connection open does not keep the daemon alive.
        match tokio::time::timeout(Duration::from_secs(5), answering).await {
            Ok(answered) => answered.context("stop answering")?,
            Err(_) => warn!("a connection was still open and is cut"),
        }
        info!("stopped");
        followed.and(kept)
    }

    /// Says what the daemon finds of those before it.
    async fn report_left_over(&self) -> anyhow::Result<()> {
        let (runs, tasks): (i64, i64) = sqlx::query_as(
            "select count(distinct r.id),
                    count(*) filter (where t.state = 'running')
               from bursar.runs as r
               left join bursar.task_runs as t on t.run_id = r.id
              where r.state = 'running'",
        )
        .fetch_one(&self.database.pool)
        .await
        .context("look for what was left open")?;
        if runs > 0 {
            warn!(
                "{runs} runs are open, {tasks} of their tasks under way; what other daemons do not work on is taken over"
            );
        }
        Ok(())
    }

    /// Starts what falls due at each beat, until it is told to stop. What keeps it from looking is told once.
    async fn follow_beats(
        &self,
        mut beats: mpsc::Receiver<()>,
        pulse: &Pulse,
        orders: &Orders,
        worker: &str,
    ) -> anyhow::Result<()> {
        let (mut troubles, mut ahead) = (Troubles::default(), Troubles::default());
        loop {
            let is_asked = tokio::select! {
                biased;
                () = orders.stop.cancelled() => return Ok(()),
                () = orders.reload.notified() => true,
                beat = beats.recv() => beat.map(|()| false).context("the heartbeat has stopped")?,
            };
            // A database that hangs must not keep the daemon from stopping.
            let looked =
                orders.stop.run_until_cancelled(within(BEAT_TIMEOUT, self.beat(worker, is_asked, &mut ahead))).await;
            let Some(looked) = looked else { return Ok(()) };
            if looked.is_ok() {
                pulse.feel();
            }
            troubles.tell("could not look for what is due", &looked.err().into_iter().collect::<Vec<_>>());
        }
    }

    /// One beat. The first thing that went wrong is an error; the rest was done nevertheless.
    async fn beat(&self, worker: &str, reload_is_asked: bool, ahead: &mut Troubles) -> anyhow::Result<()> {
        skew::measure(&self.engine, worker).await?;
        let reloaded = self.reload_if_asked(worker, reload_is_asked).await;
        let dropped = self.drop_unused_configurations(worker).await;
        let (catalog, fleet) = (self.catalog(), Fleet::read(&self.database.pool).await?);
        let is_in_force =
            |job: &&Arc<Job>| fleet.is_in_force(&job.name, job.due_schedule().map(Schedule::to_string).as_deref());
        let jobs: Vec<Arc<Job>> = catalog.jobs.values().filter(is_in_force).cloned().collect();
        let items = |job: &Job, run_date| catalog.items(job, run_date);
        reloaded?;
        dropped?;
        skew::check(self.clock.ahead())?;
        let Dispatched { faults, recorded_ahead, .. } =
            dispatch_due(&self.engine, &jobs, &items, self.clock.now()).await;
        let recorded_ahead: Vec<_> = recorded_ahead.into_iter().map(fault::data).collect();
        ahead.tell("a clock was wrong", &recorded_ahead);
        watermarks::end_watches(&self.database.pool, &self.engine.configuration().schedules).await?;
        faults.into_iter().next().map_or(Ok(()), Err)
    }

    fn announce(address: SocketAddr, access: &Access) {
        match access {
            Access::Closed => warn!(http.address = %address, "answering on http://{address}, {access}"),
            _ => info!(http.address = %address, "answering on http://{address}, {access}"),
        }
    }

    /// Logs when each job is due next.
    async fn announce_jobs(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let known = Watermarks::read(&self.database.pool, now).await?;
        for job in self.catalog().jobs.values() {
            let Some(schedule) = &job.schedule else { continue };
            if !job.is_enabled {
                info!(job.name = %job.name, "{} is disabled (enabled = false)", job.name);
                continue;
            }
            if let Some(paused) = known.paused(&job.name) {
                warn!(job.name = %job.name, "{} is {paused}", job.name);
                continue;
            }
            if let Some(warning) = known.warning(job) {
                warn!(job.name = %job.name, "{warning}");
            }
            match known.next_due(job, now) {
                Some(due) => {
                    info!(job.name = %job.name, "{} is next due at {} ({})", job.name, due.with_timezone(&job.timezone), schedule.expression());
                }
                None => warn!(job.name = %job.name, "{} is never due", job.name),
            }
        }
        Ok(())
    }
}
