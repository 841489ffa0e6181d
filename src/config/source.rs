//! One TOML file: its values checked against the JSON Schema of their shape, and where each key stands.

use super::problem::{At, Problem, Problems, Step, suggest};
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::paths::LocationSegment;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration file that was read: its text for line numbers, its values for compiling.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Reads a file; what can't be read is a problem.
    pub fn read(path: &Path, problems: &mut Problems) -> Option<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(Self { path: path.to_owned(), text }),
            Err(error) => {
                problems.push(Problem {
                    file: path.to_owned(),
                    line: 0,
                    key: String::new(),
                    message: format!("can't be read: {error}"),
                });
                None
            }
        }
    }

    /// A file whose text is already at hand.
    #[must_use]
    pub fn of(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values in the shape `T`; every syntax error, unknown key, missing key and wrong value is a problem.
    pub fn typed<T: DeserializeOwned + JsonSchema>(&self, problems: &mut Problems) -> Option<T> {
        let before = problems.len();
        let (_, syntax) = DeTable::parse_recoverable(&self.text);
        for error in &syntax {
            problems.push(self.problem_at(error.span().map_or(0, |s| s.start), error.message()));
        }
        let value: Value = if syntax.is_empty() { toml::from_str(&self.text).ok()? } else { return None };
        self.check_shape::<T>(&value, problems);
        if problems.len() > before {
            return None;
        }
        match toml::from_str(&self.text) {
            Ok(typed) => Some(typed),
            Err(error) => {
                problems.push(self.problem_at(error.span().map_or(0, |s| s.start), error.message()));
                None
            }
        }
    }

    fn check_shape<T: JsonSchema>(&self, value: &Value, problems: &mut Problems) {
        let schema = schemars::schema_for!(T);
        match jsonschema::validator_for(schema.as_value()) {
            Ok(validator) => {
                for error in validator.iter_errors(value) {
                    self.explain(&error, problems);
                }
            }
            Err(error) => problems.push(self.problem(&At::file(), format!("its schema is broken: {error}"))),
        }
    }

    fn explain(&self, error: &jsonschema::ValidationError<'_>, problems: &mut Problems) {
        let at = location(error);
        let message = match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                for name in unexpected {
                    problems.push(self.problem(&at.clone().then(name), "unknown key".to_owned()));
                }
                return;
            }
            Kind::Required { property } => format!("the key {property} is missing"),
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => alternatives(error, context),
            Kind::Enum { options } => {
                let known = options.as_array().into_iter().flatten().filter_map(Value::as_str);
                unknown_word(error.instance(), known)
            }
            _ => error.to_string(),
        };
        problems.push(self.problem(&at, message));
    }

    /// A problem of the key at `at`.
    pub fn problem(&self, at: &At, message: impl Into<String>) -> Problem {
        Problem {
            file: self.path.clone(),
            line: self.line_of(at),
            key: at.to_string(),
            message: message.into(),
        }
    }

    /// A problem of the text at byte `offset`.
    pub fn problem_at(&self, offset: usize, message: impl Into<String>) -> Problem {
        Problem {
            file: self.path.clone(),
            line: self.line_at(offset),
            key: String::new(),
            message: message.into(),
        }
    }

    fn line_at(&self, offset: usize) -> usize {
        1 + self.text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count()
    }

    /// The line of the deepest part of `at` that the file has; 0 for the file as a whole.
    fn line_of(&self, at: &At) -> usize {
        let Ok(table) = DeTable::parse(&self.text) else { return 0 };
        let mut node = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let mut offset = None;
        for step in &at.0 {
            let Some((position, next)) = descend(&node, step) else { break };
            offset = Some(position);
            node = next;
        }
        offset.map_or(0, |offset| self.line_at(offset))
    }
}

/// The child at `step` and where it starts: a key's own place, an element's first byte.
fn descend<'i>(node: &Spanned<DeValue<'i>>, step: &Step) -> Option<(usize, Spanned<DeValue<'i>>)> {
    match (node.get_ref(), step) {
        (DeValue::Table(table), Step::Key(name)) => {
            let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
            Some((key.span().start, value.clone()))
        }
        (DeValue::Array(array), Step::Index(index)) => {
            let value = array.get(*index)?;
            Some((value.span().start, value.clone()))
        }
        _ => None,
    }
}

fn location(error: &jsonschema::ValidationError<'_>) -> At {
    At(error
        .instance_path()
        .segments()
        .map(|segment| match segment {
            LocationSegment::Property(name) => Step::Key(name.into_owned()),
            LocationSegment::Index(index) => Step::Index(index),
        })
        .collect())
}

/// What a value could have been, when none of a schema's alternatives fits it.
fn alternatives(error: &jsonschema::ValidationError<'_>, context: &[Vec<jsonschema::ValidationError<'_>>]) -> String {
    let inner = || context.iter().flatten();
    let words: Vec<&str> = inner().flat_map(words_of).collect();
    if !words.is_empty() {
        return unknown_word(error.instance(), words);
    }
    inner().next().map_or_else(|| error.to_string(), ToString::to_string)
}

fn words_of<'a>(error: &'a jsonschema::ValidationError<'_>) -> Vec<&'a str> {
    match error.kind() {
        Kind::Constant { expected_value } => expected_value.as_str().into_iter().collect(),
        Kind::Enum { options } => options.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => context.iter().flatten().flat_map(words_of).collect(),
        _ => Vec::new(),
    }
}

fn unknown_word<'a>(found: &Value, known: impl IntoIterator<Item = &'a str>) -> String {
    match found.as_str() {
        Some(text) => format!("{text:?} is not known here{}", suggest(text, known)),
        None => format!("{found} is not a word that is known here{}", suggest("", known)),
    }
}
