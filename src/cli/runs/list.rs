//! `bursar runs list`

use super::super::zones::Zones;
use super::super::{show, usage};
use crate::catalog::Catalog;
use crate::config::{Settings, suggest};
use crate::engine::list::{Filter, RunRow, list_runs};
use crate::engine::task::RunState;
use chrono::NaiveDate;
use clap::builder::PossibleValuesParser;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    /// Only of this job.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only in this state.
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(RunState::ALL.map(RunState::as_str)))]
    state: Option<String>,
    /// Only from this run date on, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// Only up to this run date, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    /// The newest so many.
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let database = super::open(settings).await?;
    let state = arguments.state.as_deref();
    let filter = Filter { job: arguments.job.as_deref(), state, from: arguments.from, to: arguments.to };
    let found = list_runs(&database.pool, &filter, arguments.limit.into()).await;
    database.close().await?;
    let (found, catalog) = (found?, crate::app::compile(settings).unwrap_or_default());
    if let Some(message) = unknown_job(&catalog, arguments.job.as_deref()).filter(|_| found.is_empty()) {
        return Err(usage(message));
    }
    if arguments.json {
        show::json(&found)?;
    } else {
        print(&Zones::from_catalog(&catalog), &found)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs of a job that is configured no more can be listed, but a job nobody has heard of was mistyped.
fn unknown_job(catalog: &Catalog, job: Option<&str>) -> Option<String> {
    let (job, jobs) = (job?, &catalog.jobs);
    let is_mistyped = !jobs.is_empty() && !jobs.contains_key(job);
    is_mistyped.then(|| format!("there is no job {job:?}{}", suggest(job, jobs.keys().map(String::as_str))))
}

fn print(zones: &Zones, found: &[RunRow]) -> anyhow::Result<()> {
    if found.is_empty() {
        return show::line(&"no runs");
    }
    let mut table = show::table(&["run", "job", "run date", "asked by", "state", "tasks", "opened", "ended"], &[5]);
    for run in found {
        table.add_row([
            run.id.to_string(),
            run.job.clone(),
            run.run_date.to_string(),
            run.trigger.clone(),
            state(run),
            format!("{}/{}", run.ended_tasks, run.tasks),
            zones.show(&run.job, run.opened_at),
            zones.show_or_dash(&run.job, run.closed_at),
        ]);
    }
    show::line(&table)
}

fn state(run: &RunRow) -> String {
    match (&run.stranded, &run.fault) {
        (Some(_), _) => format!("{} (stands still)", run.state),
        (None, Some(fault)) => format!("{} ({fault})", run.state),
        (None, None) => run.state.clone(),
    }
}
