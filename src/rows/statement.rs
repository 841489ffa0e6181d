//! The one door for statements of the loader that are built from checked names: they take no parameters.

use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Row};

/// Runs one statement, or several in their order, in one message.
///
/// # Errors
/// What the server says.
pub(super) async fn run(connection: &mut PgConnection, statements: impl Into<String>) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements.into())).execute(connection).await.map(drop)
}

/// The same; returns the JSON that one of them gives.
///
/// # Errors
/// What the server says.
pub(super) async fn value(connection: &mut PgConnection, statements: impl Into<String>) -> sqlx::Result<Value> {
    let row = sqlx::raw_sql(AssertSqlSafe(statements.into())).fetch_one(connection).await?;
    row.try_get(0)
}

/// The same; returns how many rows were affected.
///
/// # Errors
/// What the server says.
pub(super) async fn count(connection: &mut PgConnection, statements: impl Into<String>) -> sqlx::Result<u64> {
    let done = sqlx::raw_sql(AssertSqlSafe(statements.into())).execute(connection).await?;
    Ok(done.rows_affected())
}

/// The same; returns the three numbers that the last of them gives.
///
/// # Errors
/// What the server says; none but the last may give rows.
pub(super) async fn counts(
    connection: &mut PgConnection,
    statements: impl Into<String>,
) -> sqlx::Result<(i64, i64, i64)> {
    let row = sqlx::raw_sql(AssertSqlSafe(statements.into())).fetch_one(connection).await?;
    FromRow::from_row(&row)
}
