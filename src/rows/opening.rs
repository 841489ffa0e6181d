//! How a load begins: what it takes hold of, and what it has to know before its first row.
//!
//! Two questions in all, because each costs a small file as much as some hundred of its rows. What is known is asked
//! after all is held: a statement sees what was committed before it began.

use super::column::Kind;
use super::dataset::Dataset;
use super::drift::{self, Shape};
use super::ledger;
use super::load::Request;
use super::publish::lock;
use super::staged;
use crate::config::Table;
use crate::db::interrupt::Backend;
use anyhow::Context;
use chrono::NaiveDate;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::sync::Arc;

/// What a load holds until its transaction ends: its attempt is known by it, and what it stages is not swept.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Held {
    backend: i32,
    /// Its number in the ledger; none while somebody else loads the table.
    load_id: Option<i64>,
}

impl Held {
    /// Takes hold of what nobody has to be waited for: of the table, and of a number, only where nobody else loads it.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn take(connection: &mut PgConnection, request: &Request, table: &Table) -> anyhow::Result<Self> {
        sqlx::query_as(include_str!("opening_hold.sql"))
            .bind(request.fence.lock_name())
            .bind(lock::name(table))
            .bind(staged::LOCK)
            .bind(lock::patience(request.lock_timeout_s))
            .fetch_one(connection)
            .await
            .context("begin the load")
    }

    /// The server process that works for the load.
    pub(super) const fn backend(&self) -> Backend {
        Backend::new(self.backend)
    }

    /// The load's number in the ledger, once nobody else loads the table.
    ///
    /// # Errors
    /// A transient fault when the table was not to be had within `patience_s`.
    pub(super) async fn number(
        &self,
        connection: &mut PgConnection,
        table: &Table,
        patience_s: u64,
    ) -> anyhow::Result<i64> {
        if let Some(load_id) = self.load_id {
            return Ok(load_id);
        }
        lock::against_loads(connection, table, patience_s).await?;
        let load_id = ledger::next_id(connection).await?;
        staged::hold(connection, load_id).await?;
        Ok(load_id)
    }
}

/// What is known before the first row is read.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Facts {
    is_present: bool,
    /// The run date whose rows readers see; none where nothing was published yet.
    pub(super) published: Option<NaiveDate>,
    /// The good rows of the run date before this one, as far as there is any: what a drop is measured against.
    rows_before: Option<i64>,
    /// Whether the run date was loaded before.
    pub(super) is_repeated: bool,
    /// The names of the segments behind the table.
    pub(super) segments: Vec<String>,
    /// The columns of each btree index of the table that holds every row.
    indexes: Vec<Json<Vec<String>>>,
    /// What the table is made of; none where it does not exist.
    shape: Option<Json<Shape>>,
}

/// The table's shape comes last: its query is shared.
const FACTS: &str = concat!(
    include_str!("opening_facts.sql"),
    include_str!("table_shape.sql"),
    " where c.oid = to_regclass($9)) as shape"
);

impl Facts {
    /// Asks for them.
    ///
    /// # Errors
    /// A transient fault when the attempt is not the present one any more; a configuration fault when the table is not
    /// what its dataset describes.
    pub(super) async fn find(connection: &mut PgConnection, request: &Request, table: &Table) -> anyhow::Result<Self> {
        let (fence, dataset): (_, &Dataset) = (&request.fence, &request.dataset);
        let mut facts: Self = sqlx::query_as(FACTS)
            .bind(fence.run)
            .bind(&fence.task)
            .bind(&fence.item)
            .bind(fence.attempt)
            .bind(dataset.name.as_str())
            .bind(request.customer.name.as_str())
            .bind(request.run_date)
            .bind(table.to_string())
            .bind(table.quoted())
            .fetch_one(&mut *connection)
            .await
            .context("ask what is known before the load")?;
        fence.check(facts.is_present)?;
        let shape = facts.shape.take().map(|shape| shape.0);
        drift::check_shape(connection, table, dataset, shape.as_ref()).await?;
        Ok(facts)
    }

    /// The dataset by which the file is read: one that knows the indexes of its table too.
    pub(super) fn with_indexes(&self, dataset: &Arc<Dataset>) -> Arc<Dataset> {
        let place = |name: &String| dataset.columns.iter().position(|column| column.name.as_str() == name);
        let keys = self.indexes.iter().map(|names| names.0.iter().filter_map(place).collect::<Vec<usize>>());
        let is_text = |place: &usize| matches!(dataset.columns[*place].kind, Kind::Text(_));
        let is_new = |key: &Vec<usize>| key.iter().any(is_text) && !dataset.indexed.contains(key);
        let new: Vec<Vec<usize>> = keys.filter(is_new).collect();
        // A system's own tables have columns of their own.
        if new.is_empty() || dataset.into.is_some() {
            return Arc::clone(dataset);
        }
        let mut dataset = Dataset::clone(dataset);
        dataset.indexed.extend(new);
        Arc::new(dataset)
    }

    /// The good rows of the run date before this one.
    pub(super) fn rows_before(&self) -> Option<u64> {
        self.rows_before.and_then(|rows| u64::try_from(rows).ok())
    }
}
