//! `bursar deliveries`

use super::scope::Scope;
use super::{Context, show, signals};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::suggest;
use crate::db::Database;
use crate::deliveries::expect::run_date;
use crate::deliveries::list::{Filter, list};
use crate::deliveries::{Delivery, State};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    scope: Scope,
    /// Only this state: expected, arrived, late, missing, `not_expected`, duplicate or changed.
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<State>,
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
    let listed = listed?;
    if arguments.json {
        show::json(&listed.iter().map(|delivery| described(&catalog, delivery)).collect::<anyhow::Result<Vec<_>>>()?)?;
    } else {
        print(&catalog, &listed)?;
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
    }
}

/// The zone of a delivery's job; that of a job that is not there any more is not known.
fn zone(catalog: &Catalog, delivery: &Delivery) -> Tz {
    catalog.jobs.get(&delivery.job).map_or(Tz::UTC, |job| job.timezone)
}

fn described(catalog: &Catalog, delivery: &Delivery) -> anyhow::Result<Value> {
    let zone = zone(catalog, delivery);
    let mut value = serde_json::to_value(delivery)?;
    value["timezone"] = json!(zone.name());
    value["deadline"] = json!(delivery.deadline.with_timezone(&zone).to_rfc3339());
    value["arrived_at"] = json!(delivery.arrived_at.map(|at| at.with_timezone(&zone).to_rfc3339()));
    Ok(value)
}

fn print(catalog: &Catalog, listed: &[Delivery]) -> anyhow::Result<()> {
    if listed.is_empty() {
        return show::line(&"no deliveries: nothing of that kind was expected while a daemon was up");
    }
    let header = ["run date", "dataset", "customer", "state", "deadline", "arrived", "file", "load", "note"];
    let mut table = show::table(&header, &[7]);
    for delivery in listed {
        let zone = zone(catalog, delivery);
        let at = |instant: DateTime<Utc>| instant.with_timezone(&zone).format("%F %H:%M %Z").to_string();
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            delivery.run_date.to_string(),
            delivery.dataset.clone(),
            delivery.customer.clone(),
            delivery.state.as_str().to_owned(),
            at(delivery.deadline),
            or_none(delivery.arrived_at.map(at)),
            or_none(delivery.file_path.clone()),
            or_none(delivery.load_id.map(|id| id.to_string())),
            or_none(delivery.note.clone()),
        ]);
    }
    show::line(&table)
}
