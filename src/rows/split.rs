//! Splits a block of text into records and their fields, without copying.
//!
//! The plain form of RFC 4180: a field is quoted as a whole or not at all, a quote within quotes is doubled,
//! and a record ends at LF, CR LF or CR outside quotes. Anything else is not repaired but reported:
//! where quoting is broken the record is cut at its first line end, so that a forgotten quote costs one line
//! and never swallows the good rows behind it. Knows no column and no type.

use super::reject::Code;
use memchr::{memchr, memchr2};

/// The bytes that structure a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Between fields.
    pub delimiter: u8,
    /// Around a field that holds a delimiter, a quote or a line end; none where the dataset has no quotes.
    pub quote: Option<u8>,
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
    /// In quotes, with doubled quotes that stand for one.
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
    /// What is wrong with its form, if anything; the fields are then only a reading for people.
    pub broken: Option<Code>,
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
    /// Whether a byte ends a bare field (or must not stand in one).
    special: [bool; 256],
    fields: Vec<Field>,
}

/// What comes after a field.
enum After {
    Field(usize),
    Record { content: usize, length: usize },
    More,
    Broken(Code),
}

impl Splitter {
    /// A splitter for files of this form.
    #[must_use]
    pub fn new(marks: Marks) -> Self {
        let mut special = [false; 256];
        for byte in [b'\n', b'\r', marks.delimiter].into_iter().chain(marks.quote) {
            special[usize::from(byte)] = true;
        }
        Self { marks, special, fields: Vec::new() }
    }

    /// The fields of the record found last.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Finds the record the window begins with. `at_end` says that no bytes follow the window;
    /// `full` that no more can be shown, because the record would go beyond the size bound.
    #[inline]
    pub fn split(&mut self, window: &[u8], at_end: bool, full: bool) -> Split {
        self.fields.clear();
        if window.is_empty() {
            return if at_end { Split::End } else { Split::More };
        }
        let mut start = 0;
        let mut lines = 0;
        loop {
            match self.field(window, start, at_end, &mut lines) {
                After::Field(next) => start = next,
                After::Record { content, length } => {
                    let lines = lines + u64::from(length > content);
                    return Split::Record(Record { length, content, lines, broken: None });
                }
                After::More if !full => return Split::More,
                After::More => return self.cut(window, at_end, Code::UnclosedQuote),
                After::Broken(code) => return self.cut(window, at_end, code),
            }
        }
    }

    #[inline]
    fn field(&mut self, window: &[u8], start: usize, at_end: bool, lines: &mut u64) -> After {
        if self.marks.quote.is_some() && window.get(start).copied() == self.marks.quote {
            return self.quoted(window, start + 1, at_end, lines);
        }
        let rest = &window[start..];
        match rest.iter().position(|b| self.special[usize::from(*b)]) {
            Some(at) if Some(rest[at]) == self.marks.quote => After::Broken(Code::StrayQuote),
            Some(at) => self.close(window, Field { start, end: start + at, form: Form::Bare }, start + at, at_end),
            None => self.close(window, Field { start, end: window.len(), form: Form::Bare }, window.len(), at_end),
        }
    }

    fn quoted(&mut self, window: &[u8], start: usize, at_end: bool, lines: &mut u64) -> After {
        let quote = self.marks.quote.unwrap_or(b'"');
        let mut form = Form::Quoted;
        let mut from = start;
        loop {
            let Some(found) = memchr(quote, &window[from..]) else {
                return if at_end { After::Broken(Code::UnclosedQuote) } else { After::More };
            };
            let end = from + found;
            match window.get(end + 1) {
                None if !at_end => return After::More,
                Some(byte) if *byte == quote => {
                    form = Form::Escaped;
                    from = end + 2;
                }
                _ => {
                    *lines += line_ends(&window[start..end]);
                    return self.close(window, Field { start, end, form }, end + 1, at_end);
                }
            }
        }
    }

    /// Takes the field in and looks at the byte behind it, at `at`.
    #[inline]
    fn close(&mut self, window: &[u8], field: Field, at: usize, at_end: bool) -> After {
        self.fields.push(field);
        match window.get(at) {
            Some(byte) if *byte == self.marks.delimiter => After::Field(at + 1),
            Some(b'\n') => After::Record { content: at, length: at + 1 },
            Some(b'\r') => match window.get(at + 1) {
                Some(b'\n') => After::Record { content: at, length: at + 2 },
                None if !at_end => After::More,
                _ => After::Record { content: at, length: at + 1 },
            },
            None if at_end => After::Record { content: at, length: at },
            None => After::More,
            Some(_) => After::Broken(Code::StrayQuote),
        }
    }

    /// Cuts a record whose quoting is broken at its first line end.
    #[cold]
    fn cut(&mut self, window: &[u8], at_end: bool, code: Code) -> Split {
        let Some((content, length)) = line_end(window, at_end) else { return Split::More };
        self.fields.clear();
        let mut start = 0;
        for end in memchr::memchr_iter(self.marks.delimiter, &window[..content]).chain([content]) {
            self.fields.push(Field { start, end, form: Form::Bare });
            start = end + 1;
        }
        Split::Record(Record { length, content, lines: u64::from(length > content), broken: Some(code) })
    }
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

/// The text of a field; doubled quotes are made single in `scratch`.
#[inline]
pub fn text<'a>(window: &'a [u8], field: Field, quote: Option<u8>, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let bytes = &window[field.start..field.end];
    if field.form != Form::Escaped {
        return bytes;
    }
    let quote = quote.unwrap_or(b'"');
    scratch.clear();
    let mut rest = bytes;
    while let Some(at) = memchr(quote, rest) {
        scratch.extend_from_slice(&rest[..=at]);
        rest = rest.get(at + 2..).unwrap_or(&[]);
    }
    scratch.extend_from_slice(rest);
    scratch
}
