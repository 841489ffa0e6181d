//! How a dataset's files write dates and timestamps, where that is not `YYYY-MM-DD`.

use chrono::{Datelike, NaiveDate, NaiveDateTime};

/// The parts a form may have; each stands for a fixed thing, so that a form reads one way only.
const DATE_PARTS: [&str; 6] = ["Y", "y", "m", "d", "-m", "-d"];
const TIME_PARTS: [&str; 3] = ["H", "M", "S"];

/// What a form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A day.
    Date,
    /// A day and a time of day.
    Timestamp,
}

/// A checked form, with the specifiers of strftime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form(String);

impl Form {
    /// Checks a form: each part of the date once, of the time for a timestamp alone; seconds may be left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, moment: Moment) -> Result<Self, String> {
        let mut parts = Vec::new();
        for rest in text.split('%').skip(1) {
            let known = DATE_PARTS.iter().chain(&TIME_PARTS).find(|part| rest.starts_with(**part));
            parts.push(*known.ok_or("has a specifier that is none of %Y, %y, %m, %-m, %d, %-d, %H, %M, %S")?);
        }
        let joined = |part: &str| {
            text.contains(&format!("%{part}%")) || text.split(&format!("%{part}")).skip(1).any(begins_with_digit)
        };
        if ["-m", "-d"].into_iter().any(joined) {
            return Err("needs something between %-m or %-d and the digits behind it".to_owned());
        }
        let count = |names: &[&str]| parts.iter().filter(|part| names.contains(part)).count();
        if [&["Y", "y"], &["m", "-m"], &["d", "-d"]].iter().any(|part| count(&part[..]) != 1) {
            return Err("must hold a year (%Y or %y), a month and a day, each once".to_owned());
        }
        match moment {
            Moment::Date if count(&TIME_PARTS) > 0 => Err("has a time of day, which a date can't keep".to_owned()),
            Moment::Timestamp if count(&["H"]) != 1 || count(&["M"]) != 1 || count(&["S"]) > 1 => {
                Err("must hold %H and %M once, and %S at most once".to_owned())
            }
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The form as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The day that is written exactly so, from the year 1 to 9999.
    #[must_use]
    pub fn date(&self, text: &[u8]) -> Option<NaiveDate> {
        let text = std::str::from_utf8(text).ok()?;
        let date = NaiveDate::parse_from_str(text, &self.0).ok()?;
        (is_kept(date) && date.format(&self.0).to_string() == text).then_some(date)
    }

    /// The instant that is written exactly so.
    #[must_use]
    pub fn timestamp(&self, text: &[u8]) -> Option<NaiveDateTime> {
        let text = std::str::from_utf8(text).ok()?;
        let instant = NaiveDateTime::parse_from_str(text, &self.0).ok()?;
        (is_kept(instant.date()) && instant.format(&self.0).to_string() == text).then_some(instant)
    }
}

fn begins_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_kept(date: NaiveDate) -> bool {
    (1..=9999).contains(&date.year())
}
