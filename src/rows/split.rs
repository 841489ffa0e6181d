//! Splits a block of text into records and their fields, without copying.
//!
//! The form of RFC 4180: a field is quoted as a whole or not at all, a quote within quotes is doubled,
//! and a record ends at a line end of the file outside quotes; what a dialect adds to it is in [`Marks`]. Anything else
//! is not repaired but reported. A record that holds another line end is one record, broken. Where quoting is broken the
//! record is cut at its first line end, so that a forgotten quote costs one line and never swallows the good rows behind
//! it. Knows no column and no type.

mod escaped;
mod quoted;

pub use super::field::{Field, Form, Marks, text};
use super::line_end::{Ending, LineEnd};
use super::reject::Code;
use super::scan::{Needles, STEP};

/// A record: the first `length` bytes of the window; its fields are in [`Splitter::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Bytes, line end included.
    pub length: usize,
    /// Bytes without the line end.
    pub content: usize,
    /// Line ends in it.
    pub lines: u64,
    /// What its bytes are known to be.
    pub bytes: Bytes,
    /// What is wrong with its form, if anything; the fields are then only a reading for people.
    pub broken: Option<Code>,
}

/// What is known of some bytes without another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// ASCII without NUL.
    Ascii,
    /// Anything.
    Any,
}

/// What the window begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// A whole record.
    Record(Record),
    /// The beginning of a record: show more bytes.
    More,
    /// The end of the file.
    End,
}

/// Splits windows of text; reused for all records of a file.
#[derive(Debug)]
pub struct Splitter {
    marks: Marks,
    delimiter: Delimiter,
    needles: Needles,
    fields: Vec<Field>,
    has_stray: bool,
}

/// What is known of the record at hand.
#[derive(Debug)]
struct Scan {
    fields: Vec<Field>,
    /// Line ends before the one that ends it.
    lines: u64,
    bytes: Bytes,
    /// Place of the last line end outside quotes that is not the file's.
    stray: Option<usize>,
}

impl Scan {
    #[inline]
    fn see(&mut self, bytes: Bytes) {
        if bytes == Bytes::Any {
            self.bytes = bytes;
        }
    }

    /// Notes a line end that is not the file's; it has one byte.
    #[cold]
    fn pass_stray(&mut self, at: usize) {
        self.stray = Some(at);
        self.lines += 1;
    }

    /// Whether a line end that is not the file's stands right before this place.
    fn is_line_start(&self, at: usize) -> bool {
        self.stray.is_some_and(|stray| stray + 1 == at)
    }
}

/// How fields are told apart.
#[derive(Clone, Copy, Debug)]
enum Delimiter {
    /// By one byte.
    One(u8),
    /// By several.
    Many,
    /// By one or several that this byte does not stand before.
    Escaped(u8),
}

/// Tells a delimiter from a byte that may begin one; known when a file is opened, so that the plain one costs nothing.
trait Delimit {
    /// The length of the delimiter that `rest` begins with, whose first byte it does begin with.
    fn length(&self, rest: &[u8]) -> Option<usize>;
}

struct One;

impl Delimit for One {
    #[inline]
    fn length(&self, _: &[u8]) -> Option<usize> {
        Some(1)
    }
}

struct Many<'a>(&'a [u8]);

impl Delimit for Many<'_> {
    #[inline]
    fn length(&self, rest: &[u8]) -> Option<usize> {
        rest.starts_with(self.0).then_some(self.0.len())
    }
}

/// What a window shows of a record.
enum Seen {
    Record { content: usize, length: usize },
    More,
    Broken(Code),
}

impl Splitter {
    /// A splitter for files of this form.
    #[must_use]
    pub fn new(marks: Marks) -> Self {
        let first = marks.delimiter.first().copied().unwrap_or(b',');
        let delimiter = match marks.bare_escape() {
            Some(escape) => Delimiter::Escaped(escape),
            None if marks.delimiter.len() > 1 => Delimiter::Many,
            None => Delimiter::One(first),
        };
        let [one, other] = marks.line_end.first_bytes();
        let needles = Needles::new([first, marks.quote.or(marks.escape).unwrap_or(first), one, other]);
        Self { marks, delimiter, needles, fields: Vec::new(), has_stray: false }
    }

    /// The fields of the record found last.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What structures the file.
    #[must_use]
    pub const fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Sets what ends records from now on.
    pub(super) fn set_line_end(&mut self, line_end: LineEnd) {
        self.marks.line_end = line_end;
    }

    /// Whether the window last looked at shows a line end outside quotes that is not the file's.
    pub(super) const fn has_stray(&self) -> bool {
        self.has_stray
    }

    /// Finds the record the window begins with. `at_end` says that no bytes follow the window;
    /// `full` that no more can be shown, because the record would go beyond the size bound.
    #[inline]
    pub fn split(&mut self, window: &[u8], at_end: bool, full: bool) -> Split {
        self.fields.clear();
        if window.is_empty() {
            return if at_end { Split::End } else { Split::More };
        }
        let fields = std::mem::take(&mut self.fields);
        let mut scan = Scan { fields, lines: 0, bytes: Bytes::Ascii, stray: None };
        let seen = match self.delimiter {
            Delimiter::Escaped(escape) => self.escaped_record(escape, window, at_end, &mut scan),
            Delimiter::One(first) => self.record(&One, first, window, at_end, &mut scan),
            Delimiter::Many => {
                let (many, first) = (Many(&self.marks.delimiter), self.marks.delimiter[0]);
                self.record(&many, first, window, at_end, &mut scan)
            }
        };
        let Scan { fields, lines, bytes, stray } = scan;
        (self.fields, self.has_stray) = (fields, stray.is_some());
        match seen {
            Seen::Record { content, length } => {
                let lines = lines + u64::from(length > content);
                Split::Record(Record { length, content, lines, bytes, broken: stray.map(|_| Code::StrayLineEnd) })
            }
            // Without quotes a record that goes beyond the bound is too long, and nothing else.
            Seen::More if !full || matches!(self.delimiter, Delimiter::Escaped(_)) => Split::More,
            Seen::More => self.cut(window, at_end, Code::UnclosedQuote),
            Seen::Broken(code) => self.cut(window, at_end, code),
        }
    }

    /// Goes through the bytes that structure a record, and only through those.
    #[inline]
    fn record(&self, delimiter: &impl Delimit, first: u8, window: &[u8], at_end: bool, scan: &mut Scan) -> Seen {
        let quote = self.marks.quote.unwrap_or(first);
        let (mut start, mut at) = (0, 0);
        'chunks: while at < window.len() {
            let (mut hits, known) = self.needles.hits(window, at);
            scan.see(known);
            while hits != 0 {
                let found = at + hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let byte = window[found];
                if byte == first {
                    // Within a delimiter its first byte means nothing.
                    if found >= start
                        && let Some(length) = delimiter.length(&window[found..])
                    {
                        scan.fields.push(Field { start, end: found, form: Form::Bare });
                        start = found + length;
                    }
                } else if byte == quote {
                    if found > start && !self.are_blanks(&window[start..found]) {
                        if !scan.is_line_start(found) {
                            return Seen::Broken(Code::StrayQuote);
                        }
                        scan.fields.push(Field { start, end: found - 1, form: Form::Bare });
                    }
                    let rest;
                    (start, rest) = match self.quoted(delimiter, window, (at, hits, found + 1), at_end, scan) {
                        Ok(behind) => behind,
                        Err(seen) => return seen,
                    };
                    // The chunk that the quote was closed in, as far as it lies behind the delimiter.
                    if let Some((chunk, left)) = rest
                        && start < chunk + STEP
                    {
                        at = chunk;
                        hits = left & (u32::MAX << (start - chunk));
                    } else {
                        at = start;
                        continue 'chunks;
                    }
                } else {
                    let length = match self.marks.line_end.ending(window, found, at_end) {
                        Ending::Own(length) => length,
                        Ending::Foreign(length) => {
                            scan.stray = Some(found);
                            length
                        }
                        // A line with nothing on it is blank, whatever ends it.
                        Ending::Stray if found == 0 => 1,
                        Ending::Stray => {
                            scan.pass_stray(found);
                            continue;
                        }
                        Ending::Text => continue,
                        Ending::More => return Seen::More,
                    };
                    scan.fields.push(Field { start, end: found, form: Form::Bare });
                    return Seen::Record { content: found, length: found + length };
                }
            }
            at += STEP;
        }
        if !at_end {
            return Seen::More;
        }
        let content = if scan.is_line_start(window.len()) { window.len() - 1 } else { window.len() };
        if start <= content {
            scan.fields.push(Field { start, end: content, form: Form::Bare });
        }
        Seen::Record { content, length: window.len() }
    }

    /// Whether these bytes may stand between a delimiter and a quote.
    #[cold]
    fn are_blanks(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.is_blank(*byte))
    }

    fn is_blank(&self, byte: u8) -> bool {
        self.marks.trim && matches!(byte, b' ' | b'\t') && self.marks.delimiter.first() != Some(&byte)
    }

    /// Cuts a record whose quoting is broken at its first line end.
    #[cold]
    fn cut(&mut self, window: &[u8], at_end: bool, code: Code) -> Split {
        let Some((content, length)) = self.marks.line_end.find(window, at_end) else { return Split::More };
        let lines = self.marks.line_end.count(&window[..length]);
        self.split_plainly(&window[..content]);
        Split::Record(Record { length, content, lines, bytes: Bytes::Any, broken: Some(code) })
    }

    /// Takes a text apart at its delimiters, whatever quotes are in it.
    pub(super) fn split_plainly(&mut self, text: &[u8]) {
        let (fields, delimiter) = (&mut self.fields, &self.marks.delimiter);
        fields.clear();
        let mut start = 0;
        for end in memchr::memmem::find_iter(text, delimiter).chain([text.len()]) {
            fields.push(Field { start, end, form: Form::Bare });
            start = end + delimiter.len();
        }
    }
}
