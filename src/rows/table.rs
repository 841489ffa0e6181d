//! The customers' tables: made from a dataset's columns, compared with them before each load.

use super::column::Column;
use super::dataset::Dataset;
use super::measure::LEDGER_COLUMNS;
use super::source::hex;
use crate::config::{Customer, Table};
use crate::fault;
use anyhow::Context;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::HashSet;

/// Makes what the configuration names and the database lacks: tables of customers, views over them.
///
/// # Errors
/// A configuration fault when the role may not, or a name is taken by something else.
pub async fn prepare(connection: &mut PgConnection, dataset: &Dataset, customers: &[Customer]) -> anyhow::Result<()> {
    let existing = existing_relations(connection, dataset).await?;
    let mut tables = Vec::with_capacity(customers.len());
    for customer in customers {
        let table = dataset.table_of(customer)?;
        if !existing.contains(table.name.as_str()) {
            create(connection, &table, &dataset.columns).await?;
        }
        tables.push((customer, table));
    }
    prepare_view(connection, &measures_view(dataset), &measures_select(dataset)).await?;
    if let Some(name) = &dataset.consolidated
        && !tables.is_empty()
    {
        let view = Table { schema: dataset.schema.clone(), name: name.clone() };
        let made = prepare_view(connection, &view.quoted(), &consolidated_select(dataset, &tables)).await;
        if made.is_err() {
            // A table that drifted is a plainer reason than what the server says of the view over it.
            for (_, table) in &tables {
                check_columns(connection, table, &dataset.columns).await?;
            }
        }
        made?;
    }
    Ok(())
}

async fn existing_relations(connection: &mut PgConnection, dataset: &Dataset) -> anyhow::Result<HashSet<String>> {
    let names: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class as c join pg_namespace as n on n.oid = c.relnamespace where n.nspname = $1",
    )
    .bind(dataset.schema.as_str())
    .fetch_all(connection)
    .await
    .with_context(|| format!("list the tables of the schema {}", dataset.schema))?;
    Ok(names.into_iter().collect())
}

async fn create(connection: &mut PgConnection, table: &Table, columns: &[Column]) -> anyhow::Result<()> {
    let columns: Vec<String> = columns
        .iter()
        .map(|c| format!("{} {}{}", c.name.quoted(), c.kind.sql_type(), if c.nullable { "" } else { " not null" }))
        .collect();
    let statement = format!("create table {} ({})", table.quoted(), columns.join(", "));
    sqlx::query(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .with_context(|| format!("create the table {table}"))?;
    tracing::info!(table.name = %table, "created the table {table}");
    Ok(())
}

/// The view a report reads a dataset's measures from: one row per customer and run date.
fn measures_view(dataset: &Dataset) -> String {
    format!("bursar.\"load_measures_{}\"", dataset.name)
}

fn measures_select(dataset: &Dataset) -> String {
    let ledger = LEDGER_COLUMNS.map(|c| if c == "load_id" { "id as load_id" } else { c });
    let measures: Vec<String> = dataset.measures.iter().map(super::measure::Measure::view_column).collect();
    let columns: Vec<&str> = ledger.into_iter().chain(measures.iter().map(String::as_str)).collect();
    format!("select {} from bursar.loads where dataset = '{}' and is_current", columns.join(", "), dataset.name)
}

fn consolidated_select(dataset: &Dataset, tables: &[(&Customer, Table)]) -> String {
    let columns: Vec<String> = dataset.columns.iter().map(|c| c.name.quoted()).collect();
    let selects: Vec<String> = tables
        .iter()
        .map(|(customer, table)| {
            format!("select '{}'::text as customer, {} from {}", customer.name, columns.join(", "), table.quoted())
        })
        .collect();
    selects.join(" union all ")
}

/// Makes a view anew when its definition is another than the one it was made from (kept in its comment).
async fn prepare_view(connection: &mut PgConnection, view: &str, select: &str) -> anyhow::Result<()> {
    let mark = format!("made by bursar from {}", hex(&Sha256::digest(select)));
    let comment: Option<String> = sqlx::query_scalar("select obj_description(to_regclass($1), 'pg_class')")
        .bind(view)
        .fetch_one(&mut *connection)
        .await
        .with_context(|| format!("look at the view {view}"))?;
    if comment.as_deref() == Some(&mark) {
        return Ok(());
    }
    let created = replace_view(connection, &format!("create or replace view {view} as {select}")).await;
    if created.as_ref().is_err_and(changes_columns) {
        // Columns that go or move need a new view; where somebody's own view hangs on it, the server says which.
        replace_view(connection, &format!("drop view {view}; create view {view} as {select}"))
            .await
            .with_context(|| format!("make the view {view} anew"))?;
    } else {
        created.with_context(|| format!("make the view {view}"))?;
    }
    replace_view(connection, &format!("comment on view {view} is '{mark}'")).await.context("mark the view")
}

async fn replace_view(connection: &mut PgConnection, statement: &str) -> sqlx::Result<()> {
    let mut attempt = connection.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *attempt).await?;
    attempt.commit().await
}

/// SQLSTATE 42P16, `invalid_table_definition`: a view can be replaced only by one that has all its columns.
fn changes_columns(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("42P16"))
}

/// Refuses a table whose columns are not the dataset's.
///
/// # Errors
/// A configuration fault that names every difference.
pub async fn check_columns(connection: &mut PgConnection, table: &Table, columns: &[Column]) -> anyhow::Result<()> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
          where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum",
    )
    .bind(table.quoted())
    .fetch_all(connection)
    .await
    .with_context(|| format!("look at the table {table}"))?;
    let expected = |name: &str| columns.iter().find(|c| c.name.as_str() == name).map(|c| c.kind.sql_type());
    let mut differences = Vec::new();
    for column in columns {
        match found.iter().find(|(name, _)| name == column.name.as_str()) {
            None => differences.push(format!("it lacks {} {}", column.name, column.kind.sql_type())),
            Some((_, kind)) if *kind != column.kind.sql_type() => {
                differences.push(format!("{} is {kind}, the dataset says {}", column.name, column.kind.sql_type()));
            }
            Some(_) => {}
        }
    }
    differences.extend(
        found
            .iter()
            .filter(|(n, _)| expected(n).is_none())
            .map(|(n, _)| format!("the dataset does not know its column {n}")),
    );
    if differences.is_empty() {
        return Ok(());
    }
    Err(fault::config(format!(
        "the table {table} is not what its dataset describes: {}; alter the table or the dataset",
        differences.join("; ")
    )))
}

/// The statement that takes binary rows into `table`, frozen, because the same transaction emptied or made it.
#[must_use]
pub fn copy_statement(table: &str, columns: &[Column]) -> String {
    let columns: Vec<String> = columns.iter().map(|c| c.name.quoted()).collect();
    format!("copy {table} ({}) from stdin (format binary, freeze)", columns.join(", "))
}
