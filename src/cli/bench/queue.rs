//! `bursar bench queue`: the way of a task through the engine, when the task itself does nothing.

use super::{Context, Spread, place, show, spread};
use crate::clock::{Clock, Stopwatch};
use crate::db::Database;
use crate::engine::attempt::Cause;
use crate::engine::execute::Engine;
use crate::engine::job::{Catchup, Job, Overlap, Task};
use crate::engine::presence::Role;
use crate::engine::retry::Retry;
use crate::engine::runs::{Opening, RunRequest};
use crate::engine::task::{KindSpec, Outcome, TaskContext, TaskFuture, TaskKind, Trigger};
use crate::engine::worker::Worker;
use crate::fault;
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const ITEM: &str = "item";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tasks of a run.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tasks: u32,
    /// Runs, one after the other.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// A task that is over at once.
struct Nothing;

impl TaskKind for Nothing {
    fn spec(&self) -> KindSpec {
        KindSpec { name: "nothing", subject: "dataset", needs_item: false }
    }

    fn run<'a>(&'a self, _: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(async { Ok(Outcome::Done(Value::Null)) })
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    tasks: u32,
    rounds: u16,
    parallel_tasks: usize,
    ms_per_task: Spread,
    open_ms: Spread,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut settings = context.settings()?;
    let database = Database::open(&settings).await?;
    place::make(&database).await?;
    settings.database_url = Some(place::database_url(&settings, &database, &context.environment)?);
    let own = Database::open(&settings).await?;
    let measured = measure(&own, arguments, settings.file.engine.parallel_tasks).await;
    own.close().await?;
    place::drop(&database).await?;
    database.close().await?;
    let figures = measured?;
    show::either(arguments.json, &figures, print)?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(database: &Database, arguments: &Arguments, parallel_tasks: usize) -> anyhow::Result<Figures> {
    database.migrate().await?;
    Engine::prepare(&database.pool).await?;
    let (pool, queue) = (database.pool.clone(), database.queue.clone());
    let engine = Engine::new(pool, queue, vec![Arc::new(Nothing)], Clock::system(), None);
    let worker = Worker::start(&engine, Role::Serve, parallel_tasks, None).await?;
    let job = Arc::new(job());
    let items: Vec<String> = (0..arguments.tasks).map(|n| n.to_string()).collect();
    let mut taken = Vec::new();
    for day in NaiveDate::default().iter_days().take(usize::from(arguments.rounds)) {
        taken.push(round(&engine, &worker, &job, items.clone(), day).await?);
    }
    worker.stop(Duration::from_secs(5), Cause::Stopping).await;
    let tasks = f64::from(arguments.tasks);
    Ok(Figures {
        tasks: arguments.tasks,
        rounds: arguments.rounds,
        parallel_tasks,
        ms_per_task: Spread::of(taken.iter().map(|(_, all)| all.as_secs_f64() * 1000.0 / tasks)),
        open_ms: Spread::of(taken.iter().map(|(open, _)| open.as_secs_f64() * 1000.0)),
    })
}

/// How long it takes to open a run, and until it is over.
async fn round(
    engine: &Engine,
    worker: &Worker,
    job: &Arc<Job>,
    items: Vec<String>,
    run_date: NaiveDate,
) -> anyhow::Result<(Duration, Duration)> {
    let request = RunRequest {
        job: Arc::clone(job),
        run_date,
        trigger: Trigger::Operator,
        occurrence: None,
        items: HashMap::from([(job.tasks[0].name.clone(), items)]),
        publish: false,
        force: false,
    };
    let stopwatch = Stopwatch::start();
    let Opening::Opened(run) = engine.open(&request).await? else {
        return Err(fault::bug("somebody else uses the bench's database"));
    };
    let opened = stopwatch.elapsed();
    worker.follow(run, &CancellationToken::new()).await?;
    Ok((opened, stopwatch.elapsed()))
}

/// One task for each item.
fn job() -> Job {
    let task = Task {
        name: "nothing".to_owned(),
        kind: "nothing".to_owned(),
        subject: "nothing".to_owned(),
        for_each: Some(ITEM.to_owned()),
        after: vec![],
        after_any_outcome: false,
        timeout_s: None,
        retry: Retry::default(),
    };
    Job {
        name: "bench".to_owned(),
        is_enabled: true,
        schedule: None,
        timezone: chrono_tz::UTC,
        run_date_offset_days: 0,
        catchup: Catchup::None,
        catchup_limit: 1,
        overlap: Overlap::Queue,
        alert_skipped: true,
        max_parallel_tasks: None,
        tasks: vec![task],
    }
}

fn print(figures: &Figures) -> anyhow::Result<()> {
    let mut table = show::table(&["", "median (quartiles)"], &[1]);
    for (name, value) in [
        ("a task, ms", spread(figures.ms_per_task, 3)),
        ("opening the run, ms", spread(figures.open_ms, 1)),
        ("tasks of a run", figures.tasks.to_string()),
        ("at a time", figures.parallel_tasks.to_string()),
        ("rounds", figures.rounds.to_string()),
    ] {
        table.add_row([name, &value]);
    }
    show::line(&table)
}
