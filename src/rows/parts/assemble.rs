//! Brings parts into the spool, and writes the rows that count as one file.

use super::super::dataset::Dataset;
use super::super::header::ExtraColumns;
use super::super::reader::BLOCK;
use super::super::source::SourceFile;
use super::cells::text;
use super::newest;
use super::open::{Opened, unsound};
use super::{Account, Part};
use crate::fault;
use anyhow::Context;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tempfile::TempPath;
use tokio_util::sync::CancellationToken;

/// After so many rows it is asked whether to stop.
pub(super) const PATIENCE: u64 = 10_000;

/// Tells of each row where it was delivered: the number of its part and of its record there, from 1.
const ORIGIN: &str = "_part_record";

/// A part in the spool.
pub(super) struct Spooled {
    /// Where it was delivered.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) file: TempPath,
}

pub(super) fn stopped() -> anyhow::Error {
    fault::transient("the load was cancelled while its parts were read; nothing was changed")
}

fn draft(folder: &Path) -> anyhow::Result<(File, TempPath)> {
    let file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("make a file in the spool's folder {}", folder.display()))?;
    Ok(file.into_parts())
}

/// Brings a part into the spool.
pub(super) async fn spool(
    mut source: SourceFile,
    folder: &Path,
    cancel: &CancellationToken,
) -> anyhow::Result<Spooled> {
    let (folder, stop) = (folder.to_owned(), cancel.clone());
    let copy = move || {
        let path = source.path().display().to_string();
        let (mut to, file) = draft(&folder)?;
        let mut block = vec![0; BLOCK];
        loop {
            let count = source.read(&mut block)?;
            if count == 0 {
                break;
            }
            if stop.is_cancelled() {
                return Err(stopped());
            }
            to.write_all(&block[..count]).with_context(|| format!("spool {path}"))?;
        }
        let identity = source.finish()?;
        Ok(Spooled { path, bytes: identity.bytes, sha256: identity.sha256, file })
    };
    tokio::task::spawn_blocking(copy).await.context("the thread that fetches a part broke off")?
}

/// Writes the rows that count into a file of the spool.
pub(super) fn write(
    dataset: &Dataset,
    spooled: &[Spooled],
    folder: &Path,
    cancel: &CancellationToken,
) -> anyhow::Result<(Account, TempPath)> {
    let mut parts = Vec::with_capacity(spooled.len());
    for Spooled { path, bytes, sha256, file } in spooled {
        let records = Opened::open(file, path, dataset)?.records();
        parts.push(Part { path: path.clone(), bytes: *bytes, sha256: sha256.clone(), records });
    }
    let records = parts.iter().map(|part| part.records).sum();
    let counting = newest::find(dataset, spooled, records, cancel)?;
    let (to, path) = draft(folder)?;
    let mut writer = Writer::new(dataset, to);
    let (mut row, mut superseded) = (0, 0);
    let all: Vec<usize> = (0..dataset.columns.len()).collect();
    writer.header()?;
    for (number, (part, spooled)) in parts.iter().zip(spooled).enumerate() {
        let before = row;
        let opened = Opened::open(&spooled.file, &part.path, dataset)?;
        let (rows, places) = opened.rows(&all)?;
        for found in rows {
            let fields = found.map_err(|error| unsound(&part.path, &error))?.into_columns();
            if counting.has(row) {
                let value = |place: &usize| {
                    let (within, unit) = places[*place]?;
                    text(&fields.get(within)?.1, unit, &dataset.columns[*place])
                };
                writer.row(all.iter().map(value), (number + 1, row - before + 1))?;
            } else {
                superseded += 1;
            }
            row += 1;
            if row % PATIENCE == 0 && cancel.is_cancelled() {
                return Err(stopped());
            }
        }
        if row - before != part.records {
            let (said, found) = (part.records, row - before);
            return Err(unsound(&part.path, &format!("it says it holds {said} records, and {found} were found")));
        }
    }
    writer.finish()?;
    Ok((Account { records, superseded, parts }, path))
}

/// Writes CSV as the loader reads it without a dialect: texts in quotes, nulls bare.
struct Writer<'a> {
    dataset: &'a Dataset,
    out: BufWriter<File>,
    /// Whether rows tell where they come from: only where a column that nobody knows may be there.
    has_origin: bool,
    line: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(dataset: &'a Dataset, file: File) -> Self {
        let has_origin = dataset.dialect.extra_columns == ExtraColumns::Ignore;
        Self { dataset, out: BufWriter::with_capacity(BLOCK, file), has_origin, line: Vec::new() }
    }

    fn header(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        for column in &self.dataset.columns {
            self.cell(Some(column.header()));
        }
        if self.has_origin {
            self.cell(Some(ORIGIN));
        }
        self.end()
    }

    fn row(&mut self, cells: impl Iterator<Item = Option<String>>, origin: (usize, u64)) -> anyhow::Result<()> {
        self.line.clear();
        for cell in cells {
            self.cell(cell.as_deref());
        }
        if self.has_origin {
            self.cell(Some(&format!("{}:{}", origin.0, origin.1)));
        }
        self.end()
    }

    fn cell(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.line.push(b'"');
            for byte in text.bytes() {
                if byte == b'"' {
                    self.line.push(b'"');
                }
                self.line.push(byte);
            }
            self.line.push(b'"');
        }
        self.line.push(b',');
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.line.pop();
        self.line.push(b'\n');
        self.out.write_all(&self.line).context("write the parts' rows into the spool")
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.out.flush().context("write the parts' rows into the spool")
    }
}
