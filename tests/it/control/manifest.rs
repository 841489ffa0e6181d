//! Totals in one file that lists many.

use super::{check, declared, kept, load, reasons, refused, rows};
use crate::support::World;
use serde_json::json;

const FILE: &str = "Customer Rating Agency A Inc.csv";
const JSON: &str = "from = \"manifest\"\nfile = \"manifest-%Y%m%d.json\"\nform = \"json\"\nlist = \"/files\"
values = { file = \"/name\", rows = \"/n\" }";
const CSV: &str = "from = \"manifest\"\nfile = \"{customer.code}.csv\"\nform = \"csv\"
values = { file = \"Name\", rows = \"Rows\" }";

async fn world(control: &str, manifest: &str, text: &str) -> World {
    let world = declared("", control).await;
    world.deliver("A", rows());
    world.write(&format!("inbox/{manifest}"), text);
    world
}

async fn json_world(text: &str) -> World {
    world(JSON, "manifest-20250513.json", text).await
}

#[tokio::test]
async fn a_manifest_of_json_states_what_it_lists_for_the_file() {
    let listed = |n: u8| {
        format!("{{\"files\": [{{\"name\": \"b.csv\", \"n\": 9}}, {{\"name\": \"./ratings/{FILE}\", \"n\": {n}}}]}}")
    };
    let world = json_world(&listed(2)).await;
    load(&world).code(0);
    assert_eq!(kept(&world).await, json!([check("rows", "2", "2")]));
    let reasons = reasons(&json_world(&listed(5)).await);
    assert!(reasons[0].contains("5 stated") && reasons[0].contains("manifest-20250513.json, 2 found"), "{reasons:?}");
}

#[tokio::test]
async fn a_manifest_of_csv_states_what_it_lists_for_the_file() {
    let world = world(CSV, "A.csv", &format!("Name,Rows\nb.csv,9\n{FILE},2\n")).await;
    load(&world).code(0);
    let place: String = world.scalar("select control ->> 'place' from bursar.loads").await;
    assert!(place.ends_with("A.csv: line 3"), "{place}");
}

#[tokio::test]
async fn a_manifest_that_does_not_list_the_file_once_is_refused() {
    let twice = format!("{{\"files\": [{{\"name\": \"{FILE}\", \"n\": 2}}, {{\"name\": \"{FILE}\", \"n\": 2}}]}}");
    for (manifest, expected) in [
        (
            "{\"files\": [{\"name\": \"b.csv\", \"n\": 2}]}",
            "none of its 1 entries is for Customer Rating Agency A Inc.csv",
        ),
        (twice.as_str(), "2 of its 2 entries are for"),
        ("{\"files\": {}}", "at \"/files\" a list of files was expected"),
        ("[]", "at \"/files\" a list of files was expected"),
        ("files", "it is no JSON"),
    ] {
        let said = refused(&json_world(manifest).await, 65).await;
        assert!(said.contains(expected) && said.contains("manifest-20250513.json"), "{said}");
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_there_is_a_fault_of_the_data_and_of_another_day_is_not_it() {
    let world = world(JSON, "manifest-20250512.json", "{}").await;
    let said = refused(&world, 65).await;
    assert!(said.contains("the manifest") && said.contains("manifest-20250513.json of"), "{said}");
}

/// A world in which all customers' files have one name, each in a folder of its own.
async fn folders(manifest: &str) -> World {
    let world = world(JSON, "manifest-20250513.json", manifest).await;
    let file = "file = \"ratings/{customer.name}/data.csv\"";
    world.edit("datasets/customer_rating.toml", |text| {
        text.lines()
            .map(|line| if line.starts_with("file = \"ratings/") { file } else { line })
            .collect::<Vec<_>>()
            .join("\n")
    });
    world.write("inbox/ratings/agency_a/data.csv", rows());
    world
}

#[tokio::test]
async fn an_entry_is_a_files_by_its_folders_too_where_it_tells_them() {
    let theirs = r#"{"name": "agency_b/data.csv", "n": 9}"#;
    for ours in ["agency_a/data.csv", "ratings/agency_a/data.csv", "/srv/out/ratings/agency_a/data.csv"] {
        let world = folders(&format!(r#"{{"files": [{theirs}, {{"name": "{ours}", "n": 2}}]}}"#)).await;
        load(&world).code(0);
        assert_eq!(kept(&world).await, json!([check("rows", "2", "2")]), "{ours}");
    }
    let said = refused(&folders(&format!(r#"{{"files": [{theirs}]}}"#)).await, 65).await;
    assert!(said.contains("only one for \"agency_b/data.csv\""), "{said}");
}
