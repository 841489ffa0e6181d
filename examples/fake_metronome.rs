//! A Metronome billing API to try things with: `cargo run --example fake_metronome -- --port 8700`.
//!
//! It takes any token that is `fake-token`, and tells on stdout where it listens.

#![expect(clippy::print_stdout, reason = "where it listens is for whoever started it")]

#[path = "fake/metronome/mod.rs"]
mod metronome;

use clap::Parser;
use metronome::{Scenario, Trouble};
use std::net::{Ipv4Addr, SocketAddr};

/// A Metronome billing API with made-up customers. Its token is fake-token.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How many customers it has.
    #[arg(long, default_value_t = 12)]
    customers: usize,
    /// How many invoices each of them has.
    #[arg(long, default_value_t = 12)]
    invoices: usize,
    /// How many items a page has where the request does not say it.
    #[arg(long, default_value_t = 20)]
    page: usize,
    /// Trouble it makes, in turn: retry-after-ms, retry-after-seconds, retry-after-date, server-error, slow, cut.
    /// Whoever asks again gets the answer.
    #[arg(long, value_delimiter = ',')]
    trouble: Vec<Trouble>,
    /// Of so many requests one meets trouble.
    #[arg(long, default_value_t = 10)]
    every: usize,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Arguments { port, customers, invoices, page, trouble, every } = Arguments::parse();
    let scenario = Scenario { page, trouble, every, ..Scenario::generated(customers, invoices) };
    let fake = metronome::start(scenario, SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    println!("http://{}/v1", fake.address());
    tokio::signal::ctrl_c().await?;
    println!("answered {} requests", fake.answered());
    Ok(())
}
