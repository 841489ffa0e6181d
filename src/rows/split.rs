//! Splits a block of text into records and their fields, without copying.
//!
//! The form of RFC 4180: a field is quoted as a whole or not at all, a quote within quotes is doubled,
//! and a record ends at LF, CR LF or CR outside quotes; what a dialect adds to it is in [`Marks`]. Anything else is
//! not repaired but reported: where quoting is broken the record is cut at its first line end, so that a forgotten
//! quote costs one line and never swallows the good rows behind it. Knows no column and no type.

use super::reject::Code;
use super::scan::{Needles, STEP};
use memchr::{memchr, memchr2};

/// What structures a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Between fields; one byte or more, none of them a line end, the quote or the escape.
    pub delimiter: Vec<u8>,
    /// Around a field that holds a delimiter, a quote or a line end; none where the dataset has no quotes.
    pub quote: Option<u8>,
    /// Within quotes: takes their meaning from a quote, a delimiter, a line end and itself.
    pub escape: Option<u8>,
}

/// Where a field lies in the window, quotes excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// How it was written.
    pub form: Form,
}

/// How a field was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Without quotes.
    Bare,
    /// In quotes.
    Quoted,
    /// In quotes, with doubled quotes that stand for one, or with escapes.
    Escaped,
}

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
                    match self.quoted(delimiter, window, found + 1, at_end, (&mut *fields, &mut *lines)) {
                        Behind::Field(next) => (start, at) = (next, next),
                        Behind::End(seen) => {
                            *bytes = Bytes::Any;
                            return seen;
                        }
                    }
                    *bytes = Bytes::Any;
                    continue 'chunks;
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

    /// Takes in the field whose first byte behind its quote is at `start`.
    fn quoted(
        &self,
        delimiter: &impl Delimit,
        window: &[u8],
        start: usize,
        at_end: bool,
        (fields, lines): (&mut Vec<Field>, &mut u64),
    ) -> Behind {
        let quote = self.marks.quote.unwrap_or(b'"');
        let mut form = Form::Quoted;
        let mut from = start;
        loop {
            let found = match self.marks.escape {
                None => memchr(quote, &window[from..]),
                Some(escape) => memchr2(quote, escape, &window[from..]),
            };
            let Some(found) = found else {
                return Behind::End(if at_end { Seen::Broken(Code::UnclosedQuote) } else { Seen::More });
            };
            let end = from + found;
            if window[end] != quote {
                match self.escaped(&window[end + 1..], at_end) {
                    Ok(length) => from = end + 1 + length,
                    Err(seen) => return Behind::End(seen),
                }
                form = Form::Escaped;
                continue;
            }
            match window.get(end + 1) {
                None if !at_end => return Behind::End(Seen::More),
                Some(byte) if *byte == quote => {
                    form = Form::Escaped;
                    from = end + 2;
                }
                _ => {
                    *lines += line_ends(&window[start..end]);
                    fields.push(Field { start, end, form });
                    return self.behind(delimiter, window, end + 1, at_end);
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

/// The text of a field; doubled quotes are made single and escapes dropped in `scratch`.
#[inline]
pub fn text<'a>(window: &'a [u8], field: Field, marks: &Marks, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let bytes = &window[field.start..field.end];
    if field.form == Form::Escaped { unescaped(bytes, marks, scratch) } else { bytes }
}

fn unescaped<'a>(bytes: &[u8], marks: &Marks, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let quote = marks.quote.unwrap_or(b'"');
    let escape = marks.escape.unwrap_or(quote);
    scratch.clear();
    let mut rest = bytes;
    // A quote or an escape is dropped; what stands behind it is kept, whatever it is.
    while let Some(at) = memchr2(quote, escape, rest) {
        scratch.extend_from_slice(&rest[..at]);
        scratch.extend(rest.get(at + 1));
        rest = rest.get(at + 2..).unwrap_or(&[]);
    }
    scratch.extend_from_slice(rest);
    scratch
}
