//! What a parameter may hold: how it is read, how it is described, what is said of what it is not.

use chrono::{Datelike, Months, NaiveDate};
use regex::Regex;
use rust_decimal::Decimal;
use std::fmt::{self, Display};
use std::str::FromStr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

/// Of what is said to be wrong, so many characters are shown.
const SHOWN: usize = 60;

/// What a parameter may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number between two.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A day from 0001-01-01 to 9999-12-31.
    Date,
    /// A month from 1000-01 to 9999-12.
    Month,
    /// A text.
    Text {
        /// The greatest number of characters; the least is 1.
        most: usize,
    },
    /// A text of a form.
    Form(Form),
    /// One of these words.
    Choice {
        /// In the order in which they are shown.
        words: Vec<String>,
    },
    /// `true` or `false`.
    Boolean,
    /// A number of up to 16 digits before the point.
    Decimal {
        /// The greatest number of digits behind it.
        scale: u32,
    },
}

/// What a text must look like.
#[derive(Clone, Debug)]
pub struct Form {
    pattern: String,
    meaning: String,
    regex: Option<Regex>,
}

impl Form {
    /// `pattern` is a regular expression from `^` to `$` that this program and clients read alike; `meaning` stands
    /// behind "must be".
    #[must_use]
    pub fn new(pattern: &str, meaning: &str) -> Self {
        Self { pattern: pattern.to_owned(), meaning: meaning.to_owned(), regex: Regex::new(pattern).ok() }
    }

    /// A pattern that is none matches nothing.
    fn matches(&self, text: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.meaning == other.meaning
    }
}

impl Eq for Form {}

/// A value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named like the kinds")]
pub enum Value {
    Integer(i64),
    Date(NaiveDate),
    Month(Month),
    Text(String),
    Boolean(bool),
    Decimal(Decimal),
}

/// A month of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(NaiveDate);

impl Month {
    /// The month that a day lies in.
    #[must_use]
    pub fn of(day: NaiveDate) -> Self {
        Self(day.with_day(1).unwrap_or(day))
    }

    /// Its first day.
    #[must_use]
    pub const fn first_day(self) -> NaiveDate {
        self.0
    }

    /// The first day that is not in it any more.
    #[must_use]
    pub fn first_day_of_next(self) -> NaiveDate {
        self.0.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX)
    }
}

impl Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl Kind {
    /// Reads a value.
    ///
    /// # Errors
    /// What would be right, and what was found.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        self.read(text).ok_or_else(|| match text {
            _ if text.contains('\0') => "must not hold a NUL character".to_owned(),
            "" => format!("must be {}, found nothing", self.expected()),
            _ => format!("must be {}, found {}", self.expected(), shown(text)),
        })
    }

    fn read(&self, text: &str) -> Option<Value> {
        match self {
            Self::Integer { min, max } => integer(text).filter(|n| (min..=max).contains(&n)).map(Value::Integer),
            Self::Date => date(text).map(Value::Date),
            Self::Month => date(&format!("{text}-01")).filter(|day| day.year() >= 1000).map(Month).map(Value::Month),
            Self::Text { most } => {
                let is_text = !text.is_empty() && !text.contains('\0') && text.chars().nth(*most).is_none();
                is_text.then(|| Value::Text(text.to_owned()))
            }
            Self::Form(form) => form.matches(text).then(|| Value::Text(text.to_owned())),
            Self::Choice { words } => words.iter().find(|word| *word == text).cloned().map(Value::Text),
            Self::Boolean => text.parse().ok().map(Value::Boolean),
            Self::Decimal { scale } => decimal(text, *scale).map(Value::Decimal),
        }
    }

    /// What would be right, as it stands behind "must be".
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Date => "a date like 2025-03-31".to_owned(),
            Self::Month => "a month like 2025-03".to_owned(),
            Self::Text { most } => format!("a text of 1 to {most} characters"),
            Self::Form(form) => form.meaning.clone(),
            Self::Choice { words } => match &words[..] {
                [only] => only.clone(),
                words => format!("one of {}", words.join(", ")),
            },
            Self::Boolean => "true or false".to_owned(),
            Self::Decimal { scale: 0 } => "a number of up to 16 digits".to_owned(),
            Self::Decimal { scale } => {
                format!("a number of up to 16 digits, and up to {scale} more behind a point")
            }
        }
    }

    /// Its schema.
    pub(crate) fn schema(&self) -> ObjectBuilder {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        match self {
            Self::Integer { min, max } => ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(Some(*min))
                .maximum(Some(*max)),
            Self::Date => text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date))),
            Self::Month => text().pattern(Some("^[1-9][0-9]{3}-(0[1-9]|1[0-2])$")),
            Self::Text { most } => text().min_length(Some(1)).max_length(Some(*most)).pattern(Some(r"^[^\u0000]+$")),
            Self::Form(form) => text().pattern(Some(&form.pattern)),
            Self::Choice { words } => text().enum_values(Some(words.iter().map(String::as_str))),
            Self::Boolean => ObjectBuilder::new().schema_type(Type::Boolean),
            Self::Decimal { scale: 0 } => text().pattern(Some("^-?[0-9]{1,16}$")),
            Self::Decimal { scale } => text().pattern(Some(format!(r"^-?[0-9]{{1,16}}(\.[0-9]{{1,{scale}}})?$"))),
        }
    }

    /// A text of this kind, as JSON.
    pub(crate) fn json(&self, text: &str) -> serde_json::Value {
        self.parse(text).map_or_else(|_| text.into(), |value| value.json())
    }
}

impl Value {
    /// As it stands in JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Integer(number) => (*number).into(),
            Self::Boolean(is) => (*is).into(),
            Self::Date(date) => date.to_string().into(),
            Self::Month(month) => month.to_string().into(),
            Self::Text(text) => text.as_str().into(),
            Self::Decimal(number) => number.to_string().into(),
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Strictly `YYYY-MM-DD`; there is no year 0.
fn date(text: &str) -> Option<NaiveDate> {
    let form = text.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    let day = (text.len() == 10 && form).then(|| NaiveDate::from_str(text).ok())??;
    (day.year() > 0).then_some(day)
}

fn decimal(text: &str, scale: u32) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let are_digits =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let most = usize::try_from(scale).unwrap_or(0);
    (are_digits(whole, 16) && fraction.is_none_or(|part| are_digits(part, most))).then(|| text.parse().ok())?
}

/// A text in quotes, cut off where it is long.
pub(crate) fn shown(text: &str) -> String {
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { " and more" } else { "" };
    format!("{start:?}{more}")
}

macro_rules! into_value {
    ($($from:ty => $kind:ident)+) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$kind(value)
            }
        }
    )+};
}

into_value! { i64 => Integer NaiveDate => Date Month => Month String => Text bool => Boolean Decimal => Decimal }
