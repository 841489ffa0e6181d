//! Opens a part, and finds the dataset's columns in it.

use super::super::dataset::Dataset;
use super::super::header::folded;
use super::cells::Unit;
use crate::fault;
use anyhow::Context;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Where a column stands among others, and what its numbers count, where they are times; none where it is not there.
pub(super) type Place = Option<(usize, Unit)>;

/// A part, opened.
pub(super) struct Opened<'a> {
    shown: &'a str,
    reader: SerializedFileReader<File>,
    /// For each column of the dataset its place among the part's.
    columns: Vec<Place>,
}

impl<'a> Opened<'a> {
    /// Opens a part that lies in the spool.
    ///
    /// # Errors
    /// A data fault when it is no sound Parquet file, or lacks a column that tells its rows apart.
    pub(super) fn open(path: &Path, shown: &'a str, dataset: &Dataset) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("open {} again", path.display()))?;
        let reader = SerializedFileReader::new(file).map_err(|error| unsound(shown, &error))?;
        let fields = reader.metadata().file_metadata().schema().get_fields();
        let columns = dataset.columns.iter().map(|column| {
            let named = |header: &String| fields.iter().position(|field| folded(field.name()) == folded(header));
            let place = column.headers.iter().find_map(named)?;
            Some((place, unit(&fields[place])))
        });
        let columns: Vec<Place> = columns.collect();
        let opened = Self { shown, reader, columns };
        opened.check(dataset)?;
        Ok(opened)
    }

    /// What rows are told apart by must be there; any other column that is not is null.
    fn check(&self, dataset: &Dataset) -> anyhow::Result<()> {
        let Some(parts) = &dataset.parts else { return Err(fault::bug("a dataset without parts")) };
        let needed = parts.key.iter().chain(&parts.newest);
        let missing = needed.filter(|place| self.columns[**place].is_none());
        let missing: Vec<String> = missing.map(|place| format!("{:?}", dataset.columns[*place].header())).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let found: Vec<&str> = self.fields().iter().map(|field| field.name()).collect();
        Err(fault::data(format!(
            "{} lacks {}, by which its rows are told apart; found {}",
            self.shown,
            missing.join(", "),
            found.join(", ")
        )))
    }

    fn fields(&self) -> &[TypePtr] {
        self.reader.metadata().file_metadata().schema().get_fields()
    }

    /// How many records it says it holds.
    pub(super) fn records(&self) -> u64 {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// Its rows with these columns of the dataset alone, group by group; with each row the places of the columns in it.
    ///
    /// # Errors
    /// A data fault when it can't be read.
    pub(super) fn rows(&self, wanted: &[usize]) -> anyhow::Result<(RowIter<'_>, Vec<Place>)> {
        let found = |place: &usize| self.columns[*place];
        let mut chosen: Vec<usize> = wanted.iter().filter_map(found).map(|(place, _)| place).collect();
        chosen.sort_unstable();
        chosen.dedup();
        let fields: Vec<TypePtr> = chosen.iter().map(|place| Arc::clone(&self.fields()[*place])).collect();
        let name = self.reader.metadata().file_metadata().schema().name();
        let projection =
            Type::group_type_builder(name).with_fields(fields).build().map_err(|error| unsound(self.shown, &error))?;
        let rows = self.reader.get_row_iter(Some(projection)).map_err(|error| unsound(self.shown, &error))?;
        let within = |place: &usize| {
            let (whole, unit) = found(place)?;
            Some((chosen.iter().position(|chosen| *chosen == whole)?, unit))
        };
        Ok((rows, wanted.iter().map(within).collect()))
    }
}

pub(super) fn unsound(shown: &str, error: &dyn std::fmt::Display) -> anyhow::Error {
    fault::data(format!("{shown} is no sound Parquet file: {error}"))
}

fn unit(field: &Type) -> Unit {
    match field.get_basic_info().logical_type_ref() {
        Some(LogicalType::Timestamp(kind)) => match kind.unit {
            TimeUnit::MILLIS => Unit::Millis,
            TimeUnit::MICROS => Unit::Micros,
            TimeUnit::NANOS => Unit::Nanos,
        },
        _ => Unit::None,
    }
}
