//! How often somebody may ask: a bucket that fills at an even rate and holds a second's worth.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A bucket of requests. The time is given by the caller, counted from whenever he likes.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: u32,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    requests: f64,
    at: Duration,
}

/// What is left in a bucket: whole requests, or how long until there is one.
pub(super) type Taken = Result<u64, Duration>;

impl Bucket {
    /// A full one.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, level: Mutex::new(Level { requests: f64::from(per_second), at: Duration::ZERO }) }
    }

    /// Takes a request out, and says how many are left.
    pub(super) fn take(&self, now: Duration) -> Taken {
        let rate = f64::from(self.per_second);
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = now.saturating_sub(level.at).as_secs_f64() * rate;
        level.requests = (level.requests + filled).min(rate);
        level.at = level.at.max(now);
        if level.requests < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - level.requests) / rate));
        }
        level.requests -= 1.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a u32's greatest")]
        Ok(level.requests as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_second_has_its_requests_and_the_next_one_waits() {
        let bucket = Bucket::new(2);
        let at = Duration::from_millis;
        assert_eq!([bucket.take(at(0)), bucket.take(at(0))], [Ok(1), Ok(0)]);
        assert_eq!(bucket.take(at(0)), Err(at(500)));
        assert_eq!(bucket.take(at(500)), Ok(0));
        assert_eq!(bucket.take(at(400)), Err(at(500)), "a clock that goes back fills nothing");
        assert_eq!(bucket.take(at(60_000)), Ok(1), "a pause gives a second's worth");
    }

    proptest! {
        #[test]
        fn no_span_has_more_than_its_share_and_a_second_more(
            rate in 1_u32..50,
            pauses in prop::collection::vec(0_u64..100, 1..200),
        ) {
            let bucket = Bucket::new(rate);
            let (mut now, mut taken) = (0, 0_u32);
            for pause in pauses {
                now += pause;
                taken += u32::from(bucket.take(Duration::from_millis(now)).is_ok());
            }
            let share = Duration::from_millis(now).as_secs_f64() * f64::from(rate);
            prop_assert!(f64::from(taken) <= share + f64::from(rate) + 1e-6);
        }
    }
}
