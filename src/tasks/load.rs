//! `kind = "load"`: a customer's file of a dataset into that customer's table.

use super::Deps;
use crate::db::fence::{Fence, Finish, Finishing};
use crate::engine::task::{KindSpec, Outcome, TaskContext, TaskFuture, TaskKind};
use crate::fault::{self, Fault};
use crate::rows::load::{Loaded, Older, Progress, Request, State, load};
use anyhow::Context;
use sqlx::PgConnection;
use std::sync::Arc;
use tracing::info;

pub(super) const SPEC: KindSpec = KindSpec { name: "load", subject: "dataset", needs_item: true };

pub(super) struct LoadTask(pub(super) Deps);

impl TaskKind for LoadTask {
    fn spec(&self) -> KindSpec {
        SPEC
    }

    fn run<'a>(&'a self, context: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(run(&self.0, context))
    }
}

async fn run(deps: &Deps, context: &TaskContext) -> anyhow::Result<Outcome> {
    let request = request(deps, context)?;
    let (watch, label) = (Arc::clone(&context.watch), context.label());
    let progress: Progress = Arc::new(move |done, total| watch.progressed(&label, done, total));
    let loaded = load(&deps.pool, &request, &Settle(&context.fence), progress, &context.cancel).await?;
    log(&loaded);
    outcome(&loaded)
}

/// Records what the load came to, in its own transaction.
struct Settle<'a>(&'a Fence);

impl Finish<Loaded> for Settle<'_> {
    fn finish<'a>(&'a self, connection: &'a mut PgConnection, loaded: &'a Loaded) -> Finishing<'a> {
        Box::pin(async move { self.0.settle(connection, &outcome(loaded)?.settlement()).await })
    }
}

fn request(deps: &Deps, context: &TaskContext) -> anyhow::Result<Request> {
    let customer = context.item.as_deref().ok_or_else(|| fault::bug("a load without a customer"))?;
    let (paths, catalog) = (&deps.settings.file.paths, deps.catalog.get());
    Ok(Request {
        dataset: Arc::clone(catalog.dataset(&context.task.subject)?),
        customer: Arc::clone(catalog.customer(customer)?),
        fence: context.fence.clone(),
        run_date: context.run.run_date,
        older: if context.run.publish { Older::Publish } else { Older::Measure },
        inbox: paths.inbox.clone(),
        spool: paths.data.join("spool"),
        lock_timeout_s: deps.settings.file.database.lock_timeout_s,
    })
}

fn log(loaded: &Loaded) {
    let tally = &loaded.certificate.tally;
    info!(
        load.id = loaded.load_id,
        table.name = %loaded.table,
        rows.loaded = tally.loaded,
        rows.rejected = tally.rejected,
        file.bytes = loaded.certificate.bytes,
        elapsed_ms = loaded.elapsed_ms,
        "{}: {} rows {}, {} rejected",
        loaded.table,
        tally.loaded,
        loaded.state.as_str(),
        tally.rejected,
    );
}

fn outcome(loaded: &Loaded) -> anyhow::Result<Outcome> {
    let summary = serde_json::to_value(loaded).context("describe the load")?;
    if loaded.state != State::Held {
        return Ok(Outcome::Done(summary));
    }
    let reason = format!(
        "the load of {} into {} is held, the table was not touched: {}; its {} rejects are kept under load {}",
        loaded.file.display(),
        loaded.table,
        loaded.reasons.join("; "),
        loaded.certificate.tally.rejected,
        loaded.load_id,
    );
    Ok(Outcome::Refused { fault: Fault::Data, reason, summary })
}
