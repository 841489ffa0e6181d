//! Publishes a twin: it takes the table's name while readers wait for a moment.

use super::lock::{self, Locked};
use super::twin;
use crate::config::Table;
use crate::rows::views::Consolidated;
use anyhow::Context;
use sqlx::PgConnection;

/// Puts the twin in the table's place, and into the consolidated view, where there is one.
///
/// # Errors
/// A transient fault when readers did not let go of the table within `patience_s`.
pub async fn swap(
    connection: &mut PgConnection,
    table: &Table,
    twin: &Table,
    view: Option<&Consolidated>,
    patience_s: u64,
) -> anyhow::Result<Locked> {
    // A reader of a table above this one may already know which tables are below it.
    let mut locks = parents(connection, table).await?;
    locks.push(table.quoted());
    let statements = twin::swap(connection, table, twin).await?;
    // The view would not let the table go; as it keeps the twin by its number, a new name does not matter to it. It is
    // taken by being made anew: a lock on a view would take every table below it.
    let view = view.map(|view| view.with(table, twin));
    let batch: Vec<String> = view.into_iter().chain([lock_of(&locks)]).chain(statements).collect();
    lock::exclusively(connection, table, "before_publish", &batch.join(";\n"), patience_s).await
}

/// Of these tables alone: others that are below one of them stay as they are.
fn lock_of(tables: &[String]) -> String {
    let only: Vec<String> = tables.iter().map(|table| format!("only {table}")).collect();
    format!("lock table {} in access exclusive mode", only.join(", "))
}

async fn parents(connection: &mut PgConnection, table: &Table) -> anyhow::Result<Vec<String>> {
    sqlx::query_scalar(
        "select inhparent::regclass::text from pg_inherits where inhrelid = $1::regclass order by inhparent",
    )
    .bind(table.quoted())
    .fetch_all(connection)
    .await
    .with_context(|| format!("look what is above {table}"))
}
