//! How often, and after which delays, a task is tried again. Pure: chance is handed in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a task is tried again after a transient fault; after any other it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// How often it is tried in all.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// The longest delay before the second attempt, in seconds; it doubles with each further one.
    #[schemars(range(max = 86_400))]
    pub first_delay_s: u64,
    /// No delay is longer, in seconds.
    #[schemars(range(max = 86_400))]
    pub max_delay_s: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, first_delay_s: 2, max_delay_s: 300 }
    }
}

/// How long to wait after so many failures before the next attempt: `random`, from 0 up to but not 1, times
/// min(max, first · 2^(failures - 1)).
///
/// The jitter is full: what failed together does not come back together. A `random` out of its range is taken for
/// the end of it that is nearer, and what is no number for 0.
#[must_use]
pub fn delay(retry: &Retry, failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1);
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let longest = retry.first_delay_s.saturating_mul(factor).min(retry.max_delay_s);
    let share = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
    Duration::try_from_secs_f64(Duration::from_secs(longest).as_secs_f64() * share).unwrap_or(Duration::MAX)
}
