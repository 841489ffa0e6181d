//! Drives one pass over a file: blocks in, good rows encoded into the sink's buffer, bad rows described.
//!
//! What it finds is a function of the bytes alone: the size of its blocks never changes a result.

mod begin;
mod broken;
mod heading;
mod lines;
mod misfit;

use super::certificate::{Fate, Tally};
use super::dataset::Dataset;
use super::dialect::EmptyRows;
use super::encoding::Encoding;
use super::footer::Footer;
use super::header::{Binding, Header, by_position};
use super::input::Input;
use super::layout::Layout;
use super::line_end::LineEnd;
use super::notes::Suspects;
use super::payload::Payload;
use super::record::{Cells, Nulls, describe, encode_row};
use super::reject::{Code, RowError};
use super::repeated::HeaderRecords;
use super::source::SourceFile;
use super::split::{Record, Split, Splitter};
use super::trailer::Trailers;
use super::unique::{Keys, Latest, Superseded};
use super::window::Window;
use crate::escape;
use crate::fault;
use anyhow::Context;
use heading::no_header;
use std::io::Read;

pub use super::reading::Reading;
pub use super::sink::{Row, Sink};
pub use super::window::BLOCK;

/// Reads a file to its end; `progress` is told the bytes of the delivered file read so far, block by block.
///
/// # Errors
/// A data fault when the file as a whole is not what was agreed (form, header); what the sink says;
/// a transient fault when the file changed meanwhile, or since its superseded rows were looked for.
pub fn read(
    source: SourceFile,
    dataset: &Dataset,
    superseded: &Superseded,
    sink: &mut impl Sink,
    progress: &dyn Fn(u64),
) -> anyhow::Result<Reading> {
    let path = source.path().to_owned();
    let (reading, _) = read_with(source, dataset, Keys::of(dataset, superseded)?, sink, progress)?;
    superseded.check_same(&path, &reading.identity)?;
    Ok(reading)
}

/// Reads a file to its end for the rows that a later one supersedes; the sink learns nothing of its keys.
///
/// # Errors
/// See [`read`].
pub fn look(source: SourceFile, dataset: &Dataset, sink: &mut impl Sink) -> anyhow::Result<Superseded> {
    let keys = Keys::Looking(Latest::of(dataset));
    match read_with(source, dataset, Some(keys), sink, &|_| ())? {
        (reading, Some(Keys::Looking(latest))) => Ok(latest.superseded(reading.identity)),
        _ => Err(fault::bug("the keys were not looked at")),
    }
}

fn read_with<'a>(
    source: SourceFile,
    dataset: &'a Dataset,
    keys: Option<Keys<'a>>,
    sink: &mut impl Sink,
    progress: &dyn Fn(u64),
) -> anyhow::Result<(Reading, Option<Keys<'a>>)> {
    let path = escape::path(source.path());
    let mut input = Input::open(source, &dataset.dialect).with_context(|| path.clone())?;
    let mut reader = Reader::new(dataset, sink, input.encoding(), keys);
    reader.run(&mut input, progress).with_context(|| path.clone())?;
    let (tally, binding, heading, mut layout) = (reader.tally, reader.binding, reader.heading.len(), reader.layout);
    let (trailers, keys) = (reader.trailers.lines(), reader.keys);
    let notes = reader.suspects.notes(&tally, &dataset.dialect);
    let (identity, unpacked_bytes) = input.finish()?;
    let binding = binding.ok_or_else(|| no_header(&path, heading, &tally, dataset))?;
    layout.names = binding.names;
    let (ignored_columns, absent_columns) = (binding.extra, binding.absent);
    Ok((Reading { identity, unpacked_bytes, tally, ignored_columns, absent_columns, layout, trailers, notes }, keys))
}

/// Reads text that is no file to its end: the same, but nothing is hashed or unpacked.
///
/// # Errors
/// See [`read`]; a bug fault for a dataset that keeps the last row of a key: a text is read once.
pub fn read_text(text: Box<dyn Read>, dataset: &Dataset, sink: &mut impl Sink) -> anyhow::Result<Tally> {
    let mut input = Input::of_text(text, &dataset.dialect)?;
    let none = Superseded::default();
    let mut reader = Reader::new(dataset, sink, input.encoding(), Keys::of(dataset, &none)?);
    reader.run(&mut input, &|_| ())?;
    if reader.binding.is_none() {
        return Err(no_header("the text", reader.heading.len(), &reader.tally, dataset));
    }
    Ok(reader.tally)
}

struct Reader<'a, 's, S> {
    dataset: &'a Dataset,
    sink: &'s mut S,
    splitter: Splitter,
    max_record: usize,
    window: Window,
    /// The length of the longest mark of lines that are skipped; 0 where there is none.
    marked: usize,
    /// What ends the lines that are skipped.
    skipped_end: LineEnd,
    line: u64,
    tally: Tally,
    trailers: Trailers,
    /// Lines before this place that begin like a trailer are rows.
    rows_until: u64,
    suspects: Suspects,
    /// The header's records so far.
    heading: Vec<Vec<String>>,
    /// Whether the first record is still to decide what ends records.
    is_undecided: bool,
    /// Whether the next record is not simply a row.
    is_beginning: bool,
    binding: Option<Binding>,
    /// `None` if records that repeat the header are loaded.
    header: Option<HeaderRecords>,
    /// How many line ends the quoted fields of a record may hold.
    max_quoted_lines: u64,
    layout: Layout,
    keys: Option<Keys<'a>>,
    nulls: Nulls,
    errors: Vec<RowError>,
    scratch: Vec<u8>,
}

impl<'a, 's, S: Sink> Reader<'a, 's, S> {
    fn new(dataset: &'a Dataset, sink: &'s mut S, encoding: Encoding, keys: Option<Keys<'a>>) -> Self {
        let dialect = &dataset.dialect;
        let marks = dialect.marks();
        let skipped_end = marks.line_end.of_skipped_lines();
        let footer = Footer::new(dialect.footer_lines, dialect.max_record_bytes, skipped_end.clone());
        let (is_undecided, has_header) = (dialect.line_end().is_none(), dialect.header != Header::None);
        Self {
            dataset,
            sink,
            splitter: Splitter::new(marks),
            max_record: dialect.max_record_bytes,
            window: Window::new(encoding, footer),
            marked: dialect.comment.len().max(dialect.trailer.len()),
            skipped_end,
            line: 1,
            tally: Tally::default(),
            layout: Layout::new(encoding),
            keys,
            trailers: Trailers::default(),
            rows_until: 0,
            suspects: Suspects::default(),
            heading: Vec::new(),
            is_undecided,
            is_beginning: true,
            binding: (!has_header).then(|| by_position(&dataset.columns)),
            header: None,
            max_quoted_lines: if dialect.multiline { u64::MAX } else { 0 },
            nulls: Nulls::of(&dialect.null),
            errors: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn run(&mut self, input: &mut Input, progress: &dyn Fn(u64)) -> anyhow::Result<()> {
        self.begin(input)?;
        for _ in 0..self.dataset.dialect.skip_lines {
            self.pass_line(Fate::Preamble, input)?;
        }
        loop {
            if self.marked > 0
                && let Some(fate) = self.marked_line(input)?
            {
                self.pass_line(fate, input)?;
                continue;
            }
            match self.split(0) {
                (Split::Record(record), _) => self.record(record, input)?,
                (Split::More, true) => self.too_long(input)?,
                (Split::More, false) => {
                    self.window.fill(input)?;
                    progress(input.delivered());
                }
                (Split::End, _) => return self.footer(input),
            }
        }
    }

    /// Finds the record that begins at this place of the window; says whether no more of it can be shown.
    #[inline]
    fn split(&mut self, from: usize) -> (Split, bool) {
        let rest = &self.window.bytes()[from..];
        let full = rest.len() >= self.max_record;
        let clipped = &rest[..rest.len().min(self.max_record)];
        let at_end = self.window.at_end() && clipped.len() == rest.len();
        (self.splitter.split(clipped, at_end, full), full)
    }

    #[inline]
    fn record(&mut self, record: Record, input: &mut Input) -> anyhow::Result<()> {
        let fate = if record.content == 0 {
            Fate::Blank
        } else if self.is_beginning && self.is_begun_by(record, input)? {
            return Ok(());
        } else if let Some(header) = &self.header
            && header.may_be(self.window.bytes())
            && header.contains(record, self.window.bytes(), self.splitter.fields(), self.splitter.marks())
        {
            self.header_again(record)?
        } else if let Some(code) = self.joined_lines(record) {
            return self.reject_lines(record, code);
        } else {
            self.row(record)?
        };
        self.tally.found();
        self.pass(fate, record.length);
        self.line += record.lines;
        Ok(())
    }

    /// Accounts for the first `length` bytes in sight and goes on behind them.
    #[inline]
    fn pass(&mut self, fate: Fate, length: usize) {
        let offset = self.window.offset;
        self.window.advance(length);
        self.tally.cover(fate, offset, self.window.offset - offset);
    }

    #[inline]
    fn row(&mut self, record: Record) -> anyhow::Result<Fate> {
        let Some(binding) = self.binding.as_ref() else {
            return Err(fault::bug("a row before the header"));
        };
        let window = self.window.bytes();
        let fields = self.splitter.fields();
        let buffer = self.sink.buffer();
        let row_start = buffer.len();
        self.errors.clear();
        let marks = self.splitter.marks();
        let cells = Cells {
            window,
            fields,
            binding,
            marks,
            encoding: self.window.encoding,
            dataset: self.dataset,
            bytes: record.bytes,
            nulls: &self.nulls,
        };
        let empty_rows = self.dataset.dialect.empty_rows;
        let is_empty = empty_rows != EmptyRows::Load && cells.are_empty() && record.broken.is_none();
        if is_empty && empty_rows == EmptyRows::Skip {
            return Ok(Fate::EmptyRow);
        }
        if is_empty {
            let message = "the record has no values, only delimiters (dialect.empty_rows)".to_owned();
            self.errors.push(RowError { column: None, code: Code::EmptyRow, message });
        } else {
            encode_row(record, &cells, buffer, &mut self.scratch, &mut self.errors);
        }
        if self.errors.is_empty()
            && let Some(keys) = &mut self.keys
        {
            keys.check(&buffer[row_start..], self.line, &mut self.errors)?;
        }
        if self.errors.is_empty() {
            if fields.len() < binding.names.len() {
                self.tally.padded += 1;
                self.suspects.pad(self.line);
            }
            self.sink.accepted(&Row { cells, line: self.line, offset: self.window.offset, length: record.length })?;
            return Ok(Fate::Loaded);
        }
        buffer.truncate(row_start);
        let payload = Payload { window, fields, binding, marks };
        let place = (self.window.offset, self.window.delivered_length(record.length));
        let text = &window[..record.length];
        let reject = describe(self.line, place, text, self.window.encoding, payload, &mut self.errors);
        self.sink.rejected(&reject)?;
        Ok(Fate::Rejected)
    }
}
