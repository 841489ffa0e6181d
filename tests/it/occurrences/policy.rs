//! What a job's policy makes of due instants, without a database.

use super::{day, due, job, utc};
use bursar::engine::dispatch::judge_due;
use bursar::engine::job::Job;
use bursar::engine::occurrences::Occurrence;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;

const MINUTE: TimeDelta = TimeDelta::seconds(60);

/// The state that each gets.
fn states(judged: &[Occurrence]) -> Vec<&'static str> {
    judged.iter().map(|o| o.passed_over.as_ref().map_or("queued", |p| p.state)).collect()
}

fn run(judged: &[Occurrence]) -> Vec<DateTime<Utc>> {
    judged.iter().filter(|o| o.passed_over.is_none()).map(|o| o.due_at).collect()
}

/// What comes of looking again and again, as at each beat, until nothing is left.
fn judge_all(job: &Job, mut since: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Occurrence> {
    let mut all = Vec::new();
    loop {
        let judged = judge_due(job, since, now);
        let Some(last) = judged.last() else { return all };
        since = last.due_at;
        all.extend(judged);
    }
}

#[test]
fn of_what_was_missed_the_policy_says_what_is_run() {
    let (since, now) = (utc("2025-05-09T12:00"), utc("2025-05-13T12:00"));
    for (keys, expected) in [
        ("catchup = \"none\"", ["skipped", "skipped", "skipped", "skipped"]),
        ("catchup = \"latest\"", ["coalesced", "coalesced", "coalesced", "queued"]),
        ("catchup = \"all\"", ["queued"; 4]),
        ("catchup = \"all\"\ncatchup_limit = 4", ["queued"; 4]),
        ("catchup = \"all\"\ncatchup_limit = 3", ["skipped", "queued", "queued", "queued"]),
        ("catchup = \"all\"\ncatchup_limit = 1", ["skipped", "skipped", "skipped", "queued"]),
    ] {
        let job = due("daily", "0 5 * * *", "UTC", keys);
        assert_eq!(states(&judge_due(&job, since, now)), expected, "{keys}");
    }
}

#[test]
fn what_is_due_now_is_run_beside_the_missed_that_the_limit_lets_through() {
    let job = due("daily", "0 5 * * *", "UTC", "catchup = \"all\"\ncatchup_limit = 1");
    let judged = judge_due(&job, utc("2025-05-09T12:00"), utc("2025-05-12T05:00"));
    assert_eq!(states(&judged), ["skipped", "queued", "queued"]);
    let reason = &judged[0].passed_over.as_ref().unwrap().reason;
    assert_eq!(reason, "missed, and not one of the latest 1 missed (catchup_limit = 1)");
}

#[test]
fn without_a_limit_in_its_file_a_job_catches_up_thirty_one() {
    let job = due("daily", "0 5 * * *", "UTC", "catchup = \"all\"");
    let judged = judge_due(&job, utc("2024-01-01T12:00"), utc("2025-01-01T12:00"));
    assert_eq!((judged.len(), run(&judged).len()), (366, 31));
    assert!(states(&judged).is_sorted_by(|a, b| b <= a), "the latest are run");
}

#[test]
fn a_gap_of_more_than_one_batch_is_caught_up_within_one_limit() {
    let job = due("often", "* * * * * *", "UTC", "catchup = \"all\"\ncatchup_limit = 7");
    let (since, now) = (utc("2025-05-13T00:00"), utc("2025-05-13T07:00"));
    let judged = judge_all(&job, since, now);
    assert_eq!(judged.len(), 7 * 3600);
    let missed = |due: &&DateTime<Utc>| now - **due > MINUTE;
    let run = run(&judged);
    assert_eq!(run.iter().filter(missed).count(), 7);
    assert_eq!(run.len(), 7 + 61, "and every one of the last minute");
    assert!(run.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::seconds(1)), "the latest ones");
}

#[test]
fn a_run_date_is_the_day_it_is_due_plus_the_offset() {
    for (offset, expected) in [(-1, "2025-02-28"), (0, "2025-03-01"), (1, "2025-03-02"), (-366, "2024-02-29")] {
        let job = due("data", "0 22 * * *", "America/New_York", &format!("run_date_offset_days = {offset}"));
        let judged = judge_due(&job, utc("2025-03-02T00:00"), utc("2025-03-02T12:00"));
        assert_eq!(judged[0].due_at, utc("2025-03-02T03:00"));
        assert_eq!(judged[0].run_date, day(expected));
    }
}

#[test]
fn a_skipped_reading_at_midnight_keeps_its_day_before_the_offset_is_added() {
    let job = due("data", "30 23 * * *", "America/Nuuk", "run_date_offset_days = -1");
    let judged = judge_due(&job, utc("2024-03-30T12:00"), utc("2024-04-01T12:00"));
    let dates: Vec<_> = judged.iter().map(|o| o.run_date).collect();
    assert_eq!(dates, [day("2024-03-29"), day("2024-03-30")]);
}

#[test]
fn the_run_date_of_today_is_that_of_an_occurrence_of_today() {
    let now = utc("2025-01-01T02:00");
    for (zone, offset, expected) in [
        ("America/New_York", 0, "2024-12-31"),
        ("America/New_York", -1, "2024-12-30"),
        ("UTC", -1, "2024-12-31"),
        ("Pacific/Kiritimati", 30, "2025-01-31"),
    ] {
        let keys = format!("timezone = {zone:?}\nrun_date_offset_days = {offset}");
        assert_eq!(job("data", &keys).run_date_today(now), day(expected), "{zone} {offset}");
    }
    let job = job("data", "run_date_offset_days = 1");
    assert_eq!(job.run_date_today(DateTime::<Utc>::MAX_UTC), DateTime::<Utc>::MAX_UTC.date_naive());
}

#[test]
fn a_job_without_a_schedule_is_never_due() {
    assert_eq!(judge_due(&job("data", ""), utc("2000-01-01T00:00"), utc("2025-01-01T00:00")), []);
}

#[test]
fn a_clock_that_goes_back_makes_nothing_due() {
    for catchup in ["none", "latest", "all"] {
        let job = due("hourly", "0 * * * *", "UTC", &format!("catchup = {catchup:?}"));
        assert_eq!(judge_due(&job, utc("2025-05-13T12:00"), utc("2025-05-13T11:00")), []);
        assert_eq!(judge_due(&job, utc("2025-05-13T12:00"), utc("1970-01-01T00:00")), []);
    }
}

const EXPRESSIONS: [&str; 6] =
    ["30 2 * * *", "0 0 * * *", "*/15 * * * *", "*/15 1-3 * * *", "0 4 L * *", "*/20 30 1,2 * * SUN"];

const ZONES: [&str; 5] = ["America/New_York", "Europe/Madrid", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"];

fn span() -> impl Strategy<Value = (DateTime<Utc>, DateTime<Utc>)> {
    let from = utc("2005-01-01T00:00").timestamp_millis()..utc("2030-01-01T00:00").timestamp_millis();
    let length = prop_oneof![0..200_i64, 0..100_000_i64, 0..10_000_000_i64];
    (from, length).prop_map(|(from, length)| {
        let since = DateTime::from_timestamp_millis(from).unwrap();
        (since, since + TimeDelta::seconds(length))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_due_instant_is_judged_once_whatever_the_policy(
        expression in select(&EXPRESSIONS[..]), zone in select(&ZONES[..]), catchup in select(vec!["none", "latest", "all"]),
        (since, now) in span(),
    ) {
        let job = due("any", expression, zone, &format!("catchup = {catchup:?}"));
        let judged: Vec<_> = judge_all(&job, since, now).into_iter().map(|o| o.due_at).collect();
        prop_assert_eq!(judged, job.schedule.as_ref().unwrap().between(since, now).collect::<Vec<_>>());
    }

    #[test]
    fn of_the_missed_exactly_the_latest_up_to_the_limit_are_run_and_all_that_are_on_time(
        expression in select(&EXPRESSIONS[..]), zone in select(&ZONES[..]), limit in 1..60_usize, (since, now) in span(),
    ) {
        let job = due("any", expression, zone, &format!("catchup = \"all\"\ncatchup_limit = {limit}"));
        let all: Vec<_> = job.schedule.as_ref().unwrap().between(since, now).collect();
        let missed = all.iter().filter(|due| now - **due > MINUTE).count();
        let expected = all[missed.saturating_sub(limit)..].to_vec();
        prop_assert_eq!(run(&judge_all(&job, since, now)), expected);
    }

    #[test]
    fn after_the_cut_lie_the_latest_so_many(
        expression in select(&EXPRESSIONS[..]), zone in select(&ZONES[..]), count in 0..60_usize, (after, upto) in span(),
    ) {
        let job = due("any", expression, zone, "");
        let schedule = job.schedule.as_ref().unwrap();
        let all: Vec<_> = schedule.between(after, upto).collect();
        let cut = schedule.before_latest(count, after, upto);
        prop_assert!(after <= cut);
        prop_assert!(schedule.between(cut, upto).eq(all[all.len().saturating_sub(count)..].iter().copied()));
    }

    #[test]
    fn the_offset_moves_every_run_date_and_no_instant(
        expression in select(&EXPRESSIONS[..]), zone in select(&ZONES[..]), offset in -366..=366_i64, (since, now) in span(),
    ) {
        let plain = judge_due(&due("any", expression, zone, ""), since, now);
        let moved = judge_due(&due("any", expression, zone, &format!("run_date_offset_days = {offset}")), since, now);
        let back: Vec<_> = moved
            .into_iter()
            .map(|o| Occurrence { run_date: o.run_date - TimeDelta::days(offset), ..o })
            .collect();
        prop_assert_eq!(plain, back);
    }
}
