//! `bursar jobs`

use super::{Context, show};
use crate::clock::Clock;
use crate::engine::job::Job;
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
    let jobs: Vec<Value> = catalog.jobs.values().map(|job| describe(job)).collect();
    if arguments.json {
        show::json(&jobs)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = show::table(&["job", "schedule", "time zone", "next due", "tasks"], &[]);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for job in &jobs {
        let tasks: Vec<&str> = job["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        table.add_row([
            text(&job["job"]),
            text(&job["schedule"]),
            text(&job["timezone"]),
            text(&job["next_due"]),
            tasks.join(", "),
        ]);
    }
    show::line(&table)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(job: &Job) -> Value {
    let next = job.schedule.as_ref().and_then(|s| s.next_after(Clock::system().now()));
    json!({
        "job": job.name,
        "schedule": job.schedule.as_ref().map(|s| s.expression().to_owned()),
        "timezone": job.timezone.name(),
        "next_due": next.map(|due| due.with_timezone(&job.timezone).to_rfc3339()),
        "tasks": job.tasks.iter().map(|t| t.name.clone()).collect::<Vec<_>>(),
    })
}
