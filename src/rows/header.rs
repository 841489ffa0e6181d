//! Binds a dataset's columns to a file's header, by name, in any order.

use super::column::Column;
use super::reject::shown;
use std::collections::{HashMap, HashSet};

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
    /// What each field is called in payloads; see [`labels`].
    pub labels: Vec<String>,
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

/// What to do with fields at the end of a record that the header has no name for, and with blank names at the end of the
/// header that the records have no field for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExtraFields {
    /// Reject the record, refuse the header.
    #[default]
    Reject,
    /// Allow them as long as they are empty: each line ends with a delimiter too many.
    Empty,
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
    let names: Vec<String> = columns.iter().map(|c| c.header().to_owned()).collect();
    Binding {
        fields: (0..columns.len()).collect(),
        labels: labels(&names),
        names,
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

/// The keys of the fields in payloads: the header's names, the position (`#3`) of a field without a name, and name and
/// position (`amount#3`) where another field before it has the same name.
#[must_use]
pub fn labels(names: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut labels = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let (position, is_new) = (i + 1, seen.insert(name.as_str()));
        labels.push(match (name.trim().is_empty(), is_new) {
            (true, _) => format!("#{position}"),
            (false, true) => name.clone(),
            (false, false) => format!("{name}#{position}"),
        });
    }
    labels
}

/// A header's name with case folded, outer blanks dropped and inner blanks turned into `_`.
#[must_use]
pub fn folded(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join("_").to_lowercase()
}

/// Finds every column in the header. The first `ours` columns are not the customer's: positions do not count their fields.
///
/// # Errors
/// Returns what does not fit: every missing, duplicate and unexpected column, and the names that were found.
pub fn bind(columns: &[Column], ours: usize, mut names: Vec<String>, rules: Rules) -> Result<Binding, Misfit> {
    if rules.extra_fields == ExtraFields::Empty {
        let last = names.iter().rposition(|name| !name.trim().is_empty()).unwrap_or(0);
        names.truncate(last + 1);
    }
    let mut finder = Finder::new(columns, ours, &names);
    let fields: Vec<usize> = columns.iter().map(|column| finder.find(column)).collect();
    let bound: HashSet<usize> = fields.iter().copied().collect();
    let mut faults = finder.faults;
    let last = names.iter().rposition(|name| !name.trim().is_empty()).unwrap_or(0);
    let is_blank = |(place, name): &(usize, &String)| name.trim().is_empty() && !bound.contains(place);
    let blank = names[..last].iter().enumerate().filter(is_blank);
    faults.extend(blank.map(|(i, _)| format!("the column {} of the file has no name", i + 1)));
    let found_by_header = columns.iter().filter(|column| column.position.is_none());
    let known: HashSet<String> = found_by_header.flat_map(|column| &column.headers).map(|name| folded(name)).collect();
    let is_unknown = |(place, name): &(usize, &String)| !bound.contains(place) && !known.contains(&folded(name));
    let unknown: Vec<String> = names.iter().enumerate().filter(is_unknown).map(|(_, name)| name.clone()).collect();
    if rules.extra_columns == ExtraColumns::Reject {
        faults.extend(unknown.iter().map(|n| format!("the column {} is not expected", shown(n.as_bytes()))));
    }
    if !faults.is_empty() {
        return Err(misfit(&faults, columns, names));
    }
    let absent =
        columns.iter().zip(&fields).filter(|(_, at)| **at == ABSENT).map(|(c, _)| c.name.to_string()).collect();
    Ok(Binding { fields, labels: labels(&names), names, extra: unknown, absent, told_by: "header" })
}

/// Why a header does not fit a dataset.
#[derive(Debug)]
pub struct Misfit {
    /// Every fault, what was expected, and what was found.
    pub message: String,
    /// The names that were found.
    pub names: Vec<String>,
}

/// How many of the dataset's columns have a name among these.
#[must_use]
pub fn count_known(columns: &[Column], names: &[String]) -> usize {
    let names: HashSet<String> = names.iter().map(|name| folded(name)).collect();
    columns.iter().filter(|column| column.headers.iter().any(|header| names.contains(&folded(header)))).count()
}

/// What a dialect allows in a header.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Columns that the dataset doesn't know.
    pub extra_columns: ExtraColumns,
    /// Blank names at the end.
    pub extra_fields: ExtraFields,
}

/// Finds the field of each column.
struct Finder<'a> {
    names: &'a [String],
    /// The places of each folded name that no column takes by its position.
    places: HashMap<String, Vec<usize>>,
    /// The places of the customer's fields, in their order.
    delivered: Vec<usize>,
    faults: Vec<String>,
}

impl<'a> Finder<'a> {
    fn new(columns: &[Column], ours: usize, names: &'a [String]) -> Self {
        let folded_names: Vec<String> = names.iter().map(|name| folded(name)).collect();
        let is_ours = |name: &String| columns[..ours].iter().any(|column| folded(column.header()) == *name);
        let delivered: Vec<usize> = (0..names.len()).filter(|place| !is_ours(&folded_names[*place])).collect();
        let taken = columns.iter().filter_map(|column| delivered.get(column.position?.checked_sub(1)?).copied());
        let taken: HashSet<usize> = taken.collect();
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, name) in folded_names.into_iter().enumerate().filter(|(place, _)| !taken.contains(place)) {
            places.entry(name).or_default().push(place);
        }
        Self { names, places, delivered, faults: Vec::new() }
    }

    fn find(&mut self, column: &Column) -> usize {
        match column.position {
            Some(position) => self.at(column, position),
            None => self.named(column),
        }
    }

    fn at(&mut self, column: &Column, position: usize) -> usize {
        let place = position.checked_sub(1).and_then(|index| self.delivered.get(index)).copied();
        let Some(place) = place else {
            if !column.optional {
                let count = self.delivered.len();
                let name = &column.name;
                self.faults.push(format!("the column {name} is expected at position {position} of {count}"));
            }
            return ABSENT;
        };
        let name = &self.names[place];
        if !column.headers.is_empty() && column.headers.iter().all(|header| folded(header) != folded(name)) {
            let (found, expected) = (shown(name.as_bytes()), one_of(&column.headers));
            self.faults.push(format!("the column at position {position} is {found}, {expected} was expected"));
        }
        place
    }

    fn named(&mut self, column: &Column) -> usize {
        let found: Vec<usize> =
            column.headers.iter().filter_map(|header| self.places.get(&folded(header))).flatten().copied().collect();
        let expected = one_of(&column.headers);
        match found[..] {
            [] if column.optional => {}
            [] => self.faults.push(format!("the column {expected} is missing")),
            [_] => {}
            [first, ..] => {
                let is_one_name = found.iter().all(|place| folded(&self.names[*place]) == folded(&self.names[first]));
                self.faults.push(if is_one_name {
                    let (name, n) = (shown(self.names[first].as_bytes()), found.len());
                    format!("the column {name} is there {n} times (the column's key position chooses one)")
                } else {
                    let names: Vec<String> =
                        found.iter().take(SHOWN).map(|place| shown(self.names[*place].as_bytes())).collect();
                    format!("the column {} is there {} times, as {}", column.name, found.len(), names.join(" and "))
                });
            }
        }
        found.first().copied().unwrap_or(ABSENT)
    }
}

/// The names a column can have, for messages.
fn one_of(headers: &[String]) -> String {
    headers.iter().map(|header| format!("{header:?}")).collect::<Vec<_>>().join(" or ")
}

fn misfit(faults: &[String], columns: &[Column], names: Vec<String>) -> Misfit {
    let expected = columns.iter().map(|column| match (column.position, &column.headers[..]) {
        (Some(position), []) => format!("any name at position {position}"),
        (Some(position), headers) => format!("{} at position {position}", headers.join(" or ")),
        (None, headers) => headers.join(" or "),
    });
    let found = names.iter().map(|n| shown(n.as_bytes()));
    let message = format!(
        "the header does not fit: {}; expected {} (in any order), found {}",
        first(faults.iter().cloned(), "; "),
        first(expected, ", "),
        first(found, ", ")
    );
    Misfit { message, names }
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
