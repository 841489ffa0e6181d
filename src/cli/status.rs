//! `bursar status`: whether everything is all right, over all jobs, on one screen.

use super::zones::Zones;
use super::{Context, runs, show};
use crate::app;
use crate::catalog::Catalog;
use crate::clock::{Clock, timestamp};
use crate::db::Database;
use crate::engine::job::Job;
use crate::engine::list::{Filter, RunRow, list_runs, list_workers};
use crate::engine::pause::Paused;
use crate::engine::task::RunState;
use crate::engine::watermarks::Watermarks;
use crate::escape;
use crate::notify::alert::{self, Kept, Kind, Which};
use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The exit code if something needs a person's attention.
const NEEDS_ATTENTION: u8 = 1;

/// More alerts and open runs than this are not looked at.
const MAX_LISTED: u32 = 10_000;

/// More conditions of one kind and job than this are summarised.
const MAX_ALIKE: usize = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print it as JSON, every condition by itself.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
struct Status {
    all_right: bool,
    at: String,
    /// What needs a person, the gravest first.
    attention: Vec<Attention>,
    running: Vec<RunRow>,
    jobs: Vec<JobStatus>,
}

/// A condition that needs a person.
#[derive(Debug, Serialize)]
struct Attention {
    /// The kind of the alert, or `no_daemon` or `schedule_ahead`.
    kind: String,
    /// The alert's number.
    alert: Option<i64>,
    job: Option<String>,
    run_date: Option<NaiveDate>,
    dataset: Option<String>,
    customer: Option<String>,
    title: String,
    text: String,
    next_step: String,
}

/// A job, its next due instant and its newest run.
#[derive(Debug, Serialize)]
struct JobStatus {
    job: String,
    next_due: Option<String>,
    enabled: bool,
    paused: Option<Paused>,
    #[serde(skip)]
    due: Option<DateTime<Utc>>,
    last_run: Option<RunRow>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let settings = context.settings()?;
    let catalog = app::compile(&settings)?;
    let database = runs::open(&settings).await?;
    let status = find(&database, &catalog, Clock::system().now()).await;
    database.close().await?;
    let status = status?;
    show::either(arguments.json, &status, |status| print(&Zones::from_catalog(&catalog), status))?;
    Ok(if status.all_right { ExitCode::SUCCESS } else { ExitCode::from(NEEDS_ATTENTION) })
}

async fn find(database: &Database, catalog: &Catalog, now: DateTime<Utc>) -> anyhow::Result<Status> {
    let pool = &database.pool;
    let mut connection = pool.acquire().await.context("list the alerts")?;
    let mut alerts = alert::list(&mut connection, Which::Open, MAX_LISTED).await?;
    drop(connection);
    alerts.sort_by_key(|alert| (gravity(&alert.kind), alert.id));
    let running = Filter { state: Some(RunState::Running.as_str()), ..Filter::default() };
    let running = list_runs(pool, &running, MAX_LISTED.into()).await?;
    let known = Watermarks::read(pool, now).await?;
    let mut jobs = Vec::new();
    for job in catalog.jobs.values() {
        let newest = list_runs(pool, &Filter { job: Some(&job.name), ..Filter::default() }, 1).await?;
        let due = known.next_due(job, now);
        let next_due = due.map(|due| timestamp(&due));
        jobs.push(JobStatus {
            job: job.name.clone(),
            next_due,
            enabled: job.is_enabled,
            paused: known.paused(&job.name).cloned(),
            due,
            last_run: newest.into_iter().next(),
        });
    }
    jobs.sort_by_key(|job| (job.due.is_none(), job.due));
    let mut attention = Vec::new();
    let is_daemon_up = list_workers(pool, 0).await?.iter().any(|worker| worker.role == "serve");
    if !is_daemon_up && jobs.iter().any(|job| job.due.is_some()) {
        attention.push(no_daemon());
    }
    let ahead = catalog.jobs.values().filter_map(|job| Some(schedule_ahead(job, known.warning(job)?)));
    attention.extend(ahead);
    attention.extend(jobs.iter().filter_map(|job| failed_without_alert(job, &alerts)));
    attention.extend(alerts.into_iter().map(of_alert));
    Ok(Status { all_right: attention.is_empty(), at: timestamp(&now), attention, running, jobs })
}

/// What keeps today's data from its readers comes first.
fn gravity(kind: &str) -> usize {
    const ORDER: [Kind; 12] = [
        Kind::LoadHeld,
        Kind::LoadMeasured,
        Kind::RunStranded,
        Kind::RunFailed,
        Kind::ClockSkew,
        Kind::ScheduleConflict,
        Kind::OccurrenceSkipped,
        Kind::FileRefused,
        Kind::FileMissing,
        Kind::FileChanged,
        Kind::FileDuplicate,
        Kind::FileLate,
    ];
    ORDER.iter().position(|known| known.as_str() == kind).unwrap_or(ORDER.len())
}

fn of_alert(alert: Kept) -> Attention {
    let Kept { id, kind, job, run_date, dataset, customer, title, text, next_step, .. } = alert;
    Attention { kind, alert: Some(id), job, run_date, dataset, customer, title, text, next_step }
}

fn no_daemon() -> Attention {
    Attention {
        kind: "no_daemon".to_owned(),
        alert: None,
        job: None,
        run_date: None,
        dataset: None,
        customer: None,
        title: "no daemon is up".to_owned(),
        text: "Jobs are not started at their schedules, and late files are not noticed.".to_owned(),
        next_step: "Start it: bursar serve".to_owned(),
    }
}

fn schedule_ahead(job: &Job, warning: String) -> Attention {
    Attention {
        kind: "schedule_ahead".to_owned(),
        alert: None,
        job: Some(job.name.clone()),
        run_date: None,
        dataset: None,
        customer: None,
        title: format!("{} is recorded ahead of the clock", job.name),
        text: warning,
        next_step: format!("If the clock is right now: bursar jobs reset {}", job.name),
    }
}

/// The newest run of a job, if it failed and no open alert covers it: that of an operator.
fn failed_without_alert(job: &JobStatus, alerts: &[Kept]) -> Option<Attention> {
    let run = job.last_run.as_ref().filter(|run| run.state == RunState::Failed.as_str())?;
    let is_covered =
        alerts.iter().any(|alert| alert.job.as_ref() == Some(&run.job) && alert.run_date == Some(run.run_date));
    if is_covered {
        return None;
    }
    let fault = run.fault.as_deref().unwrap_or("bug");
    Some(Attention {
        kind: Kind::RunFailed.as_str().to_owned(),
        alert: None,
        job: Some(run.job.clone()),
        run_date: Some(run.run_date),
        dataset: None,
        customer: None,
        title: format!("{} for {} failed ({fault})", run.job, run.run_date),
        text: run.error.clone().unwrap_or_default(),
        next_step: format!("See its tasks: bursar runs show {0}. Try again: bursar runs retry {0}", run.id),
    })
}

fn print(zones: &Zones, status: &Status) -> anyhow::Result<()> {
    let at = &status.at;
    show::line(&match status.attention.len() {
        0 => format!("all right ({at})"),
        1 => format!("1 condition needs attention ({at})"),
        many => format!("{many} conditions need attention ({at})"),
    })?;
    print_attention(&status.attention)?;
    print_running(zones, &status.running)?;
    print_jobs(zones, &status.jobs)
}

fn print_attention(attention: &[Attention]) -> anyhow::Result<()> {
    let mut alike: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
    for condition in attention {
        let count = alike.entry((condition.kind.as_str(), condition.job.as_deref())).or_default();
        *count += 1;
        if *count > MAX_ALIKE {
            continue;
        }
        let Attention { title, text, next_step, .. } = condition;
        let [title, text, next_step] = [title, text, next_step].map(|text| escape::value(text.as_bytes()));
        show::line(&format!("\n  {title}\n    {text}\n    next: {next_step}"))?;
    }
    for ((kind, job), count) in alike.into_iter().filter(|(_, count)| *count > MAX_ALIKE) {
        let (more, job) = (count - MAX_ALIKE, job.unwrap_or("-"));
        show::line(&format!("\n  {more} more {kind} of {job}: bursar alerts"))?;
    }
    Ok(())
}

fn print_running(zones: &Zones, running: &[RunRow]) -> anyhow::Result<()> {
    if running.is_empty() {
        return show::line(&"\nno run is open");
    }
    let mut table = show::table(&["running", "run date", "tasks ended", "since", "run"], &[2]);
    for run in running {
        table.add_row([
            run.job.clone(),
            run.run_date.to_string(),
            format!("{}/{}", run.ended_tasks, run.tasks),
            zones.show(&run.job, run.opened_at),
            run.id.to_string(),
        ]);
    }
    show::line(&format!("\n{table}"))
}

/// When a job is due next, or why it is not.
fn show_due(zones: &Zones, job: &JobStatus) -> String {
    match job {
        JobStatus { enabled: false, .. } => "disabled".to_owned(),
        JobStatus { paused: Some(_), .. } => "paused".to_owned(),
        _ => zones.show_or_dash(&job.job, job.due),
    }
}

fn print_jobs(zones: &Zones, jobs: &[JobStatus]) -> anyhow::Result<()> {
    let mut table = show::table(&["job", "due next", "last run for", "its state"], &[]);
    for job in jobs {
        let last = job.last_run.as_ref();
        table.add_row([
            job.job.clone(),
            show_due(zones, job),
            last.map_or_else(|| "-".to_owned(), |run| run.run_date.to_string()),
            last.map_or_else(|| "-".to_owned(), |run| run.state.clone()),
        ]);
    }
    if table.is_empty() { Ok(()) } else { show::line(&format!("\n{table}")) }
}
