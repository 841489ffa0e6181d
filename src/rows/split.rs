//! Splits a block of text into records and their fields, without copying.
//!
//! The form of RFC 4180: a field is quoted as a whole or not at all, a quote within quotes is doubled,
//! and a record ends at LF, CR LF or CR outside quotes; what a dialect adds to it is in [`Marks`]. Anything else is
//! not repaired but reported: where quoting is broken the record is cut at its first line end, so that a forgotten
//! quote costs one line and never swallows the good rows behind it. Knows no column and no type.

pub use super::field::{Field, Form, Marks, text};
use super::reject::Code;
use super::scan::{Needles, STEP};
use memchr::memchr2;

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
}

/// Whether a delimiter of several bytes has to be looked for.
#[derive(Clone, Copy, Debug)]
enum Delimiter {
    One(u8),
    Many,
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

/// Where a quoted field ends, how it is written, and what is left of the chunk that its last quote lies in: the
/// chunk's place, and the hits that were not looked at.
type Closed = (usize, Form, Option<(usize, u32)>);

/// What stands behind a quoted field.
enum Behind {
    Field(usize),
    End(Seen),
}

impl Splitter {
    /// A splitter for files of this form.
    #[must_use]
    pub fn new(marks: Marks) -> Self {
        let first = marks.delimiter.first().copied().unwrap_or(b',');
        let delimiter = if marks.delimiter.len() > 1 { Delimiter::Many } else { Delimiter::One(first) };
        let needles = Needles::new([first, marks.quote.unwrap_or(first), b'\n', b'\r']);
        Self { marks, delimiter, needles, fields: Vec::new() }
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

    /// Finds the record the window begins with. `at_end` says that no bytes follow the window;
    /// `full` that no more can be shown, because the record would go beyond the size bound.
    #[inline]
    pub fn split(&mut self, window: &[u8], at_end: bool, full: bool) -> Split {
        self.fields.clear();
        if window.is_empty() {
            return if at_end { Split::End } else { Split::More };
        }
        let mut fields = std::mem::take(&mut self.fields);
        let (mut lines, mut bytes) = (0, Bytes::Ascii);
        let seen = match self.delimiter {
            Delimiter::One(first) => self.record(&One, first, window, at_end, (&mut fields, &mut lines, &mut bytes)),
            Delimiter::Many => {
                let (many, first) = (Many(&self.marks.delimiter), self.marks.delimiter[0]);
                self.record(&many, first, window, at_end, (&mut fields, &mut lines, &mut bytes))
            }
        };
        self.fields = fields;
        match seen {
            Seen::Record { content, length } => {
                let lines = lines + u64::from(length > content);
                Split::Record(Record { length, content, lines, bytes, broken: None })
            }
            Seen::More if !full => Split::More,
            Seen::More => self.cut(window, at_end, Code::UnclosedQuote),
            Seen::Broken(code) => self.cut(window, at_end, code),
        }
    }

    /// Goes through the bytes that structure a record, and only through those.
    #[inline]
    fn record(
        &self,
        delimiter: &impl Delimit,
        first: u8,
        window: &[u8],
        at_end: bool,
        (fields, lines, bytes): (&mut Vec<Field>, &mut u64, &mut Bytes),
    ) -> Seen {
        let (mut start, mut at) = (0, 0);
        'chunks: while at < window.len() {
            let (mut hits, known) = self.needles.hits(window, at);
            if known == Bytes::Any {
                *bytes = known;
            }
            while hits != 0 {
                let found = at + hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let byte = window[found];
                if byte == first {
                    // Within a delimiter its first byte means nothing.
                    if found >= start
                        && let Some(length) = delimiter.length(&window[found..])
                    {
                        fields.push(Field { start, end: found, form: Form::Bare });
                        start = found + length;
                    }
                } else if byte == b'\n' || byte == b'\r' {
                    fields.push(Field { start, end: found, form: Form::Bare });
                    return end_of(window, found, at_end);
                } else if found > start {
                    return Seen::Broken(Code::StrayQuote);
                } else {
                    let marks = (&mut *fields, &mut *lines, &mut *bytes);
                    let rest;
                    (start, rest) = match self.quoted(delimiter, window, (at, hits, found + 1), at_end, marks) {
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
                }
            }
            at += STEP;
        }
        if !at_end {
            return Seen::More;
        }
        fields.push(Field { start, end: window.len(), form: Form::Bare });
        Seen::Record { content: window.len(), length: window.len() }
    }

    /// Takes in the field whose first byte behind its quote is at `start`, in the chunk at `at` with these hits left.
    /// Gives where the next field begins, and what is left of the chunk.
    #[inline]
    fn quoted(
        &self,
        delimiter: &impl Delimit,
        window: &[u8],
        (at, hits, start): (usize, u32, usize),
        at_end: bool,
        (fields, lines, bytes): (&mut Vec<Field>, &mut u64, &mut Bytes),
    ) -> Result<(usize, Option<(usize, u32)>), Seen> {
        let (end, form, rest) = match self.marks.escape {
            None => self.closing_quote(window, (at, hits), start, at_end, (lines, bytes))?,
            Some(escape) => {
                *bytes = Bytes::Any;
                self.escaped_close(escape, window, start, at_end, lines)?
            }
        };
        fields.push(Field { start, end, form });
        match self.behind(delimiter, window, end + 1, at_end) {
            Behind::End(seen) => Err(seen),
            Behind::Field(next) => Ok((next, rest)),
        }
    }

    /// Finds the quote that closes a field whose first byte is at `start`: in what is left of a chunk, then in those
    /// behind it. Gives its place, how the field is written, and what is left of the chunk it lies in.
    #[inline]
    fn closing_quote(
        &self,
        window: &[u8],
        (mut at, mut hits): (usize, u32),
        start: usize,
        at_end: bool,
        (lines, bytes): (&mut u64, &mut Bytes),
    ) -> Result<Closed, Seen> {
        let quote = self.marks.quote.unwrap_or(b'"');
        let (mut form, mut from) = (Form::Quoted, start);
        loop {
            while hits != 0 {
                let found = at + hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let byte = window[found];
                if byte == b'\r' || (byte == b'\n' && window[found - 1] != b'\r') {
                    *lines += 1;
                } else if byte == quote && found >= from {
                    match window.get(found + 1) {
                        None if !at_end => return Err(Seen::More),
                        Some(next) if *next == quote => (form, from) = (Form::Escaped, found + 2),
                        _ => return Ok((found, form, Some((at, hits)))),
                    }
                }
            }
            at += STEP;
            if at >= window.len() {
                return Err(if at_end { Seen::Broken(Code::UnclosedQuote) } else { Seen::More });
            }
            let known;
            (hits, known) = self.needles.hits(window, at);
            if known == Bytes::Any {
                *bytes = known;
            }
        }
    }

    /// The same where there is an escape.
    fn escaped_close(
        &self,
        escape: u8,
        window: &[u8],
        start: usize,
        at_end: bool,
        lines: &mut u64,
    ) -> Result<Closed, Seen> {
        let quote = self.marks.quote.unwrap_or(b'"');
        let (mut form, mut from) = (Form::Quoted, start);
        loop {
            let Some(found) = memchr2(quote, escape, &window[from..]) else {
                return Err(if at_end { Seen::Broken(Code::UnclosedQuote) } else { Seen::More });
            };
            let end = from + found;
            if window[end] == escape {
                from = end + 1 + self.escaped(&window[end + 1..], at_end)?;
                form = Form::Escaped;
                continue;
            }
            match window.get(end + 1) {
                None if !at_end => return Err(Seen::More),
                Some(byte) if *byte == quote => (form, from) = (Form::Escaped, end + 2),
                _ => {
                    *lines += line_ends(&window[start..end]);
                    return Ok((end, form, None));
                }
            }
        }
    }

    /// How many bytes behind an escape lose their meaning.
    fn escaped(&self, rest: &[u8], at_end: bool) -> Result<usize, Seen> {
        let delimiter = self.marks.delimiter.as_slice();
        match rest.first() {
            None if at_end => Err(Seen::Broken(Code::UnclosedQuote)),
            None => Err(Seen::More),
            Some(b'\n' | b'\r') => Ok(1),
            byte if byte == self.marks.quote.as_ref() || byte == self.marks.escape.as_ref() => Ok(1),
            _ if rest.starts_with(delimiter) => Ok(delimiter.len()),
            _ if !at_end && delimiter.starts_with(rest) => Err(Seen::More),
            Some(_) => Err(Seen::Broken(Code::StrayEscape)),
        }
    }

    /// Looks at what stands behind the quote that closed a field.
    fn behind(&self, delimiter: &impl Delimit, window: &[u8], at: usize, at_end: bool) -> Behind {
        let rest = &window[at..];
        match rest.first() {
            Some(b'\n' | b'\r') => Behind::End(end_of(window, at, at_end)),
            None if at_end => Behind::End(Seen::Record { content: at, length: at }),
            None => Behind::End(Seen::More),
            first if first == self.marks.delimiter.first() => match delimiter.length(rest) {
                Some(length) => Behind::Field(at + length),
                None if !at_end && self.marks.delimiter.starts_with(rest) => Behind::End(Seen::More),
                None => Behind::End(Seen::Broken(Code::StrayQuote)),
            },
            Some(_) => Behind::End(Seen::Broken(Code::StrayQuote)),
        }
    }

    /// Cuts a record whose quoting is broken at its first line end.
    #[cold]
    fn cut(&mut self, window: &[u8], at_end: bool, code: Code) -> Split {
        let Some((content, length)) = line_end(window, at_end) else { return Split::More };
        self.fields.clear();
        let delimiter = &self.marks.delimiter;
        let mut start = 0;
        for end in memchr::memmem::find_iter(&window[..content], delimiter).chain([content]) {
            self.fields.push(Field { start, end, form: Form::Bare });
            start = end + delimiter.len();
        }
        let lines = u64::from(length > content);
        Split::Record(Record { length, content, lines, bytes: Bytes::Any, broken: Some(code) })
    }
}

/// The record that ends with the line end at `at`.
#[inline]
fn end_of(window: &[u8], at: usize, at_end: bool) -> Seen {
    let length = match (window[at], window.get(at + 1)) {
        (b'\r', Some(b'\n')) => at + 2,
        (b'\r', None) if !at_end => return Seen::More,
        _ => at + 1,
    };
    Seen::Record { content: at, length }
}

/// The first line end: bytes before it, and with it. None when more bytes could show it.
#[must_use]
pub fn line_end(window: &[u8], at_end: bool) -> Option<(usize, usize)> {
    match memchr2(b'\n', b'\r', window) {
        Some(at) if window[at] == b'\n' => Some((at, at + 1)),
        Some(at) => match window.get(at + 1) {
            Some(b'\n') => Some((at, at + 2)),
            None if !at_end => None,
            _ => Some((at, at + 1)),
        },
        None => at_end.then_some((window.len(), window.len())),
    }
}

/// Line ends within a quoted field; CR LF counts as one.
fn line_ends(text: &[u8]) -> u64 {
    let crlf = memchr::memmem::find_iter(text, b"\r\n").count();
    (memchr::memchr2_iter(b'\n', b'\r', text).count() - crlf) as u64
}
