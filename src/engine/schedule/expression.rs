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

/// Where the month is among the six fields; the day fields are before and after it.
const MONTH: usize = 4;

/// The days of the week, from 0 on.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

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
    warnings: Vec<String>,
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
                let fields = Fields::split(&text);
                if let Some(message) = fields.useless_day() {
                    return Err(ScheduleError::Expression { expression: text, message });
                }
                let every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
                let canonical = canonical(&fields, &cron);
                Ok(Self { canonical, warnings: fields.warnings(), text, cron, every_hour })
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

    /// What in it probably means something else than it says.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
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
    let fields = Fields::split(text);
    match fields.written.len() {
        5 | 6 => {}
        _ if text.starts_with('@') => return Err("nicknames are not understood, write 0 0 * * * for @daily".to_owned()),
        n => return Err(format!("five fields (minute first) or six (second first) are needed, not {n}")),
    }
    for (index, text) in fields.written.iter().enumerate() {
        check(fields.omitted() + index, text, &fields.read[index])?;
    }
    CronParser::new().parse(&fields.read.join(" ")).map_err(|error| reason(&error))
}

/// The fields of an expression.
struct Fields<'a> {
    /// As they were written.
    written: Vec<&'a str>,
    /// As croner reads them: in the day of week, Sunday is 0 in front of `L` and `#`.
    read: Vec<String>,
}

impl<'a> Fields<'a> {
    fn split(text: &'a str) -> Self {
        let written: Vec<&str> = text.split_whitespace().collect();
        let mut read: Vec<String> = written.iter().map(|field| (*field).to_owned()).collect();
        if let Some(weekday) = read.last_mut().filter(|_| written.len() >= 5) {
            *weekday = with_sunday_as_zero(weekday);
        }
        Self { written, read }
    }

    /// How many of the six fields are not written.
    const fn omitted(&self) -> usize {
        FIELDS.len().saturating_sub(self.written.len())
    }

    /// Finds an item of a day field that no day of any year matches, in the months of the expression, although other
    /// items do.
    fn useless_day(&self) -> Option<String> {
        let month = &self.read[MONTH - self.omitted()];
        [MONTH - 1, MONTH + 1].into_iter().find_map(|index| {
            let place = index - self.omitted();
            let useless = self.read[place].trim_start_matches('+').split(',').find(|item| {
                let (day, weekday) = if index < MONTH { (*item, "*") } else { ("*", *item) };
                let alone = CronParser::new().parse(&format!("* * {day} {month} {weekday}"));
                alone.is_ok_and(|cron| !ever_matches(&cron))
            })?;
            let (field, written) = (&FIELDS[index], self.written[place]);
            Some(format!("{} {written}: {useless} never falls due ({} allowed)", field.name, field.range))
        })
    }

    /// Names steps that are longer than what they step through.
    fn warnings(&self) -> Vec<String> {
        let warning = |(place, written): (usize, &&str)| {
            let field = &FIELDS[self.omitted() + place];
            let item = written.split(',').find(|item| field.is_stepped_over(item))?;
            let name = field.name;
            Some(format!(
                "the step of {item} in the {name} is longer than the field ({}) and matches only its first value: a step \
                 counts within its field",
                field.range
            ))
        };
        self.written.iter().enumerate().filter_map(warning).collect()
    }
}

impl Field {
    /// Whether an item has a step that leaves only the first value.
    fn is_stepped_over(&self, item: &str) -> bool {
        let Some((values, step)) = item.trim_start_matches('+').split_once('/') else { return false };
        let bounds = self.range.split_once('-').and_then(|(min, max)| Some((min.parse().ok()?, max.parse().ok()?)));
        let Some((min, max)): Option<(u32, u32)> = bounds else { return false };
        let (first, last) = values.split_once('-').map_or((values, None), |(first, last)| (first, Some(last)));
        let first = first.parse().unwrap_or(min);
        let last = last.map_or(max, |last| last.parse().unwrap_or(max));
        step.parse::<u32>().is_ok_and(|step| step > last.saturating_sub(first))
    }
}

/// Writes the day of week so that croner reads it in full: of Sunday it knows `0` in front of `L` and `#`, neither `7` nor
/// the end of a range, and of names none in front of `L`.
fn with_sunday_as_zero(field: &str) -> String {
    let (plus, items) = field.strip_prefix('+').map_or(("", field), |items| ("+", items));
    let rewritten: Vec<String> = items.split(',').map(rewrite_weekday).collect();
    format!("{plus}{}", rewritten.join(","))
}

fn rewrite_weekday(item: &str) -> String {
    let item = item.to_uppercase();
    let (days, modifier) = match item.find(['#', 'L']) {
        Some(place) if place > 0 => item.split_at(place),
        _ => return item,
    };
    let number = |day: &str| {
        let known = WEEKDAYS.iter().position(|known| *known == day);
        known.map_or_else(|| day.to_owned(), |index| index.to_string())
    };
    if days == "7" {
        return format!("0{modifier}");
    }
    match days.split_once('-') {
        None => format!("{}{modifier}", number(days)),
        Some((first, last)) if last == "7" && first != "7" => {
            format!("{}-6{modifier},0{modifier}", number(first))
        }
        Some(_) => item,
    }
}

/// Parses one field alone, so that the error can name it.
fn check(index: usize, written: &str, text: &str) -> Result<(), String> {
    let field = &FIELDS[index];
    let mut alone = ["*"; FIELDS.len()];
    alone[index] = text;
    let problem = if text.split(',').any(str::is_empty) {
        Some("an item of the list is empty".to_owned())
    } else if let Some(word) = unknown_word(field, written, text) {
        Some(format!("{word} is not understood here"))
    } else {
        CronParser::new().parse(&alone.join(" ")).err().map(|error| reason(&error))
    };
    match problem {
        Some(problem) => Err(format!("{} {written}: {problem} ({} allowed)", field.name, field.range)),
        None => Ok(()),
    }
}

/// Finds a word that the field does not know, as it was written; `text` is the field as it is read.
fn unknown_word<'a>(field: &Field, written: &'a str, text: &str) -> Option<&'a str> {
    let is_unknown = |word: &&str| !field.words.iter().any(|known| known.eq_ignore_ascii_case(word));
    words(text).find(is_unknown)?;
    words(written).find(is_unknown)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty())
}

fn reason(error: &CronError) -> String {
    match error {
        CronError::IllegalCharacters(_) => "a character is not understood here".to_owned(),
        CronError::ComponentError(what) => what.trim_end_matches('.').to_lowercase(),
        other => other.to_string(),
    }
}

/// Writes an expression so that blanks, names, ranges, steps and the order of lists make no difference.
fn canonical(fields: &Fields<'_>, cron: &Cron) -> String {
    let (pattern, read) = (&cron.pattern, &fields.read);
    let (day, weekday) = (&read[read.len() - 3], &read[read.len() - 1]);
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
