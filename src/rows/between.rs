//! Rules between two columns: `required_unless`, a value that may be missing only if another column matches a pattern, and
//! `same_sign_as`, a number that may not be negative where another one is positive, nor positive where that is negative.

use super::column::{Column, Kind, LooseColumn};
use super::number::NumberFormat;
use super::record::Cells;
use super::reject::{Code, RowError, readable, shown};
use crate::config::{At, Problems, Source, suggest};
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use std::cmp::Ordering;

/// `required_unless` of a column.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseRequired {
    /// Another column of the dataset.
    pub column: String,
    /// A regular expression that the whole text of that column matches where this one may be null.
    pub matches: String,
}

/// What must hold between two columns of a row.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The place of the column that has the rule.
    pub column: usize,
    /// The place of the other one.
    pub other: usize,
    asks: Asks,
}

#[derive(Clone, Debug)]
enum Asks {
    /// A value, unless the whole text of the other column matches.
    Value {
        /// The expression as it was written.
        text: String,
        unless: Regex,
    },
    /// A number of the other one's sign. 0 has either.
    Sign,
}

/// Compiles the rules between columns; everything wrong with them is a problem.
pub fn compile_rules(source: &Source, loose: &[LooseColumn], columns: &[Column], problems: &mut Problems) -> Vec<Rule> {
    let mut all = Vec::new();
    for (i, column) in loose.iter().enumerate() {
        let at = |key| At::key("column").index(i).then(key);
        if let Some(rule) = &column.required_unless {
            all.extend(compile_required(source, loose, (i, rule), &at("required_unless"), problems));
        }
        if let Some(other) = &column.same_sign_as {
            all.extend(compile_same_sign(source, (loose, columns), (i, other), &at("same_sign_as"), problems));
        }
    }
    all
}

fn compile_required(
    source: &Source,
    loose: &[LooseColumn],
    (column, rule): (usize, &LooseRequired),
    at: &At,
    problems: &mut Problems,
) -> Option<Rule> {
    if !loose[column].nullable {
        let message = "needs nullable = true: without it a value is required in any case";
        problems.push(source.problem(at, message));
    }
    let other = find(source, loose, (column, &rule.column), &at.clone().then("column"), problems);
    let unless = compile_pattern(source, &at.clone().then("matches"), &rule.matches, problems);
    Some(Rule { column, other: other?, asks: Asks::Value { text: rule.matches.clone(), unless: unless? } })
}

fn compile_same_sign(
    source: &Source,
    (loose, columns): (&[LooseColumn], &[Column]),
    (column, name): (usize, &str),
    at: &At,
    problems: &mut Problems,
) -> Option<Rule> {
    let other = find(source, loose, (column, name), at, problems)?;
    let kind_of = |name: &str| columns.iter().find(|c| c.name.as_str() == name).map(|c| &c.kind);
    // A column with an invalid type has a problem of its own already, and was not compiled.
    for name in [&loose[column].name, &loose[other].name] {
        if kind_of(name).is_some_and(|kind| !is_number(kind)) {
            problems.push(source.problem(at, format!("compares numbers, and {name} is none")));
            return None;
        }
    }
    Some(Rule { column, other, asks: Asks::Sign })
}

/// Whether a column holds numbers.
const fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Integer(_) | Kind::Bigint(_) | Kind::Numeric { .. })
}

/// How a column writes its numbers, where that is not the plain way.
const fn format_of(kind: &Kind) -> Option<&NumberFormat> {
    match kind {
        Kind::Integer(rule) | Kind::Bigint(rule) => rule.written.as_ref(),
        Kind::Numeric { written, .. } => written.as_ref(),
        _ => None,
    }
}

fn find(
    source: &Source,
    loose: &[LooseColumn],
    (own, name): (usize, &str),
    at: &At,
    problems: &mut Problems,
) -> Option<usize> {
    let found = loose.iter().position(|column| column.name == name);
    match found {
        None => {
            let hint = suggest(name, loose.iter().map(|column| column.name.as_str()));
            problems.push(source.problem(at, format!("{name:?} is not a column of the dataset{hint}")));
        }
        Some(other) if other == own => {
            problems.push(source.problem(at, "is the column itself; another one was expected"));
            return None;
        }
        Some(_) => {}
    }
    found
}

/// A regular expression for whole values.
pub(super) fn compile_pattern(source: &Source, at: &At, pattern: &str, problems: &mut Problems) -> Option<Regex> {
    // Alone first: `a)|(b` is no pattern, but would be one within the parentheses.
    match Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?:{pattern})$"))) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let all = error.to_string();
            let why = all.lines().last().unwrap_or_default().trim_start_matches("error: ");
            problems.push(source.problem(at, format!("is not a regular expression: {why}")));
            None
        }
    }
}

/// Checks a row against the rules. Columns that have an error already are skipped.
pub(super) fn check(rules: &[Rule], cells: &Cells<'_>, scratch: &mut Vec<u8>, errors: &mut Vec<RowError>) {
    for rule in rules {
        let columns = &cells.dataset.columns;
        let is_known = |at: usize| errors.iter().any(|e| e.column.as_deref() == Some(columns[at].name.as_str()));
        let found = match &rule.asks {
            // What ends before its field lacks it already.
            Asks::Value { .. } if is_known(rule.column) => None,
            Asks::Value { text, unless } => rule.missing(text, unless, cells, scratch),
            Asks::Sign if is_known(rule.column) || is_known(rule.other) => None,
            Asks::Sign => rule.other_sign(cells, scratch),
        };
        let Some((code, message)) = found else { continue };
        let error = RowError { column: Some(columns[rule.column].name.to_string()), code, message };
        errors.insert(place_among(errors, rule.column, columns), error);
    }
}

/// Errors stand in the order of the dataset's columns; that of the record as a whole comes first.
fn place_among(errors: &[RowError], column: usize, columns: &[Column]) -> usize {
    let place = |error: &RowError| columns.iter().position(|c| error.column.as_deref() == Some(c.name.as_str()));
    errors.iter().position(|error| place(error) > Some(column)).unwrap_or(errors.len())
}

impl Rule {
    /// Returns the error if the value is missing and the other column does not match.
    fn missing(
        &self,
        pattern: &str,
        unless: &Regex,
        cells: &Cells<'_>,
        scratch: &mut Vec<u8>,
    ) -> Option<(Code, String)> {
        if cells.text_of(self.column, scratch).is_some() {
            return None;
        }
        let found = cells.text_of(self.other, scratch);
        if found.is_some_and(|text| unless.is_match(text)) {
            return None;
        }
        let (name, pattern) = (&cells.dataset.columns[self.other].name, readable(pattern.as_bytes()));
        let is = found.map_or_else(|| "has none either".to_owned(), |text| format!("is {}", shown(text)));
        let message =
            format!("there is no value, and {name} {is}; a value is required unless {name} matches {pattern}");
        Some((Code::Required, message))
    }

    /// Returns the error if the two numbers have opposite signs.
    fn other_sign(&self, cells: &Cells<'_>, scratch: &mut Vec<u8>) -> Option<(Code, String)> {
        let mut sign_in = |at: usize| {
            let text = cells.text_of(at, scratch)?;
            Some(sign(&cells.dataset.columns[at].kind, text))
        };
        let (own, other) = (sign_in(self.column)?, sign_in(self.other)?);
        if !matches!((own, other), (Ordering::Less, Ordering::Greater) | (Ordering::Greater, Ordering::Less)) {
            return None;
        }
        let text = |at, scratch: &mut Vec<u8>| shown(cells.text_of(at, scratch).unwrap_or_default());
        let (own, other) = (text(self.column, scratch), text(self.other, scratch));
        let name = &cells.dataset.columns[self.other].name;
        Some((Code::OtherSign, format!("{own} has another sign than {name}, which is {other}")))
    }
}

/// How a number that conforms to its column compares with 0.
fn sign(kind: &Kind, text: &[u8]) -> Ordering {
    let plain = format_of(kind).and_then(|written| written.plain(text));
    let plain = plain.as_ref().map_or(text, |plain| plain.text());
    match plain.iter().any(|byte| (b'1'..=b'9').contains(byte)) {
        false => Ordering::Equal,
        true if plain.first() == Some(&b'-') => Ordering::Less,
        true => Ordering::Greater,
    }
}
