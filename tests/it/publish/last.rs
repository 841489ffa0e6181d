//! `unique_keep = "last"`: whatever way the rows take, the last row of a key is in the table and the others in quarantine.

use super::{staged, world_with};
use crate::laws::packed::{PACKINGS, pack};
use crate::sources::{S3, run_a, run_with, world_reading};
use crate::support::{World, ratings};
use hyper::Method;
use serde_json::{Value, json};

const UNIQUE: &str = "unique = [[\"customer_number\"]]\nunique_keep = \"last\"";
const ROWS: [&str; 6] =
    ["1,1,3,low-value", "2,2,3,low-value", "1,3,3,low-value", "x,9,9,low-value", "01,4,3,low-value", "3,5,3,low-value"];
const KEPT: [&str; 3] = ["(1,4,3,low-value)", "(2,2,3,low-value)", "(3,5,3,low-value)"];

/// The open rejects of the load that came last: line, bytes, code, message.
async fn rejects(world: &World) -> Vec<String> {
    world
        .column(
            "select concat_ws('|', line, convert_from(raw, 'utf8'), errors -> 0 ->> 'code', errors -> 0 ->> 'message')
               from bursar.file_invalid_rows
              where status = 'open' and load_id = (select max(id) from bursar.loads) order by line",
        )
        .await
}

fn expected() -> Vec<String> {
    let same =
        |line: u8| format!("duplicate_key|lines {line} and 6 have the same customer_number (unique); the last is kept");
    vec![
        format!("2|1,1,3,low-value\r\n|{}", same(2)),
        format!("4|1,3,3,low-value\r\n|{}", same(4)),
        "5|x,9,9,low-value\r\n|not_an_integer|\"x\" is not a whole number".to_owned(),
    ]
}

fn check(certificate: &Value) {
    for (key, count) in [("records", 7), ("loaded", 3), ("rejected", 3), ("copied_rows", 3), ("copied_rejects", 3)] {
        assert_eq!(certificate[key], json!(count), "{certificate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_publishes_the_last_row_of_a_key_and_keeps_the_others_as_rejects() {
    for mode in [
        "publish = \"truncate\"",
        "publish = \"swap\"",
        "publish = \"segments\"\nstreams = 2",
        "mode = \"merge\"\nkey = [\"customer_number\"]",
        "mode = \"append\"\nrun_date_column = \"run_date\"",
    ] {
        let world = world_with(&format!("{mode}\n{UNIQUE}")).await;
        world.edit("datasets/customer_rating.toml", |text| text.replace("consolidated = ", "# consolidated = "));
        world.deliver("A", pack(PACKINGS[0], ratings(&ROWS).as_bytes()));
        let ran = world.run_job("2025-05-13", &["--customer", "agency_a", "--json"]).code(0).json();
        check(&ran["tasks"][0]["outcome"]["certificate"]);
        let rows: Vec<String> = world.rows("agency_a").await.iter().map(|r| r.replace(",2025-05-13", "")).collect();
        assert_eq!(rows, KEPT, "{mode}");
        assert_eq!(rejects(&world).await, expected(), "{mode}");
        let again = ratings(&["1,1,3,low-value", "1,1,3,low-value"]);
        world.deliver("A", again);
        world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
        let left = if mode.contains("segments") { 2 } else { 0 };
        assert!(staged(&world).await <= left, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_held_keeps_the_last_rows_for_whoever_accepts_it() {
    for publish in ["truncate", "swap"] {
        let world = world_with(&format!("publish = \"{publish}\"\n{UNIQUE}")).await;
        world.edit("datasets/customer_rating.toml", |text| text.replace("[gate]", "[gate]\nmax_rejects = 2"));
        world.deliver("A", ratings(&ROWS));
        world.run_job("2025-05-13", &["--customer", "agency_a"]).code(65);
        assert_eq!(rejects(&world).await, expected(), "{publish}");
        assert_eq!(world.rows("agency_a").await.len(), 0);
        world.bursar(&["loads", "accept", "1", "--reason", "known"]).code(0);
        assert_eq!(world.rows("agency_a").await, KEPT, "{publish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_a_bucket_is_fetched_for_both_readings_and_must_stay_the_same() {
    let (world, s3) = (world_reading("s3://bucket/in/{customer.code}.csv").await, S3::start().await);
    world.edit("datasets/customer_rating.toml", |text| text.replace("\n[gate]", &format!("\n{UNIQUE}\n[gate]")));
    let path = s3.put("in/A.csv", ratings(&ROWS));
    run_a(&world, &s3.variables()).code(0);
    assert_eq!((world.rows("agency_a").await, rejects(&world).await), (KEPT.map(str::to_owned).to_vec(), expected()));
    let is_fetch = |asked: &str| asked.contains("in/A.csv");
    assert_eq!(s3.asked("GET").iter().filter(|asked| is_fetch(asked)).count(), 2);
    std::fs::write(&path, ratings(&["1,1,3,low-value", "1,2,3,low-value"])).expect("the object");
    let mut fetched = 0;
    s3.before(move |method, asked| {
        fetched += usize::from(method == Method::GET && is_fetch(asked));
        if fetched == 2 {
            std::fs::write(&path, ratings(&["1,1,3,low-value", "1,7,3,low-value"])).expect("the object");
        }
    });
    let arguments = ["run-job", "customer-ratings", "--date", "2025-05-14", "--customer", "agency_a"];
    let ran = run_with(&world, &arguments, &s3.variables()).code(0);
    assert!(ran.stderr.contains("is tried again") && ran.stderr.contains("changed while"), "{}", ran.stderr);
    assert_eq!(world.rows("agency_a").await, ["(1,7,3,low-value)"], "the second attempt read the same object twice");
}
