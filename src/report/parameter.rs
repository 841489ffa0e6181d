//! What a report can be asked for beside its run date: declared parameters, and values that fit them.

use super::bind::Bound;
use super::compile::Report;
use crate::config::{At, Ident, Problems, Source, suggest};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The parameter that every report may name without declaring it.
pub const RUN_DATE: &str = "run_date";

/// Those that tell which part of an answer is wanted, over HTTP.
const PAGING: [&str; 2] = ["limit", "offset"];

/// A `[[parameter]]` of a report: `:NAME` in its SQL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseParameter {
    /// Its name, an identifier.
    pub name: String,
    /// What its values are.
    pub r#type: ParameterType,
    /// Whether a value must be given. Without a value and a default it is null.
    #[serde(default)]
    pub required: bool,
    /// The value where none is given, written as it would be on the command line.
    pub default: Option<String>,
    /// What it is for, in a sentence.
    pub about: String,
    /// A query that returns a row if the value names something that exists, such as
    /// `select from billing_customer where name = :customer`. If it returns none the request is refused: 404 over HTTP,
    /// exit code 64 on the command line.
    pub must_exist: Option<String>,
}

/// What a parameter's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// A day, as YYYY-MM-DD.
    Date,
    /// A month, as YYYY-MM; in the SQL it is its first day.
    Month,
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A decimal number.
    Decimal,
    /// true or false.
    Boolean,
}

/// A checked parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its place among the report's parameters, from 0.
    pub position: usize,
    /// Its name.
    pub name: Ident,
    /// What its values are.
    pub r#type: ParameterType,
    /// Whether a value must be given.
    pub required: bool,
    /// The value where none is given.
    pub default: Option<Value>,
    /// What it is for.
    pub about: String,
    /// The query that returns a row if the value names something that exists.
    pub must_exist: Option<Bound>,
}

/// A value that fits its parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A day.
    Date(NaiveDate),
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A decimal number.
    Decimal(Decimal),
    /// true or false.
    Boolean(bool),
}

/// The values of all parameters that a report's SQL names; none is null.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<String, Option<Value>>);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => date.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => number.fmt(f),
            Self::Decimal(number) => number.fmt(f),
            Self::Boolean(is_true) => is_true.fmt(f),
        }
    }
}

impl ParameterType {
    /// The placeholder number `n` as PostgreSQL shall read it.
    pub(super) fn placeholder(self, n: usize) -> String {
        match self {
            Self::Date | Self::Month => format!("${n}::date"),
            Self::Text => format!("${n}::text"),
            Self::Integer => format!("${n}::bigint"),
            Self::Decimal => format!("${n}::text::numeric"),
            Self::Boolean => format!("${n}::boolean"),
        }
    }

    /// What a value looks like, for messages.
    const fn form(self) -> &'static str {
        match self {
            Self::Date => "a date as YYYY-MM-DD",
            Self::Month => "a month as YYYY-MM",
            Self::Text => "a text without NUL",
            Self::Integer => "a whole number",
            Self::Decimal => "a decimal number of at most 28 digits",
            Self::Boolean => "true or false",
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let day = |text: &str| {
            let is_meant = |(i, b): (usize, u8)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() };
            let has_form = text.len() == 10 && text.bytes().enumerate().all(is_meant);
            has_form.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()
        };
        let value = match self {
            Self::Date => day(text).map(Value::Date),
            Self::Month => day(&format!("{text}-01")).map(Value::Date),
            Self::Text => (!text.contains('\0')).then(|| Value::Text(text.to_owned())),
            Self::Integer => text.parse().ok().map(Value::Integer),
            Self::Decimal => Decimal::from_str_exact(text).ok().map(Value::Decimal),
            Self::Boolean => text.parse().ok().map(Value::Boolean),
        };
        value.ok_or_else(|| format!("is {text:?}, expected {}", self.form()))
    }
}

impl Values {
    /// The values of a report that is asked for a run date alone; its parameters have their defaults.
    #[must_use]
    pub fn of_run_date(report: &Report, run_date: NaiveDate) -> Self {
        let defaults = report.parameters.iter().map(|p| (p.name.to_string(), p.default.clone()));
        Self(defaults.chain([(RUN_DATE.to_owned(), Some(Value::Date(run_date)))]).collect())
    }

    /// The values that are given as texts, over a report's defaults.
    ///
    /// # Errors
    /// Everything that is wrong with them: unknown and repeated names, values of another type, required ones that are missing.
    pub fn parse(report: &Report, run_date: NaiveDate, given: &[(String, String)]) -> Result<Self, Vec<String>> {
        let (mut values, mut problems) = (Self::of_run_date(report, run_date), Vec::new());
        for (i, (name, text)) in given.iter().enumerate() {
            let Some(parameter) = report.parameters.iter().find(|p| p.name.as_str() == name) else {
                let hint = suggest(name, report.parameters.iter().map(|p| p.name.as_str()));
                problems.push(format!("the report {} has no parameter {name:?}{hint}", report.name));
                continue;
            };
            if given[..i].iter().any(|(other, _)| other == name) {
                problems.push(format!("{name} is given twice"));
            }
            match parameter.r#type.parse(text) {
                Ok(value) => drop(values.0.insert(name.clone(), Some(value))),
                Err(why) => problems.push(format!("{name} {why}")),
            }
        }
        for parameter in report.parameters.iter().filter(|p| p.required) {
            if !given.iter().any(|(name, _)| name == parameter.name.as_str()) {
                let (name, form) = (&parameter.name, parameter.r#type.form());
                problems.push(format!("{name} is missing, {form}: {}", parameter.about));
            }
        }
        if problems.is_empty() { Ok(values) } else { Err(problems) }
    }

    /// The value of a parameter; none is null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)?.as_ref()
    }

    /// The value of a parameter that is a date.
    #[must_use]
    pub fn date(&self, name: &str) -> Option<NaiveDate> {
        match self.get(name) {
            Some(Value::Date(date)) => Some(*date),
            _ => None,
        }
    }
}

/// Compiles a report's parameters; everything wrong with them is a problem.
pub(super) fn compile_parameters(source: &Source, loose: &[LooseParameter], problems: &mut Problems) -> Vec<Parameter> {
    let compile = |(i, parameter): (usize, &LooseParameter)| {
        let at = |key: &str| At::key("parameter").index(i).then(key);
        let name = match Ident::parse(&parameter.name) {
            Ok(name) if name.as_str() == RUN_DATE => {
                problems.push(source.problem(&at("name"), "run_date is there without being declared"));
                None
            }
            Ok(name) if PAGING.contains(&name.as_str()) => {
                let message = format!("{name} tells over HTTP which rows are wanted; call it something else");
                problems.push(source.problem(&at("name"), message));
                None
            }
            Ok(name) => Some(name),
            Err(error) => {
                problems.push(source.problem(&at("name"), error.to_string()));
                None
            }
        };
        if loose[..i].iter().any(|other| other.name == parameter.name) {
            problems.push(source.problem(&at("name"), format!("the parameter {} is there twice", parameter.name)));
        }
        if parameter.required && parameter.default.is_some() {
            problems.push(source.problem(&at("default"), "means nothing for a parameter that must be given"));
        }
        let default = parameter.default.as_deref().map(|text| parameter.r#type.parse(text)).transpose();
        let default = default.unwrap_or_else(|why| {
            problems.push(source.problem(&at("default"), why));
            None
        });
        let LooseParameter { r#type, required, about, .. } = parameter;
        Some(Parameter {
            position: i,
            name: name?,
            r#type: *r#type,
            required: *required,
            default,
            about: about.clone(),
            must_exist: None,
        })
    };
    loose.iter().enumerate().filter_map(compile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_of_its_type_and_of_one_form() {
        use ParameterType::{Boolean, Date, Decimal, Integer, Month, Text};
        for (kind, good, bad) in [
            (Date, "2026-02-28", &["2026-02-29", "2026-2-28", "28.02.2026", "", "today", "2026-02-28 "][..]),
            (Month, "2026-02", &["2026-13", "2026-2", "2026-02-01", ""]),
            (Integer, "-12", &["1.0", "", "9223372036854775808", "0x1"]),
            (Decimal, "0.10", &["1e3", "", "NaN", "1,5"]),
            (Boolean, "true", &["yes", "1", "TRUE", ""]),
            (Text, "", &["a\0b"]),
        ] {
            assert!(kind.parse(good).is_ok(), "{kind:?} {good:?}");
            for text in bad {
                assert!(kind.parse(text).is_err(), "{kind:?} {text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_a_message_and_never_a_panic(text in ".{0,40}") {
            use ParameterType::{Boolean, Date, Decimal, Integer, Month, Text};
            for kind in [Date, Month, Text, Integer, Decimal, Boolean] {
                let _ = kind.parse(&text);
            }
        }
    }
}
