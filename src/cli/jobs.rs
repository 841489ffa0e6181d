//! `bursar jobs`

use super::{Context, show};
use crate::clock::{Clock, timestamp};
use crate::engine::job::{Catchup, Job};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let catalog = crate::app::compile(&context.settings()?)?;
    let now = Clock::system().now();
    let jobs: Vec<(&Job, Value)> = catalog.jobs.values().map(|job| (job.as_ref(), describe(job, now))).collect();
    if arguments.json {
        show::json(&jobs.iter().map(|(_, job)| job).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = show::table(&["job", "schedule", "time zone", "next due", "tasks", "settings"], &[]);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for (configured, job) in &jobs {
        let next = configured.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
        let tasks: Vec<&str> = job["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        table.add_row([
            text(&job["job"]),
            text(&job["schedule"]),
            text(&job["timezone"]),
            next.map_or_else(|| "-".to_owned(), |due| timestamp(&due.with_timezone(&configured.timezone))),
            tasks.join(", "),
            settings(job),
        ]);
    }
    show::line(&table)?;
    Ok(ExitCode::SUCCESS)
}

/// What the job's file sets beyond the schedule.
fn settings(job: &Value) -> String {
    let offset = job["run_date_offset_days"].as_i64().filter(|days| *days != 0);
    let told = [
        offset.map(|days| format!("run date {days:+} d")),
        job["catchup_limit"].as_u64().map(|limit| format!("catches up {limit}")),
        job["max_parallel_tasks"].as_u64().map(|tasks| format!("{tasks} tasks at a time")),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

fn describe(job: &Job, now: DateTime<Utc>) -> Value {
    let next = job.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
    json!({
        "job": job.name,
        "schedule": job.schedule.as_ref().map(|s| s.expression().to_owned()),
        "timezone": job.timezone.name(),
        "next_due": next.map(|due| timestamp(&due)),
        "run_date_offset_days": job.run_date_offset_days,
        "catchup_limit": (job.catchup == Catchup::All).then_some(job.catchup_limit),
        "max_parallel_tasks": job.max_parallel_tasks,
        "tasks": job.tasks.iter().map(|t| t.name.clone()).collect::<Vec<_>>(),
    })
}
