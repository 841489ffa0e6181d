//! `bursar loads`: the load ledger, and what an operator decides about a load that is held.

use super::scope::Scope;
use super::{Context, rejects, runs, show, usage};
use crate::app;
use crate::config::{Settings, suggest};
use crate::rows::held::{Decision, HeldLoad, Verdict};
use crate::rows::ledger_list::{self, Filter, LoadRow};
use crate::rows::load::Older;
use crate::tasks::decide::{Decided, decide};
use serde_json::{Value, json};
use std::process::ExitCode;

const STATES: [&str; 5] = ["published", "measured", "held", "overtaken", "discarded"];

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List loads, the newest first.
    List(ListArguments),
    /// Show all that the ledger keeps of a load.
    Show(ShowArguments),
    /// Publish a held load as it is, without reading its file again.
    Accept(AcceptArguments),
    /// Let a held load go: its rows are dropped, its counts and rejects stay.
    Discard(DecideArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    scope: Scope,
    /// Only this state: published, measured, held (to be decided about), overtaken (held, and loaded again since) or
    /// discarded.
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

#[derive(Debug, clap::Args)]
pub(super) struct AcceptArguments {
    #[command(flatten)]
    decide: DecideArguments,
    /// Put its rows in the place of those of a newer run date.
    #[arg(long)]
    publish: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DecideArguments {
    /// The load's id.
    id: i64,
    /// Why; it is kept in the ledger, with the name of your account.
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Print the result as JSON.
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
        Command::Accept(arguments) => {
            let older = if arguments.publish { Older::Publish } else { Older::Measure };
            decided(&settings, &arguments.decide, Verdict::Accepted, older).await
        }
        Command::Discard(arguments) => decided(&settings, &arguments, Verdict::Discarded, Older::Measure).await,
    }
}

async fn list(settings: &Settings, arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let filter = Filter {
        dataset: arguments.scope.dataset.clone(),
        customer: arguments.scope.customer.clone(),
        from: arguments.scope.from(),
        to: arguments.scope.to(),
        state: arguments.state.clone(),
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
            &["id", "run date", "dataset", "customer", "state", "rows", "rejected", "file", "why"],
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

async fn decided(
    settings: &Settings,
    arguments: &DecideArguments,
    verdict: Verdict,
    older: Older,
) -> anyhow::Result<ExitCode> {
    if arguments.reason.trim().is_empty() {
        return Err(usage("--reason must say why".to_owned()));
    }
    let catalog = app::compile(settings)?;
    let by = rejects::operator();
    let decision = Decision { verdict, reason: arguments.reason.trim(), by: &by };
    let database = runs::open(settings).await?;
    let lock_timeout_s = settings.file.database.lock_timeout_s;
    let decided = decide(&database.pool, &catalog, arguments.id, older, decision, lock_timeout_s).await;
    database.close().await?;
    let decided = decided?;
    if arguments.json {
        let Decided { load, way, left } = &decided;
        let state = if verdict == Verdict::Accepted { "published" } else { "discarded" };
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        show::json(&json!({"load": load.id, "state": state, "way": way, "run": load.run_id, "left": left}))?;
    } else {
        show::line(&told(&decided))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn told(Decided { load, way, left }: &Decided) -> String {
    let HeldLoad { id, dataset, customer, run_date, loaded, run_id, .. } = load;
    if way.is_none() {
        return format!(
            "load {id} of {dataset} of {customer} for {run_date} is discarded; its counts and rejects stay"
        );
    }
    let published = format!("load {id} is published: {loaded} rows of {dataset} of {customer} for {run_date}");
    if left.is_empty() {
        return published;
    }
    format!("{published}\nwhat is left of its run ({}) goes on with: bursar runs retry {run_id}", runs::names(left))
}
