//! Loads that are held, and what becomes of the others and of the report.

use super::{Today, books};
use crate::support::ratings;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_header_without_rows_is_held() {
    let today = Today::new().await;
    today.world.deliver("A", ratings(&[]));
    today.is_held(0, &["is held, the table was not touched", "the file has no rows (gate.allow_empty is false)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_every_row_is_bad_is_held() {
    let today = Today::new().await;
    today.world.deliver("A", ratings(&["x,2,3,low-value", "y,2,3,low-value"]));
    today.is_held(2, &["none of its 2 rows is good", "its 2 rejects are kept under load"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_load_leaves_the_rejects_of_the_published_one_open() {
    let today = Today::new().await;
    today.world.deliver("A", ratings(&["y,2,3,low-value"]));
    today.world.run_job("2025-05-13", &["--customer", "agency_a"]).code(65);
    assert_eq!(books(&today.world).await, today.books);
    today.world.run_job("2025-05-13", &["--customer", "agency_a"]).code(65);
    let open: i64 = today
        .world
        .scalar("select count(*) from bursar.file_invalid_rows as r join bursar.loads as l on l.id = r.load_id where l.state = 'held' and r.status = 'open'")
        .await;
    assert_eq!(open, 1, "the same file held twice leaves its rejects open once");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_file_keeps_no_other_customer_from_loading() {
    let today = Today::new().await;
    std::fs::remove_file(today.world.path("inbox/ratings/Customer Rating Agency C Inc.csv")).expect("remove it");
    for (code, number) in [("A", 9), ("B", 8), ("D", 7)] {
        today.world.deliver(code, ratings(&[&format!("{number},9,9,low-value")]));
    }
    let ran = today.world.run_job("2025-05-14", &[]).code(65);
    assert_eq!(ran.messages().lines().count(), 2, "{}", ran.messages());
    assert!(ran.messages().contains("note: report skipped: its upstream load[agency_c] failed"), "{}", ran.messages());
    assert_eq!(today.world.rows("agency_a").await, ["(9,9,9,low-value)"]);
    assert_eq!(today.world.rows("agency_c").await, ["(102,10,20,high-value)"], "yesterday's");
    assert_eq!(today.world.report("20250514"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_after_any_outcome_names_who_is_missing() {
    let today = Today::new().await;
    today.world.edit("jobs/customer-ratings.toml", |text| text + "after_any_outcome = true\n");
    std::fs::remove_file(today.world.path("inbox/ratings/Customer Rating Agency C Inc.csv")).expect("remove it");
    let ran = today.world.run_job("2025-05-14", &[]).code(65);
    assert!(ran.messages().contains("report: agency_c has no load for 2025-05-14"), "{}", ran.messages());
    let report = today.world.report("20250514").expect("a report");
    let customers: Vec<&str> = report.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(customers, ["agency_a", "agency_b", "agency_d"]);
    let sidecar = std::fs::read(today.world.path("output/Customer_Rating_Aggregate_Report_20250514.csv.json"))
        .expect("a sidecar");
    let sidecar: Value = serde_json::from_slice(&sidecar).expect("JSON");
    assert_eq!(sidecar["missing"].as_array().expect("missing").len(), 1);
    assert_eq!(sidecar["missing"][0]["customer"], "agency_c");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gate_holds_a_load_that_fails_it() {
    let today = Today::new().await;
    let gates = [
        ("max_rejects = 0", "1 rejects are more than gate.max_rejects = 0"),
        ("max_reject_percent = 49.9", "1 rejects of 2 rows are more than gate.max_reject_percent = 49.9"),
        ("min_rows = 2", "1 good rows are fewer than gate.min_rows = 2"),
        ("max_drop_percent = 49", "1 good rows after 2 the last time drop by more than gate.max_drop_percent = 49"),
    ];
    today.world.deliver("A", ratings(&["9,9,9,low-value", "x,9,9,low-value"]));
    for (gate, reason) in gates {
        today.world.edit("datasets/customer_rating.toml", |text| text.replace("max_reject_percent = 50", gate));
        today.fails(65, &["is held, the table was not touched", reason]).await;
        today.world.edit("datasets/customer_rating.toml", |text| text.replace(gate, "max_reject_percent = 50"));
    }
    today.run().code(0);
    assert_eq!(today.world.rows("agency_a").await, ["(9,9,9,low-value)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_empty_file_is_allowed_the_table_is_emptied_and_the_report_says_nothing_of_a_percentage() {
    let today = Today::new().await;
    today.world.edit("datasets/customer_rating.toml", |text| text.replace("[gate]", "[gate]\nallow_empty = true"));
    today.world.deliver("A", ratings(&[]));
    today.world.run_job("2025-05-14", &[]).code(0);
    assert_eq!(today.world.rows("agency_a").await, Vec::<String>::new());
    assert_eq!(today.world.report("20250514").expect("a report").lines().nth(1), Some("agency_a,0,0,0,0,"));
}
