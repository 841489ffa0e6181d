//! One form of dates and timestamps: its text taken apart into parts, by which values are read and written.

use super::Moment;
use super::part::{Numbers, Part, parts_of};
use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta};

/// A checked form, with the specifiers of strftime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    text: String,
    parts: Vec<Part>,
}

impl Form {
    /// Checks a form: each part of the date once, of the time for a timestamp alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, moment: Moment) -> Result<Self, String> {
        let form = Self { text: text.to_owned(), parts: parts_of(text)? };
        form.check_neighbours()?;
        if [form.count(Part::is_year), form.count(Part::is_month), form.count(|part| matches!(part, Part::Day(_)))]
            != [1, 1, 1]
        {
            return Err("must hold a year (%Y or %y), a month and a day, each once".to_owned());
        }
        if form.count(Part::is_of_time) > 0 {
            match moment {
                Moment::Date => return Err("has a time of day, which a date can't keep".to_owned()),
                Moment::Timestamp => form.check_time()?,
            }
        }
        Ok(form)
    }

    fn count(&self, is_it: impl Fn(&Part) -> bool) -> usize {
        self.parts.iter().filter(|part| is_it(part)).count()
    }

    /// A number whose length is not known must end before a digit that is not its own.
    fn check_neighbours(&self) -> Result<(), String> {
        let is_joined = |pair: &[Part]| pair[0].has_any_length() && pair[1].begins_with_digit();
        match self.parts.windows(2).find(|pair| is_joined(pair)) {
            Some(pair) => Err(format!("needs something between {} and the digits behind it", pair[0].specifier())),
            None => Ok(()),
        }
    }

    fn check_time(&self) -> Result<(), String> {
        let hours = self.count(|part| matches!(part, Part::Hour(_)));
        let half_day_hours = self.count(|part| matches!(part, Part::HalfDayHour(_)));
        let halves = self.count(|part| *part == Part::HalfDay);
        let seconds = self.count(|part| *part == Part::Second);
        let problem = match (hours, half_day_hours, halves) {
            (0, 1, 0) => "has %I (an hour from 1 to 12) without %p: nothing states which half of the day is meant",
            (1, 0, 1..) => "has %p with %H, an hour of the whole day; %p belongs to %I",
            (1, 0, 0) | (0, 1, 1) if self.count(|part| *part == Part::Minute) == 1 && seconds <= 1 => {
                if self.count(|part| matches!(part, Part::Fraction(_))) > seconds {
                    "may hold one of %f, %.f, %3f, %6f and %9f, and only with %S"
                } else if self.count(|part| matches!(part, Part::Zone(_))) > 1 {
                    "may hold one of %z and %:z"
                } else {
                    return Ok(());
                }
            }
            _ => "must hold %H (or %-H), or %I (or %-I) with %p, and %M once, and %S at most once",
        };
        Err(problem.to_owned())
    }

    /// The form as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The day that is written exactly so, from the year 1 to 9999.
    #[must_use]
    pub fn date(&self, text: &[u8]) -> Option<NaiveDate> {
        self.read(text)?.date()
    }

    /// The instant that is written exactly so, midnight where the form has no time of day; in UTC where it has a zone.
    #[must_use]
    pub fn timestamp(&self, text: &[u8]) -> Option<NaiveDateTime> {
        self.read(text)?.timestamp()
    }

    fn read(&self, text: &[u8]) -> Option<Numbers> {
        let mut numbers = Numbers::default();
        let rest = self.parts.iter().try_fold(text, |text, part| part.read(text, &mut numbers))?;
        rest.is_empty().then_some(numbers)
    }

    /// An instant in this form, as far as the form shows it; a zone is written as UTC.
    #[must_use]
    pub fn write(&self, instant: NaiveDateTime) -> String {
        let mut text = String::new();
        self.parts.iter().for_each(|part| part.write(instant, &mut text));
        text
    }
}

impl Numbers {
    fn date(&self) -> Option<NaiveDate> {
        NaiveDate::from_ymd_opt(i32::try_from(self.year).ok()?, self.month, self.day).filter(|_| self.year > 0)
    }

    fn timestamp(&self) -> Option<NaiveDateTime> {
        let hour = match self.is_afternoon {
            None => self.hour,
            Some(is_afternoon) => self.hour % 12 + if is_afternoon { 12 } else { 0 },
        };
        let local = self.date()?.and_hms_nano_opt(hour, self.minute, self.second, self.nano)?;
        let instant = local.checked_sub_signed(TimeDelta::minutes(self.offset))?;
        (1..=9999).contains(&instant.year()).then_some(instant)
    }
}
