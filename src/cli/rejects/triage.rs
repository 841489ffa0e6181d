//! `bursar rejects triage`

use super::super::show;
use super::Which;
use crate::config::Settings;
use crate::escape;
use crate::rows::quarantine::Status;
use crate::rows::triage::{Finding, triage};
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Only in this status; `all` for whatever became of them.
    #[arg(long, value_name = "STATUS", default_value = "open", value_parser = PossibleValuesParser::new(["open", "resolved", "discarded", "superseded", "all"]))]
    status: String,
    /// How many findings at most, the most frequent first.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let catalog = crate::app::compile(settings)?;
    let database = super::open(settings).await?;
    let found = async {
        arguments.which.check(&database.pool, &catalog).await?;
        let mut connection = database.pool.acquire().await.context("triage the rejects")?;
        let filter = arguments.which.filter(Status::parse(&arguments.status));
        triage(&mut connection, &filter, |name, customer| catalog.dataset_of(name, customer)).await
    };
    let found: anyhow::Result<Vec<Finding>> = found.await;
    database.close().await?;
    let found = found?;
    let first = &found[..found.len().min(arguments.limit as usize)];
    if arguments.json {
        show::json(&first)?;
    } else {
        print(first, found.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(first: &[Finding], all: usize) -> anyhow::Result<()> {
    if first.is_empty() {
        return show::line(&"no rejects of that kind");
    }
    let header =
        ["load", "customer", "run date", "column", "code", "rejects", "lines", "example", "what may be behind it"];
    let mut table = show::table(&header, &[0, 5]);
    for finding in first {
        table.add_row([
            finding.load_id.to_string(),
            finding.customer.clone(),
            finding.run_date.to_string(),
            finding.column.clone().unwrap_or_else(|| "-".to_owned()),
            finding.code.clone(),
            finding.count.to_string(),
            lines(finding),
            format!("{}: {}", finding.example, escape::line(&finding.message)),
            escape::line(&finding.suggestion),
        ]);
    }
    show::line(&table)?;
    if all > first.len() { show::line(&format!("and {} more: --limit", all - first.len())) } else { Ok(()) }
}

fn lines(finding: &Finding) -> String {
    let Finding { first_line, last_line, scattered, .. } = finding;
    match (first_line == last_line, scattered) {
        (true, _) => first_line.to_string(),
        (_, true) => format!("{first_line} to {last_line}, strewn"),
        _ => format!("{first_line} to {last_line}"),
    }
}
