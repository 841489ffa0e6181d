//! `bursar run-job --from --to`: one run for each run date of a range, oldest first.

use super::notes::{self, Note};
use super::run_job::{self, Arguments};
use super::{Context, show};
use crate::app::{App, Helper};
use crate::engine::runs::{RunRequest, RunSummary};
use crate::engine::task::Trigger;
use crate::fault::{self, Fault};
use chrono::NaiveDate;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

/// What became of a run date.
#[derive(Debug, Serialize)]
struct Row {
    run_date: NaiveDate,
    /// None where no run could be opened.
    run_id: Option<Uuid>,
    trigger: Option<Trigger>,
    /// The run's, or `not_opened`.
    state: &'static str,
    fault: Option<Fault>,
    error: Option<String>,
    /// Good rows, over all its loads.
    loaded: u64,
    rejected: u64,
    reports: Vec<String>,
    elapsed_ms: i64,
    #[serde(skip)]
    notes: Vec<Note>,
}

pub(super) async fn run(
    app: &App,
    context: &Context,
    requests: Vec<RunRequest>,
    arguments: &Arguments,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let pool = &app.database().pool;
    if requests.is_empty() {
        eprintln!("note: the job's schedule has no run date in that range");
    }
    let requests = run_job::leave_out_succeeded(pool, requests, arguments.missing_only).await?;
    let helper = app.help(context.bars.watching(), cancel).await?;
    let bar = context.bars.counter("run dates", requests.len() as u64);
    let performed = perform(&helper, &requests, usize::from(arguments.parallel), cancel, &bar).await;
    let performed = helper.leave(performed).await;
    bar.finish_and_clear();
    let mut rows = performed?;
    show::either(arguments.json, &rows, |rows| print(rows))?;
    print_notes(&mut rows);
    Ok(exit_code(&rows, requests.len(), cancel))
}

/// Nothing more is opened once it was told to stop. A run date that fails does not keep the others from being run; a
/// database that is away does.
async fn perform(
    helper: &Helper<'_>,
    requests: &[RunRequest],
    parallel: usize,
    cancel: &CancellationToken,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<Row>> {
    let begun = stream::iter(requests).take_while(|_| std::future::ready(!cancel.is_cancelled()));
    let rows = begun.map(|request| async move {
        let row = one(helper, request).await?;
        bar.inc(1);
        info!(run.date = %row.run_date, "run date {}: {}", row.run_date, row.state);
        Ok::<Row, anyhow::Error>(row)
    });
    let mut rows: Vec<Row> = rows.buffer_unordered(parallel).try_collect().await?;
    rows.sort_by_key(|row| row.run_date);
    Ok(rows)
}

async fn one(helper: &Helper<'_>, request: &RunRequest) -> anyhow::Result<Row> {
    match helper.run(request).await {
        Ok(summary) => Ok(row(&summary)),
        Err(error) if is_of_the_database(&error) => {
            Err(error.context(format!("run date {}: say the same again to go on", request.run_date)))
        }
        Err(error) => Ok(Row {
            run_date: request.run_date,
            run_id: None,
            trigger: None,
            state: "not_opened",
            fault: Some(fault::judge(&error)),
            error: Some(fault::told(&error)),
            loaded: 0,
            rejected: 0,
            reports: Vec::new(),
            elapsed_ms: 0,
            notes: Vec::new(),
        }),
    }
}

fn is_of_the_database(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error>::is::<sqlx::Error>)
}

fn row(summary: &RunSummary) -> Row {
    let sum = |key: &str| {
        summary.tasks.iter().filter_map(|t| t.outcome.get("certificate")?.get(key).and_then(Value::as_u64)).sum()
    };
    let worst = summary.tasks.iter().find(|task| task.fault.is_some() && task.fault == summary.fault);
    Row {
        run_date: summary.run.run_date,
        run_id: Some(summary.run.id),
        trigger: Some(summary.run.trigger),
        state: summary.state.as_str(),
        fault: summary.fault,
        error: worst.and_then(|task| Some(format!("{}: {}", task.label(), task.error.as_deref()?))),
        loaded: sum("loaded"),
        rejected: sum("rejected"),
        reports: show::written(summary),
        elapsed_ms: summary.elapsed_ms,
        notes: notes::collect(summary).into_iter().map(|note| note.of_run_date(summary.run.run_date)).collect(),
    }
}

/// Prints what the runs have to report but for their failures, of which the table has the gravest.
fn print_notes(rows: &mut [Row]) {
    let notes: Vec<Note> = rows.iter_mut().flat_map(|row| std::mem::take(&mut row.notes)).collect();
    let notes: Vec<Note> = notes.into_iter().filter(|note| !note.is_error()).collect();
    notes::print(&notes, "bursar runs show RUN");
}

fn print(rows: &[Row]) -> anyhow::Result<()> {
    if rows.is_empty() {
        return show::line(&"no run dates");
    }
    let mut table = show::table(&["run date", "state", "rows", "rejected", "error", "run"], &[2, 3]);
    for row in rows {
        table.add_row([
            row.run_date.to_string(),
            row.state.to_owned(),
            row.loaded.to_string(),
            row.rejected.to_string(),
            row.error.clone().unwrap_or_else(|| "-".to_owned()),
            row.run_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        ]);
    }
    show::line(&table)
}

/// That of the gravest fault; who was told to stop is told how to go on.
fn exit_code(rows: &[Row], asked: usize, cancel: &CancellationToken) -> ExitCode {
    let gravest = rows.iter().filter_map(|row| row.fault).max();
    let failed = rows.iter().filter(|row| row.fault.is_some()).count();
    if cancel.is_cancelled() {
        let begun = rows.len();
        eprintln!(
            "error: stopped: {} of {asked} run dates were not begun, and what was under way is cancelled; say the same \
             again to go on, with --missing-only to leave out what is done",
            asked - begun
        );
        return ExitCode::from(Fault::Transient.exit_code());
    }
    if let Some(gravest) = gravest {
        eprintln!("error: {failed} of {asked} run dates failed; bursar runs show RUN tells more ({gravest})");
    }
    gravest.map_or(ExitCode::SUCCESS, |fault| ExitCode::from(fault.exit_code()))
}
