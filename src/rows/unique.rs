//! Duplicate keys within a file: `unique` of a dataset. The first row of a key is kept, a later one is a reject.
//!
//! What is compared is the value and not how it was spelt: the hash is that of the encoded columns. A key takes 16 bytes
//! (a hash of 96 bits, whose secret changes with every file, and the line), in tables that are half to nearly full: 18
//! to 37 bytes for each row and key. Two of fifty million different keys are taken for one in one file of 10^13.

use super::column::{Column, Kind};
use super::reject::{Code, RowError};
use crate::config::{At, Problems, Source};
use crate::fault;
use std::hash::{BuildHasher, Hasher, RandomState};

/// How many rows a file with `unique` may have, unless the dataset says.
pub const MOST_ROWS: u32 = 50_000_000;

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
                Some(place) if matches!(columns[place].kind, Kind::Json) => {
                    problems
                        .push(source.problem(&at, format!("{name} is json, which can be the same in many spellings")));
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

/// The keys of the rows of one file that were accepted so far.
#[derive(Debug)]
pub struct Keys {
    all: Vec<Key>,
    most_rows: u32,
    rows: u32,
    columns: usize,
    /// Where each column's value lies in the row at hand; none for a null.
    values: Vec<Option<(usize, usize)>>,
}

#[derive(Debug)]
struct Key {
    /// Where its columns stand, with whether they are numerics.
    columns: Vec<(usize, bool)>,
    /// What they are called.
    names: Vec<String>,
    seen: Seen,
    /// The hash of the row at hand; none where a value is null, which equals nothing.
    hash: Option<(u64, u32)>,
}

impl Keys {
    /// The keys of a dataset; none where it declares none.
    #[must_use]
    pub fn of(unique: &[Vec<usize>], columns: &[Column], most_rows: u32) -> Option<Self> {
        let of = |key: &Vec<usize>| Key {
            columns: key.iter().map(|i| (*i, matches!(columns[*i].kind, Kind::Numeric { .. }))).collect(),
            names: key.iter().map(|i| columns[*i].name.to_string()).collect(),
            seen: Seen::new(),
            hash: None,
        };
        let all: Vec<Key> = unique.iter().map(of).collect();
        (!all.is_empty()).then(|| Self { all, most_rows, rows: 0, columns: columns.len(), values: Vec::new() })
    }

    /// Takes in a good row, as it was encoded for COPY; where it has the key of an earlier one, that is its error.
    ///
    /// # Errors
    /// A configuration fault for a file of more rows than the dataset allows.
    pub fn check(&mut self, row: &[u8], line: u64, errors: &mut Vec<RowError>) -> anyhow::Result<()> {
        self.find_values(row);
        for key in &mut self.all {
            key.hash = key.hash_of(row, &self.values);
            let Some(first) = key.hash.and_then(|hash| key.seen.find(hash)) else { continue };
            let names = key.names.join(", ");
            errors.push(RowError {
                column: (key.names.len() == 1).then_some(names.clone()),
                code: Code::DuplicateKey,
                message: format!("lines {first} and {line} have the same {names} (unique); the first is kept"),
            });
        }
        if !errors.is_empty() {
            return Ok(());
        }
        let line =
            u32::try_from(line).ok().filter(|_| self.rows < self.most_rows).ok_or_else(|| self.too_many(line))?;
        self.rows += 1;
        for key in &mut self.all {
            if let Some(hash) = key.hash {
                key.seen.insert(hash, line);
            }
        }
        Ok(())
    }

    #[cold]
    fn too_many(&self, line: u64) -> anyhow::Error {
        fault::config(format!(
            "line {line}: the file has more than {} good rows, which is the dataset's unique_max_rows; each takes up to \
             37 bytes of memory for each key of unique: raise unique_max_rows, or take unique away and make an index",
            self.most_rows
        ))
    }

    /// A row is its number of columns, and each value's length before it; a null has the length -1.
    fn find_values(&mut self, row: &[u8]) {
        self.values.clear();
        let mut at = 2;
        for _ in 0..self.columns {
            let length = row.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(-1, i32::from_be_bytes);
            at += 4;
            let length = usize::try_from(length).ok();
            self.values.push(length.map(|length| (at, at + length)));
            at += length.unwrap_or(0);
        }
    }
}

impl Key {
    fn hash_of(&self, row: &[u8], values: &[Option<(usize, usize)>]) -> Option<(u64, u32)> {
        let mut hashers = (self.seen.secrets.0.build_hasher(), self.seen.secrets.1.build_hasher());
        for (column, is_numeric) in &self.columns {
            let (start, end) = values.get(*column).copied().flatten()?;
            let value = row.get(start..end)?;
            let (head, digits) = if *is_numeric { numeric(value) } else { ([0; 4], value) };
            for hasher in [&mut hashers.0, &mut hashers.1] {
                hasher.write(&head);
                hasher.write_usize(digits.len());
                hasher.write(digits);
            }
        }
        let low = u32::try_from(hashers.1.finish() >> 32).unwrap_or_default();
        Some((hashers.0.finish(), low))
    }
}

/// What tells a numeric's value: weight, sign, and its digits without the zeros at their end. How many decimals it was
/// written with does not.
fn numeric(value: &[u8]) -> ([u8; 4], &[u8]) {
    let (Some(head), Some(mut digits)) = (value.get(2..6), value.get(8..)) else { return ([0; 4], value) };
    while let Some(shorter) = digits.strip_suffix(&[0, 0]) {
        digits = shorter;
    }
    let head = if digits.is_empty() { [0; 4] } else { head.try_into().unwrap_or([0; 4]) };
    (head, digits)
}

/// Tables for so many beginnings of hashes: only one of them at a time is made anew for more room.
const SHARDS: usize = 64;

/// Hashes with the lines they stand on.
#[derive(Debug)]
struct Seen {
    secrets: (RandomState, RandomState),
    shards: Vec<Shard>,
}

/// Open addressing; line 0 is an empty place.
#[derive(Debug, Default)]
struct Shard {
    places: Vec<(u64, u32, u32)>,
    taken: usize,
}

impl Seen {
    fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { secrets: (RandomState::new(), RandomState::new()), shards }
    }

    fn shard(hash: (u64, u32)) -> usize {
        hash.1 as usize % SHARDS
    }

    fn find(&self, hash: (u64, u32)) -> Option<u32> {
        self.shards[Self::shard(hash)].find(hash)
    }

    fn insert(&mut self, hash: (u64, u32), line: u32) {
        self.shards[Self::shard(hash)].insert(hash, line);
    }
}

impl Shard {
    fn find(&self, (high, low): (u64, u32)) -> Option<u32> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = place(high, mask);
        loop {
            match self.places[at] {
                (_, _, 0) => return None,
                (h, l, line) if (h, l) == (high, low) => return Some(line),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn insert(&mut self, (high, low): (u64, u32), line: u32) {
        if self.taken * 8 >= self.places.len() * 7 {
            let length = (self.places.len() * 2).max(16);
            let old = std::mem::replace(&mut self.places, vec![(0, 0, 0); length]);
            old.into_iter().filter(|place| place.2 != 0).for_each(|place| self.put(place));
        }
        self.put((high, low, line));
        self.taken += 1;
    }

    fn put(&mut self, entry: (u64, u32, u32)) {
        let mask = self.places.len() - 1;
        let mut at = place(entry.0, mask);
        while self.places[at].2 != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = entry;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the mask leaves what fits")]
const fn place(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_what_was_put_into_it_and_nothing_else_in_16_bytes_each() {
        assert_eq!(size_of::<(u64, u32, u32)>(), 16);
        let mut seen = Seen::new();
        let hash = |n: u32| (u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15), n);
        (1..=10_000).for_each(|n| seen.insert(hash(n), n));
        assert!((1..=10_000).all(|n| seen.find(hash(n)) == Some(n)));
        assert!((10_001..20_000).all(|n| seen.find(hash(n)).is_none()));
        let room: usize = seen.shards.iter().map(|shard| shard.places.len()).sum();
        assert!(room < 10_000 * 37 / 16, "{room}");
    }
}
