//! Whether a table took every row that it was given: a trigger or a rule on it may keep some out.

use crate::config::Table;
use crate::fault;
use anyhow::Context;
use sqlx::PgConnection;

/// Refuses a table that took another number of rows than it was given.
///
/// # Errors
/// A configuration fault that names the triggers and rules on it; a bug fault where there are none.
pub async fn check(connection: &mut PgConnection, table: &Table, taken: u64, given: u64) -> anyhow::Result<()> {
    if taken == given {
        return Ok(());
    }
    let changers: Vec<String> = sqlx::query_scalar(include_str!("taken_changers.sql"))
        .bind(table.quoted())
        .fetch_all(connection)
        .await
        .with_context(|| format!("look for triggers and rules on {table}"))?;
    let took = format!("{table} took {taken} of {given} rows");
    if changers.is_empty() {
        return Err(fault::bug(format!("{took}, though no trigger and no rule is on it; nothing was changed")));
    }
    Err(fault::config(format!(
        "{took}: a trigger or a rule on it changes what is loaded ({}), and a load is whole or not at all; disable or \
         change it; nothing was changed",
        changers.join(", ")
    )))
}
