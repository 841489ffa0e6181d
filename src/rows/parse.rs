//! Parses a file without a database: the same reader, valid rows as CSV, rejects as JSON lines.

use super::certificate::Certificate;
use super::dataset::Dataset;
use super::reader::{self, Row, Sink};
use super::reject::{ErrorClass, Reject};
use super::source::SourceFile;
use super::unique::{Distinct, Superseded, look};
use anyhow::Context;
use bytes::BytesMut;
use indexmap::IndexMap;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use tokio_util::sync::CancellationToken;

/// What a file came to.
#[derive(Clone, Debug, Serialize)]
pub struct Parsed {
    /// The proof that nothing was lost or invented.
    pub certificate: Certificate,
    /// Rejects by class.
    pub rejects_by_class: BTreeMap<ErrorClass, u64>,
    /// Rejects by column and code, as `column.code` (`row.code` for the record as a whole); a row with two errors counts in both.
    pub errors: BTreeMap<String, u64>,
    /// Rejects that another row of the same key supersedes; none where the dataset has no keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<u64>,
    /// How many different values the columns of `count_distinct` have among the good rows; none where there are too many
    /// to be counted.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub distinct: IndexMap<String, Option<u32>>,
    /// Columns of the file that were left unread.
    pub ignored_columns: Vec<String>,
    /// Optional columns that the file lacked: they are null in every row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent_columns: Vec<String>,
}

/// Parses the file that `open` opens, once or, where its dataset keeps the last row of a key, twice; valid rows go to
/// `valid`, rejects to `rejects`, where given.
///
/// # Errors
/// A data fault for the file; what writing says.
pub fn parse_file(
    open: &mut dyn FnMut() -> anyhow::Result<SourceFile>,
    dataset: &Dataset,
    valid: Option<Box<dyn Write>>,
    rejects: Option<Box<dyn Write>>,
) -> anyhow::Result<Parsed> {
    let superseded = if look::is_needed(dataset) {
        look::superseded(open()?, dataset, &CancellationToken::new())?
    } else {
        Superseded::default()
    };
    let mut sink = ParseSink {
        buffer: BytesMut::new(),
        columns: dataset.columns.len(),
        valid,
        rejects,
        by_class: BTreeMap::new(),
        errors: BTreeMap::new(),
        distinct: Distinct::of(dataset),
        line: Vec::new(),
        scratch: Vec::new(),
    };
    dataset.columns.iter().for_each(|c| push_cell(&mut sink.line, Some(c.name.as_str().as_bytes())));
    sink.write_line()?;
    let reading = reader::read(open()?, dataset, &superseded, &mut sink, &|_| ())?;
    sink.flush()?;
    let certificate = reading.certificate(None, None);
    certificate.check()?;
    Ok(Parsed {
        certificate,
        duplicates: (!dataset.unique.is_empty())
            .then(|| sink.by_class.get(&ErrorClass::Duplicate).copied().unwrap_or_default()),
        distinct: sink.distinct.counts(),
        rejects_by_class: sink.by_class,
        errors: sink.errors,
        ignored_columns: reading.ignored_columns,
        absent_columns: reading.absent_columns,
    })
}

struct ParseSink {
    buffer: BytesMut,
    columns: usize,
    valid: Option<Box<dyn Write>>,
    rejects: Option<Box<dyn Write>>,
    by_class: BTreeMap<ErrorClass, u64>,
    errors: BTreeMap<String, u64>,
    distinct: Distinct,
    line: Vec<u8>,
    scratch: Vec<u8>,
}

impl ParseSink {
    /// Writes the line whose cells were pushed.
    fn write_line(&mut self) -> anyhow::Result<()> {
        self.line.pop();
        self.line.push(b'\n');
        if let Some(valid) = &mut self.valid {
            valid.write_all(&self.line).context("write the valid rows")?;
        }
        self.line.clear();
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(valid) = &mut self.valid {
            valid.flush().context("write the valid rows")?;
        }
        if let Some(rejects) = &mut self.rejects {
            rejects.flush().context("write the rejects")?;
        }
        Ok(())
    }
}

impl Sink for ParseSink {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    fn accepted(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        self.distinct.take_in(&self.buffer);
        self.buffer.clear();
        if self.valid.is_none() {
            return Ok(());
        }
        for index in 0..self.columns {
            push_cell(&mut self.line, row.value(index, &mut self.scratch));
        }
        self.write_line()
    }

    fn rejected(&mut self, reject: &Reject<'_>) -> anyhow::Result<()> {
        *self.by_class.entry(reject.error_class).or_default() += 1;
        for error in &reject.errors {
            let code = serde_json::to_value(error.code)?;
            let column = error.column.as_deref().unwrap_or("row");
            *self.errors.entry(format!("{column}.{}", code.as_str().unwrap_or_default())).or_default() += 1;
        }
        let Some(rejects) = &mut self.rejects else { return Ok(()) };
        serde_json::to_writer(&mut *rejects, reject).context("write the rejects")?;
        rejects.write_all(b"\n").context("write the rejects")
    }
}

/// Appends a cell and a comma, as PostgreSQL reads CSV: a null is nothing, an empty text is `""`.
fn push_cell(line: &mut Vec<u8>, value: Option<&[u8]>) {
    let text = value.unwrap_or_default();
    let needs_quotes =
        value.is_some_and(<[u8]>::is_empty) || text.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r'));
    if needs_quotes {
        line.push(b'"');
        for part in text.split_inclusive(|b| *b == b'"') {
            line.extend_from_slice(part);
            if part.ends_with(b"\"") {
                line.push(b'"');
            }
        }
        line.push(b'"');
    } else {
        line.extend_from_slice(text);
    }
    line.push(b',');
}
