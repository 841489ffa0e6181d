//! Compares what control totals state with what was found.

use super::{Control, Stated};
use crate::fault;
use crate::rows::certificate::Tally;
use crate::rows::measure::{Measure, MeasureType};
use crate::rows::source::FileIdentity;
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Value, json};

/// A control total: what was stated, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `rows`, `bytes`, `sha256`, `date`, or the name of a measure.
    pub name: String,
    /// As it was stated.
    pub stated: String,
    /// As it was found.
    pub found: String,
    /// Whether the two are the same.
    pub agrees: bool,
}

/// A figure as it is stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// As it is written.
    pub text: String,
    /// Whether it is a number of JSON, which is written in one way whatever the file's own numbers are like.
    is_json_number: bool,
}

impl Figure {
    /// A figure that stands in a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { text: text.to_owned(), is_json_number: false }
    }

    /// A figure that is a number in a JSON document.
    #[must_use]
    pub fn json_number(text: &str) -> Self {
        Self { text: text.to_owned(), is_json_number: true }
    }
}

/// What was found in a file.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its counts; its rows are those that were loaded and those that were rejected.
    pub tally: &'a Tally,
    /// Its size and hash, as delivered.
    pub identity: &'a FileIdentity,
    /// The day it is loaded for.
    pub run_date: NaiveDate,
    /// The dataset's measures.
    pub measures: &'a [Measure],
    /// Their values over the good rows.
    pub taken: &'a Value,
}

impl Control {
    /// Compares what was stated with what was found.
    ///
    /// # Errors
    /// A data fault for a figure that can't be read, with where it stands and what was expected.
    pub fn compare(&self, stated: &Stated, found: &Found<'_>) -> anyhow::Result<Vec<Check>> {
        stated.values.iter().map(|(name, figure)| self.check(stated, name, figure, found)).collect()
    }

    fn check(&self, stated: &Stated, name: &str, figure: &Figure, found: &Found<'_>) -> anyhow::Result<Check> {
        let text = figure.text.trim();
        let unreadable = |expected: &str| {
            fault::data(format!("{}: {name} is stated as {text:?}; {expected} was expected", stated.place))
        };
        let (agrees, shown) = match name {
            "rows" | "bytes" => {
                let count = self.plain(figure).and_then(|plain| plain.parse::<u64>().ok());
                let count = count.ok_or_else(|| unreadable("a whole number"))?;
                let rows = found.tally.loaded + found.tally.rejected;
                let is = if name == "rows" { rows } else { found.identity.bytes };
                (count == is, is.to_string())
            }
            "sha256" => {
                if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(unreadable("a SHA-256 (64 hexadecimal digits)"));
                }
                (text.eq_ignore_ascii_case(&found.identity.sha256), found.identity.sha256.clone())
            }
            "date" => {
                let date = NaiveDate::parse_from_str(text, &self.date_format);
                let date = date.map_err(|_| unreadable(&format!("a day like {:?}", self.date_format)))?;
                (date == found.run_date, found.run_date.format(&self.date_format).to_string())
            }
            measure => self.compare_measure(measure, figure, found).ok_or_else(|| {
                let written = self.numbers.as_ref().filter(|_| !figure.is_json_number);
                unreadable(&match written {
                    None => "a decimal number, such as -1234.50".to_owned(),
                    Some(format) => format!(
                        "a decimal number, such as {}, which dialect.decimal and thousands say (control.decimal and \
                         thousands can say otherwise),",
                        format.example()
                    ),
                })
            })?,
        };
        Ok(Check { name: name.to_owned(), stated: text.to_owned(), found: shown, agrees })
    }

    /// Whether a measure has the stated value, and the one it has; `None` where a number was expected and none is stated.
    fn compare_measure(&self, name: &str, figure: &Figure, found: &Found<'_>) -> Option<(bool, String)> {
        let taken = found.taken[name].as_str();
        let shown = taken.unwrap_or("null").to_owned();
        let is_number = found.measures.iter().any(|m| m.name.as_str() == name && m.kind == MeasureType::Numeric);
        if !is_number {
            return Some((taken == Some(figure.text.trim()), shown));
        }
        let stated = self.plain(figure).as_deref().and_then(decimal)?;
        Some((taken.and_then(decimal).is_some_and(|taken| taken == stated), shown))
    }

    /// A stated number the plain way; `None` where it is not written as the totals are.
    fn plain(&self, figure: &Figure) -> Option<String> {
        let text = figure.text.trim();
        match &self.numbers {
            Some(format) if !figure.is_json_number => {
                let plain = format.plain(text.as_bytes())?;
                String::from_utf8(plain.text().to_vec()).ok()
            }
            _ => Some(text.to_owned()),
        }
    }
}

/// A decimal number in the one way it is compared: no sum of money passes through floating point.
fn decimal(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_written = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !part.contains('.');
    if !is_written || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let sign = if whole.is_empty() && part.is_empty() { "" } else { sign };
    Some(format!("{sign}{whole}.{part}"))
}

/// Why a load must be held whose control totals came to this.
#[must_use]
pub(in crate::rows) fn reasons(stated: &Stated, checks: &[Check], tally: &Tally) -> Vec<String> {
    let reason = |check: &Check| {
        let Check { name, stated: figure, found, .. } = check;
        let is_measure = !super::STATED.contains(&name.as_str());
        let over = match (is_measure, tally.rejected) {
            (true, rejected @ 1..) => format!(" over the {} good rows ({rejected} were rejected)", tally.loaded),
            _ => String::new(),
        };
        format!("the control total {name} does not agree: {figure} stated by {}, {found} found{over}", stated.place)
    };
    checks.iter().filter(|check| !check.agrees).map(reason).collect()
}

/// What the ledger keeps for auditors.
#[must_use]
pub(in crate::rows) fn kept(control: &Control, stated: &Stated, checks: &[Check]) -> Value {
    json!({"from": control.origin.as_str(), "place": stated.place, "checks": checks})
}

/// Whether the ledger keeps the same statements: a sidecar may say something else of the same bytes.
#[must_use]
pub(in crate::rows) fn states_the_same(stated: &Stated, kept: Option<&Value>) -> bool {
    let kept = kept.and_then(|kept| kept["checks"].as_array());
    let pair = |check: &Value| Some((check["name"].as_str()?.to_owned(), check["stated"].as_str()?.to_owned()));
    let kept: Option<Vec<_>> = kept.map(|checks| checks.iter().filter_map(pair).collect());
    let stated: Vec<_> =
        stated.values.iter().map(|(name, figure)| (name.clone(), figure.text.trim().to_owned())).collect();
    kept.is_some_and(|kept| kept == stated)
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals_are_compared_by_their_value_and_never_rounded() {
        for (one, other) in [("1.50", "+001.5"), ("-0.00", "0"), (".5", "0.5"), ("12.", "12"), ("-3.10", "-3.1")] {
            assert_eq!(decimal(one), decimal(other), "{one} {other}");
        }
        assert_ne!(decimal("90071992547409930.01"), decimal("90071992547409930.02"));
        assert_ne!(decimal("1"), decimal("-1"));
        for bad in ["", "-", ".", "1,5", "1e3", "NaN", "1.2.3", "1 000", "--1"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }
}
