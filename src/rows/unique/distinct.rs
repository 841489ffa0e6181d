//! How many different values some columns have in a file: `count_distinct` of a dataset.

use super::{Key, MOST_ROWS, Seen, Values};
use crate::config::{At, Problems, Source};
use crate::rows::column::{Column, Kind};
use crate::rows::dataset::Dataset;
use indexmap::IndexMap;

/// Compiles `count_distinct`: the places of its columns.
pub fn compile_distinct(source: &Source, loose: &[String], columns: &[Column], problems: &mut Problems) -> Vec<usize> {
    let mut places = Vec::with_capacity(loose.len());
    for (i, name) in loose.iter().enumerate() {
        let at = At::key("count_distinct").index(i);
        match columns.iter().position(|column| column.name.as_str() == name) {
            None => problems.push(source.problem(&at, format!("{name:?} is not a column of the dataset"))),
            Some(place) if places.contains(&place) => {
                problems.push(source.problem(&at, format!("{name} is there twice")));
            }
            Some(place) if matches!(columns[place].kind, Kind::Json | Kind::Map) => {
                let message = format!("{name} is json or a map, which can be the same in many spellings");
                problems.push(source.problem(&at, message));
            }
            Some(place) => places.push(place),
        }
    }
    places
}

/// The values of good rows so far; they are told apart as keys are, and a null is none.
#[derive(Debug)]
pub struct Distinct {
    columns: Vec<(Key, Seen, u32)>,
    values: Values,
}

impl Distinct {
    /// No value yet.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        let of = |place: &usize| (Key::of(&[*place], &dataset.columns), Seen::new(), 0);
        Self { columns: dataset.count_distinct.iter().map(of).collect(), values: Values::of(dataset.columns.len()) }
    }

    /// Takes in a good row, as it was encoded for COPY.
    pub fn take_in(&mut self, row: &[u8]) {
        if self.columns.is_empty() {
            return;
        }
        self.values.find(row);
        for (key, seen, count) in self.columns.iter_mut().filter(|(_, _, count)| *count <= MOST_ROWS) {
            if let Some(hash) = key.hash_of(row, &self.values)
                && seen.find(hash).is_none()
            {
                seen.insert(hash, 1);
                *count += 1;
            }
        }
    }

    /// How many there are of each column; none where there are too many to be counted.
    #[must_use]
    pub fn counts(&self) -> IndexMap<String, Option<u32>> {
        let count = |(key, _, count): &(Key, Seen, u32)| (key.names.concat(), Some(*count).filter(|n| *n <= MOST_ROWS));
        self.columns.iter().map(count).collect()
    }
}
