//! Parses one cell by its column and appends it to a binary COPY tuple. No allocation unless it is refused.

use super::boolean::{Words, parse_boolean};
use super::column::{IntegerRule, Kind, Range, TextRule};
use super::json::encode_json;
use super::map::encode_map;
use super::moment::Forms;
use super::number::{self, NumberFormat, Plain, decimal_parts, parse_decimal, parse_integer, without_padding};
use super::reject::{CellError, Code, readable, refuse, shown};
use super::split::Bytes;
use bytes::{BufMut, BytesMut};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use postgres_types::{ToSql, Type};
use rust_decimal::Decimal;
use std::fmt::Display;
use uuid::Uuid;

/// Appends `text` as a value of this kind: its length and its binary form.
///
/// # Errors
/// The one reason why the cell does not conform; `out` is then left with a partial value that the caller
/// rolls back together with the row.
#[expect(clippy::inline_always, reason = "most cells are whole numbers and short texts: for them a call is a third")]
#[inline(always)]
pub fn encode(kind: &Kind, text: &[u8], bytes: Bytes, out: &mut BytesMut) -> Result<(), CellError> {
    match kind {
        Kind::Integer(rule) => {
            if let Some(n) = plain_integer(rule, text).and_then(|n| i32::try_from(n).ok()) {
                put_fixed(4, n.to_be_bytes(), out);
                return Ok(());
            }
        }
        Kind::Bigint(rule) => {
            if let Some(n) = plain_integer(rule, text) {
                put_fixed(8, n.to_be_bytes(), out);
                return Ok(());
            }
        }
        Kind::Text(rule) if is_plain_text(rule, text, bytes) => {
            put_text(text, out);
            return Ok(());
        }
        _ => {}
    }
    encode_any(kind, text, out)
}

#[inline(never)]
fn encode_any(kind: &Kind, text: &[u8], out: &mut BytesMut) -> Result<(), CellError> {
    match kind {
        Kind::Integer(rule) => {
            let n = read_integer(rule, text)?;
            let n = i32::try_from(n).map_err(|_| out_of_range(&n, &i32::MIN, &i32::MAX))?;
            put_fixed(4, n.to_be_bytes(), out);
            Ok(())
        }
        Kind::Bigint(rule) => {
            put_fixed(8, read_integer(rule, text)?.to_be_bytes(), out);
            Ok(())
        }
        Kind::Text(rule) => {
            check_text(rule, text)?;
            put_text(text, out);
            Ok(())
        }
        Kind::Numeric { precision, scale, range, written } => {
            let plain = written.as_ref().map(|written| plain_decimal(written, text)).transpose()?;
            let plain = plain.as_ref().map_or(text, Plain::text);
            let number = check_numeric((*precision, *scale), range, plain, || {
                let example = written.as_ref().map(|written| format!(" ({})", written.example()));
                (text, example.unwrap_or_default())
            })?;
            put(&number, &Type::NUMERIC, out)
        }
        Kind::Date(range, forms) => {
            let date = forms.as_ref().map_or_else(|| parse_date(text), |forms| forms.date(text));
            let date = date.ok_or_else(|| {
                let forms = forms.as_ref().map_or("YYYY-MM-DD".to_owned(), Forms::list);
                refuse(Code::NotADate, text, &format!("is not a date ({forms})"))
            })?;
            check_range(range, &date)?;
            put(&date, &Type::DATE, out)
        }
        Kind::Timestamp(range, forms) => {
            let instant = forms.as_ref().map_or_else(|| parse_timestamp(text), |forms| forms.timestamp(text));
            let instant = instant.ok_or_else(|| {
                let forms = forms.as_ref().map_or("YYYY-MM-DD HH:MM:SS".to_owned(), Forms::list);
                refuse(Code::NotATimestamp, text, &format!("is not a timestamp ({forms})"))
            })?;
            if instant.nanosecond() % 1000 > 0 {
                let why = "has more than six decimals of a second, not all of them 0; at most six fit";
                return Err(refuse(Code::TooManyDecimals, text, why));
            }
            check_range(range, &instant)?;
            put(&instant, &Type::TIMESTAMP, out)
        }
        Kind::Boolean(words) => {
            let value = words.as_ref().map_or_else(|| parse_boolean(text), |words| words.parse(text));
            let value = value.ok_or_else(|| {
                let known = words.as_ref().map_or("true, false, yes, no, t, f, 1, 0".to_owned(), Words::list);
                refuse(Code::NotABoolean, text, &format!("is not a boolean ({known})"))
            })?;
            put(&value, &Type::BOOL, out)
        }
        Kind::Uuid => {
            let value = parse_uuid(text).ok_or_else(|| refuse(Code::NotAUuid, text, "is not a UUID"))?;
            put(&value, &Type::UUID, out)
        }
        Kind::Json => encode_json(text, out),
        Kind::Map => encode_map(text, out),
    }
}

/// Appends a null.
#[inline]
pub fn encode_null(out: &mut BytesMut) {
    out.put_i32(-1);
}

/// Appends a value by `postgres-types`, with its length before it.
#[inline]
fn put<T: ToSql>(value: &T, kind: &Type, out: &mut BytesMut) -> Result<(), CellError> {
    let start = out.len();
    out.put_i32(0);
    value.to_sql(kind, out).map_err(|error| CellError { code: Code::OutOfRange, message: error.to_string() })?;
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Appends a length and as many bytes, in one go.
#[inline]
fn put_fixed<const N: usize>(length: u32, bytes: [u8; N], out: &mut BytesMut) {
    let mut both = [0; 12];
    both[..4].copy_from_slice(&length.to_be_bytes());
    both[4..4 + N].copy_from_slice(&bytes);
    out.extend_from_slice(&both[..4 + N]);
}

#[inline]
fn put_text(text: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(text);
}

fn out_of_range(found: &impl Display, min: &impl Display, max: &impl Display) -> CellError {
    CellError { code: Code::OutOfRange, message: format!("{found} is not between {min} and {max}") }
}

/// The number of a cell that needs no other look: it is written the plain way, and only its size matters.
#[inline]
fn plain_integer(rule: &IntegerRule, text: &[u8]) -> Option<i64> {
    number::short_integer(text).filter(|n| rule.is_a_range && *n >= rule.min && *n <= rule.max)
}

fn read_integer(rule: &IntegerRule, text: &[u8]) -> Result<i64, CellError> {
    match &rule.written {
        None => check_integer(rule, text, text),
        Some(written) => {
            let plain = written.plain(text).ok_or_else(|| {
                let why = format!("is not a whole number ({})", written.whole_example());
                refuse(Code::NotAnInteger, text, &why)
            })?;
            check_integer(rule, plain.text(), text)
        }
    }
}

/// Checks the number that `plain` says; `text` is what stands in the file.
fn check_integer(rule: &IntegerRule, plain: &[u8], text: &[u8]) -> Result<i64, CellError> {
    let number = parse_integer(without_zero_decimals(rule, plain)).map_err(|code| match code {
        Code::OutOfRange => out_of_range(&shown(text), &rule.min, &rule.max),
        code => refuse(code, text, "is not a whole number"),
    })?;
    if number < rule.min || number > rule.max {
        return Err(out_of_range(&number, &rule.min, &rule.max));
    }
    match &rule.allowed {
        Some(allowed) if allowed.binary_search(&number).is_err() => {
            Err(refuse(Code::NotAllowed, text, "is not one of the allowed values"))
        }
        _ => Ok(number),
    }
}

/// A whole number without decimals that are all zeros. Exactly three of them may be a group of thousands, unless it is
/// known what separates thousands.
fn without_zero_decimals<'t>(rule: &IntegerRule, plain: &'t [u8]) -> &'t [u8] {
    let is_group = plain.ends_with(b".000") && !rule.written.as_ref().is_some_and(NumberFormat::has_groups);
    if is_group { plain } else { without_padding(plain, 0) }
}

/// Whether a text needs no other look: it is ASCII, and only its length matters.
#[inline]
fn is_plain_text(rule: &TextRule, text: &[u8], bytes: Bytes) -> bool {
    bytes == Bytes::Ascii
        && text.len() <= rule.max_length.unwrap_or(usize::MAX)
        && text.len() >= rule.min_length
        && rule.allowed.is_none()
        && rule.pattern.is_none()
}

fn check_text(rule: &TextRule, text: &[u8]) -> Result<(), CellError> {
    let value = std::str::from_utf8(text).map_err(|error| CellError {
        code: Code::InvalidUtf8,
        message: format!("{} is not UTF-8 (from its byte {})", shown(text), error.valid_up_to() + 1),
    })?;
    if memchr::memchr(0, text).is_some() {
        return Err(CellError {
            code: Code::NulByte,
            message: format!("{} holds a NUL byte, which PostgreSQL's text can't", shown(text)),
        });
    }
    check_length(rule, value)?;
    if let Some(allowed) = &rule.allowed
        && !allowed.contains(text)
    {
        return Err(refuse(Code::NotAllowed, text, &format!("is not one of the allowed values ({})", list(allowed))));
    }
    if let Some(pattern) = &rule.pattern
        && !pattern.is_match(text)
    {
        let pattern = readable(pattern.as_str().as_bytes());
        return Err(refuse(Code::PatternMismatch, text, &format!("does not match {pattern}")));
    }
    Ok(())
}

#[inline]
fn check_length(rule: &TextRule, value: &str) -> Result<(), CellError> {
    // A text never has more characters than bytes: most cells need no count.
    let max = rule.max_length.unwrap_or(usize::MAX);
    if value.len() <= max && rule.min_length == 0 {
        return Ok(());
    }
    let length = value.chars().count();
    if length > max {
        let message = format!("{} has {length} characters; at most {max} fit", shown(value.as_bytes()));
        return Err(CellError { code: Code::TooLong, message });
    }
    if length < rule.min_length {
        let message =
            format!("{} has {length} characters; at least {} are expected", shown(value.as_bytes()), rule.min_length);
        return Err(CellError { code: Code::TooShort, message });
    }
    Ok(())
}

fn list(allowed: &std::collections::HashSet<Vec<u8>>) -> String {
    let mut words: Vec<String> = allowed.iter().map(|w| shown(w)).collect();
    words.sort();
    let more = words.len().saturating_sub(10);
    words.truncate(10);
    if more > 0 { format!("{}, and {more} more", words.join(", ")) } else { words.join(", ") }
}

fn check_range<T: PartialOrd + Display>(range: &Range<T>, value: &T) -> Result<(), CellError> {
    let below = range.min.as_ref().filter(|min| value < min).map(|min| format!("{value} is less than {min}"));
    let above = range.max.as_ref().filter(|max| value > max).map(|max| format!("{value} is greater than {max}"));
    match below.or(above) {
        Some(message) => Err(CellError { code: Code::OutOfRange, message }),
        None => Ok(()),
    }
}

fn plain_decimal(written: &NumberFormat, text: &[u8]) -> Result<Plain, CellError> {
    written
        .plain(text)
        .ok_or_else(|| refuse(Code::NotANumber, text, &format!("is not a decimal number ({})", written.example())))
}

/// Checks the number that `plain` says; `told` gives what stands in the file, and how a number is written there.
fn check_numeric<'t>(
    (precision, scale): (u32, u32),
    range: &Range<Decimal>,
    plain: &[u8],
    told: impl Fn() -> (&'t [u8], String),
) -> Result<Decimal, CellError> {
    let refused = |code, why: String| refuse(code, told().0, &why);
    let not_a_number = || refused(Code::NotANumber, format!("is not a decimal number{}", told().1));
    let (whole, fraction) = decimal_parts(plain).ok_or_else(not_a_number)?;
    let mut kept = plain;
    if fraction > scale as usize {
        kept = without_padding(plain, scale as usize);
        if kept.len() == plain.len() {
            let padding = plain.iter().rev().take_while(|digit| **digit == b'0').count();
            let decimals = fraction - padding;
            return Err(refused(Code::TooManyDecimals, format!("has {decimals} decimals; at most {scale} fit")));
        }
    }
    if whole > (precision - scale) as usize {
        return Err(refused(Code::OutOfRange, format!("does not fit numeric({precision},{scale})")));
    }
    let number = parse_decimal(kept).ok_or_else(not_a_number)?;
    check_range(range, &number)?;
    Ok(number)
}

/// `YYYY-MM-DD`.
#[must_use]
pub fn parse_date(text: &[u8]) -> Option<NaiveDate> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(&[*m1, *m2])?, number(&[*d1, *d2])?).filter(|_| year > 0)
}

/// `YYYY-MM-DD HH:MM:SS` with up to nine decimals of a second; a `T` may stand for the blank.
#[must_use]
pub fn parse_timestamp(text: &[u8]) -> Option<NaiveDateTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let [b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = rest else { return None };
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            number(digits)? * 10u32.pow(9 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    let time = NaiveTime::from_hms_nano_opt(number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?, nanos)?;
    Some(parse_date(date)?.and_time(time))
}

fn number(digits: &[u8]) -> Option<u32> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
}

fn parse_uuid(text: &[u8]) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse_ascii(text).ok() } else { None }
}
