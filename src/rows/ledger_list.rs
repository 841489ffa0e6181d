//! The load ledger for people: lists loads, and tells all of one.

use crate::fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// Which loads.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this dataset.
    pub dataset: Option<String>,
    /// Only of this customer.
    pub customer: Option<String>,
    /// From this run date on.
    pub from: Option<NaiveDate>,
    /// Up to this run date.
    pub to: Option<NaiveDate>,
    /// Only in this state: published, measured, held (and still to be decided about), overtaken (held, and a later load
    /// of its run date came after it) or discarded.
    pub state: Option<String>,
    /// How many at most.
    pub limit: i64,
}

/// One line of the list.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct LoadRow {
    /// Its id.
    pub id: i64,
    /// The run it belongs to.
    pub run_id: Uuid,
    /// The dataset.
    pub dataset: String,
    /// The customer.
    pub customer: String,
    /// The day it is for.
    pub run_date: NaiveDate,
    /// The table it was meant for.
    pub table_name: String,
    /// What became of it.
    pub state: String,
    /// Of a held load, the later one of its run date that came after it: nothing is left to decide about it.
    pub overtaken_by: Option<i64>,
    /// Whether it is the one that counts for its customer and run date.
    pub is_current: bool,
    /// How its rows got into the table.
    pub way: Option<String>,
    /// The file's name.
    pub file_name: String,
    /// Good rows.
    pub loaded: i64,
    /// Bad rows.
    pub rejected: i64,
    /// Why it was held or only measured.
    pub reasons: Value,
    /// When it was entered.
    pub loaded_at: DateTime<Utc>,
}

/// The newest loads first.
///
/// # Errors
/// What the server says.
pub async fn list(pool: &PgPool, filter: &Filter) -> anyhow::Result<Vec<LoadRow>> {
    sqlx::query_as(
        "select l.id, l.run_id, l.dataset, l.customer, l.run_date, l.table_name, l.state, l.is_current, l.way,
                l.file_name, l.loaded, l.rejected, l.reasons, l.loaded_at, after.id as overtaken_by
           from bursar.loads as l
           left join lateral (
                select max(a.id)
                  from bursar.loads as a
                 where l.state = 'held' and a.dataset = l.dataset and a.customer = l.customer
                   and a.run_date = l.run_date and a.id > l.id and a.redrive_of is null) as after (id) on true
          where ($1::text is null or l.dataset = $1)
            and ($2::text is null or l.customer = $2)
            and ($3::date is null or l.run_date >= $3)
            and ($4::date is null or l.run_date <= $4)
            and ($5::text is null or case when after.id is null then l.state else 'overtaken' end = $5)
          order by l.id desc
          limit $6",
    )
    .bind(&filter.dataset)
    .bind(&filter.customer)
    .bind(filter.from)
    .bind(filter.to)
    .bind(&filter.state)
    .bind(filter.limit)
    .fetch_all(pool)
    .await
    .context("list the loads")
}

/// Everything the ledger keeps of a load, column by column.
///
/// # Errors
/// A data fault where there is no such load.
pub async fn get(pool: &PgPool, id: i64) -> anyhow::Result<serde_json::Map<String, Value>> {
    let found: Option<Value> = sqlx::query_scalar("select to_jsonb(l) from bursar.loads as l where id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
        .context("look for the load")?;
    match found {
        Some(Value::Object(columns)) => Ok(columns),
        _ => Err(fault::data(format!("there is no load {id} (bursar loads list)"))),
    }
}
