//! The daemon: runs at their instants, answers on its port, stops when it is told to, and is not alone.

mod answers;
mod instants;
mod stops;

use crate::running::{Running, until};
use crate::support::{Ran, World, ratings};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// One agency whose file is there, and a job that is due at `schedule` in UTC.
async fn due(schedule: &str) -> World {
    let world = World::new().await;
    world.edit("customers.toml", |_| "[[customer]]\nname = \"agency_a\"\ncode = \"A\"\n".to_owned());
    world.deliver("A", ratings(&["1,10,20,high-value", "2,20,30,low-value"]));
    policy(&world, "0 5 * * *", schedule);
    policy(&world, "America/New_York", "UTC");
    world
}

/// Changes the job's file.
fn policy(world: &World, from: &str, to: &str) {
    world.edit("jobs/customer-ratings.toml", |text| text.replace(from, to));
}

/// A daemon and the address it answers on.
struct Daemon {
    running: Running,
    address: SocketAddr,
}

impl Daemon {
    async fn start(world: &World) -> Self {
        Self::with(world, &[]).await
    }

    async fn with(world: &World, environment: &[(&str, &str)]) -> Self {
        let running = Running::of(world.command(&["serve"]).envs(environment.iter().copied()));
        running.says("answering on http://").await;
        let said = running.said();
        let line = said.lines().find(|line| line.contains("http.address")).expect("the line that tells the address");
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let address = line["http.address"].as_str().expect("an address").parse().expect("an address");
        Self { running, address }
    }

    /// Status and body of a page.
    fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).expect("connect to the daemon");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address).expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Tells it to stop and waits for its end, which takes less than `bound`.
    async fn stop(self, signal: Signal, bound: Duration) -> Ran {
        let since = Instant::now();
        self.running.signal(signal);
        let ran = self.running.ended().await;
        assert!(since.elapsed() < bound, "it took {:?} to stop:\n{}", since.elapsed(), ran.stderr);
        ran
    }
}

async fn count(world: &World, query: &str) -> i64 {
    world.scalar(&format!("select count(*) from bursar.{query}")).await
}

/// Waits until so many of these are recorded.
async fn recorded(world: &World, at_least: i64, query: &str) {
    until(query, async || count(world, query).await >= at_least).await;
}

/// The states of the recorded occurrences, each with how often.
async fn occurrences(world: &World) -> BTreeMap<String, i64> {
    let states: Value = world
        .scalar("select coalesce(jsonb_object_agg(state, n), '{}') from (select state, count(*) as n from bursar.occurrences group by state) as s")
        .await;
    serde_json::from_value(states).expect("counts")
}
