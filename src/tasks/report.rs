//! `kind = "report"`: a report over the load ledger, as a CSV with its provenance.

use super::Deps;
use crate::config::Customer;
use crate::db::fence::{Fence, Finish, Finishing};
use crate::deliveries::store;
use crate::engine::task::{KindSpec, OUTCOME_TARGET, Outcome, TaskContext, TaskFuture, TaskKind};
use crate::report::provenance::{Missing, RunOrigin};
use crate::report::write::{Partial, Request, Written, write_report};
use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::sync::Arc;
use tracing::{info, warn};

pub(super) const SPEC: KindSpec = KindSpec { name: "report", subject: "report", needs_item: false };

pub(super) struct ReportTask(pub(super) Deps);

impl TaskKind for ReportTask {
    fn spec(&self) -> KindSpec {
        SPEC
    }

    fn run<'a>(&'a self, context: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(run(&self.0, context))
    }
}

async fn run(deps: &Deps, context: &TaskContext) -> anyhow::Result<Outcome> {
    let catalog = deps.catalog.of_run(&context.run.config_hash)?;
    let report = catalog.report(&context.task.subject)?;
    let mut expected = Vec::new();
    for dataset in report.datasets.iter().filter_map(|name| catalog.datasets.get(name)) {
        let of = |who: Arc<Customer>| (dataset.name.to_string(), who.name.to_string());
        expected.extend(catalog.deliverers_on(dataset, context.run.run_date).into_iter().map(of));
    }
    let not_expected = store::not_expected(&deps.pool, &report.datasets, context.run.run_date).await?;
    let request = Request {
        report,
        run_date: context.run.run_date,
        began: began(deps, context).await?,
        run: RunOrigin { id: context.run.id, job: context.run.job.clone() },
        fence: &context.fence,
        expected: &expected,
        not_expected: &not_expected,
        partial: if context.task.after_any_outcome { Partial::Write } else { Partial::Wait },
        output: &deps.settings.file.paths.output,
        now: deps.clock.now(),
        cancel: &context.cancel,
    };
    let written = write_report(&deps.pool, &request, &Settle(&context.fence))
        .await
        .with_context(|| format!("write the report {}", request.report.name))?;
    if let Written::Written { path, file, missing } = &written {
        info!(
            target: OUTCOME_TARGET,
            { file.path = %path.display(), rows = file.rows },
            "wrote {} ({} rows)",
            path.display(),
            file.rows
        );
        if !missing.is_empty() {
            warn!(target: OUTCOME_TARGET, "{} lacks {}: no load for {}", path.display(), names(missing), request.run_date);
        }
    }
    outcome(&written)
}

/// When the first run of the job for the run date began. A report keeps its name, whichever run writes it again.
async fn began(deps: &Deps, context: &TaskContext) -> anyhow::Result<DateTime<Utc>> {
    sqlx::query_scalar("select coalesce(min(opened_at), $3) from bursar.runs where job = $1 and run_date = $2")
        .bind(&context.run.job)
        .bind(context.run.run_date)
        .bind(deps.clock.now())
        .fetch_one(&deps.pool)
        .await
        .context("look when the run date was run first")
}

/// Records what the report came to, in the transaction that records the report.
struct Settle<'a>(&'a Fence);

impl Finish<Written> for Settle<'_> {
    fn finish<'a>(&'a self, connection: &'a mut PgConnection, written: &'a Written) -> Finishing<'a> {
        Box::pin(async move { self.0.settle(connection, &outcome(written)?.settlement()).await })
    }
}

fn outcome(written: &Written) -> anyhow::Result<Outcome> {
    let summary = serde_json::to_value(written).context("describe the report")?;
    match written {
        Written::Waiting { run_date, missing } => {
            let reason = format!("the report waits: for {run_date} there is no load of {}", names(missing));
            Ok(Outcome::Skipped { reason, summary })
        }
        Written::Nothing { run_date, relation } => {
            let reason = format!("the report is not written: {relation} holds nothing of {run_date}");
            Ok(Outcome::Skipped { reason, summary })
        }
        Written::Written { .. } => Ok(Outcome::Done(summary)),
    }
}

fn names(missing: &[Missing]) -> String {
    missing.iter().map(|m| format!("{} ({})", m.customer, m.dataset)).collect::<Vec<_>>().join(", ")
}
