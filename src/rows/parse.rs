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
        valid,
        rejects,
        by_class: BTreeMap::new(),
        errors: BTreeMap::new(),
        line: Vec::new(),
        scratch: Vec::new(),
    };
    sink.write_valid(|index, _| Some(dataset.columns[index].name.as_str().as_bytes()))?;
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
    valid: Option<Box<dyn Write>>,
    rejects: Option<Box<dyn Write>>,
    by_class: BTreeMap<ErrorClass, u64>,
    errors: BTreeMap<String, u64>,
    line: Vec<u8>,
    scratch: Vec<u8>,
}

impl ParseSink {
    /// Writes a line as PostgreSQL reads CSV: a null is nothing, an empty text is `""`.
    fn write_valid<'a>(&'a mut self, value: impl Fn(usize, &'a mut Vec<u8>) -> Option<&'a [u8]>) -> anyhow::Result<()> {
        let Some(valid) = &mut self.valid else { return Ok(()) };
        self.line.clear();
        for index in 0..self.columns {
            if index > 0 {
                self.line.push(b',');
            }
            push_cell(&mut self.line, value(index, &mut self.scratch));
        }
        self.line.push(b'\n');
        valid.write_all(&self.line).context("write the valid rows")
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
        self.buffer.clear();
        self.write_valid(|index, scratch| row.value(index, scratch))
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

/// Appends a value as CSV: in quotes where it needs them, or where it would else be read as null.
fn push_cell(line: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(text) = value else { return };
    let is_plain = !text.is_empty() && !text.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r'));
    if is_plain {
        return line.extend_from_slice(text);
    }
    line.push(b'"');
    for byte in text {
        if *byte == b'"' {
            line.push(b'"');
        }
        line.push(*byte);
    }
    line.push(b'"');
}
