//! Reads numbers: digits, and how a dialect writes decimals and thousands.

use super::reject::Code;
use rust_decimal::Decimal;

/// Longer numbers are of no type: 28 digits, their separators and some leading zeros.
const LONGEST: usize = 128;

/// How a dialect writes numbers, where that is not the plain way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Before the decimals.
    pub decimal: String,
    /// Between groups of three digits; empty for none.
    pub thousands: String,
}

/// A number the plain way.
#[derive(Debug)]
pub struct Plain {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Plain {
    /// The text of it.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.length..self.length + bytes.len())?.copy_from_slice(bytes);
        self.length += bytes.len();
        Some(())
    }
}

impl Written {
    /// The same number the plain way; none where its groups are wrong or it holds something else.
    #[must_use]
    pub fn plain(&self, text: &[u8]) -> Option<Plain> {
        let mut plain = Plain { bytes: [0; LONGEST], length: 0 };
        let (sign, digits) = text.split_at(usize::from(matches!(text.first(), Some(b'+' | b'-'))));
        plain.push(sign)?;
        let point = memchr::memmem::find(digits, self.decimal.as_bytes());
        self.whole(&digits[..point.unwrap_or(digits.len())], &mut plain)?;
        if let Some(point) = point {
            let fraction = &digits[point + self.decimal.len()..];
            plain.push(b".")?;
            plain.push(fraction.iter().all(u8::is_ascii_digit).then_some(fraction)?)?;
        }
        Some(plain)
    }

    /// The digits before the decimals: in groups throughout or not at all.
    fn whole(&self, digits: &[u8], plain: &mut Plain) -> Option<()> {
        let separator = self.thousands.as_bytes();
        let first = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        plain.push(&digits[..first])?;
        let mut rest = &digits[first..];
        if rest.is_empty() {
            return Some(());
        }
        if separator.is_empty() || !(1..=3).contains(&first) || digits[0] == b'0' {
            return None;
        }
        while !rest.is_empty() {
            let (group, behind) = rest.strip_prefix(separator)?.split_at_checked(3)?;
            plain.push(group.iter().all(u8::is_ascii_digit).then_some(group)?)?;
            rest = behind;
        }
        Some(())
    }

    /// How a number is written, for messages.
    #[must_use]
    pub fn example(&self) -> String {
        format!("1{}234{}5", self.thousands, self.decimal)
    }
}

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

/// A decimal number of at most 28 digits: sign, digits, a point and digits; no exponent, no separators.
#[must_use]
pub fn parse_decimal(text: &[u8]) -> Option<Decimal> {
    decimal_parts(text)?;
    Decimal::from_str_exact(std::str::from_utf8(text).ok()?).ok()
}
