//! Corrected rows of a dataset that merges: by key, as a file's rows are.

use super::{DATE, export, ids};
use crate::support::{Ran, World, ratings};
use serde_json::{Value, json};

const OF_A: [&str; 6] = ["--dataset", "customer_rating", "--customer", "agency_a", "--date", DATE];
const MERGE: &str = "mode = \"merge\"\nkey = [\"customer_number\"]";

/// A dataset that merges, with these keys more.
async fn world_with(keys: &str) -> World {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replacen("\n[gate]", &format!("\n{MERGE}\n{keys}\n[gate]"), 1)
    });
    world
}

fn deliver(world: &World, rows: &[&str]) {
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("max_reject_percent = 50", "max_reject_percent = 100\nallow_empty = true")
    });
    world.deliver("A", ratings(rows));
    world.run_job(DATE, &["--customer", "agency_a"]).code(0);
}

/// Redrives the rejects as they were corrected.
fn redrive(world: &World, change: impl FnOnce(String) -> String, more: &[&str]) -> Ran {
    world.write("corrected.csv", change(export(world, &[]).code(0).stdout));
    world.bursar(&[&["rejects", "redrive", "corrected.csv"], &OF_A[..], more].concat())
}

fn count(of: &Value, keys: [&str; 4]) -> [Value; 4] {
    keys.map(|key| of[key].clone())
}

const MERGED: [&str; 4] = ["loaded", "inserted", "updated", "unchanged"];

#[tokio::test(flavor = "multi_thread")]
async fn corrected_rows_are_merged_by_key_once_and_the_loads_measures_stay() {
    let world = world_with("").await;
    deliver(&world, &["1,2,3,low-value", "2,2,3,low-value", "x,5,3,low-value", "2,y,3,low-value", "1,2,z,low-value"]);
    let before: Value = world.scalar("select to_jsonb(l) from bursar.loads as l where is_current").await;
    let correct = |text: String| text.replace("x,", "4,").replace("y,", "7,").replace("z,", "3,");
    let tried = redrive(&world, correct, &["--dry-run"]).code(0);
    assert!(
        tried.stdout.starts_with("3 rows would be merged (1 inserted, 1 updated, 1 unchanged) into public."),
        "{}",
        tried.stdout
    );
    assert_eq!(world.rows("agency_a").await.len(), 2);
    let done = redrive(&world, correct, &["--json"]).code(0).json();
    assert_eq!(count(&done, MERGED), [json!(3), json!(1), json!(1), json!(1)], "{done}");
    assert_eq!((&done["measures"], &done["open"]), (&Value::Null, &json!(0)));
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)", "(2,7,3,low-value)", "(4,5,3,low-value)"]);
    let load: Value = world.scalar("select to_jsonb(l) from bursar.loads as l where is_current").await;
    assert_eq!(count(&load, MERGED), [json!(5), json!(1), json!(1), json!(1)], "{load}");
    assert_eq!((&load["id"], &load["redrive_of"], &load["way"]), (&done["load_id"], &before["id"], &json!("merge")));
    assert_eq!((&load["measures"], &load["rejected"]), (&before["measures"], &json!(0)));
    let again = world.bursar(&[&["rejects", "redrive", "corrected.csv", "--json"], &OF_A[..]].concat()).code(0).json();
    assert_eq!(count(&again, MERGED), [json!(0), json!(0), json!(0), json!(0)], "{again}");
    assert_eq!((&again["resolved_before"], &again["load_id"]), (&json!(3), &Value::Null));
    deliver(&world, &["9,9,9,low-value"]);
    let late = world.bursar(&[&["rejects", "redrive", "corrected.csv"], &["--load", "1"][..]].concat()).code(65);
    assert!(late.stderr.contains("has taken the place of load 1"), "{}", late.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_superseded_does_not_come_back_over_the_one_that_superseded_it() {
    let world = world_with("unique = [[\"customer_number\"], [\"customer_rating\"]]\nunique_keep = \"last\"").await;
    deliver(
        &world,
        &["1,20,3,low-value", "1,30,3,low-value", "2,40,3,low-value", "2,x,3,low-value", "3,x,3,low-value"],
    );
    let rejects = ids(&world);
    assert_eq!(rejects.len(), 3);
    let done = redrive(&world, |text| text.replace("2,x", "2,41").replace("3,x", "3,30"), &["--json"]).code(65).json();
    assert_eq!(count(&done, MERGED), [json!(1), json!(0), json!(1), json!(0)], "{done}");
    let wrong: Vec<Value> =
        done["wrong"].as_array().expect("rows").iter().map(|w| w["errors"][0]["message"].clone()).collect();
    assert_eq!(
        wrong,
        [
            "the table has a row of the same customer_number (unique)",
            "the table has a row of the same customer_rating (unique)"
        ],
        "a duplicate needs another key; a key that is not the merge's may not meet another row"
    );
    assert_eq!(world.rows("agency_a").await, ["(1,30,3,low-value)", "(2,41,3,low-value)"]);
    assert_eq!(ids(&world), [rejects[0], rejects[2]]);
    let done = redrive(&world, |text| text.replace("1,20", "5,20").replace("3,x", "5,50"), &["--json"]).code(65).json();
    assert_eq!((&done["loaded"], &done["still_wrong"]), (&json!(1), &json!(1)), "{done}");
    assert_eq!(
        done["wrong"][0]["errors"][0]["message"],
        "lines 2 and 3 have the same customer_number (unique); the last is kept"
    );
    assert_eq!(world.rows("agency_a").await[2], "(5,50,3,low-value)");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_corrected_row_does_not_count_its_reject_id() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        let rule = "nullable = true\nrequired_unless = { column = \"customer_status\", matches = \"new\" }\n";
        text.replace(
            "name = \"customer_rating\"\ntype = \"integer\"\n",
            &format!("name = \"customer_rating\"\ntype = \"integer\"\n{rule}"),
        )
    });
    deliver(&world, &["x,2,3,low-value", "y,2,3,low-value", "z,2,3,low-value"]);
    let id = ids(&world);
    let header = "reject_id,customer_number,customer_rating,customer_rating_limit,customer_status\n";
    let file = format!("{header}{},1,2,3,low-value,more\n{},1,2\n{},1,,3,low-value\n", id[0], id[1], id[2]);
    let done = redrive(&world, |_| file, &["--json"]).code(65).json();
    let message = |row: usize| done["wrong"][row]["errors"][0]["message"].clone();
    assert_eq!(message(0), "the record has 5 fields, the header 4");
    assert_eq!(message(1), "the record has 2 fields, the header 4");
    assert!(
        message(2).as_str().expect("why").starts_with("there is no value, and customer_status is \"low-value\""),
        "{done}"
    );
}
