//! The billing API into a summary, against a server that follows the vendor's documentation.

mod api;
mod change;
#[path = "../../examples/fake/metronome/mod.rs"]
mod fake;
mod faults;
mod resume;
mod summary;

use crate::support::{Ran, World};
use fake::{Fake, Scenario};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

const DAY: &str = "2026-02-03";

async fn serve(scenario: Scenario) -> Fake {
    fake::start(scenario, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a server")
}

fn url(fake: &Fake) -> String {
    format!("http://{}/v1", fake.address())
}

/// The program beside a fake vendor whom it may ask as fast as it can.
fn command(world: &World, fake: &Fake, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command
        .env("METRONOME_API_TOKEN", fake::TOKEN)
        .env("BURSAR__METRONOME__BASE_URL", url(fake))
        .env("BURSAR__METRONOME__REQUESTS_PER_SECOND", "1000");
    command
}

fn run(world: &World, fake: &Fake, date: &str, more: &[&str]) -> Ran {
    let arguments = [&["run-job", "metronome-summary", "--date", date], more].concat();
    Ran::of(command(world, fake, &arguments).output().expect("start bursar"))
}

/// A report that is asked.
fn ask(world: &World, arguments: &[&str]) -> Ran {
    world.bursar(&[&["report"], arguments].concat())
}

/// The summaries of a day that were written, by name.
fn summaries(world: &World, day: &str) -> Vec<(String, String)> {
    let prefix = format!("customer_summary_report_{}_", day.replace('-', ""));
    let entries = std::fs::read_dir(world.path("output")).expect("the output folder").map(|e| e.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<(String, String)> = names
        .filter(|name| name.starts_with(&prefix) && Path::new(name).extension().is_some_and(|e| e == "csv"))
        .map(|name| {
            let text = std::fs::read_to_string(world.path("output").join(&name)).expect("a summary");
            (name, text)
        })
        .collect();
    found.sort();
    found
}

/// The only summary of a day.
fn summary(world: &World, day: &str) -> String {
    let mut found = summaries(world, day);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0).1
}
