//! `bursar loads`: the load ledger, and what an operator decides about loads that are held.

mod decide;

use super::scope::Scope;
use super::{Context, runs, show};
use crate::app;
use crate::config::{Settings, suggest};
use crate::rows::ledger_list::{self, Filter, LoadRow};
use serde_json::Value;
use std::process::ExitCode;

const STATES: [&str; 6] = ["published", "measured", "held", "overtaken", "discarded", "refused"];

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List loads and refused files, the newest first.
    List(ListArguments),
    /// Show everything that is kept of a load or a refused file.
    Show(ShowArguments),
    /// Publish held loads as they are, without reading their files again.
    Accept(decide::AcceptArguments),
    /// Discard held loads: their rows are dropped, their counts and rejects stay.
    Discard(decide::DecideArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    scope: Scope,
    /// Only of runs of this job.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only this state: published, measured, held (to be decided about), overtaken (held, and loaded again since),
    /// discarded or refused (a file of which nothing was loaded).
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArguments {
    /// The load's id.
    id: i64,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::List(arguments) => arguments.json,
            Self::Show(arguments) => arguments.json,
            Self::Accept(arguments) => arguments.decide.json,
            Self::Discard(arguments) => arguments.json,
        }
    }
}

fn parse_state(word: &str) -> Result<String, String> {
    let known = STATES.contains(&word);
    known.then(|| word.to_owned()).ok_or_else(|| format!("no state of a load{}", suggest(word, STATES)))
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let settings = context.settings()?;
    match command {
        Command::List(arguments) => list(&settings, &arguments).await,
        Command::Show(arguments) => show_one(&settings, &arguments).await,
        Command::Accept(arguments) => decide::accept(&settings, &arguments).await,
        Command::Discard(arguments) => decide::discard(&settings, &arguments).await,
    }
}

async fn list(settings: &Settings, arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let filter = Filter {
        dataset: arguments.scope.dataset.clone(),
        customer: arguments.scope.customer.clone(),
        from: arguments.scope.from(),
        to: arguments.scope.to(),
        state: arguments.state.clone(),
        job: arguments.job.clone(),
        limit: arguments.limit.into(),
    };
    let catalog = app::compile(settings).unwrap_or_default();
    let database = runs::open(settings).await?;
    let listed = async {
        arguments.scope.check(&database.pool, &catalog).await?;
        ledger_list::list(&database.pool, &filter).await
    };
    let listed = listed.await;
    database.close().await?;
    let listed = listed?;
    if arguments.json {
        show::json(&listed)?;
    } else if listed.is_empty() {
        show::line(&"no loads of that kind")?;
    } else {
        let mut table = show::table(
            &["id", "run date", "dataset", "customer", "state", "rows", "rejected", "file", "reason"],
            &[0, 5, 6],
        );
        for load in &listed {
            table.add_row(row(load));
        }
        show::line(&table)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(load: &LoadRow) -> [String; 9] {
    let since = match (load.state.as_str(), load.is_current, load.overtaken_by) {
        ("published", false, _) => " (superseded)".to_owned(),
        (_, _, Some(after)) => format!(" (overtaken by {after})"),
        _ => String::new(),
    };
    let why: Vec<&str> = load.reasons.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    [
        load.id.to_string(),
        load.run_date.to_string(),
        load.dataset.clone(),
        load.customer.clone(),
        format!("{}{since}", load.state),
        load.loaded.to_string(),
        load.rejected.to_string(),
        load.file_name.clone(),
        why.join("; "),
    ]
}

async fn show_one(settings: &Settings, arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let database = runs::open(settings).await?;
    let load = ledger_list::get(&database.pool, arguments.id).await;
    database.close().await?;
    let load = load?;
    if arguments.json {
        show::json(&load)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = show::table(&["", ""], &[]);
    for (name, value) in load.iter().filter(|(_, value)| !value.is_null()) {
        let text = value.as_str().map_or_else(|| serde_json::to_string_pretty(value), |text| Ok(text.to_owned()))?;
        table.add_row([name.replace('_', " "), text]);
    }
    show::line(&table)?;
    Ok(ExitCode::SUCCESS)
}
