//! The billing export: its tables, what they point to, and the questions a billing team asks of them.

mod answers;
mod checks;
mod http;
mod parquet;

use crate::offline::project;
use crate::support::{Ran, World, real_data};
use serde_json::Value;
use std::path::Path;

pub const TABLES: [&str; 9] = [
    "billable_metric",
    "customer",
    "events",
    "invoice",
    "line_item",
    "plan",
    "plan_charge",
    "product",
    "sub_line_item",
];

/// Delivers the export that lies in a folder.
pub fn deliver(world: &World, folder: &Path) {
    for table in TABLES {
        let bytes = std::fs::read(folder.join(format!("{table}.csv"))).expect("a file of the export");
        world.write(&format!("inbox/billing_export/{table}.csv"), bytes);
    }
}

/// Delivers the sample with one of its files changed.
pub fn deliver_sample_with(world: &World, table: &str, change: impl FnOnce(String) -> String) {
    deliver(world, &project("data/billing_export"));
    let path = world.path(&format!("inbox/billing_export/{table}.csv"));
    let text = std::fs::read_to_string(&path).expect("the sample");
    std::fs::write(path, change(text)).expect("the sample");
}

/// Loads what was delivered, for a date.
pub fn load(world: &World, date: &str) -> Value {
    world.bursar(&["run-job", "billing-export", "--date", date, "--json"]).code(0).json()
}

/// What a task of a run came to.
pub fn outcome<'a>(run: &'a Value, task: &str) -> &'a Value {
    let tasks = run["tasks"].as_array().expect("tasks");
    &tasks.iter().find(|found| found["task"] == task).expect("the task")["outcome"]
}

/// A world in which the sample of the project is loaded.
pub async fn sample() -> World {
    let world = World::new().await;
    deliver(&world, &project("data/billing_export"));
    load(&world, "2026-02-02");
    world
}

/// A world in which the vendor's own sample is loaded.
pub async fn real() -> World {
    let world = World::new().await;
    deliver(&world, &real_data().expect("BURSAR_REAL_DATA").join("egress"));
    load(&world, "2024-04-03");
    world
}

/// Asks a report.
pub fn ask(world: &World, report: &str, parameters: &[&str]) -> Ran {
    let given: Vec<&str> = parameters.iter().flat_map(|p| ["--param", *p]).collect();
    world.bursar(&[&["report", report], &given[..]].concat())
}

/// The lines of a report's answer, without its header.
pub fn lines(world: &World, report: &str, parameters: &[&str]) -> Vec<String> {
    let ran = ask(world, report, parameters).code(0);
    ran.stdout.lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_sample_loads_and_its_ambiguous_row_is_kept_with_its_reason() {
    let world = World::new().await;
    deliver(&world, &project("data/billing_export"));
    let run = load(&world, "2026-02-02");
    for (table, rows) in TABLES.iter().zip([7, 4, 258, 7, 12, 2, 7, 4, 21]) {
        let certificate = &outcome(&run, table)["certificate"];
        assert_eq!(certificate["loaded"], rows, "{table}");
        assert_eq!(certificate["rejected"], i64::from(*table == "events"), "{table}");
    }
    let reason = "select errors #>> '{0,column}' || ' ' || (errors #>> '{0,code}') from bursar.file_invalid_rows";
    assert_eq!(world.scalar::<String>(reason).await, "properties not_a_map");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(bursar_real_data), ignore = "needs the real files: set BURSAR_REAL_DATA")]
async fn the_real_export_loads_whole_and_keeps_every_digit() {
    let world = World::new().await;
    deliver(&world, &real_data().expect("BURSAR_REAL_DATA").join("egress"));
    let run = load(&world, "2024-04-03");
    for (table, rows) in TABLES.iter().zip([31, 52, 16653, 4, 10, 2, 31, 5, 51]) {
        let certificate = &outcome(&run, table)["certificate"];
        assert_eq!(
            (certificate["loaded"].as_i64(), certificate["rejected"].as_i64()),
            (Some(rows), Some(0)),
            "{table}"
        );
    }
    let kept = "select timestamp || ' ' || (properties ->> 'quantity') || ' ' || (select trim_scale(total) from billing_invoice
                 where id = 'f3094297-6789-48bc-b0e3-eb344d1fef00')
                  from billing_events where transaction_id = 'e5de36aa0f75469a9f28b1c14d776315'";
    assert_eq!(world.scalar::<String>(kept).await, "2024-03-13 00:57:44.673 65.95385174067853 7163.1875");
    assert_eq!(outcome(&run, "check")["orphans"], 0);
}
