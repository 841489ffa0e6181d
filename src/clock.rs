//! The only place that asks the time.
//!
//! Everything else is handed a [`Clock`] (or an instant), so that a test or a rehearsal can say what time it is.

use chrono::{DateTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tells the time: the system's, or one that was set and runs on from there. Waiting is asked of it, too.
#[derive(Clone, Debug)]
pub struct Clock {
    /// How far the system's clock is ahead of the one that is followed, in microseconds.
    ahead: Arc<AtomicI64>,
    set: Option<(DateTime<Utc>, Instant)>,
    leapt: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { ahead: Arc::default(), set: None, leapt: None }
    }

    /// A clock that shows `instant` now and runs on at the usual speed.
    #[must_use]
    pub fn starting_at(instant: DateTime<Utc>) -> Self {
        Self { set: Some((instant, Instant::now())), ..Self::system() }
    }

    /// A clock that shows `instant` now and leaps over what is waited for: a rehearsal of hours takes no time.
    #[must_use]
    pub fn leaping_from(instant: DateTime<Utc>) -> Self {
        Self { leapt: Some(Arc::default()), ..Self::starting_at(instant) }
    }

    /// The instant it is now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self.set {
            None => Utc::now() - self.ahead(),
            Some((instant, since)) => instant + since.elapsed() + self.leapt(),
        }
    }

    /// Follows, together with its clones, a clock that all machines share and that shows `shared` now. A clock that was set
    /// follows none.
    pub fn follow(&self, shared: DateTime<Utc>) {
        if self.set.is_none() {
            let ahead = (Utc::now() - shared).num_microseconds().unwrap_or(i64::MAX);
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }

    /// How far the system's clock is ahead of the one that is followed; negative if it is behind.
    #[must_use]
    pub fn ahead(&self) -> TimeDelta {
        TimeDelta::microseconds(self.ahead.load(Ordering::Relaxed))
    }

    /// How much waiting was leapt over so far.
    #[must_use]
    pub fn leapt(&self) -> Duration {
        self.leapt.as_ref().map_or(Duration::ZERO, |leapt| Duration::from_nanos(leapt.load(Ordering::Relaxed)))
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        match &self.leapt {
            None => tokio::time::sleep(duration).await,
            Some(leapt) => {
                leapt.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    }
}

/// An instant as people read it everywhere: RFC 3339 to the second with its zone's offset, as in
/// `2025-05-13T06:30:00-04:00`, and `Z` for UTC.
#[must_use]
pub fn timestamp<Z: TimeZone>(at: &DateTime<Z>) -> String
where
    Z::Offset: Display,
{
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_follows_the_shared_one_with_its_clones_unless_it_was_set() {
        let hour = TimeDelta::hours(1);
        let (clock, shared) = (Clock::system(), Utc::now() - hour);
        let clone = clock.clone();
        clock.follow(shared);
        assert!((clone.ahead() - hour).abs() < TimeDelta::minutes(1), "{}", clone.ahead());
        assert!((clone.now() - shared).abs() < TimeDelta::minutes(1));
        let set = Clock::starting_at(shared);
        set.follow(Utc::now());
        assert_eq!(set.ahead(), TimeDelta::zero());
    }
}
