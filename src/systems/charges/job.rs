//! `kind = "invoice_charges"`: goes on with what was begun, then takes up what the table `uac_invoice` has and nobody
//! asked for yet. What came of each charge is kept for the run date.

use super::begin;
use super::drive;
use super::machine::Machine;
use super::outbox::{self, By, Row, State};
use super::refusal::{Reason, Refusal};
use super::source;
use crate::config::{ChargeSource, RUTTER_ACCESS_TOKEN, RUTTER_CLIENT_ID, RUTTER_CLIENT_SECRET, STREAMOS_API_TOKEN};
use crate::engine::job::Task;
use crate::engine::task::{KindSpec, Outcome, TaskContext, TaskFuture, TaskKind};
use crate::fault::{self, Fault};
use crate::tasks::Deps;
use anyhow::Context;
use chrono::TimeDelta;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::sync::Arc;
use tracing::info;
use uuid::Uuid;

pub(super) const SPEC: KindSpec = KindSpec { name: "invoice_charges", subject: "", needs_item: false };

/// So many charges are named that wait for an operator.
const MOST_SHOWN: usize = 5;

pub(super) struct InvoiceTask(Arc<Machine>);

impl InvoiceTask {
    pub(super) fn new(deps: &Deps) -> Self {
        Self(Machine::of(deps))
    }
}

impl TaskKind for InvoiceTask {
    fn spec(&self) -> KindSpec {
        SPEC
    }

    fn needs(&self, _: &Task, _: Option<&str>) -> Vec<String> {
        let settings = &self.0.settings;
        let has_token = settings.credentials().any(|name| name == STREAMOS_API_TOKEN);
        let token = (settings.file.charges.source == ChargeSource::Stream && has_token).then_some(STREAMOS_API_TOKEN);
        let always = [RUTTER_CLIENT_ID, RUTTER_CLIENT_SECRET, RUTTER_ACCESS_TOKEN];
        always.into_iter().chain(token).map(str::to_owned).collect()
    }

    fn run<'a>(&'a self, context: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(run(&self.0, context))
    }
}

async fn run(machine: &Machine, context: &TaskContext) -> anyhow::Result<Outcome> {
    let mended = |error: anyhow::Error| match error.chain().find_map(|cause| cause.downcast_ref::<Refusal>()) {
        Some(refusal) => fault::config(&refusal.detail),
        None => error,
    };
    machine.rutter().map_err(mended)?;
    machine.source().map_err(mended)?;
    let working = Box::pin(work(machine, context));
    let told_to_stop = || Err(fault::transient("the task was told to stop; what was begun is gone on with"));
    context.cancel.run_until_cancelled(working).await.unwrap_or_else(told_to_stop)
}

async fn work(machine: &Machine, context: &TaskContext) -> anyhow::Result<Outcome> {
    let open = outbox::list_open(&machine.pool).await?;
    info!("{} charges were begun and are not settled", open.len());
    each(machine, context, open, Begun::Before).await?;
    let section = &machine.settings.file.charges;
    let mut after = Uuid::nil();
    loop {
        let batch = i64::from(section.batch);
        let charges = source::backlog(&machine.pool, &section.table_schema, after, batch).await?;
        let Some(last) = charges.last() else { break };
        after = *last;
        each(machine, context, charges, Begun::Now).await?;
    }
    let counts: Vec<(String, i64)> = sqlx::query_as(
        "select result, count(*) from charges.results where run_date = $1 group by result order by result",
    )
    .bind(context.run.run_date)
    .fetch_all(&machine.pool)
    .await
    .context("count what came of the charges")?;
    let counts: serde_json::Map<_, _> = counts.into_iter().map(|(result, count)| (result, json!(count))).collect();
    let summary = counts.into();
    let stuck = outbox::list_stuck(&machine.pool).await?;
    if stuck.is_empty() {
        return Ok(Outcome::Done(summary));
    }
    // The run fails, so that an operator is paged until somebody has looked.
    Ok(Outcome::Refused { fault: Fault::Data, reason: wait_for_an_operator(&stuck), summary })
}

fn wait_for_an_operator(stuck: &[Uuid]) -> String {
    let shown: Vec<String> = stuck.iter().take(MOST_SHOWN).map(Uuid::to_string).collect();
    let more = stuck.len().saturating_sub(MOST_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "it is not known of {} charges whether they have an invoice, and asking again will not tell: {}{more}; look for their \
         document numbers at the accounting platform (docs/charges.md)",
        stuck.len(),
        shown.join(", ")
    )
}

/// Whether a charge was begun before this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Before,
    Now,
}

async fn each(machine: &Machine, context: &TaskContext, charges: Vec<Uuid>, begun: Begun) -> anyhow::Result<()> {
    let at_a_time = usize::try_from(machine.settings.file.charges.concurrency).unwrap_or(1);
    let working = stream::iter(charges).map(Ok);
    working.try_for_each_concurrent(at_a_time, |charge| one(machine, context, charge, begun)).await
}

async fn one(machine: &Machine, context: &TaskContext, charge: Uuid, begun: Begun) -> anyhow::Result<()> {
    if begun == Begun::Now
        && let Err(error) = begin_one(machine, context, charge).await
    {
        let Some(refusal) = error.chain().find_map(|cause| cause.downcast_ref::<Refusal>()) else { return Err(error) };
        if refusal.reason == Reason::StreamUnavailable {
            return Err(fault::transient(&refusal.detail));
        }
        return keep(
            machine,
            context,
            charge,
            None,
            "refused",
            Some(refusal.reason.code()),
            Some(&refusal.to_string()),
        )
        .await;
    }
    let wait_s = i64::try_from(machine.settings.file.charges.wait_s).unwrap_or(0);
    drive::drive(machine, charge, By::Job, machine.clock.now() + TimeDelta::seconds(wait_s)).await?;
    match outbox::find(&machine.pool, charge).await? {
        Some(row) => keep_row(machine, context, &row).await,
        None => Ok(()),
    }
}

async fn begin_one(machine: &Machine, context: &TaskContext, charge: Uuid) -> anyhow::Result<()> {
    let intent = begin::prepare(machine, charge).await?;
    let mail_to = begin::recipient(&machine.settings.file.charges.mail, None, None)?;
    begin::begin(machine, &intent, mail_to.as_deref(), By::Job, Some(context.run.id)).await.map(drop)
}

async fn keep_row(machine: &Machine, context: &TaskContext, row: &Row) -> anyhow::Result<()> {
    let result = match row.state {
        State::Succeeded => "created",
        State::Failed => "failed",
        State::Uncertain => "uncertain",
        State::Pending | State::Sent | State::Accepted => "waiting",
    };
    let code =
        (row.state == State::Failed).then(|| row.error_code.as_deref().unwrap_or(Reason::InvoiceCreationFailed.code()));
    let number = Some(row.document_number.as_str());
    keep(machine, context, row.charge_id, number, result, code, row.error.as_deref()).await
}

/// Keeps what came of a charge, behind the attempt's fence.
async fn keep(
    machine: &Machine,
    context: &TaskContext,
    charge: Uuid,
    number: Option<&str>,
    result: &str,
    code: Option<&str>,
    why: Option<&str>,
) -> anyhow::Result<()> {
    let mut transaction = machine.pool.begin().await.context("keep what came of a charge")?;
    context.fence.hold(&mut transaction).await?;
    sqlx::query(
        "insert into charges.results (run_date, charge_id, run_id, document_number, result, code, why, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (run_date, charge_id) do update
            set run_id = excluded.run_id,
                document_number = coalesce(excluded.document_number, results.document_number),
                result = excluded.result,
                code = excluded.code,
                why = excluded.why,
                at = excluded.at",
    )
    .bind(context.run.run_date)
    .bind(charge)
    .bind(context.run.id)
    .bind(number)
    .bind(result)
    .bind(code)
    .bind(why)
    .bind(machine.clock.now())
    .execute(&mut *transaction)
    .await
    .context("keep what came of a charge")?;
    transaction.commit().await.context("keep what came of a charge")
}
