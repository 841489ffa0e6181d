//! How a dataset's files are written: the keys of `[dialect]` and their checks.

use super::encoding::Declared;
use super::header::{ExtraColumns, Header};
use super::split::Marks;
use crate::config::{At, Problems, Source};
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// How a dataset's files are written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// How bytes stand for text, where no byte order mark tells it.
    pub encoding: Declared,
    /// Between fields: one ASCII character.
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: String,
    /// Around fields that hold delimiters or line ends; empty for none.
    #[schemars(length(max = 1))]
    pub quote: String,
    /// Whether blanks around a bare (unquoted) value are dropped.
    pub trim: bool,
    /// Bare texts that mean null.
    pub null: Vec<String>,
    /// Whether the first record names the columns.
    pub header: Header,
    /// So many first lines are skipped, whatever stands on them.
    #[validate(range(max = 10_000))]
    pub skip_lines: u32,
    /// Lines that begin with it are comments and skipped; empty for none.
    #[schemars(length(max = 100))]
    pub comment: String,
    /// Lines that begin with it sum the others up and are skipped; empty for none.
    #[schemars(length(max = 100))]
    pub trailer: String,
    /// What to do with columns that the dataset doesn't know.
    pub extra_columns: ExtraColumns,
    /// The greatest size of a record, in bytes of UTF-8; a longer one is rejected.
    #[validate(range(min = 1024, max = 67_108_864))]
    pub max_record_bytes: usize,
    /// The most bytes that a compressed file may unpack to; nothing beyond is read.
    #[validate(range(min = 1024, max = 1_125_899_906_842_624_u64))]
    pub max_unpacked_bytes: u64,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            encoding: Declared::Utf8,
            delimiter: ",".into(),
            quote: "\"".into(),
            trim: false,
            null: vec![String::new()],
            header: Header::Names,
            skip_lines: 0,
            comment: String::new(),
            trailer: String::new(),
            extra_columns: ExtraColumns::Reject,
            max_record_bytes: 1 << 20,
            max_unpacked_bytes: 64 << 30,
        }
    }
}

impl Dialect {
    /// The bytes that structure a file.
    #[must_use]
    pub fn marks(&self) -> Marks {
        let first = |text: &str| text.bytes().next();
        Marks { delimiter: first(&self.delimiter).unwrap_or(b','), quote: first(&self.quote) }
    }
}

/// Checks what the shape of a dialect can't say.
pub(super) fn check_dialect(source: &Source, dialect: &Dialect, problems: &mut Problems) {
    let at = |key| At::key("dialect").then(key);
    for (key, text) in [("delimiter", &dialect.delimiter), ("quote", &dialect.quote)] {
        if text.bytes().any(|b| !b.is_ascii() || b == b'\n' || b == b'\r' || b == 0) {
            problems.push(
                source.problem(&at(key), format!("{text:?} can't be a {key}: one ASCII character, not a line end")),
            );
        }
    }
    for (key, text) in [("comment", &dialect.comment), ("trailer", &dialect.trailer)] {
        if text.contains(['\n', '\r']) {
            problems.push(source.problem(&at(key), "holds a line end, which no line begins with"));
        } else if !text.is_empty() && !dialect.quote.is_empty() && text.starts_with(&dialect.quote) {
            problems.push(source.problem(&at(key), "begins with the quote: quoted rows would be skipped"));
        }
    }
    let shorter = dialect.comment.len().min(dialect.trailer.len());
    if shorter > 0 && dialect.comment.as_bytes()[..shorter] == dialect.trailer.as_bytes()[..shorter] {
        problems.push(source.problem(&at("trailer"), "can't be told from a comment: one begins with the other"));
    }
    if dialect.delimiter == dialect.quote {
        problems.push(source.problem(&at("quote"), "is the same as the delimiter"));
    }
}
