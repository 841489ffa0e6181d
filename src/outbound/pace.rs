//! A cap on requests in a second.

use crate::clock::{Clock, Stopwatch};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Hands out the instants at which requests may be sent, evenly and never in bursts: a vendor that counts by the
/// second or by the minute sees the same rate. Each request keeps the instant it was given, so that timers that
/// fire late don't lower the rate.
#[derive(Debug)]
pub(super) struct Pace {
    since: Stopwatch,
    slots: Mutex<Slots>,
}

/// The instants, as times since the beginning.
#[derive(Debug)]
struct Slots {
    every: Duration,
    next: Duration,
}

impl Slots {
    /// The instant of the next request, if it is asked for at `now`.
    fn take(&mut self, now: Duration) -> Duration {
        let slot = self.next.max(now);
        self.next = slot + self.every;
        slot
    }
}

impl Pace {
    /// At most so many a second; none is taken for 1.
    pub(super) fn new(requests_per_second: u32) -> Self {
        let every = Duration::from_secs(1) / requests_per_second.max(1);
        Self { since: Stopwatch::start(), slots: Mutex::new(Slots { every, next: Duration::ZERO }) }
    }

    /// Waits until the next request may be sent.
    pub(super) async fn wait(&self, clock: &Clock) {
        let now = self.since.elapsed();
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        if let Some(wait) = slot.checked_sub(now).filter(|wait| !wait.is_zero()) {
            clock.sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_second_has_more_requests_than_the_cap_and_none_waits_without_need(
            rate in 1_u32..500, mut asked in proptest::collection::vec(0_u64..3000, 1..300)
        ) {
            asked.sort_unstable();
            let every = Duration::from_secs(1) / rate;
            let mut slots = Slots { every, next: Duration::ZERO };
            let asked: Vec<Duration> = asked.into_iter().map(Duration::from_millis).collect();
            let taken: Vec<Duration> = asked.iter().map(|now| slots.take(*now)).collect();
            for (i, slot) in taken.iter().enumerate() {
                prop_assert!(*slot >= asked[i]);
                prop_assert!(i == 0 || *slot >= taken[i - 1] + every);
                prop_assert!(*slot == asked[i] || *slot == taken[i - 1] + every);
            }
        }
    }
}
