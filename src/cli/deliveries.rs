//! `bursar deliveries`

use super::scope::Scope;
use super::zones::Zones;
use super::{Context, show, signals};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::suggest;
use crate::db::Database;
use crate::deliveries::State;
use crate::deliveries::expect::run_date;
use crate::deliveries::list::{Filter, Listed, OUTCOMES, list};
use chrono::{DateTime, Utc};
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    scope: Scope,
    /// Only this state: expected, arrived, late, missing, `not_expected`, duplicate or changed.
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<State>,
    /// Only this outcome: published, measured, held, discarded, refused (the file can't be loaded as it is) or failed.
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(OUTCOMES))]
    outcome: Option<String>,
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

fn parse_state(word: &str) -> Result<State, String> {
    State::try_from(word.to_owned())
        .map_err(|_| format!("no state of a delivery{}", suggest(word, State::ALL.map(State::as_str))))
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let stop = signals::stop_token()?;
    let settings = context.settings()?;
    let catalog = crate::app::compile(&settings)?;
    let filter = filter(&catalog, &arguments, Clock::system().now());
    let database = signals::unless_stopped(&stop, Box::pin(Database::open(&settings))).await?;
    let listed = async {
        arguments.scope.check(&database.pool, &catalog).await?;
        list(&database.pool, &filter).await
    };
    let listed = listed.await;
    database.close().await?;
    let (listed, zones) = (listed?, Zones::from_catalog(&catalog));
    if arguments.json {
        show::json(&listed.iter().map(|delivery| described(&zones, delivery)).collect::<anyhow::Result<Vec<_>>>()?)?;
    } else {
        print(&zones, &listed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a date: the run dates that the jobs have today, each in its zone.
fn filter(catalog: &Catalog, arguments: &Arguments, now: DateTime<Utc>) -> Filter {
    let (mut from, mut to) = (arguments.scope.from(), arguments.scope.to());
    if from.is_none() && to.is_none() {
        let scheduled = catalog.jobs.values().filter(|job| job.schedule.is_some());
        let today = scheduled.map(|job| run_date(job, now.with_timezone(&job.timezone).date_naive()));
        (from, to) = (today.clone().min(), today.max());
    }
    Filter {
        from,
        to,
        dataset: arguments.scope.dataset.clone(),
        customer: arguments.scope.customer.clone(),
        state: arguments.state,
        outcome: arguments.outcome.clone(),
    }
}

fn described(zones: &Zones, listed: &Listed) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(listed)?;
    value["timezone"] = json!(zones.zone(&listed.delivery.job).name());
    Ok(value)
}

fn print(zones: &Zones, listed: &[Listed]) -> anyhow::Result<()> {
    if listed.is_empty() {
        return show::line(&"no deliveries: nothing of that kind was expected while a daemon was up");
    }
    let header = ["run date", "dataset", "customer", "state", "outcome", "deadline", "arrived", "file", "load", "note"];
    let mut table = show::table(&header, &[8]);
    for Listed { delivery, outcome, failure } in listed {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            delivery.run_date.to_string(),
            delivery.dataset.clone(),
            delivery.customer.clone(),
            delivery.state.as_str().to_owned(),
            or_dash(outcome.clone()),
            zones.show(&delivery.job, delivery.deadline),
            zones.show_or_dash(&delivery.job, delivery.arrived_at),
            or_dash(delivery.file_path.clone()),
            or_dash(delivery.refused_id.or(delivery.load_id).map(|id| id.to_string())),
            or_dash(failure.clone().or_else(|| delivery.note.clone())),
        ]);
    }
    show::line(&table)
}
