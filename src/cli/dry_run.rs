//! `bursar run-job --dry-run`: what would be loaded, and what would become of it.

use super::{run_job, show};
use crate::app::{App, Rehearsed};
use crate::catalog::Catalog;
use crate::clock::{Clock, timestamp};
use crate::config::Settings;
use crate::db::Database;
use crate::engine::runs::RunRequest;
use crate::escape;
use crate::tasks::forecast::{Becomes, LoadForecast};
use chrono_tz::Tz;
use std::process::ExitCode;

pub(super) async fn run(
    settings: &Settings,
    catalog: &Catalog,
    requests: Vec<RunRequest>,
    missing_only: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let zone = requests.first().map_or(Tz::UTC, |request| request.job.timezone);
    let database = Database::open(settings).await?;
    let rehearsed = rehearse(settings, catalog, &database, requests, missing_only).await;
    database.close().await?;
    let rehearsed = rehearsed?;
    show::either(json, &rehearsed, |rehearsed| print(rehearsed, zone))?;
    Ok(ExitCode::SUCCESS)
}

async fn rehearse(
    settings: &Settings,
    catalog: &Catalog,
    database: &Database,
    requests: Vec<RunRequest>,
    missing_only: bool,
) -> anyhow::Result<Vec<Rehearsed>> {
    crate::engine::occurrences::check_tables(&database.pool).await?;
    let requests = run_job::leave_out_succeeded(&database.pool, requests, missing_only).await?;
    App::rehearse(settings, catalog, database, &requests, Clock::system().now()).await
}

fn print(rehearsed: &[Rehearsed], zone: Tz) -> anyhow::Result<()> {
    let mut table =
        show::table(&["run date", "task", "would be", "into", "bytes", "file as of", "file or reason"], &[4]);
    for run in rehearsed {
        for load in &run.loads {
            table.add_row(load_row(&run.run_date.to_string(), load, zone));
        }
    }
    if table.is_empty() {
        show::line(&"nothing would be loaded")?;
    } else {
        show::line(&table)?;
    }
    for run in rehearsed {
        for path in &run.reports {
            show::line(&format!("report for {}: {}", run.run_date, escape::path(path)))?;
        }
        if let Some(id) = run.open_run {
            show::line(&format!("a run for {} is open: {id}; it would be joined if it does the same", run.run_date))?;
        }
    }
    show::line(&"dry run: nothing was opened or written")
}

fn load_row(run_date: &str, load: &LoadForecast, zone: Tz) -> Vec<String> {
    let becomes = match load.becomes {
        Becomes::Published => "published",
        Becomes::Measured => "measured",
        Becomes::Nothing => "nothing",
    };
    let file = load.file.as_ref().map(|path| escape::path(path));
    let told: Vec<String> = file.into_iter().chain(load.reason.clone()).collect();
    vec![
        run_date.to_owned(),
        format!("{}[{}]", load.task, load.customer),
        becomes.to_owned(),
        load.table.clone(),
        load.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
        load.modified_at.map_or_else(|| "-".to_owned(), |at| timestamp(&at.with_timezone(&zone))),
        told.join("; "),
    ]
}
