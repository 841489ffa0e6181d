//! `unique_keep = "last"`: which rows of a file a later one supersedes.
//!
//! That is known only at the file's end, so the file is read twice. The first reading keeps, for each key, the last line
//! of each value, and of every line that another one came after a pair of both. From the end of the file to its
//! beginning a row is kept unless a kept one behind it has one of its keys: the mirror image of keeping the first. A row
//! that is not kept takes no key, and a row that is rejected for another reason supersedes nothing.

use super::{Key, Rows, Seen, Values, duplicate};
use crate::escape;
use crate::fault;
use crate::rows::dataset::Dataset;
use crate::rows::reject::RowError;
use crate::rows::source::FileIdentity;
use std::path::Path;

/// The keys of the rows of one file so far.
#[derive(Debug)]
pub struct Latest {
    keys: Vec<(Key, Seen)>,
    values: Values,
    rows: Rows,
    pairs: Vec<Pair>,
}

/// A row, and one behind it with the same key: at first the next one, in the end the one that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    line: u32,
    /// Which key of the dataset.
    key: u32,
    /// 0 where none is kept.
    by: u32,
}

/// The rows of one file that a later row supersedes.
#[derive(Debug, Default)]
pub struct Superseded {
    /// In the order of the file.
    pairs: Vec<Pair>,
    /// The file they were found in; none where none was looked at.
    identity: Option<FileIdentity>,
}

/// Goes along the superseded rows as the file is read.
#[derive(Debug)]
pub struct Cursor<'a> {
    names: Vec<Vec<String>>,
    ahead: &'a [Pair],
}

impl Latest {
    /// No row yet.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        Self {
            keys: dataset.unique.iter().map(|key| (Key::of(key, &dataset.columns), Seen::new())).collect(),
            values: Values::of(dataset.columns.len()),
            rows: Rows { most: dataset.unique_max_rows, taken: 0 },
            pairs: Vec::new(),
        }
    }

    pub(super) fn take_in(&mut self, row: &[u8], line: u64) -> anyhow::Result<()> {
        self.values.find(row);
        let line = self.rows.take(line)?;
        for (number, (key, seen)) in (0..).zip(&mut self.keys) {
            let before = key.hash_of(row, &self.values).and_then(|hash| seen.replace(hash, line));
            self.pairs.extend(before.map(|before| Pair { line: before, key: number, by: line }));
        }
        Ok(())
    }

    /// The rows that are superseded, at the end of the file.
    #[must_use]
    pub fn superseded(self, identity: FileIdentity) -> Superseded {
        drop(self.keys);
        Superseded { pairs: resolved(self.pairs), identity: Some(identity) }
    }
}

/// From pairs of neighbours to pairs of a superseded row and the one that is kept.
fn resolved(mut pairs: Vec<Pair>) -> Vec<Pair> {
    pairs.sort_unstable_by_key(|pair| std::cmp::Reverse((pair.line, pair.key)));
    for i in 0..pairs.len() {
        pairs[i].by = kept(&pairs[..i], pairs[i].by, pairs[i].key);
    }
    pairs.retain(|pair| pair.by != 0);
    pairs.reverse();
    pairs
}

/// The row that is kept of those that share a key, from this line on; 0 for none. What lies behind it is decided.
fn kept(decided: &[Pair], line: u32, key: u32) -> u32 {
    let behind = &decided[decided.partition_point(|pair| pair.line > line)..];
    let mut own = behind.iter().take_while(|pair| pair.line == line);
    if own.clone().all(|pair| pair.by == 0) {
        return line;
    }
    own.find(|pair| pair.key == key).map_or(0, |pair| pair.by)
}

impl Superseded {
    pub(super) const fn was_looked_for(&self) -> bool {
        self.identity.is_some()
    }

    pub(super) fn cursor(&self, dataset: &Dataset) -> Cursor<'_> {
        let names = |key: &Vec<usize>| key.iter().map(|i| dataset.columns[*i].name.to_string()).collect();
        Cursor { names: dataset.unique.iter().map(names).collect(), ahead: &self.pairs }
    }

    /// Makes sure that the file that was read is the one they were found in.
    ///
    /// # Errors
    /// A transient fault where it is another.
    pub fn check_same(&self, path: &Path, identity: &FileIdentity) -> anyhow::Result<()> {
        match &self.identity {
            Some(first) if (first.bytes, &first.sha256) != (identity.bytes, &identity.sha256) => {
                Err(fault::transient(format!(
                    "{} changed between its two readings ({} bytes, then {}; unique_keep = \"last\" needs both): nothing \
                     was loaded, run again when it is complete",
                    escape::path(path),
                    first.bytes,
                    identity.bytes
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Cursor<'_> {
    #[inline]
    pub(super) fn check(&mut self, line: u64, errors: &mut Vec<RowError>) {
        while let Some((pair, rest)) = self.ahead.split_first()
            && u64::from(pair.line) <= line
        {
            self.ahead = rest;
            if u64::from(pair.line) == line {
                errors.push(duplicate(&self.names[pair.key as usize], (line, u64::from(pair.by)), "last"));
            }
        }
    }
}
