//! The customers' tables: made from a dataset's columns; [`super::drift`] compares them before each load.
//!
//! A table that exists is never altered. Nothing is locked, and nothing changed, where nothing is lacking.

use super::column::Column;
use super::dataset::Dataset;
use super::drift::{self, Shape};
use super::publish::Mode;
use super::{statement, views};
use crate::config::{Customer, Ident, Table};
use anyhow::Context;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use std::collections::HashMap;
use std::sync::Arc;

/// Makes what the configuration names and the database lacks: tables of customers, then the views over them.
///
/// Gives what is left undone and no load needs: tables that differ from their dataset (their own loads fail), and
/// consolidated views that could not be made.
///
/// # Errors
/// A configuration fault when the role may not, or a table's name is taken by something else; a transient one when a
/// view that reports need is in use.
pub async fn prepare(
    connection: &mut PgConnection,
    datasets: &[&Dataset],
    customers: &[Arc<Customer>],
    lock_timeout_s: u64,
) -> anyhow::Result<Vec<anyhow::Error>> {
    let wanted = tables_of(datasets, customers)?;
    let mut found = find(connection, wanted.iter().map(|(table, _)| table)).await?;
    if wanted.iter().any(|(table, _)| !found.contains_key(table)) {
        make(connection, &wanted, lock_timeout_s).await?;
        found = find(connection, wanted.iter().map(|(table, _)| table)).await?;
    }
    let drifts = drift::among(&wanted, &found);
    let mut left = Vec::new();
    if !drifts.is_empty() {
        left.push(drift::drift_fault(connection, &drifts).await?);
    }
    let views = views::of(datasets, customers)?;
    left.extend(views::prepare(connection, &views, lock_timeout_s).await?);
    Ok(left)
}

/// The tables of these datasets. A system's own tables are made with its migrations.
pub(super) fn tables_of<'a>(
    datasets: &[&'a Dataset],
    customers: &[Arc<Customer>],
) -> anyhow::Result<Vec<(Table, &'a Dataset)>> {
    let own = datasets.iter().filter(|dataset| dataset.into.is_none());
    let all = own.flat_map(|dataset| dataset.deliverers(customers).into_iter().map(|customer| (*dataset, customer)));
    all.map(|(dataset, customer)| Ok((dataset.table_of(&customer)?, dataset))).collect()
}

/// What PostgreSQL's catalog says of a name: a table, a view, or something else that took it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Relation {
    /// Which of the wanted names it has, from 0.
    place: i64,
    pub(super) comment: Option<String>,
    pub(super) shape: Json<Shape>,
}

/// What the catalog says of names, with the query that it shares with a load's first question.
const FIND: &str =
    concat!(include_str!("table_find.sql"), include_str!("table_shape.sql"), " where c.oid = r.oid) as described");

/// What the catalog says of these names. Reads the catalog alone: no reader and no load is in its way.
pub(super) async fn find<'a>(
    connection: &mut PgConnection,
    wanted: impl Iterator<Item = &'a Table> + Clone,
) -> anyhow::Result<HashMap<&'a Table, Relation>> {
    let schemas: Vec<&str> = wanted.clone().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = wanted.clone().map(|table| table.name.as_str()).collect();
    let relations: Vec<Relation> = sqlx::query_as(FIND)
        .bind(schemas)
        .bind(names)
        .fetch_all(connection)
        .await
        .context("look at the customers' tables")?;
    let wanted: Vec<&Table> = wanted.collect();
    let placed = |r: Relation| Some((*wanted.get(usize::try_from(r.place).ok()?)?, r));
    Ok(relations.into_iter().filter_map(placed).collect())
}

async fn make(connection: &mut PgConnection, wanted: &[(Table, &Dataset)], lock_timeout_s: u64) -> anyhow::Result<()> {
    let mut transaction = connection.begin().await.context("make the customers' tables")?;
    lock(&mut transaction, lock_timeout_s).await?;
    // Another process may have made them meanwhile.
    let found = find(&mut transaction, wanted.iter().map(|(table, _)| table)).await?;
    for (table, dataset) in wanted.iter().filter(|(table, _)| !found.contains_key(table)) {
        make_schema(&mut transaction, table).await?;
        create(&mut transaction, table, dataset).await?;
    }
    transaction.commit().await.context("make the customers' tables")
}

/// One process at a time makes tables and views. No lock of this transaction is waited for longer than that.
pub(super) async fn lock(connection: &mut PgConnection, lock_timeout_s: u64) -> anyhow::Result<()> {
    set_lock_timeout(connection, lock_timeout_s).await.context("make tables and views")?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('bursar prepare', 0))")
        .execute(connection)
        .await
        .with_context(|| format!("another bursar is making tables and views; waited {lock_timeout_s} s"))?;
    Ok(())
}

/// For this transaction only.
pub(super) async fn set_lock_timeout(connection: &mut PgConnection, seconds: u64) -> sqlx::Result<()> {
    let set = sqlx::query("select set_config('lock_timeout', $1, true)").bind(format!("{seconds}s"));
    set.execute(connection).await.map(drop)
}

async fn make_schema(connection: &mut PgConnection, table: &Table) -> anyhow::Result<()> {
    let is_there: bool = sqlx::query_scalar("select exists (select from pg_namespace where nspname = $1)")
        .bind(table.schema.as_str())
        .fetch_one(&mut *connection)
        .await
        .context("look for the customers' schema")?;
    if is_there {
        return Ok(());
    }
    statement::run(connection, format!("create schema if not exists {}", table.schema.quoted()))
        .await
        .with_context(|| format!("the schema {} (database.schema) does not exist and can't be made", table.schema))?;
    tracing::info!("created the schema {}", table.schema);
    Ok(())
}

async fn create(connection: &mut PgConnection, table: &Table, dataset: &Dataset) -> anyhow::Result<()> {
    let columns = columns_of(dataset);
    let mut parts: Vec<String> =
        columns.iter().map(|c| format!("{} {}{}", c.0.quoted(), c.1, if c.2 { "" } else { " not null" })).collect();
    if let Mode::Merge { key } = &dataset.mode {
        let key: Vec<String> = key.iter().map(|i| dataset.columns[*i].name.quoted()).collect();
        parts.push(format!("primary key ({})", key.join(", ")));
    }
    let mut statements = format!("create table {} ({})", table.quoted(), parts.join(", "));
    if let Mode::Append { run_date } = &dataset.mode {
        statements = format!("{statements}; create index on {} ({})", table.quoted(), run_date.quoted());
    }
    statement::run(connection, statements).await.with_context(|| format!("create the table {table}"))?;
    tracing::info!(table.name = %table, "created the table {table}");
    Ok(())
}

/// The columns of a dataset's tables: name, type, and whether they may be null.
#[must_use]
pub fn columns_of(dataset: &Dataset) -> Vec<(&Ident, String, bool)> {
    let run_date = match &dataset.mode {
        Mode::Append { run_date } => Some((run_date, "date".to_owned(), false)),
        _ => None,
    };
    dataset.columns.iter().map(|c| (&c.name, c.kind.sql_type(), c.nullable)).chain(run_date).collect()
}

/// The statement that takes binary rows into `table`, frozen, because the same transaction emptied or made it.
#[must_use]
pub fn copy_statement(table: &str, columns: &[Column]) -> String {
    let columns: Vec<String> = columns.iter().map(|c| c.name.quoted()).collect();
    format!("copy {table} ({}) from stdin (format binary, freeze)", columns.join(", "))
}
