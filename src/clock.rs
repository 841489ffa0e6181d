//! The only place that asks the time.
//!
//! Everything else is handed a [`Clock`] (or an instant), so that a test or a rehearsal can say what time it is.

use chrono::{DateTime, Utc};
use std::time::{Duration, Instant};

/// Tells the time: the system's, or one that was set and runs on from there.
#[derive(Clone, Debug)]
pub struct Clock {
    set: Option<(DateTime<Utc>, Instant)>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { set: None }
    }

    /// A clock that shows `instant` now and runs on at the usual speed.
    #[must_use]
    pub fn starting_at(instant: DateTime<Utc>) -> Self {
        Self { set: Some((instant, Instant::now())) }
    }

    /// The instant it is now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self.set {
            None => Utc::now(),
            Some((instant, since)) => instant + since.elapsed(),
        }
    }
}

/// Measures how long something takes, unmoved by changes of the system's clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Whole milliseconds since the start.
    #[must_use]
    pub fn elapsed_ms(self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}
