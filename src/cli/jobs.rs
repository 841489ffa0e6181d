//! `bursar jobs`: the jobs, when each is due next, and what an operator does about a schedule.

use super::{Context, runs, show, usage};
use crate::catalog::Catalog;
use crate::clock::{Clock, timestamp};
use crate::config::{Settings, suggest};
use crate::engine::job::{Catchup, Job};
use crate::engine::pause::{self, Meanwhile, Paused};
use crate::engine::watermarks::{self, Watermarks};
use crate::fault;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::process::ExitCode;
use std::time::Duration;

/// How long the list of jobs waits for the database.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Pause a job on all daemons: what is due meanwhile is recorded as skipped.
    Pause {
        /// The job's name.
        job: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Resume a paused job. It is due again at its next instant.
    Resume {
        /// The job's name.
        job: String,
        /// Run what was due meanwhile, too: the newest occurrences, as many as the job's `catchup_limit`, oldest first.
        #[arg(long)]
        run_missed: bool,
    },
    /// Discard occurrences of a job that are recorded ahead of now, because a clock was ahead. Their runs stay.
    Reset {
        /// The job's name.
        job: String,
    },
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let settings = context.settings()?;
    let catalog = crate::app::compile(&settings)?;
    match &arguments.command {
        None => list(&settings, &catalog, arguments).await,
        Some(command) => {
            let job = find(&catalog, command.job())?;
            let database = runs::open(&settings).await?;
            let changed = command.perform(&database.pool, job, Clock::system().now()).await;
            database.close().await?;
            show::line(&changed?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn find<'a>(catalog: &'a Catalog, name: &str) -> anyhow::Result<&'a Job> {
    catalog.jobs.get(name).map(AsRef::as_ref).ok_or_else(|| {
        usage(format!("there is no job {name:?}{}", suggest(name, catalog.jobs.keys().map(String::as_str))))
    })
}

impl Command {
    fn job(&self) -> &str {
        let (Self::Pause { job, .. } | Self::Resume { job, .. } | Self::Reset { job }) = self;
        job
    }

    /// Does it, and returns what to print.
    async fn perform(&self, pool: &PgPool, job: &Job, now: DateTime<Utc>) -> anyhow::Result<String> {
        let name = &job.name;
        Ok(match self {
            Self::Pause { reason, .. } => {
                let paused = Paused { paused_at: now, paused_by: super::rejects::operator(), reason: reason.clone() };
                if pause::pause(pool, name, &paused).await? {
                    format!("{name} is paused; what is due meanwhile is skipped until \"bursar jobs resume {name}\"")
                } else {
                    format!("{name} was paused already")
                }
            }
            Self::Resume { run_missed, .. } => {
                let meanwhile = if *run_missed { Meanwhile::Run } else { Meanwhile::Skip };
                match pause::resume(pool, job, meanwhile, now).await? {
                    None => format!("{name} is not paused"),
                    Some(0) => format!("{name} is resumed"),
                    Some(queued) => format!("{name} is resumed; {queued} occurrences of the pause are queued"),
                }
            }
            Self::Reset { .. } => {
                let discarded = watermarks::reset(pool, name, now).await?;
                format!("{discarded} occurrences of {name} that were recorded ahead of now are discarded")
            }
        })
    }
}

/// Asks the database, if there is one that answers soon: what is due next depends on what is recorded. A private database
/// that was never made is not made for this.
async fn known(settings: &Settings, now: DateTime<Utc>) -> Option<Watermarks> {
    if settings.database_url.is_none() && !settings.file.paths.data.join("postgres").exists() {
        return None;
    }
    let asked = async {
        let database = runs::open(settings).await?;
        let known = Watermarks::read(&database.pool, now).await;
        database.close().await?;
        known
    };
    // Starting a private database must not be interrupted.
    let patience = if settings.database_url.is_some() { ASK_TIMEOUT } else { Duration::MAX };
    let why = match tokio::time::timeout(patience, Box::pin(asked)).await {
        Ok(Ok(known)) => return Some(known),
        Ok(Err(error)) => fault::told(&error),
        Err(_) => format!("no answer within {} s", ASK_TIMEOUT.as_secs()),
    };
    show::message(&format!("note: next due is computed without what the database has recorded: {why}"));
    None
}

async fn list(settings: &Settings, catalog: &Catalog, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let known = known(settings, now).await;
    let jobs: Vec<(&Job, Value)> =
        catalog.jobs.values().map(|job| (job.as_ref(), describe(job, known.as_ref(), now))).collect();
    for warning in catalog.jobs.values().filter_map(|job| known.as_ref()?.warning(job)) {
        show::message(&format!("warning: {warning}"));
    }
    if arguments.json {
        show::json(&jobs.iter().map(|(_, job)| job).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = show::table(&["job", "schedule", "time zone", "next due", "tasks", "settings"], &[]);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for (configured, job) in &jobs {
        let tasks: Vec<&str> = job["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        table.add_row([
            text(&job["job"]),
            text(&job["schedule"]),
            text(&job["timezone"]),
            show_due(configured, known.as_ref(), now),
            tasks.join(", "),
            settings_of(job),
        ]);
    }
    show::line(&table)?;
    Ok(ExitCode::SUCCESS)
}

fn next_due(job: &Job, known: Option<&Watermarks>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match known {
        Some(known) => known.next_due(job, now),
        None => job.due_schedule().and_then(|schedule| schedule.next_after(now)),
    }
}

/// When a job is due next, or why it is not.
fn show_due(job: &Job, known: Option<&Watermarks>, now: DateTime<Utc>) -> String {
    if !job.is_enabled {
        return "disabled".to_owned();
    }
    if let Some(paused) = known.and_then(|known| known.paused(&job.name)) {
        return paused.to_string();
    }
    next_due(job, known, now).map_or_else(|| "-".to_owned(), |due| timestamp(&due.with_timezone(&job.timezone)))
}

/// What the job's file sets beyond the schedule.
fn settings_of(job: &Value) -> String {
    let offset = job["run_date_offset_days"].as_i64().filter(|days| *days != 0);
    let told = [
        offset.map(|days| format!("run date {days:+} d")),
        job["catchup_limit"].as_u64().map(|limit| format!("catches up {limit}")),
        job["max_parallel_tasks"].as_u64().map(|tasks| format!("{tasks} tasks at a time")),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

fn describe(job: &Job, known: Option<&Watermarks>, now: DateTime<Utc>) -> Value {
    let next = next_due(job, known, now);
    json!({
        "job": job.name,
        "schedule": job.schedule.as_ref().map(|s| s.expression().to_owned()),
        "timezone": job.timezone.name(),
        "enabled": job.is_enabled,
        "paused": known.and_then(|known| known.paused(&job.name)),
        "warning": known.and_then(|known| known.warning(job)),
        "next_due": next.map(|due| timestamp(&due)),
        "run_date_offset_days": job.run_date_offset_days,
        "catchup_limit": (job.catchup == Catchup::All).then_some(job.catchup_limit),
        "max_parallel_tasks": job.max_parallel_tasks,
        "tasks": job.tasks.iter().map(|t| t.name.clone()).collect::<Vec<_>>(),
    })
}
