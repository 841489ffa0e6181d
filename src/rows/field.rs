//! A field as the splitter finds it, and its text. Knows no column and no type.

use super::line_end::LineEnd;
use memchr::{memchr, memchr2};

/// What structures a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Between fields; one byte or more, none of them a line end, the quote or the escape.
    pub delimiter: Vec<u8>,
    /// Around a field that holds a delimiter, a quote or a line end; none where the dataset has no quotes.
    pub quote: Option<u8>,
    /// Within quotes: takes their meaning from a quote, a delimiter, a line end and itself. Without a quote it acts in
    /// bare fields, as in the text format of COPY.
    pub escape: Option<u8>,
    /// What ends a record.
    pub line_end: LineEnd,
    /// Whether blanks may stand around a quoted field.
    pub trim: bool,
}

impl Marks {
    /// The escape that acts in bare fields.
    #[must_use]
    pub const fn bare_escape(&self) -> Option<u8> {
        if self.quote.is_none() { self.escape } else { None }
    }
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
    /// Without quotes, with escapes.
    BareEscaped,
}

/// The text of a field; doubled quotes are made single and escapes dropped in `scratch`.
#[inline]
pub fn text<'a>(window: &'a [u8], field: Field, marks: &Marks, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let bytes = &window[field.start..field.end];
    match field.form {
        Form::Bare | Form::Quoted => bytes,
        Form::Escaped => unescaped(bytes, marks, scratch),
        Form::BareEscaped => unescaped_bare(bytes, marks, scratch),
    }
}

/// What a letter behind the escape of a bare field stands for, as COPY and LOAD DATA have it.
#[must_use]
pub(super) const fn escaped_letter(letter: u8) -> Option<u8> {
    match letter {
        b'0' => Some(0),
        b'b' => Some(0x08),
        b't' => Some(b'\t'),
        b'n' => Some(b'\n'),
        b'v' => Some(0x0B),
        b'f' => Some(0x0C),
        b'r' => Some(b'\r'),
        b'Z' => Some(0x1A),
        _ => None,
    }
}

/// Whether a bare field with escapes is the null of COPY: `\N` and nothing else.
#[must_use]
pub(super) fn is_escaped_null(bytes: &[u8]) -> bool {
    matches!(bytes, [_, b'N'])
}

/// The text of a bare field that is `bytes` in the file.
pub(super) fn unescaped_bare<'a>(bytes: &[u8], marks: &Marks, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let escape = marks.escape.unwrap_or(b'\\');
    scratch.clear();
    let mut rest = bytes;
    while let Some(at) = memchr(escape, rest) {
        scratch.extend_from_slice(&rest[..at]);
        let behind = &rest[at + 1..];
        let is_delimiter = behind.starts_with(&marks.delimiter);
        let Some((first, after)) = behind.split_first() else { return scratch };
        scratch.push(if is_delimiter { *first } else { escaped_letter(*first).unwrap_or(*first) });
        rest = after;
    }
    scratch.extend_from_slice(rest);
    scratch
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
