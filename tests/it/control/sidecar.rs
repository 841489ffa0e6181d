//! Totals in a file beside the file.

use super::{DAY, check, declare, declared, kept, load, reasons, refused, rows};
use crate::known::state;
use crate::support::World;
use bursar::rows::source::hex;
use serde_json::json;
use sha2::{Digest, Sha256};

const NAME: &str = "inbox/ratings/Customer Rating Agency A Inc.csv";
const TEXT: &str =
    "from = \"sidecar\"\nfile = \"{file}.ctl\"\npattern = '^(?:rows=(?<rows>\\d+)|sum=(?<sum_customer_rating>.*))$'";
const SHA256: &str = "from = \"sidecar\"\nfile = \"{file}.sha256\"\nform = \"sha256\"";
const JSON: &str = "from = \"sidecar\"\nfile = \"{file}.json\"\nform = \"json\"
[control.values]
rows = \"/totals/0/n\"
bytes = \"/size\"
sum_customer_rating = \"/totals/1/a~1b\"
date = \"/day\"";

async fn world(control: &str, extension: &str, sidecar: impl AsRef<[u8]>) -> World {
    let world = declared("", control).await;
    world.deliver("A", rows());
    world.write(&format!("{NAME}.{extension}"), sidecar);
    world
}

#[tokio::test]
async fn a_sidecar_of_text_states_what_its_pattern_catches() {
    let world = world(TEXT, "ctl", "\u{feff}# control\r\nrows=2\r\nsum=21\r\n").await;
    load(&world).code(0);
    assert_eq!(kept(&world).await, json!([check("rows", "2", "2"), check("sum_customer_rating", "21", "21")]));
    world.write(&format!("{NAME}.ctl"), "rows=1\nsum=21\n");
    let reasons = reasons(&world);
    assert!(reasons[0].contains("1 stated") && reasons[0].contains("Inc.csv.ctl: line 1"), "{reasons:?}");
}

#[tokio::test]
async fn a_sidecar_that_says_something_else_of_the_same_bytes_is_compared_again() {
    let world = world(TEXT, "ctl", "rows=2\nsum=21\n").await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged");
    world.write(&format!("{NAME}.ctl"), "rows=3\nsum=21\n");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "held");
}

#[tokio::test]
async fn a_hash_is_compared_in_the_form_of_sha256sum() {
    let hash = hex(&Sha256::digest(rows()));
    let (name, other) = ("Customer Rating Agency A Inc.csv", "0".repeat(64));
    for sidecar in [
        format!("{hash}  {name}\n"),
        format!("{} *out/{name}\r\n", hash.to_uppercase()),
        hash.clone(),
        format!("{other}  other.csv\n{hash}  {name}\n"),
        format!("{hash}  {name}\n{}  {name}\n", hash.to_uppercase()),
    ] {
        load(&world(SHA256, "sha256", &sidecar).await).code(0);
    }
    let reasons = reasons(&world(SHA256, "sha256", format!("{other}  {name}")).await);
    assert!(reasons[0].contains(&other) && reasons[0].contains(&hash), "{reasons:?}");
    for (sidecar, expected) in [
        (format!("{hash}  other.csv"), "none of its 1 lines is for Customer Rating Agency A Inc.csv"),
        ("not a hash".to_owned(), "line 1: \"not a hash\" is not like sha256sum's HEX  NAME"),
        (String::new(), "it is empty"),
        (format!("{hash}  {name}\n{other}  {name}"), "2 of its 2 lines are for Customer Rating Agency A Inc.csv"),
    ] {
        let said = refused(&world(SHA256, "sha256", sidecar).await, 65).await;
        assert!(said.contains(expected) && said.contains("Inc.csv.sha256"), "{said}");
    }
}

#[tokio::test]
async fn json_is_read_by_pointers_and_its_numbers_stay_exact() {
    let bytes = rows().len();
    let sidecar = |sum: &str| {
        format!("{{\"size\": {bytes}, \"day\": \"{DAY}\", \"totals\": [{{\"n\": \"2\"}}, {{\"a/b\": {sum}}}]}}")
    };
    load(&world(JSON, "json", sidecar("21.00")).await).code(0);
    let reasons = reasons(&world(JSON, "json", sidecar("21.00000000000000000001")).await);
    assert!(reasons[0].contains("21.00000000000000000001 stated"), "{reasons:?}");
}

#[tokio::test]
async fn json_that_states_too_little_is_named_with_what_was_expected() {
    for (sidecar, expected) in [
        ("{\"size\": 1,", "it is no JSON"),
        ("{}", "it states no rows: there is nothing at /totals/0/n"),
        ("{\"totals\": [{\"n\": [2]}]}", "rows: at /totals/0/n a number or a text was expected"),
        ("{\"totals\": [{\"n\": null}]}", "rows: at /totals/0/n a number or a text was expected"),
    ] {
        let said = refused(&world(JSON, "json", sidecar).await, 65).await;
        assert!(said.contains(expected) && said.contains("Inc.csv.json"), "{said}");
    }
}

#[tokio::test]
async fn a_sidecar_that_is_not_there_is_a_fault_of_the_data() {
    let world = declared("", TEXT).await;
    world.deliver("A", rows());
    let said = refused(&world, 65).await;
    assert!(said.contains("the sidecar") && said.contains("Inc.csv.ctl of") && said.contains("is not there"), "{said}");
}

#[tokio::test]
async fn what_is_no_text_is_no_sidecar() {
    let said = refused(&world(TEXT, "ctl", b"rows=2\n\xff").await, 65).await;
    assert!(said.contains("Inc.csv.ctl: line 2 is no UTF-8"), "{said}");
}

#[tokio::test]
async fn a_file_that_has_a_time_to_arrive_by_waits_for_its_sidecar() {
    let world = declared("", TEXT).await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("table = ", "arrive_by = \"06:30\"\ntable = "));
    world.deliver("A", rows());
    let said = refused(&world, 75).await;
    assert!(said.contains("still being delivered") && said.contains("Inc.csv.ctl is not there yet"), "{said}");
    world.write(&format!("{NAME}.ctl"), "rows=2\nsum=21");
    load(&world).code(0);
}

#[tokio::test]
async fn a_sidecar_that_only_has_to_be_there_states_nothing() {
    let world = declared("", "from = \"sidecar\"\nfile = \"{file}.done\"\nform = \"done\"").await;
    declare_marker(&world);
    world.deliver("A", rows());
    refused(&world, 75).await;
    world.write(&format!("{NAME}.done"), "");
    load(&world).code(0);
    assert_eq!(kept(&world).await, json!([]));
}

/// The same file may be the marker.
fn declare_marker(world: &World) {
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[gate]", "[complete]\nwhen = \"marker\"\nmarker = \"{file}.done\"\n\n[gate]")
    });
}

#[tokio::test]
async fn a_sidecar_of_csv_states_its_only_record() {
    let world = World::new().await;
    declare(&world, "", "from = \"sidecar\"\nfile = \"{file}.ctl\"\nform = \"csv\"\nvalues = { rows = \"count\" }");
    world.deliver("A", rows());
    world.write(&format!("{NAME}.ctl"), "name,count\nx,2\n");
    load(&world).code(0);
    world.write(&format!("{NAME}.ctl"), "name,rows\nx,2\n");
    let said = load(&world).code(65).messages();
    assert!(said.contains("line 1: there is no column \"count\", only name, rows"), "{said}");
}
