//! Publishes a twin: it takes the table's name while readers wait for a moment.

use super::{lock, twin};
use crate::clock::Stopwatch;
use crate::config::Table;
use crate::rows::statement;
use crate::rows::views::Consolidated;
use anyhow::Context;
use sqlx::PgConnection;

/// A table that was taken from its readers, until the transaction ends.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// How long they were waited for, in milliseconds.
    pub waited_ms: i64,
    /// Since when they wait.
    pub since: Stopwatch,
}

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
    let taking = view.map(|view| view.with(table, twin)).into_iter().chain([lock_of(&locks)]);
    let taking: Vec<String> = taking.collect();
    let waited_ms = lock::exclusively(connection, table, "before_publish", &taking.join("; "), patience_s).await?;
    let locked = Locked { waited_ms, since: Stopwatch::start() };
    statement::run(connection, statements.join(";\n"))
        .await
        .with_context(|| format!("put the new rows in the place of {table}"))?;
    Ok(locked)
}

fn lock_of(tables: &[String]) -> String {
    format!("lock table {} in access exclusive mode", tables.join(", "))
}

/// Takes tables (in this order) from their readers.
///
/// # Errors
/// A transient fault when they did not let go of them within `patience_s`.
pub async fn take(
    connection: &mut PgConnection,
    table: &Table,
    locks: &[String],
    patience_s: u64,
) -> anyhow::Result<Locked> {
    let waited_ms = lock::exclusively(connection, table, "before_publish", &lock_of(locks), patience_s).await?;
    Ok(Locked { waited_ms, since: Stopwatch::start() })
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
