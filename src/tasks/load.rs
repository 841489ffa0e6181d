//! `kind = "load"`: a customer's file of a dataset into that customer's table.

use super::Deps;
use crate::catalog::Deliverer;
use crate::clock::timestamp;
use crate::config::Customer;
use crate::db::fence::{Finish, Finishing};
use crate::deliveries;
use crate::deliveries::act::{self, LoadEnd, Standing};
use crate::engine::job::Task;
use crate::engine::task::{KindSpec, OUTCOME_TARGET, Outcome, TaskContext, TaskFuture, TaskKind, Trigger};
use crate::escape;
use crate::fault::{self, Fault};
use crate::notify::alert::{Kind, Subject};
use crate::notify::wording::File;
use crate::rows::known::Repeat;
use crate::rows::load::{LoadOutcome, Loaded, Older, Progress, Request, State, load};
use crate::rows::refused::Refused;
use anyhow::Context;
use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgConnection;
use std::sync::Arc;
use tracing::{info, warn};

pub(super) const SPEC: KindSpec = KindSpec { name: "load", subject: "dataset", needs_item: true };

/// How long after a deadline a task looks again that nobody has woken: the inbox may not be readable, and then nothing
/// is decided.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(1);

pub(super) struct LoadTask(pub(super) Deps);

impl TaskKind for LoadTask {
    fn spec(&self) -> KindSpec {
        SPEC
    }

    fn needs(&self, task: &Task, item: Option<&str>) -> Vec<String> {
        needs(&self.0, task, item).unwrap_or_default()
    }

    fn run<'a>(&'a self, context: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(run(&self.0, context))
    }
}

/// What is needed to read the file from where it is delivered. Whatever is wrong with dataset or customer fails the task.
fn needs(deps: &Deps, task: &Task, item: Option<&str>) -> anyhow::Result<Vec<String>> {
    let (catalog, house) = (deps.catalog.get(), Customer::house());
    let dataset = catalog.dataset(&task.subject)?;
    let Deliverer { dataset, .. } = catalog.deliverer(dataset, item.unwrap_or(house.name.as_str()))?;
    Ok(deps.places.needs(&dataset.file).into_iter().collect())
}

async fn run(deps: &Deps, context: &TaskContext) -> anyhow::Result<Outcome> {
    let request = request(deps, context)?;
    if context.run.trigger == Trigger::Schedule
        && let Some(outcome) = outcome_without_file(deps, context, &request).await?
    {
        return Ok(outcome);
    }
    let (watch, label) = (Arc::clone(&context.watch), context.label());
    let progress: Progress = Arc::new(move |done, total| watch.progressed(&label, done, total));
    let record = Record { deps, context };
    match Box::pin(load(&deps.pool, &request, &record, progress, &context.cancel)).await? {
        LoadOutcome::Loaded(loaded) => {
            log(&loaded);
            outcome(context, &loaded)
        }
        LoadOutcome::Refused(refused) => refuse(deps, context, &request, &refused).await,
    }
}

/// Records a refused file, the end of its task, what that means for its delivery, and the alert, in one transaction.
async fn refuse(deps: &Deps, context: &TaskContext, request: &Request, refused: &Refused) -> anyhow::Result<Outcome> {
    let mut transaction = deps.pool.begin().await.context("record the refused file")?;
    let id = refused.enter(&mut transaction, request).await?;
    let (file, reason) = (file_of(context, request), fault::told(&refused.error));
    let mut summary = json!({
        "state": "refused",
        "load_id": id,
        "dataset": file.dataset,
        "file": refused.path,
        "sha256": refused.identity.as_ref().map(|identity| &identity.sha256),
    });
    let is_alerted = context.run.trigger == Trigger::Schedule;
    if is_alerted {
        summary["alert"] = file.subject().key(Kind::FileRefused).into();
    }
    let outcome = Outcome::Refused { fault: Fault::Data, reason: reason.clone(), summary };
    context.fence.settle(&mut transaction, &outcome.settlement()).await?;
    let inbox = &deps.settings.file.paths.inbox;
    let refusal = deliveries::Refusal {
        id,
        path: refused.path.strip_prefix(inbox).unwrap_or(&refused.path),
        identity: refused.identity.as_ref(),
        reason: &reason,
        is_alerted,
    };
    let catalog = deps.catalog.of_run(&context.run.config_hash)?;
    deliveries::refuse(&mut transaction, &catalog, &file, &refusal, deps.clock.now()).await?;
    transaction.commit().await.context("record the refused file")?;
    Ok(outcome)
}

/// What a scheduled load comes to whose file is awaited, has not come in time, or is not to come; none when there is
/// something to load. An operator's load takes what lies there.
async fn outcome_without_file(
    deps: &Deps,
    context: &TaskContext,
    request: &Request,
) -> anyhow::Result<Option<Outcome>> {
    let (catalog, file) = (deps.catalog.of_run(&context.run.config_hash)?, file_of(context, request));
    let File { job, dataset, customer, run_date } = file;
    let standing = act::standing(&deps.pool, &catalog, &file, request.now).await?;
    let what = format!("the file of {dataset} of {customer} for {run_date}");
    Ok(match standing {
        Standing::Load => None,
        Standing::Wait(deadline) => {
            // What the deadline means is decided by a look, which wakes the task then.
            let until = deadline.max(request.now) + LOOK_AGAIN;
            let key = act::wake_key(dataset, customer, run_date);
            let zone = catalog.jobs.get(job).map_or(chrono_tz::UTC, |job| job.timezone);
            let deadline = timestamp(&deadline.with_timezone(&zone));
            Some(Outcome::Deferred { key, until, reason: format!("{what} is awaited until {deadline}") })
        }
        Standing::NotExpected(why) => {
            info!(target: OUTCOME_TARGET, "{what} is not expected: {why}");
            Some(Outcome::Done(json!({"state": "not_expected", "reason": why})))
        }
        Standing::Missing(why) => {
            let alert = file.subject().key(Kind::FileMissing);
            let reason = format!(
                "{what} was not delivered by its deadline: {why}; it is loaded if it arrives within its late window \
                 (bursar deliveries), later by: bursar run-job {job} --date {run_date} --customer {customer}"
            );
            let summary = json!({"state": "missing", "dataset": dataset, "alert": alert});
            Some(Outcome::Refused { fault: Fault::Data, reason, summary })
        }
    })
}

fn file_of<'a>(context: &'a TaskContext, request: &'a Request) -> File<'a> {
    File {
        job: &context.run.job,
        dataset: request.dataset.name.as_str(),
        customer: request.customer.name.as_str(),
        run_date: request.run_date,
    }
}

/// Records what the load came to, in its own transaction: how the task ended, what became of the delivery, alerts.
struct Record<'a> {
    deps: &'a Deps,
    context: &'a TaskContext,
}

impl Finish<Loaded> for Record<'_> {
    fn finish<'a>(&'a self, connection: &'a mut PgConnection, loaded: &'a Loaded) -> Finishing<'a> {
        Box::pin(self.record(connection, loaded))
    }
}

impl Record<'_> {
    async fn record(&self, connection: &mut PgConnection, loaded: &Loaded) -> anyhow::Result<()> {
        let Self { deps, context } = self;
        context.fence.settle(connection, &outcome(context, loaded)?.settlement()).await?;
        let inbox = &deps.settings.file.paths.inbox;
        let load = deliveries::Load {
            dataset: &loaded.dataset,
            customer: &loaded.customer,
            run_date: context.run.run_date,
            run_id: context.run.id,
            load_id: loaded.load_id,
            path: loaded.file.strip_prefix(inbox).unwrap_or(&loaded.file),
            bytes: loaded.certificate.bytes,
            modified_at: loaded.file_modified_at,
            sha256: &loaded.certificate.sha256,
            earlier: loaded.earlier,
        };
        let ended = match loaded.state {
            State::Published => LoadEnd::Published,
            State::Held => LoadEnd::Held(&loaded.reasons),
            State::Measured if context.run.trigger == Trigger::Schedule => LoadEnd::MeasuredBySchedule(&loaded.reasons),
            State::Measured | State::Unchanged => LoadEnd::Other,
        };
        act::loaded(connection, &context.run.job, &load, ended, deps.clock.now()).await
    }
}

fn request(deps: &Deps, context: &TaskContext) -> anyhow::Result<Request> {
    let (paths, catalog) = (&deps.settings.file.paths, deps.catalog.of_run(&context.run.config_hash)?);
    let house = Customer::house();
    let name = context.item.as_deref().unwrap_or(house.name.as_str());
    let Deliverer { dataset, customer } = catalog.deliverer(catalog.dataset(&context.task.subject)?, name)?;
    Ok(Request {
        customers: if dataset.consolidated.is_some() { catalog.deliverers(&dataset) } else { Vec::new() },
        dataset,
        customer,
        fence: context.fence.clone(),
        run_date: context.run.run_date,
        older: if context.run.publish { Older::Publish } else { Older::Measure },
        repeat: if context.run.force { Repeat::Always } else { Repeat::WhenChanged },
        inbox: deps.places.clone(),
        now: deps.clock.now(),
        spool: paths.data.join("spool"),
        lock_timeout_s: deps.settings.file.database.lock_timeout_s,
    })
}

fn log(loaded: &Loaded) {
    let tally = &loaded.certificate.tally;
    if loaded.state == State::Unchanged {
        info!(
            target: OUTCOME_TARGET,
            { load.id = loaded.load_id, table.name = %loaded.table },
            "{}: unchanged: {}",
            loaded.table,
            loaded.reasons.join("; ")
        );
        return;
    }
    for warning in &loaded.warnings {
        warn!(
            target: OUTCOME_TARGET,
            { load.id = loaded.load_id, table.name = %loaded.table },
            "{}: {warning}",
            escape::path(&loaded.file)
        );
    }
    info!(
        target: OUTCOME_TARGET,
        {
            load.id = loaded.load_id,
            table.name = %loaded.table,
            rows.loaded = tally.loaded,
            rows.rejected = tally.rejected,
            file.bytes = loaded.certificate.bytes,
            elapsed_ms = loaded.elapsed_ms
        },
        "{}: {} rows {}, {} rejected",
        loaded.table,
        tally.loaded,
        loaded.state.as_str(),
        tally.rejected,
    );
}

fn outcome(context: &TaskContext, loaded: &Loaded) -> anyhow::Result<Outcome> {
    let mut summary = serde_json::to_value(loaded).context("describe the load")?;
    if loaded.state != State::Held {
        return Ok(Outcome::Done(summary));
    }
    let reason = format!(
        "the load of {} into {} is held, the table was not touched: {}; its {} rejects are kept under load {}",
        escape::path(&loaded.file),
        loaded.table,
        loaded.reasons.join("; "),
        loaded.certificate.tally.rejected,
        loaded.load_id,
    );
    let subject = Subject::file(&context.run.job, &loaded.dataset, &loaded.customer, context.run.run_date);
    summary["alert"] = subject.key(Kind::LoadHeld).into();
    Ok(Outcome::Refused { fault: Fault::Data, reason, summary })
}
