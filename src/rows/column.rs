//! A dataset's columns: type and rules from configuration, checked once, used for every cell.

mod compile;

use super::between::LooseRequired;
use super::boolean::Words;
use super::moment::{Forms, LooseForms};
use super::number::{Negative, NumberFormat};
use crate::config::Ident;
use bytes::Bytes;
use chrono::{NaiveDate, NaiveDateTime};
pub use compile::{TYPES, compile_columns};
use regex::bytes::Regex;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashSet;

/// One `[[column]]` of a dataset.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseColumn {
    /// The column of the table; an identifier.
    pub name: String,
    /// Its name in the file's header where that differs from `name`, or a list of names of which the header has one.
    /// Case and outer blanks do not matter, inner blanks stand for `_`.
    pub header: Option<LooseHeader>,
    /// The position of its field in the header, from 1: for names that are blank or occur more than once. With `header`
    /// the name at that position must be one of those.
    #[schemars(range(min = 1, max = 10_000))]
    pub position: Option<usize>,
    /// `integer`, `bigint`, `numeric(p,s)`, `text`, `date`, `timestamp`, `boolean`, `uuid`, `json` or `map`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether a null text (by default: nothing between the delimiters) is allowed.
    #[serde(default)]
    pub nullable: bool,
    /// Whether the header may lack the column; then it is null in every row.
    #[serde(default)]
    pub optional: bool,
    /// Where it may be null: only in rows where the text of another column matches. Not without `nullable`.
    pub required_unless: Option<LooseRequired>,
    /// Integer, bigint, numeric: another column of numbers, whose sign it must have: where that is negative it may not be
    /// positive, and where that is positive not negative. 0 goes with either.
    pub same_sign_as: Option<String>,
    /// What a null text stands for, as it would stand in the file, such as `"0"`. Not with `nullable`.
    pub blank: Option<Bound>,
    /// Whether a null text is null in quotes too; as `dialect.null_quoted` if it is not set.
    pub null_quoted: Option<bool>,
    /// Integer, bigint, numeric: how a negative number may be written besides a minus before it; as `dialect.negative` if
    /// it is not set.
    pub negative: Option<Vec<Negative>>,
    /// Integer, bigint, numeric: texts that may stand before or after a number, such as `["$"]`; as `dialect.units` if it
    /// is not set.
    pub units: Option<Vec<String>>,
    /// Date, timestamp: how it is written, such as `%d.%m.%Y`, or a list of such forms; `YYYY-MM-DD` or
    /// `YYYY-MM-DD HH:MM:SS` without it. A timestamp with a zone (`%z`) is kept in UTC.
    pub format: Option<LooseForms>,
    /// The least value (integer, bigint, numeric, date, timestamp), written as without `format`.
    pub min: Option<Bound>,
    /// The greatest value.
    pub max: Option<Bound>,
    /// Text: the least number of characters.
    pub min_length: Option<usize>,
    /// Text: the greatest number of characters; the table's column becomes `varchar(n)`.
    pub max_length: Option<usize>,
    /// The only values allowed: texts as they stand in the file, whole numbers without thousands (text, integer,
    /// bigint).
    pub allowed: Option<Vec<String>>,
    /// Boolean: the only texts that mean true, such as `["J"]`; `false` goes with it.
    #[serde(rename = "true")]
    pub words_for_true: Option<Vec<String>>,
    /// Boolean: the only texts that mean false.
    #[serde(rename = "false")]
    pub words_for_false: Option<Vec<String>>,
    /// Text: a regular expression that the whole value must match.
    pub pattern: Option<String>,
}

/// One name in the header, or several of which a file has one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LooseHeader {
    /// The only name.
    One(String),
    /// The names customers use.
    Several(Vec<String>),
}

impl LooseHeader {
    /// All names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// A value in a configuration file: a number, or a text for numerics, dates and timestamps.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bound {
    /// A whole number.
    Number(i64),
    /// Anything else, as it would stand in the file.
    Text(String),
}

/// A column with its compiled type and rules.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the table.
    pub name: Ident,
    /// The names it can have in the header; empty if its position alone decides.
    pub headers: Vec<String>,
    /// The position of its field among the customer's, from 1; `None` if the header's names decide.
    pub position: Option<usize>,
    /// Type and the rules that go with it.
    pub kind: Kind,
    /// Whether null is allowed.
    pub nullable: bool,
    /// Whether the header may lack it.
    pub optional: bool,
    /// What a null stands for.
    pub blank: Option<Blank>,
    /// Whether a null text is null in quotes too.
    pub null_quoted: bool,
}

impl Column {
    /// Its first name in the header, or its own where any name will do.
    #[must_use]
    pub fn header(&self) -> &str {
        self.headers.first().map_or_else(|| self.name.as_str(), String::as_str)
    }
}

/// What a null stands for in a column; it was checked as any value of the column is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blank {
    /// As it would stand in the file.
    pub text: Vec<u8>,
    /// As it is copied: its length and its binary form.
    pub encoded: Bytes,
}

/// A column's type with its rules.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `integer`: 32 bits.
    Integer(IntegerRule),
    /// `bigint`: 64 bits.
    Bigint(IntegerRule),
    /// `numeric(precision, scale)`, precision up to 28.
    Numeric {
        /// Digits in all.
        precision: u32,
        /// Digits behind the point.
        scale: u32,
        /// Least and greatest value.
        range: Range<Decimal>,
        /// How it is written, where that is not the plain way.
        written: Option<NumberFormat>,
    },
    /// `text`, or `varchar(n)` with a greatest length.
    Text(TextRule),
    /// `date`, written `YYYY-MM-DD` or in forms of its own.
    Date(Range<NaiveDate>, Option<Forms>),
    /// `timestamp`, written `YYYY-MM-DD HH:MM:SS[.ffffff]` with a blank or a `T`, or in forms of its own.
    Timestamp(Range<NaiveDateTime>, Option<Forms>),
    /// `boolean`: true, false, t, f, yes, no, 1, 0 in any case, or words of its own.
    Boolean(Option<Words>),
    /// `uuid` with hyphens.
    Uuid,
    /// `json`, kept as `jsonb`.
    Json,
    /// `map`: `{key=value, key=value}`, kept as an object of texts.
    Map,
}

/// Rules of a whole number.
#[derive(Clone, Debug)]
pub struct IntegerRule {
    /// The least value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
    /// The only values allowed, sorted.
    pub allowed: Option<Vec<i64>>,
    /// How it is written, where that is not the plain way.
    pub written: Option<NumberFormat>,
    /// Whether every number from `min` to `max` is allowed, written the plain way.
    pub is_a_range: bool,
}

/// Rules of a text; lengths are in characters.
#[derive(Clone, Debug, Default)]
pub struct TextRule {
    /// The least length.
    pub min_length: usize,
    /// The greatest length.
    pub max_length: Option<usize>,
    /// The only values allowed.
    pub allowed: Option<HashSet<Vec<u8>>>,
    /// What the whole value must match.
    pub pattern: Option<Regex>,
}

/// An optional least and greatest value.
#[derive(Clone, Copy, Debug)]
pub struct Range<T> {
    /// The least value.
    pub min: Option<T>,
    /// The greatest value.
    pub max: Option<T>,
}

impl Bound {
    /// As it would stand in the file.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// The columns with their types, as they stand in `create table`.
#[must_use]
pub fn definitions(columns: &[Column]) -> String {
    let each = columns.iter().map(|c| format!("{} {}", c.name.quoted(), c.kind.sql_type()));
    each.collect::<Vec<_>>().join(", ")
}

impl Kind {
    /// The type of the table's column, as `format_type` of PostgreSQL writes it.
    #[must_use]
    pub fn sql_type(&self) -> String {
        match self {
            Self::Integer(_) => "integer".into(),
            Self::Bigint(_) => "bigint".into(),
            Self::Numeric { precision, scale, .. } => format!("numeric({precision},{scale})"),
            Self::Text(TextRule { max_length: Some(n), .. }) => format!("character varying({n})"),
            Self::Text(_) => "text".into(),
            Self::Date(..) => "date".into(),
            Self::Timestamp(..) => "timestamp without time zone".into(),
            Self::Boolean(_) => "boolean".into(),
            Self::Uuid => "uuid".into(),
            Self::Json | Self::Map => "jsonb".into(),
        }
    }
}
