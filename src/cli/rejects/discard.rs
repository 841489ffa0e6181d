//! `bursar rejects discard`

use super::super::show;
use super::{Which, configured, operator, usage};
use crate::config::Settings;
use crate::rows::ledger_list;
use crate::rows::quarantine::Filter;
use crate::rows::quarantine::discard::{count, discard, unknown};
use anyhow::Context;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    /// The numbers of the rejects.
    ids: Vec<i64>,
    #[command(flatten)]
    which: Which,
    /// All open rejects of this load.
    #[arg(long, value_name = "ID", conflicts_with = "load")]
    all_of_load: Option<i64>,
    /// Why; it is kept with each.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Without asking.
    #[arg(long)]
    yes: bool,
    /// Print how many as JSON.
    #[arg(long, requires = "yes")]
    pub(super) json: bool,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(message) = usage_error(arguments) {
        return Err(usage(message.to_owned()));
    }
    let database = super::open(settings).await?;
    let discarded = async {
        arguments.which.check(&database.pool, &configured(settings)).await?;
        if let Some(id) = arguments.all_of_load {
            ledger_list::check_id(&database.pool, id).await?;
        }
        let mut connection = database.pool.acquire().await.context("discard rejects")?;
        if let Some(id) = unknown(&mut connection, &arguments.ids).await? {
            return Err(usage(format!("there is no reject {id}; `bursar rejects list` lists them")));
        }
        let filter = filter(arguments);
        let found = count(&mut connection, &filter).await?;
        if found.count > 0 && !arguments.yes && !is_confirmed(found.count)? {
            return Ok(None);
        }
        discard(&mut connection, &filter, &found, &operator(), &arguments.reason).await.map(Some)
    };
    let discarded: anyhow::Result<Option<u64>> = discarded.await;
    database.close().await?;
    match discarded? {
        Some(count) if arguments.json => show::json(&json!({"discarded": count}))?,
        Some(count) => show::line(&format!("{count} open rejects discarded"))?,
        None => show::line(&"nothing was changed")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn filter(arguments: &Arguments) -> Filter {
    let mut filter = arguments.which.filter(None);
    filter.load = filter.load.or(arguments.all_of_load);
    filter.ids = (!arguments.ids.is_empty()).then(|| arguments.ids.clone());
    filter
}

fn usage_error(arguments: &Arguments) -> Option<&'static str> {
    let which = &arguments.which;
    let narrows =
        [&which.scope.dataset, &which.scope.customer, &which.code, &which.column].iter().any(|key| key.is_some())
            || which.scope.from().or(which.scope.to()).is_some()
            || arguments.all_of_load.is_some()
            || !arguments.ids.is_empty();
    if arguments.reason.trim().is_empty() {
        return Some("--reason is blank; say why they can go");
    }
    if !narrows && which.load.is_some() {
        return Some("--load alone means all rejects of the load; say so with --all-of-load");
    }
    if !narrows {
        return Some("say which: numbers, --all-of-load, or a filter such as --customer, --date, --code");
    }
    (!arguments.yes && !std::io::stdin().is_terminal()).then_some("there is no terminal to ask on; say --yes")
}

fn is_confirmed(count: i64) -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr();
    write!(stderr, "discard {count} open rejects? [y/N] ").and_then(|()| stderr.flush()).context("ask")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
