//! How files write numbers: separators, signs and units.

use crate::rows::trim::trim;
use schemars::JsonSchema;
use serde::Deserialize;

/// Maximum length of a number in its plain form: 28 digits, and some zeros around them.
const MAX_LENGTH: usize = 128;

/// Blanks that separate groups of digits: typed, no-break, narrow no-break, figure and thin ones look alike.
const BLANKS: [&str; 5] = [" ", "\u{a0}", "\u{202f}", "\u{2007}", "\u{2009}"];

/// How a negative number may be written besides a minus before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Negative {
    /// With the sign after it: `12.50-`.
    Trailing,
    /// In parentheses: `(12.50)`.
    Parentheses,
}

/// How a dialect or a column writes numbers, where that is not the plain way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberFormat {
    decimal: String,
    /// What may stand between groups of three digits; empty for none.
    thousands: Vec<String>,
    negative: Vec<Negative>,
    /// Texts that may stand before or after a number; a longer one comes before those it begins with.
    units: Vec<String>,
}

/// A number the plain way.
#[derive(Debug)]
pub struct Plain {
    bytes: [u8; MAX_LENGTH],
    length: usize,
}

impl Plain {
    /// The number's text.
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

impl NumberFormat {
    /// The format with these separators, signs and units; `None` where it is the plain way.
    #[must_use]
    pub fn new(decimal: &str, thousands: &str, negative: &[Negative], units: &[String]) -> Option<Self> {
        if decimal == "." && thousands.is_empty() && negative.is_empty() && units.is_empty() {
            return None;
        }
        let blanks = if BLANKS.contains(&thousands) { &BLANKS[..] } else { &[] };
        let separators = blanks.iter().copied().chain((!thousands.is_empty()).then_some(thousands));
        let mut units = units.to_vec();
        units.sort_by_key(|unit| std::cmp::Reverse(unit.len()));
        Some(Self {
            decimal: decimal.to_owned(),
            thousands: separators.map(str::to_owned).collect(),
            negative: negative.to_vec(),
            units,
        })
    }

    /// Whether numbers may have separators between groups of three digits.
    #[must_use]
    pub const fn has_groups(&self) -> bool {
        !self.thousands.is_empty()
    }

    /// The same number the plain way; `None` where its groups are wrong or it holds something else.
    #[must_use]
    pub fn plain(&self, text: &[u8]) -> Option<Plain> {
        let mut plain = Plain { bytes: [0; MAX_LENGTH], length: 0 };
        let (sign, digits) = self.undress(text);
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

    /// The sign, and the number without its sign and its unit, each of which may stand there once, in any order.
    fn undress<'t>(&self, text: &'t [u8]) -> (&'static [u8], &'t [u8]) {
        let (mut sign, mut has_unit, mut rest) = (None, false, text);
        loop {
            if sign.is_none()
                && let Some((found, inner)) = self.strip_sign(rest)
            {
                (sign, rest) = (Some(found), inner);
            } else if !has_unit && let Some(inner) = self.strip_unit(rest) {
                (has_unit, rest) = (true, inner);
            } else {
                return (sign.unwrap_or_default(), rest);
            }
        }
    }

    fn strip_sign<'t>(&self, text: &'t [u8]) -> Option<(&'static [u8], &'t [u8])> {
        let is_allowed = |way| self.negative.contains(&way);
        match text {
            [b'-', rest @ ..] => Some((b"-", rest)),
            [b'+', rest @ ..] => Some((b"+", rest)),
            [rest @ .., b'-'] if is_allowed(Negative::Trailing) => Some((b"-", rest)),
            [rest @ .., b'+'] if is_allowed(Negative::Trailing) => Some((b"+", rest)),
            [b'(', rest @ .., b')'] if is_allowed(Negative::Parentheses) => Some((b"-", trim(rest))),
            _ => None,
        }
    }

    /// The text without the unit before or after it, and without the blanks between them.
    fn strip_unit<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let strip = |unit: &String| text.strip_prefix(unit.as_bytes()).or_else(|| text.strip_suffix(unit.as_bytes()));
        self.units.iter().find_map(strip).map(trim)
    }

    /// The digits before the decimals: in groups throughout or not at all.
    fn whole(&self, digits: &[u8], plain: &mut Plain) -> Option<()> {
        let first = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        plain.push(&digits[..first])?;
        let mut rest = &digits[first..];
        if rest.is_empty() {
            return Some(());
        }
        if !(1..=3).contains(&first) || digits[0] == b'0' {
            return None;
        }
        while !rest.is_empty() {
            let behind = self.thousands.iter().find_map(|separator| rest.strip_prefix(separator.as_bytes()))?;
            let (group, behind) = behind.split_at_checked(3)?;
            plain.push(group.iter().all(u8::is_ascii_digit).then_some(group)?)?;
            rest = behind;
        }
        Some(())
    }

    /// How a number is written, for messages.
    #[must_use]
    pub fn example(&self) -> String {
        format!("{}{}5", self.whole_example(), self.decimal)
    }

    /// How a whole number is written, for messages.
    #[must_use]
    pub fn whole_example(&self) -> String {
        format!("1{}234", self.thousands.first().map_or("", String::as_str))
    }
}

/// Why these can't separate the digits of a number: key and message.
pub(in crate::rows) fn check_separators(decimal: &str, thousands: &str, mut problem: impl FnMut(&str, String)) {
    for (key, text) in [("decimal", decimal), ("thousands", thousands)] {
        if text.chars().any(|c| c.is_alphanumeric() || c.is_control() || c == '+' || c == '-') {
            problem(key, format!("{text:?} can't stand between digits: no letter, digit, sign or line end"));
        }
    }
    if decimal == thousands {
        problem("thousands", "is the same as decimal".to_owned());
    }
}

/// Why a text can't be a unit of numbers.
pub(in crate::rows) fn why_not_unit(unit: &str) -> Option<String> {
    let is_digits = |c: char| c.is_ascii_digit() || c.is_control() || "+-.,()".contains(c);
    if trim(unit.as_bytes()).len() != unit.len() || unit.is_empty() {
        return Some(format!(
            "{unit:?} can't be a unit: it is empty, or has blanks around it, which are dropped anyway"
        ));
    }
    unit.contains(is_digits)
        .then(|| format!("{unit:?} can't be a unit: it holds a digit, a sign, a separator or a parenthesis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(format: &NumberFormat, text: &str) -> Option<String> {
        format.plain(text.as_bytes()).map(|plain| String::from_utf8(plain.text().to_vec()).expect("digits"))
    }

    fn format(thousands: &str, negative: &[Negative], units: &[&str]) -> NumberFormat {
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        NumberFormat::new(".", thousands, negative, &units).expect("a format")
    }

    #[test]
    fn signs_and_units_stand_around_a_number_in_any_order_and_once() {
        let both = format(",", &[Negative::Trailing, Negative::Parentheses], &["$", "US$", "EUR", "€", "%"]);
        for (text, expected) in [
            ("12.50-", Some("-12.50")),
            ("12.50+", Some("+12.50")),
            ("(12.50)", Some("-12.50")),
            ("$1,234.50", Some("1234.50")),
            ("-$12.50", Some("-12.50")),
            ("$-12.50", Some("-12.50")),
            ("US$ 12.50", Some("12.50")),
            ("($12.50)", Some("-12.50")),
            ("$ ( 1,234.50 )", Some("-1234.50")),
            ("12.50 €", Some("12.50")),
            ("12.50\u{a0}EUR-", Some("-12.50")),
            ("12.50-€", Some("-12.50")),
            ("12.5%", Some("12.5")),
            ("0-", Some("-0")),
            ("12.50--", None),
            ("-12.50-", None),
            ("(-12.50)", None),
            ("((12.50))", None),
            ("(12.50", None),
            ("12.50)", None),
            ("$$12.50", None),
            ("$12.50 EUR", None),
            ("12.50 GBP", None),
            ("12.50 -", None),
            ("1$2", None),
        ] {
            let read = plain(&both, text);
            assert_eq!(read.as_deref().filter(|n| !n.ends_with(['+', '-'])), expected, "{text}");
        }
        let plain_signs = format(",", &[], &[]);
        for text in ["12.50-", "(12.50)", "$12.50"] {
            assert_eq!(plain(&plain_signs, text), None, "{text}");
        }
    }

    #[test]
    fn a_blank_between_groups_is_any_blank_that_looks_alike() {
        for thousands in [" ", "\u{a0}"] {
            let format = format(thousands, &[], &[]);
            for text in ["1 234.5", "1\u{a0}234.5", "1\u{202f}234.5", "1234.5"] {
                assert_eq!(plain(&format, text).as_deref(), Some("1234.5"), "{text:?}");
            }
            for text in ["1  234", "12 34", " 1 234"] {
                assert_eq!(plain(&format, text), None, "{text:?}");
            }
        }
    }

    #[test]
    fn a_unit_is_no_part_of_a_number() {
        for unit in ["", " ", "$ ", "1", "-", "a.b", "(", "k9"] {
            assert!(why_not_unit(unit).is_some(), "{unit:?}");
        }
        for unit in ["$", "EUR", "US$", "kr", "%", "R$", "zł"] {
            assert_eq!(why_not_unit(unit), None);
        }
    }
}
