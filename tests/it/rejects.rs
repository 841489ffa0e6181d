//! Rejects: seen, written out again byte for byte, corrected and redriven, let go.

mod earlier;
mod export;
mod look;
mod merged;
mod redrive;
mod triage;

use crate::support::{Ran, World, ratings};

pub const DATE: &str = "2025-05-13";

/// Agency A's rejects: lines 3 and 4 of its file, and the last one without a line end.
pub async fn three_rejects() -> World {
    let world = World::new().await;
    world.deliver_all();
    world.deliver(
        "A",
        format!(
            "{}7,8,9,low\"value",
            ratings(&[
                "100,10,20,high-value",
                "x\u{1b}[31m,10,20,low",
                "2,,9,low",
                "1,1,1,low",
                "1,1,1,low",
                "1,1,1,low"
            ])
        ),
    );
    world.run_job(DATE, &[]).code(0);
    world
}

/// The numbers of the open rejects of agency A, in their order.
pub fn ids(world: &World) -> Vec<i64> {
    let listed = world.bursar(&["rejects", "list", "--customer", "agency_a", "--json"]).code(0).json();
    listed.as_array().expect("a list").iter().map(|r| r["id"].as_i64().expect("a number")).collect()
}

pub fn export(world: &World, more: &[&str]) -> Ran {
    world.bursar(
        &[&["rejects", "export", "--dataset", "customer_rating", "--customer", "agency_a", "--date", DATE], more]
            .concat(),
    )
}
