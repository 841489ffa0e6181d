//! What may have happened to a row, judged by its values and what the dataset expects.

use super::{Row, places};
use crate::rows::column::{Column, Kind};
use crate::rows::dataset::Dataset;
use crate::rows::header::{folded, labels};
use crate::rows::moment::{Form, Moment};
use crate::rows::split::Bytes;
use crate::rows::{cell, number};
use bytes::BytesMut;
use chrono::NaiveDate;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// A reason why a row was rejected, with what may be behind it.
pub(super) struct Cause {
    pub(super) column: Option<String>,
    pub(super) code: String,
    pub(super) message: String,
    /// Whether all that is wrong with the row has this one cause.
    pub(super) of_the_row: Option<Hint>,
    pub(super) hints: Vec<Hint>,
}

/// Something that may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Hint {
    /// The header stands among the rows.
    Header,
    /// Each value stands one column too far to the right.
    ShiftedRight,
    /// Each value stands one column too far to the left.
    ShiftedLeft,
    /// A delimiter in this field (from 0) is not quoted.
    Delimiter(usize),
    /// The record would have the right number of fields with this delimiter.
    OtherDelimiter(char),
    /// The fields beyond the header are empty.
    EmptyFields,
    DecimalComma,
    Thousands,
    Date(&'static str),
    /// Timestamps with a zone, which this form reads.
    Zone(&'static str),
    Blanks,
    NullWord,
    QuotedNull,
    TrailingSign,
    Parentheses,
    Decimals,
    Windows1252,
    Case,
}

/// How dates are often written, as patterns of `format` and as people know them.
const DATES: [(&str, &str); 6] = [
    ("%d/%m/%Y", "DD/MM/YYYY"),
    ("%m/%d/%Y", "MM/DD/YYYY"),
    ("%d.%m.%Y", "DD.MM.YYYY"),
    ("%d-%m-%Y", "DD-MM-YYYY"),
    ("%Y/%m/%d", "YYYY/MM/DD"),
    ("%Y%m%d", "YYYYMMDD"),
];

/// How timestamps with a zone are often written.
const ZONED: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z"];

const NULL_WORDS: [&str; 7] = ["null", "n/a", "na", "nan", "none", "-", "\\n"];

/// Codes of rows whose fields can't be told apart for sure: what is wrong with their values follows from that.
const STRUCTURE: [&str; 9] = [
    "record_too_long",
    "unclosed_quote",
    "stray_quote",
    "stray_line_end",
    "quoted_line_end",
    "repeated_header",
    "missing_field",
    "extra_field",
    "empty_row",
];

/// What a load's rows should be like.
pub(super) struct Shape {
    dataset: Option<Arc<Dataset>>,
    names: Vec<String>,
    /// What they are called in payloads.
    labels: Vec<String>,
    places: Vec<Option<usize>>,
}

impl Shape {
    pub(super) fn new(dataset: Option<Arc<Dataset>>, names: Vec<String>) -> Self {
        let places = dataset.as_ref().map(|dataset| places(dataset, &names)).unwrap_or_default();
        Self { dataset, labels: labels(&names), names, places }
    }

    /// Why a row was rejected: each error, or the one thing that explains them all.
    pub(super) fn causes(&self, row: &Row) -> Vec<Cause> {
        let errors: Vec<&Value> = row.errors.as_array().into_iter().flatten().collect();
        let fields = self.fields(row);
        let of_the_row = self.of_the_row(&errors, &fields);
        let structural = errors.iter().find(|error| STRUCTURE.contains(&text(error, "code")));
        if let Some(error) = structural.or_else(|| errors.first().filter(|_| of_the_row.is_some())) {
            let hints = match of_the_row {
                Some(hint) => vec![hint],
                None if text(error, "code") == "extra_field" => self.too_many(&fields),
                None if text(error, "code") == "missing_field" => self.other_delimiter(&fields),
                None => Vec::new(),
            };
            return vec![Cause { column: None, of_the_row, hints, ..cause(error) }];
        }
        errors.iter().map(|error| self.of_a_value(error, &fields, row)).collect()
    }

    /// The row's texts in the order of the file.
    fn fields<'a>(&self, row: &'a Row) -> Vec<&'a str> {
        let known = self.labels.iter().map_while(|label| row.payload.get(label)?.as_str());
        let beyond = (self.names.len() + 1..).map_while(|n| row.payload.get(&format!("#{n}"))?.as_str());
        known.chain(beyond).collect()
    }

    fn of_the_row(&self, errors: &[&Value], fields: &[&str]) -> Option<Hint> {
        if fields.len() > 1 && fields.len() == self.names.len() {
            let is_header = fields.iter().zip(&self.names).all(|(field, name)| folded(field) == folded(name));
            if is_header {
                return Some(Hint::Header);
            }
        }
        let wrong: Vec<&str> = errors.iter().filter_map(|error| error["column"].as_str()).collect();
        let has_form = errors.iter().all(|error| !STRUCTURE.contains(&text(error, "code")));
        if wrong.len() < 2 || !has_form {
            return None;
        }
        if self.is_shifted(&wrong, fields, |place| place.checked_add(1)) {
            return Some(Hint::ShiftedRight);
        }
        self.is_shifted(&wrong, fields, |place| place.checked_sub(1)).then_some(Hint::ShiftedLeft)
    }

    /// Whether the values would do if each were taken from its neighbour, those of two wrong columns among them.
    fn is_shifted(&self, wrong: &[&str], fields: &[&str], neighbour: impl Fn(usize) -> Option<usize>) -> bool {
        let Some(dataset) = &self.dataset else { return false };
        let mut mended = 0;
        for (column, place) in dataset.columns.iter().zip(&self.places) {
            let Some(field) = place.and_then(&neighbour).and_then(|place| fields.get(place)) else { continue };
            if !is_valid(dataset, column, field) {
                return false;
            }
            mended += usize::from(!field.is_empty() && wrong.contains(&column.name.as_str()));
        }
        mended >= 2
    }

    /// What would explain that there are too many fields: empty ones at the end, or those in which a delimiter is not
    /// quoted.
    fn too_many(&self, fields: &[&str]) -> Vec<Hint> {
        let Some(dataset) = &self.dataset else { return Vec::new() };
        let beyond = fields.len().saturating_sub(self.names.len());
        if beyond > 0 && fields[self.names.len()..].iter().all(|field| field.is_empty()) {
            return vec![Hint::EmptyFields];
        }
        if beyond == 0 || beyond > 3 {
            return Vec::new();
        }
        let would_do = |at: &usize| {
            dataset.columns.iter().zip(&self.places).all(|(column, place)| match place {
                Some(place) if place < at => is_valid(dataset, column, fields[*place]),
                Some(place) if place > at => is_valid(dataset, column, fields[place + beyond]),
                Some(place) => {
                    let parts = &fields[*place..=place + beyond];
                    // `2,50` is a number too, with a decimal comma.
                    is_valid(dataset, column, &parts.join(&dataset.dialect.delimiter))
                        || is_valid(dataset, column, &parts.join("."))
                }
                None => true,
            })
        };
        (0..self.names.len()).filter(would_do).map(Hint::Delimiter).collect()
    }

    /// The delimiter by which a record of one field falls into as many as there should be.
    fn other_delimiter(&self, fields: &[&str]) -> Vec<Hint> {
        let [all] = fields else { return Vec::new() };
        let falls_apart = |delimiter: &char| all.split(*delimiter).count() == self.names.len();
        [';', ',', '\t', '|'].into_iter().filter(falls_apart).map(Hint::OtherDelimiter).collect()
    }

    fn of_a_value(&self, error: &Value, fields: &[&str], row: &Row) -> Cause {
        let mut cause = cause(error);
        let dataset = self.dataset.as_ref();
        let at = dataset.and_then(|d| d.columns.iter().position(|c| error["column"] == c.name.as_str()));
        let column = dataset.zip(at).map(|(dataset, at)| &dataset.columns[at]);
        let field = at.and_then(|at| fields.get((*self.places.get(at)?)?)).copied().unwrap_or_default();
        cause.hints = hints(&cause.code, field, column, row.raw.as_deref());
        cause
    }

    /// What may have happened, in words; votes are how many of the rejects speak for it.
    pub(super) fn suggestion(&self, code: &str, count: u64, votes: &HashMap<Hint, u64>) -> String {
        let most = votes.values().max().copied().unwrap_or(0);
        let mut likely: Vec<Hint> = votes.iter().filter(|(_, n)| **n == most).map(|(hint, _)| *hint).collect();
        likely.sort_unstable();
        let told = |hints: &[Hint], votes: u64| {
            let told = match hints {
                [Hint::Delimiter(_), ..] => self.delimiter(hints),
                [Hint::Date(_), ..] => dates(hints),
                [hint, ..] => in_words(*hint),
                [] => String::new(),
            };
            if votes == count { told } else { format!("{told} (so are {votes} of {count})") }
        };
        if most * 2 > count {
            return told(&likely, most);
        }
        // No one cause, but perhaps two that are common.
        let mut common: Vec<(Hint, u64)> =
            votes.iter().map(|(hint, n)| (*hint, *n)).filter(|(_, n)| n * 4 >= count).collect();
        common.sort_unstable_by_key(|(hint, n)| (std::cmp::Reverse(*n), *hint));
        let common: Vec<String> = common.iter().take(2).map(|(hint, n)| told(&[*hint], *n)).collect();
        if common.is_empty() { in_general(code).to_owned() } else { common.join("; ") }
    }

    fn delimiter(&self, likely: &[Hint]) -> String {
        let place = |hint: &Hint| match hint {
            Hint::Delimiter(at) => {
                let name = self.names.get(*at).map(String::as_str).unwrap_or_default();
                Some(format!("{} ({name})", at + 1))
            }
            _ => None,
        };
        let places: Vec<String> = likely.iter().filter_map(place).collect();
        format!("too many fields; an unquoted delimiter in field {}?", places.join(" or "))
    }
}

fn text<'a>(error: &'a Value, key: &str) -> &'a str {
    error[key].as_str().unwrap_or_default()
}

fn cause(error: &Value) -> Cause {
    Cause {
        column: error["column"].as_str().map(str::to_owned),
        code: text(error, "code").to_owned(),
        message: text(error, "message").to_owned(),
        of_the_row: None,
        hints: Vec::new(),
    }
}

/// Whether a text would do as a value of the column.
fn is_valid(dataset: &Dataset, column: &Column, field: &str) -> bool {
    if dataset.dialect.null.iter().any(|null| null == field) {
        return column.nullable || column.blank.is_some();
    }
    cell::encode(&column.kind, field.as_bytes(), Bytes::Any, &mut BytesMut::new()).is_ok()
}

fn hints(code: &str, field: &str, column: Option<&Column>, raw: Option<&[u8]>) -> Vec<Hint> {
    let trimmed = field.trim();
    let would_do = |text: &str| {
        column
            .is_some_and(|column| cell::encode(&column.kind, text.as_bytes(), Bytes::Any, &mut BytesMut::new()).is_ok())
    };
    if trimmed != field && would_do(trimmed) {
        return vec![Hint::Blanks];
    }
    if NULL_WORDS.contains(&trimmed.to_lowercase().as_str()) {
        return vec![Hint::NullWord];
    }
    if field.is_empty() && code.starts_with("not_a") {
        return vec![Hint::QuotedNull];
    }
    match code {
        "not_a_number" | "not_an_integer" if field.ends_with('-') && would_do(field.trim_end_matches('-')) => {
            vec![Hint::TrailingSign]
        }
        "not_a_number" | "not_an_integer" if field.starts_with('(') && would_do(field.trim_matches(['(', ')'])) => {
            vec![Hint::Parentheses]
        }
        "not_a_number" if field.contains(',') && would_do(&field.replace('.', "").replacen(',', ".", 1)) => {
            vec![Hint::DecimalComma]
        }
        "not_a_number" | "not_an_integer" if field.contains(',') && would_do(&field.replace(',', "")) => {
            vec![Hint::Thousands]
        }
        "not_an_integer" if field.contains('.') && number::parse_decimal(field.as_bytes()).is_some() => {
            vec![Hint::Decimals]
        }
        "not_a_timestamp" if zoned(field).is_some() => zoned(field).into_iter().map(Hint::Zone).collect(),
        "not_a_date" | "not_a_timestamp" => {
            let date = field.split([' ', 'T']).next().unwrap_or_default();
            let fits = |(pattern, _): &&(&'static str, &str)| NaiveDate::parse_from_str(date, pattern).is_ok();
            DATES.iter().filter(fits).map(|(pattern, _)| Hint::Date(pattern)).collect()
        }
        "invalid_utf8" if raw.is_some_and(is_windows_1252) => vec![Hint::Windows1252],
        "not_allowed" if differs_in_case(column, field) => vec![Hint::Case],
        _ => Vec::new(),
    }
}

/// The form by which a timestamp with a zone is read.
fn zoned(field: &str) -> Option<&'static str> {
    let reads =
        |text: &&str| Form::parse(text, Moment::Timestamp).is_ok_and(|form| form.timestamp(field.as_bytes()).is_some());
    ZONED.into_iter().find(reads)
}

/// Whether the bytes that are no UTF-8 are letters or marks of windows-1252.
fn is_windows_1252(raw: &[u8]) -> bool {
    let mut wrong = raw.utf8_chunks().flat_map(|chunk| chunk.invalid().iter().copied()).peekable();
    let is_common = |byte| matches!(byte, 0x80 | 0x8A | 0x8E | 0x91..=0x97 | 0x9A | 0x9E | 0x9F | 0xA0..=0xFF);
    wrong.peek().is_some() && wrong.all(is_common)
}

fn differs_in_case(column: Option<&Column>, field: &str) -> bool {
    let Some(Kind::Text(rule)) = column.map(|column| &column.kind) else { return false };
    let allowed = rule.allowed.iter().flatten();
    allowed.filter_map(|word| std::str::from_utf8(word).ok()).any(|word| word.to_lowercase() == field.to_lowercase())
}

fn in_words(hint: Hint) -> String {
    let told = match hint {
        Hint::Zone(form) => return format!("the timestamps have a zone: format = {form:?} reads them as UTC"),
        Hint::OtherDelimiter(delimiter) => {
            return format!("records with another delimiter, {delimiter:?}: were files of two kinds put together?");
        }
        Hint::EmptyFields => "records end with delimiters: dialect.extra_fields = \"empty\" takes empty fields there",
        Hint::Header => "the header stands among the rows: were several files put together?",
        Hint::ShiftedRight => "a shifted column: each value stands one column too far to the right",
        Hint::ShiftedLeft => "a shifted column: each value stands one column too far to the left",
        Hint::DecimalComma => "the values have a decimal comma: dialect.decimal = \",\"",
        Hint::Thousands => "the values have separators between thousands: dialect.thousands",
        Hint::Blanks => "blanks around the values: dialect.trim = true",
        Hint::QuotedNull => "nulls in quotes (\"\"): dialect.null_quoted = true, or null_quoted in the column",
        Hint::TrailingSign => "the sign stands behind the number: dialect.negative = [\"trailing\"]",
        Hint::Parentheses => "negative numbers stand in parentheses: dialect.negative = [\"parentheses\"]",
        Hint::NullWord => "words that stand for nothing: dialect.null, and nullable = true",
        Hint::Decimals => "the values have decimals: type = \"numeric(p,s)\"?",
        Hint::Windows1252 => "wrong encoding? The bytes look like windows-1252: dialect.encoding = \"windows-1252\"",
        Hint::Case => "the values differ from allowed ones in upper and lower case only",
        Hint::Delimiter(_) | Hint::Date(_) => "",
    };
    told.to_owned()
}

fn dates(likely: &[Hint]) -> String {
    let known: Vec<_> = DATES.iter().filter(|(pattern, _)| likely.contains(&Hint::Date(pattern))).collect();
    let people: Vec<&str> = known.iter().map(|(_, people)| *people).collect();
    let patterns: Vec<String> = known.iter().map(|(pattern, _)| format!("format = {pattern:?}")).collect();
    format!("the dates look like {}: {} in the column", people.join(" or "), patterns.join(" or "))
}

/// What a code mostly means.
fn in_general(code: &str) -> &'static str {
    match code {
        "record_too_long" => "a line end or a closing quote is missing, or dialect.max_record_bytes is too small",
        "unclosed_quote" | "stray_quote" => {
            "a quote within a value: it is to be doubled and the value quoted; where quotes mean nothing, dialect.quote = \"\""
        }
        "stray_line_end" => {
            "a line end within a value that is not quoted, or files of different line ends put together (dialect.line_end)"
        }
        "quoted_line_end" => "two quotes that were forgotten, or values of several lines (dialect.multiline = true)",
        "missing_field" => "the record ends early: a line end within a value, or a field was left out",
        "extra_field" => "too many fields: an unquoted delimiter in a value?",
        "null" => "blank in a column that must have a value: have it delivered, or nullable = true",
        "required" => "blank where another column's value (required_unless) does not excuse it: have it delivered",
        "other_sign" => "one of two amounts has the wrong sign (same_sign_as): have it delivered",
        "duplicate_key" => "rows with the same key: was something delivered twice, or is the key not one?",
        "nul_byte" => "NUL bytes in texts: a broken export, or another encoding",
        "invalid_utf8" => "wrong encoding? dialect.encoding",
        "too_deep" => "documents that are nested more deeply than a jsonb column is meant for",
        "too_long" => "texts longer than max_length: cut off by the customer, or a longer column",
        _ => "",
    }
}
