//! The stream API, Rutter and a mail service to try things with: `cargo run --example fake_rutter -- --port 8701`.
//!
//! Any UUID is a charge. It tells on stdout what to set so that a program uses it.

#![expect(clippy::print_stdout, reason = "where it listens is for whoever started it")]

#[path = "fake/rutter/mod.rs"]
mod rutter;

use clap::Parser;
use rutter::{Happening, Scenario};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The stream API, Rutter and a mail service, with made-up charges.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where webhooks go: `http://127.0.0.1:8080/webhooks/rutter`.
    #[arg(long)]
    webhook: Option<String>,
    /// What happens to requests for invoices, by chance one of these: sync, async=POLLS, job-fails, job-breaks,
    /// job-forgotten, refuse=STATUS, fail-accepted=STATUS, busy, error-after=STATUS, cut-before, cut-after, cut-within,
    /// babble, conflict.
    #[arg(long, value_delimiter = ',')]
    trouble: Vec<Happening>,
    /// How long each answer takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Arguments { port, webhook, trouble, delay_ms } = Arguments::parse();
    let scenario = Scenario { chaos: trouble, webhook, delay: Duration::from_millis(delay_ms), ..Scenario::default() };
    let fake = rutter::start(scenario, SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    for (name, value) in fake.environment() {
        println!("export {name}='{value}'");
    }
    println!("export EMAIL_SERVICE_URL='{}'", fake.mail_url());
    tokio::signal::ctrl_c().await?;
    println!("{} requests made {} invoices", fake.asked(), fake.invoices());
    Ok(())
}
