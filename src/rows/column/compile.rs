//! Compiles the columns; every rule that does not fit is a problem with its place.

use super::{Blank, Bound, Column, IntegerRule, Kind, LooseColumn, Range, TextRule};
use crate::config::{At, Ident, Problems, Source, suggest};
use crate::rows::between::compile_pattern;
use crate::rows::boolean::Words;
use crate::rows::dialect::Dialect;
use crate::rows::header::{Header, folded};
use crate::rows::moment::{Forms, Moment};
use crate::rows::number::{NumberFormat, parse_decimal, parse_integer, why_not_unit};
use crate::rows::{cell, split};
use bytes::BytesMut;
use regex::bytes::Regex;
use std::fmt::Display;

/// The types there are, as they are written.
pub const TYPES: [&str; 10] =
    ["integer", "bigint", "numeric(p,s)", "text", "date", "timestamp", "boolean", "uuid", "json", "map"];

/// Columns that every table of PostgreSQL has (manual, section 5.6).
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Compiles a dataset's columns; everything wrong with them is a problem.
pub fn compile_columns(
    source: &Source,
    loose: &[LooseColumn],
    dialect: &Dialect,
    problems: &mut Problems,
) -> Vec<Column> {
    for (i, column) in loose.iter().enumerate() {
        let at = At::key("column").index(i);
        if loose[..i].iter().any(|other| other.name == column.name) {
            problems.push(source.problem(&at.then("name"), format!("the column {} is there twice", column.name)));
        } else if let Some((other, name)) =
            loose[..i].iter().find_map(|other| Some((other, shared_header(other, column)?)))
        {
            let message = format!("the columns {} and {} have the same header, {name:?}", other.name, column.name);
            problems.push(source.problem(&at.then("header"), message));
        }
    }
    check_positions(source, loose, dialect, problems);
    check_optional(source, loose, dialect, problems);
    check_nulls(source, loose, dialect, problems);
    if loose.len() > 1000 {
        problems.push(source.problem(&At::key("column"), "at most 1000 columns fit a table"));
    }
    let at = |i: usize| At::key("column").index(i);
    let columns = loose.iter().enumerate();
    columns.filter_map(|(i, column)| compile_column(source, &at(i), column, dialect, problems)).collect()
}

/// What is null in every row must be allowed to be null, and something must tell the file from any other.
fn check_optional(source: &Source, loose: &[LooseColumn], dialect: &Dialect, problems: &mut Problems) {
    for (i, _) in loose.iter().enumerate().filter(|(_, column)| column.optional) {
        let at = At::key("column").index(i).then("optional");
        if dialect.header == Header::None {
            let message = "only a header can lack a column, and header = \"none\" says that there is none; fields that may \
                           be missing at the end of a record are ragged = \"pad\"";
            problems.push(source.problem(&at, message));
        } else if !loose[i].nullable && loose[i].blank.is_none() {
            let message = "needs nullable = true (or blank): where the column is missing it is null in every row";
            problems.push(source.problem(&at, message));
        } else if loose.iter().all(|column| column.optional) {
            let message = "every column is optional: any file at all would do";
            problems.push(source.problem(&at, message));
        }
    }
}

/// A text that means null can't mean true or false as well.
fn check_nulls(source: &Source, loose: &[LooseColumn], dialect: &Dialect, problems: &mut Problems) {
    for (i, column) in loose.iter().enumerate() {
        for (key, words) in [("true", &column.words_for_true), ("false", &column.words_for_false)] {
            if let Some(word) = words.iter().flatten().find(|word| dialect.null.contains(word)) {
                let at = At::key("column").index(i).then(key);
                problems
                    .push(source.problem(&at, format!("{word:?} means null (dialect.null), so it can't mean {key}")));
            }
        }
    }
}

/// The names a column can have in the header.
fn headers_of(column: &LooseColumn) -> Vec<String> {
    match &column.header {
        Some(header) => header.names().to_vec(),
        None if column.position.is_some() => Vec::new(),
        None => vec![column.name.clone()],
    }
}

/// A name by which the header could mean either column. Positions tell columns of one name apart.
fn shared_header(one: &LooseColumn, other: &LooseColumn) -> Option<String> {
    if one.position.is_some() || other.position.is_some() {
        return None;
    }
    let names: Vec<String> = headers_of(one).iter().map(|name| folded(name)).collect();
    headers_of(other).iter().map(|name| folded(name)).find(|name| names.contains(name))
}

/// A position is one in a header, and belongs to one column.
fn check_positions(source: &Source, loose: &[LooseColumn], dialect: &Dialect, problems: &mut Problems) {
    for (i, column) in loose.iter().enumerate() {
        let Some(position) = column.position else { continue };
        let at = At::key("column").index(i).then("position");
        if dialect.header == Header::None {
            let message = "is one in the header, and header = \"none\" says that there is none: fields are the columns in \
                           their order";
            problems.push(source.problem(&at, message));
        } else if let Some(other) = loose[..i].iter().find(|other| other.position == Some(position)) {
            problems.push(source.problem(&at, format!("the column {} has position {position} too", other.name)));
        }
    }
}

/// Compiles one column; each rule that its type can't have is a problem of its own.
fn compile_column(
    source: &Source,
    at: &At,
    loose: &LooseColumn,
    dialect: &Dialect,
    problems: &mut Problems,
) -> Option<Column> {
    let before = problems.len();
    let name = Ident::parse(&loose.name)
        .map_err(|error| problems.push(source.problem(&at.clone().then("name"), error.to_string())))
        .ok();
    let negative = loose.negative.as_ref().unwrap_or(&dialect.negative);
    let units = loose.units.as_ref().unwrap_or(&dialect.units);
    let numbers = NumberFormat::new(&dialect.decimal, &dialect.thousands, negative, units);
    let mut compiler = Compiler { source, at, loose, numbers, problems };
    compiler.check_names();
    compiler.check_quotes(dialect);
    compiler.check_units();
    compiler.refuse_foreign_rules();
    let kind = compiler.kind();
    let blank = kind.as_ref().and_then(|kind| compiler.blank(kind));
    (problems.len() == before).then_some(())?;
    Some(Column {
        name: name?,
        headers: headers_of(loose),
        position: loose.position,
        kind: kind?,
        nullable: loose.nullable,
        optional: loose.optional,
        blank,
        null_quoted: loose.null_quoted.unwrap_or(dialect.null_quoted),
    })
}

struct Compiler<'a> {
    source: &'a Source,
    at: &'a At,
    loose: &'a LooseColumn,
    numbers: Option<NumberFormat>,
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
        let Some(header) = &self.loose.header else { return };
        let names: Vec<String> = header.names().iter().map(|name| folded(name)).collect();
        if names.is_empty() || names.iter().any(String::is_empty) {
            self.problem("header", "must not be blank; the key position finds a column without a name");
        }
        if let Some((_, twice)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            self.problem("header", format!("{twice:?} is there twice (case and blanks do not matter)"));
        }
    }

    fn check_quotes(&mut self, dialect: &Dialect) {
        if self.loose.null_quoted == Some(true) && dialect.quote.is_empty() {
            self.problem("null_quoted", "means something within quotes only, and dialect.quote is empty");
        }
    }

    fn check_units(&mut self) {
        for unit in self.loose.units.iter().flatten() {
            if let Some(why) = why_not_unit(unit) {
                self.problem("units", why);
            }
        }
    }

    fn refuse_foreign_rules(&mut self) {
        let base = self.loose.kind.split('(').next().unwrap_or("").trim();
        if !TYPES.iter().any(|known| known.split('(').next() == Some(base)) {
            return;
        }
        let rules: [(&str, bool, &[&str]); 11] = [
            ("format", self.loose.format.is_some(), &["date", "timestamp"]),
            ("negative", self.loose.negative.is_some(), &["integer", "bigint", "numeric"]),
            ("units", self.loose.units.is_some(), &["integer", "bigint", "numeric"]),
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
                let range = self.range("a date (YYYY-MM-DD)", cell::parse_date);
                Some(Kind::Date(range, self.format(Moment::Date)))
            }
            "timestamp" => {
                let range = self.range("a timestamp (YYYY-MM-DD HH:MM:SS)", cell::parse_timestamp);
                Some(Kind::Timestamp(range, self.format(Moment::Timestamp)))
            }
            "boolean" => Some(Kind::Boolean(self.words())),
            "uuid" => Some(Kind::Uuid),
            "json" => Some(Kind::Json),
            "map" => Some(Kind::Map),
            other => self.numeric(other),
        }
    }

    /// What a null stands for goes through the column's rules once, here.
    fn blank(&mut self, kind: &Kind) -> Option<Blank> {
        let text = self.loose.blank.as_ref()?.text();
        if self.loose.nullable {
            self.problem(
                "blank",
                "says what a null stands for, and nullable = true says that nulls are kept; only one can be",
            );
            return None;
        }
        let mut encoded = BytesMut::new();
        match cell::encode(kind, text.as_bytes(), split::Bytes::Any, &mut encoded) {
            Ok(()) => Some(Blank { text: text.into_bytes(), encoded: encoded.freeze() }),
            Err(error) => {
                self.problem("blank", format!("would be rejected: {}", error.message));
                None
            }
        }
    }

    fn format(&mut self, moment: Moment) -> Option<Forms> {
        let at = self.at.clone().then("format");
        Forms::compile(self.loose.format.as_ref()?, moment, |index, message| {
            let at = index.map_or_else(|| at.clone(), |index| at.clone().index(index));
            self.problems.push(self.source.problem(&at, message));
        })
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
                Some(Kind::Numeric { precision, scale, range, written: self.numbers.clone() })
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
        let (allowed, written) = (self.allowed_numbers(parse), self.numbers.clone());
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
            _ => {
                self.check_allowed_lengths(&rule);
                return Some(rule);
            }
        }
        None
    }

    /// What is allowed must not be rejected for its length.
    fn check_allowed_lengths(&mut self, rule: &TextRule) {
        let (least, greatest) = (rule.min_length, rule.max_length.unwrap_or(usize::MAX));
        for text in self.loose.allowed.iter().flatten() {
            let length = text.chars().count();
            if length < least || length > greatest {
                let bound = if length < least { "min_length" } else { "max_length" };
                self.problem("allowed", format!("{text:?} has {length} characters, which {bound} does not allow"));
            }
        }
    }

    fn pattern(&mut self) -> Option<Regex> {
        let at = self.at.clone().then("pattern");
        compile_pattern(self.source, &at, self.loose.pattern.as_ref()?, self.problems)
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
        let text = bound?.text();
        let parsed = parse(text.as_bytes());
        if parsed.is_none() {
            self.problem(key, format!("{text:?} is not {what}"));
        }
        parsed
    }
}
