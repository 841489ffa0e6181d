//! A twin of a table: a new table with its owner, privileges, comments, indexes, constraints, defaults, statistics
//! targets, storage parameters, inheritance and publications, which can take its place.

use crate::config::Table;
use crate::fault::{self, Fault};
use crate::rows::statement;
use anyhow::Context;
use sqlx::PgConnection;

/// Why a twin can't take the place of a table: what would be torn off with it, or what the role may not. None where it
/// can. A rule of `view` is no reason: it is made anew.
///
/// # Errors
/// What the server says.
pub async fn obstacle(
    connection: &mut PgConnection,
    table: &Table,
    view: Option<&Table>,
) -> anyhow::Result<Option<String>> {
    let obstacles: Vec<String> = sqlx::query_scalar(include_str!("twin_obstacles.sql"))
        .bind(table.quoted())
        .bind(view.map(Table::quoted))
        .fetch_all(connection)
        .await
        .with_context(|| format!("look what hangs on {table}"))?;
    let more = obstacles.len().saturating_sub(1);
    let first = obstacles.into_iter().next();
    Ok(first.map(|first| if more == 0 { first } else { format!("{first}, and {more} more") }))
}

/// Whether the twin still has the table's columns, defaults and checks: somebody may have changed the table since.
///
/// # Errors
/// What the server says.
pub async fn is_alike(connection: &mut PgConnection, table: &Table, twin: &Table) -> anyhow::Result<bool> {
    sqlx::query_scalar(include_str!("twin_is_alike.sql"))
        .bind(table.quoted())
        .bind(twin.quoted())
        .fetch_one(connection)
        .await
        .with_context(|| format!("compare {table} with its new rows"))
}

/// Makes the twin, without rows, indexes and grants.
///
/// # Errors
/// What the server says.
pub async fn make(connection: &mut PgConnection, table: &Table, twin: &Table) -> anyhow::Result<()> {
    let statements: Vec<String> = sqlx::query_scalar(include_str!("twin_make.sql"))
        .bind(table.quoted())
        .bind(twin.to_string())
        .fetch_all(&mut *connection)
        .await
        .with_context(|| format!("describe {table}"))?;
    execute(connection, statements).await.with_context(|| format!("make a table like {table}"))
}

/// Gives the twin, whose rows are there, what the table has beside its rows.
///
/// # Errors
/// What the server says: a row may break a constraint that the dataset does not know.
pub async fn complete(connection: &mut PgConnection, table: &Table, twin: &Table) -> anyhow::Result<()> {
    let steps: Vec<Step> = sqlx::query_as(include_str!("twin_complete.sql"))
        .bind(table.quoted())
        .bind(twin.to_string())
        .bind(twin.schema.as_str())
        .bind(twin.name.as_str())
        .fetch_all(&mut *connection)
        .await
        .with_context(|| format!("describe what {table} has beside its rows"))?;
    let (statements, parts): (Vec<String>, Vec<_>) =
        steps.into_iter().map(|step| (step.statement, (step.part, step.stands_for))).unzip();
    let parts: Vec<(String, String)> = parts.into_iter().filter_map(|(part, own)| part.zip(own)).collect();
    execute(connection, statements)
        .await
        .map_err(|error| violation(error, table, twin, &parts))
        .with_context(|| format!("give the new rows of {table} what the table has"))
}

/// A statement that gives the twin something.
#[derive(sqlx::FromRow)]
struct Step {
    statement: String,
    /// The index that it makes, and the table's own index for which that stands.
    part: Option<String>,
    stands_for: Option<String>,
}

/// Rows that break what the table holds them to, told in the words of the table: what the twin and its indexes (`parts`,
/// and what they stand for) are called says nothing to anybody. Other errors are left as they are.
#[must_use]
pub fn violation(error: sqlx::Error, table: &Table, twin: &Table, parts: &[(String, String)]) -> anyhow::Error {
    let error = anyhow::Error::new(error);
    if fault::judge(&error) != Fault::Data {
        return error;
    }
    let of_twin = (twin.name.to_string(), table.name.to_string());
    let names = parts.iter().chain(std::iter::once(&of_twin));
    fault::data(
        names
            .fold(fault::told(&error), |told, (name, own)| told.replace(&format!("\"{name}\""), &format!("\"{own}\""))),
    )
}

/// The statements that put the twin in the place of the table, which is dropped.
///
/// # Errors
/// What the server says.
pub async fn swap(connection: &mut PgConnection, table: &Table, twin: &Table) -> anyhow::Result<Vec<String>> {
    sqlx::query_scalar(include_str!("twin_swap.sql"))
        .bind(table.quoted())
        .bind(twin.to_string())
        .bind(table.schema.as_str())
        .bind(table.name.as_str())
        .fetch_all(&mut *connection)
        .await
        .with_context(|| format!("describe how {table} is replaced"))
}

async fn execute(connection: &mut PgConnection, statements: Vec<String>) -> sqlx::Result<()> {
    if statements.is_empty() {
        return Ok(());
    }
    statement::run(connection, statements.join(";\n")).await
}
