//! Reads numbers: digits, and how files write them.

mod format;

use super::reject::Code;
pub use format::{Negative, NumberFormat, Plain};
pub(super) use format::{check_separators, why_not_unit};
use rust_decimal::Decimal;

/// An optional sign and digits, nothing else.
///
/// # Errors
/// [`Code::NotAnInteger`], or [`Code::OutOfRange`] beyond 64 bits.
#[inline]
pub fn parse_integer(text: &[u8]) -> Result<i64, Code> {
    short_integer(text).map_or_else(|| parse_long(text), Ok)
}

/// The whole number that a text of at most sixteen digits says; none for any other text.
#[inline]
pub(super) fn short_integer(text: &[u8]) -> Option<i64> {
    let first = *text.first()?;
    let digits = &text[usize::from(first == b'-' || first == b'+')..];
    let value = match digits.len() {
        1..=3 => few_digits(digits)?,
        4..=8 => eight_digits(some_digits(digits)?)?,
        9..=16 => {
            let missing = 8 * (16 - digits.len());
            let high = u64::from_le_bytes(*digits.first_chunk()?) << missing | zeros(missing);
            eight_digits(high)? * 100_000_000 + eight_digits(u64::from_le_bytes(*digits.last_chunk()?))?
        }
        _ => return None,
    };
    let value = value.cast_signed();
    Some(if first == b'-' { -value } else { value })
}

#[inline]
fn few_digits(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// Four to eight digits as eight, with zeros in front: the first four and the last four overlap.
#[inline]
fn some_digits(digits: &[u8]) -> Option<u64> {
    let first = u64::from(u32::from_le_bytes(*digits.first_chunk()?));
    let last = u64::from(u32::from_le_bytes(*digits.last_chunk()?));
    let missing = 8 * (8 - digits.len());
    Some((first | last << (32 - missing)) << missing | zeros(missing))
}

/// So many bits of the digit 0, from the lowest on; at most 56.
#[inline]
const fn zeros(bits: usize) -> u64 {
    0x3030_3030_3030_3030 & ((1 << bits) - 1)
}

/// The value of eight digits, the first in the lowest byte.
#[inline]
fn eight_digits(word: u64) -> Option<u64> {
    // All eight bytes are digits when their high halves are 3 and adding 6 to the low halves carries nowhere.
    let sixes = word.wrapping_add(0x0606_0606_0606_0606);
    if (word & sixes) & 0xF0F0_F0F0_F0F0_F0F0 != 0x3030_3030_3030_3030 {
        return None;
    }
    // Neighbours are put together: digits to pairs, pairs to fours, fours to eight.
    let pairs = (word & 0x0F0F_0F0F_0F0F_0F0F).wrapping_mul((10 << 8) + 1) >> 8;
    let fours = (pairs & 0x00FF_00FF_00FF_00FF).wrapping_mul((100 << 16) + 1) >> 16;
    Some((fours & 0x0000_FFFF_0000_FFFF).wrapping_mul((10_000 << 32) + 1) >> 32)
}

/// More digits than two words hold, or none, or something else.
#[cold]
fn parse_long(text: &[u8]) -> Result<i64, Code> {
    let is_negative = text.starts_with(b"-");
    let digits = &text[usize::from(is_negative || text.starts_with(b"+"))..];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Code::NotAnInteger);
    }
    let step = |n: Option<i64>, d: &u8| {
        let digit = i64::from(d - b'0');
        n?.checked_mul(10)?.checked_sub(digit)
    };
    let below = digits.iter().fold(Some(0i64), step).ok_or(Code::OutOfRange)?;
    if is_negative { Ok(below) } else { below.checked_neg().ok_or(Code::OutOfRange) }
}

/// The digits before (without leading zeros) and behind the point, when the text is `[+-]digits[.digits]`.
#[must_use]
pub fn decimal_parts(text: &[u8]) -> Option<(usize, usize)> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let point = memchr::memchr(b'.', digits);
    let (whole, fraction) = point.map_or((digits, &b""[..]), |at| (&digits[..at], &digits[at + 1..]));
    let only_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
    let is_number = only_digits && !whole.is_empty() && (point.is_none() || !fraction.is_empty());
    let leading_zeros = whole.iter().take_while(|d| **d == b'0').count();
    is_number.then_some((whole.len() - leading_zeros, fraction.len()))
}

/// A number without the zeros at its end that are decimals beyond `scale`; with all its decimals where others are there.
pub(super) fn without_padding(plain: &[u8], scale: usize) -> &[u8] {
    let Some(point) = memchr::memchr(b'.', plain) else { return plain };
    let (kept, padding) = plain.split_at((point + 1 + scale).min(plain.len()));
    if padding.is_empty() || padding.iter().any(|digit| *digit != b'0') {
        return plain;
    }
    kept.strip_suffix(b".").unwrap_or(kept)
}

/// A decimal number of at most 28 digits: sign, digits, a point and digits; no exponent, no separators.
#[must_use]
pub fn parse_decimal(text: &[u8]) -> Option<Decimal> {
    decimal_parts(text)?;
    Decimal::from_str_exact(std::str::from_utf8(text).ok()?).ok()
}
