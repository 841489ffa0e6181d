//! `bursar runs`: the runs there are, one of them with all its tasks, and what an operator does to it.

mod list;
mod show;

use super::{Context, run_job, signals, usage};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Settings, suggest};
use crate::db::Database;
use crate::engine::list::{RunRow, TaskRow, find_runs, list_tasks};
use crate::engine::task::Label;
use crate::engine::{again, occurrences};
use crate::fault;
use sqlx::PgPool;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the runs, the newest first.
    List(list::Arguments),
    /// Show a run with its tasks and their attempts.
    Show(show::Arguments),
    /// Run again what failed or was cancelled in a run, and what is downstream of it.
    Retry(RetryArguments),
    /// Cancel a run: nothing more of it is begun, and what is under way is rolled back.
    Cancel(CancelArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct RetryArguments {
    /// The run's id, or a beginning of it that no other run has.
    id: String,
    /// Only this task, whatever became of it, and what is downstream of it.
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// The task for this item: the customer, for a load.
    #[arg(long, value_name = "ITEM", requires = "task")]
    item: Option<String>,
    /// Leave the work to the daemons.
    #[arg(long)]
    no_wait: bool,
    /// Print the run as JSON.
    #[arg(long, conflicts_with = "no_wait")]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CancelArguments {
    /// The run's id, or a beginning of it that no other run has.
    id: String,
}

impl Command {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::List(arguments) => arguments.json,
            Self::Show(arguments) => arguments.json,
            Self::Retry(arguments) => arguments.json,
            Self::Cancel(_) => false,
        }
    }
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let settings = context.settings()?;
    match command {
        Command::List(arguments) => list::run(&settings, &arguments).await,
        Command::Show(arguments) => show::run(&settings, &arguments).await,
        Command::Retry(arguments) => Box::pin(retry(context, settings, &arguments)).await,
        Command::Cancel(arguments) => cancel(&settings, &arguments.id).await,
    }
}

/// The database with tables to read, without making them.
pub(super) async fn open(settings: &Settings) -> anyhow::Result<Database> {
    let stop = signals::stop_token()?;
    let database = signals::unless_stopped(&stop, Box::pin(Database::open(settings))).await?;
    match occurrences::check_tables(&database.pool).await {
        Ok(()) => Ok(database),
        Err(error) => {
            database.close().await?;
            Err(error)
        }
    }
}

/// The run whose id begins so.
async fn find(pool: &PgPool, beginning: &str) -> anyhow::Result<RunRow> {
    let mut found = find_runs(pool, beginning).await?;
    match (found.pop(), found.pop()) {
        (Some(run), None) => Ok(run),
        (None, _) => Err(usage(format!("there is no run {beginning:?}; `bursar runs list` lists them"))),
        (Some(one), Some(other)) => Err(usage(format!(
            "{beginning:?} begins the ids of several runs, such as {} and {}; give more of it",
            other.id, one.id
        ))),
    }
}

/// The task that is asked for; it must be one of the run's.
async fn only(pool: &PgPool, run: &RunRow, arguments: &RetryArguments) -> anyhow::Result<Option<Label>> {
    let Some(task) = &arguments.task else { return Ok(None) };
    let tasks = list_tasks(pool, run.id).await?;
    let label = Label { task: task.clone(), item: arguments.item.clone() };
    if tasks.iter().any(|row| label_of(row) == label) {
        return Ok(Some(label));
    }
    let names: Vec<String> = tasks.iter().map(|row| label_of(row).to_string()).collect();
    let hint = suggest(&label.to_string(), names.iter().map(String::as_str));
    Err(usage(format!("run {} has no task {label}{hint} (--task, and --item where it is for one)", run.id)))
}

async fn retry(context: &Context, settings: Settings, arguments: &RetryArguments) -> anyhow::Result<ExitCode> {
    let cancel = signals::stop_token()?;
    let app = signals::unless_stopped(&cancel, Box::pin(App::build_for_command(settings, Clock::system()))).await?;
    let retried = async {
        let pool = &app.database().pool;
        let run = find(pool, &arguments.id).await?;
        let only = only(pool, &run, arguments).await?;
        if arguments.no_wait {
            let again = again::retry(app.engine(), run.id, only.as_ref()).await?;
            let names = names(&again);
            super::show::line(&format!("run {} is open again for the daemons: {names}", run.id))?;
            return Ok(ExitCode::SUCCESS);
        }
        let summary = app.retry(run.id, only.as_ref(), context.bars.watching(), &cancel).await?;
        run_job::report(&summary, arguments.json)
    };
    let retried = retried.await;
    app.close().await?;
    retried
}

async fn cancel(settings: &Settings, beginning: &str) -> anyhow::Result<ExitCode> {
    let database = open(settings).await?;
    let cancelled = async {
        let run = find(&database.pool, beginning).await?;
        let under_way = again::cancel(&database.pool, run.id, "the run was cancelled by an operator").await?;
        anyhow::Ok((run, under_way))
    };
    let cancelled = cancelled.await;
    database.close().await?;
    let (run, under_way) = cancelled?;
    let Some(under_way) = under_way else {
        return Err(fault::data(format!("run {} is {}: there is nothing to cancel", run.id, run.state)));
    };
    let what = match under_way.as_slice() {
        [] => "nothing was under way".to_owned(),
        labels => format!("under way were {}; what they did is rolled back", names(labels)),
    };
    super::show::line(&format!("run {} of {} for {} is cancelled; {what}", run.id, run.job, run.run_date))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn names(labels: &[Label]) -> String {
    labels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn label_of(row: &TaskRow) -> Label {
    Label { task: row.task.clone(), item: (!row.item.is_empty()).then(|| row.item.clone()) }
}
