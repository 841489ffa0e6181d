//! Duplicate keys within a file: `unique` of a dataset. One row of a key is kept, the first or the last (`unique_keep`);
//! any other is a reject.
//!
//! What is compared is the value and not how it was spelt: the hash is that of the encoded columns. A key takes 16 bytes
//! (a hash of 96 bits, whose secret changes with every file, and the line), in tables that are half to nearly full: 18
//! to 37 bytes for each row and key. Two of fifty million different keys are taken for one in one file of 10^13.

mod distinct;
mod key;
mod last;
pub mod look;
mod seen;

use super::column::{Column, Kind};
use super::dataset::Dataset;
use super::reject::{Code, RowError};
use crate::config::{At, Problems, Source};
use crate::fault;
pub use distinct::{Distinct, compile_distinct};
use key::{Hash, Key, Values};
pub use last::{Latest, Superseded};
use schemars::JsonSchema;
use seen::Seen;
use serde::Deserialize;

/// How many rows a file with `unique` may have, unless the dataset says.
pub const MOST_ROWS: u32 = 50_000_000;

/// Which of the rows that share a key is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The first good one.
    #[default]
    First,
    /// The last good one; the file is read twice.
    Last,
}

/// Compiles `unique`: the places of each key's columns.
pub fn compile_unique(
    source: &Source,
    loose: &[Vec<String>],
    columns: &[Column],
    problems: &mut Problems,
) -> Vec<Vec<usize>> {
    let mut keys: Vec<Vec<usize>> = Vec::with_capacity(loose.len());
    for (i, names) in loose.iter().enumerate() {
        let at = At::key("unique").index(i);
        if names.is_empty() {
            problems.push(source.problem(&at, "names no column: every row would be the same"));
            continue;
        }
        let mut key = Vec::with_capacity(names.len());
        for (j, name) in names.iter().enumerate() {
            let at = at.clone().index(j);
            match columns.iter().position(|column| column.name.as_str() == name) {
                None => problems.push(source.problem(&at, format!("{name:?} is not a column of the dataset"))),
                Some(place) if key.contains(&place) => {
                    problems.push(source.problem(&at, format!("{name} is there twice")));
                }
                Some(place) if matches!(columns[place].kind, Kind::Json | Kind::Map) => {
                    let message = format!("{name} is json or a map, which can be the same in many spellings");
                    problems.push(source.problem(&at, message));
                }
                Some(place) => key.push(place),
            }
        }
        let mut sorted = key.clone();
        sorted.sort_unstable();
        if keys.iter().any(|other| is_same(other, &sorted)) {
            problems.push(source.problem(&at, "is there twice"));
        }
        keys.push(key);
    }
    keys
}

fn is_same(key: &[usize], sorted: &[usize]) -> bool {
    let mut key = key.to_vec();
    key.sort_unstable();
    key == sorted
}

/// Looks at the keys of each good row of one file.
#[derive(Debug)]
pub enum Keys<'a> {
    /// A row whose key an earlier one has is rejected.
    First(Firsts),
    /// A row is rejected where this says so.
    Last(last::Cursor<'a>),
    /// None is rejected yet.
    Looking(Latest),
}

impl<'a> Keys<'a> {
    /// How the rows of a dataset's file are looked at whose superseded rows are known; none where nothing is to be
    /// looked for.
    ///
    /// # Errors
    /// A bug fault where they had to be looked for and were not.
    pub fn of(dataset: &Dataset, superseded: &'a Superseded) -> anyhow::Result<Option<Self>> {
        if dataset.unique.is_empty() {
            return Ok(None);
        }
        if dataset.unique_keep == Keep::First {
            return Ok(Some(Self::First(Firsts::of(dataset))));
        }
        if !superseded.was_looked_for() {
            return Err(fault::bug("a file is read before its superseded rows were looked for"));
        }
        Ok(Some(Self::Last(superseded.cursor(dataset))))
    }

    /// Takes in a good row, as it was encoded for COPY; where another one of its key is kept, that is its error.
    ///
    /// # Errors
    /// A configuration fault for a file of more rows than the dataset allows.
    #[inline]
    pub fn check(&mut self, row: &[u8], line: u64, errors: &mut Vec<RowError>) -> anyhow::Result<()> {
        match self {
            Self::First(firsts) => firsts.check(row, line, errors),
            Self::Last(cursor) => {
                cursor.check(line, errors);
                Ok(())
            }
            Self::Looking(latest) => latest.take_in(row, line),
        }
    }
}

/// The keys of the rows of one file that were accepted so far.
#[derive(Debug)]
pub struct Firsts {
    /// Each with the hash of the row at hand.
    keys: Vec<(Key, Seen, Option<Hash>)>,
    values: Values,
    rows: Rows,
}

impl Firsts {
    fn of(dataset: &Dataset) -> Self {
        let of = |key: &Vec<usize>| (Key::of(key, &dataset.columns), Seen::new(), None);
        Self {
            keys: dataset.unique.iter().map(of).collect(),
            values: Values::of(dataset.columns.len()),
            rows: Rows { most: dataset.unique_max_rows, taken: 0 },
        }
    }

    fn check(&mut self, row: &[u8], line: u64, errors: &mut Vec<RowError>) -> anyhow::Result<()> {
        self.values.find(row);
        for (key, seen, hash) in &mut self.keys {
            *hash = key.hash_of(row, &self.values);
            if let Some(first) = hash.and_then(|hash| seen.find(hash)) {
                errors.push(duplicate(&key.names, (u64::from(first), line), "first"));
            }
        }
        if !errors.is_empty() {
            return Ok(());
        }
        let line = self.rows.take(line)?;
        for (_, seen, hash) in &mut self.keys {
            if let Some(hash) = *hash {
                seen.insert(hash, line);
            }
        }
        Ok(())
    }
}

fn duplicate(names: &[String], (earlier, later): (u64, u64), kept: &str) -> RowError {
    let all = names.join(", ");
    RowError {
        column: (names.len() == 1).then(|| all.clone()),
        code: Code::DuplicateKey,
        message: format!("lines {earlier} and {later} have the same {all} (unique); the {kept} is kept"),
    }
}

/// How many rows were taken in.
#[derive(Debug)]
struct Rows {
    most: u32,
    taken: u32,
}

impl Rows {
    /// Counts a row; gives its line as it is kept.
    fn take(&mut self, line: u64) -> anyhow::Result<u32> {
        let short = u32::try_from(line).ok().filter(|_| self.taken < self.most).ok_or_else(|| self.too_many(line))?;
        self.taken += 1;
        Ok(short)
    }

    #[cold]
    fn too_many(&self, line: u64) -> anyhow::Error {
        fault::config(format!(
            "line {line}: the file has more than {} good rows, which is the dataset's unique_max_rows; each takes up to \
             37 bytes of memory for each key of unique: raise unique_max_rows, or take unique away and make an index",
            self.most
        ))
    }
}
