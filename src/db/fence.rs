//! The fence: a transaction takes effect only while the run it belongs to is still open.
//!
//! A run whose process was taken for dead (its lock connection was cut, it was paused for too long) is closed by
//! whoever takes over. Its late work must find that out in its own transaction, and change nothing.

use crate::fault;
use anyhow::Context;
use sqlx::PgConnection;
use uuid::Uuid;

/// Holds the run open until the transaction ends: whoever wants to close it waits for that.
///
/// # Errors
/// A transient fault when the run is no longer open.
pub async fn hold_open(connection: &mut PgConnection, run: Uuid) -> anyhow::Result<()> {
    let open: Option<i32> =
        sqlx::query_scalar("select 1 from bursar.runs where id = $1 and state = 'running' for share")
            .bind(run)
            .fetch_optional(connection)
            .await
            .context("look whether the run is still open")?;
    open.map(drop).ok_or_else(|| {
        fault::transient(format!("run {run} was taken for dead and closed meanwhile; nothing was changed"))
    })
}
