//! Files are known by their bytes: the same again, stale ones, and another customer's.

mod misdelivery;
mod repeated;

use crate::support::{Ran, World, ratings};
use serde_json::Value;

/// What a run of the shipped job came to for a customer.
pub fn outcome(ran: &Ran, customer: &str) -> Value {
    let summary = ran.json();
    let tasks = summary["tasks"].as_array().expect("tasks");
    let task = tasks.iter().find(|task| task["item"] == customer).expect("the customer's load");
    task["outcome"].clone()
}

/// Runs the shipped job for a date and one customer; its load's outcome.
pub fn load(world: &World, date: &str, customer: &str, more: &[&str]) -> Value {
    outcome(&run(world, date, customer, more), customer)
}

pub fn run(world: &World, date: &str, customer: &str, more: &[&str]) -> Ran {
    world.run_job(date, &[&["--json", "--customer", customer], more].concat())
}

/// Runs the shipped job for a date and one customer; the state of its load.
pub fn state(world: &World, date: &str, customer: &str, more: &[&str]) -> String {
    let ran = run(world, date, customer, more);
    let outcome = outcome(&ran, customer);
    outcome["state"].as_str().unwrap_or_else(|| panic!("{outcome}: {}", ran.stderr)).to_owned()
}

/// How many rows of the load ledger meet a condition.
pub async fn loads(world: &World, condition: &str) -> i64 {
    world.scalar(&format!("select count(*) from bursar.loads where {condition}")).await
}

/// A world in which `agency_a` has delivered a good file.
pub async fn delivered() -> World {
    let world = World::new().await;
    world.deliver("A", ratings(&["1,10,20,high-value", "2,11,21,low-value"]));
    world
}

/// Changes something by hand, as an operator might.
pub async fn by_hand(world: &World, statement: &str) {
    let pool = world.pool().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.expect("a change by hand");
}
