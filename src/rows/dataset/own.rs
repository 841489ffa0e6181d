//! What differs from a dataset for one customer: `[customer.dataset.NAME]`.
//!
//! The keys of that table take the place of those of the dataset's file before anything is compiled, so that every key
//! of a dialect or a column can differ without code of its own. What the dataset's tables are, and what is done with
//! their rows, is the same for all customers: they share a view, measures and reports.

use super::{CUSTOMER, Dataset, LooseDataset, compile_dataset};
use crate::config::{At, Customer, Ident, Own, Problems, Shape, Source, suggest};
use crate::rows::publish::target::Target;
use crate::rows::source::address::shown;
use schemars::Schema;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Keys of a dataset's file that are the same for all customers.
const SHARED: [&str; 15] = [
    "name",
    "calendar",
    "table",
    "into",
    "consolidated",
    "mode",
    "publish",
    "streams",
    "key",
    "run_date_column",
    "unique",
    "unique_keep",
    "unique_max_rows",
    "count_distinct",
    "measures",
];

/// Keys of a column that are the same for all customers.
const SHARED_OF_COLUMN: [&str; 2] = ["name", "type"];

/// Tables of which nothing is inherited if the customer's own one sets one of these keys: the others would not fit it.
const KINDS: [(&str, &[&str]); 2] = [("control", &["from", "form"]), ("complete", &["when"])];

/// Tables that a customer can do without: `control = "none"`.
const OPTIONAL: [&str; 2] = ["control", "parts"];

/// The array of a dataset's file whose elements a customer's table has by name.
const COLUMN: &str = "column";

/// What compiling the customers of a dataset needs.
pub struct Surroundings<'a> {
    /// The file of the customers.
    pub customers: &'a Source,
    /// The file of the dataset.
    pub dataset: &'a Source,
    /// The shape of a dataset's file.
    pub shape: &'a Shape<LooseDataset>,
    /// The schema its tables are in.
    pub schema: &'a Ident,
    /// The tables of systems that rows can go into.
    pub targets: &'a [&'static Target],
}

/// Compiles a dataset as it is for the customers that differ from the others; everything wrong with what they set is a
/// problem of theirs. `dataset` is `None` if its own file has problems.
pub fn compile_own(
    around: &Surroundings<'_>,
    dataset: Option<&Dataset>,
    customers: &[Customer],
    problems: &mut Problems,
) -> BTreeMap<Ident, Arc<Dataset>> {
    let base = around.dataset.values();
    let (name, names) = (base["name"].as_str().unwrap_or_default(), column_names(&base));
    let mut compiled = BTreeMap::new();
    if !base["table"].as_str().is_some_and(|table| table.contains(CUSTOMER)) {
        return compiled;
    }
    for customer in customers.iter().filter(|customer| customer.delivers(name)) {
        let Some(own) = customer.own.get(name).filter(|own| !own.keys.is_empty()) else { continue };
        let values = merged(&base, own);
        let source = around.customers.overlay(customer.place_of(name), (COLUMN, names.clone()), values);
        let compiling = Compiling { around, source: &source, dataset, base: &base, name };
        if let Some(of_customer) = compiling.compile(customer, own, problems) {
            compiled.insert(customer.name.clone(), Arc::new(of_customer));
        }
    }
    compiled
}

struct Compiling<'a> {
    around: &'a Surroundings<'a>,
    source: &'a Source,
    dataset: Option<&'a Dataset>,
    base: &'a Value,
    name: &'a str,
}

impl Compiling<'_> {
    fn compile(&self, customer: &Customer, own: &Own, problems: &mut Problems) -> Option<Dataset> {
        let before = problems.len();
        check_keys(self.source, own, &column_names(self.base), self.name, problems);
        (problems.len() == before).then_some(())?;
        let loose = self.around.shape.typed(self.source, self.source.values(), problems)?;
        let known = problems.len();
        // All that is the customer's own is in the file by now.
        let customer = Customer { own: BTreeMap::new(), ..customer.clone() };
        let Surroundings { schema, targets, .. } = self.around;
        let compiled = compile_dataset(self.source, loose, schema, &[customer], targets, problems);
        problems.drop_echoes(before, known);
        let compiled = compiled?;
        if let Some(dataset) = self.dataset {
            check_table(self.source, dataset, &compiled, problems);
        }
        (problems.len() == before).then_some(compiled)
    }
}

/// Checks that the keys are those that can differ.
fn check_keys(source: &Source, own: &Own, columns: &[String], dataset: &str, problems: &mut Problems) {
    let mut shared = |at: At| {
        let message = format!("is the same for all customers: set it in datasets/{dataset}.toml");
        problems.push(source.problem(&at, message));
    };
    own.keys.keys().filter(|key| SHARED.contains(&key.as_str())).for_each(|key| shared(At::key(key)));
    let Some(own) = own.keys.get(COLUMN) else { return };
    let Some(own) = own.as_object() else {
        let message = format!("must be a table for each column that differs: [customer.dataset.{dataset}.column.NAME]");
        problems.push(source.problem(&At::key(COLUMN), message));
        return;
    };
    for (name, keys) in own {
        let at = At::key(COLUMN).then(name);
        let of_column = keys.as_object().into_iter().flat_map(Map::keys);
        for key in of_column.filter(|key| SHARED_OF_COLUMN.contains(&key.as_str())) {
            let message = format!("is the same for all customers: set it in datasets/{dataset}.toml");
            problems.push(source.problem(&at.clone().then(key), message));
        }
        if !keys.is_object() {
            problems.push(source.problem(&at, "must be a table of the keys that differ, such as { header = \"…\" }"));
        } else if !columns.contains(name) {
            let hint = suggest(name, columns.iter().map(String::as_str));
            problems.push(source.problem(&at, format!("the dataset {dataset} has no column {name:?}{hint}")));
        }
    }
}

/// Checks that the rows fit the table that the dataset's columns describe.
fn check_table(source: &Source, dataset: &Dataset, of_customer: &Dataset, problems: &mut Problems) {
    for (i, (shared, own)) in dataset.columns.iter().zip(&of_customer.columns).enumerate() {
        let (kind, own_kind) = (shared.kind.sql_type(), own.kind.sql_type());
        let message = if kind != own_kind {
            format!("would make the table's column {own_kind}, and it is {kind} for all customers")
        } else if own.nullable && !shared.nullable {
            format!("would let {} be null, and the dataset's table does not", own.name)
        } else {
            continue;
        };
        problems.push(source.problem(&At::key(COLUMN).index(i), message));
    }
}

fn column_names(dataset: &Value) -> Vec<String> {
    let columns = dataset[COLUMN].as_array().into_iter().flatten();
    columns.map(|column| column["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The values of a dataset's file with those of a customer in their place.
fn merged(base: &Value, own: &Own) -> Value {
    let mut merged = base.clone();
    let Some(keys) = merged.as_object_mut() else { return merged };
    for (key, value) in &own.keys {
        let is_other_kind =
            KINDS.iter().any(|(table, kinds)| table == key && kinds.iter().any(|k| value.get(k).is_some()));
        if OPTIONAL.contains(&key.as_str()) && value == "none" {
            keys.shift_remove(key);
        } else if key == COLUMN {
            lay_over_columns(keys.get_mut(key), value);
        } else if is_other_kind {
            keys.insert(key.clone(), value.clone());
        } else {
            lay_over(keys.entry(key).or_insert(Value::Null), value);
        }
    }
    merged
}

fn lay_over_columns(columns: Option<&mut Value>, own: &Value) {
    for column in columns.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(own) = column["name"].as_str().and_then(|name| own.get(name)).cloned() {
            lay_over(column, &own);
        }
    }
}

/// Tables are inherited key by key; anything else is replaced.
fn lay_over(base: &mut Value, own: &Value) {
    match (base, own) {
        (Value::Object(base), Value::Object(own)) => {
            for (key, value) in own {
                lay_over(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, own) => *base = own.clone(),
    }
}

/// Returns the schema of `[customer.dataset.NAME]`, made from that of a dataset's file, and the definitions it needs.
#[must_use]
pub fn own_schema(dataset: &Schema) -> (Value, Map<String, Value>) {
    let mut definitions = dataset.as_value()["$defs"].as_object().cloned().unwrap_or_default();
    let mut keys = dataset.as_value()["properties"].as_object().cloned().unwrap_or_default();
    keys.retain(|key, _| !SHARED.contains(&key.as_str()));
    keys.values_mut().chain(definitions.values_mut()).for_each(without_defaults);
    for (_, table) in keys.iter_mut().filter(|(key, _)| OPTIONAL.contains(&key.as_str())) {
        let description = table["description"].clone();
        *table = json!({"description": description, "anyOf": [table, {"const": "none"}]});
    }
    if let Some(Value::Object(column)) = definitions.get_mut("LooseColumn")
        && let Some(Value::Object(keys)) = column.get_mut("properties")
    {
        keys.retain(|key, _| !SHARED_OF_COLUMN.contains(&key.as_str()));
    }
    let date = |what: &str| json!({"description": what, "type": "string", "format": "date"});
    keys.insert(
        COLUMN.to_owned(),
        json!({
            "description": "The keys of columns that differ, by the column's name.",
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/LooseColumn"},
        }),
    );
    keys.insert("since".to_owned(), date("The first run date for which the customer delivers the dataset."));
    keys.insert("until".to_owned(), date("The last run date for which the customer delivers the dataset."));
    (json!({"type": "object", "additionalProperties": false, "properties": keys}), definitions)
}

/// What a table lacks is inherited: no key is required, and none has a default.
fn without_defaults(schema: &mut Value) {
    match schema {
        Value::Object(schema) => {
            schema.retain(|key, value| !(key == "required" && value.is_array() || key == "default"));
            schema.values_mut().for_each(without_defaults);
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(without_defaults),
        _ => {}
    }
}

/// A value of a dataset's configuration as it is in force for a customer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// The key, with columns by their name, as in `column.amount.header`.
    pub key: String,
    /// The value.
    pub value: Value,
    /// The file and line that set it; `None` for a default.
    pub from: Option<String>,
}

/// Returns the configuration of a dataset that is in force, for a customer or for those that do not differ: what the
/// files set, and the defaults of all other keys.
#[must_use]
pub fn settings(dataset: &Source, customers: &Source, customer: Option<(&Customer, &str)>) -> Vec<Setting> {
    let base = dataset.values();
    let own = customer.and_then(|(customer, name)| customer.own.get(name));
    let names = column_names(&base);
    let merged = own.map_or_else(|| base.clone(), |own| merged(&base, own));
    let overlay =
        customer.map(|(customer, name)| customers.overlay(customer.place_of(name), (COLUMN, names), merged.clone()));
    let schema = crate::config::schema_of::<LooseDataset>();
    let mut listing =
        Listing { root: schema.as_value(), sources: [overlay.as_ref(), Some(dataset)], found: Vec::new() };
    listing.add(schema.as_value(), &merged, &At::file(), "");
    listing.found
}

struct Listing<'a> {
    root: &'a Value,
    sources: [Option<&'a Source>; 2],
    found: Vec<Setting>,
}

impl<'a> Listing<'a> {
    fn followed(&self, schema: &'a Value) -> &'a Value {
        let reference = schema["$ref"].as_str();
        reference.and_then(|reference| self.root.pointer(reference.trim_start_matches('#'))).unwrap_or(schema)
    }

    /// The value of a key that is not set; of a table that can be empty the empty one.
    fn default_of(&self, schema: &'a Value) -> Option<Value> {
        let table = self.followed(schema);
        let is_table = table.get("properties").is_some() && table.get("required").is_none();
        schema.get("default").cloned().or_else(|| is_table.then(|| json!({})))
    }

    fn add(&mut self, schema: &'a Value, value: &Value, at: &At, key: &str) {
        let schema = self.followed(schema);
        let join = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
        match value {
            Value::Object(table) => {
                // A column's name is part of its keys.
                let is_column = key.strip_prefix(COLUMN).is_some_and(|rest| rest.starts_with('.'));
                for (name, value) in table.iter().filter(|(name, _)| !(is_column && *name == "name")) {
                    self.add(&schema["properties"][name], value, &at.clone().then(name), &join(name));
                }
                let lacking = schema["properties"].as_object().into_iter().flatten();
                for (name, schema) in lacking.filter(|(name, _)| !table.contains_key(*name)) {
                    if let Some(default) = self.default_of(schema) {
                        self.add(schema, &default, &at.clone().then(name), &join(name));
                    }
                }
            }
            Value::Array(columns) if key == COLUMN => {
                for (i, column) in columns.iter().enumerate() {
                    let name = column["name"].as_str().unwrap_or_default();
                    self.add(&schema["items"], column, &at.clone().index(i), &join(name));
                }
            }
            value => {
                let lines = self.sources.iter().flatten().filter_map(|source| Some((source, source.line_if_set(at)?)));
                let from = lines.map(|(source, line)| format!("{}:{line}", source.path().display())).next();
                // The query of an address can hold a secret.
                let file = value.as_str().filter(|_| key == "file").map(|file| json!(shown(file)));
                self.found.push(Setting { key: key.to_owned(), value: file.unwrap_or_else(|| value.clone()), from });
            }
        }
    }
}
