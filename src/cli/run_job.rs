//! `bursar run-job`

use super::{Context, backfill, dry_run, notes, show, signals, usage};
use crate::app::App;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::suggest;
use crate::engine::runs::{RunRequest, RunSummary};
use crate::engine::task::Trigger;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Arc;

/// So many run dates are asked for at most: more than 27 years.
const MOST_DAYS: i64 = 10_000;

/// The years in which a run date can be; others are typing errors.
const RUN_YEARS: RangeInclusive<i32> = 1900..=2199;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person gives")]
pub(super) struct Arguments {
    /// The job's name; `bursar jobs` lists them.
    job: String,
    /// The run date, as YYYY-MM-DD; today in the job's time zone, plus its offset, where it is not given.
    #[arg(long, value_name = "DATE", value_parser = run_date)]
    date: Option<NaiveDate>,
    /// Each run date of the job's schedule from this one on, oldest first (each day, for a job without one).
    #[arg(long, value_name = "DATE", value_parser = run_date, requires = "to", conflicts_with = "date")]
    from: Option<NaiveDate>,
    /// Up to this run date.
    #[arg(long, value_name = "DATE", value_parser = run_date, requires = "from", conflicts_with = "date")]
    to: Option<NaiveDate>,
    /// Leave out the run dates that have a succeeded run of these tasks, whoever asked for it.
    #[arg(long, requires = "from")]
    pub(super) missing_only: bool,
    /// So many run dates at a time.
    #[arg(long, value_name = "N", default_value = "1", requires = "from", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) parallel: u16,
    /// Only this customer; may be given several times.
    #[arg(long = "customer", value_name = "CUSTOMER")]
    customers: Vec<String>,
    /// Let an older run date take the place of the newer rows that readers see.
    #[arg(long)]
    publish: bool,
    /// Load files again of which nothing has changed since they were loaded.
    #[arg(long)]
    force: bool,
    /// Accept run dates after the job's today. Once such a date is published, loads for earlier dates do not replace its rows.
    #[arg(long)]
    allow_future: bool,
    /// Say what would be loaded and what would become of it; open nothing, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Arguments {
    fn range(&self) -> Option<(NaiveDate, NaiveDate)> {
        self.from.zip(self.to)
    }
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let cancel = signals::stop_token()?;
    let settings = context.settings()?;
    let catalog = crate::app::compile(&settings)?;
    if let Some(message) = usage_error(&catalog, &arguments, Clock::system().now()) {
        return Err(usage(message));
    }
    let requests = requests(&catalog, &arguments)?;
    if arguments.dry_run {
        let dry_run = dry_run::run(&settings, &catalog, requests, arguments.missing_only, arguments.json);
        return signals::unless_stopped(&cancel, Box::pin(dry_run)).await;
    }
    let app = signals::unless_stopped(&cancel, Box::pin(App::build_for_command(settings, Clock::system()))).await?;
    let ran = match arguments.range() {
        None => once(&app, context, &requests, arguments.json, &cancel).await,
        Some(_) => Box::pin(backfill::run(&app, context, requests, &arguments, &cancel)).await,
    };
    app.close().await?;
    ran
}

async fn once(
    app: &App,
    context: &Context,
    requests: &[RunRequest],
    json: bool,
    cancel: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<ExitCode> {
    let Some(request) = requests.first() else { return Ok(ExitCode::SUCCESS) };
    let summary = app.run_job(request, context.bars.watching(), cancel).await?;
    report(&summary, json)
}

/// Prints a run that is over; the exit code is that of its gravest fault.
pub(super) fn report(summary: &RunSummary, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        show::json(&show::with_peak_memory(summary)?)?;
    } else {
        show::run(summary)?;
    }
    Ok(exit_code(summary))
}

/// Reads a run date.
fn run_date(text: &str) -> Result<NaiveDate, String> {
    let date: NaiveDate = text.parse().map_err(|error: chrono::ParseError| error.to_string())?;
    if RUN_YEARS.contains(&date.year()) {
        return Ok(date);
    }
    Err(format!("a run date is in the years {} to {}", RUN_YEARS.start(), RUN_YEARS.end()))
}

fn usage_error(catalog: &Catalog, arguments: &Arguments, now: DateTime<Utc>) -> Option<String> {
    let Some(job) = catalog.jobs.get(&arguments.job) else {
        return Some(format!(
            "there is no job {:?}{}",
            arguments.job,
            suggest(&arguments.job, catalog.jobs.keys().map(String::as_str))
        ));
    };
    let (today, last) = (job.run_date_today(now), arguments.date.or(arguments.to));
    if let Some(last) = last.filter(|last| *last > today && !arguments.allow_future) {
        return Some(format!(
            "{last} is after {today}, the run date that {} has today: once it is published, no earlier date replaces its \
             rows; --allow-future runs it all the same",
            job.name
        ));
    }
    if let Some((from, to)) = arguments.range() {
        let days = (to - from).num_days() + 1;
        if days < 1 {
            return Some(format!("--from {from} is after --to {to}"));
        }
        if days > MOST_DAYS {
            return Some(format!("--from {from} --to {to} are {days} days; ask for {MOST_DAYS} at most"));
        }
    }
    arguments.customers.iter().find_map(|name| why_not_delivered(catalog, arguments, name))
}

/// Why nothing of a customer can be loaded.
fn why_not_delivered(catalog: &Catalog, arguments: &Arguments, name: &str) -> Option<String> {
    let Some(customer) = catalog.customers.get(name) else {
        let hint = suggest(name, catalog.customers.keys().map(String::as_str));
        return Some(format!("there is no customer {name:?}{hint}"));
    };
    let job = catalog.jobs.get(&arguments.job)?;
    let fanned_out = job.tasks.iter().filter(|task| task.for_each.is_some());
    let datasets: Vec<&str> =
        fanned_out.filter_map(|t| Some(catalog.datasets.get(&t.subject)?.name.as_str())).collect();
    let mut delivered = datasets.iter().filter(|dataset| customer.delivers(dataset)).peekable();
    if !datasets.is_empty() && delivered.peek().is_none() {
        return Some(format!("{name} does not deliver {} (datasets in customers.toml)", datasets.join(", ")));
    }
    let run_date = arguments.date?;
    let outside = |dataset: &&str| customer.period_of(dataset).reason_outside(run_date);
    let reasons: Option<Vec<String>> = delivered.map(outside).collect();
    let reason = reasons?.into_iter().next()?;
    Some(format!("{name} does not deliver for {run_date}: customers.toml says {reason}"))
}

/// The runs that are asked for, oldest first. Run dates for which none of the asked customers delivers are left out.
fn requests(catalog: &Catalog, arguments: &Arguments) -> anyhow::Result<Vec<RunRequest>> {
    let job = Arc::clone(catalog.job(&arguments.job)?);
    let asked: BTreeSet<&str> = arguments.customers.iter().map(String::as_str).collect();
    let (trigger, run_dates) = match arguments.range() {
        Some((from, to)) => (Trigger::Backfill, job.run_dates(from, to).collect()),
        None => {
            let date = arguments.date.unwrap_or_else(|| job.run_date_today(Clock::system().now()));
            (Trigger::Operator, vec![date])
        }
    };
    let request = |run_date| {
        let mut items = catalog.items(&job, run_date);
        if !asked.is_empty() {
            for customers in items.values_mut() {
                customers.retain(|name| asked.contains(name.as_str()));
            }
        }
        RunRequest {
            job: Arc::clone(&job),
            run_date,
            trigger,
            occurrence: None,
            items,
            publish: arguments.publish,
            force: arguments.force,
        }
    };
    let mut requests: Vec<RunRequest> = run_dates.into_iter().map(request).collect();
    let all = requests.len();
    if !asked.is_empty() {
        requests.retain(|request| request.items.is_empty() || request.items.values().any(|names| !names.is_empty()));
    }
    if requests.len() < all {
        let names = arguments.customers.join(", ");
        eprintln!("note: {names} did not deliver for {} of {all} run dates, which are left out", all - requests.len());
    }
    Ok(requests)
}

/// Leaves out what has succeeded, where that is asked for, and says how many.
pub(super) async fn leave_out_succeeded(
    pool: &sqlx::PgPool,
    requests: Vec<RunRequest>,
    missing_only: bool,
) -> anyhow::Result<Vec<RunRequest>> {
    if !missing_only {
        return Ok(requests);
    }
    let succeeded = crate::engine::list::find_succeeded(pool, &requests).await?;
    let all = requests.len();
    let left: Vec<RunRequest> = requests.into_iter().filter(|r| !succeeded.contains(&r.run_date)).collect();
    eprintln!("note: {} of {all} run dates have a succeeded run and are left out", all - left.len());
    Ok(left)
}

/// Prints on stderr what the tasks have to report; the code is that of the gravest fault.
pub(super) fn exit_code(summary: &RunSummary) -> ExitCode {
    notes::print(&notes::collect(summary), &format!("bursar runs show {}", summary.run.id));
    match summary.fault {
        Some(fault) => ExitCode::from(fault.exit_code()),
        None => ExitCode::SUCCESS,
    }
}
