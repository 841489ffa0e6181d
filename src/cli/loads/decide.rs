//! `bursar loads accept` and `bursar loads discard`: of each load by itself, in a transaction of its own. One that can't
//! be decided about is reported, and does not keep the others from it.

use super::super::scope::Scope;
use super::super::{judge, rejects, runs, show, usage};
use crate::app;
use crate::catalog::Catalog;
use crate::config::{Settings, suggest};
use crate::db::Database;
use crate::fault;
use crate::rows::held::{Decision, Verdict};
use crate::rows::ledger_list::{self, Filter};
use crate::rows::load::Older;
use crate::tasks::decide::{Decided, decide};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(in super::super) struct AcceptArguments {
    #[command(flatten)]
    pub(super) decide: DecideArguments,
    /// Replace the rows of a newer run date.
    #[arg(long)]
    publish: bool,
}

#[derive(Debug, clap::Args)]
pub(in super::super) struct DecideArguments {
    /// The ids of held loads.
    #[arg(required_unless_present = "all_held")]
    ids: Vec<i64>,
    /// Every held load of a job, dataset, customer or run date (not those that a later load came after).
    #[arg(long, conflicts_with = "ids")]
    all_held: bool,
    /// With --all-held: only of runs of this job.
    #[arg(long, value_name = "JOB", requires = "all_held")]
    job: Option<String>,
    #[command(flatten)]
    scope: Scope,
    /// Why; it is kept in the ledger, with the name of your account.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the results as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A load and what came of the decision about it.
type Outcome = (i64, anyhow::Result<Decided>);

pub(super) async fn accept(settings: &Settings, arguments: &AcceptArguments) -> anyhow::Result<ExitCode> {
    let older = if arguments.publish { Older::Publish } else { Older::Measure };
    run(settings, &arguments.decide, Verdict::Accepted, older).await
}

pub(super) async fn discard(settings: &Settings, arguments: &DecideArguments) -> anyhow::Result<ExitCode> {
    run(settings, arguments, Verdict::Discarded, Older::Measure).await
}

async fn run(
    settings: &Settings,
    arguments: &DecideArguments,
    verdict: Verdict,
    older: Older,
) -> anyhow::Result<ExitCode> {
    let catalog = app::compile(settings)?;
    if let Some(message) = usage_error(&catalog, arguments) {
        return Err(usage(message));
    }
    let by = rejects::operator();
    let decision = Decision { verdict, reason: arguments.reason.trim(), by: &by };
    let database = runs::open(settings).await?;
    let results = async {
        let mut results: Vec<Outcome> = Vec::new();
        for id in ids(&database, &catalog, arguments).await? {
            let lock_timeout_s = settings.file.database.lock_timeout_s;
            results.push((id, decide(&database.pool, &catalog, id, older, decision, lock_timeout_s).await));
        }
        anyhow::Ok(results)
    };
    let results = results.await;
    database.close().await?;
    let results = results?;
    if arguments.json {
        show::json(&results.iter().map(describe).collect::<Vec<_>>())?;
    } else {
        print(&results)?;
    }
    Ok(exit_code(&results))
}

fn usage_error(catalog: &Catalog, arguments: &DecideArguments) -> Option<String> {
    let DecideArguments { all_held, job, scope, reason, .. } = arguments;
    if reason.trim().is_empty() {
        return Some("--reason must say why".to_owned());
    }
    if !all_held && !scope.is_empty() {
        return Some("--date, --from, --to, --dataset and --customer narrow --all-held, which is not given".to_owned());
    }
    if *all_held && job.is_none() && scope.is_empty() {
        return Some("--all-held needs --job, --dataset, --customer or a run date".to_owned());
    }
    let unknown = job.as_ref().filter(|job| !catalog.jobs.contains_key(*job))?;
    Some(format!("there is no job {unknown:?}{}", suggest(unknown, catalog.jobs.keys().map(String::as_str))))
}

/// The loads that are meant, the oldest first.
async fn ids(database: &Database, catalog: &Catalog, arguments: &DecideArguments) -> anyhow::Result<BTreeSet<i64>> {
    if !arguments.all_held {
        return Ok(arguments.ids.iter().copied().collect());
    }
    let scope = &arguments.scope;
    scope.check(&database.pool, catalog).await?;
    let filter = Filter {
        dataset: scope.dataset.clone(),
        customer: scope.customer.clone(),
        from: scope.from(),
        to: scope.to(),
        state: Some("held".to_owned()),
        job: arguments.job.clone(),
        limit: i64::MAX,
    };
    let held = ledger_list::list(&database.pool, &filter).await?;
    Ok(held.into_iter().map(|load| load.id).collect())
}

fn describe((id, result): &Outcome) -> Value {
    match result {
        Ok(Decided { load, way, left }) => {
            let state = if way.is_some() { "published" } else { "discarded" };
            let left: Vec<String> = left.iter().map(ToString::to_string).collect();
            json!({"load": id, "state": state, "way": way, "run": load.run_id, "left": left})
        }
        Err(error) => json!({"load": id, "fault": judge(error).0, "error": fault::told(error)}),
    }
}

fn print(results: &[Outcome]) -> anyhow::Result<()> {
    if results.is_empty() {
        return show::line(&"no held loads of that kind");
    }
    // Of the loads of one run the last one knows what is left of it.
    let mut left_of_runs = BTreeMap::new();
    for (id, result) in results {
        match result {
            Ok(Decided { load, way, left }) => {
                let what = format!("{} of {} for {}", load.dataset, load.customer, load.run_date);
                show::line(&match way {
                    Some(_) => format!("load {id} is published: {} rows of {what}", load.loaded),
                    None => format!("load {id} of {what} is discarded; its counts and rejects stay"),
                })?;
                left_of_runs.insert(load.run_id, left);
            }
            Err(error) => eprintln!("error: load {id}: {}", fault::told(error)),
        }
    }
    for (run, left) in left_of_runs.into_iter().filter(|(_, left)| !left.is_empty()) {
        show::line(&format!("tasks of run {run} that are left ({}): bursar runs retry {run}", runs::names(left)))?;
    }
    Ok(())
}

/// That of the gravest failure.
fn exit_code(results: &[Outcome]) -> ExitCode {
    let failures = results.iter().filter_map(|(_, result)| result.as_ref().err());
    let gravest = failures.max_by_key(|error| (judge(error).0 != "usage", fault::judge(error)));
    gravest.map_or(ExitCode::SUCCESS, |error| ExitCode::from(judge(error).1))
}
