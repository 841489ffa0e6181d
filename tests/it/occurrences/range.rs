//! The run dates that a schedule has between two days.

use super::{day, due, job};
use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use proptest::prelude::*;
use std::collections::BTreeSet;

const SCHEDULES: [&str; 9] = [
    "30 2 * * *",
    "0 0 * * *",
    "*/15 * * * *",
    "0 5 * * 1-5",
    "0 12 29 2 *",
    "59 23 * * *",
    "0,59 0,23 * * 1",
    "30 0 1 * *",
    "15 */6 * * *",
];

const ZONES: [&str; 8] = [
    "UTC",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Africa/Cairo",
    "America/Havana",
];

#[test]
fn a_job_without_a_schedule_has_every_day_and_the_offset_is_part_of_the_run_date() {
    let all: Vec<_> = job("by-hand", "").run_dates(day("2025-05-16"), day("2025-05-18")).collect();
    assert_eq!(all, [day("2025-05-16"), day("2025-05-17"), day("2025-05-18")]);
    // Due from Monday to Friday for the day before.
    let data = due("data", "0 5 * * 1-5", "UTC", "run_date_offset_days = -1");
    let dates: Vec<_> = data.run_dates(day("2025-05-15"), day("2025-05-19")).collect();
    assert_eq!(dates, [day("2025-05-15"), day("2025-05-18"), day("2025-05-19")]);
    assert_eq!(data.run_dates(day("2025-05-16"), day("2025-05-15")).count(), 0);
    assert_eq!(data.run_dates(NaiveDate::MAX, NaiveDate::MAX).count(), 0);
    let apia = due("apia", "0 5 * * *", "Pacific/Apia", "");
    let dates: Vec<_> = apia.run_dates(day("2011-12-29"), day("2011-12-31")).collect();
    assert_eq!(dates, [day("2011-12-29"), day("2011-12-31")], "the 30th was skipped there");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_run_dates_of_a_range_are_those_of_the_due_instants(
        schedule in prop::sample::select(&SCHEDULES[..]),
        zone in prop::sample::select(&ZONES[..]),
        start in 0..7_300_u64,
        length in 0..40_u64,
        offset in -3..=3_i32,
    ) {
        let from = day("2005-01-01") + Days::new(start);
        let to = from + Days::new(length);
        let job = due("any", schedule, zone, &format!("run_date_offset_days = {offset}"));
        let (after, upto) = (from - TimeDelta::days(6), to + TimeDelta::days(6));
        let instant = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let instants = job.schedule.as_ref().expect("a schedule").between(instant(after), instant(upto));
        let expected: BTreeSet<NaiveDate> =
            instants.map(|due| job.run_date(due)).filter(|date| (from..=to).contains(date)).collect();
        let found: Vec<NaiveDate> = job.run_dates(from, to).collect();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}
