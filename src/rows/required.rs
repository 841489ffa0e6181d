//! Rules between two columns: `required_unless`, a value that may only be missing where another column's tells why.

use super::column::{Column, LooseColumn};
use super::record::Cells;
use super::reject::{Code, RowError, readable, shown};
use crate::config::{At, Problems, Source, suggest};
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

/// `required_unless` of a column.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseRequired {
    /// Another column of the dataset.
    pub column: String,
    /// A regular expression that the whole text of that column matches where this one may be null.
    pub matches: String,
}

/// A column that may be null only where the text of another one matches.
#[derive(Clone, Debug)]
pub struct Required {
    /// The place of the column.
    pub column: usize,
    /// The place of the other one.
    pub other: usize,
    /// As it was written.
    text: String,
    matches: Regex,
}

/// Compiles the rules between columns; everything wrong with them is a problem.
pub fn compile_required(source: &Source, loose: &[LooseColumn], problems: &mut Problems) -> Vec<Required> {
    let mut all = Vec::new();
    for (i, column) in loose.iter().enumerate() {
        let Some(rule) = &column.required_unless else { continue };
        let at = At::key("column").index(i).then("required_unless");
        if !column.nullable {
            let message = "needs nullable = true: without it a value is required in any case";
            problems.push(source.problem(&at, message));
        }
        let other = find(source, loose, (i, &rule.column), &at, problems);
        let matches = compile_pattern(source, &at.then("matches"), &rule.matches, problems);
        if let (Some(other), Some(matches)) = (other, matches) {
            all.push(Required { column: i, other, text: rule.matches.clone(), matches });
        }
    }
    all
}

fn find(
    source: &Source,
    loose: &[LooseColumn],
    (own, name): (usize, &str),
    at: &At,
    problems: &mut Problems,
) -> Option<usize> {
    let at = at.clone().then("column");
    let found = loose.iter().position(|column| column.name == name);
    match found {
        None => {
            let hint = suggest(name, loose.iter().map(|column| column.name.as_str()));
            problems.push(source.problem(&at, format!("{name:?} is not a column of the dataset{hint}")));
        }
        Some(other) if other == own => {
            problems.push(source.problem(&at, "is the column itself; another one was expected"));
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

/// Looks for values that are missing without a reason.
pub(super) fn check(rules: &[Required], cells: &Cells<'_>, scratch: &mut Vec<u8>, errors: &mut Vec<RowError>) {
    for rule in rules {
        let column = &cells.dataset.columns[rule.column];
        // What ends before its field lacks it already.
        let is_known = |error: &RowError| error.column.as_deref() == Some(column.name.as_str());
        if cells.text_of(rule.column, scratch).is_some() || errors.iter().any(is_known) {
            continue;
        }
        let found = cells.text_of(rule.other, scratch);
        if found.is_some_and(|text| rule.matches.is_match(text)) {
            continue;
        }
        let message = rule.message(&cells.dataset.columns[rule.other], found);
        let error = RowError { column: Some(column.name.to_string()), code: Code::Required, message };
        errors.insert(place_among(errors, rule.column, &cells.dataset.columns), error);
    }
}

/// Errors stand in the order of the dataset's columns; that of the record as a whole comes first.
fn place_among(errors: &[RowError], column: usize, columns: &[Column]) -> usize {
    let place = |error: &RowError| columns.iter().position(|c| error.column.as_deref() == Some(c.name.as_str()));
    errors.iter().position(|error| place(error) > Some(column)).unwrap_or(errors.len())
}

impl Required {
    fn message(&self, other: &Column, found: Option<&[u8]>) -> String {
        let (name, pattern) = (&other.name, readable(self.text.as_bytes()));
        match found {
            Some(text) => format!(
                "there is no value, and {name} is {}; a value is required unless {name} matches {pattern}",
                shown(text)
            ),
            None => format!(
                "there is no value, and {name} has none either; a value is required unless {name} matches {pattern}"
            ),
        }
    }
}
