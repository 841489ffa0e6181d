//! Laws of a schedule, and a model that looks at the clock every minute.

use super::{schedule, utc};
use bursar::engine::schedule::Schedule;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::BTreeSet;

const ZONES: [&str; 12] = [
    "America/New_York",
    "Europe/Madrid",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Pacific/Apia",
    "Europe/London",
    "America/St_Johns",
    "America/Nuuk",
    "Pacific/Chatham",
    "UTC",
];

const EXPRESSIONS: [&str; 10] = [
    "30 2 * * *",
    "0 0 * * *",
    "59 23 * * 1-5",
    "0,30 1-3 * * *",
    "*/15 2 * * *",
    "0 */2 * * *",
    "7 * * * *",
    "*/15 * * * *",
    "0 4 L * *",
    "*/20 30 1,2 * * SUN",
];

/// The model: a schedule in sets, and its text.
#[derive(Clone, Debug)]
struct Plan {
    text: String,
    seconds: Vec<u32>,
    minutes: Vec<u32>,
    hours: Vec<u32>,
    weekdays: Vec<u32>,
}

impl Plan {
    fn new(seconds: Vec<u32>, minutes: Vec<u32>, hours: Vec<u32>, weekdays: Vec<u32>) -> Self {
        let list = |values: &[u32]| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let text = format!("{} {} {} * * {}", list(&seconds), list(&minutes), list(&hours), list(&weekdays));
        Self { text, seconds, minutes, hours, weekdays }
    }

    fn matches(&self, reading: NaiveDateTime) -> bool {
        self.seconds.contains(&reading.second())
            && self.minutes.contains(&reading.minute())
            && self.hours.contains(&reading.hour())
            && self.weekdays.contains(&reading.weekday().num_days_from_sunday())
    }

    /// What is due in (after, upto], by looking at the clock every `step`. `after` must not be in a repeated hour.
    fn walk(&self, zone: Tz, after: DateTime<Utc>, upto: DateTime<Utc>, step: TimeDelta) -> Vec<DateTime<Utc>> {
        let every_hour = self.hours.len() == 24;
        let mut due = Vec::new();
        let mut furthest = after.with_timezone(&zone).naive_local();
        let mut at = after + step;
        while at <= upto {
            let reading = at.with_timezone(&zone).naive_local();
            let is_due = if every_hour { self.matches(reading) } else { self.is_reached(furthest, reading, step) };
            if is_due {
                due.push(at);
            }
            furthest = furthest.max(reading);
            at += step;
        }
        due
    }

    /// Whether the clock, moving from `furthest` to `reading`, reaches a matching reading for the first time,
    /// days without any reading left out.
    fn is_reached(&self, furthest: NaiveDateTime, reading: NaiveDateTime, step: TimeDelta) -> bool {
        let exists = |day: NaiveDate| day == furthest.date() || day == reading.date();
        std::iter::successors(Some(furthest + step), |r| Some(*r + step))
            .take_while(|r| *r <= reading)
            .any(|r| exists(r.date()) && self.matches(r))
    }
}

/// The instants at which a zone's offset changes from 2005 to 2030.
fn changes(zone: Tz) -> Vec<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let quarter = TimeDelta::minutes(15);
    let days =
        (0..).map(|n| utc("2005-01-01T00:00") + TimeDelta::days(n)).take_while(|at| *at < utc("2031-01-01T00:00"));
    let changing = days.filter(|at| offset(*at) != offset(*at + TimeDelta::days(1)));
    let change_within = |day: DateTime<Utc>| {
        (1..=96).map(|n| day + quarter * n).find(|at| offset(*at) != offset(*at - quarter)).unwrap()
    };
    changing.map(change_within).collect()
}

fn all_changes() -> Vec<(&'static str, DateTime<Utc>)> {
    ZONES.iter().flat_map(|zone| changes(zone.parse().unwrap()).into_iter().map(move |at| (*zone, at))).collect()
}

#[track_caller]
fn assert_as_the_model(plan: &Plan, zone: &str, around: DateTime<Utc>, reach: TimeDelta, step: TimeDelta) {
    let (after, upto) = (around - reach, around + reach);
    let found: Vec<_> = schedule(&plan.text, zone).between(after, upto).collect();
    assert_eq!(found, plan.walk(zone.parse().unwrap(), after, upto, step), "{} in {zone}", plan.text);
}

#[test]
fn nothing_is_lost_nor_repeated_at_any_change_of_the_clocks() {
    let quarters = vec![0, 15, 30, 45];
    let hours = || (0..24).collect::<Vec<u32>>();
    let week = || (0..7).collect::<Vec<u32>>();
    let plans = [
        Plan::new(vec![0], vec![30], vec![2], week()),
        Plan::new(vec![0], vec![0, 59], vec![0, 23], week()),
        Plan::new(vec![0], vec![7], hours(), week()),
        Plan::new(vec![0], quarters.clone(), hours(), week()),
        Plan::new(vec![0], quarters, vec![0, 1, 2, 3, 23], vec![0, 6]),
    ];
    let changes = all_changes();
    assert!(changes.len() > 300, "only {} changes", changes.len());
    for (zone, change) in changes {
        for plan in &plans {
            assert_as_the_model(plan, zone, change, TimeDelta::hours(10), TimeDelta::minutes(1));
        }
    }
}

#[test]
fn no_second_is_lost_nor_repeated() {
    let seconds = || vec![0, 7, 59];
    let named = Plan::new(seconds(), vec![0, 29, 30, 59], vec![1, 2, 3], (0..7).collect());
    let every_hour = Plan::new(seconds(), vec![15, 45], (0..24).collect(), (0..7).collect());
    for (zone, change) in all_changes().into_iter().filter(|(_, change)| change.year() == 2024) {
        assert_as_the_model(&named, zone, change, TimeDelta::hours(3), TimeDelta::seconds(1));
        assert_as_the_model(&every_hour, zone, change, TimeDelta::hours(3), TimeDelta::seconds(1));
    }
}

#[test]
fn a_daily_job_runs_once_for_every_day_that_exists() {
    let (first, last) = (utc("2005-01-01T00:00"), utc("2031-01-01T00:00"));
    for zone in ZONES {
        let days = days_shown(zone.parse().unwrap(), first, last);
        for expression in ["0 0 * * *", "30 2 * * *"] {
            let job = schedule(expression, zone);
            let margin = TimeDelta::days(2);
            let dates: Vec<_> = job.between(first - margin, last + margin).map(|due| job.run_date(due)).collect();
            let within = dates.into_iter().filter(|date| days.first() <= Some(date) && Some(date) <= days.last());
            assert!(within.eq(days.iter().copied()), "{expression} in {zone}");
        }
    }
}

/// The days that a clock shows from one instant to another.
fn days_shown(zone: Tz, from: DateTime<Utc>, upto: DateTime<Utc>) -> BTreeSet<NaiveDate> {
    let instants = std::iter::successors(Some(from), |at| Some(*at + TimeDelta::hours(6))).take_while(|at| *at <= upto);
    instants.map(|at| at.with_timezone(&zone).date_naive()).collect()
}

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    let span = utc("2005-01-01T00:00").timestamp()..utc("2030-12-31T00:00").timestamp();
    span.prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}

/// A zone and an instant within a few hours of a change of its clocks, or anywhere.
fn place_and_time() -> impl Strategy<Value = (&'static str, DateTime<Utc>)> {
    let near = (select(all_changes()), -5 * 3600_i64..5 * 3600);
    prop_oneof![
        3 => near.prop_map(|((zone, change), seconds)| (zone, change + TimeDelta::seconds(seconds))),
        1 => (select(&ZONES[..]), instant()),
    ]
}

fn hours() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        Just((0..24).collect::<Vec<u32>>()),
        subsequence((0..24).collect::<Vec<u32>>(), 1..24),
        subsequence(vec![0, 1, 2, 3, 23], 1..=5)
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let minutes = subsequence((0..60).collect::<Vec<u32>>(), 1..5);
    let weekdays = subsequence((0..7).collect::<Vec<u32>>(), 1..=7);
    (minutes, hours(), weekdays).prop_map(|(minutes, hours, weekdays)| Plan::new(vec![0], minutes, hours, weekdays))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_is_due_as_in_the_model(plan in plan(), (zone, change) in select(all_changes())) {
        assert_as_the_model(&plan, zone, change, TimeDelta::hours(20), TimeDelta::minutes(1));
    }

    #[test]
    fn occurrences_of_two_spans_are_those_of_both(
        expression in select(&EXPRESSIONS[..]), (zone, a) in place_and_time(), first in 0..50_000_i64, second in 0..50_000_i64,
    ) {
        let job = schedule(expression, zone);
        let (b, c) = (a + TimeDelta::seconds(first), a + TimeDelta::seconds(first + second));
        let whole: Vec<_> = job.between(a, c).collect();
        let parts: Vec<_> = job.between(a, b).chain(job.between(b, c)).collect();
        prop_assert_eq!(&whole, &parts);
        prop_assert!(whole.is_sorted_by(|x, y| x < y));
        prop_assert!(whole.iter().all(|due| a < *due && *due <= c));
    }

    #[test]
    fn the_last_occurrence_is_the_one_before_the_next(
        expression in prop_oneof![9 => select(&EXPRESSIONS[..]), 1 => Just("* * * * * *")],
        (zone, at) in place_and_time(), nanos in 0..1_000_000_000_u32,
    ) {
        let job = schedule(expression, zone);
        let at = at.with_nanosecond(nanos).unwrap();
        let last = job.last_at(at).unwrap();
        let next = job.next_after(at).unwrap();
        prop_assert!(last <= at && at < next);
        prop_assert_eq!(job.next_after(last), Some(next));
        prop_assert_eq!(job.last_at(last), Some(last));
        prop_assert_eq!(job.last_at(next), Some(next));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}", fields in prop::collection::vec("[0-9*/,#LW?+-]{1,5}", 5..7)) {
        let _ = Schedule::parse(&text, "UTC");
        let _ = Schedule::parse("0 5 * * *", &text);
        if let Ok(job) = Schedule::parse(&fields.join(" "), "Africa/Casablanca") {
            prop_assert!(job.next_after(utc("2024-01-01T00:00")).is_some());
        }
    }
}
