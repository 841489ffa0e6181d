//! Which rows count: of those that share a key the newest, of the newest the one that was delivered last.
//!
//! Keys are compared by 128 bits of their SHA-256. Memory is bounded whatever the number of rows: only so many keys are
//! looked at in one pass, those of one part of all hashes, and of each row one bit is kept.

use super::super::dataset::Dataset;
use super::assemble::{PATIENCE, Spooled, stopped};
use super::cells::{Unit, micros, text};
use super::open::{Opened, unsound};
use crate::fault;
use parquet::record::Field;
use ring::digest;
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// So many keys are looked at in a pass; each takes about 60 bytes.
const MOST_KEYS: u64 = 2_000_000;

/// The first 128 bits of a key's hash.
type Hash = [u8; 16];

/// One bit for each row, in the order of delivery.
pub(super) struct Counting {
    bits: Vec<u64>,
}

impl Counting {
    /// Whether a row counts.
    pub(super) fn has(&self, row: u64) -> bool {
        let (word, bit) = place(row);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn set(&mut self, row: u64) {
        let (word, bit) = place(row);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
    }
}

fn place(row: u64) -> (usize, u64) {
    (usize::try_from(row / 64).unwrap_or(usize::MAX), 1 << (row % 64))
}

/// Looks which rows count. A row without a key counts by itself: it is rejected when it is loaded.
pub(super) fn find(
    dataset: &Dataset,
    parts: &[Spooled],
    records: u64,
    cancel: &CancellationToken,
) -> anyhow::Result<Counting> {
    find_by(dataset, parts, records, MOST_KEYS, cancel)
}

fn find_by(
    dataset: &Dataset,
    parts: &[Spooled],
    records: u64,
    most: u64,
    cancel: &CancellationToken,
) -> anyhow::Result<Counting> {
    let mut counting = Counting { bits: vec![0; usize::try_from(records.div_ceil(64)).unwrap_or(usize::MAX)] };
    let passes = records.div_ceil(most).max(1);
    for pass in 0..passes {
        let mut newest: HashMap<Hash, (i64, u64)> = HashMap::new();
        each(dataset, parts, cancel, |row, key, since| match key {
            None if pass == 0 => counting.set(row),
            Some(key) if share(&key) % passes == pass => {
                let best = newest.entry(key).or_insert((since, row));
                if since >= best.0 {
                    *best = (since, row);
                }
            }
            _ => {}
        })?;
        for (_, row) in newest.values() {
            counting.set(*row);
        }
    }
    Ok(counting)
}

fn share(hash: &Hash) -> u64 {
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Tells of each row its number, its key where it has one, and how new it is.
fn each(
    dataset: &Dataset,
    parts: &[Spooled],
    cancel: &CancellationToken,
    mut take: impl FnMut(u64, Option<Hash>, i64),
) -> anyhow::Result<()> {
    let Some(rule) = &dataset.parts else { return Err(fault::bug("a dataset without parts")) };
    let wanted: Vec<usize> = rule.key.iter().chain(&rule.newest).copied().collect();
    let mut row = 0;
    for part in parts {
        let opened = Opened::open(&part.file, &part.path, dataset)?;
        let (rows, places) = opened.rows(&wanted)?;
        for found in rows {
            let fields = found.map_err(|error| unsound(&part.path, &error))?.into_columns();
            let value = |at: usize| -> Option<(&Field, Unit)> {
                let (place, unit) = places.get(at).copied().flatten()?;
                fields.get(place).map(|(_, field)| (field, unit))
            };
            let key = hash(dataset, &rule.key, &value);
            let since = rule.newest.and_then(|place| {
                let (field, unit) = value(rule.key.len())?;
                micros(field, unit, &dataset.columns[place])
            });
            take(row, key, since.unwrap_or(i64::MIN));
            row += 1;
            if row % PATIENCE == 0 && cancel.is_cancelled() {
                return Err(stopped());
            }
        }
    }
    Ok(())
}

/// None where a part of the key is null.
fn hash<'f>(dataset: &Dataset, key: &[usize], value: &dyn Fn(usize) -> Option<(&'f Field, Unit)>) -> Option<Hash> {
    let mut hash = digest::Context::new(&digest::SHA256);
    for (at, place) in key.iter().enumerate() {
        let (field, unit) = value(at)?;
        let text = text(field, unit, &dataset.columns[*place])?;
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finish().as_ref().get(..16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Ident, Problems, Source};
    use crate::rows::dataset::{LooseDataset, compile_dataset};
    use parquet::data_type::Int64Type;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use proptest::prelude::*;
    use std::io::Write;
    use std::sync::Arc;

    const DATASET: &str = "name = \"laws\"\nfile = \"dt=*/*.parquet\"\ntable = \"laws\"\n\
        [parts]\nkey = [\"id\"]\nnewest = \"at\"\n\
        [[column]]\nname = \"id\"\ntype = \"bigint\"\n[[column]]\nname = \"at\"\ntype = \"timestamp\"\nnullable = true\n";

    /// A key and when it was written, in microseconds; none is a null.
    type Rows = Vec<(Option<i64>, Option<i64>)>;

    fn dataset() -> Dataset {
        let (source, mut problems) = (Source::of("laws.toml", DATASET.to_owned()), Problems::default());
        let schema = Ident::parse("public").unwrap();
        let loose = source.typed::<LooseDataset>(&mut problems).unwrap();
        let dataset = compile_dataset(&source, loose, &schema, &[], &[], &mut problems);
        dataset.unwrap_or_else(|| panic!("{:?}", problems.sorted()))
    }

    fn part(rows: &Rows) -> Spooled {
        let schema = "message part { optional int64 id; optional int64 at (timestamp(micros,true)); }";
        let (mut file, path) = tempfile::NamedTempFile::new().unwrap().into_parts();
        let mut bytes = Vec::new();
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::default())).unwrap();
        for group in rows.chunks(3) {
            let mut to = writer.next_row_group().unwrap();
            let columns: [Vec<Option<i64>>; 2] =
                [group.iter().map(|row| row.0).collect(), group.iter().map(|row| row.1).collect()];
            for column in columns {
                let levels: Vec<i16> = column.iter().map(|value| i16::from(value.is_some())).collect();
                let values: Vec<i64> = column.into_iter().flatten().collect();
                let mut written = to.next_column().unwrap().unwrap();
                written.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
                written.close().unwrap();
            }
            to.close().unwrap();
        }
        writer.close().unwrap();
        file.write_all(&bytes).unwrap();
        Spooled { path: "part".to_owned(), bytes: 0, sha256: String::new(), file: path }
    }

    /// The rows that count, one after the other.
    fn by_hand(rows: &Rows) -> Vec<bool> {
        let is_newer = |at: usize, other: usize| (rows[other].1, other) > (rows[at].1, at);
        let is_superseded = |at: usize| (0..rows.len()).any(|other| rows[other].0 == rows[at].0 && is_newer(at, other));
        (0..rows.len()).map(|at| rows[at].0.is_none() || !is_superseded(at)).collect()
    }

    fn rows() -> impl Strategy<Value = Rows> {
        let key = prop_oneof![6 => (0..6i64).prop_map(Some), 1 => Just(None)];
        let at = prop_oneof![3 => (0..4i64).prop_map(|n| Some(n * 1_000_000)), 1 => Just(None)];
        proptest::collection::vec((key, at), 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn the_newest_of_each_key_counts_however_many_keys_are_looked_at_in_a_pass(
            all in proptest::collection::vec(rows(), 1..4), most in 1..20u64
        ) {
            let dataset = dataset();
            let parts: Vec<Spooled> = all.iter().map(part).collect();
            let flat: Rows = all.concat();
            let counting = find_by(&dataset, &parts, flat.len() as u64, most, &CancellationToken::new()).unwrap();
            let found: Vec<bool> = (0..flat.len() as u64).map(|row| counting.has(row)).collect();
            prop_assert_eq!(found, by_hand(&flat));
        }
    }
}
