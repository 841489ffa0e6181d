//! Reads a cron expression and walks the readings of a wall clock that match it. Knows no zones.
//!
//! croner parses and matches. It accepts more than it understands (`SUN` as a minute is 0, `MON` as a month
//! is January), so each field is checked here first, and an error says which field is wrong.

use super::ScheduleError;
use chrono::{Datelike, NaiveDate, NaiveDateTime};
use croner::{Cron, errors::CronError, parser::CronParser};
use std::ops::RangeInclusive;

/// The 28 years from 1970 are of every kind there is: leap or not, beginning with each weekday.
const DAYS_OF_EVERY_KIND: usize = 28 * 366;

struct Field {
    name: &'static str,
    range: &'static str,
    words: &'static [&'static str],
}

#[rustfmt::skip]
const FIELDS: [Field; 6] = [
    Field { name: "second", range: "0-59", words: &[] },
    Field { name: "minute", range: "0-59", words: &[] },
    Field { name: "hour", range: "0-23", words: &[] },
    Field { name: "day of month", range: "1-31", words: &["L", "W"] },
    Field {
        name: "month",
        range: "1-12",
        words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    },
    Field { name: "day of week", range: "0-7", words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "L"] },
];

/// A cron expression that matches some reading of a wall clock.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    text: String,
    canonical: String,
    cron: Cron,
    every_hour: bool,
}

impl Expression {
    /// Reads five fields (minute first) or six (second first).
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim().to_owned();
        match read(&text) {
            Err(message) => Err(ScheduleError::Expression { expression: text, message }),
            Ok(cron) if !ever_matches(&cron) => Err(ScheduleError::NeverFires { expression: text }),
            Ok(cron) => {
                let every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
                let canonical = canonical(&text, &cron);
                Ok(Self { text, canonical, cron, every_hour })
            }
        }
    }

    /// The text it was read from.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Its six fields with every value they match: the same for expressions that mean the same.
    pub(super) fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Whether its hours are all 24.
    pub(super) const fn runs_every_hour(&self) -> bool {
        self.every_hour
    }

    /// The first matching reading that is not before `from`; none past the year 5000.
    pub(super) fn next_from(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let found = self.cron.find_next_occurrence(&from.and_utc(), true).ok()?;
        Some(found.naive_utc())
    }

    /// The last matching reading that is not after `upto`.
    pub(super) fn last_until(&self, upto: NaiveDateTime) -> Option<NaiveDateTime> {
        let found = self.cron.find_previous_occurrence(&upto.and_utc(), true).ok()?;
        Some(found.naive_utc())
    }
}

fn read(text: &str) -> Result<Cron, String> {
    let written: Vec<&str> = text.split_whitespace().collect();
    let omitted = match written.len() {
        5 => 1,
        6 => 0,
        _ if text.starts_with('@') => return Err("nicknames are not understood, write 0 0 * * * for @daily".to_owned()),
        n => return Err(format!("five fields (minute first) or six (second first) are needed, not {n}")),
    };
    for (index, text) in written.iter().enumerate() {
        check(omitted + index, text)?;
    }
    CronParser::new().parse(&written.join(" ")).map_err(|error| reason(&error))
}

/// Parses one field alone, so that the error can name it.
fn check(index: usize, text: &str) -> Result<(), String> {
    let field = &FIELDS[index];
    let mut alone = ["*"; FIELDS.len()];
    alone[index] = text;
    let problem = if text.split(',').any(str::is_empty) {
        Some("an item of the list is empty".to_owned())
    } else if let Some(word) = unknown_word(field, text) {
        Some(format!("{word} is not understood here"))
    } else {
        CronParser::new().parse(&alone.join(" ")).err().map(|error| reason(&error))
    };
    match problem {
        Some(problem) => Err(format!("{} {text}: {problem} ({} allowed)", field.name, field.range)),
        None => Ok(()),
    }
}

fn unknown_word<'a>(field: &Field, text: &'a str) -> Option<&'a str> {
    let mut words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.find(|word| !field.words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

fn reason(error: &CronError) -> String {
    match error {
        CronError::IllegalCharacters(_) => "a character is not understood here".to_owned(),
        CronError::ComponentError(what) => what.trim_end_matches('.').to_lowercase(),
        other => other.to_string(),
    }
}

/// Writes an expression so that blanks, names, ranges, steps and the order of lists make no difference.
fn canonical(text: &str, cron: &Cron) -> String {
    let pattern = &cron.pattern;
    let written: Vec<&str> = text.split_whitespace().collect();
    let (day, weekday) = (written[written.len() - 3], written[written.len() - 1]);
    let fields = [
        values(0..=59, |second| pattern.second_match(second)),
        values(0..=59, |minute| pattern.minute_match(minute)),
        values(0..=23, |hour| pattern.hour_match(hour)),
        canonical_day(day, &format!("* * {day} * *"), 1..=31),
        values(1..=12, |month| pattern.month_match(month)),
        canonical_day(weekday, &format!("* * * * {weekday}"), 1..=7),
    ];
    fields.join(" ")
}

/// A day field. `*` keeps its own meaning (the other field alone decides), and so does a field with `L`, `W`, `#` or
/// `+`, which is left as it was written; of others the days are listed that match in a month that begins on a Monday.
fn canonical_day(field: &str, alone: &str, days: RangeInclusive<u32>) -> String {
    if field == "*" || field == "?" {
        return "*".to_owned();
    }
    let field = field.to_uppercase();
    let is_special = field.contains(['#', '+']) || field.split(',').any(|item| item.ends_with(['L', 'W']));
    match CronParser::new().parse(alone) {
        // The 1st of January 2024 was a Monday, and the month has 31 days.
        Ok(cron) if !is_special => {
            let listed = values(days.clone(), |day| cron.pattern.day_match(2024, 1, day));
            // Restricted to all of its days it is still not the same as `*`.
            if listed == "*" { format!("{}-{}", days.start(), days.end()) } else { listed }
        }
        _ => field,
    }
}

/// The values of a range that match, as a list; `*` for all of them.
fn values(range: RangeInclusive<u32>, matches: impl Fn(u32) -> Result<bool, CronError>) -> String {
    let listed: Vec<u32> = range.clone().filter(|value| matches(*value).unwrap_or(false)).collect();
    if listed.len() == range.count() {
        return "*".to_owned();
    }
    listed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn ever_matches(cron: &Cron) -> bool {
    let matches = |day: NaiveDate| {
        let (year, month, day) = (day.year(), day.month(), day.day());
        Ok::<_, CronError>(cron.pattern.month_match(month)? && cron.pattern.day_match(year, month, day)?)
    };
    NaiveDate::default().iter_days().take(DAYS_OF_EVERY_KIND).any(|day| matches(day).unwrap_or(false))
}
