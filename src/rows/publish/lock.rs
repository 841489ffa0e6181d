//! Takes a table from its readers for a moment, without making a queue of them behind one that reads for long.
//!
//! A lock that is waited for keeps every later reader waiting too. So it is waited for only briefly, again and again,
//! with pauses in which readers pass. Before that autovacuum is sent away, which no reader notices: it lets go only of
//! those who have waited for a second (`deadlock_timeout`).

use crate::clock::Stopwatch;
use crate::config::Table;
use crate::fault;
use crate::rows::statement;
use anyhow::Context;
use sqlx::PgConnection;
use std::time::Duration;

/// How long readers may have to queue behind one try, in milliseconds.
const TRY_MS: u64 = 40;
/// The pause after the first try; it doubles up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// A table that was taken from its readers, until the transaction ends.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// How long they were waited for, in milliseconds.
    pub waited_ms: i64,
    /// Since when they wait.
    pub since: Stopwatch,
}

/// Runs statements that need a table for themselves, as soon as its readers let go of it. That goes for every other table
/// that they need, too: what was taken is given back while one of them is waited for.
///
/// The statements are tried in a subtransaction, which ends with them: a COPY after them can be frozen only where it
/// runs in the same one, so `savepoint` names one that is left open.
///
/// # Errors
/// A transient fault when that took longer than `patience_s`; what the statements say otherwise.
pub async fn exclusively(
    connection: &mut PgConnection,
    table: &Table,
    savepoint: &str,
    statements: &str,
    patience_s: u64,
) -> anyhow::Result<Locked> {
    let stopwatch = Stopwatch::start();
    let mut pause = None;
    let batch = format!(
        "savepoint {savepoint}; set local lock_timeout = '{TRY_MS}ms'; {statements}; \
         set local lock_timeout = '{patience_s}s'"
    );
    loop {
        let locked = Locked { waited_ms: stopwatch.elapsed_ms(), since: Stopwatch::start() };
        match statement::run(connection, batch.as_str()).await {
            Ok(()) => return Ok(locked),
            Err(error) if !is_in_use(&error) => {
                return Err(
                    anyhow::Error::new(error).context(format!("take {table} from its readers for its new rows"))
                );
            }
            Err(_) => {}
        }
        let rollback = format!("rollback to savepoint {savepoint}; release savepoint {savepoint}");
        statement::run(connection, rollback).await.context("let readers pass")?;
        if stopwatch.elapsed().as_secs() >= patience_s {
            return Err(in_use(connection, table, patience_s).await);
        }
        match pause {
            None => keep_vacuum_out(connection, table, patience_s).await?,
            Some(pause) => tokio::time::sleep(pause).await,
        }
        pause = Some(pause.map_or(PAUSE, |pause| (pause * 2).min(MAX_PAUSE)));
    }
}

/// Until the transaction ends. Readers and this lock don't mind each other.
async fn keep_vacuum_out(connection: &mut PgConnection, table: &Table, patience_s: u64) -> anyhow::Result<()> {
    let lock = format!(
        "set local lock_timeout = '{patience_s}s'; savepoint before_vacuum; lock table {} in share update exclusive mode; \
         release savepoint before_vacuum",
        table.quoted()
    );
    match statement::run(connection, lock).await {
        Err(error) if is_in_use(&error) => {
            // Else nothing could be asked any more.
            let rollback = statement::run(connection, "rollback to savepoint before_vacuum");
            rollback.await.with_context(|| format!("keep vacuum away from {table}"))?;
            Err(in_use(connection, table, patience_s).await)
        }
        locked => locked.with_context(|| format!("keep vacuum away from {table}")),
    }
}

/// Lets nobody else change the rows of a table until the transaction ends: one load, redrive or decision at a time.
/// Readers are not kept out. Locks that are asked for later in the transaction are waited for as long.
///
/// # Errors
/// A transient fault when it was not to be had within `patience_s`.
pub async fn against_loads(connection: &mut PgConnection, table: &Table, patience_s: u64) -> anyhow::Result<()> {
    let locked = sqlx::query(
        "select set_config('lock_timeout', $1, true), pg_advisory_xact_lock(hashtextextended($2, 0))::text",
    )
    .bind(patience(patience_s))
    .bind(name(table))
    .execute(connection)
    .await;
    match locked {
        Err(error) if is_in_use(&error) => Err(fault::transient(format!(
            "{table} was being loaded by somebody else for {patience_s} s (database.lock_timeout_s); nothing was changed, \
             try again"
        ))),
        locked => locked.map(drop).with_context(|| format!("lock {table}")),
    }
}

/// What the lock against other loads of a table is called.
#[must_use]
pub fn name(table: &Table) -> String {
    format!("bursar load {table}")
}

/// How long locks are waited for, as the server reads it.
#[must_use]
pub fn patience(seconds: u64) -> String {
    format!("{seconds}s")
}

/// SQLSTATE 55P03: a lock was not to be had in time.
fn is_in_use(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55P03"))
}

/// Who uses the table, or one that is needed with it, as far as the role may know.
async fn in_use(connection: &mut PgConnection, table: &Table, patience_s: u64) -> anyhow::Error {
    let holders: Vec<String> = sqlx::query_scalar(include_str!("lock_holders.sql"))
        .bind(table.quoted())
        .fetch_all(connection)
        .await
        .unwrap_or_default();
    let holders = if holders.is_empty() { "others".to_owned() } else { holders.join(", ") };
    fault::transient(format!(
        "{table} was in use by {holders} for {patience_s} s (database.lock_timeout_s); nothing was changed, try again"
    ))
}
