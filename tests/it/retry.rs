//! How long a task waits before it is tried again.

use bursar::engine::job::Task;
use bursar::engine::retry::{Retry, delay};
use proptest::prelude::*;
use std::time::Duration;

/// The longest delay after so many failures: with a random number next to 1.
fn longest(retry: &Retry, failures: u32) -> Duration {
    delay(retry, failures, 1.0_f64.next_down())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn retry() -> impl Strategy<Value = Retry> {
    (1..=100_u32, 0..=86_400_u64, 0..=86_400_u64).prop_map(|(attempts, a, b)| Retry {
        attempts,
        first_delay_s: a.min(b),
        max_delay_s: a.max(b),
    })
}

#[test]
fn the_longest_delay_doubles_with_each_failure_up_to_the_bound() {
    let retry = Retry { attempts: 12, first_delay_s: 2, max_delay_s: 300 };
    for (failures, expected) in (1..).zip([2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]) {
        let longest = longest(&retry, failures);
        assert!(longest <= seconds(expected) && longest > seconds(expected).mul_f64(0.999), "{failures}: {longest:?}");
    }
}

#[test]
fn the_jitter_is_full() {
    let retry = Retry { attempts: 3, first_delay_s: 8, max_delay_s: 300 };
    for (random, expected) in [(0.0, 0), (0.25, 2), (0.5, 4), (0.75, 6)] {
        assert_eq!(delay(&retry, 1, random), seconds(expected));
    }
}

#[test]
fn what_a_job_leaves_out_is_three_attempts_within_minutes() {
    assert_eq!(Retry::default(), Retry { attempts: 3, first_delay_s: 2, max_delay_s: 300 });
}

#[test]
fn a_task_kept_as_json_is_the_task() {
    let retry = Retry { attempts: 7, first_delay_s: 0, max_delay_s: 1 };
    let task = Task {
        name: "load".to_owned(),
        kind: "load".to_owned(),
        subject: "ratings".to_owned(),
        for_each: Some("customer".to_owned()),
        after: vec![2, 0],
        after_any_outcome: true,
        timeout_s: Some(604_800),
        retry,
    };
    for task in [Task { timeout_s: None, for_each: None, ..task.clone() }, task] {
        let kept = serde_json::to_value(&task).expect("JSON");
        assert_eq!(serde_json::from_value::<Task>(kept).expect("a task"), task);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_delay_is_longer_than_the_bound(retry in retry(), failures: u32, random in 0.0..1.0_f64) {
        let delay = delay(&retry, failures, random);
        prop_assert!(delay <= seconds(retry.max_delay_s));
        prop_assert!(delay <= longest(&retry, failures));
    }

    #[test]
    fn a_further_failure_never_shortens_the_longest_delay(retry in retry(), failures in 0..200_u32) {
        prop_assert!(longest(&retry, failures) <= longest(&retry, failures + 1));
        prop_assert_eq!(longest(&retry, failures.max(1)), longest(&Retry { attempts: 1, ..retry }, failures.max(1)));
    }

    #[test]
    fn nothing_overflows_whatever_is_handed_in(
        attempts: u32, first_delay_s: u64, max_delay_s: u64, failures: u32, random in prop::num::f64::ANY,
    ) {
        let retry = Retry { attempts, first_delay_s, max_delay_s };
        // Seconds as a float: the last bits of a delay of 500 billion years are lost.
        let bound = seconds(max_delay_s.saturating_add(max_delay_s >> 50).saturating_add(1));
        prop_assert!(delay(&retry, failures, random) <= bound);
    }
}
