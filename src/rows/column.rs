//! Compiles a dataset's columns: type and rules from configuration, checked once, used for every cell.

use super::boolean::Words;
use super::moment::{Form, Moment};
use super::number::{Written, parse_decimal, parse_integer};
use crate::config::{At, Ident, Problems, Source, suggest};
use chrono::{NaiveDate, NaiveDateTime};
use regex::bytes::Regex;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashSet;
use std::fmt::Display;

/// One `[[column]]` of a dataset.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseColumn {
    /// The column of the table; an identifier.
    pub name: String,
    /// What the file's header calls it, where that differs (case and blanks do not matter).
    pub header: Option<String>,
    /// `integer`, `bigint`, `numeric(p,s)`, `text`, `date`, `timestamp`, `boolean`, `uuid` or `json`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether a null text (by default: nothing between the delimiters) is allowed.
    #[serde(default)]
    pub nullable: bool,
    /// Date, timestamp: how it is written, such as `%d.%m.%Y`; `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS` without it.
    pub format: Option<String>,
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

/// A bound in a configuration file: a number, or a text for numerics, dates and timestamps.
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
    /// What the header calls it.
    pub header: String,
    /// Type and the rules that go with it.
    pub kind: Kind,
    /// Whether null is allowed.
    pub nullable: bool,
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
        written: Option<Written>,
    },
    /// `text`, or `varchar(n)` with a greatest length.
    Text(TextRule),
    /// `date`, written `YYYY-MM-DD` or in a form of its own.
    Date(Range<NaiveDate>, Option<Form>),
    /// `timestamp`, written `YYYY-MM-DD HH:MM:SS[.ffffff]` with a blank or a `T`, or in a form of its own.
    Timestamp(Range<NaiveDateTime>, Option<Form>),
    /// `boolean`: true, false, t, f, yes, no, 1, 0 in any case, or words of its own.
    Boolean(Option<Words>),
    /// `uuid` with hyphens.
    Uuid,
    /// `json`, kept as `jsonb`.
    Json,
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
    pub written: Option<Written>,
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
            Self::Json => "jsonb".into(),
        }
    }
}

/// The types there are, as they are written.
pub const TYPES: [&str; 9] =
    ["integer", "bigint", "numeric(p,s)", "text", "date", "timestamp", "boolean", "uuid", "json"];

/// Columns that every table of PostgreSQL has (manual, section 5.6).
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Compiles one column; each rule that its type can't have is a problem of its own.
pub fn compile_column(
    source: &Source,
    at: &At,
    loose: &LooseColumn,
    numbers: Option<&Written>,
    problems: &mut Problems,
) -> Option<Column> {
    let before = problems.len();
    let name = Ident::parse(&loose.name)
        .map_err(|error| problems.push(source.problem(&at.clone().then("name"), error.to_string())))
        .ok();
    let mut compiler = Compiler { source, at, loose, numbers, problems };
    compiler.check_names();
    compiler.refuse_foreign_rules();
    let kind = compiler.kind();
    (problems.len() == before).then_some(())?;
    Some(Column {
        name: name?,
        header: loose.header.clone().unwrap_or_else(|| loose.name.clone()),
        kind: kind?,
        nullable: loose.nullable,
    })
}

struct Compiler<'a> {
    source: &'a Source,
    at: &'a At,
    loose: &'a LooseColumn,
    numbers: Option<&'a Written>,
    problems: &'a mut Problems,
}

impl<'a> Compiler<'a> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(self.source.problem(&self.at.clone().then(key), message));
    }

    fn check_names(&mut self) {
        if SYSTEM_COLUMNS.contains(&self.loose.name.as_str()) {
            self.problem(
                "name",
                format!("{} is a column that PostgreSQL gives every table; call it something else", self.loose.name),
            );
        }
        if self.loose.header.as_ref().is_some_and(|header| header.trim().is_empty()) {
            self.problem("header", "must not be blank");
        }
    }

    fn refuse_foreign_rules(&mut self) {
        let base = self.loose.kind.split('(').next().unwrap_or("").trim();
        if !TYPES.iter().any(|known| known.split('(').next() == Some(base)) {
            return;
        }
        let rules: [(&str, bool, &[&str]); 9] = [
            ("format", self.loose.format.is_some(), &["date", "timestamp"]),
            ("min", self.loose.min.is_some(), &["integer", "bigint", "numeric", "date", "timestamp"]),
            ("max", self.loose.max.is_some(), &["integer", "bigint", "numeric", "date", "timestamp"]),
            ("min_length", self.loose.min_length.is_some(), &["text"]),
            ("max_length", self.loose.max_length.is_some(), &["text"]),
            ("allowed", self.loose.allowed.is_some(), &["text", "integer", "bigint"]),
            ("pattern", self.loose.pattern.is_some(), &["text"]),
            ("true", self.loose.words_for_true.is_some(), &["boolean"]),
            ("false", self.loose.words_for_false.is_some(), &["boolean"]),
        ];
        for (rule, is_set, types) in rules {
            if is_set && !types.contains(&base) {
                self.problem(
                    rule,
                    format!("a column of type {base} can't have this rule; it is for {}", types.join(", ")),
                );
            }
        }
    }

    fn kind(&mut self) -> Option<Kind> {
        let text = self.loose.kind.clone();
        match text.trim() {
            "integer" => Some(Kind::Integer(self.integer_rule(i64::from(i32::MIN), i64::from(i32::MAX)))),
            "bigint" => Some(Kind::Bigint(self.integer_rule(i64::MIN, i64::MAX))),
            "text" => Some(Kind::Text(self.text_rule()?)),
            "date" => {
                let range = self.range("a date (YYYY-MM-DD)", super::cell::parse_date);
                Some(Kind::Date(range, self.format(Moment::Date)))
            }
            "timestamp" => {
                let range = self.range("a timestamp (YYYY-MM-DD HH:MM:SS)", super::cell::parse_timestamp);
                Some(Kind::Timestamp(range, self.format(Moment::Timestamp)))
            }
            "boolean" => Some(Kind::Boolean(self.words())),
            "uuid" => Some(Kind::Uuid),
            "json" => Some(Kind::Json),
            other => self.numeric(other),
        }
    }

    fn format(&mut self, moment: Moment) -> Option<Form> {
        let text = self.loose.format.as_ref()?;
        Form::parse(text, moment).map_err(|error| self.problem("format", format!("{text:?} {error}"))).ok()
    }

    fn words(&mut self) -> Option<Words> {
        let (yes, no) = (self.loose.words_for_true.as_deref(), self.loose.words_for_false.as_deref());
        Words::compile(yes, no, |key, message| self.problem(key, message))
    }

    fn numeric(&mut self, text: &str) -> Option<Kind> {
        let Some(arguments) = text.strip_prefix("numeric(").and_then(|rest| rest.strip_suffix(')')) else {
            let hint = if text == "numeric" { "; write numeric(p,s)".to_owned() } else { suggest(text, TYPES) };
            self.problem("type", format!("{text:?} is no type{hint}"));
            return None;
        };
        let (p, s) = arguments.split_once(',').unwrap_or((arguments, "0"));
        match (p.trim().parse::<u32>(), s.trim().parse::<u32>()) {
            (Ok(precision @ 1..=28), Ok(scale)) if scale <= precision => {
                let range = self.range("a decimal number", parse_decimal);
                Some(Kind::Numeric { precision, scale, range, written: self.numbers.cloned() })
            }
            _ => {
                self.problem("type", format!("{text:?}: the precision is 1 to 28, the scale 0 to the precision"));
                None
            }
        }
    }

    fn integer_rule(&mut self, least: i64, greatest: i64) -> IntegerRule {
        let parse = |text: &[u8]| parse_integer(text).ok();
        let range = self.range("a whole number of 64 bits", parse);
        for (key, bound) in [("min", range.min), ("max", range.max)] {
            if let Some(bound) = bound.filter(|bound| !(least..=greatest).contains(bound)) {
                self.problem(key, format!("{bound} is beyond what the type holds ({least} to {greatest})"));
            }
        }
        let (allowed, written) = (self.allowed_numbers(parse), self.numbers.cloned());
        IntegerRule {
            min: range.min.unwrap_or(least),
            max: range.max.unwrap_or(greatest),
            is_a_range: allowed.is_none() && written.is_none(),
            allowed,
            written,
        }
    }

    fn allowed_numbers(&mut self, parse: impl Fn(&[u8]) -> Option<i64>) -> Option<Vec<i64>> {
        let allowed = self.allowed()?;
        let mut numbers = Vec::with_capacity(allowed.len());
        for text in allowed {
            match parse(text.as_bytes()) {
                Some(number) => numbers.push(number),
                None => self.problem("allowed", format!("{text:?} is not a whole number of 64 bits")),
            }
        }
        numbers.sort_unstable();
        Some(numbers)
    }

    fn allowed(&mut self) -> Option<&'a [String]> {
        let allowed = self.loose.allowed.as_deref()?;
        if allowed.is_empty() {
            self.problem("allowed", "lists no value: every row would be rejected");
        }
        Some(allowed)
    }

    fn text_rule(&mut self) -> Option<TextRule> {
        let rule = TextRule {
            min_length: self.loose.min_length.unwrap_or(0),
            max_length: self.loose.max_length,
            allowed: self.allowed().map(|all| all.iter().map(|v| v.clone().into_bytes()).collect()),
            pattern: self.pattern(),
        };
        match rule.max_length {
            Some(0) => self.problem("max_length", "must be at least 1"),
            Some(n) if n > 10_485_760 => self.problem("max_length", "PostgreSQL's varchar ends at 10485760"),
            Some(n) if n < rule.min_length => {
                self.problem("max_length", format!("{n} is less than min_length = {}", rule.min_length));
            }
            _ => return Some(rule),
        }
        None
    }

    fn pattern(&mut self) -> Option<Regex> {
        let pattern = self.loose.pattern.as_ref()?;
        // Alone first: `a)|(b` is no pattern, but would be one within the parentheses.
        match Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?:{pattern})$"))) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let all = error.to_string();
                let why = all.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.problem("pattern", format!("is not a regular expression: {why}"));
                None
            }
        }
    }

    fn range<T: PartialOrd + Copy + Display>(&mut self, what: &str, parse: impl Fn(&[u8]) -> Option<T>) -> Range<T> {
        let loose = self.loose;
        let min = self.bound("min", loose.min.as_ref(), what, &parse);
        let max = self.bound("max", loose.max.as_ref(), what, &parse);
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            self.problem("min", format!("{min} is greater than max = {max}"));
        }
        Range { min, max }
    }

    fn bound<T>(
        &mut self,
        key: &str,
        bound: Option<&Bound>,
        what: &str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let text = match bound? {
            Bound::Number(number) => number.to_string(),
            Bound::Text(text) => text.clone(),
        };
        let parsed = parse(text.as_bytes());
        if parsed.is_none() {
            self.problem(key, format!("{text:?} is not {what}"));
        }
        parsed
    }
}
