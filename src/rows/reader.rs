//! Drives one pass over a file: blocks in, good rows encoded into the sink's buffer, bad rows described.
//!
//! What it finds is a function of the bytes alone: the size of its blocks never changes a result.

use super::certificate::{Fate, Tally};
use super::dataset::Dataset;
use super::encoding::Encoding;
use super::footer::Footer;
use super::header::{Binding, Header, bind, by_position, joined};
use super::input::Input;
use super::layout::Layout;
use super::payload::Payload;
use super::record::{Cells, Nulls, check_form, describe};
use super::reject::{Code, RowError, readable, shown};
use super::required;
use super::source::SourceFile;
use super::split::{Record, Split, Splitter, line_end, text};
use super::trailer::Trailers;
use super::unique::{Keys, Latest, Superseded};
use super::window::Window;
use crate::fault;
use anyhow::Context;
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
    let path = source.path().display().to_string();
    let mut input = Input::open(source, &dataset.dialect).with_context(|| path.clone())?;
    let mut reader = Reader::new(dataset, sink, input.encoding(), keys);
    reader.run(&mut input, progress).with_context(|| path.clone())?;
    let (tally, binding, heading, mut layout) = (reader.tally, reader.binding, reader.heading.len(), reader.layout);
    let (trailers, keys) = (reader.trailers.lines(), reader.keys);
    let (identity, unpacked_bytes) = input.finish()?;
    let binding = binding.ok_or_else(|| no_header(&path, heading, &tally, dataset))?;
    layout.names = binding.names;
    let (ignored_columns, absent_columns) = (binding.extra, binding.absent);
    Ok((Reading { identity, unpacked_bytes, tally, ignored_columns, absent_columns, layout, trailers }, keys))
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

fn no_header(path: &str, heading: usize, tally: &Tally, dataset: &Dataset) -> anyhow::Error {
    let skipped = &tally.skipped;
    fault::data(match heading {
        0 if tally.records == skipped.blank => format!("{path} holds no header, only blank lines"),
        0 => format!(
            "{path} holds no header: of its {} lines {} are passed over before it (skip_lines), {} behind the rows \
             (footer_lines, trailer), {} are comments and {} blank",
            tally.records,
            skipped.preamble,
            skipped.footer + skipped.trailer,
            skipped.comment,
            skipped.blank
        ),
        n => format!("{path} ends within its header: {n} of {} lines are there", dataset.dialect.header_lines),
    })
}

struct Reader<'a, 's, S> {
    dataset: &'a Dataset,
    sink: &'s mut S,
    splitter: Splitter,
    max_record: usize,
    window: Window,
    /// The length of the longest mark of lines that are skipped; 0 where there is none.
    marked: usize,
    line: u64,
    tally: Tally,
    trailers: Trailers,
    /// The header's records so far.
    heading: Vec<Vec<String>>,
    binding: Option<Binding>,
    layout: Layout,
    keys: Option<Keys<'a>>,
    nulls: Nulls,
    errors: Vec<RowError>,
    scratch: Vec<u8>,
}

impl<'a, 's, S: Sink> Reader<'a, 's, S> {
    fn new(dataset: &'a Dataset, sink: &'s mut S, encoding: Encoding, keys: Option<Keys<'a>>) -> Self {
        let dialect = &dataset.dialect;
        let footer = Footer::of(dialect.footer_lines, dialect.max_record_bytes);
        Self {
            dataset,
            sink,
            splitter: Splitter::new(dialect.marks()),
            max_record: dialect.max_record_bytes,
            window: Window::new(encoding, footer),
            marked: dialect.comment.len().max(dialect.trailer.len()),
            line: 1,
            tally: Tally::default(),
            layout: Layout::new(encoding),
            keys,
            trailers: Trailers::default(),
            heading: Vec::new(),
            binding: (dialect.header == Header::None).then(|| by_position(&dataset.columns)),
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
            let window = self.window.bytes();
            let full = window.len() >= self.max_record;
            let clipped = &window[..window.len().min(self.max_record)];
            let at_end = self.window.at_end() && clipped.len() == window.len();
            match self.splitter.split(clipped, at_end, full) {
                Split::Record(record) => self.record(record)?,
                Split::More if full => self.too_long(input)?,
                Split::More => {
                    self.window.fill(input)?;
                    progress(input.delivered());
                }
                Split::End => return self.footer(input),
            }
        }
    }

    /// Passes over the last lines.
    fn footer(&mut self, input: &mut Input) -> anyhow::Result<()> {
        self.window.show_footer();
        while !self.window.bytes().is_empty() {
            self.pass_line(Fate::Footer, input)?;
        }
        Ok(())
    }

    /// Passes over a byte order mark.
    fn begin(&mut self, input: &mut Input) -> anyhow::Result<()> {
        while self.window.bytes().len() < 3 && !self.window.at_end() {
            self.window.fill(input)?;
        }
        if self.window.bytes().starts_with(b"\xEF\xBB\xBF") {
            self.layout.mark = self.window.encoding.delivered(&self.window.bytes()[..3]).into_owned();
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
            self.head(record)?;
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
        while self.window.bytes().len() < self.marked && !self.window.at_end() {
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
        if matches!(fate, Fate::Trailer | Fate::Footer) {
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
            if let Some((content, length)) = line_end(self.window.bytes(), self.window.at_end()) {
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

    /// Takes in a record of the header; the last one tells where the columns are.
    fn head(&mut self, record: Record) -> anyhow::Result<()> {
        if record.broken.is_some() {
            return Err(fault::data(format!(
                "line {}: the header's quotes are broken: {}",
                self.line,
                shown(&self.window.bytes()[..record.content])
            )));
        }
        let (window, marks) = (self.window.bytes(), self.splitter.marks());
        let names: Vec<String> = self
            .splitter
            .fields()
            .iter()
            .map(|f| readable(text(window, *f, marks, &mut self.scratch)).into_owned())
            .collect();
        self.heading.push(names);
        self.layout.header.push(self.window.encoding.delivered(&window[..record.length]).into_owned());
        if self.heading.len() < self.dataset.dialect.header_lines as usize {
            return Ok(());
        }
        let names = if self.heading.len() > 1 { joined(&self.heading) } else { std::mem::take(&mut self.heading[0]) };
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
        check_form(record, fields, binding, self.dataset, &mut self.errors);
        let cells = Cells {
            window,
            fields,
            binding,
            marks: self.splitter.marks(),
            encoding: self.window.encoding,
            dataset: self.dataset,
            bytes: record.bytes,
            nulls: &self.nulls,
        };
        if record.broken.is_none() {
            let columns = i16::try_from(self.dataset.columns.len()).unwrap_or(i16::MAX);
            buffer.extend_from_slice(&columns.to_be_bytes());
            cells.encode(buffer, &mut self.scratch, &mut self.errors);
            if !self.dataset.required.is_empty() {
                required::check(&self.dataset.required, &cells, &mut self.scratch, &mut self.errors);
            }
        }
        if self.errors.is_empty()
            && let Some(keys) = &mut self.keys
        {
            keys.check(&buffer[row_start..], self.line, &mut self.errors)?;
        }
        if self.errors.is_empty() {
            self.sink.accepted(&Row { cells, line: self.line, offset: self.window.offset, length: record.length })?;
            return Ok(Fate::Loaded);
        }
        buffer.truncate(row_start);
        let payload = Payload { window, fields, binding, marks: self.splitter.marks() };
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
        while self.window.bytes().len() == self.max_record && !self.window.at_end() {
            self.window.fill(input)?;
        }
        if let Some((_, length)) = line_end(self.window.bytes(), self.window.at_end())
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
        let Some(binding) = self.binding.as_ref() else {
            return Err(fault::bug("a row before the header"));
        };
        let (encoding, errors) = (self.window.encoding, &mut self.errors);
        let payload = Payload { window: &head, fields: &[], binding, marks: self.splitter.marks() };
        self.sink.rejected(&describe(line, (offset, length), &head, encoding, payload, errors))?;
        self.tally.cover(Fate::Rejected, offset, length);
        Ok(())
    }
}
