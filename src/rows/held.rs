//! Held loads: an operator publishes one as it is, without its file, or lets it go. Either is kept with its reason.

use super::dataset::Dataset;
use super::load::Older;
use super::publish::merge::{self, Extent, Merging};
use super::publish::segments;
use super::publish::swap::{Locked, swap, take};
use super::publish::{Merged, Mode, Way, lock, twin};
use super::views::Consolidated;
use super::{ledger, measure, staged, statement, table};
use crate::config::{Customer, Table};
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
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
/// A data fault where there is none, or it is not held (any more).
pub async fn get(connection: &mut PgConnection, id: i64) -> anyhow::Result<HeldLoad> {
    let found: Option<HeldLoad> = sqlx::query_as(
        "select id, run_id, dataset, customer, run_date, table_name, loaded, state, way
           from bursar.loads
          where id = $1
            for update",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
    .context("look for the load")?;
    let load = found.ok_or_else(|| fault::data(format!("there is no load {id} (bursar loads list)")))?;
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
    table::check_columns(connection, &table, &target.dataset).await?;
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
    let mut kept = 0;
    for staged in &rows {
        kept += measure::count(connection, staged).await?;
    }
    if kept != load.loaded || rows.is_empty() {
        return Err(fault::data(format!(
            "of the {} rows of load {} {kept} are kept; load the file of {} again",
            load.loaded, load.id, load.run_date
        )));
    }
    let put = put(connection, load, target, &table, &rows).await?;
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

/// How the rows got into the table.
struct Put {
    way: Way,
    locked: Option<Locked>,
    merged: Option<Merged>,
}

async fn put(
    connection: &mut PgConnection,
    load: &HeldLoad,
    target: &Target,
    table: &Table,
    rows: &[Table],
) -> anyhow::Result<Put> {
    let (dataset, patience_s) = (&target.dataset, target.lock_timeout_s);
    match &dataset.mode {
        Mode::Merge { .. } => {
            let mut all = Merged { inserted: 0, updated: 0, unchanged: 0 };
            for staged in rows {
                let merging =
                    Merging { dataset, table, staged, extent: Extent::File, load_id: load.id, run_date: load.run_date };
                let merged = merge::merge(connection, merging).await?;
                all.inserted += merged.inserted;
                all.updated += merged.updated;
                all.unchanged += merged.unchanged;
            }
            staged::drop(connection, rows).await?;
            return Ok(Put { way: Way::Merge, locked: None, merged: Some(all) });
        }
        Mode::Append { run_date } => {
            let (of_date, [staged]) = ((run_date, load.run_date), rows) else {
                return Err(fault::data(format!(
                    "the rows of load {} were held before its dataset appended; load the file again",
                    load.id
                )));
            };
            let count = load.loaded.unsigned_abs();
            merge::append(connection, table, staged, &dataset.columns, of_date, count).await?;
            staged::drop(connection, rows).await?;
            return Ok(Put { way: Way::Append, locked: None, merged: None });
        }
        Mode::Replace(_) => {}
    }
    let behind = segments::behind(connection, table).await?;
    if load.way.as_deref() == Some("segments")
        && segments::obstacle(connection, table).await?.is_none()
        && are_alike(connection, table, rows).await?
    {
        for segment in rows {
            twin::complete(connection, table, segment).await?;
        }
        let locked = take(connection, table, &[table.quoted()], patience_s).await?;
        let batch = segments::swap(table, &behind, rows).join("; ");
        statement::run(connection, batch).await.with_context(|| format!("put the rows behind {table}"))?;
        return Ok(Put { way: Way::Segments, locked: Some(locked), merged: None });
    }
    // Rows that were only to be measured lie in a table of the columns alone.
    if let ([staged], true) = (rows, matches!(load.way.as_deref(), Some("swap" | "truncate"))) {
        let view = Consolidated::find(connection, dataset, &target.customers).await?;
        if twin::obstacle(connection, table, view.as_ref().map(Consolidated::name)).await?.is_none()
            && are_alike(connection, table, rows).await?
        {
            twin::complete(connection, table, staged).await?;
            let locked = swap(connection, table, staged, view.as_ref(), patience_s).await?;
            return Ok(Put { way: Way::Swap, locked: Some(locked), merged: None });
        }
    }
    let locked = take(connection, table, &[table.quoted()], patience_s).await?;
    let count = refill(connection, target, table, rows, &behind).await?;
    if count != load.loaded.unsigned_abs() {
        let expected = load.loaded;
        return Err(fault::config(format!(
            "{table} took {count} rows of {expected}: a trigger or a rule on it changes what is loaded; nothing was changed"
        )));
    }
    Ok(Put { way: Way::Truncate, locked: Some(locked), merged: None })
}

/// Whether these tables still have the columns, defaults and checks of the table they were made like.
async fn are_alike(connection: &mut PgConnection, table: &Table, rows: &[Table]) -> anyhow::Result<bool> {
    for staged in rows {
        if !twin::is_alike(connection, table, staged).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Replaces the rows in the table itself; returns how many it took.
async fn refill(
    connection: &mut PgConnection,
    target: &Target,
    table: &Table,
    rows: &[Table],
    behind: &[String],
) -> anyhow::Result<u64> {
    let columns: Vec<String> = target.dataset.columns.iter().map(|c| c.name.quoted()).collect();
    let (columns, quoted) = (columns.join(", "), table.quoted());
    let mut batch = vec![format!("truncate {quoted}")];
    batch.extend((!behind.is_empty()).then(|| format!("drop table {}", behind.join(", "))));
    batch.extend(rows.iter().map(|r| format!("insert into {quoted} ({columns}) select {columns} from {}", r.quoted())));
    let count = statement::count(connection, batch.join("; ")).await;
    let count = count.with_context(|| format!("put the rows into {table}"))?;
    staged::drop(connection, rows).await?;
    Ok(count)
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
        .execute(connection)
        .await
        .context("enter the decision into the ledger")?;
    Ok(())
}
