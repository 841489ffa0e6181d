//! The parts of a form: what each reads and writes.

use chrono::{Datelike, NaiveDateTime, Timelike};
use std::fmt::Write;

/// The parts a form may have, as they are written behind the percent sign.
const SPECIFIERS: [(&str, Part); 22] = [
    ("Y", Part::Year),
    ("y", Part::ShortYear),
    ("m", Part::Month(Zero::Leading)),
    ("-m", Part::Month(Zero::None)),
    ("b", Part::MonthName(Name::Short)),
    ("B", Part::MonthName(Name::Full)),
    ("d", Part::Day(Zero::Leading)),
    ("-d", Part::Day(Zero::None)),
    ("H", Part::Hour(Zero::Leading)),
    ("-H", Part::Hour(Zero::None)),
    ("I", Part::HalfDayHour(Zero::Leading)),
    ("-I", Part::HalfDayHour(Zero::None)),
    ("p", Part::HalfDay),
    ("M", Part::Minute),
    ("S", Part::Second),
    ("f", Part::Fraction(Digits::Any)),
    (".f", Part::Fraction(Digits::Optional)),
    ("3f", Part::Fraction(Digits::Fixed(3))),
    ("6f", Part::Fraction(Digits::Fixed(6))),
    ("9f", Part::Fraction(Digits::Fixed(9))),
    ("z", Part::Zone(Colon::Optional)),
    (":z", Part::Zone(Colon::Required)),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The greatest offset that PostgreSQL knows is 15:59.
const MAX_OFFSET_HOURS: u32 = 15;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Stands for itself.
    Text(String),
    /// Four digits.
    Year,
    /// The last two digits of a year.
    ShortYear,
    Month(Zero),
    /// In English, in any case of letters.
    MonthName(Name),
    Day(Zero),
    Hour(Zero),
    /// 1 to 12.
    HalfDayHour(Zero),
    /// AM or PM, in any case of letters.
    HalfDay,
    Minute,
    Second,
    Fraction(Digits),
    /// An offset from UTC, or `Z`.
    Zone(Colon),
}

/// Whether a number below ten has a zero before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    Leading,
    None,
}

/// How much of a month's name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Three letters.
    Short,
    Full,
}

/// How many decimals a second has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digits {
    Fixed(u32),
    /// One to nine.
    Any,
    /// A point and one to nine, or nothing.
    Optional,
}

/// Whether a colon stands between the hours and minutes of an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colon {
    Optional,
    Required,
}

/// The numbers that a text was read as.
#[derive(Default)]
pub(super) struct Numbers {
    pub(super) year: u32,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    /// Whether the hour is one of the second half of the day; `None` for hours of the whole day.
    pub(super) is_afternoon: Option<bool>,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) nano: u32,
    /// East of UTC, in minutes.
    pub(super) offset: i64,
}

/// Takes the text of a form apart.
///
/// # Errors
/// What is wrong with a specifier.
pub(super) fn parts_of(text: &str) -> Result<Vec<Part>, String> {
    let mut pieces = text.split('%');
    let own = |text: &str| (!text.is_empty()).then(|| Part::Text(text.to_owned()));
    let mut parts: Vec<Part> = pieces.next().and_then(own).into_iter().collect();
    for piece in pieces {
        let known = SPECIFIERS.iter().find_map(|(text, part)| Some((part, piece.strip_prefix(text)?)));
        let (part, behind) = known.ok_or_else(|| {
            let all: Vec<String> = SPECIFIERS.iter().map(|(text, _)| format!("%{text}")).collect();
            format!("has a specifier that is none of {}", all.join(", "))
        })?;
        parts.push(part.clone());
        parts.extend(own(behind));
    }
    Ok(parts)
}

impl Part {
    pub(super) const fn is_year(&self) -> bool {
        matches!(self, Self::Year | Self::ShortYear)
    }

    pub(super) const fn is_month(&self) -> bool {
        matches!(self, Self::Month(_) | Self::MonthName(_))
    }

    pub(super) const fn is_of_time(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Day(_)) && !self.is_year() && !self.is_month()
    }

    /// Whether a text that is read as this part may end before or behind another digit.
    pub(super) const fn has_any_length(&self) -> bool {
        match self {
            Self::Month(zero) | Self::Day(zero) | Self::Hour(zero) | Self::HalfDayHour(zero) => {
                matches!(zero, Zero::None)
            }
            Self::Fraction(digits) => !matches!(digits, Digits::Fixed(_)),
            Self::Zone(_) => true,
            _ => false,
        }
    }

    pub(super) fn begins_with_digit(&self) -> bool {
        match self {
            Self::Text(text) => text.starts_with(|c: char| c.is_ascii_digit()),
            Self::MonthName(_) | Self::HalfDay | Self::Zone(_) | Self::Fraction(Digits::Optional) => false,
            _ => true,
        }
    }

    /// How the part is written in a form.
    pub(super) fn specifier(&self) -> String {
        let known = SPECIFIERS.iter().find(|(_, part)| part == self);
        known.map_or_else(String::new, |(text, _)| format!("%{text}"))
    }

    /// Reads what the text begins with; returns what follows it.
    pub(super) fn read<'a>(&self, text: &'a [u8], numbers: &mut Numbers) -> Option<&'a [u8]> {
        let (place, (value, rest)) = match self {
            Self::Text(own) => return text.strip_prefix(own.as_bytes()),
            Self::Zone(colon) => return offset(text, *colon, &mut numbers.offset),
            Self::HalfDay => return half_day(text, &mut numbers.is_afternoon),
            Self::Fraction(digits) => return fraction(text, *digits, &mut numbers.nano),
            Self::MonthName(name) => (&mut numbers.month, month_name(text, *name)?),
            Self::Year => (&mut numbers.year, digits::<4>(text)?),
            Self::ShortYear => {
                let (value, rest) = digits::<2>(text)?;
                (&mut numbers.year, (century_of(value) + value, rest))
            }
            Self::Month(zero) => (&mut numbers.month, number(text, *zero)?),
            Self::Day(zero) => (&mut numbers.day, number(text, *zero)?),
            Self::Hour(zero) => (&mut numbers.hour, number(text, *zero)?),
            Self::HalfDayHour(zero) => {
                (&mut numbers.hour, number(text, *zero).filter(|(hour, _)| (1..=12).contains(hour))?)
            }
            Self::Minute => (&mut numbers.minute, digits::<2>(text)?),
            Self::Second => (&mut numbers.second, digits::<2>(text)?),
        };
        *place = value;
        Some(rest)
    }

    pub(super) fn write(&self, instant: NaiveDateTime, out: &mut String) {
        let half_day_hour = (instant.hour() + 11) % 12 + 1;
        let month = MONTHS[instant.month0() as usize];
        // Writing to a string never fails.
        let _ = match self {
            Self::Text(text) => out.write_str(text),
            Self::Year => write!(out, "{:04}", instant.year()),
            Self::ShortYear => write!(out, "{:02}", instant.year().rem_euclid(100)),
            Self::Month(zero) => write_number(instant.month(), *zero, out),
            Self::MonthName(Name::Short) => out.write_str(&month[..3]),
            Self::MonthName(Name::Full) => out.write_str(month),
            Self::Day(zero) => write_number(instant.day(), *zero, out),
            Self::Hour(zero) => write_number(instant.hour(), *zero, out),
            Self::HalfDayHour(zero) => write_number(half_day_hour, *zero, out),
            Self::HalfDay => out.write_str(if instant.hour() < 12 { "AM" } else { "PM" }),
            Self::Minute => write!(out, "{:02}", instant.minute()),
            Self::Second => write!(out, "{:02}", instant.second()),
            Self::Fraction(digits) => out.write_str(&decimals(instant.nanosecond(), *digits)),
            Self::Zone(Colon::Optional) => out.write_str("+0000"),
            Self::Zone(Colon::Required) => out.write_str("+00:00"),
        };
    }
}

fn write_number(number: u32, zero: Zero, out: &mut String) -> std::fmt::Result {
    match zero {
        Zero::Leading => write!(out, "{number:02}"),
        Zero::None => write!(out, "{number}"),
    }
}

fn decimals(nano: u32, digits: Digits) -> String {
    let all = format!("{nano:09}");
    let significant = all.trim_end_matches('0');
    match digits {
        Digits::Fixed(count) => all[..count as usize].to_owned(),
        Digits::Any => if significant.is_empty() { "0" } else { significant }.to_owned(),
        Digits::Optional if significant.is_empty() => String::new(),
        Digits::Optional => format!(".{significant}"),
    }
}

/// A number of two digits, or of one if it is below ten and written without a zero before it.
fn number(text: &[u8], zero: Zero) -> Option<(u32, &[u8])> {
    match (digits::<2>(text), zero) {
        (read, Zero::Leading) => read,
        (Some((value, rest)), Zero::None) => (value > 9).then_some((value, rest)),
        (None, Zero::None) => digits::<1>(text),
    }
}

/// A number of exactly so many digits, and what comes behind it.
fn digits<const N: usize>(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(N)?;
    let number = |n, digit: &u8| digit.is_ascii_digit().then(|| n * 10 + u32::from(digit - b'0'));
    Some((digits.iter().try_fold(0, number)?, rest))
}

fn month_name(text: &[u8], name: Name) -> Option<(u32, &[u8])> {
    let length = |month: &str| if name == Name::Short { 3 } else { month.len() };
    (1..).zip(MONTHS).find_map(|(number, month)| {
        let (head, rest) = text.split_at_checked(length(month))?;
        head.eq_ignore_ascii_case(&month.as_bytes()[..head.len()]).then_some((number, rest))
    })
}

fn half_day<'a>(text: &'a [u8], is_afternoon: &mut Option<bool>) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(2)?;
    *is_afternoon = Some(head.eq_ignore_ascii_case(b"PM"));
    (*is_afternoon == Some(true) || head.eq_ignore_ascii_case(b"AM")).then_some(rest)
}

/// Decimals of a second, up to nanoseconds.
fn fraction<'a>(text: &'a [u8], digits: Digits, nano: &mut u32) -> Option<&'a [u8]> {
    let text = match digits {
        Digits::Optional => match text.strip_prefix(b".") {
            Some(rest) => rest,
            None => return Some(text),
        },
        _ => text,
    };
    let found = text.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let count = match digits {
        Digits::Fixed(count) => count as usize,
        Digits::Any | Digits::Optional => found.max(1),
    };
    if found < count {
        return None;
    }
    let (own, rest) = text.split_at(count);
    let padded = own.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    *nano = padded.fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
    Some(rest)
}

/// `Z`, or a sign, hours and perhaps minutes.
fn offset<'a>(text: &'a [u8], colon: Colon, minutes: &mut i64) -> Option<&'a [u8]> {
    let (sign, text) = match text.split_first()? {
        (b'Z' | b'z', rest) => return Some(rest),
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits::<2>(text).filter(|(hours, _)| *hours <= MAX_OFFSET_HOURS)?;
    let (own_minutes, rest) = match (rest.strip_prefix(b":"), colon) {
        (Some(behind), _) => digits::<2>(behind)?,
        (None, Colon::Required) => return None,
        (None, Colon::Optional) if rest.first().is_some_and(u8::is_ascii_digit) => digits::<2>(rest)?,
        (None, Colon::Optional) => (0, rest),
    };
    *minutes = sign * i64::from(hours * 60 + own_minutes);
    (own_minutes < 60).then_some(rest)
}

/// The century of a year of two digits, as POSIX defines it: 69 to 99 are of the twentieth century.
const fn century_of(year: u32) -> u32 {
    if year < 69 { 2000 } else { 1900 }
}
