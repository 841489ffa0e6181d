//! The keys of a row: hashes of its encoded columns.

use crate::rows::column::{Column, Kind};
use std::hash::{BuildHasher, Hasher, RandomState};

/// A hash of 96 bits.
pub(super) type Hash = (u64, u32);

/// Some columns of a dataset, and what their values are hashed with: a secret that changes with every file.
#[derive(Debug)]
pub(super) struct Key {
    /// Where its columns stand, with whether they are numerics.
    columns: Vec<(usize, bool)>,
    /// What they are called.
    pub(super) names: Vec<String>,
    secrets: (RandomState, RandomState),
}

/// Where each column's value lies in the row at hand; none for a null.
#[derive(Debug)]
pub(super) struct Values {
    columns: usize,
    places: Vec<Option<(usize, usize)>>,
}

impl Values {
    pub(super) const fn of(columns: usize) -> Self {
        Self { columns, places: Vec::new() }
    }

    /// A row is its number of columns, and each value's length before it; a null has the length -1.
    pub(super) fn find(&mut self, row: &[u8]) {
        self.places.clear();
        let mut at = 2;
        for _ in 0..self.columns {
            let length = row.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(-1, i32::from_be_bytes);
            at += 4;
            let length = usize::try_from(length).ok();
            self.places.push(length.map(|length| (at, at + length)));
            at += length.unwrap_or(0);
        }
    }
}

impl Key {
    /// The key of the columns at these places.
    pub(super) fn of(places: &[usize], columns: &[Column]) -> Self {
        Self {
            columns: places.iter().map(|i| (*i, matches!(columns[*i].kind, Kind::Numeric { .. }))).collect(),
            names: places.iter().map(|i| columns[*i].name.to_string()).collect(),
            secrets: (RandomState::new(), RandomState::new()),
        }
    }

    /// The hash of a row, as it was encoded for COPY; none where a value is null, which equals nothing.
    pub(super) fn hash_of(&self, row: &[u8], values: &Values) -> Option<Hash> {
        let mut hashers = (self.secrets.0.build_hasher(), self.secrets.1.build_hasher());
        for (column, is_numeric) in &self.columns {
            let (start, end) = values.places.get(*column).copied().flatten()?;
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
