//! The customers' tables: made from a dataset's columns, compared with them before each load.
//!
//! A table that exists is never altered. Nothing is locked, and nothing changed, where nothing is lacking.

use super::column::Column;
use super::dataset::Dataset;
use super::publish::Mode;
use super::{statement, views};
use crate::config::{Customer, Ident, Table};
use crate::fault;
use anyhow::Context;
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
    let drifts: Vec<Drift> =
        wanted.iter().filter_map(|(table, dataset)| Drift::of(table, shape_of(&found, table), dataset)).collect();
    let mut left = Vec::new();
    if !drifts.is_empty() {
        left.push(drift_fault(connection, &drifts).await?);
    }
    let views = views::of(datasets, customers)?;
    left.extend(views::prepare(connection, &views, lock_timeout_s).await?);
    Ok(left)
}

/// A system's own tables are made with its migrations.
fn tables_of<'a>(datasets: &[&'a Dataset], customers: &[Arc<Customer>]) -> anyhow::Result<Vec<(Table, &'a Dataset)>> {
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
    #[sqlx(flatten)]
    pub(super) shape: Shape,
}

/// What it is made of.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Shape {
    /// `pg_class.relkind`: `r` for a table, `v` for a view.
    pub(super) kind: String,
    pub(super) columns: Vec<String>,
    /// Of the columns, as PostgreSQL writes them.
    pub(super) types: Vec<String>,
}

/// What the catalog says of these names. Reads the catalog alone: no reader and no load is in its way.
pub(super) async fn find<'a>(
    connection: &mut PgConnection,
    wanted: impl Iterator<Item = &'a Table> + Clone,
) -> anyhow::Result<HashMap<&'a Table, Relation>> {
    let schemas: Vec<&str> = wanted.clone().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = wanted.clone().map(|table| table.name.as_str()).collect();
    let relations: Vec<Relation> = sqlx::query_as(include_str!("table_find.sql"))
        .bind(schemas)
        .bind(names)
        .fetch_all(connection)
        .await
        .context("look at the customers' tables")?;
    let wanted: Vec<&Table> = wanted.collect();
    let placed = |r: Relation| Some((*wanted.get(usize::try_from(r.place).ok()?)?, r));
    Ok(relations.into_iter().filter_map(placed).collect())
}

fn shape_of<'a>(found: &'a HashMap<&Table, Relation>, table: &Table) -> Option<&'a Shape> {
    found.get(table).map(|relation| &relation.shape)
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
pub(super) fn columns_of(dataset: &Dataset) -> Vec<(&Ident, String, bool)> {
    let run_date = match &dataset.mode {
        Mode::Append { run_date } => Some((run_date, "date".to_owned(), false)),
        _ => None,
    };
    dataset.columns.iter().map(|c| (&c.name, c.kind.sql_type(), c.nullable)).chain(run_date).collect()
}

/// Refuses a table whose columns are not the dataset's.
///
/// # Errors
/// A configuration fault that names every difference, and the SQL that mends it.
pub async fn check_columns(connection: &mut PgConnection, table: &Table, dataset: &Dataset) -> anyhow::Result<()> {
    let found = find(connection, std::iter::once(table)).await?;
    check_shape(connection, table, dataset, shape_of(&found, table)).await
}

/// The same of a table that was looked at.
///
/// # Errors
/// As [`check_columns`].
pub(super) async fn check_shape(
    connection: &mut PgConnection,
    table: &Table,
    dataset: &Dataset,
    found: Option<&Shape>,
) -> anyhow::Result<()> {
    // A system's own tables are made with its migrations.
    match Drift::of(table, found, dataset).filter(|_| dataset.into.is_none()) {
        None => Ok(()),
        Some(drift) => Err(drift_fault(connection, &[drift]).await?),
    }
}

/// How a table differs from its dataset.
struct Drift<'a> {
    table: &'a Table,
    differences: Vec<String>,
    /// What `alter table` is to do about them.
    repairs: Vec<String>,
    /// Whether views over the table are in the way of that.
    blocked: bool,
}

impl<'a> Drift<'a> {
    fn of(table: &'a Table, found: Option<&Shape>, dataset: &Dataset) -> Option<Self> {
        let mut drift = Self { table, differences: Vec::new(), repairs: Vec::new(), blocked: false };
        match found {
            None => drift.differences.push("it does not exist; bursar migrate makes it".to_owned()),
            Some(relation) if relation.kind != "r" => {
                drift.differences.push(format!("{} is not a table", table.quoted()));
            }
            Some(relation) => drift.compare(relation, &columns_of(dataset)),
        }
        (!drift.differences.is_empty()).then_some(drift)
    }

    fn compare(&mut self, relation: &Shape, columns: &[(&Ident, String, bool)]) {
        for (name, wanted, _) in columns {
            match relation.columns.iter().zip(&relation.types).find(|(found, _)| *found == name.as_str()) {
                None => {
                    self.differences.push(format!("it lacks {name} {wanted}"));
                    self.repairs.push(format!("add column {} {wanted}", name.quoted()));
                }
                Some((_, kind)) if kind != wanted => {
                    self.differences.push(format!("{name} is {kind}, the dataset says {wanted}"));
                    self.repairs.push(format!("alter column {} type {wanted}", name.quoted()));
                    self.blocked = true;
                }
                Some(_) => {}
            }
        }
        for name in relation.columns.iter().filter(|name| columns.iter().all(|c| c.0.as_str() != name.as_str())) {
            self.differences.push(format!("the dataset does not know its column {name}"));
            self.repairs.push(format!("drop column \"{}\"", name.replace('"', "\"\"")));
            self.blocked = true;
        }
    }
}

/// Every difference, and the statements that mend them, in the order in which the server takes them.
async fn drift_fault(connection: &mut PgConnection, drifts: &[Drift<'_>]) -> anyhow::Result<anyhow::Error> {
    let sentences: Vec<String> = drifts
        .iter()
        .map(|d| format!("the table {} is not what its dataset describes: {}", d.table, d.differences.join("; ")))
        .collect();
    let blocked: Vec<&Table> = drifts.iter().filter(|d| d.blocked).map(|d| d.table).collect();
    let over = views::over(connection, &blocked).await?;
    let names: Vec<&str> = over.iter().map(|view| view.name.as_str()).collect();
    let mut statements = Vec::new();
    if !names.is_empty() {
        // In one statement they may stand on each other.
        statements.push(format!("drop view {};", names.join(", ")));
    }
    let repaired = drifts.iter().filter(|d| !d.repairs.is_empty());
    statements.extend(repaired.map(|d| format!("alter table {} {};", d.table.quoted(), d.repairs.join(", "))));
    let sentences = sentences.join("\n");
    if statements.is_empty() {
        return Ok(fault::config(sentences));
    }
    Ok(fault::config(format!(
        "{sentences}; change the dataset, or run: {}{}",
        statements.join(" "),
        views::afterwards(&over)
    )))
}

/// The statement that takes binary rows into `table`, frozen, because the same transaction emptied or made it.
#[must_use]
pub fn copy_statement(table: &str, columns: &[Column]) -> String {
    let columns: Vec<String> = columns.iter().map(|c| c.name.quoted()).collect();
    format!("copy {table} ({}) from stdin (format binary, freeze)", columns.join(", "))
}
