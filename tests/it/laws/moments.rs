//! Dates and timestamps in a form of their own: what is written so is kept, and nothing else is guessed at.

use super::{dataset, problems, take_apart};
use crate::support::Folder;
use bursar::rows::moment::{Form, Moment};
use chrono::{Datelike, FixedOffset, NaiveDate, NaiveDateTime};
use proptest::prelude::*;

fn day() -> impl Strategy<Value = NaiveDate> {
    (1..=9999i32, 1..=366u32).prop_filter_map("a day", |(year, day)| NaiveDate::from_yo_opt(year, day))
}

fn instant() -> impl Strategy<Value = NaiveDateTime> {
    (day(), 0..86_400u32, 0..1_000_000u32)
        .prop_filter_map("an instant", |(day, s, micro)| day.and_hms_micro_opt(s / 3600, s / 60 % 60, s % 60, micro))
}

fn form(text: &str, moment: Moment) -> Form {
    Form::parse(text, moment).unwrap_or_else(|error| panic!("{text:?} {error}"))
}

const DATES: [&str; 9] = [
    "%-m/%-d/%y 00:00",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%Y%m%d",
    "%-d.%-m.%Y",
    "day %d of %m in %Y",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%B %-d, %y",
];
const TIMES: [&str; 13] = [
    "%H:%M:%S",
    "%H%M%S",
    "%H.%M",
    "at %H h %M",
    "%-H:%M:%S",
    "%-H h %M",
    "%H:%M:%S.%6f UTC",
    "%H%M%S%3f",
    "%I:%M %p",
    "%-I:%M:%S%p",
    "%H:%M:%S.%f",
    "%H:%M:%S%.f",
    "%H:%M:%S.%9fZ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_date_as_it_is_written_is_read_back(day in day()) {
        for text in DATES {
            let form = form(text, Moment::Date);
            let written = day.format(text).to_string();
            let read = form.date(written.as_bytes());
            prop_assert_eq!(read.map(|d| d.format(text).to_string()), Some(written));
            prop_assert!(text.contains("%y") || read == Some(day));
        }
    }

    #[test]
    fn a_timestamp_as_it_is_written_is_read_back(instant in instant()) {
        for (date, time) in DATES.iter().flat_map(|date| TIMES.map(|time| (*date, time))) {
            let text = format!("{date} {time}");
            let form = form(&text, Moment::Timestamp);
            let written = instant.format(&text).to_string();
            prop_assert_eq!(form.timestamp(written.as_bytes()).map(|i| i.format(&text).to_string()), Some(written));
            let own = form.write(instant);
            prop_assert_eq!(form.timestamp(own.as_bytes()).map(|i| form.write(i)), Some(own));
        }
    }

    #[test]
    fn an_offset_is_taken_off_whatever_its_spelling(instant in instant(), hours in -15..=15i32, minutes in 0..60i32) {
        let offset = FixedOffset::east_opt((hours.abs() * 60 + minutes) * 60 * if hours < 0 { -1 } else { 1 });
        let there = offset.and_then(|offset| instant.checked_add_offset(offset)).filter(|there| (1..=9999).contains(&there.year()));
        let Some((there, offset)) = there.zip(offset) else { return Ok(()) };
        let local = there.format("%Y-%m-%dT%H:%M:%S%.f");
        let any = form("%Y-%m-%dT%H:%M:%S%.f%z", Moment::Timestamp);
        let short = offset.to_string().replace(':', "");
        for zone in [offset.to_string(), short] {
            prop_assert_eq!(any.timestamp(format!("{local}{zone}").as_bytes()), Some(instant), "{}{}", local, zone);
        }
    }

    #[test]
    fn what_is_read_was_written_exactly_so(text in "[0-9./ +-]{0,12}|[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]{2,5}") {
        for pattern in DATES {
            if let Some(day) = form(pattern, Moment::Date).date(text.as_bytes()) {
                prop_assert_eq!(day.format(pattern).to_string(), text.clone());
            }
        }
    }
}

#[test]
fn a_form_that_is_incomplete_or_contradicts_itself_is_refused() {
    for (text, expected) in [
        ("%Y-%m-%d %I:%M", "has %I (an hour from 1 to 12) without %p: nothing states which half of the day is meant"),
        ("%Y-%m-%d %H:%M %p", "has %p with %H, an hour of the whole day; %p belongs to %I"),
        ("%Y-%m-%d %H:%I:%M %p", "must hold %H (or %-H), or %I (or %-I) with %p, and %M once, and %S at most once"),
        ("%Y-%m-%d %p", "must hold %H (or %-H), or %I (or %-I) with %p, and %M once, and %S at most once"),
        ("%Y-%m-%d%z", "must hold %H (or %-H), or %I (or %-I) with %p, and %M once, and %S at most once"),
        ("%Y-%m-%d %H", "must hold %H (or %-H), or %I (or %-I) with %p, and %M once, and %S at most once"),
        ("%Y-%m-%d %H:%M.%f", "may hold one of %f, %.f, %3f, %6f and %9f, and only with %S"),
        ("%Y-%m-%d %H:%M:%S.%f%.f", "may hold one of %f, %.f, %3f, %6f and %9f, and only with %S"),
        ("%Y-%m-%d %H:%M%z%:z", "may hold one of %z and %:z"),
        ("%Y-%m-%d %b %H:%M", "must hold a year (%Y or %y), a month and a day, each once"),
        ("%H:%M:%S.%f%Y-%m-%d", "needs something between %f and the digits behind it"),
        ("%H:%M%z%Y-%m-%d", "needs something between %z and the digits behind it"),
    ] {
        assert_eq!(Form::parse(text, Moment::Timestamp).expect_err(text), expected, "{text}");
    }
    for text in ["%Y-%m-%d%z", "%Y-%m-%d %I:%M %p"] {
        let error = Form::parse(text, Moment::Date).expect_err(text);
        assert_eq!(error, "has a time of day, which a date can't keep");
    }
    let error = Form::parse("%Y-%m-%d %Q", Moment::Date).expect_err("no such part");
    assert!(error.starts_with("has a specifier that is none of %Y, %y, %m, %-m, %b, %B, "), "{error}");
}

#[test]
fn timestamps_are_read_as_programs_write_them() {
    let at = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").expect("an instant");
    for (pattern, text, expected) in [
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00Z", Some("2026-01-31 10:00:00")),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00.1z", Some("2026-01-31 10:00:00.1")),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00.123456789+00:00", Some("2026-01-31 10:00:00.123456789")),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-01T00:30:00+02:00", Some("2025-12-31 22:30:00")),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00-0330", Some("2026-01-31 13:30:00")),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00+02", Some("2026-01-31 08:00:00")),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00", None),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00.Z", None),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00.1234567890Z", None),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00+16:00", None),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00+02:60", None),
        ("%Y-%m-%dT%H:%M:%S%.f%z", "2026-01-31T10:00:00+2", None),
        ("%Y-%m-%dT%H:%M:%S%z", "0001-01-01T00:00:00+00:01", None),
        ("%Y-%m-%d %H:%M:%S%:z", "2026-01-31 10:00:00+05:30", Some("2026-01-31 04:30:00")),
        ("%Y-%m-%d %H:%M:%S%:z", "2026-01-31 10:00:00+0530", None),
        ("%Y-%m-%d %H:%M:%S,%f", "2026-01-31 10:00:00,5", Some("2026-01-31 10:00:00.5")),
        ("%m/%d/%Y %I:%M:%S %p", "01/31/2026 12:00:00 AM", Some("2026-01-31 00:00:00")),
        ("%m/%d/%Y %I:%M:%S %p", "01/31/2026 12:00:00 pm", Some("2026-01-31 12:00:00")),
        ("%m/%d/%Y %I:%M:%S %p", "01/31/2026 11:59:59 Pm", Some("2026-01-31 23:59:59")),
        ("%m/%d/%Y %I:%M:%S %p", "01/31/2026 00:00:00 AM", None),
        ("%m/%d/%Y %I:%M:%S %p", "01/31/2026 13:00:00 PM", None),
        ("%-m/%-d/%Y %-I:%M %p", "1/31/2026 9:05 PM", Some("2026-01-31 21:05:00")),
        ("%-d %B %Y %-H:%M", "9 SEPTEMBER 2026 7:05", Some("2026-09-09 07:05:00")),
        ("%-d %B %Y %-H:%M", "9 Sept 2026 7:05", None),
        ("%d-%b-%y", "31-JAN-26", Some("2026-01-31 00:00:00")),
        ("%d-%b-%y", "31-Foo-26", None),
    ] {
        assert_eq!(form(pattern, Moment::Timestamp).timestamp(text.as_bytes()), expected.map(at), "{pattern} {text}");
    }
}

#[test]
fn a_form_that_could_be_read_in_two_ways_is_refused() {
    for text in ["%-d%-m.%Y", "%Y.%-m%d", "%-d1.%m.%Y"] {
        let error = Form::parse(text, Moment::Date).expect_err(text);
        assert!(error.starts_with("needs something between"), "{text}: {error}");
    }
    assert!(Form::parse("%Y%m%-d", Moment::Date).is_ok());
}

#[test]
fn a_column_with_a_form_takes_it_alone_and_says_so() {
    let folder = Folder::new();
    let dataset = dataset(
        "[[column]]\nname = \"day\"\ntype = \"date\"\nformat = \"%d.%m.%Y\"\nmin = \"2000-01-01\"\n\
         [[column]]\nname = \"at\"\ntype = \"timestamp\"\nformat = \"%m/%d/%y %H:%M\"\n",
    );
    let file = "day,at\n31.12.2025,12/31/25 23:59\n2025-12-31,12/31/25 23:59\n1.1.2025,12/31/25 24:00\n31.12.1999,12/31/25 23:59:01\n";
    let taken = take_apart(&folder.path(""), file.as_bytes(), &dataset).expect("a file");
    assert_eq!(taken.parsed.certificate.tally.loaded, 1);
    let messages: Vec<&str> = taken
        .rejects
        .iter()
        .flat_map(|r| r["errors"].as_array().expect("errors"))
        .map(|e| e["message"].as_str().expect("a message"))
        .collect();
    assert_eq!(
        messages,
        [
            "\"2025-12-31\" is not a date (%d.%m.%Y)",
            "\"1.1.2025\" is not a date (%d.%m.%Y)",
            "\"12/31/25 24:00\" is not a timestamp (%m/%d/%y %H:%M)",
            "1999-12-31 is less than 2000-01-01",
            "\"12/31/25 23:59:01\" is not a timestamp (%m/%d/%y %H:%M)",
        ]
    );
}

#[test]
fn years_of_two_digits_are_of_the_century_that_posix_says() {
    let form = form("%-m/%-d/%y 00:00", Moment::Date);
    for (text, year) in [("00", 2000), ("25", 2025), ("68", 2068), ("69", 1969), ("70", 1970), ("99", 1999)] {
        let read = form.date(format!("2/1/{text} 00:00").as_bytes());
        assert_eq!(read, NaiveDate::from_ymd_opt(year, 2, 1), "{text}");
    }
    for text in
        ["2/1/25", "2/1/25 00:01", "02/1/25 00:00", "2/01/25 00:00", "2/1/2025 00:00", "2/29/25 00:00", "0/1/25 00:00"]
    {
        assert_eq!(form.date(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn of_several_forms_any_one_is_taken_and_all_are_named_where_none_fits() {
    let dataset = dataset(
        "[[column]]\nname = \"day\"\ntype = \"date\"\nformat = [\"%-m/%-d/%y\", \"%-m/%-d/%y 00:00\", \"%Y-%m-%d\"]\n\
         [[column]]\nname = \"at\"\ntype = \"timestamp\"\nformat = [\"%Y-%m-%d %H:%M\", \"%d.%m.%Y %H:%M\"]\n",
    );
    let file = "day,at\n3/9/25,2025-03-09 10:11\n3/9/25 00:00,09.03.2025 10:11\n2025-03-09,09.03.2025 10:11\n\
                9.3.2025,3/9/25 10:11\n";
    let taken = take_apart(&Folder::new().path(""), file.as_bytes(), &dataset).expect("a file");
    assert_eq!(taken.parsed.certificate.tally.loaded, 3);
    let messages: Vec<&str> = taken.rejects[0]["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["message"].as_str().expect("a message"))
        .collect();
    assert_eq!(
        messages,
        [
            "\"9.3.2025\" is not a date (%-m/%-d/%y, or %-m/%-d/%y 00:00, or %Y-%m-%d)",
            "\"3/9/25 10:11\" is not a timestamp (%Y-%m-%d %H:%M, or %d.%m.%Y %H:%M)",
        ]
    );
}

#[test]
fn forms_that_read_one_text_as_two_days_are_refused_with_the_text() {
    let told = |forms: &str, kind: &str| {
        problems(&format!("[[column]]\nname = \"day\"\ntype = \"{kind}\"\nformat = {forms}\n"))
    };
    for (forms, kind, expected) in [
        ("[]", "date", "column[0].format: lists no form: every row would be rejected"),
        ("[\"%Y-%m-%d\", \"%Y-%m-%d\"]", "date", "column[0].format[1]: \"%Y-%m-%d\" is there twice"),
        (
            "[\"%Y-%m-%d\", \"%m-%d\"]",
            "date",
            "column[0].format[1]: \"%m-%d\" must hold a year (%Y or %y), a month and a day, each once",
        ),
        (
            "[\"%Y-%m-%d\", \"%m/%d/%Y\", \"%d/%m/%Y\"]",
            "date",
            "column[0].format[2]: \"%m/%d/%Y\" and \"%d/%m/%Y\" read \"02/01/2001\" as two different days: nothing tells \
             which one is meant",
        ),
        (
            "[\"%y-%m-%d\", \"%d-%m-%y\"]",
            "date",
            "column[0].format[1]: \"%y-%m-%d\" and \"%d-%m-%y\" read \"02-01-01\" as two different days: nothing tells which \
             one is meant",
        ),
        (
            "[\"%Y-%m-%d %H:%M\", \"%Y-%m-%d %M:%H\"]",
            "timestamp",
            "column[0].format[1]: \"%Y-%m-%d %H:%M\" and \"%Y-%m-%d %M:%H\" read \"2001-01-01 02:01\" as two different days: \
             nothing tells which one is meant",
        ),
        (
            "[\"%Y-%m-%d %I:%M %p\", \"%Y-%m-%d %H:%M PM\"]",
            "timestamp",
            "column[0].format[1]: \"%Y-%m-%d %I:%M %p\" and \"%Y-%m-%d %H:%M PM\" read \"2001-01-01 01:02 PM\" as two \
             different days: nothing tells which one is meant",
        ),
        (
            "[\"%d-%b-%y\", \"%y-%b-%d\"]",
            "date",
            "column[0].format[1]: \"%d-%b-%y\" and \"%y-%b-%d\" read \"01-Jan-02\" as two different days: nothing tells which \
             one is meant",
        ),
    ] {
        assert_eq!(told(forms, kind), [expected]);
    }
    dataset(
        "[[column]]\nname = \"day\"\ntype = \"date\"\nformat = [\"%-m/%-d/%y\", \"%m/%d/%y\", \"%m/%d/%Y\", \"%d.%m.%Y\"]\n",
    );
    assert_eq!(told("5", "date"), ["column[0].format: must be a text or a list, found 5; put it in quotes"]);
}
