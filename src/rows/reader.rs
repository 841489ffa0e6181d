//! Drives one pass over a file: blocks in, good rows encoded into the sink's buffer, bad rows described.
//!
//! What it finds is a function of the bytes alone: the size of its blocks never changes a result.

use super::certificate::{Fate, Tally};
use super::dataset::Dataset;
use super::encoding::Encoding;
use super::header::{Binding, Header, bind, by_position};
use super::input::Input;
use super::record::{Cells, check_form, describe, payload};
use super::reject::{Code, Reject, RowError, readable, shown};
use super::source::{FileIdentity, SourceFile};
use super::split::{Record, Split, Splitter, line_end, text};
use super::trailer::{TrailerLine, Trailers};
use crate::fault;
use anyhow::Context;
use bytes::{BufMut, BytesMut};
use serde_json::Map;

/// How many bytes are read at a time; it never changes a result.
pub const BLOCK: usize = 256 * 1024;

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
    /// Its trailer lines, as far as they are kept.
    pub trailers: Vec<TrailerLine>,
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
    let mut input = Input::open(source, &dataset.dialect).with_context(|| path.clone())?;
    let mut reader = Reader::new(dataset, sink, input.encoding());
    reader.run(&mut input, progress).with_context(|| path.clone())?;
    let (tally, binding, trailers) = (reader.tally, reader.binding, reader.trailers.lines());
    let (identity, unpacked_bytes) = input.finish()?;
    let binding = binding.ok_or_else(|| fault::data(format!("{path} holds no header, only blank lines")))?;
    Ok(Reading { identity, unpacked_bytes, tally, ignored_columns: binding.extra, trailers })
}

/// The text in sight: `block[start..end]`, which begins at `offset` of the file as delivered (and unpacked).
struct Window {
    encoding: Encoding,
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

    /// How many delivered bytes the first `length` of the text were.
    #[inline]
    fn delivered_length(&self, length: usize) -> u64 {
        self.encoding.delivered_length(&self.bytes()[..length])
    }

    #[inline]
    fn advance(&mut self, length: usize) {
        self.offset += self.delivered_length(length);
        self.start += length;
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
    /// The length of the longest mark of lines that are skipped; 0 where there is none.
    marked: usize,
    line: u64,
    tally: Tally,
    trailers: Trailers,
    binding: Option<Binding>,
    errors: Vec<RowError>,
    scratch: Vec<u8>,
}

impl<'a, S: Sink> Reader<'a, S> {
    fn new(dataset: &'a Dataset, sink: &'a mut S, encoding: Encoding) -> Self {
        let marks = dataset.dialect.marks();
        Self {
            dataset,
            sink,
            splitter: Splitter::new(marks),
            quote: marks.quote,
            max_record: dataset.dialect.max_record_bytes,
            window: Window { encoding, block: vec![0; BLOCK], start: 0, end: 0, offset: 0, at_end: false },
            marked: dataset.dialect.comment.len().max(dataset.dialect.trailer.len()),
            line: 1,
            tally: Tally::default(),
            trailers: Trailers::default(),
            binding: (dataset.dialect.header == Header::None).then(|| by_position(&dataset.columns)),
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
            self.pass(Fate::ByteOrderMark, 3);
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

    /// What becomes of the line the window begins with, where its mark says that it is no record.
    fn marked_line(&mut self, input: &mut Input) -> anyhow::Result<Option<Fate>> {
        while self.window.bytes().len() < self.marked && !self.window.at_end {
            self.window.fill(input)?;
        }
        let dialect = &self.dataset.dialect;
        let begins = |mark: &str| !mark.is_empty() && self.window.bytes().starts_with(mark.as_bytes());
        let comment = begins(&dialect.comment).then_some(Fate::Comment);
        Ok(comment.or_else(|| begins(&dialect.trailer).then_some(Fate::Trailer)))
    }

    /// Passes over a line as it stands, however long it is.
    fn pass_line(&mut self, fate: Fate, input: &mut Input) -> anyhow::Result<()> {
        let offset = self.window.offset;
        if fate == Fate::Trailer {
            self.trailers.begin(self.line);
        }
        self.pass_to_line_end(input)?;
        self.trailers.end();
        let length = self.window.offset - offset;
        if length > 0 {
            self.tally.found();
            self.tally.cover(fate, offset, length);
        }
        Ok(())
    }

    /// Goes on behind the next line end.
    fn pass_to_line_end(&mut self, input: &mut Input) -> anyhow::Result<()> {
        loop {
            if let Some((content, length)) = line_end(self.window.bytes(), self.window.at_end) {
                self.line += u64::from(length > content);
                self.trailers.pass(&self.window.bytes()[..content]);
                self.window.advance(length);
                return Ok(());
            }
            let kept = usize::from(self.window.bytes().last() == Some(&b'\r'));
            let passed = self.window.bytes().len() - kept;
            self.trailers.pass(&self.window.bytes()[..passed]);
            self.window.advance(passed);
            self.window.fill(input)?;
        }
    }

    fn bind_header(&mut self, record: Record) -> anyhow::Result<()> {
        if record.broken.is_some() {
            return Err(fault::data(format!(
                "line {}: the header's quotes are broken: {}",
                self.line,
                shown(&self.window.bytes()[..record.content])
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
        let cells =
            Cells { window, fields, binding, quote: self.quote, encoding: self.window.encoding, dataset: self.dataset };
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
        let place = (self.window.offset, self.window.delivered_length(record.length));
        let text = &window[..record.length];
        let reject = describe(self.line, place, text, self.window.encoding, payload, &mut self.errors);
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
        self.pass_to_line_end(input)?;
        let length = self.window.offset - offset;
        let message = format!("the record has {length} bytes; dialect.max_record_bytes is {}", self.max_record);
        self.errors.clear();
        self.errors.push(RowError { column: None, code: Code::RecordTooLong, message });
        let (encoding, errors) = (self.window.encoding, &mut self.errors);
        self.sink.rejected(&describe(line, (offset, length), &head, encoding, Map::new(), errors))?;
        self.tally.cover(Fate::Rejected, offset, length);
        Ok(())
    }
}
