//! Held loads: an operator publishes one as it is, without its file, or lets it go. Either is kept with its reason.

mod put;

use super::dataset::Dataset;
use super::ledger_list::no_load;
use super::load::Older;
use super::publish::{Mode, Way, lock};
use super::{drift, ledger, measure, staged};
use crate::config::Customer;
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use put::Put;
use serde_json::Value;
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// A load that an operator asks for.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct HeldLoad {
    /// Its id in the ledger.
    pub id: i64,
    /// The run it belongs to.
    pub run_id: Uuid,
    /// The dataset's name.
    pub dataset: String,
    /// The customer's name.
    pub customer: String,
    /// The day it is for.
    pub run_date: NaiveDate,
    /// How many good rows it has.
    pub loaded: i64,
    state: String,
    table_name: String,
    /// How its rows were to be published; none where they were only to be measured.
    way: Option<String>,
    /// Why not in the way that its dataset says.
    way_reason: Option<String>,
}

/// What an operator says about it.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// `accepted` or `discarded`.
    pub verdict: Verdict,
    /// Why, in the operator's words.
    pub reason: &'a str,
    /// The operator's account.
    pub by: &'a str,
}

/// The two decisions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its rows are published.
    Accepted,
    /// Its rows are dropped.
    Discarded,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Discarded => "discarded",
        }
    }
}

/// The held load of this id, until the transaction ends; nobody else decides about it meanwhile.
///
/// # Errors
/// [`fault::not_found`] if no load has this id; a data fault if it is not held (any more).
pub async fn get(connection: &mut PgConnection, id: i64) -> anyhow::Result<HeldLoad> {
    let found: Option<HeldLoad> = sqlx::query_as(
        "select id, run_id, dataset, customer, run_date, table_name, loaded, state, way, way_reason
           from bursar.loads
          where id = $1
            for update",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
    .context("look for the load")?;
    let load = found.ok_or_else(|| no_load(id))?;
    if load.state != "held" {
        return Err(fault::data(format!("load {id} is {}; only a held load can be accepted or discarded", load.state)));
    }
    Ok(load)
}

/// What accepting needs of the configuration in force.
#[derive(Clone, Debug)]
pub struct Target {
    /// The load's dataset.
    pub dataset: Arc<Dataset>,
    /// The load's customer.
    pub customer: Arc<Customer>,
    /// All customers: the consolidated view is over their tables.
    pub customers: Vec<Arc<Customer>>,
    /// How long readers of the table are waited for, in seconds.
    pub lock_timeout_s: u64,
}

/// Publishes the rows of a held load as they are, in the caller's transaction; returns the way they took.
///
/// # Errors
/// A data fault where a later load of the same run date came after it, a newer run date is published (unless `older`
/// says that this one may take its place), or its rows are not there; a transient one where the table is in use.
pub async fn accept(
    connection: &mut PgConnection,
    load: &HeldLoad,
    target: &Target,
    older: Older,
    decision: Decision<'_>,
) -> anyhow::Result<Way> {
    let table = target.dataset.table_of(&target.customer)?;
    if table.to_string() != load.table_name {
        return Err(fault::data(format!(
            "load {} was meant for {}, and the dataset's table is {table} now; load the file of {} again",
            load.id, load.table_name, load.run_date
        )));
    }
    lock::against_loads(connection, &table, target.lock_timeout_s).await?;
    staged::hold(connection, load.id).await?;
    if let Some((after, state)) = after_it(connection, load).await? {
        let what = if state == "held" {
            "decide about that one, or discard this one".to_owned()
        } else {
            format!("that one is {state}, so that nothing is left to decide about this one")
        };
        return Err(fault::data(format!("load {after} of the same run date came after load {}: {what}", load.id)));
    }
    drift::check(connection, &table, &target.dataset).await?;
    let published = ledger::published_date(connection, &load.dataset, &load.customer, &table).await?;
    let appends = matches!(target.dataset.mode, Mode::Append { .. });
    let may_rewind = older == Older::Publish && target.dataset.into.is_none();
    if let Some(date) = published.filter(|date| !appends && *date > load.run_date && !may_rewind) {
        return Err(fault::data(format!(
            "{table} holds the rows of {date}, and load {} is for {}, which is older; --publish puts it in their place",
            load.id, load.run_date
        )));
    }
    let rows = staged::of(connection, load.id).await?;
    let kept = measure::count(connection, &rows).await?;
    if kept != load.loaded || rows.is_empty() {
        return Err(fault::data(format!(
            "of the {} rows of load {} {kept} are kept; load the file of {} again",
            load.loaded, load.id, load.run_date
        )));
    }
    let put = Put::of(connection, load, target, (&table, &rows)).await?;
    enter(connection, load, decision, Some(&put)).await?;
    Ok(put.way)
}

/// What is known of a load that was accepted, in the words of one that was published at once.
///
/// # Errors
/// What the server says.
pub async fn summary(connection: &mut PgConnection, id: i64) -> anyhow::Result<Value> {
    sqlx::query_scalar(include_str!("held_summary.sql"))
        .bind(id)
        .fetch_one(connection)
        .await
        .context("look at the load that was accepted")
}

/// The last load of the same customer and run date that came after it, and is no redrive of one before it; and its state.
async fn after_it(connection: &mut PgConnection, load: &HeldLoad) -> anyhow::Result<Option<(i64, String)>> {
    sqlx::query_as(
        "select id, state from bursar.loads
          where dataset = $1 and customer = $2 and run_date = $3 and id > $4 and redrive_of is null
          order by id desc
          limit 1",
    )
    .bind(&load.dataset)
    .bind(&load.customer)
    .bind(load.run_date)
    .bind(load.id)
    .fetch_optional(connection)
    .await
    .context("look for a load after it")
}

/// Lets a held load go: its rows are dropped, its counts and rejects stay.
///
/// # Errors
/// What the server says.
pub async fn discard(connection: &mut PgConnection, load: &HeldLoad, decision: Decision<'_>) -> anyhow::Result<()> {
    let rows = staged::of(connection, load.id).await?;
    staged::drop(connection, &rows).await?;
    enter(connection, load, decision, None).await
}

async fn enter(
    connection: &mut PgConnection,
    load: &HeldLoad,
    decision: Decision<'_>,
    put: Option<&Put>,
) -> anyhow::Result<()> {
    if put.is_some() {
        ledger::step_over(connection, &load.dataset, &load.customer, load.run_date, load.id).await?;
    }
    let (locked, merged) = (put.and_then(|p| p.locked), put.and_then(|p| p.merged));
    sqlx::query(include_str!("held_decide.sql"))
        .bind(load.id)
        .bind(decision.verdict.as_str())
        .bind(decision.reason)
        .bind(decision.by)
        .bind(put.map(|p| p.way.as_str()))
        .bind(locked.map(|l| l.waited_ms))
        .bind(locked.map(|l| l.since.elapsed_ms()))
        .bind(merged.map(|m| m.inserted))
        .bind(merged.map(|m| m.updated))
        .bind(merged.map(|m| m.unchanged))
        .bind(put.and_then(|p| p.reason.as_deref()))
        .execute(connection)
        .await
        .context("enter the decision into the ledger")?;
    Ok(())
}
