//! `bursar runs show`

use super::super::show;
use super::super::zones::Zones;
use super::label_of;
use crate::config::{Settings, short_hash};
use crate::engine::list::{AttemptRow, RunRow, TaskRow, list_attempts, list_tasks};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    /// The run's id, or a beginning of it that no other run has.
    id: String,
    /// Print it as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A run with all that is known of it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    run: RunRow,
    task_runs: Vec<ShownTask>,
}

#[derive(Serialize)]
struct ShownTask {
    #[serde(flatten)]
    task: TaskRow,
    /// All of them where there is more than one.
    attempts: Vec<AttemptRow>,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let database = super::open(settings).await?;
    let shown = find(&database.pool, &arguments.id).await;
    database.close().await?;
    let shown = shown?;
    if arguments.json {
        show::json(&shown)?;
    } else {
        print(&Zones::of_settings(settings), &shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(pool: &PgPool, beginning: &str) -> anyhow::Result<Shown> {
    let run = super::find(pool, beginning).await?;
    let (tasks, attempts) = (list_tasks(pool, run.id).await?, list_attempts(pool, run.id).await?);
    let with_attempts = |task: TaskRow| {
        let of_task = |attempt: &&AttemptRow| attempt.task == task.task && attempt.item == task.item;
        let made: Vec<AttemptRow> = attempts.iter().filter(of_task).cloned().collect();
        ShownTask { attempts: if made.len() > 1 { made } else { Vec::new() }, task }
    };
    Ok(Shown { run, task_runs: tasks.into_iter().map(with_attempts).collect() })
}

fn print(zones: &Zones, shown: &Shown) -> anyhow::Result<()> {
    let run = &shown.run;
    let publish = if run.publish { ", may publish an older run date" } else { "" };
    let force = if run.force { ", loads unchanged files again" } else { "" };
    show::line(&format!("run {} of {} for {}: {}", run.id, run.job, run.run_date, run.state))?;
    show::line(&format!(
        "asked for by {}{publish}{force}; opened {} by process {} on {}, ended {}",
        run.trigger,
        zones.show(&run.job, run.opened_at),
        run.pid,
        run.host,
        zones.show_or_dash(&run.job, run.closed_at)
    ))?;
    show::line(&format!("configuration {}", short_hash(&run.config_hash)))?;
    if let Some(why) = &run.stranded {
        show::line(&format!("stands still: {why}"))?;
    }
    if let (Some(fault), Some(error)) = (&run.fault, &run.error) {
        show::line(&format!("{fault}: {error}"))?;
    }
    print_tasks(zones, shown)?;
    print_attempts(zones, shown)?;
    for ShownTask { task, .. } in &shown.task_runs {
        for note in task.outcome.iter().flat_map(|outcome| show::notes(&outcome.0)) {
            show::line(&format!("note: {}: {note}", label_of(task)))?;
        }
    }
    for task in &shown.task_runs {
        if let Some(path) = outcome(&task.task, "/path").and_then(Value::as_str) {
            show::line(&format!("report: {path}"))?;
        }
    }
    Ok(())
}

fn print_tasks(zones: &Zones, shown: &Shown) -> anyhow::Result<()> {
    let header = ["task", "state", "attempts", "worker", "begun", "ended", "rows", "rejected", "why"];
    let mut table = show::table(&header, &[2, 6, 7]);
    for ShownTask { task, .. } in &shown.task_runs {
        let count = |key: &str| outcome(task, key).map_or_else(|| "-".to_owned(), ToString::to_string);
        table.add_row([
            label_of(task).to_string(),
            task.state.clone(),
            task.attempt.to_string(),
            task.worker.as_deref().map_or("-", process).to_owned(),
            zones.show_or_dash(&shown.run.job, task.started_at),
            zones.show_or_dash(&shown.run.job, task.ended_at),
            count("/certificate/loaded"),
            count("/certificate/rejected"),
            why(zones, &shown.run.job, task),
        ]);
    }
    show::line(&table)
}

fn print_attempts(zones: &Zones, shown: &Shown) -> anyhow::Result<()> {
    let mut table = show::table(&["attempts at", "attempt", "state", "worker", "begun", "ended", "why"], &[1]);
    for task in &shown.task_runs {
        for attempt in &task.attempts {
            table.add_row([
                label_of(&task.task).to_string(),
                attempt.attempt.to_string(),
                attempt.state.clone(),
                process(&attempt.worker).to_owned(),
                zones.show(&shown.run.job, attempt.started_at),
                zones.show_or_dash(&shown.run.job, attempt.ended_at),
                attempt.error.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    if table.is_empty() { Ok(()) } else { show::line(&table) }
}

fn outcome<'a>(task: &'a TaskRow, place: &str) -> Option<&'a Value> {
    task.outcome.as_ref()?.0.pointer(place)
}

/// Host and process of a worker's id.
fn process(worker: &str) -> &str {
    worker.rsplit_once(':').map_or(worker, |(process, _)| process)
}

/// What a task waits for, or why it ended so.
fn why(zones: &Zones, job: &str, task: &TaskRow) -> String {
    let error = task.error.clone();
    let when = zones.show_or_dash(job, task.ready_at);
    match task.state.as_str() {
        "waiting" => "waits for its upstreams".to_owned(),
        "ready" => [Some(format!("to be begun, not before {when}")), error]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; "),
        "deferred" => {
            let key = task.wake_key.as_deref().unwrap_or("-");
            format!("waits for {key} until {when}: {}", error.unwrap_or_default())
        }
        _ => error.unwrap_or_else(|| "-".to_owned()),
    }
}
