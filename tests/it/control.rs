//! Control totals: what a customer states of a file is compared with what was found in it.

mod check;
mod manifest;
mod sidecar;
mod trailer;

use crate::known::run;
use crate::support::{Ran, World, ratings};
use serde_json::{Value, json};

pub const DAY: &str = "2025-05-13";

/// Two rows whose ratings add up to 21.
pub fn rows() -> String {
    ratings(&["1,10,20,high-value", "2,11,21,low-value"])
}

/// A world whose dataset has this `[control]`, and these keys of its dialect.
pub async fn declared(dialect: &str, control: &str) -> World {
    let world = World::new().await;
    declare(&world, dialect, control);
    world
}

pub fn declare(world: &World, dialect: &str, control: &str) {
    let tables = format!("[dialect]\n{dialect}\n\n[control]\n{control}\n\n[gate]");
    world.edit("datasets/customer_rating.toml", |text| text.replace("[gate]", &tables));
}

/// Loads the file of `agency_a`.
pub fn load(world: &World) -> Ran {
    run(world, DAY, "agency_a", &[])
}

/// The load's outcome.
pub fn outcome(world: &World) -> Value {
    crate::known::outcome(&load(world), "agency_a")
}

/// Why the load is held.
pub fn reasons(world: &World) -> Vec<String> {
    let ran = load(world).code(65);
    let outcome = crate::known::outcome(&ran, "agency_a");
    assert_eq!(outcome["state"], "held", "{}", ran.stderr);
    outcome["reasons"].as_array().expect("reasons").iter().map(|r| r.as_str().expect("a text").to_owned()).collect()
}

/// What is said of a load that fails, which leaves nothing.
pub async fn refused(world: &World, code: i32) -> String {
    let said = load(world).code(code).messages();
    assert_eq!(crate::known::loads(world, "true").await, 0, "{said}");
    said
}

/// A control total as the ledger keeps it.
pub fn check(name: &str, stated: &str, found: &str) -> Value {
    json!({"name": name, "stated": stated, "found": found, "agrees": stated == found})
}

/// The control totals that the ledger keeps of the latest load.
pub async fn kept(world: &World) -> Value {
    world.scalar("select control -> 'checks' from bursar.loads order by id desc limit 1").await
}
