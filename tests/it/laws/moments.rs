//! Dates and timestamps in a form of their own: what is written so is kept, and nothing else is guessed at.

use super::{dataset, take_apart};
use crate::support::Folder;
use bursar::rows::moment::{Form, Moment};
use chrono::{NaiveDate, NaiveDateTime};
use proptest::prelude::*;

fn day() -> impl Strategy<Value = NaiveDate> {
    (1..=9999i32, 1..=366u32).prop_filter_map("a day", |(year, day)| NaiveDate::from_yo_opt(year, day))
}

fn instant() -> impl Strategy<Value = NaiveDateTime> {
    (day(), 0..86_400u32).prop_filter_map("an instant", |(day, s)| day.and_hms_opt(s / 3600, s / 60 % 60, s % 60))
}

fn form(text: &str, moment: Moment) -> Form {
    Form::parse(text, moment).unwrap_or_else(|error| panic!("{text:?} {error}"))
}

const DATES: [&str; 6] = ["%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%-d.%-m.%Y", "day %d of %m in %Y", "%d.%m.%y"];
const TIMES: [&str; 4] = ["%H:%M:%S", "%H%M%S", "%H.%M", "at %H h %M"];

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
