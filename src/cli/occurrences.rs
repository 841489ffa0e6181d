//! `bursar occurrences`: what became of each instant at which a job was due, and the gaps.

use super::zones::Zones;
use super::{Context, show, signals, usage};
use crate::catalog::Catalog;
use crate::clock::{Clock, timestamp};
use crate::config::suggest;
use crate::db::Database;
use crate::engine::job::Job;
use crate::engine::occurrences::{self, Filter, Gaps, Recorded};
use chrono::NaiveDate;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only of this job, and its gaps too: instants at which it was due and that nobody has recorded.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only from this run date on, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// Only up to this run date, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    /// Only in this state.
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// The newest so many.
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    /// To be run.
    Queued,
    /// A run was opened.
    Ran,
    /// Overlap or catchup said so.
    Skipped,
    /// A later one stood for it.
    Coalesced,
    /// Nobody has recorded it; needs --job.
    Missing,
}

impl State {
    /// The word kept in the table; none for what is not there.
    const fn recorded(self) -> Option<&'static str> {
        match self {
            Self::Queued => Some("queued"),
            Self::Ran => Some("ran"),
            Self::Skipped => Some("skipped"),
            Self::Coalesced => Some("coalesced"),
            Self::Missing => None,
        }
    }
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let settings = context.settings()?;
    let catalog = crate::app::compile(&settings)?;
    if let Some(message) = usage_error(&catalog, arguments) {
        return Err(usage(message));
    }
    let stop = signals::stop_token()?;
    let database = signals::unless_stopped(&stop, Box::pin(Database::open(&settings))).await?;
    let found = signals::unless_stopped(&stop, find(&database, &catalog, arguments)).await;
    database.close().await?;
    let (occurrences, gaps) = found?;
    let zones = Zones::from_catalog(&catalog);
    if arguments.json {
        show::json(&occurrences.iter().map(|occurrence| describe(&zones, occurrence)).collect::<Vec<_>>())?;
    } else {
        print(&zones, &occurrences)?;
    }
    if let Some(gaps) = gaps {
        tell(&gaps);
    }
    Ok(ExitCode::SUCCESS)
}

fn usage_error(catalog: &Catalog, arguments: &Arguments) -> Option<String> {
    let Some(job) = &arguments.job else {
        let needs_job = arguments.state == Some(State::Missing);
        return needs_job.then(|| "--state missing needs --job: the gaps are those of one job's schedule".to_owned());
    };
    if catalog.jobs.contains_key(job) {
        return None;
    }
    Some(format!("there is no job {job:?}{}", suggest(job, catalog.jobs.keys().map(String::as_str))))
}

/// The newest that were asked for, newest last, and the gaps where a job was named.
async fn find(
    database: &Database,
    catalog: &Catalog,
    arguments: &Arguments,
) -> anyhow::Result<(Vec<Recorded>, Option<Gaps>)> {
    let pool = &database.pool;
    occurrences::check_tables(pool).await?;
    let state = arguments.state.and_then(State::recorded);
    let filter = Filter { job: arguments.job.as_deref(), from: arguments.from, to: arguments.to, state };
    let asks_for = |missing: bool| arguments.state.is_none_or(|state| (state == State::Missing) == missing);
    let mut found = Vec::new();
    if asks_for(false) {
        found = occurrences::list_latest(pool, &filter, arguments.limit.into()).await?;
    }
    let mut gaps = None;
    if let Some(job) = arguments.job.as_ref().filter(|_| asks_for(true)) {
        let job = catalog.job(job)?;
        gaps = occurrences::find_gaps(pool, job, &filter, Clock::system().now()).await?;
        found.extend(gaps.iter().flat_map(|gaps| missing(job, gaps)));
    }
    found.sort_by(|a, b| (a.due_at, &a.job).cmp(&(b.due_at, &b.job)));
    Ok((found.split_off(found.len().saturating_sub(usize::try_from(arguments.limit)?)), gaps))
}

fn missing<'a>(job: &'a Job, gaps: &'a Gaps) -> impl Iterator<Item = Recorded> + 'a {
    gaps.missing.iter().map(|due_at| {
        let reason = if Some(*due_at) > gaps.recorded_until {
            "no daemon has looked since; the next one records it"
        } else {
            "it was passed over, and no daemon comes back to it: run it with bursar run-job"
        };
        Recorded {
            job: job.name.clone(),
            due_at: *due_at,
            run_date: job.run_date(*due_at),
            state: "missing".to_owned(),
            reason: Some(reason.to_owned()),
            run_id: None,
        }
    })
}

fn describe(zones: &Zones, occurrence: &Recorded) -> Value {
    json!({
        "job": occurrence.job,
        "due_at": timestamp(&occurrence.due_at),
        "timezone": zones.zone(&occurrence.job).name(),
        "run_date": occurrence.run_date,
        "state": occurrence.state,
        "reason": occurrence.reason,
        "run_id": occurrence.run_id,
    })
}

fn print(zones: &Zones, occurrences: &[Recorded]) -> anyhow::Result<()> {
    if occurrences.is_empty() {
        return show::line(&"no occurrences");
    }
    let mut table = show::table(&["job", "due", "run date", "state", "reason", "run"], &[]);
    for occurrence in occurrences {
        table.add_row([
            occurrence.job.clone(),
            zones.show(&occurrence.job, occurrence.due_at),
            occurrence.run_date.to_string(),
            occurrence.state.clone(),
            occurrence.reason.clone().unwrap_or_else(|| "-".to_owned()),
            occurrence.run_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        ]);
    }
    show::line(&table)
}

fn tell(gaps: &Gaps) {
    match gaps.missing.len() {
        0 => {}
        1 => eprintln!("note: 1 due instant has no row"),
        many => eprintln!("note: {many} due instants have no row"),
    }
    if gaps.is_cut {
        let since = timestamp(&gaps.since);
        eprintln!("note: gaps were looked for after {since} only; --to looks at an earlier time");
    }
}
