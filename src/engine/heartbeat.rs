//! The daemon's heartbeat: one beat a second from tokio-cron-scheduler, and how long ago the last one was.
//!
//! The beat only says "look now". What is due is computed from the database and the jobs' schedules, so a
//! beat that is late, lost or doubled changes nothing.

use crate::clock::Stopwatch;
use anyhow::Context;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler};

/// A running heartbeat.
pub struct Heartbeat {
    scheduler: JobScheduler,
    pulse: Pulse,
}

/// Tells how long ago the heart beat last, and the last beat's work was done.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Stopwatch>>);

impl Pulse {
    /// A pulse that was felt just now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Stopwatch::start())))
    }

    /// The work of a beat was done.
    pub fn feel(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Stopwatch::start();
    }

    /// Time since then.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

impl Heartbeat {
    /// Starts beating; each beat is a message, and beats that nobody has taken yet are one.
    ///
    /// # Errors
    /// What the scheduler says.
    pub async fn start() -> anyhow::Result<(Self, mpsc::Receiver<()>)> {
        let (sender, receiver) = mpsc::channel(1);
        let mut scheduler = JobScheduler::new().await.context("make the heartbeat")?;
        let beat = Job::new_async("* * * * * *", move |_, _| {
            let sender = sender.clone();
            Box::pin(async move {
                let _ = sender.try_send(());
            })
        })
        .context("make the heartbeat")?;
        scheduler.add(beat).await.context("make the heartbeat")?;
        scheduler.start().await.context("start the heartbeat")?;
        scheduler.set_shutdown_handler(Box::new(|| Box::pin(async {})));
        Ok((Self { scheduler, pulse: Pulse::new() }, receiver))
    }

    /// Its pulse.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Stops beating.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!("the heartbeat did not stop cleanly: {error}");
        }
    }
}
