//! The main job, end to end: files in, tables, quarantine and report out.

use crate::support::{World, ratings, real_data};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(bursar_real_data), ignore = "needs the real files: set BURSAR_REAL_DATA")]
async fn the_real_files_give_exactly_the_expected_report() {
    let folder = real_data().expect("BURSAR_REAL_DATA").join("ratings");
    let world = World::new().await;
    for code in ["A", "B", "C", "D"] {
        world.deliver(
            code,
            std::fs::read(folder.join(format!("Customer Rating Agency {code} Inc.csv"))).expect("a real file"),
        );
    }
    world.run_job("2025-05-13", &[]).code(0);
    let expected = std::fs::read_to_string(folder.join("expected_Customer_Rating_Aggregate_Report_20250513.csv"))
        .expect("the expected report");
    assert_eq!(world.report("20250513").expect("a report"), expected);
    let bad: Vec<String> =
        sqlx::query_scalar("select payload ->> 'customer_number' from bursar.file_invalid_rows order by id")
            .fetch_all(&world.pool().await)
            .await
            .expect("the quarantine");
    let mut bad = bad;
    bad.sort();
    assert_eq!(bad, ["1111892055x", "11118d14971", "11119b88202", "z1111753583"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_loads_the_good_rows_and_keeps_the_bad_ones_with_every_reason() {
    let world = World::new().await;
    world.deliver_all();
    world.deliver("B", ratings(&["1,2,3,low-value", "x,9999999999,,far too long a status for a column"]));
    let run = world.run_job("2025-05-13", &["--json"]).code(0).json();
    assert_eq!(run["state"], "succeeded");
    assert_eq!(world.rows("agency_b").await, ["(1,2,3,low-value)"]);
    let reject: Value =
        world.scalar("select to_jsonb(r) - 'id' - 'created_at' - 'load_id' from bursar.file_invalid_rows as r").await;
    assert_eq!(reject["line"], 3);
    assert_eq!(reject["byte_offset"], 88);
    assert_eq!(reject["byte_length"], 50);
    assert_eq!(reject["error_class"], "type");
    assert_eq!(reject["payload"]["customer_rating"], "9999999999");
    let codes: Vec<&str> =
        reject["errors"].as_array().expect("errors").iter().map(|e| e["code"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["not_an_integer", "out_of_range", "null", "too_long"]);
    let raw: Vec<u8> = world.scalar("select raw from bursar.file_invalid_rows").await;
    assert_eq!(raw, b"x,9999999999,,far too long a status for a column\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn running_a_date_twice_is_the_same_as_once() {
    let world = World::new().await;
    world.deliver_all();
    world.deliver("A", ratings(&["1,2,3,low-value", "x,1,1,low-value"]));
    world.run_job("2025-05-13", &[]).code(0);
    let first = (world.report("20250513"), world.rows("agency_a").await);
    world.run_job("2025-05-13", &[]).code(0);
    assert_eq!((world.report("20250513"), world.rows("agency_a").await), first);
    let open: i64 = world.scalar("select count(*) from bursar.file_invalid_rows where status = 'open'").await;
    assert_eq!(open, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_date_is_measured_and_never_rewinds_the_table() {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    let today = world.rows("agency_a").await;
    world.deliver("A", ratings(&["7,7,7,low-value", "8,8,8,low-value"]));
    let run = world.run_job("2025-05-12", &["--json"]).code(0).json();
    let loads = run["tasks"].as_array().expect("tasks").iter().filter(|t| t["outcome"]["state"] == "measured").count();
    assert_eq!(loads, 4);
    assert_eq!(world.rows("agency_a").await, today);
    assert!(world.report("20250512").expect("a report").contains("agency_a,2,15,0,0,0.00"));
    world.run_job("2025-05-12", &["--publish"]).code(0);
    assert_eq!(world.rows("agency_a").await, ["(7,7,7,low-value)", "(8,8,8,low-value)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_waits_for_every_customer_unless_told_otherwise() {
    let world = World::new().await;
    world.deliver_all();
    let run = world.run_job("2025-05-13", &["--customer", "agency_b"]).code(0);
    assert!(run.messages().contains("there is no load of agency_a (customer_rating), agency_c"), "{}", run.stderr);
    assert_eq!(world.report("20250513"), None);
    world.edit("jobs/customer-ratings.toml", |text| text + "after_any_outcome = true\n");
    let run = world.run_job("2025-05-13", &["--customer", "agency_b"]).code(0);
    assert!(
        run.messages().contains("agency_a and 2 more (agency_c, agency_d) have no load for 2025-05-13"),
        "{}",
        run.stderr
    );
    assert_eq!(world.report("20250513").expect("a report").lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_agency_is_one_entry_and_no_code() {
    let world = World::new().await;
    world.deliver_all();
    world.edit("customers.toml", |text| text + "\n[[customer]]\nname = \"agency_e\"\ncode = \"E\"\n");
    world.deliver("E", ratings(&["5,50,500,high-value"]));
    world.run_job("2025-05-13", &[]).code(0);
    assert_eq!(world.rows("agency_e").await, ["(5,50,500,high-value)"]);
    assert!(world.report("20250513").expect("a report").ends_with("agency_e,1,50,1,0,0.00\n"));
    let consolidated: i64 = world.scalar("select count(*) from customer_rating where customer = 'agency_e'").await;
    assert_eq!(consolidated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_load_keeps_its_rejects_and_leaves_the_table_as_it_was() {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    let before = world.rows("agency_a").await;
    world.deliver("A", ratings(&["1,1,1,low-value", "x,1,1,low-value", "y,1,1,low-value"]));
    let run = world.run_job("2025-05-14", &[]).code(65);
    assert!(run.messages().contains("gate.max_reject_percent = 50"), "{}", run.stderr);
    assert_eq!(world.rows("agency_a").await, before);
    let kept: i64 = world.scalar("select count(*) from bursar.file_invalid_rows as r join bursar.loads as l on l.id = r.load_id where l.state = 'held'").await;
    assert_eq!(kept, 2);
    assert_eq!(world.report("20250514"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_says_where_each_number_comes_from() {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    let sidecar = std::fs::read_to_string(world.path("output/Customer_Rating_Aggregate_Report_20250513.csv.json"))
        .expect("a sidecar");
    let sidecar: Value = serde_json::from_str(&sidecar).expect("JSON");
    assert_eq!(sidecar["inputs"].as_array().expect("inputs").len(), 4);
    assert_eq!(sidecar["inputs"][0]["file_name"], "Customer Rating Agency A Inc.csv");
    assert_eq!(sidecar["inputs"][0]["file_sha256"].as_str().expect("a hash").len(), 64);
    assert_eq!(sidecar["file"]["rows"], 4);
    assert_eq!(sidecar["missing"], Value::Array(Vec::new()));
    assert_eq!(sidecar["program"]["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_older_date_was_published_the_table_holds_that_date() {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-20", &[]).code(0);
    world.run_job("2025-05-10", &["--publish"]).code(0);
    let run = world.run_job("2025-05-15", &["--json"]).code(0).json();
    assert_eq!(run["tasks"][0]["outcome"]["state"], "published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_of_money_keeps_every_digit_on_its_way_to_the_report() {
    let world = World::new().await;
    world.deliver_all();
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace(
            "name = \"customer_rating\"\ntype = \"integer\"",
            "name = \"customer_rating\"\ntype = \"numeric(20,2)\"",
        )
    });
    world.deliver("A", ratings(&["1,123456789012345678.91,3,low-value", "2,0.59,3,low-value"]));
    world.run_job("2025-05-13", &[]).code(0);
    assert!(world.report("20250513").expect("a report").contains("\nagency_a,2,123456789012345679.50,0,0,0.00\n"));
}
