//! How a dataset's files are written: the keys of `[dialect]` and their checks.

use super::encoding::Declared;
use super::header::{ExtraColumns, ExtraFields, Header, Rules};
use super::line_end::LineEnd;
use super::number::{Negative, NumberFormat, check_separators, why_not_unit};
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
    /// Between fields: one or more characters, such as `;`, `\t`, `||` or `¦`.
    #[schemars(length(min = 1, max = 8))]
    pub delimiter: String,
    /// Around fields that hold delimiters or line ends: one ASCII character; empty for none.
    #[schemars(length(max = 1))]
    pub quote: String,
    /// One ASCII character that, within quotes, takes their meaning from a quote, a delimiter, a line end and itself; empty
    /// for none. A doubled quote stands for one in any case. With `quote = ""` it acts in all fields, as in the text format
    /// of `COPY` and `LOAD DATA`: `\t`, `\n` and the like are the characters they name, and a field `\N` is null.
    #[schemars(length(max = 1))]
    pub escape: String,
    /// What ends a record: `auto` (the end of the file's first record), `lf`, `crlf`, `cr`, `any` (LF, CR LF and CR,
    /// mixed), or one to four characters that are not all letters and digits. A record that holds another line end
    /// outside quotes is rejected.
    #[schemars(length(min = 1, max = 4))]
    pub line_end: String,
    /// Whether blanks around a bare (unquoted) value are dropped, those of Unicode (such as a no-break space) included, and
    /// spaces and tabs around a quoted field are allowed.
    pub trim: bool,
    /// Texts that mean null: bare ones, and with `null_quoted` those in quotes too.
    pub null: Vec<String>,
    /// Whether a text of `null` means null in quotes too, as with COPY's `FORCE_NULL`; columns can differ.
    pub null_quoted: bool,
    /// Before the decimals of numerics: one character.
    #[schemars(length(min = 1, max = 1))]
    pub decimal: String,
    /// Between groups of three digits of integers, bigints and numerics: one character; empty for none. Numbers
    /// without groups are taken too, wrong groups are not.
    #[schemars(length(max = 1))]
    pub thousands: String,
    /// How a negative number may be written besides a minus before it; columns can differ.
    pub negative: Vec<Negative>,
    /// Texts that may stand before or after a number, with or without blanks between them, such as `["$", "EUR"]`; they
    /// are dropped. Columns can differ.
    pub units: Vec<String>,
    /// Whether the first record names the columns.
    pub header: Header,
    /// So many records name the columns together: their texts, from the first to the last, with a blank between.
    #[validate(range(min = 1, max = 100))]
    pub header_lines: u32,
    /// So many first lines are skipped, whatever stands on them.
    #[validate(range(max = 10_000))]
    pub skip_lines: u32,
    /// So many last lines are skipped, whatever stands on them; together they have at most `max_record_bytes`.
    #[validate(range(max = 1000))]
    pub footer_lines: u32,
    /// Lines that begin with it are comments and skipped; empty for none.
    #[schemars(length(max = 100))]
    pub comment: String,
    /// Lines at the end of the file that begin with it sum the others up and are skipped; empty for none.
    #[schemars(length(max = 100))]
    pub trailer: String,
    /// The number of trailer lines; a file with fewer is refused, and of more the first are rows. 0 for any number.
    #[validate(range(max = 1000))]
    pub trailer_lines: u32,
    /// Whether a quoted field may hold line ends.
    pub multiline: bool,
    /// What to do with a record that repeats the header.
    pub repeated_header: RepeatedHeader,
    /// What to do with columns that the dataset doesn't know.
    pub extra_columns: ExtraColumns,
    /// What to do with fields at the end of a record that the header has no name for, and with blank names at its end.
    pub extra_fields: ExtraFields,
    /// What to do with records that have no value in any field: lines of delimiters only.
    pub empty_rows: EmptyRows,
    /// What to do with records that have fewer fields than the header.
    pub ragged: Ragged,
    /// The greatest size of a record, in bytes of UTF-8; a longer one is rejected.
    #[validate(range(min = 1024, max = 67_108_864))]
    pub max_record_bytes: usize,
    /// The most bytes that a compressed file may unpack to; nothing beyond is read.
    #[validate(range(min = 1024, max = 1_125_899_906_842_624_u64))]
    pub max_unpacked_bytes: u64,
}

/// What to do with records that have fewer fields than the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ragged {
    /// Reject them.
    #[default]
    Reject,
    /// Take the fields that are missing at their end for nulls.
    Pad,
}

/// What to do with a record that repeats the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RepeatedHeader {
    /// Reject it.
    #[default]
    Reject,
    /// Skip it; the certificate counts it.
    Skip,
    /// Load it like any other record.
    Load,
}

/// What to do with records that have no value in any field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmptyRows {
    /// Reject them.
    #[default]
    Reject,
    /// Skip them, and count them in the certificate.
    Skip,
    /// Treat them like any other record: where every column is nullable, a row of nulls.
    Load,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            encoding: Declared::Utf8,
            delimiter: ",".into(),
            quote: "\"".into(),
            escape: String::new(),
            line_end: "auto".into(),
            trim: false,
            null: vec![String::new()],
            null_quoted: false,
            decimal: ".".into(),
            thousands: String::new(),
            negative: Vec::new(),
            units: Vec::new(),
            header: Header::Names,
            header_lines: 1,
            skip_lines: 0,
            footer_lines: 0,
            comment: String::new(),
            trailer: String::new(),
            trailer_lines: 0,
            multiline: true,
            repeated_header: RepeatedHeader::Reject,
            extra_columns: ExtraColumns::Reject,
            extra_fields: ExtraFields::Reject,
            empty_rows: EmptyRows::Reject,
            ragged: Ragged::Reject,
            max_record_bytes: 1 << 20,
            max_unpacked_bytes: 64 << 30,
        }
    }
}

impl Dialect {
    /// What structures a file.
    #[must_use]
    pub fn marks(&self) -> Marks {
        let first = |text: &str| text.bytes().next();
        Marks {
            delimiter: self.delimiter.clone().into(),
            quote: first(&self.quote),
            escape: first(&self.escape),
            line_end: self.line_end().unwrap_or_default(),
            trim: self.trim,
        }
    }

    /// What ends a record; `None` if the file's first record decides.
    #[must_use]
    pub fn line_end(&self) -> Option<LineEnd> {
        LineEnd::parse(&self.line_end)
    }

    /// What a header may have.
    #[must_use]
    pub const fn header_rules(&self) -> Rules {
        Rules { extra_columns: self.extra_columns, extra_fields: self.extra_fields }
    }

    /// How numbers are written; `None` where that is the plain way.
    #[must_use]
    pub fn numbers(&self) -> Option<NumberFormat> {
        NumberFormat::new(&self.decimal, &self.thousands, &self.negative, &self.units)
    }
}

/// Checks what the shape of a dialect can't say.
pub(super) fn check_dialect(source: &Source, dialect: &Dialect, problems: &mut Problems) {
    let mut check = Check { source, dialect, problems };
    check.marks();
    check.line_end();
    check.lines();
    check.numbers();
}

struct Check<'a> {
    source: &'a Source,
    dialect: &'a Dialect,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(self.source.problem(&At::key("dialect").then(key), message));
    }

    fn marks(&mut self) {
        let Dialect { delimiter, quote, escape, .. } = self.dialect;
        if delimiter.contains(['\n', '\r', '\0']) {
            self.problem("delimiter", format!("{delimiter:?} can't be a delimiter: it holds a line end or a NUL"));
        }
        for (key, text) in [("quote", quote), ("escape", escape)] {
            if text.bytes().any(|b| !b.is_ascii() || b == b'\n' || b == b'\r' || b == 0) {
                self.problem(key, format!("{text:?} can't be the {key}: one ASCII character, not a line end"));
            } else if delimiter == text {
                self.problem(key, "is the same as the delimiter");
            } else if !text.is_empty() && delimiter.contains(text.as_str()) {
                self.problem(key, format!("stands in the delimiter {delimiter:?}"));
            }
        }
        if quote.is_empty() && escape.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            self.problem(
                "escape",
                "is a letter or digit: without quotes it would change the meaning of every such character",
            );
        } else if self.dialect.null_quoted && quote.is_empty() {
            self.problem("null_quoted", "means something within quotes only, and there is no quote");
        } else if !escape.is_empty() && escape == quote {
            self.problem("escape", "is the same as the quote; a doubled quote stands for one without it");
        }
    }

    fn line_end(&mut self) {
        let Dialect { delimiter, quote, escape, line_end, .. } = self.dialect;
        let Some(LineEnd::Custom(text)) = self.dialect.line_end() else { return };
        let is_word = line_end.chars().all(char::is_alphanumeric);
        if is_word || line_end.chars().count() > 4 {
            let message = format!(
                "{line_end:?} is no line end: \"auto\", \"any\", \"lf\", \"crlf\", \"cr\" or one to four characters, not all \
                 of them letters and digits, were expected"
            );
            self.problem("line_end", message);
            return;
        }
        for (key, mark) in [("delimiter", delimiter), ("quote", quote), ("escape", escape)] {
            if mark.bytes().any(|byte| text.contains(&byte)) {
                self.problem(
                    "line_end",
                    format!("{line_end:?} can't be told from the {key} {mark:?}: they share a byte"),
                );
            }
        }
    }

    fn lines(&mut self) {
        let Dialect { comment, trailer, quote, delimiter, .. } = self.dialect;
        for (key, text) in [("comment", comment), ("trailer", trailer)] {
            if text.contains(['\n', '\r']) {
                self.problem(key, "holds a line end, which no line begins with");
            } else if !text.is_empty() && !quote.is_empty() && text.starts_with(quote) {
                self.problem(key, "begins with the quote: quoted rows would be skipped");
            } else if !text.is_empty() && (text.starts_with(delimiter) || delimiter.starts_with(text.as_str())) {
                self.problem(key, "begins like the delimiter: rows whose first field is empty would be skipped");
            }
        }
        let shorter = comment.len().min(trailer.len());
        if shorter > 0 && comment.as_bytes()[..shorter] == trailer.as_bytes()[..shorter] {
            self.problem("trailer", "can't be told from a comment: one begins with the other");
        }
        if self.dialect.trailer_lines > 0 && self.dialect.trailer.is_empty() {
            self.problem("trailer_lines", "needs trailer, with which those lines begin");
        }
        if self.dialect.header == Header::None && self.dialect.header_lines != 1 {
            self.problem("header_lines", "says how long the header is, and header = \"none\" says that there is none");
        }
    }

    fn numbers(&mut self) {
        let Dialect { decimal, thousands, units, .. } = self.dialect;
        check_separators(decimal, thousands, |key, message| self.problem(key, message));
        for (i, unit) in units.iter().enumerate() {
            if let Some(why) = why_not_unit(unit) {
                let at = At::key("dialect").then("units").index(i);
                self.problems.push(self.source.problem(&at, why));
            }
        }
    }
}
