//! The JSON Schemas of the configuration files, for editors.

use super::{FOR_EACH, Parts};
use crate::config::{CustomersFile, SettingsFile, WALL_TIME, schema_of};
use crate::engine::job::LooseJob;
use crate::report::compile::LooseReport;
use crate::rows::column::TYPES;
use crate::rows::dataset::{LooseDataset, own_schema};
use schemars::Schema;
use serde_json::{Value, json};

/// The JSON Schema of each kind of file, by the name of the file it is kept in. Editors are also told the words
/// that the program compiles by rules of its own.
#[must_use]
pub fn schemas(parts: &Parts) -> Vec<(&'static str, Schema)> {
    let kinds: Vec<&str> = parts.kinds.iter().map(|kind| kind.name).collect();
    let (plain, with_arguments): (Vec<&str>, Vec<&str>) = TYPES.iter().partition(|name| !name.contains('('));
    let pattern =
        with_arguments.iter().map(|name| name.split('(').next().unwrap_or_default()).collect::<Vec<_>>().join("|");
    let types = json!([{"enum": plain}, {"pattern": format!(r"^({pattern})\(\s*[0-9]+\s*(,\s*[0-9]+\s*)?\)$")}]);
    let mut dataset = schema_of::<LooseDataset>();
    rule(&mut dataset, "/$defs/LooseColumn/properties/type", "anyOf", types);
    rule(&mut dataset, "/properties/arrive_by", "pattern", json!(WALL_TIME));
    let mut customers = schema_of::<CustomersFile>();
    let (own, definitions) = own_schema(&dataset);
    rule(&mut customers, "/$defs/LooseCustomer/properties/dataset", "additionalProperties", own);
    for (name, definition) in definitions {
        rule(&mut customers, "/$defs", &name, definition);
    }
    let mut job = schema_of::<LooseJob>();
    rule(&mut job, "/$defs/LooseTask/properties/kind", "enum", json!(kinds));
    rule(&mut job, "/$defs/LooseTask/properties/for_each", "enum", json!(FOR_EACH));
    let mut schemas = vec![
        ("bursar.schema.json", "Bursar: the settings of an installation", schema_of::<SettingsFile>()),
        ("customers.schema.json", "Bursar: the customers", customers),
        ("dataset.schema.json", "Bursar: a dataset", dataset),
        ("job.schema.json", "Bursar: a job", job),
        ("report.schema.json", "Bursar: a report", schema_of::<LooseReport>()),
    ];
    for (_, title, schema) in &mut schemas {
        schema.insert("title".to_owned(), json!(title));
    }
    schemas.into_iter().map(|(name, _, schema)| (name, schema)).collect()
}

/// Adds a rule for the value at `place`.
fn rule(schema: &mut Schema, place: &str, rule: &str, value: Value) {
    if let Some(Value::Object(part)) = schema.pointer_mut(place) {
        part.insert(rule.to_owned(), value);
    }
}
