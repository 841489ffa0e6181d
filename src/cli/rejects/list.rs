//! `bursar rejects list`

use super::super::show;
use super::{Which, configured, short};
use crate::config::Settings;
use crate::escape;
use crate::rows::quarantine::{Listed, Status, list};
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
    /// Only those behind this one: the last id of the page before.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let database = super::open(settings).await?;
    let filter = arguments.which.filter(Status::parse(&arguments.status));
    let listed = async {
        arguments.which.check(&database.pool, &configured(settings)).await?;
        let mut connection = database.pool.acquire().await.context("list the rejects")?;
        list(&mut connection, &filter, arguments.after, arguments.limit).await
    };
    let listed = listed.await;
    database.close().await?;
    let listed = listed?;
    if arguments.json {
        show::json(&listed)?;
    } else {
        print(&listed, arguments)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(listed: &[Listed], arguments: &Arguments) -> anyhow::Result<()> {
    if listed.is_empty() {
        return show::line(&"no rejects of that kind");
    }
    let header = ["id", "load", "dataset", "customer", "run date", "line", "status", "errors", "first of them"];
    let mut table = show::table(&header, &[0, 1, 5]);
    for reject in listed {
        let first = reject.errors[0]["message"].as_str().unwrap_or_default();
        table.add_row([
            reject.id.to_string(),
            reject.load_id.to_string(),
            reject.dataset.clone(),
            reject.customer.clone(),
            reject.run_date.to_string(),
            reject.line.to_string(),
            reject.status.clone(),
            short(&reject.errors),
            escape::line(first),
        ]);
    }
    show::line(&table)?;
    match listed.last() {
        Some(last) if listed.len() >= arguments.limit as usize => {
            show::line(&format!("there may be more: --after {}", last.id))
        }
        _ => Ok(()),
    }
}
