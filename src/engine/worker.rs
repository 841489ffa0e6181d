//! A worker: this process taking tasks from the queue, working on them and recording what they came to.

mod cut_off;
mod follow;

use super::advance;
use super::attempt::{self, Cause, Ended};
use super::execute::Engine;
use super::presence::{Presence, Role};
use super::queue::{self, Deliver, Message, Receiver, Trouble};
use super::stranded::LeftAlone;
use super::sweep::Sweep;
use super::task::{RunInfo, Unwatched, Watch, Watching};
use super::tasks::{self, Claimed, Key};
use crate::clock::Stopwatch;
use crate::db::fence::Fence;
use crate::db::patience::within;
use crate::fault;
use cut_off::CutOff;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};
use uuid::Uuid;

/// How often a worker sweeps.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a sweep may take before it is begun anew over other connections.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(30);
/// Sweeps between two prunings of the queue.
const PRUNE_EVERY: u64 = 600;
/// Sweeps between two looks for runs that a daemon leaves alone.
const LEFT_ALONE_EVERY: u64 = 5;
/// How long work that was told to stop is waited for.
const LAST_CALL: Duration = Duration::from_secs(10);

/// A worker that is up.
pub struct Worker {
    shared: Arc<Shared>,
    receiving: JoinHandle<()>,
    sweeping: JoinHandle<Presence>,
    /// Nothing more is taken.
    closing: CancellationToken,
    /// The sweep ends.
    leaving: CancellationToken,
}

/// An attempt under way in this process.
struct Active {
    fence: Fence,
    cancel: CancellationToken,
    cause: Arc<OnceLock<Cause>>,
}

struct Shared {
    engine: Engine,
    id: String,
    role: Role,
    /// One for each task that it may work on at a time.
    places: Arc<Semaphore>,
    active: Mutex<HashMap<Key, Active>>,
    watching: Option<Watching>,
    tracker: TaskTracker,
    closing: CancellationToken,
    run_ended: Notify,
    queue_trouble: Trouble,
}

impl Worker {
    /// Shows this process to the others and starts to take tasks, `parallel` at a time. `watching` says who is
    /// told of a run's tasks in this process.
    ///
    /// # Errors
    /// What the server says.
    pub async fn start(
        engine: &Engine,
        role: Role,
        parallel: usize,
        watching: Option<Watching>,
    ) -> anyhow::Result<Self> {
        let presence = Presence::announce(engine, role).await?;
        let (closing, leaving) = (CancellationToken::new(), CancellationToken::new());
        let shared = Arc::new(Shared {
            engine: engine.clone(),
            id: presence.id().to_owned(),
            role,
            places: Arc::new(Semaphore::new(parallel)),
            active: Mutex::default(),
            watching,
            tracker: TaskTracker::new(),
            closing: closing.clone(),
            run_ended: Notify::new(),
            queue_trouble: Trouble::default(),
        });
        let receiving = tokio::spawn(receive(Arc::clone(&shared), parallel, closing.clone()));
        let sweeping = tokio::spawn(sweep(Arc::clone(&shared), presence, leaving.clone()));
        Ok(Self { shared, receiving, sweeping, closing, leaving })
    }

    /// This worker's id in `bursar.workers`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// How many attempts it has under way.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.shared.active().len()
    }

    /// Takes nothing more, and has this process's attempts at the tasks of a run end as cancelled.
    pub async fn cancel(&self, run: Uuid) {
        self.closing.cancel();
        for (_, active) in self.shared.active().iter().filter(|(key, _)| key.0 == run) {
            let _ = active.cause.set(Cause::Cancelled);
            active.cancel.cancel();
        }
        let ended = async {
            while self.shared.active().keys().any(|key| key.0 == run) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(LAST_CALL, ended).await.is_err() {
            warn!(run.id = %run, "tasks of run {run} do not stop; what they do counts for nothing");
        }
    }

    /// Takes nothing more, waits at most `grace` for what is under way, then has the rest stop: for a
    /// [`Cause::Stopping`] the tasks are handed back, for a [`Cause::Cancelled`] they have ended.
    pub async fn stop(self, grace: Duration, cause: Cause) {
        self.closing.cancel();
        self.shared.tracker.close();
        if tokio::time::timeout(grace, self.shared.tracker.wait()).await.is_err() {
            if cause == Cause::Stopping {
                let busy = self.busy();
                warn!("{busy} tasks are still going on after {} s; they are handed back", grace.as_secs());
            }
            self.shared.cancel_all(cause);
            if tokio::time::timeout(LAST_CALL, self.shared.tracker.wait()).await.is_err() {
                warn!("{} tasks do not stop; others will take them over", self.busy());
            }
        }
        let mut receiving = self.receiving;
        if tokio::time::timeout(LAST_CALL, &mut receiving).await.is_err() {
            receiving.abort();
        }
        self.leaving.cancel();
        if let Ok(presence) = self.sweeping.await {
            let _ = tokio::time::timeout(LAST_CALL, presence.leave()).await;
        }
    }
}

async fn receive(shared: Arc<Shared>, parallel: usize, closing: CancellationToken) {
    let receiver = Receiver {
        pool: shared.engine.queue.clone(),
        worker: shared.id.clone(),
        parallel,
        listens: shared.engine.listens,
        trouble: shared.queue_trouble.clone(),
    };
    let deliver: Deliver = Arc::new(move |message| Box::pin(Arc::clone(&shared).deliver(message)));
    queue::receive(&receiver, &deliver, &closing).await;
}

/// Sweeps until it leaves. A sweep that fails is told once, until one succeeds again.
async fn sweep(shared: Arc<Shared>, mut presence: Presence, leaving: CancellationToken) -> Presence {
    let (mut sweep, mut cut_off, mut left_alone) = (Sweep::default(), CutOff::default(), LeftAlone::default());
    let (mut is_failing, mut count) = (false, 0_u64);
    loop {
        let sweeping = async {
            shared.sweep_once(&mut presence, &mut sweep, count).await?;
            shared.end_cut_off(&mut cut_off).await?;
            shared.take_offered().await?;
            if shared.role == Role::Serve && count.is_multiple_of(LEFT_ALONE_EVERY) {
                left_alone.log(&shared.engine, &shared.engine.claimant(&shared.id)).await?;
            }
            anyhow::Ok(())
        };
        let swept = leaving.run_until_cancelled(within(SWEEP_TIMEOUT, sweeping)).await;
        match swept {
            None => return presence,
            Some(Ok(())) => {
                is_failing = false;
                shared.engine.swept.feel();
            }
            Some(Err(error)) if is_failing => debug!("the sweep fails: {}", fault::told(&error)),
            Some(Err(error)) => {
                is_failing = true;
                warn!("the sweep fails, and is tried again each second: {}", fault::told(&error));
            }
        }
        count += 1;
        if leaving.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_none() {
            return presence;
        }
    }
}

impl Shared {
    fn active(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch_of(&self, run: &RunInfo) -> Arc<dyn Watch> {
        self.watching.as_ref().map_or_else(|| Arc::new(Unwatched) as Arc<dyn Watch>, |watching| watching(run))
    }

    fn cancel_all(&self, cause: Cause) {
        for active in self.active().values() {
            let _ = active.cause.set(cause);
            active.cancel.cancel();
        }
    }

    /// Takes a message, and then, while nobody has to wait for it, what the queue would deliver next: a message costs as
    /// much as a small task. An error has the queue deliver it again.
    async fn deliver(self: Arc<Self>, message: Message) -> anyhow::Result<()> {
        // Between two tasks, too, this is work that a stop waits for.
        let _under_way = self.tracker.token();
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(fault::bug)?;
        if self.closing.is_cancelled() {
            return tasks::withdraw_offer(&self.engine.pool, &message).await;
        }
        let claimed = match tasks::claim(&self.engine.pool, &message, &self.engine.claimant(&self.id)).await {
            Ok(claimed) => claimed,
            Err(error) => {
                // Not at once again: the database may be away.
                tokio::time::sleep(SWEEP).await;
                return Err(error);
            }
        };
        match claimed {
            Some(first) => self.work_on(first, place).await,
            None => Ok(()),
        }
    }

    /// Takes what is offered while places are free: its messages may have gone to workers that may not take it.
    async fn take_offered(self: &Arc<Self>) -> anyhow::Result<()> {
        if self.places.available_permits() == 0 || !queue::is_heard(&self.engine.queue, &self.id).await? {
            return Ok(());
        }
        // What is claimed is work that a stop waits for, also before it is begun.
        let _under_way = self.tracker.token();
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let Some(first) = self.claim_next().await else { break };
            let worker = Arc::clone(self);
            self.tracker.spawn(async move {
                if let Err(error) = worker.work_on(first, place).await {
                    warn!("a task ended without a record: {}", fault::told(&error));
                }
            });
        }
        Ok(())
    }

    /// Works on a task, and then on what is offered next.
    async fn work_on(self: &Arc<Self>, first: Claimed, _place: OwnedSemaphorePermit) -> anyhow::Result<()> {
        let mut claimed = Some(first);
        while let Some(present) = claimed {
            let worker = Arc::clone(self);
            self.tracker.spawn(async move { worker.work(present).await }).await.map_err(fault::bug)?;
            claimed = self.claim_next().await;
        }
        Ok(())
    }

    /// None where it is not known: the queue delivers it.
    async fn claim_next(&self) -> Option<Claimed> {
        if self.closing.is_cancelled() {
            return None;
        }
        match tasks::claim_next(&self.engine.pool, &self.engine.claimant(&self.id)).await {
            Ok(next) => return next,
            Err(error) if fault::judge(&error) == fault::Fault::Transient => {
                debug!("the next task is left to the queue: {}", fault::told(&error));
            }
            // The sweep gives up what was claimed.
            Err(error) => warn!("no further task is taken without its message: {}", fault::told(&error)),
        }
        None
    }

    /// One attempt, from its claim to what its end means for the run.
    async fn work(&self, claimed: Claimed) {
        let key = (claimed.run.id, claimed.fence.task.clone(), claimed.fence.item.clone());
        let (cancel, cause) = (CancellationToken::new(), Arc::new(OnceLock::new()));
        let active = Active { fence: claimed.fence.clone(), cancel: cancel.clone(), cause: Arc::clone(&cause) };
        self.active().insert(key.clone(), active);
        self.end_attempt_before(&claimed).await;
        let watch = self.watch_of(&claimed.run);
        let (run, is_limited) = (claimed.run.id, claimed.is_limited || self.engine.limit.is_some());
        let ended = attempt::make(&self.engine, claimed, watch, &cancel, &cause).await;
        self.active().remove(&key);
        let released = match ended {
            Ended::Last => self.advance(run).await,
            Ended::Open if is_limited => self.offer().await,
            Ended::Open | Ended::Stale => Ok(()),
        };
        if let Err(error) = released {
            // The next sweep does it.
            warn!(run.id = %run, "run {run} could not go on at once: {}", fault::told(&error));
        }
    }

    /// A server process whose client was cut off may still be at work for the attempt before, and hold its locks.
    async fn end_attempt_before(&self, claimed: &Claimed) {
        let Some(before) = claimed.fence.before() else { return };
        if let Err(error) = before.break_off(&self.engine.pool).await {
            warn!(run.id = %claimed.run.id, "what is left of an attempt could not be ended: {}", fault::told(&error));
        }
    }

    async fn advance(&self, run: Uuid) -> anyhow::Result<()> {
        let engine = &self.engine;
        advance::advance_now(&engine.pool, run, engine.clock.now(), engine.limit).await?;
        self.run_ended.notify_waiters();
        Ok(())
    }

    async fn offer(&self) -> anyhow::Result<()> {
        let mut transaction = self.engine.pool.begin().await?;
        advance::offer(&mut transaction, self.engine.clock.now(), self.engine.limit).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn sweep_once(&self, presence: &mut Presence, sweep: &mut Sweep, count: u64) -> anyhow::Result<()> {
        let stopwatch = Stopwatch::start();
        presence.keep().await?;
        sweep.look(&self.engine.pool, self.engine.clock.now(), self.engine.limit).await?;
        self.compare(sweep).await?;
        if count % PRUNE_EVERY == PRUNE_EVERY - 1 {
            queue::prune(&self.engine.queue).await?;
        }
        debug!(elapsed_ms = stopwatch.elapsed_ms(), "swept");
        Ok(())
    }

    /// Ends attempts that wait for an answer of a server which does not have their transaction any more.
    async fn end_cut_off(&self, cut_off: &mut CutOff) -> anyhow::Result<()> {
        let under_way: Vec<Fence> = self.active().values().map(|active| active.fence.clone()).collect();
        for Fence { run, task, item, attempt, .. } in cut_off.find(&self.engine.pool, under_way).await? {
            let active = self.active();
            let Some(active) = active.get(&(run, task, item)).filter(|active| active.fence.attempt == attempt) else {
                continue;
            };
            let _ = active.cause.set(Cause::CutOff);
            active.cancel.cancel();
        }
        Ok(())
    }

    /// Compares the attempts under way here with those that are recorded as this worker's.
    ///
    /// Those that are not the present ones any more have to stop: they were taken over, or their run was cancelled.
    /// Those that are not under way (the answer to a claim, or the end of an attempt, was never heard of) are given up.
    async fn compare(&self, sweep: &mut Sweep) -> anyhow::Result<()> {
        let before: Vec<(Key, i32)> = self.active().iter().map(|(key, a)| (key.clone(), a.fence.attempt)).collect();
        let present = tasks::list_of_worker(&self.engine.pool, &self.id).await?;
        for (key, attempt) in before {
            if present.contains(&(key.clone(), attempt)) {
                continue;
            }
            if let Some(active) = self.active().get(&key).filter(|a| a.fence.attempt == attempt) {
                let _ = active.cause.set(Cause::Stale);
                active.cancel.cancel();
            }
        }
        let is_active =
            |(key, attempt): &(Key, i32)| self.active().get(key).is_some_and(|a| a.fence.attempt == *attempt);
        let unheard = present.into_iter().filter(|p| !is_active(p)).collect();
        sweep.give_up(&self.engine.pool, unheard, self.engine.clock.now()).await
    }
}
