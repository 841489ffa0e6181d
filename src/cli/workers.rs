//! `bursar workers`: the processes that work on tasks.

use super::{Context, runs, show};
use crate::clock::timestamp;
use crate::config::short_hash;
use crate::engine::fleet::Fleet;
use crate::engine::list::{WorkerRow, list_workers};
use std::process::ExitCode;

/// So many of those that are gone are shown.
const OTHERS: i64 = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Also the last 20 that are gone.
    #[arg(long)]
    all: bool,
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let database = runs::open(&context.settings()?).await?;
    let looked = async {
        let workers = list_workers(&database.pool, if arguments.all { OTHERS } else { 0 }).await?;
        anyhow::Ok((workers, Fleet::read(&database.pool).await?.conflicts()))
    };
    let looked = looked.await;
    database.close().await?;
    let (workers, conflicts) = looked?;
    show::either(arguments.json, &workers, |workers| print(workers))?;
    for conflict in &conflicts {
        eprintln!("warning: daemons schedule {} differently. {}", conflict.job, conflict.text());
    }
    Ok(ExitCode::SUCCESS)
}

fn print(workers: &[WorkerRow]) -> anyhow::Result<()> {
    if workers.is_empty() {
        return show::line(&"no worker is up");
    }
    let header = ["role", "host", "pid", "state", "since", "busy", "configuration", "read at", "clock", "problem"];
    let mut table = show::table(&header, &[2, 5]);
    for worker in workers {
        let gone = worker.stopped_at.map_or_else(|| "dead".to_owned(), |at| format!("gone {}", timestamp(&at)));
        table.add_row([
            worker.role.clone(),
            worker.host.clone(),
            worker.pid.to_string(),
            if worker.is_alive { "up".to_owned() } else { gone },
            timestamp(&worker.started_at),
            worker.busy.to_string(),
            short_hash(&worker.config_hash).to_owned(),
            timestamp(&worker.config_loaded_at),
            clock(worker.clock_skew_s),
            worker.config_error.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    show::line(&table)
}

/// How far a clock is from the database's, in whole seconds.
fn clock(ahead_s: f64) -> String {
    if ahead_s.abs() < 1.0 { "ok".to_owned() } else { format!("{ahead_s:+.0} s") }
}
