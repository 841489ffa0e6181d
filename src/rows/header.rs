//! Binds a dataset's columns to a file's header, by name, in any order.

use super::column::Column;
use super::reject::shown;
use crate::fault;
use std::collections::HashMap;

/// So many faults and names are told: a file without lines is one long header.
const SHOWN: usize = 10;

/// The place of what the header lacks: no record has a field there.
pub const ABSENT: usize = usize::MAX;

/// Where each column of the dataset stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// For each of the dataset's columns the index of its field, or [`ABSENT`].
    pub fields: Vec<usize>,
    /// The header as it was written, for payloads.
    pub names: Vec<String>,
    /// For each name the place where it comes again, or [`ABSENT`].
    pub again: Vec<usize>,
    /// Names in the header that the dataset doesn't know.
    pub extra: Vec<String>,
    /// Optional columns that the header lacks, as the table calls them.
    pub absent: Vec<String>,
    /// Who says how many fields there are, for messages: the header or the dataset.
    pub told_by: &'static str,
}

/// What to do with columns that the dataset doesn't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExtraColumns {
    /// Refuse the file: the delivery is not what was agreed.
    #[default]
    Reject,
    /// Leave them unread; the ledger lists them.
    Ignore,
}

/// Whether a file tells its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Header {
    /// Its first record names them.
    #[default]
    Names,
    /// There is no header: fields are the dataset's columns, in their order.
    None,
}

/// The columns in the order of the dataset, for files without a header.
#[must_use]
pub fn by_position(columns: &[Column]) -> Binding {
    Binding {
        fields: (0..columns.len()).collect(),
        names: columns.iter().map(|c| c.header.clone()).collect(),
        again: vec![ABSENT; columns.len()],
        extra: Vec::new(),
        absent: Vec::new(),
        told_by: "dataset",
    }
}

/// What the records of a header of several call each column together: the texts that are not blank, from the first
/// record to the last, with a blank between them.
#[must_use]
pub fn joined(records: &[Vec<String>]) -> Vec<String> {
    let columns = records.iter().map(Vec::len).max().unwrap_or(0);
    let texts = |column: usize| records.iter().filter_map(move |record| Some(record.get(column)?.trim()));
    (0..columns).map(|column| texts(column).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ")).collect()
}

/// A header's name with case folded, outer blanks dropped and inner blanks turned into `_`.
#[must_use]
pub fn folded(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join("_").to_lowercase()
}

/// Finds every column in the header.
///
/// # Errors
/// A data fault that names every missing, duplicate and unknown column, and shows what was found.
pub fn bind(columns: &[Column], names: Vec<String>, extra: ExtraColumns) -> anyhow::Result<Binding> {
    let found: Vec<String> = names.iter().map(|n| folded(n)).collect();
    let expected: Vec<String> = columns.iter().map(|c| folded(&c.header)).collect();
    let mut faults = Vec::new();
    for (column, name) in columns.iter().zip(&expected) {
        match found.iter().filter(|f| *f == name).count() {
            0 if column.optional => {}
            0 => faults.push(format!("the column {:?} is missing", column.header)),
            1 => {}
            n => faults.push(format!("the column {:?} is there {n} times", column.header)),
        }
    }
    let last = found.iter().rposition(|name| !name.is_empty()).unwrap_or(0);
    let blank = found[..last].iter().enumerate().filter(|(_, name)| name.is_empty());
    faults.extend(blank.map(|(i, _)| format!("the column {} of the file has no name", i + 1)));
    let unknown: Vec<String> =
        names.iter().zip(&found).filter(|(_, f)| !expected.contains(f)).map(|(n, _)| n.clone()).collect();
    if extra == ExtraColumns::Reject {
        faults.extend(unknown.iter().map(|n| format!("the column {} is not expected", shown(n.as_bytes()))));
    }
    if !faults.is_empty() {
        return Err(wrong_header(&faults, columns, &names));
    }
    let place = |name| found.iter().position(|f| f == name).unwrap_or(ABSENT);
    let fields: Vec<usize> = expected.iter().map(place).collect();
    let absent =
        columns.iter().zip(&fields).filter(|(_, at)| **at == ABSENT).map(|(c, _)| c.name.to_string()).collect();
    let again = again(&names);
    Ok(Binding { fields, names, again, extra: unknown, absent, told_by: "header" })
}

fn again(names: &[String]) -> Vec<usize> {
    let mut next = HashMap::new();
    let mut again: Vec<usize> =
        names.iter().enumerate().rev().map(|(place, name)| next.insert(name, place).unwrap_or(ABSENT)).collect();
    again.reverse();
    again
}

fn wrong_header(faults: &[String], columns: &[Column], names: &[String]) -> anyhow::Error {
    let expected = columns.iter().map(|c| c.header.clone());
    let found = names.iter().map(|n| shown(n.as_bytes()));
    fault::data(format!(
        "the header does not fit: {}; expected {} (in any order), found {}",
        first(faults.iter().cloned(), "; "),
        first(expected, ", "),
        first(found, ", ")
    ))
}

/// The first of them, and how many more there are.
fn first(all: impl ExactSizeIterator<Item = String>, separator: &str) -> String {
    let more = all.len().saturating_sub(SHOWN);
    let mut told: Vec<String> = all.take(SHOWN).collect();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join(separator)
}
