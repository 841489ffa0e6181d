//! Faults of the world around: the database, the disk, signals, other processes, the configuration.
//! What was good stays, one message says what happened, and running again puts it right.

mod database;
mod installation;
mod interrupted;

use crate::support::{Ran, World, ratings};
use serde_json::Value;

const TODAY: [&str; 5] = ["run-job", "customer-ratings", "--date", "2025-05-14", "--json"];

/// A fault shows at once where nothing is tried again.
const ONCE: &str = "for_each = \"customer\"\nretry = { attempts = 1 }";

const YESTERDAYS: [&str; 1] = ["(100,10,20,high-value)"];

const TODAYS: [&str; 2] = ["(1,10,20,high-value)", "(2,10,20,low-value)"];

/// Yesterday's files are loaded, today's are delivered; A's has a bad row.
async fn delivered() -> World {
    let world = World::new().await;
    world.edit("jobs/customer-ratings.toml", |text| text.replace("for_each = \"customer\"", ONCE));
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    world.deliver("A", ratings(&["1,10,20,high-value", "x,1,1,low-value", "2,10,20,low-value"]));
    world
}

fn error_of(ran: &Ran) -> String {
    let messages = ran.messages();
    let errors: Vec<&str> = messages.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one message:\n{messages}");
    errors[0].to_owned()
}

#[track_caller]
fn assert_says(ran: &Ran, words: &[&str]) {
    let error = error_of(ran);
    for word in words {
        assert!(error.contains(word), "{word:?} is missing: {error}");
    }
}

/// Nothing of today is there, and readers see yesterday's rows.
async fn assert_yesterday(world: &World) {
    let rows: Vec<String> = world.rows("agency_a").await;
    assert_eq!(rows, YESTERDAYS);
    let traces: i64 = world
        .scalar("select (select count(*) from bursar.loads where run_date = '2025-05-14' and customer = 'agency_a') + (select count(*) from bursar.file_invalid_rows)")
        .await;
    assert_eq!(traces, 0, "neither the ledger nor the quarantine has anything of it");
    assert_eq!(world.report("20250514"), None);
}

/// Today's rows are there, its reject exactly once, its report right.
async fn assert_today(world: &World) {
    assert_eq!(world.rows("agency_a").await, TODAYS);
    let rejects: i64 = world.scalar("select count(*) from bursar.file_invalid_rows").await;
    assert_eq!(rejects, 1);
    let report = world.report("20250514").expect("a report");
    assert_eq!(report.lines().nth(1), Some("agency_a,2,20,1,1,33.33"));
    assert_eq!(report.lines().count(), 5);
}

async fn states(world: &World) -> Vec<String> {
    let states: Option<Value> =
        world.scalar("select jsonb_agg(state order by opened_at) from bursar.runs where run_date = '2025-05-14'").await;
    states.map_or_else(Vec::new, |states| serde_json::from_value(states).expect("states"))
}
