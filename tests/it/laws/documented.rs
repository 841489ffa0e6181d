//! The examples of docs/file-formats.md, as they stand there.

use super::{dataset, take_apart};
use crate::offline::project;
use crate::support::Folder;
use serde_json::Value;

/// A dialect with its columns, a file, and what comes of it.
#[derive(Default)]
struct Example {
    dataset: String,
    file: String,
    rows: String,
    rejects: Vec<String>,
}

fn examples() -> Vec<Example> {
    let text = std::fs::read_to_string(project("docs/file-formats.md")).expect("the document");
    let mut examples: Vec<Example> = Vec::new();
    for block in text.split("\n```").skip(1) {
        let (kind, body) = block.split_once('\n').unwrap_or((block, ""));
        let body = body.to_owned() + "\n";
        if kind == "toml example" {
            examples.push(Example { dataset: body, ..Example::default() });
            continue;
        }
        let Some(example) = examples.last_mut() else { continue };
        match kind {
            "csv file" => example.file = body,
            "csv rows" => example.rows = body,
            "text rejects" => example.rejects = body.lines().map(str::to_owned).collect(),
            _ => {}
        }
    }
    examples
}

#[test]
fn every_example_of_the_document_is_read_as_it_says() {
    let examples = examples();
    assert!(examples.len() >= 6, "the examples are found");
    for example in examples {
        let folder = Folder::new();
        let taken = take_apart(&folder.path(""), example.file.as_bytes(), &dataset(&example.dataset)).expect("a file");
        assert_eq!(String::from_utf8_lossy(&taken.valid), example.rows, "{}", example.dataset);
        let rejects: Vec<String> = taken
            .rejects
            .iter()
            .map(|r| format!("{} {}", r["line"], r["errors"][0]["code"].as_str().expect("a code")))
            .collect();
        assert_eq!(rejects, example.rejects, "{}", example.dataset);
        assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
    }
}

#[test]
fn every_key_of_a_dialect_has_an_example_and_its_line_in_the_table() {
    let text = std::fs::read_to_string(project("docs/file-formats.md")).expect("the document");
    let schema = std::fs::read_to_string(project("config/schema/dataset.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let keys = schema["$defs"]["Dialect"]["properties"].as_object().expect("the keys of a dialect");
    let examples: String = examples().into_iter().map(|example| example.dataset).collect();
    for key in keys.keys() {
        assert!(text.contains(&format!("| `{key}` |")), "{key} is in the table");
        // What everything has by default stands first.
        assert!(examples.contains(&format!("\n{key} = ")), "{key} has an example");
    }
}
