//! The verdict on one delivery: pure, over every state and instant.

use super::{DEADLINE, at, day};
use bursar::deliveries::judge::{Sight, judge};
use bursar::deliveries::{Delivery, State};
use bursar::rows::inbox::{Delivered, Found};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::path::PathBuf;

/// In the late window for five hours, watched for changes for ten.
fn delivery(state: State) -> Delivery {
    let deadline = at(DEADLINE);
    let is_there = matches!(state, State::Arrived | State::Late | State::Duplicate | State::Changed);
    Delivery {
        dataset: "d".into(),
        customer: "c".into(),
        run_date: day("2025-05-13"),
        job: "j".into(),
        state,
        deadline,
        window_end: deadline + TimeDelta::hours(5),
        changes_until: deadline + TimeDelta::hours(10),
        file_path: is_there.then(|| "in/x.csv".into()),
        file_bytes: is_there.then_some(10),
        file_modified_at: is_there.then_some(deadline),
        file_sha256: None,
        arrived_at: is_there.then_some(deadline),
        load_id: is_there.then_some(7),
        run_id: None,
        refused_id: None,
        note: None,
        updated_at: deadline,
    }
}

fn file(bytes: u64, complete_at: DateTime<Utc>) -> Sight {
    Sight::There(Delivered { path: PathBuf::from("in/x.csv"), bytes, modified_at: at(DEADLINE), complete_at })
}

fn after(hours: i64) -> DateTime<Utc> {
    at(DEADLINE) + TimeDelta::hours(hours)
}

/// The state a delivery is to be in, with what is said of it.
fn verdict(from: &Delivery, sight: Sight, now: DateTime<Utc>) -> Option<(State, String)> {
    judge(from, sight, now).map(|m| (m.state, m.note.unwrap_or_default()))
}

#[test]
fn when_it_was_complete_decides_and_not_when_somebody_looked() {
    let expected = delivery(State::Expected);
    for (complete, state, note) in [
        (-1, State::Arrived, ""),
        (0, State::Arrived, ""),
        (1, State::Late, ""),
        (5, State::Late, ""),
        (6, State::Missing, "in/x.csv came at 2025-05-13T16:30:00Z, after the late window"),
    ] {
        let found = verdict(&expected, file(10, after(complete)), after(100));
        assert_eq!(found, Some((state, note.to_owned())), "{complete}");
    }
    let missing = delivery(State::Missing);
    assert_eq!(verdict(&missing, file(10, after(5)), after(100)), Some((State::Late, String::new())));
    assert_eq!(verdict(&missing, file(10, after(6)), after(100)), None);
}

#[test]
fn a_file_of_the_future_has_come_when_it_was_seen() {
    let found = judge(&delivery(State::Expected), file(10, after(1000)), after(-1)).expect("a move");
    assert_eq!((found.state, found.file.expect("a file").1), (State::Arrived, after(-1)));
}

#[test]
fn only_what_was_loaded_can_change_and_only_for_a_while() {
    for state in [State::Arrived, State::Late, State::Duplicate, State::Changed] {
        let loaded = delivery(state);
        assert_eq!(verdict(&loaded, file(10, after(1)), after(2)), None, "the same");
        let said = "in/x.csv is no longer the file that load 7 read".to_owned();
        assert_eq!(verdict(&loaded, file(11, after(1)), after(2)), Some((State::Changed, said)));
        assert_eq!(verdict(&loaded, file(11, after(1)), after(10)), None, "too late");
        let elsewhere = Delivery { file_path: Some("in/y.csv".into()), ..loaded.clone() };
        assert_eq!(verdict(&elsewhere, file(11, after(1)), after(2)), None, "another path");
        let unloaded = Delivery { load_id: None, ..loaded };
        assert_eq!(verdict(&unloaded, file(11, after(1)), after(2)), None, "not loaded");
    }
}

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(State::ALL.to_vec())
}

fn any_sight() -> impl Strategy<Value = Sight> {
    prop_oneof![
        Just(Sight::of(Found::Nothing("in/x*.csv".into()))),
        Just(Sight::of(Found::Partial("in/x.csv".into(), "why".into()))),
        Just(Sight::of(Found::Several(vec!["a".into(), "b".into()]))),
        (9u64..12, -20i64..20).prop_map(|(bytes, hours)| file(bytes, after(hours))),
    ]
}

proptest! {
    #[test]
    fn no_state_is_left_but_for_those_that_may_follow(state in any_state(), sight in any_sight(), hours in -20i64..20) {
        let Some(to) = judge(&delivery(state), sight, after(hours)).map(|m| m.state) else { return Ok(()) };
        let may_follow: &[State] = match state {
            State::Expected => &[State::Arrived, State::Late, State::Missing],
            State::Missing => &[State::Late],
            State::Arrived | State::Late | State::Duplicate | State::Changed => &[State::Changed],
            State::NotExpected => &[],
        };
        prop_assert!(may_follow.contains(&to), "{:?} → {:?}", state, to);
    }

    #[test]
    fn nothing_is_missing_before_its_deadline_and_nothing_expected_after_it(sight in any_sight(), hours in -20i64..20) {
        let found = judge(&delivery(State::Expected), sight.clone(), after(hours));
        if hours <= 0 {
            prop_assert!(found.is_none_or(|m| m.state == State::Arrived));
        } else {
            prop_assert!(found.is_some());
        }
    }
}
