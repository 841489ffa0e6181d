//! When a job is due: tables at the changes of the clocks. The laws are in `laws`.

mod laws;

use bursar::engine::schedule::{Schedule, ScheduleError};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::parse(expression, zone).unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    let seconds = if text.len() == "2024-03-10T07:00".len() { ":00" } else { "" };
    format!("{text}{seconds}Z").parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn due(expression: &str, zone: &str, after: &str, upto: &str) -> Vec<DateTime<Utc>> {
    schedule(expression, zone).between(utc(after), utc(upto)).collect()
}

#[track_caller]
fn assert_due(expression: &str, zone: &str, within: (&str, &str), expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|at| utc(at)).collect();
    assert_eq!(due(expression, zone, within.0, within.1), expected, "{expression} in {zone}");
}

#[test]
fn a_schedule_is_the_same_however_it_is_written() {
    for (one, other) in [
        ("*/15 * * * *", " 0,15,30,45  *\t* * * "),
        ("0 5 * * *", "0 0 5 * * *"),
        ("0 5 * * MON-FRI", "0 5 * * 1,2,3,4,5"),
        ("0 5 * * 0", "0 5 * * sun"),
        ("0 5 * * 7", "0 5 ? * SUN"),
        ("0 5 1-3 JAN,FEB *", "0 5 3,1,2 1-2 *"),
        ("0 5 l * *", "0 5 L * *"),
        ("0 5 * * 7L", "0 5 * * 0L"),
        ("0 5 * * sunL", "0 5 * * 0L"),
        ("0 5 * * FRIL", "0 5 * * 5L"),
        ("0 5 * * +7#2", "0 5 * * +0#2"),
    ] {
        assert_eq!(schedule(one, "UTC").to_string(), schedule(other, "UTC").to_string(), "{one} and {other}");
    }
    for (one, other) in [
        ("*/15 * * * *", "*/10 * * * *"),
        ("0 5 * * *", "5 0 5 * * *"),
        ("0 5 1 * *", "0 5 1 * 1"),
        ("0 5 1 * 1", "0 5 1 * +1"),
        ("0 5 * * 5L", "0 5 * * 5#4"),
        ("0 5 15W * *", "0 5 15 * *"),
        // A full list is not a star: either day field will do.
        ("0 5 1 * *", "0 5 1 * 0-6"),
        ("0 5 * * 1", "0 5 1-31 * 1"),
    ] {
        assert_ne!(schedule(one, "UTC").to_string(), schedule(other, "UTC").to_string(), "{one} and {other}");
    }
    assert_ne!(schedule("0 5 * * *", "UTC").to_string(), schedule("0 5 * * *", "Europe/Madrid").to_string());
    assert_eq!(schedule("*/30 5 * * MON", "UTC").to_string(), "0 0,30 5 * * 1 UTC");
}

#[test]
fn a_skipped_reading_is_due_at_the_end_of_the_gap() {
    let march = ("2024-03-09T12:00", "2024-03-11T12:00");
    assert_due("30 2 * * *", "America/New_York", march, &["2024-03-10T07:00", "2024-03-11T06:30"]);
    let march = ("2024-03-30T12:00", "2024-04-01T12:00");
    assert_due("30 2 * * *", "Europe/Madrid", march, &["2024-03-31T01:00", "2024-04-01T00:30"]);
    let october = ("2024-10-05T00:00", "2024-10-07T00:00"); // 02:00 becomes 02:30
    assert_due("15 2 * * *", "Australia/Lord_Howe", october, &["2024-10-05T15:30", "2024-10-06T15:15"]);
    let midnight = ("2018-11-03T12:00", "2018-11-05T12:00"); // 00:00 becomes 01:00
    assert_due("0 0 * * *", "America/Sao_Paulo", midnight, &["2018-11-04T03:00", "2018-11-05T02:00"]);
}

#[test]
fn a_repeated_reading_is_due_the_first_time() {
    let november = ("2024-11-02T12:00", "2024-11-04T12:00");
    assert_due("30 1 * * *", "America/New_York", november, &["2024-11-03T05:30", "2024-11-04T06:30"]);
    assert_due("30 2 * * *", "America/New_York", november, &["2024-11-03T07:30", "2024-11-04T07:30"]);
    let october = ("2024-10-26T12:00", "2024-10-28T12:00");
    assert_due("30 2 * * *", "Europe/Madrid", october, &["2024-10-27T00:30", "2024-10-28T01:30"]);
    let april = ("2024-04-06T00:00", "2024-04-07T20:00"); // 02:00 becomes 01:30
    assert_due("45 1 * * *", "Australia/Lord_Howe", april, &["2024-04-06T14:45", "2024-04-07T15:15"]);
    assert_due("15 2 * * *", "Australia/Lord_Howe", april, &["2024-04-06T15:45", "2024-04-07T15:45"]);
}

#[test]
fn several_skipped_readings_and_the_one_after_them_are_one() {
    let march = ("2024-03-10T05:00", "2024-03-10T12:00");
    assert_due("*/15 2 * * *", "America/New_York", march, &["2024-03-10T07:00"]);
    assert_due("*/10 * 2 * * *", "America/New_York", march, &["2024-03-10T07:00"]);
    assert_due("0 2,3 * * *", "America/New_York", march, &["2024-03-10T07:00"]);
    assert_due("30 2,3 * * *", "America/New_York", march, &["2024-03-10T07:00", "2024-03-10T07:30"]);
}

#[test]
fn a_job_of_several_named_hours_is_not_repeated_nor_lost() {
    let november = ("2024-11-03T04:00", "2024-11-03T23:00");
    assert_due("0 1,13 * * *", "America/New_York", november, &["2024-11-03T05:00", "2024-11-03T18:00"]);
    let march = ("2024-03-10T05:00", "2024-03-10T23:00");
    assert_due("0 2,14 * * *", "America/New_York", march, &["2024-03-10T07:00", "2024-03-10T18:00"]);
}

#[test]
fn a_job_of_every_hour_follows_real_time() {
    for (night, hours) in [("2024-03-31T00:00", 2), ("2024-10-27T00:00", 3), ("2024-06-01T00:00", 2)] {
        let start = utc(night) - TimeDelta::seconds(1);
        let end = start + TimeDelta::hours(hours);
        for (expression, every) in [("0 * * * *", 60), ("*/15 * * * *", 15), ("0 0-23 * * *", 60)] {
            let due: Vec<_> = schedule(expression, "Europe/Madrid").between(start, end).collect();
            let expected: Vec<_> =
                (0..hours * 60 / every).map(|n| utc(night) + TimeDelta::minutes(n * every)).collect();
            assert_eq!(due, expected, "{expression} at {night}");
        }
        let every_second = schedule("* * * * * *", "Europe/Madrid").between(start, end).count();
        assert_eq!(i64::try_from(every_second).unwrap(), hours * 3600);
    }
}

#[test]
fn a_change_of_half_an_hour_shows_some_readings_twice_and_others_not() {
    let april = ("2024-04-06T13:00", "2024-04-06T17:00"); // 01:30 to 02:00 is repeated
    let expected = ["2024-04-06T13:45", "2024-04-06T14:45", "2024-04-06T15:15", "2024-04-06T16:15"];
    assert_due("45 * * * *", "Australia/Lord_Howe", april, &expected);
    let october = ("2024-10-05T14:00", "2024-10-05T17:00"); // 02:00 to 02:30 is skipped
    assert_due("15 * * * *", "Australia/Lord_Howe", october, &["2024-10-05T14:45", "2024-10-05T16:15"]);
}

#[test]
fn a_day_that_the_zone_skipped_has_no_occurrence() {
    let week = ("2011-12-29T00:00", "2011-12-31T20:00");
    let expected = ["2011-12-29T15:00", "2011-12-30T15:00", "2011-12-31T15:00"];
    assert_due("0 5 * * *", "Pacific/Apia", week, &expected);
    let job = schedule("0 5 * * *", "Pacific/Apia");
    let dates: Vec<_> = expected.iter().map(|at| job.run_date(utc(at))).collect();
    assert_eq!(dates, [day("2011-12-29"), day("2011-12-31"), day("2012-01-01")]);
}

#[test]
fn a_gap_that_ends_at_midnight_belongs_to_the_day_before() {
    let job = schedule("30 23 * * *", "America/Nuuk"); // Saturday 23:00 becomes Sunday 00:00
    let due: Vec<_> = job.between(utc("2024-03-30T12:00"), utc("2024-04-01T12:00")).collect();
    assert_eq!(due, [utc("2024-03-31T01:00"), utc("2024-04-01T00:30")]);
    assert_eq!(job.run_date(due[0]), day("2024-03-30"));
    assert_eq!(job.run_date(due[1]), day("2024-03-31"));
}

#[test]
fn a_run_date_is_the_day_in_the_zone() {
    let job = schedule("0 21 * * *", "America/New_York");
    assert_eq!(job.run_date(utc("2024-07-02T01:00")), day("2024-07-01"));
    assert_eq!(schedule("0 5 * * *", "Pacific/Apia").run_date(utc("2024-07-01T16:00")), day("2024-07-02"));
}

#[test]
fn the_29th_of_february_is_found_across_a_century() {
    let job = schedule("0 0 29 2 *", "UTC");
    assert_eq!(job.next_after(utc("2024-02-29T00:00")), Some(utc("2028-02-29T00:00")));
    assert_eq!(job.next_after(utc("2096-03-01T00:00")), Some(utc("2104-02-29T00:00")));
    assert_eq!(job.last_at(utc("2104-02-28T23:59")), Some(utc("2096-02-29T00:00")));
    let on_a_monday = schedule("0 0 29 2 +MON", "UTC");
    assert_eq!(on_a_monday.next_after(utc("2072-02-29T00:00")), Some(utc("2112-02-29T00:00")));
    assert_eq!(on_a_monday.last_at(utc("2112-02-28T23:59")), Some(utc("2072-02-29T00:00")));
}

#[test]
fn six_fields_begin_with_the_second_and_five_with_the_minute() {
    assert_due("30 15 4 * * *", "UTC", ("2024-01-01T00:00", "2024-01-02T00:00"), &["2024-01-01T04:15:30"]);
    assert_due("15 4 * * *", "UTC", ("2024-01-01T00:00", "2024-01-02T00:00"), &["2024-01-01T04:15"]);
    assert_eq!(schedule("  0 5 * * mon-fri ", "UTC").expression(), "0 5 * * mon-fri");
    assert_eq!(schedule("0 5 * * *", "Europe/Madrid").zone(), chrono_tz::Europe::Madrid);
}

#[test]
fn what_is_no_schedule_is_refused_with_the_field_that_is_wrong() {
    let cases = [
        ("", "five fields (minute first) or six (second first) are needed, not 0"),
        ("0 5 * *", "five fields (minute first) or six (second first) are needed, not 4"),
        ("0 0 5 * * * 2025", "five fields (minute first) or six (second first) are needed, not 7"),
        ("@daily", "nicknames are not understood, write 0 0 * * * for @daily"),
        ("61 5 * * *", "minute 61: number out of bounds (0-59 allowed)"),
        ("0 25 * * *", "hour 25: number out of bounds (0-23 allowed)"),
        ("0 5-3 * * *", "hour 5-3: range out of bounds (0-23 allowed)"),
        ("*/0 5 * * *", "minute */0: step cannot be zero (0-59 allowed)"),
        ("0 0 5,,6 * *", "day of month 5,,6: an item of the list is empty (1-31 allowed)"),
        ("0 , * * *", "hour ,: an item of the list is empty (0-23 allowed)"),
        ("0 5 * MON *", "month MON: MON is not understood here (1-12 allowed)"),
        ("sun 5 * * *", "minute sun: sun is not understood here (0-59 allowed)"),
        ("0 0 5 ? * 2025", "day of week 2025: number out of bounds (0-7 allowed)"),
        ("0 0 30,15 2 *", "day of month 30,15: 30 never falls due (1-31 allowed)"),
        ("0 0 31 2 MON", "day of month 31: 31 never falls due (1-31 allowed)"),
        ("0 0 * * 5,L", "day of week 5,L: L never falls due (0-7 allowed)"),
        ("0 0 * * XYZL", "day of week XYZL: XYZL is not understood here (0-7 allowed)"),
        ("0 5; * * *", "hour 5;: a character is not understood here (0-23 allowed)"),
    ];
    for (expression, message) in cases {
        let error = Schedule::parse(expression, "UTC").unwrap_err();
        let expected = ScheduleError::Expression { expression: expression.into(), message: message.into() };
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), format!("{expression:?} is no schedule: {message}"));
    }
}

#[test]
fn seven_is_sunday_in_front_of_a_modifier_too() {
    let quarter = ("2027-01-01T12:00", "2027-03-31T12:00");
    let last = ["2027-01-31T00:00", "2027-02-28T00:00", "2027-03-28T00:00"];
    for expression in ["0 0 * * 0L", "0 0 * * 7L", "0 0 * * 7#L", "0 0 * * SUNL", "0 0 * * SUN#L"] {
        assert_due(expression, "UTC", quarter, &last);
    }
    assert_due("0 0 * * 7#2", "UTC", quarter, &["2027-01-10T00:00", "2027-02-14T00:00", "2027-03-14T00:00"]);
    let january = ("2027-01-01T12:00", "2027-01-31T12:00");
    assert_due("0 0 * * 5L,7L", "UTC", january, &["2027-01-29T00:00", "2027-01-31T00:00"]);
    assert_due("0 0 * * 6-7#2", "UTC", january, &["2027-01-09T00:00", "2027-01-10T00:00"]);
    assert_due(
        "0 0 * * 6-7",
        "UTC",
        ("2027-01-08T12:00", "2027-01-10T12:00"),
        &["2027-01-09T00:00", "2027-01-10T00:00"],
    );
}

#[test]
fn a_step_that_is_longer_than_its_field_is_warned_about() {
    for (expression, field) in [("*/90 * * * *", "minute"), ("0 */24 * * *", "hour"), ("0 8-10/5 * * *", "hour")] {
        let schedule = schedule(expression, "UTC");
        let [warning] = schedule.warnings() else { panic!("{expression}: {:?}", schedule.warnings()) };
        assert!(warning.contains(field) && warning.contains("a step counts within its field"), "{warning}");
    }
    for expression in ["*/59 * * * *", "*/7 */23 * * *", "0 8-10/2 1/30 * MON-FRI/2", "0 5 * * *"] {
        assert_eq!(schedule(expression, "UTC").warnings(), &[] as &[String], "{expression}");
    }
}

#[test]
fn an_unknown_zone_is_refused() {
    for zone in ["Europe/Barcelona", "", "europe/madrid", "+02:00"] {
        let error = Schedule::parse("0 5 * * *", zone).unwrap_err();
        assert_eq!(error, ScheduleError::Zone { zone: zone.to_owned() });
        assert_eq!(error.to_string(), format!("{zone:?} is no time zone of the IANA database"));
    }
}

#[test]
fn an_expression_that_no_day_matches_is_refused() {
    for expression in
        ["0 0 2 31 2 *", "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 1 * +FRI#5", "0 0 * * L", "0 0 30W 2 *"]
    {
        let error = Schedule::parse(expression, "UTC").unwrap_err();
        assert_eq!(error, ScheduleError::NeverFires { expression: expression.to_owned() });
    }
}

#[test]
fn instants_beyond_the_calendar_have_no_occurrences() {
    for expression in ["30 2 * * *", "*/15 * * * *", "0 4 L * *"] {
        let job = schedule(expression, "Pacific/Apia");
        assert_eq!(job.next_after(DateTime::<Utc>::MAX_UTC), None);
        assert_eq!(job.last_at(DateTime::<Utc>::MAX_UTC), None);
        assert_eq!(job.last_at(DateTime::<Utc>::MIN_UTC), None);
        assert_eq!(job.run_date(DateTime::<Utc>::MAX_UTC), DateTime::<Utc>::MAX_UTC.date_naive());
    }
}

/// The rows of the table of zones in docs/schedules.md: zone, run date, the change, schedule, due instant.
fn documented() -> Vec<[String; 5]> {
    let text = std::fs::read_to_string(crate::offline::project("docs/schedules.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| zone |")).skip(2).take_while(|l| l.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|c| c.trim().replace('`', "")).collect::<Vec<_>>();
    rows.map(|row| cells(row).try_into().unwrap()).collect()
}

#[test]
fn the_documented_changes_of_the_clocks_are_those_of_the_program() {
    let documented = documented();
    assert!(documented.len() > 15, "{}", documented.len());
    for [zone, date, change, expression, expected] in documented {
        let (job, date) = (schedule(&expression, &zone), day(&date));
        let around = date.and_hms_opt(0, 0, 0).unwrap().and_utc();
        let due: Vec<_> = job
            .between(around - TimeDelta::days(2), around + TimeDelta::days(3))
            .filter(|due| job.run_date(*due) == date)
            .map(|due| due.format("%F %H:%M").to_string())
            .collect();
        assert_eq!(due, [expected], "{expression} in {zone} on {date}");
        let offset = |at: DateTime<Utc>| at.with_timezone(&job.zone()).format("%z").to_string();
        let changes = offset(around - TimeDelta::hours(20)) != offset(around + TimeDelta::hours(28));
        assert_eq!(changes, change != "never", "{zone} on {date}");
    }
}
