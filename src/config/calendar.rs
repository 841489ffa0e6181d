//! Calendars: the days on which somebody delivers nothing; and readings of a wall clock.

use super::ident::Ident;
use super::problem::{At, Problems};
use super::source::Source;
use chrono::{Datelike, NaiveDate, NaiveTime};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;

/// One `[[calendar]]` of `customers.toml`: the days on which its customers deliver nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseCalendar {
    /// An identifier; customers and datasets name it.
    pub name: String,
    /// Closed each week on these days.
    #[serde(default)]
    pub closed_weekdays: Vec<Weekday>,
    /// Closed on these days, as `"YYYY-MM-DD"`.
    #[serde(default)]
    pub closed_dates: Vec<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their names say it all")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// Monday first.
    const ALL: [(Self, &str); 7] = [
        (Self::Mon, "Mondays"),
        (Self::Tue, "Tuesdays"),
        (Self::Wed, "Wednesdays"),
        (Self::Thu, "Thursdays"),
        (Self::Fri, "Fridays"),
        (Self::Sat, "Saturdays"),
        (Self::Sun, "Sundays"),
    ];
}

/// A checked calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Its name.
    pub name: Ident,
    closed_weekdays: BTreeSet<Weekday>,
    closed_dates: BTreeSet<NaiveDate>,
}

impl Calendar {
    /// Why nothing is delivered on `day`; none where the calendar is open.
    #[must_use]
    pub fn reason_closed(&self, day: NaiveDate) -> Option<String> {
        if self.closed_dates.contains(&day) {
            return Some(format!("the calendar {} is closed on {day}", self.name));
        }
        let (weekday, plural) = Weekday::ALL[day.weekday().num_days_from_monday() as usize];
        self.closed_weekdays.contains(&weekday).then(|| format!("the calendar {} is closed on {plural}", self.name))
    }
}

/// Compiles the calendars of `customers.toml`; everything wrong with them is a problem.
pub(super) fn compile_calendars(source: &Source, loose: &[LooseCalendar], problems: &mut Problems) -> Vec<Calendar> {
    let mut calendars: Vec<Calendar> = Vec::with_capacity(loose.len());
    for (i, calendar) in loose.iter().enumerate() {
        let at = At::key("calendar").index(i);
        let closed_weekdays = closed_weekdays(source, &at, calendar, problems);
        let closed_dates = closed_dates(source, &at, calendar, problems);
        match Ident::parse(&calendar.name) {
            Err(error) => problems.push(source.problem(&at.then("name"), error.to_string())),
            Ok(name) if calendars.iter().any(|c| c.name == name) => {
                problems.push(source.problem(&at.then("name"), format!("the calendar {name} is there twice")));
            }
            Ok(name) => calendars.push(Calendar { name, closed_weekdays, closed_dates }),
        }
    }
    calendars
}

fn closed_weekdays(source: &Source, at: &At, loose: &LooseCalendar, problems: &mut Problems) -> BTreeSet<Weekday> {
    let closed: BTreeSet<Weekday> = loose.closed_weekdays.iter().copied().collect();
    let at = at.clone().then("closed_weekdays");
    if closed.len() < loose.closed_weekdays.len() {
        problems.push(source.problem(&at, "has a day twice"));
    }
    if closed.len() == Weekday::ALL.len() {
        problems.push(source.problem(&at, "closes every day: nothing would ever be expected"));
    }
    closed
}

fn closed_dates(source: &Source, at: &At, loose: &LooseCalendar, problems: &mut Problems) -> BTreeSet<NaiveDate> {
    let mut closed = BTreeSet::new();
    for (i, text) in loose.closed_dates.iter().enumerate() {
        let at = at.clone().then("closed_dates").index(i);
        match parse_date(text) {
            None => problems.push(source.problem(&at, format!("{text:?} is no day of the calendar (YYYY-MM-DD)"))),
            Some(day) if !closed.insert(day) => problems.push(source.problem(&at, format!("{day} is there twice"))),
            Some(_) => {}
        }
    }
    closed
}

/// A day written `YYYY-MM-DD`, all ten characters of it.
pub(super) fn parse_date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| day.to_string() == text)
}

/// The form of a reading of a wall clock, as a regular expression: `HH:MM`.
pub const WALL_TIME: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

/// A reading of a wall clock, written `HH:MM` from `00:00` to `23:59`.
pub fn parse_wall_time(source: &Source, at: &At, text: &str, problems: &mut Problems) -> Option<NaiveTime> {
    let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|time| time.format("%H:%M").to_string() == text);
    if time.is_none() {
        problems.push(source.problem(at, format!("{text:?} is no time of day (HH:MM, 00:00 to 23:59)")));
    }
    time
}
