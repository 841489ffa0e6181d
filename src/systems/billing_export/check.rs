//! `kind = "billing_export_check"`: looks through the export's tables once they are loaded.
//!
//! What points to nothing is kept by run date, and the usage is summed up, in one transaction. Readers see the sums of
//! before, or these: `billing_export.usage_between` knows which events they are of.

use crate::engine::task::{KindSpec, Outcome, TaskContext, TaskFuture, TaskKind};
use crate::fault;
use crate::tasks::Deps;
use anyhow::Context;
use chrono::NaiveDate;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tracing::{info, warn};

pub(super) const SPEC: KindSpec = KindSpec { name: "billing_export_check", subject: "", needs_item: false };

/// The datasets of the export.
const DATASETS: [&str; 9] = [
    "billing_billable_metric",
    "billing_customer",
    EVENTS,
    "billing_invoice",
    "billing_line_item",
    "billing_plan",
    "billing_plan_charge",
    "billing_product",
    "billing_sub_line_item",
];
const EVENTS: &str = "billing_events";

pub(super) struct CheckTask(pub(super) Deps);

impl TaskKind for CheckTask {
    fn spec(&self) -> KindSpec {
        SPEC
    }

    fn run<'a>(&'a self, context: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(run(&self.0, context))
    }
}

async fn run(deps: &Deps, context: &TaskContext) -> anyhow::Result<Outcome> {
    let told_to_stop = || Err(fault::transient("the check was told to stop; nothing was changed"));
    let checking = Box::pin(check(deps, context));
    context.cancel.run_until_cancelled(checking).await.unwrap_or_else(told_to_stop)
}

async fn check(deps: &Deps, context: &TaskContext) -> anyhow::Result<Outcome> {
    let run_date = context.run.run_date;
    let mut connection = deps.pool.acquire().await.context("take a connection for the check")?;
    let mut transaction = connection.begin().await.context("begin the check")?;
    context.fence.hold(&mut transaction).await?;
    let _open = context.fence.open_transaction();
    let shown = shown(&mut transaction).await?;
    if let Some(reason) = why_not(&shown, run_date) {
        return Ok(Outcome::Skipped { reason, summary: json!({}) });
    }
    let events = shown.iter().find(|load| load.dataset == EVENTS).and_then(|load| load.id);
    enter(&mut transaction, context, events).await?;
    let (values, rows) = find_orphans(&mut transaction, run_date).await?;
    let sums = sum_up(&mut transaction, run_date).await?;
    if self::shown(&mut transaction).await? != shown {
        return Err(fault::transient("a table of the billing export was loaded again meanwhile"));
    }
    let outcome = Outcome::Done(json!({
        "run_date": run_date, "orphans": values, "orphaned_rows": rows, "usage_rows": sums,
    }));
    context.fence.settle(&mut transaction, &outcome.settlement()).await?;
    transaction.commit().await.context("commit the check")?;
    if values > 0 {
        warn!("{values} values of the billing export for {run_date} point to nothing, in {rows} rows");
    }
    info!("the usage of the billing export for {run_date} is summed up in {sums} rows");
    Ok(outcome)
}

/// What readers see of a dataset.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Shown {
    dataset: String,
    id: Option<i64>,
    run_date: Option<NaiveDate>,
}

async fn shown(connection: &mut PgConnection) -> anyhow::Result<Vec<Shown>> {
    sqlx::query_as(include_str!("shown.sql"))
        .bind(&DATASETS[..])
        .fetch_all(connection)
        .await
        .context("look which loads of the billing export readers see")
}

/// Why the tables can't be checked for a run date: they show another one, or nothing at all.
fn why_not(shown: &[Shown], run_date: NaiveDate) -> Option<String> {
    let others = shown.iter().filter(|load| load.run_date != Some(run_date));
    let told = |load: &Shown| match load.run_date {
        Some(date) => format!("{} shows {date}", load.dataset),
        None => format!("{} was never published", load.dataset),
    };
    let others: Vec<String> = others.map(told).collect();
    let why = || format!("the tables are not those of {run_date}: {}", others.join(", "));
    (!others.is_empty()).then(why)
}

async fn enter(connection: &mut PgConnection, context: &TaskContext, events: Option<i64>) -> anyhow::Result<()> {
    sqlx::query("delete from billing_export.checks where run_date = $1")
        .bind(context.run.run_date)
        .execute(&mut *connection)
        .await
        .context("drop what an earlier check has found")?;
    sqlx::query(
        "insert into billing_export.checks (run_date, run_id, events_load, meters_hash, checked_at)
         values ($1, $2, $3, billing_export.meters_hash(), now())",
    )
    .bind(context.run.run_date)
    .bind(context.run.id)
    .bind(events)
    .execute(connection)
    .await
    .context("enter the check")?;
    Ok(())
}

/// Finds what points to nothing; how many values, and how many rows hold them.
async fn find_orphans(connection: &mut PgConnection, run_date: NaiveDate) -> anyhow::Result<(i64, i64)> {
    sqlx::query(include_str!("orphans.sql"))
        .bind(run_date)
        .execute(&mut *connection)
        .await
        .context("look for values that point to nothing")?;
    sqlx::query_as(
        "select count(*), coalesce(sum(row_count), 0)::bigint from billing_export.orphans where run_date = $1",
    )
    .bind(run_date)
    .fetch_one(connection)
    .await
    .context("count the values that point to nothing")
}

/// Sums up the usage; gives how many rows came of it.
async fn sum_up(connection: &mut PgConnection, run_date: NaiveDate) -> anyhow::Result<u64> {
    let fresh = "delete from billing_export.usage";
    sqlx::query(fresh).execute(&mut *connection).await.context("drop the sums of before")?;
    let summed = sqlx::query("insert into billing_export.usage select * from billing_export.metered(null, null)")
        .execute(&mut *connection)
        .await
        .context("sum up the usage")?;
    sqlx::query(
        "insert into billing_export.summed (events_load, meters_hash)
         select events_load, meters_hash from billing_export.checks where run_date = $1
         on conflict (is_only) do update set events_load = excluded.events_load, meters_hash = excluded.meters_hash",
    )
    .bind(run_date)
    .execute(connection)
    .await
    .context("say what the usage was summed up from")?;
    Ok(summed.rows_affected())
}
