//! Publishes by segments: tables that inherit from the customer's table, filled over several connections at once.
//!
//! The customer's table stays the same table, so nothing that hangs on it is torn off; its rows lie in the segments.
//! What that changes for readers is told in `docs/publishing.md`.

use crate::config::Table;
use crate::rows::staged;
use anyhow::Context;
use sqlx::PgConnection;

/// A stream more for so many bytes of a file.
const BYTES_PER_STREAM: u64 = 32 << 20;

/// How many connections a file goes over: one more than there are cores, as far as it is large enough, unless the dataset
/// says. Each waits for the log's disk now and then, and another one has its core meanwhile.
#[must_use]
pub fn streams(configured: Option<u8>, bytes: u64, cores: usize) -> usize {
    let wanted = configured.map_or_else(|| (cores + 1).min(8), usize::from);
    let worth = usize::try_from(bytes / BYTES_PER_STREAM + 1).unwrap_or(usize::MAX);
    wanted.min(worth).max(1)
}

/// Why a table can't have segments; none where it can.
///
/// # Errors
/// What the server says.
pub async fn obstacle(connection: &mut PgConnection, table: &Table) -> anyhow::Result<Option<String>> {
    sqlx::query_scalar(include_str!("segments_obstacle.sql"))
        .bind(table.quoted())
        .fetch_optional(connection)
        .await
        .with_context(|| format!("look whether {table} can have segments"))
}

/// The statements that take away a table's rows, its own and those of its segments. Tables of somebody else's that
/// inherit from it keep theirs.
#[must_use]
pub fn empty(table: &Table, behind: &[Table]) -> Vec<String> {
    let behind: Vec<String> = behind.iter().map(Table::quoted).collect();
    let drop = (!behind.is_empty()).then(|| format!("drop table {}", behind.join(", ")));
    std::iter::once(format!("truncate only {}", table.quoted())).chain(drop).collect()
}

/// The statements that put these segments behind the table in place of the old ones and of its own rows.
#[must_use]
pub fn swap(table: &Table, old: &[Table], new: &[Table]) -> Vec<String> {
    let inherit = new.iter().map(|segment| format!("alter table {} inherit {}", segment.quoted(), table.quoted()));
    empty(table, old).into_iter().chain(inherit).collect()
}

/// Where the rows lie that loads have put into a table: in itself, and in its segments.
///
/// # Errors
/// What the server says.
pub async fn with_segments(connection: &mut PgConnection, table: &Table) -> anyhow::Result<Vec<Table>> {
    let behind = behind(connection, table).await?;
    Ok(std::iter::once(table.clone()).chain(behind).collect())
}

/// The segments behind a table.
///
/// # Errors
/// What the server says.
pub async fn behind(connection: &mut PgConnection, table: &Table) -> anyhow::Result<Vec<Table>> {
    let names: Vec<String> = sqlx::query_scalar(
        "select c.relname::text
           from pg_inherits as i
           join pg_class as c on c.oid = i.inhrelid
          where i.inhparent = $1::regclass and c.relnamespace = 'bursar_staged'::regnamespace
          order by 1",
    )
    .bind(table.quoted())
    .fetch_all(connection)
    .await
    .with_context(|| format!("look for the segments of {table}"))?;
    names.iter().map(|name| staged::named(name)).collect()
}
