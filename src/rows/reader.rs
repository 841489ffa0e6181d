//! Drives one pass over a file: blocks in, good rows encoded into the sink's buffer, bad rows described.
//!
//! What it finds is a function of the bytes alone: the size of its blocks never changes a result.

use super::cell;
use super::certificate::{Fate, Tally};
use super::dataset::Dataset;
use super::header::{Binding, bind};
use super::input::Input;
use super::reject::{Code, Reject, RowError, readable};
use super::source::{FileIdentity, SourceFile};
use super::split::{Field, Form, Record, Split, Splitter, line_end, text};
use crate::fault;
use anyhow::Context;
use bytes::{BufMut, BytesMut};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// How many bytes are read at a time; it never changes a result.
pub const BLOCK: usize = 256 * 1024;

/// So many fields beyond the header are told apart in a reject's payload.
const EXTRA_TOLD_APART: usize = 100;

/// Takes what the reader finds.
pub trait Sink {
    /// Where the next good row is encoded; a refused row is cut off again.
    fn buffer(&mut self) -> &mut BytesMut;

    /// A good row was appended to the buffer.
    ///
    /// # Errors
    /// When it can't be taken; reading ends.
    fn accepted(&mut self, row: &Row<'_>) -> anyhow::Result<()>;

    /// A bad row was found.
    ///
    /// # Errors
    /// When it can't be taken; reading ends.
    fn rejected(&mut self, reject: &Reject<'_>) -> anyhow::Result<()>;
}

/// A good row's values.
#[derive(Debug)]
pub struct Row<'a>(Cells<'a>);

impl Row<'_> {
    /// The text of the dataset's column `index`, quotes resolved; none for a null.
    pub fn value<'b>(&'b self, index: usize, scratch: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        self.0.value(self.0.fields[self.0.binding.fields[index]], scratch)
    }
}

/// What a whole file came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The delivered file's size and hash.
    pub identity: FileIdentity,
    /// What it unpacked to, in bytes; none where it is not compressed.
    pub unpacked_bytes: Option<u64>,
    /// The counts.
    pub tally: Tally,
    /// Columns of the header that the dataset doesn't know and was told to ignore.
    pub ignored_columns: Vec<String>,
}

/// Reads a file to its end; `progress` is told the bytes of the delivered file read so far, block by block.
///
/// # Errors
/// A data fault when the file as a whole is not what was agreed (form, header); what the sink says;
/// a transient fault when the file changed meanwhile.
pub fn read(
    source: SourceFile,
    dataset: &Dataset,
    sink: &mut impl Sink,
    progress: &dyn Fn(u64),
) -> anyhow::Result<Reading> {
    let path = source.path().display().to_string();
    let mut reader = Reader::new(dataset, sink);
    let mut input = Input::open(source, &dataset.dialect).with_context(|| path.clone())?;
    reader.run(&mut input, progress).with_context(|| path.clone())?;
    let (tally, binding) = (reader.tally, reader.binding);
    let (identity, unpacked_bytes) = input.finish()?;
    let binding = binding.ok_or_else(|| fault::data(format!("{path} holds no header, only blank lines")))?;
    Ok(Reading { identity, unpacked_bytes, tally, ignored_columns: binding.extra })
}

/// The bytes in sight: `block[start..end]`, which begin at `offset` of the file.
struct Window {
    block: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    at_end: bool,
}

impl Window {
    fn bytes(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    fn advance(&mut self, length: usize) {
        self.start += length;
        self.offset += length as u64;
    }

    /// Shows more bytes behind those in sight.
    fn fill(&mut self, input: &mut Input) -> anyhow::Result<()> {
        self.block.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end * 2 > self.block.len() {
            self.block.resize(self.block.len() * 2, 0);
        }
        let count = input.read(&mut self.block[self.end..])?;
        self.end += count;
        self.at_end = count == 0;
        Ok(())
    }
}

struct Reader<'a, S> {
    dataset: &'a Dataset,
    sink: &'a mut S,
    splitter: Splitter,
    quote: Option<u8>,
    max_record: usize,
    window: Window,
    line: u64,
    tally: Tally,
    binding: Option<Binding>,
    errors: Vec<RowError>,
    scratch: Vec<u8>,
}

impl<'a, S: Sink> Reader<'a, S> {
    fn new(dataset: &'a Dataset, sink: &'a mut S) -> Self {
        let marks = dataset.dialect.marks();
        Self {
            dataset,
            sink,
            splitter: Splitter::new(marks),
            quote: marks.quote,
            max_record: dataset.dialect.max_record_bytes,
            window: Window { block: vec![0; BLOCK], start: 0, end: 0, offset: 0, at_end: false },
            line: 1,
            tally: Tally::default(),
            binding: None,
            errors: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn run(&mut self, input: &mut Input, progress: &dyn Fn(u64)) -> anyhow::Result<()> {
        self.begin(input)?;
        loop {
            let window = self.window.bytes();
            let full = window.len() >= self.max_record;
            let clipped = &window[..window.len().min(self.max_record)];
            let at_end = self.window.at_end && clipped.len() == window.len();
            match self.splitter.split(clipped, at_end, full) {
                Split::Record(record) => self.record(record)?,
                Split::More if full => self.too_long(input)?,
                Split::More => {
                    self.window.fill(input)?;
                    progress(input.delivered());
                }
                Split::End => return Ok(()),
            }
        }
    }

    /// Passes over a byte order mark.
    fn begin(&mut self, input: &mut Input) -> anyhow::Result<()> {
        while self.window.bytes().len() < 3 && !self.window.at_end {
            self.window.fill(input)?;
        }
        if self.window.bytes().starts_with(b"\xEF\xBB\xBF") {
            self.tally.cover(Fate::ByteOrderMark, 0, 3);
            self.window.advance(3);
        }
        Ok(())
    }

    #[inline]
    fn record(&mut self, record: Record) -> anyhow::Result<()> {
        self.tally.found();
        let fate = if record.content == 0 {
            Fate::Blank
        } else if self.binding.is_none() {
            self.bind_header(record)?;
            Fate::Header
        } else {
            self.row(record)?
        };
        self.tally.cover(fate, self.window.offset, record.length as u64);
        self.window.advance(record.length);
        self.line += record.lines;
        Ok(())
    }

    fn bind_header(&mut self, record: Record) -> anyhow::Result<()> {
        if record.broken.is_some() {
            return Err(fault::data(format!(
                "line {}: the header's quotes are broken: {}",
                self.line,
                super::reject::shown(&self.window.bytes()[..record.content])
            )));
        }
        let window = self.window.bytes();
        let names: Vec<String> =
            self.splitter.fields().iter().map(|f| readable(text(window, *f, self.quote, &mut self.scratch))).collect();
        let binding = bind(&self.dataset.columns, names, self.dataset.dialect.extra_columns)
            .with_context(|| format!("line {}", self.line))?;
        self.binding = Some(binding);
        Ok(())
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
        check_form(record, fields, binding, &mut self.errors);
        let cells = Cells { window, fields, binding, quote: self.quote, dataset: self.dataset };
        if record.broken.is_none() {
            buffer.put_i16(self.dataset.columns.len().try_into().unwrap_or(i16::MAX));
            cells.encode(buffer, &mut self.scratch, &mut self.errors);
        }
        if self.errors.is_empty() {
            self.sink.accepted(&Row(cells))?;
            return Ok(Fate::Loaded);
        }
        buffer.truncate(row_start);
        let payload = payload(window, fields, binding, self.quote);
        let raw = &window[..record.length];
        let reject = describe(self.line, self.window.offset, raw, record.length as u64, payload, &mut self.errors);
        self.sink.rejected(&reject)?;
        Ok(Fate::Rejected)
    }

    /// A record without a line end within the size bound: its beginning is kept, its end looked for.
    #[cold]
    fn too_long(&mut self, input: &mut Input) -> anyhow::Result<()> {
        // Where a CR or the end of the file lies just at the bound, only what follows tells that the record fits.
        if self.window.bytes().len() == self.max_record && !self.window.at_end {
            self.window.fill(input)?;
        }
        if let Some((_, length)) = line_end(self.window.bytes(), self.window.at_end)
            && length <= self.max_record
            && let Split::Record(record) = self.splitter.split(&self.window.bytes()[..length], true, false)
        {
            return self.record(record);
        }
        if self.binding.is_none() {
            let bound = self.max_record;
            return Err(fault::data(format!(
                "line {}: no line end within {bound} bytes: this is no header",
                self.line
            )));
        }
        self.tally.found();
        let (offset, line) = (self.window.offset, self.line);
        let head = self.window.bytes()[..self.max_record].to_vec();
        loop {
            if let Some((content, length)) = line_end(self.window.bytes(), self.window.at_end) {
                self.line += u64::from(length > content);
                self.window.advance(length);
                break;
            }
            let kept = usize::from(self.window.bytes().last() == Some(&b'\r'));
            self.window.advance(self.window.bytes().len() - kept);
            self.window.fill(input)?;
        }
        let length = self.window.offset - offset;
        let message = format!("the record has {length} bytes; dialect.max_record_bytes is {}", self.max_record);
        self.errors.clear();
        self.errors.push(RowError { column: None, code: Code::RecordTooLong, message });
        self.sink.rejected(&describe(line, offset, &head, length, Map::new(), &mut self.errors))?;
        self.tally.cover(Fate::Rejected, offset, length);
        Ok(())
    }
}

fn describe<'a>(
    line: u64,
    byte_offset: u64,
    raw: &'a [u8],
    byte_length: u64,
    payload: Map<String, Value>,
    errors: &mut Vec<RowError>,
) -> Reject<'a> {
    let errors = std::mem::take(errors);
    Reject {
        line,
        byte_offset,
        byte_length,
        raw: Cow::Borrowed(raw),
        payload,
        error_class: Reject::class_of(&errors),
        errors,
    }
}

#[inline]
fn check_form(record: Record, fields: &[Field], binding: &Binding, errors: &mut Vec<RowError>) {
    if let Some(code) = record.broken {
        let message = match code {
            Code::UnclosedQuote => "a quote is opened and not closed",
            _ => "a quote stands where none may: quote the whole field and double the quotes in it",
        };
        errors.push(RowError { column: None, code, message: message.to_owned() });
    } else if fields.len() > binding.names.len() {
        let message = format!("the record has {} fields, the header {}", fields.len(), binding.names.len());
        errors.push(RowError { column: None, code: Code::ExtraField, message });
    }
}

/// A record seen through the dataset's columns.
#[derive(Debug)]
struct Cells<'a> {
    window: &'a [u8],
    fields: &'a [Field],
    binding: &'a Binding,
    quote: Option<u8>,
    dataset: &'a Dataset,
}

impl Cells<'_> {
    #[inline]
    fn encode(&self, buffer: &mut BytesMut, scratch: &mut Vec<u8>, errors: &mut Vec<RowError>) {
        for (column, at) in self.dataset.columns.iter().zip(&self.binding.fields) {
            let Some(field) = self.fields.get(*at) else {
                let message =
                    format!("the record has {} fields, the header {}", self.fields.len(), self.binding.names.len());
                errors.push(RowError { column: Some(column.name.to_string()), code: Code::MissingField, message });
                continue;
            };
            let value = self.value(*field, scratch);
            let result = match value {
                Some(value) => cell::encode(column, value, buffer),
                None if column.nullable => {
                    cell::encode_null(buffer);
                    Ok(())
                }
                None => Err(super::reject::CellError { code: Code::Null, message: "there is no value".to_owned() }),
            };
            if let Err(error) = result {
                errors.push(RowError {
                    column: Some(column.name.to_string()),
                    code: error.code,
                    message: error.message,
                });
            }
        }
    }

    /// The cell's text, or none when it means null: only a bare text can.
    #[inline]
    fn value<'b>(&'b self, field: Field, scratch: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let value = text(self.window, field, self.quote, scratch);
        if field.form != Form::Bare {
            return Some(value);
        }
        let value = if self.dataset.dialect.trim { value.trim_ascii() } else { value };
        let is_null = self.dataset.dialect.null.iter().any(|null| null.as_bytes() == value);
        (!is_null).then_some(value)
    }
}

/// Header to text; fields beyond the header are called `#5` and so on. Of a line of half a million delimiters
/// only the first are told apart: it would cost a hundred times its bytes.
fn payload(window: &[u8], fields: &[Field], binding: &Binding, quote: Option<u8>) -> Map<String, Value> {
    let mut scratch = Vec::new();
    let told_apart = binding.names.len() + EXTRA_TOLD_APART;
    let mut payload: Map<String, Value> = fields
        .iter()
        .take(told_apart)
        .enumerate()
        .map(|(i, field)| {
            let name = binding.names.get(i).map_or_else(|| format!("#{}", i + 1), Clone::clone);
            (name, Value::String(readable(text(window, *field, quote, &mut scratch))))
        })
        .collect();
    if fields.len() > told_apart {
        payload.insert("…".to_owned(), Value::String(format!("{} fields in all", fields.len())));
    }
    payload
}
