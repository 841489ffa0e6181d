//! The shape of a configuration file: its JSON Schema, and what is said of values that do not fit it.

use super::problem::{At, Problems, Step, suggest};
use super::source::Source;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, ValidationError, Validator};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::marker::PhantomData;

/// How serde hands on a date or time that stands in TOML without quotes.
const DATETIME: &str = "$__toml_private_datetime";

/// The JSON Schema of a file that is read as `T`. TOML knows no null, so the schema has none.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(drop_null));
    settings.into_generator().into_root_schema_for::<T>()
}

fn drop_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    let is_null = |alternative: &Value| alternative["type"] == "null";
    let Some(Value::Array(alternatives)) = schema.get_mut("anyOf") else { return };
    alternatives.retain(|alternative| !is_null(alternative));
    if let [Value::Object(only)] = &alternatives[..] {
        let only = only.clone();
        schema.remove("anyOf");
        only.into_iter().for_each(|(key, value)| {
            schema.ensure_object().entry(key).or_insert(value);
        });
    }
}

/// A value that does not fit.
pub(super) struct Misfit {
    /// Where it is.
    pub(super) at: At,
    /// What was found and what would fit.
    pub(super) message: String,
    /// How to go on without it.
    remedy: Remedy,
}

/// How a table can be looked at in which a key does not fit.
enum Remedy {
    /// Without the key.
    Drop,
    /// With this in its place: the key must be there.
    Put(Value),
    /// Not at all.
    DropTable,
}

/// Everything that does not fit.
pub(super) fn misfits(schema: &Schema, value: &Value) -> Vec<Misfit> {
    misfits_by(schema, &validator(schema), value)
}

fn validator(schema: &Schema) -> Result<Validator, String> {
    jsonschema::validator_for(schema.as_value()).map_err(|error| error.to_string())
}

fn misfits_by(schema: &Schema, validator: &Result<Validator, String>, value: &Value) -> Vec<Misfit> {
    let mut found = Vec::new();
    match validator {
        Ok(validator) => validator.iter_errors(value).for_each(|error| explain(schema, &error, &mut found)),
        Err(error) => {
            found.push(Misfit {
                at: At::file(),
                message: format!("its schema is broken: {error}"),
                remedy: Remedy::Drop,
            });
        }
    }
    found
}

/// The shape of values that are read as `T`, made once for many of them.
pub struct Shape<T> {
    schema: Schema,
    validator: Result<Validator, String>,
    read_as: PhantomData<fn() -> T>,
}

impl<T: JsonSchema + DeserializeOwned> Shape<T> {
    /// Makes the shape of `T`.
    #[must_use]
    pub fn new() -> Self {
        let schema = schema_of::<T>();
        Self { validator: validator(&schema), schema, read_as: PhantomData }
    }

    /// The value as a `T`, as [`Source::typed`] does with the values of a file.
    pub fn typed(&self, source: &Source, value: Value, problems: &mut Problems) -> Option<T> {
        let misfits = misfits_by(&self.schema, &self.validator, &value);
        for misfit in &misfits {
            problems.push(source.problem(&misfit.at, &misfit.message));
        }
        let is_fit = misfits.is_empty();
        match serde_json::from_value(mended(value, misfits)) {
            Ok(typed) => Some(typed),
            Err(_) if !is_fit => None,
            Err(error) => {
                problems.push(source.problem(&At::file(), error.to_string()));
                None
            }
        }
    }
}

impl<T: JsonSchema + DeserializeOwned> Default for Shape<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes away the keys that do not fit, and puts something in the place of those that must be there, so that
/// the rest can be looked at. What is then said of one of these keys says nothing new: [`super::Problems::drop_echoes`].
pub(super) fn mended(mut value: Value, misfits: Vec<Misfit>) -> Value {
    for Misfit { at, remedy, .. } in misfits {
        let keys = at.0.iter().enumerate().rev().filter(|(_, step)| matches!(step, Step::Key(_)));
        let mut keys = keys.skip(usize::from(matches!(remedy, Remedy::DropTable)));
        let Some((last, Step::Key(name))) = keys.next() else { continue };
        let Some(Value::Object(table)) = at.0[..last].iter().try_fold(&mut value, child) else { continue };
        match remedy {
            Remedy::Put(other) => table.insert(name.clone(), other),
            Remedy::Drop | Remedy::DropTable => table.remove(name),
        };
    }
    value
}

fn child<'v>(value: &'v mut Value, step: &Step) -> Option<&'v mut Value> {
    match step {
        Step::Key(name) => value.get_mut(name),
        Step::Index(index) => value.get_mut(index),
    }
}

fn explain(schema: &Schema, error: &ValidationError<'_>, found: &mut Vec<Misfit>) {
    let at = location(error);
    let message = match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let known = known_keys(schema, error);
            found.extend(unexpected.iter().map(|name| Misfit {
                at: at.clone().then(name),
                message: format!("unknown key{}", suggest(name, known.clone())),
                remedy: Remedy::Drop,
            }));
            return;
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match closest(error, context) {
            Some(inner) => return inner.iter().for_each(|error| explain(schema, error, found)),
            None => none_of(error, context),
        },
        Kind::Required { property } => {
            let at = at.then(property.as_str().unwrap_or_default());
            let remedy = remedy(schema, &at, error);
            return found.push(Misfit { at, message: "is missing".to_owned(), remedy });
        }
        Kind::Pattern { .. } => unlike(schema, error),
        _ => message(error),
    };
    let remedy = remedy(schema, &at, error);
    found.push(Misfit { at, message, remedy });
}

fn remedy(schema: &Schema, at: &At, error: &ValidationError<'_>) -> Remedy {
    let path = error.evaluation_path().as_str();
    let table = path.strip_suffix("/required").or_else(|| path.rfind("/properties/").map(|end| &path[..end]));
    let key = at.0.iter().rev().find_map(|step| if let Step::Key(name) = step { Some(name.as_str()) } else { None });
    let (Some(table), Some(key)) = (table.and_then(|path| followed(schema, path)), key) else { return Remedy::Drop };
    if !table["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key)) {
        return Remedy::Drop;
    }
    match table["properties"][key]["type"].as_str() {
        Some("string") => Remedy::Put(Value::String(String::new())),
        Some("array") => Remedy::Put(Value::Array(Vec::new())),
        _ => Remedy::DropTable,
    }
}

/// The part of a schema that a path leads to, its references followed.
pub(super) fn followed<'s>(schema: &'s Schema, path: &str) -> Option<&'s Value> {
    let root = schema.as_value();
    path.split('/').skip(1).try_fold(root, |node, step| match (step, node) {
        ("$ref", _) => root.pointer(node["$ref"].as_str()?.trim_start_matches('#')),
        (index, Value::Array(alternatives)) => alternatives.get(index.parse::<usize>().ok()?),
        (key, _) => node.get(key),
    })
}

/// The keys that the table, in which an unknown one was found, can have.
fn known_keys<'s>(schema: &'s Schema, error: &ValidationError<'_>) -> impl Iterator<Item = &'s str> + Clone {
    let path = error.schema_path().as_str();
    let table = path.rsplit_once('/').map_or("", |(table, _)| table);
    let properties = schema.as_value().pointer(&format!("{table}/properties")).and_then(Value::as_object);
    properties.into_iter().flat_map(|keys| keys.keys().map(String::as_str))
}

/// The alternative that the value was meant to be, when it is of its type and wrong only within.
fn closest<'e>(
    error: &ValidationError<'_>,
    alternatives: &'e [Vec<ValidationError<'static>>],
) -> Option<&'e [ValidationError<'static>]> {
    let is_within = |inner: &ValidationError<'_>| {
        let is_other = matches!(inner.kind(), Kind::Type { .. } | Kind::Constant { .. } | Kind::Enum { .. });
        !is_other || inner.instance_path() != error.instance_path()
    };
    alternatives.iter().map(Vec::as_slice).find(|inner| inner.iter().all(is_within))
}

fn none_of(error: &ValidationError<'_>, alternatives: &[Vec<ValidationError<'static>>]) -> String {
    let inner = || alternatives.iter().flatten();
    let words: Vec<&str> = inner().flat_map(words_of).collect();
    if !words.is_empty() {
        return unknown_word(error.instance(), words);
    }
    let types: Vec<JsonType> = inner().flat_map(types_of).collect();
    if types.is_empty() { error.to_string() } else { wrong_type(error.instance(), &types) }
}

fn message(error: &ValidationError<'_>) -> String {
    let found = error.instance();
    match error.kind() {
        Kind::Enum { .. } | Kind::Constant { .. } => unknown_word(found, words_of(error)),
        Kind::Type { .. } => wrong_type(found, &types_of(error)),
        Kind::Minimum { limit } => format!("must be at least {limit}, found {}", shown(found)),
        Kind::Maximum { limit } => format!("must be at most {limit}, found {}", shown(found)),
        Kind::MinItems { limit: 1 } => "must have at least one entry".to_owned(),
        Kind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        Kind::MaxLength { limit: 1 } => format!("must be a single character, found {}", shown(found)),
        _ => error.to_string(),
    }
}

/// What a value that has a form of its own should look like: its default.
fn unlike(schema: &Schema, error: &ValidationError<'_>) -> String {
    let path = error.schema_path().as_str();
    let value = path.rsplit_once('/').map_or("", |(value, _)| value);
    match schema.as_value().pointer(&format!("{value}/default")) {
        Some(default) => format!("must be written like {default}, found {}", shown(error.instance())),
        None => error.to_string(),
    }
}

fn words_of<'e>(error: &'e ValidationError<'_>) -> Vec<&'e str> {
    match error.kind() {
        Kind::Constant { expected_value } => expected_value.as_str().into_iter().collect(),
        Kind::Enum { options } => options.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn types_of(error: &ValidationError<'_>) -> Vec<JsonType> {
    match error.kind() {
        Kind::Type { kind: TypeKind::Single(one) } => vec![*one],
        Kind::Type { kind: TypeKind::Multiple(several) } => several.iter().collect(),
        _ => Vec::new(),
    }
}

fn unknown_word<'a>(found: &Value, known: impl IntoIterator<Item = &'a str>) -> String {
    match found.as_str() {
        Some(text) => format!("{text:?} is not known here{}", suggest(text, known)),
        None => format!("{} is not known here{}", shown(found), suggest("", known)),
    }
}

fn wrong_type(found: &Value, expected: &[JsonType]) -> String {
    let names: Vec<&str> = expected.iter().map(|t| type_name(*t)).collect();
    let text = found.as_str().unwrap_or_default();
    let is_other_in_quotes = expected.iter().any(|kind| match kind {
        JsonType::Integer => text.parse::<i64>().is_ok(),
        JsonType::Number => text.parse::<f64>().is_ok(),
        JsonType::Boolean => text.parse::<bool>().is_ok(),
        _ => false,
    });
    let hint = if expected.contains(&JsonType::String) && written(found).is_some() {
        "; put it in quotes"
    } else if is_other_in_quotes {
        "; write it without quotes"
    } else {
        ""
    };
    format!("must be {}, found {}{hint}", names.join(" or "), shown(found))
}

const fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::String => "a text",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::Boolean => "true or false",
        JsonType::Array => "a list",
        JsonType::Object => "a table",
        JsonType::Null => "nothing",
    }
}

/// A single value as it is written in TOML; none for lists and tables.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => map.get(DATETIME).and_then(Value::as_str).map(str::to_owned),
        Value::Array(_) => None,
        Value::Null => Some("no number".to_owned()),
        single => Some(single.to_string()),
    }
}

fn shown(value: &Value) -> String {
    written(value).unwrap_or_else(|| if value.is_array() { "a list".to_owned() } else { "a table".to_owned() })
}

fn location(error: &ValidationError<'_>) -> At {
    At(error
        .instance_path()
        .segments()
        .map(|segment| match segment {
            LocationSegment::Property(name) => Step::Key(name.into_owned()),
            LocationSegment::Index(index) => Step::Index(index),
        })
        .collect())
}
