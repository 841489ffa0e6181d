//! Parses a file without a database: the same reader, valid rows as CSV, rejects as JSON lines.

use super::certificate::Certificate;
use super::dataset::Dataset;
use super::reader::{self, Row, Sink};
use super::reject::{ErrorClass, Reject};
use super::source::SourceFile;
use anyhow::Context;
use bytes::BytesMut;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// What a file came to.
#[derive(Clone, Debug, Serialize)]
pub struct Parsed {
    /// The proof that nothing was lost or invented.
    pub certificate: Certificate,
    /// Rejects by class.
    pub rejects_by_class: BTreeMap<ErrorClass, u64>,
    /// Rejects by column and code, as `column.code` (`row.code` for the record as a whole); a row with two errors counts in both.
    pub errors: BTreeMap<String, u64>,
    /// Columns of the file that were left unread.
    pub ignored_columns: Vec<String>,
}

/// Parses `path`; valid rows go to `valid`, rejects to `rejects`, where given.
///
/// # Errors
/// A data fault for the file; what writing says.
pub fn parse_file(
    path: &Path,
    dataset: &Dataset,
    valid: Option<Box<dyn Write>>,
    rejects: Option<Box<dyn Write>>,
) -> anyhow::Result<Parsed> {
    let source = SourceFile::open(path)?;
    let mut sink = ParseSink {
        buffer: BytesMut::new(),
        columns: dataset.columns.len(),
        valid: valid.map(|w| csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(w)),
        rejects,
        by_class: BTreeMap::new(),
        errors: BTreeMap::new(),
        scratch: Vec::new(),
    };
    if let Some(valid) = &mut sink.valid {
        valid.write_record(dataset.columns.iter().map(|c| c.name.as_str())).context("write the valid rows")?;
    }
    let reading = reader::read(source, dataset, &mut sink, &|_| ())?;
    sink.flush()?;
    let certificate = Certificate {
        bytes: reading.identity.bytes,
        sha256: reading.identity.sha256,
        tally: reading.tally,
        copied_rows: None,
        copied_rejects: None,
    };
    certificate.check()?;
    Ok(Parsed { certificate, rejects_by_class: sink.by_class, errors: sink.errors, ignored_columns: reading.ignored_columns })
}

struct ParseSink {
    buffer: BytesMut,
    columns: usize,
    valid: Option<csv::Writer<Box<dyn Write>>>,
    rejects: Option<Box<dyn Write>>,
    by_class: BTreeMap<ErrorClass, u64>,
    errors: BTreeMap<String, u64>,
    scratch: Vec<u8>,
}

impl ParseSink {
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
        self.buffer.clear();
        let Some(valid) = &mut self.valid else { return Ok(()) };
        for index in 0..self.columns {
            valid.write_field(row.text(index, &mut self.scratch)).context("write the valid rows")?;
        }
        valid.write_record(None::<&[u8]>).context("write the valid rows")
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
