//! A row that does not conform: every reason, with codes that stay the same from version to version.

use super::payload::Payload;
use serde::Serialize;
use std::borrow::Cow;

/// Why a cell or a record is refused. The spelling of each is stored and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each code's meaning is the text of `Code::class` and docs/quarantine.md")]
pub enum Code {
    RecordTooLong,
    UnclosedQuote,
    StrayQuote,
    StrayEscape,
    StrayLineEnd,
    QuotedLineEnd,
    RepeatedHeader,
    MissingField,
    ExtraField,
    EmptyRow,
    InvalidUtf8,
    InvalidUtf16,
    NulByte,
    NotAnInteger,
    NotANumber,
    NotADate,
    NotATimestamp,
    NotABoolean,
    NotAUuid,
    NotJson,
    NotAMap,
    OutOfRange,
    TooManyDecimals,
    TooDeep,
    Null,
    Required,
    OtherSign,
    TooShort,
    TooLong,
    NotAllowed,
    PatternMismatch,
    DuplicateKey,
}

/// The group a reject is triaged by: the gravest of its errors, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorClass {
    /// The record's form is broken: quotes, number of fields, size.
    Structure,
    /// Bytes that are no text.
    Encoding,
    /// A value that is not of its column's type.
    Type,
    /// A value beyond the bounds of its type or column.
    Range,
    /// A value is missing.
    Null,
    /// A text of the wrong length.
    Length,
    /// A value that is not among the allowed ones.
    Domain,
    /// Another row of the file has the same key.
    Duplicate,
}

impl Code {
    /// All there are.
    pub const ALL: [Self; 32] = [
        Self::RecordTooLong,
        Self::UnclosedQuote,
        Self::StrayQuote,
        Self::StrayEscape,
        Self::StrayLineEnd,
        Self::QuotedLineEnd,
        Self::RepeatedHeader,
        Self::MissingField,
        Self::ExtraField,
        Self::EmptyRow,
        Self::InvalidUtf8,
        Self::InvalidUtf16,
        Self::NulByte,
        Self::NotAnInteger,
        Self::NotANumber,
        Self::NotADate,
        Self::NotATimestamp,
        Self::NotABoolean,
        Self::NotAUuid,
        Self::NotJson,
        Self::NotAMap,
        Self::OutOfRange,
        Self::TooManyDecimals,
        Self::TooDeep,
        Self::Null,
        Self::Required,
        Self::OtherSign,
        Self::TooShort,
        Self::TooLong,
        Self::NotAllowed,
        Self::PatternMismatch,
        Self::DuplicateKey,
    ];

    /// The word that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecordTooLong => "record_too_long",
            Self::UnclosedQuote => "unclosed_quote",
            Self::StrayQuote => "stray_quote",
            Self::StrayEscape => "stray_escape",
            Self::StrayLineEnd => "stray_line_end",
            Self::QuotedLineEnd => "quoted_line_end",
            Self::RepeatedHeader => "repeated_header",
            Self::MissingField => "missing_field",
            Self::ExtraField => "extra_field",
            Self::EmptyRow => "empty_row",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidUtf16 => "invalid_utf16",
            Self::NulByte => "nul_byte",
            Self::NotAnInteger => "not_an_integer",
            Self::NotANumber => "not_a_number",
            Self::NotADate => "not_a_date",
            Self::NotATimestamp => "not_a_timestamp",
            Self::NotABoolean => "not_a_boolean",
            Self::NotAUuid => "not_a_uuid",
            Self::NotJson => "not_json",
            Self::NotAMap => "not_a_map",
            Self::OutOfRange => "out_of_range",
            Self::TooManyDecimals => "too_many_decimals",
            Self::TooDeep => "too_deep",
            Self::Null => "null",
            Self::Required => "required",
            Self::OtherSign => "other_sign",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::NotAllowed => "not_allowed",
            Self::PatternMismatch => "pattern_mismatch",
            Self::DuplicateKey => "duplicate_key",
        }
    }

    /// The class this code belongs to.
    #[must_use]
    pub const fn class(self) -> ErrorClass {
        match self {
            Self::RecordTooLong
            | Self::UnclosedQuote
            | Self::StrayQuote
            | Self::StrayEscape
            | Self::StrayLineEnd
            | Self::QuotedLineEnd
            | Self::RepeatedHeader
            | Self::MissingField
            | Self::ExtraField
            | Self::EmptyRow => ErrorClass::Structure,
            Self::InvalidUtf8 | Self::InvalidUtf16 | Self::NulByte => ErrorClass::Encoding,
            Self::NotAnInteger
            | Self::NotANumber
            | Self::NotADate
            | Self::NotATimestamp
            | Self::NotABoolean
            | Self::NotAUuid
            | Self::NotJson
            | Self::NotAMap => ErrorClass::Type,
            Self::OutOfRange | Self::TooManyDecimals | Self::TooDeep | Self::OtherSign => ErrorClass::Range,
            Self::Null | Self::Required => ErrorClass::Null,
            Self::TooShort | Self::TooLong => ErrorClass::Length,
            Self::NotAllowed | Self::PatternMismatch => ErrorClass::Domain,
            Self::DuplicateKey => ErrorClass::Duplicate,
        }
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl ErrorClass {
    /// The word that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Encoding => "encoding",
            Self::Type => "type",
            Self::Range => "range",
            Self::Null => "null",
            Self::Length => "length",
            Self::Domain => "domain",
            Self::Duplicate => "duplicate",
        }
    }
}

/// Why a cell is refused: a code for machines, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellError {
    /// The stable code.
    pub code: Code,
    /// What was found and what was expected.
    pub message: String,
}

/// A cell's error whose message begins with the cell's text; a text that is no UTF-8 is refused for that.
#[cold]
pub(super) fn refuse(code: Code, text: &[u8], why: &str) -> CellError {
    if std::str::from_utf8(text).is_err() {
        return CellError { code: Code::InvalidUtf8, message: format!("{} is not UTF-8", shown(text)) };
    }
    CellError { code, message: format!("{} {why}", shown(text)) }
}

/// One reason of a rejected row, as stored in `file_invalid_rows.errors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// The dataset's column, or none when the record as a whole is at fault.
    pub column: Option<String>,
    /// The stable code.
    pub code: Code,
    /// What was found and what was expected.
    pub message: String,
}

/// A rejected record: where it stands, its bytes, and everything that is wrong with it.
#[derive(Debug, Serialize)]
pub struct Reject<'a> {
    /// The line it starts on, from 1 (the header is usually line 1).
    pub line: u64,
    /// Its first byte's place in the file (unpacked, as delivered), from 0.
    pub byte_offset: u64,
    /// Its length in bytes, line end included.
    pub byte_length: u64,
    /// Its bytes as delivered, line end included; only the beginning when the record was over the size bound.
    #[serde(skip)]
    pub raw: Cow<'a, [u8]>,
    /// The same as text.
    #[serde(rename = "raw", serialize_with = "as_text")]
    pub text: &'a [u8],
    /// Header to text, as far as the record could be taken apart.
    pub payload: Payload<'a>,
    /// The gravest class among the errors.
    pub error_class: ErrorClass,
    /// Every error, in the order of the dataset's columns.
    pub errors: Vec<RowError>,
}

fn as_text<S: serde::Serializer>(text: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(text))
}

impl Reject<'_> {
    /// The gravest class of `errors`; a reject without errors does not exist.
    #[must_use]
    pub fn class_of(errors: &[RowError]) -> ErrorClass {
        errors.iter().map(|e| e.code.class()).min().unwrap_or(ErrorClass::Structure)
    }
}

/// Text that PostgreSQL's `jsonb` can hold: unreadable bytes and NUL become U+FFFD (the raw bytes stay exact).
#[must_use]
pub fn readable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if memchr::memchr(0, bytes).is_none() => Cow::Borrowed(text),
        _ => Cow::Owned(String::from_utf8_lossy(bytes).replace('\0', "\u{FFFD}")),
    }
}

/// A value as an error message shows it: in quotes, made readable, cut after 40 characters.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let text = readable(&bytes[..bytes.len().min(200)]);
    if text.chars().count() > 40 {
        let head: String = text.chars().take(40).collect();
        format!("{head:?}…")
    } else {
        format!("{text:?}")
    }
}
