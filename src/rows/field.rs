//! A field as the splitter finds it, and its text. Knows no column and no type.

use super::line_end::LineEnd;
use memchr::memchr2;

/// What structures a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Between fields; one byte or more, none of them a line end, the quote or the escape.
    pub delimiter: Vec<u8>,
    /// Around a field that holds a delimiter, a quote or a line end; none where the dataset has no quotes.
    pub quote: Option<u8>,
    /// Within quotes: takes their meaning from a quote, a delimiter, a line end and itself.
    pub escape: Option<u8>,
    /// What ends a record.
    pub line_end: LineEnd,
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
