//! Which files are expected for a day, and until when: pure, over zones and days.

use super::{at, day};
use crate::offline::Offline;
use bursar::catalog::Catalog;
use bursar::config::Ident;
use bursar::deliveries::expect::{Expectation, begin, due_days, expectations, instant};
use bursar::engine::job::Job;
use bursar::engine::schedule::Schedule;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

/// The shipped configuration with a calendar for `agency_b`, closed at weekends.
static SHIPPED: LazyLock<Catalog> = LazyLock::new(|| {
    let folder = Offline::configured();
    let customers = folder.read("config/customers.toml").replace("\"B\"", "\"B\"\ncalendar = \"weekdays\"");
    let calendar = "\n[[calendar]]\nname = \"weekdays\"\nclosed_weekdays = [\"sat\", \"sun\"]\n";
    folder.write("config/customers.toml", customers + calendar);
    let schema = Ident::parse("public").unwrap();
    let (catalog, problems) = Catalog::compile(&folder.path("config"), &schema, &bursar::systems::parts());
    problems.into_result().expect("no problem");
    catalog
});

/// The shipped catalog whose files arrive by this time, and its job on another schedule.
fn catalog(arrive_by: NaiveTime, schedule: &str, zone: Tz) -> (Catalog, Job) {
    let mut catalog = SHIPPED.clone();
    for dataset in catalog.datasets.values_mut() {
        Arc::make_mut(dataset).arrive_by = Some(arrive_by);
    }
    let mut job = catalog.jobs["customer-ratings"].as_ref().clone();
    job.timezone = zone;
    job.schedule = Some(Schedule::parse(schedule, zone.name()).expect("a schedule"));
    (catalog, job)
}

fn time(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).expect("a time")
}

fn of<'a>(expected: &'a [Expectation], customer: &str) -> &'a Expectation {
    expected.iter().find(|e| e.customer == customer).expect("the customer")
}

fn deadline(zone: Tz, on: &str, time: NaiveTime) -> DateTime<Utc> {
    let (catalog, job) = catalog(time, "0 5 * * *", zone);
    of(&expectations(&catalog, &job, day(on)), "agency_a").deadline
}

#[test]
fn a_deadline_in_a_gap_is_its_end_and_in_an_overlap_the_first_of_two() {
    let new_york = chrono_tz::America::New_York;
    assert_eq!(deadline(new_york, "2025-03-09", time(2, 30)), at("2025-03-09T07:00:00Z"));
    assert_eq!(deadline(new_york, "2025-11-02", time(1, 30)), at("2025-11-02T05:30:00Z"));
    assert_eq!(deadline(new_york, "2025-11-02", time(6, 30)), at("2025-11-02T11:30:00Z"));
    assert_eq!(deadline(chrono_tz::Australia::Lord_Howe, "2025-10-05", time(2, 15)), at("2025-10-04T15:30:00Z"));
}

#[test]
fn the_calendar_is_asked_about_the_due_day_and_the_next_open_one_ends_the_watch() {
    let zone = chrono_tz::America::New_York;
    let (catalog, job) = catalog(time(6, 30), "0 5 * * *", zone);
    let friday = expectations(&catalog, &job, day("2025-05-16"));
    assert_eq!(of(&friday, "agency_a").changes_until, begin(day("2025-05-17"), zone));
    assert_eq!(of(&friday, "agency_b").changes_until, begin(day("2025-05-19"), zone));
    let saturday = expectations(&catalog, &job, day("2025-05-17"));
    assert_eq!(of(&saturday, "agency_b").state.as_str(), "not_expected");
    assert_eq!(of(&saturday, "agency_b").note.as_deref(), Some("the calendar weekdays is closed on Saturdays"));
    assert_eq!(of(&saturday, "agency_a").state.as_str(), "expected");
}

#[test]
fn the_window_of_a_pattern_without_a_date_ends_where_the_next_file_is_expected() {
    let zone = chrono_tz::UTC;
    let (mut catalog, job) = catalog(time(6, 30), "0 5 * * *", zone);
    let thursday = |catalog: &Catalog| of(&expectations(catalog, &job, day("2025-05-15")), "agency_a").window_end;
    assert_eq!(thursday(&catalog), at("2025-05-16T00:00:00Z"));
    Arc::make_mut(catalog.datasets.get_mut("customer_rating").unwrap()).file = "%Y%m%d {customer}.csv".to_owned();
    assert_eq!(thursday(&catalog), at("2025-05-16T06:30:00Z"));
}

#[test]
fn a_job_that_is_seldom_due_is_watched_for_a_month_at_most() {
    let (catalog, job) = catalog(time(6, 30), "0 5 1 1 *", chrono_tz::UTC);
    let new_year = expectations(&catalog, &job, day("2025-01-01"));
    assert_eq!(of(&new_year, "agency_a").changes_until, at("2025-02-01T00:00:00Z"));
}

#[test]
fn a_job_without_a_schedule_expects_nothing() {
    let (catalog, mut job) = catalog(time(6, 30), "0 5 * * *", chrono_tz::UTC);
    job.schedule = None;
    assert_eq!(expectations(&catalog, &job, day("2025-01-01")), []);
}

fn any_zone() -> impl Strategy<Value = Tz> {
    prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec())
}

fn any_day() -> impl Strategy<Value = NaiveDate> {
    (0u64..14_000).prop_map(|n| day("2000-01-01") + Days::new(n))
}

fn any_schedule() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["0 5 * * *", "*/5 * * * *", "30 2 * * 1-5", "0 0 * * *", "59 23 1 * *", "0 2,14 * * *"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_customer_has_one_expectation_and_its_deadline_is_on_the_due_day(
        zone in any_zone(), on in any_day(), hour in 0u32..24, minute in 0u32..60, schedule in any_schedule(),
    ) {
        let arrive_by = time(hour, minute);
        let (catalog, job) = catalog(arrive_by, schedule, zone);
        let expected = expectations(&catalog, &job, on);
        let customers: Vec<&str> = expected.iter().map(|e| e.customer.as_str()).collect();
        prop_assert_eq!(customers, ["agency_a", "agency_b", "agency_c", "agency_d"]);
        for e in &expected {
            let wall = e.deadline.with_timezone(&zone).naive_local();
            let is_shown = zone.from_local_datetime(&on.and_time(arrive_by)).earliest().is_some();
            prop_assert_eq!(wall == on.and_time(arrive_by), is_shown);
            // A gap can swallow the end of a day; then its end is the next one's beginning.
            prop_assert!(wall.date() == on || !is_shown && e.deadline >= begin(on + Days::new(1), zone));
            prop_assert!(e.deadline <= e.window_end && e.window_end <= e.deadline + chrono::TimeDelta::hours(24));
            prop_assert!(e.changes_until > begin(on, zone));
            prop_assert_eq!(e.run_date, on);
        }
    }

    #[test]
    fn the_due_days_are_the_days_of_the_due_instants_each_once(
        zone in any_zone(), from in any_day(), seconds in 0i64..86_400, schedule in any_schedule(),
    ) {
        let schedule = Schedule::parse(schedule, zone.name()).unwrap();
        let after = from.and_time(NaiveTime::MIN).and_utc() + chrono::TimeDelta::seconds(seconds);
        let upto = after + chrono::TimeDelta::days(5);
        let mut days: Vec<NaiveDate> = schedule.between(after, upto).map(|due| schedule.run_date(due)).collect();
        days.dedup();
        let found: Vec<NaiveDate> = due_days(&schedule, after).take(days.len()).collect();
        prop_assert_eq!(found, days);
    }

    #[test]
    fn a_reading_is_placed_where_the_schedule_places_it(zone in any_zone(), on in any_day(), hour in 0u32..24, minute in 0u32..60) {
        // Not for all 24 hours: such a job is due once for each reading.
        let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), zone.name()).unwrap();
        let placed = instant(on.and_time(time(hour, minute)), zone);
        let before = placed - chrono::TimeDelta::seconds(1);
        let is_day = begin(on, zone) < begin(on + Days::new(1), zone);
        prop_assert!(!is_day || schedule.next_after(before) == Some(placed), "{} {:?}", placed, zone.offset_from_utc_datetime(&placed.naive_utc()).fix());
    }
}
