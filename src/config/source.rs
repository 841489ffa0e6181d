//! One TOML file: its values checked against the JSON Schema of their shape, and where each key stands.

use super::problem::{At, Problem, Problems, Step, TextPlace, newlines};
use super::shape::{mended, misfits, schema_of};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration file that was read: its text for line numbers, its values for compiling.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    text: Arc<str>,
    overlay: Option<Overlay>,
}

/// A table of a file whose keys take the place of another file's.
#[derive(Clone, Debug)]
struct Overlay {
    at: At,
    /// The key of an array whose elements the table has by name, and their names in the array's order.
    array: (&'static str, Vec<String>),
    /// The other file's values with those of the table in their place.
    values: Arc<Value>,
}

impl Source {
    /// Reads a file; what can't be read is a problem.
    pub fn read(path: &Path, problems: &mut Problems) -> Option<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(Self::of(path, text)),
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
        Self { path: path.into(), text: Arc::from(text.into()), overlay: None }
    }

    /// The table at `at` of this file, whose keys take the place of those of another file. A problem of a key of the
    /// result is one of the table's key. Elements of the array `key` stand in the table by their `names`.
    #[must_use]
    pub fn overlay(&self, at: At, (key, names): (&'static str, Vec<String>), values: Value) -> Self {
        let values = Arc::new(values);
        Self { overlay: Some(Overlay { at, array: (key, names), values }), ..self.clone() }
    }

    /// All values; null where the text is not TOML.
    #[must_use]
    pub fn values(&self) -> Value {
        match &self.overlay {
            Some(overlay) => overlay.values.as_ref().clone(),
            None => toml::from_str(&self.text).unwrap_or_default(),
        }
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
    /// Where some do not fit it is of the others, so that they can be checked too; what is then found of those
    /// that do not fit is to be dropped ([`Problems::drop_echoes`]).
    pub fn typed<T: DeserializeOwned + JsonSchema>(&self, problems: &mut Problems) -> Option<T> {
        self.check_syntax(problems)?;
        let value: Value = self.deserialized(problems)?;
        let misfits = misfits(&schema_of::<T>(), &value);
        for misfit in &misfits {
            problems.push(self.problem(&misfit.at, &misfit.message));
        }
        if misfits.is_empty() {
            self.deserialized(problems)
        } else {
            serde_json::from_value(mended(value, misfits)).ok()
        }
    }

    /// One problem for each line: what follows on it is mostly a consequence.
    fn check_syntax(&self, problems: &mut Problems) -> Option<()> {
        let (_, errors) = DeTable::parse_recoverable(&self.text);
        let (mut last, mut is_broken) = (0, false);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let is_repeated = error.message() == "duplicate key";
            let message = if is_repeated {
                format!("the key {} is there twice", &self.text[span.clone()])
            } else {
                error.message().to_owned()
            };
            let problem = self.problem_at(span.start, message);
            // After a broken header the keys below it seem to be those of the table before.
            if problem.line != last && !(is_broken && is_repeated) {
                (last, is_broken) = (problem.line, is_broken || !is_repeated);
                problems.push(problem);
            }
        }
        errors.is_empty().then_some(())
    }

    fn deserialized<T: DeserializeOwned>(&self, problems: &mut Problems) -> Option<T> {
        match toml::from_str(&self.text) {
            Ok(value) => Some(value),
            Err(error) => {
                let offset = error.span().map_or(0, |s| s.start);
                let message = if error.message() == "JSON number out of range" {
                    "is a number beyond 64 bits"
                } else {
                    error.message()
                };
                problems.push(Problem { key: self.key_at(offset).to_string(), ..self.problem_at(offset, message) });
                None
            }
        }
    }

    /// A file must be called as what is in it.
    pub fn check_name(&self, name: &str, problems: &mut Problems) {
        if self.overlay.is_none() && self.path.file_stem().is_some_and(|stem| stem != name) {
            let file = self.path.file_name().unwrap_or_default().to_string_lossy();
            let message = format!("is {name:?}, but the file is called {file}: the two must be the same");
            problems.push(self.problem(&At::key("name"), message));
        }
    }

    /// A problem of the key at `at`.
    pub fn problem(&self, at: &At, message: impl Into<String>) -> Problem {
        let at = self.place(at);
        Problem { file: self.path.clone(), line: self.line_of(&at), key: at.to_string(), message: message.into() }
    }

    /// Where a key stands in the file.
    fn place(&self, at: &At) -> At {
        let Some(Overlay { at: table, array: (key, names), .. }) = &self.overlay else { return at.clone() };
        let is_named = matches!(at.0.first(), Some(Step::Key(first)) if first == key);
        let within = at.0.iter().enumerate().map(|(i, step)| match step {
            Step::Index(index) if i == 1 && is_named => {
                names.get(*index).map_or_else(|| step.clone(), |name| Step::Key(name.clone()))
            }
            step => step.clone(),
        });
        At(table.0.iter().cloned().chain(within).collect())
    }

    /// A problem of the text at byte `offset`.
    pub fn problem_at(&self, offset: usize, message: impl Into<String>) -> Problem {
        Problem { file: self.path.clone(), line: self.line_at(offset), key: String::new(), message: message.into() }
    }

    /// Where the text that is the value of the key at `at` begins.
    #[must_use]
    pub fn text_place(&self, at: &At) -> TextPlace {
        let Problem { file, line, key, .. } = self.problem(at, "");
        let Some((_, value)) = self.find(at) else { return TextPlace { file, line, key } };
        // TOML drops a line end right after the opening quotes.
        let raw = self.text.get(value.span()).unwrap_or_default();
        let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 0 };
        let is_dropped = raw[quotes..].starts_with('\n') || raw[quotes..].starts_with("\r\n");
        TextPlace { file, line: self.line_at(value.span().start) + usize::from(quotes > 0 && is_dropped), key }
    }

    /// Whether the file has the key.
    #[must_use]
    pub fn has(&self, at: &At) -> bool {
        let Ok(table) = DeTable::parse(&self.text) else { return false };
        let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        at.0.iter().try_fold(root, |node, step| Some(descend(&node, step)?.1)).is_some()
    }

    fn line_at(&self, offset: usize) -> usize {
        1 + newlines(self.text.as_bytes(), offset)
    }

    /// The key whose value lies at byte `offset`.
    fn key_at(&self, offset: usize) -> At {
        let Ok(table) = DeTable::parse(&self.text) else { return At::file() };
        let root = Spanned::new(0..self.text.len(), DeValue::Table(table.into_inner()));
        way_to(&root, offset).map_or_else(At::file, |mut steps| {
            steps.reverse();
            At(steps)
        })
    }

    /// The line of the key at `at` if the file has it.
    #[must_use]
    pub fn line_if_set(&self, at: &At) -> Option<usize> {
        let table = DeTable::parse(&self.text).ok()?;
        let mut node = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let mut offset = None;
        for step in &self.place(at).0 {
            let (position, next) = descend(&node, step)?;
            offset = Some(position);
            node = next;
        }
        Some(self.line_at(offset?))
    }

    /// The line of the deepest part of `at` that the file has; 0 for the file as a whole.
    fn line_of(&self, at: &At) -> usize {
        self.find(at).map_or(0, |(offset, _)| self.line_at(offset))
    }

    /// The deepest part of `at` that the file has: where it starts, and its value. `None` for the file as a whole.
    fn find(&self, at: &At) -> Option<(usize, Spanned<DeValue<'_>>)> {
        let table = DeTable::parse(&self.text).ok()?;
        let mut node = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let mut offset = None;
        for step in &at.0 {
            let Some((position, next)) = descend(&node, step) else { break };
            offset = Some(position);
            node = next;
        }
        offset.map(|offset| (offset, node))
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

/// The steps, last first, to the single value that lies at `offset`.
fn way_to(node: &Spanned<DeValue<'_>>, offset: usize) -> Option<Vec<Step>> {
    let further = |step: Step, child: &Spanned<DeValue<'_>>| {
        let mut steps = way_to(child, offset)?;
        steps.push(step);
        Some(steps)
    };
    match node.get_ref() {
        DeValue::Table(table) => {
            table.iter().find_map(|(key, child)| further(Step::Key(key.get_ref().to_string()), child))
        }
        DeValue::Array(array) => array.iter().enumerate().find_map(|(index, child)| further(Step::Index(index), child)),
        _ => node.span().contains(&offset).then(Vec::new),
    }
}
