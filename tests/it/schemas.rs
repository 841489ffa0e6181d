//! The JSON Schemas in `config/schema`, by which editors complete and check configuration files.

use crate::offline::{Offline, project};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Every shipped configuration file, with the JSON Schema it is read against.
const FILES: [(&str, &str); 5] = [
    ("bursar.toml", "bursar.schema.json"),
    ("customers.toml", "customers.schema.json"),
    ("datasets", "dataset.schema.json"),
    ("jobs", "job.schema.json"),
    ("reports", "report.schema.json"),
];

fn schema(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(project("config/schema").join(name)).expect("a schema"))
        .expect("JSON")
}

/// The TOML files at or in `path`.
fn toml_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect()
}

/// The shipped files, their text, and the name of their schema.
fn shipped() -> Vec<(PathBuf, String, &'static str)> {
    let all = FILES
        .iter()
        .flat_map(|(path, schema)| toml_files(&project("config").join(path)).into_iter().map(|p| (p, *schema)));
    all.map(|(path, schema)| (path.clone(), std::fs::read_to_string(path).expect("a file"), schema)).collect()
}

fn fits(schema: &Value, value: &Value) -> bool {
    jsonschema::validator_for(schema).expect("a schema").is_valid(value)
}

#[test]
fn the_shipped_schemas_are_those_the_program_reads_by() {
    let folder = Offline::configured();
    std::fs::remove_dir_all(folder.path("config/schema")).expect("remove a folder");
    let run = folder.bursar(&["schema"]).code(0);
    assert_eq!(run.stdout.lines().count(), FILES.len());
    folder.bursar(&["schema", "--dir", "made"]).code(0);
    for (_, name) in FILES {
        let shipped = std::fs::read_to_string(project("config/schema").join(name)).unwrap_or_default();
        assert_eq!(shipped, folder.read(&format!("config/schema/{name}")), "{name} is old: run `bursar schema`");
        assert_eq!(shipped, folder.read(&format!("made/{name}")));
    }
    let others = std::fs::read_dir(project("config/schema")).expect("the schemas").count();
    assert_eq!(others, FILES.len());
}

#[test]
fn every_shipped_file_names_its_schema_and_fits_it() {
    for (path, text, name) in shipped() {
        let depth = path.strip_prefix(project("config")).expect("a shipped file").components().count() - 1;
        let expected = format!("#:schema {}schema/{name}", "../".repeat(depth));
        assert_eq!(text.lines().next(), Some(expected.as_str()), "{}", path.display());
        let value: Value = toml::from_str(&text).expect("TOML");
        assert!(fits(&schema(name), &value), "{}", path.display());
    }
}

/// Adds an unknown key to the `n`th table of a value; false when it has fewer.
fn spoil(value: &mut Value, n: &mut usize, way: &str) -> Option<String> {
    match value {
        Value::Object(map) => {
            if *n == 0 {
                map.insert("unknwon".to_owned(), Value::from(1));
                return Some(way.to_owned());
            }
            *n -= 1;
            map.iter_mut().find_map(|(key, inner)| spoil(inner, n, &format!("{way}.{key}")))
        }
        Value::Array(values) => {
            values.iter_mut().enumerate().find_map(|(i, inner)| spoil(inner, n, &format!("{way}[{i}]")))
        }
        _ => None,
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_table() {
    for (path, text, name) in shipped() {
        let (schema, mut count) = (schema(name), 0);
        loop {
            let mut value: Value = toml::from_str(&text).expect("TOML");
            let Some(way) = spoil(&mut value, &mut count.clone(), "") else { break };
            assert!(!fits(&schema, &value), "{}: {way}", path.display());
            count += 1;
        }
        assert!(count > 0, "{}", path.display());
    }
}

#[test]
fn every_key_is_described_and_no_value_can_be_null() {
    fn check(name: &str, value: &Value, way: &str) {
        let Some(map) = value.as_object() else { return };
        for (key, inner) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let description = inner["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{name}{way}.{key} has no description");
        }
        assert!(!map.get("type").is_some_and(|t| t.is_array() || t == "null"), "{name}{way} can be null");
        assert!(map.get("default").is_none_or(|d| !d.is_null()), "{name}{way} is null by default");
        map.iter().for_each(|(key, inner)| check(name, inner, &format!("{way}/{key}")));
    }
    for (_, name) in FILES {
        let schema = schema(name);
        assert!(schema["title"].as_str().is_some_and(|t| !t.contains("Loose")), "{name} has a title for people");
        check(name, &schema, "");
    }
}

#[test]
fn an_editor_knows_the_words_that_can_stand_there() {
    let (dataset, job) = (schema("dataset.schema.json"), schema("job.schema.json"));
    let with_type = |kind: &str| serde_json::json!({"name": "d", "file": "f", "table": "t", "column": [{"name": "c", "type": kind}]});
    for kind in ["integer", "json", "map", "numeric(10,2)", "numeric(10)", "numeric( 10 , 2 )"] {
        assert!(fits(&dataset, &with_type(kind)), "{kind}");
    }
    for kind in ["int", "numeric", "numeric(a)", "numeric(p,s)", ""] {
        assert!(!fits(&dataset, &with_type(kind)), "{kind}");
    }
    let task = &job["$defs"]["LooseTask"]["properties"];
    assert_eq!(
        task["kind"]["enum"],
        serde_json::json!(["load", "report", "billing_export_check", "invoice_charges", "metronome_fetch"])
    );
    assert_eq!(task["for_each"]["enum"], serde_json::json!(["customer"]));
    let words = |name: &str| -> Vec<&str> {
        let all = job["$defs"][name]["oneOf"].as_array().expect("words");
        all.iter().map(|word| word["const"].as_str().expect("a word")).collect()
    };
    assert_eq!((words("Catchup"), words("Overlap")), (vec!["none", "latest", "all"], vec!["skip", "queue"]));
}
