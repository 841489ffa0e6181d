//! How a dataset's files write dates and timestamps, where that is not `YYYY-MM-DD`.

use chrono::format::{Item, StrftimeItems};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use schemars::JsonSchema;
use serde::Deserialize;

/// The parts a form may have; each stands for a fixed thing, so that a form reads one way only.
const DATE_PARTS: [&str; 6] = ["Y", "y", "m", "d", "-m", "-d"];
const TIME_PARTS: [&str; 6] = ["H", "-H", "M", "S", "3f", "6f"];

/// The parts that are one digit or two.
const SHORT_PARTS: [&str; 3] = ["-m", "-d", "-H"];

/// The years in which forms are compared: their numbers are days and months, too.
const YEARS: [i32; 3] = [2001, 2004, 2012];

/// The days of a month on which forms are compared: all whose numbers are months or hours too, but for some of those
/// that are hours alone, and one that is a minute alone.
const DAYS: [u32; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 25];

/// Times of day, with one digit and with two, at which forms are compared.
const TIMES: [(u32, u32, u32, u32); 2] = [(1, 2, 3, 4_005), (11, 12, 13, 14_015)];

/// What a form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A day.
    Date,
    /// A day and a time of day.
    Timestamp,
}

/// `format` of a column: one form, or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LooseForms {
    /// The only one.
    One(String),
    /// The first that a text is written in is the one it is read by.
    Several(Vec<String>),
}

/// The forms of a column, in the order in which they are tried; no text reads differently by two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forms(Vec<Form>);

/// A checked form, with the specifiers of strftime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Stands for itself.
    Text(Vec<u8>),
    /// Four digits.
    Year,
    /// The last two digits of one.
    ShortYear,
    Month(Zero),
    Day(Zero),
    Hour(Zero),
    Minute,
    Second,
    /// So many digits behind the point.
    Fraction(u32),
}

/// Whether a number below ten has a zero before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zero {
    Leading,
    None,
}

/// What a text was read as.
#[derive(Default)]
struct Found {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micro: u32,
}

impl Forms {
    /// Checks forms; each problem with its place in the list, where there is a list.
    pub fn compile(loose: &LooseForms, moment: Moment, mut problem: impl FnMut(Option<usize>, String)) -> Option<Self> {
        let (texts, is_list) = match loose {
            LooseForms::One(text) => (std::slice::from_ref(text), false),
            LooseForms::Several(texts) => (texts.as_slice(), true),
        };
        if texts.is_empty() {
            problem(None, "lists no form: every row would be rejected".to_owned());
            return None;
        }
        let mut forms: Vec<Form> = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            let compiled = Form::parse(text, moment).map_err(|error| format!("{text:?} {error}"));
            let checked = compiled.and_then(|form| match forms.iter().find_map(|other| form.why_not_beside(other)) {
                Some(why) => Err(why),
                None => Ok(form),
            });
            match checked {
                Ok(form) => forms.push(form),
                Err(error) => problem(is_list.then_some(i), error),
            }
        }
        (forms.len() == texts.len()).then_some(Self(forms))
    }

    /// The forms as they were written.
    #[must_use]
    pub fn list(&self) -> String {
        self.0.iter().map(Form::as_str).collect::<Vec<_>>().join(", or ")
    }

    /// Each of them, as it was written.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Form::as_str)
    }

    /// The day that is written in one of them.
    #[must_use]
    pub fn date(&self, text: &[u8]) -> Option<NaiveDate> {
        self.0.iter().find_map(|form| form.date(text))
    }

    /// The instant that is written in one of them.
    #[must_use]
    pub fn timestamp(&self, text: &[u8]) -> Option<NaiveDateTime> {
        self.0.iter().find_map(|form| form.timestamp(text))
    }
}

impl Form {
    /// Checks a form: each part of the date once, of the time for a timestamp alone; seconds may be left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, moment: Moment) -> Result<Self, String> {
        let mut parts = Vec::new();
        for rest in text.split('%').skip(1) {
            let known = DATE_PARTS.iter().chain(&TIME_PARTS).find(|part| rest.starts_with(**part));
            parts.push(
                *known.ok_or("has a specifier that is none of %Y, %y, %m, %-m, %d, %-d, %H, %-H, %M, %S, %3f, %6f")?,
            );
        }
        let joined = |part: &str| {
            text.contains(&format!("%{part}%")) || text.split(&format!("%{part}")).skip(1).any(begins_with_digit)
        };
        if SHORT_PARTS.into_iter().any(joined) {
            return Err("needs something between %-m, %-d or %-H and the digits behind it".to_owned());
        }
        let count = |names: &[&str]| parts.iter().filter(|part| names.contains(part)).count();
        if [&["Y", "y"], &["m", "-m"], &["d", "-d"]].iter().any(|part| count(&part[..]) != 1) {
            return Err("must hold a year (%Y or %y), a month and a day, each once".to_owned());
        }
        match moment {
            Moment::Date if count(&TIME_PARTS) > 0 => Err("has a time of day, which a date can't keep".to_owned()),
            Moment::Timestamp if count(&["H", "-H"]) != 1 || count(&["M"]) != 1 || count(&["S"]) > 1 => {
                Err("must hold %H (or %-H) and %M once, and %S at most once".to_owned())
            }
            Moment::Timestamp if count(&["3f", "6f"]) > count(&["S"]) => {
                Err("may hold one of %3f and %6f, and only with %S".to_owned())
            }
            _ => Ok(Self { text: text.to_owned(), parts: parts_of(text) }),
        }
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

    /// The instant that is written exactly so.
    #[must_use]
    pub fn timestamp(&self, text: &[u8]) -> Option<NaiveDateTime> {
        let found = self.read(text)?;
        let time = NaiveTime::from_hms_micro_opt(found.hour, found.minute, found.second, found.micro)?;
        Some(found.date()?.and_time(time))
    }

    fn read(&self, mut text: &[u8]) -> Option<Found> {
        let mut found = Found::default();
        for part in &self.parts {
            let (value, rest) = part.read(text)?;
            text = rest;
            match part {
                Part::Text(_) => {}
                Part::Year => found.year = value,
                Part::ShortYear => found.year = century_of(value) + value,
                Part::Month(_) => found.month = value,
                Part::Day(_) => found.day = value,
                Part::Hour(_) => found.hour = value,
                Part::Minute => found.minute = value,
                Part::Second => found.second = value,
                Part::Fraction(digits) => found.micro = value * 10_u32.pow(6 - digits),
            }
        }
        text.is_empty().then_some(found)
    }

    /// Why it can't stand beside another: some text is one day by this form and another day by that one.
    fn why_not_beside(&self, other: &Self) -> Option<String> {
        if self == other {
            return Some(format!("{:?} is there twice", self.text));
        }
        let text = self.ambiguous(other, &DAYS)?;
        Some(format!(
            "{:?} and {:?} read {text:?} as two different days: nothing tells which one is meant",
            other.text, self.text
        ))
    }

    /// The first text, of the moments of these days, that is read differently by another form.
    fn ambiguous(&self, other: &Self, days: &[u32]) -> Option<String> {
        let pairs = [(self, other), (other, self)].map(|(form, by)| {
            let items: Vec<Item<'_>> = StrftimeItems::new(&form.text).collect();
            (form, by, items)
        });
        moments(days).find_map(|moment| {
            pairs.iter().find_map(|(form, by, items)| {
                let text = moment.format_with_items(items.iter()).to_string();
                let read = by.timestamp(text.as_bytes())?;
                (form.timestamp(text.as_bytes()) != Some(read)).then_some(text)
            })
        })
    }
}

/// These days of every month of the years in which forms are compared, at both times.
fn moments(days: &[u32]) -> impl Iterator<Item = NaiveDateTime> {
    let firsts = YEARS.into_iter().flat_map(|year| TIMES.map(|time| (year, time)));
    let months = firsts.flat_map(|first| (1..=12).map(move |month| (first, month)));
    months.flat_map(move |((year, (hour, minute, second, micro)), month)| {
        days.iter().filter_map(move |day| {
            NaiveDate::from_ymd_opt(year, month, *day)?.and_hms_micro_opt(hour, minute, second, micro)
        })
    })
}

impl Part {
    /// What the text begins with, and what comes behind it.
    fn read<'a>(&self, text: &'a [u8]) -> Option<(u32, &'a [u8])> {
        match self {
            Self::Text(own) => Some((0, text.strip_prefix(own.as_slice())?)),
            Self::Year => digits::<4>(text),
            Self::Month(Zero::None) | Self::Day(Zero::None) => short(text).filter(|(value, _)| *value > 0),
            Self::Hour(Zero::None) => short(text),
            Self::Fraction(3) => digits::<3>(text),
            Self::Fraction(_) => digits::<6>(text),
            _ => digits::<2>(text),
        }
    }
}

impl Found {
    fn date(&self) -> Option<NaiveDate> {
        NaiveDate::from_ymd_opt(i32::try_from(self.year).ok()?, self.month, self.day).filter(|_| self.year > 0)
    }
}

/// A number of two digits, or of one where it is below ten.
fn short(text: &[u8]) -> Option<(u32, &[u8])> {
    match digits::<2>(text) {
        Some((value, rest)) => (value > 9).then_some((value, rest)),
        None => digits::<1>(text),
    }
}

/// A number of exactly so many digits, and what comes behind it.
fn digits<const N: usize>(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(N)?;
    let number = |n, digit: &u8| digit.is_ascii_digit().then(|| n * 10 + u32::from(digit - b'0'));
    Some((digits.iter().try_fold(0, number)?, rest))
}

/// What POSIX says of years of two digits: 69 to 99 are of the twentieth century.
const fn century_of(year: u32) -> u32 {
    if year < 69 { 2000 } else { 1900 }
}

fn parts_of(text: &str) -> Vec<Part> {
    let mut pieces = text.split('%');
    let own = |text: &str| (!text.is_empty()).then(|| Part::Text(text.into()));
    let mut parts: Vec<Part> = pieces.next().and_then(own).into_iter().collect();
    for piece in pieces {
        let (zero, piece) = match piece.strip_prefix('-') {
            Some(piece) => (Zero::None, piece),
            None => (Zero::Leading, piece),
        };
        let part = match piece.bytes().next() {
            Some(b'Y') => Part::Year,
            Some(b'y') => Part::ShortYear,
            Some(b'm') => Part::Month(zero),
            Some(b'd') => Part::Day(zero),
            Some(b'H') => Part::Hour(zero),
            Some(b'M') => Part::Minute,
            Some(b'3') => Part::Fraction(3),
            Some(b'6') => Part::Fraction(6),
            _ => Part::Second,
        };
        let own_from = if matches!(part, Part::Fraction(_)) { 2 } else { 1 };
        parts.push(part);
        parts.extend(piece.get(own_from..).and_then(own));
    }
    parts
}

fn begins_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// The parts of a form in any order.
    fn parts() -> impl Strategy<Value = Vec<&'static str>> {
        let date = (select(&["%Y", "%y"][..]), select(&["%m", "%-m"][..]), select(&["%d", "%-d"][..]));
        let time = prop::collection::vec(select(&["%H", "%-H", "%M", "%S"][..]), 0..3);
        let all = (date, time).prop_map(|((year, month, day), time)| [vec![year, month, day], time].concat());
        all.prop_shuffle()
    }

    fn form(parts: &[&str], between: &str) -> Option<Form> {
        let text = parts.join(between);
        Form::parse(&text, Moment::Timestamp).or_else(|_| Form::parse(&text, Moment::Date)).ok()
    }

    /// Two forms with the same between their parts: about every sixth pair reads some text differently.
    fn pair() -> impl Strategy<Value = (Form, Form)> {
        (parts(), parts(), select(&["/", "-", ""][..]))
            .prop_filter_map("no forms", |(one, other, between)| Some((form(&one, between)?, form(&other, between)?)))
    }

    proptest! {
        #[test]
        fn forms_are_as_unlike_on_some_days_as_on_all((one, other) in pair()) {
            let all: Vec<u32> = (1..=31).collect();
            let (some, all) = (one.ambiguous(&other, &DAYS), one.ambiguous(&other, &all));
            prop_assert_eq!(some.is_some(), all.is_some(), "{:?} {:?}", some, all);
        }
    }
}
