//! `bursar run-job`

use super::{Context, show, signals, usage};
use crate::app::App;
use crate::clock::Clock;
use crate::config::suggest;
use crate::engine::runs::{RunRequest, RunSummary};
use crate::engine::task::Trigger;
use chrono::NaiveDate;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The job's name; `bursar jobs` lists them.
    job: String,
    /// The run date, as YYYY-MM-DD; today in the job's time zone where it is not given.
    #[arg(long, value_name = "DATE")]
    date: Option<NaiveDate>,
    /// Only this customer; may be given several times.
    #[arg(long = "customer", value_name = "CUSTOMER")]
    customers: Vec<String>,
    /// Let an older run date take the place of the newer rows that readers see.
    #[arg(long)]
    publish: bool,
    /// Print the run as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let cancel = signals::stop_token()?;
    let settings = context.settings()?;
    let catalog = crate::app::compile(&settings)?;
    if let Some(message) = usage_error(&catalog, &arguments) {
        return Err(usage(message));
    }
    let app = signals::unless_stopped(&cancel, Box::pin(App::build(settings, Clock::system()))).await?;
    let summary = match request(&app, &arguments) {
        Ok(request) => app.run_job(&request, Arc::clone(&context.bars) as _, &cancel).await,
        Err(error) => Err(error),
    };
    app.close().await?;
    let summary = summary?;
    if arguments.json {
        show::json(&show::with_peak_memory(&summary)?)?;
    } else {
        show::run(&summary)?;
    }
    Ok(exit_code(&summary))
}

fn usage_error(catalog: &crate::catalog::Catalog, arguments: &Arguments) -> Option<String> {
    if !catalog.jobs.contains_key(&arguments.job) {
        return Some(format!(
            "there is no job {:?}{}",
            arguments.job,
            suggest(&arguments.job, catalog.jobs.keys().map(String::as_str))
        ));
    }
    let unknown = arguments.customers.iter().find(|c| !catalog.customers.contains_key(*c))?;
    Some(format!("there is no customer {unknown:?}{}", suggest(unknown, catalog.customers.keys().map(String::as_str))))
}

fn request(app: &App, arguments: &Arguments) -> anyhow::Result<RunRequest> {
    let job = Arc::clone(app.catalog().job(&arguments.job)?);
    let mut items = app.catalog().items();
    if !arguments.customers.is_empty() {
        let asked: BTreeSet<String> = arguments.customers.iter().cloned().collect();
        items.insert("customer".to_owned(), asked.into_iter().collect());
    }
    Ok(RunRequest {
        run_date: arguments.date.unwrap_or_else(|| job.run_date_today(Clock::system().now())),
        job,
        trigger: Trigger::Operator,
        occurrence: None,
        items,
        publish: arguments.publish,
    })
}

/// Says on stderr what went wrong, task by task; the code is that of the gravest fault.
pub(super) fn exit_code(summary: &RunSummary) -> ExitCode {
    for task in &summary.tasks {
        match (&task.error, task.fault) {
            (Some(error), Some(fault)) => {
                eprintln!("error: {} {} ({fault}): {error}", task.label(), task.state.as_str());
            }
            (Some(reason), None) => eprintln!("note: {} {}: {reason}", task.label(), task.state.as_str()),
            (None, _) => {}
        }
        for missing in show::missing(task) {
            eprintln!("note: {}: {missing} has no load for {}", task.label(), summary.run.run_date);
        }
    }
    match summary.fault {
        Some(fault) => ExitCode::from(fault.exit_code()),
        None => ExitCode::SUCCESS,
    }
}
