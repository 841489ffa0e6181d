//! `bursar demo`: from nothing to a loaded table and a report.

use super::{Context, run_job, show, signals};
use crate::app::App;
use crate::clock::{Clock, Stopwatch};
use crate::engine::runs::{RunRequest, RunSummary};
use crate::engine::task::Trigger;
use crate::systems::customer_ratings::JOB;
use anyhow::Context as _;
use comfy_table::CellAlignment;
use sqlx::PgPool;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let stopwatch = Stopwatch::start();
    let cancel = signals::stop_token()?;
    let settings = context.settings()?;
    show::line(&match settings.database_url {
        Some(_) => "database: DATABASE_URL".to_owned(),
        None => format!("database: a private PostgreSQL under {}", settings.file.paths.data.display()),
    })?;
    let app = signals::unless_stopped(&cancel, Box::pin(App::build_for_command(settings, Clock::system()))).await?;
    let outcome = perform(&app, context, &cancel).await;
    app.close().await?;
    let summary = outcome?;
    let code = run_job::exit_code(&summary);
    what_next(&summary, stopwatch)?;
    Ok(code)
}

async fn perform(
    app: &App,
    context: &Context,
    cancel: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<RunSummary> {
    let catalog = app.catalog();
    let job = Arc::clone(catalog.job(JOB)?);
    let run_date = job.run_date_today(Clock::system().now());
    let request = RunRequest {
        items: catalog.items(&job, run_date),
        run_date,
        job,
        trigger: Trigger::Operator,
        occurrence: None,
        publish: false,
        force: false,
    };
    let summary = app.run_job(&request, context.bars.watching(), cancel).await?;
    show::run(&summary)?;
    for path in show::written(&summary) {
        report(Path::new(&path))?;
    }
    quarantine(&app.database().pool, &summary).await?;
    Ok(summary)
}

fn report(path: &Path) -> anyhow::Result<()> {
    let mut reader = csv::Reader::from_path(path).context("read the report back")?;
    let header: Vec<String> = reader.headers().context("read the report back")?.iter().map(str::to_owned).collect();
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = show::table(&names, &[]);
    for record in reader.records() {
        table.add_row(record.context("read the report back")?.iter().map(str::to_owned).collect::<Vec<_>>());
    }
    table.column_iter_mut().skip(1).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    show::line(&format!("\n{}", path.display()))?;
    show::line(&table)
}

#[derive(sqlx::FromRow)]
struct Finding {
    customer: String,
    line: i64,
    error_class: String,
    column: String,
    code: String,
    message: String,
}

/// What was quarantined and why, in the words that are kept.
async fn quarantine(pool: &PgPool, summary: &RunSummary) -> anyhow::Result<()> {
    // Not by the run: what is unchanged since an earlier one was not loaded again.
    let loads: Vec<i64> = summary.tasks.iter().filter_map(|task| task.outcome["load_id"].as_i64()).collect();
    let findings: Vec<Finding> = sqlx::query_as(
        "select l.customer, r.line, r.error_class, coalesce(e.value ->> 'column', '(row)') as column,
                e.value ->> 'code' as code, e.value ->> 'message' as message
           from bursar.file_invalid_rows as r
           join bursar.loads as l on l.id = r.load_id
          cross join lateral jsonb_array_elements(r.errors) with ordinality as e (value, place)
          where l.id = any ($1)
          order by l.customer, r.line, e.place",
    )
    .bind(loads)
    .fetch_all(pool)
    .await
    .context("list what was quarantined")?;
    let mut rows: Vec<(&str, i64)> = findings.iter().map(|f| (f.customer.as_str(), f.line)).collect();
    rows.dedup();
    show::line(&format!(
        "\n{} rows were quarantined (bursar.file_invalid_rows), each with its bytes and every reason:",
        rows.len()
    ))?;
    let mut table = show::table(&["customer", "line", "class", "column", "code", "why"], &[1]);
    for f in &findings {
        table.add_row([&f.customer, &f.line.to_string(), &f.error_class, &f.column, &f.code, &f.message]);
    }
    show::line(&table)
}

fn what_next(summary: &RunSummary, stopwatch: Stopwatch) -> anyhow::Result<()> {
    let program = std::env::args().next().unwrap_or_else(|| "bursar".to_owned());
    show::line(&format!("\nFrom start to finish: {} ms. Next:", stopwatch.elapsed_ms()))?;
    for (command, why) in [
        (
            format!("{program} psql -c 'select * from customer_rating limit 5'"),
            "look at the tables (without DATABASE_URL)",
        ),
        (
            format!("{program} run-job {} --date {}", summary.run.job, summary.run.run_date),
            "run it again: nothing changes",
        ),
        (format!("{program} jobs"), "what is scheduled, and when"),
        (format!("{program} serve"), "run the daemon"),
        (format!("{program} check"), "after adding a customer to config/customers.toml"),
    ] {
        show::line(&format!("  {command:62} # {why}"))?;
    }
    Ok(())
}
