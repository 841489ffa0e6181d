//! Tables in the schema `bursar_staged`: rows on their way to readers, and rows of held loads.
//!
//! Each is named after its load, `load_ID` or, for one of several segments, `load_ID_N`. It belongs there while its load
//! is under way (which holds a lock on its id), while it is held (and no later load of the same run date came after it),
//! and while it is a segment behind a table. Any other one is dropped by whoever looks next: a program died, or the
//! rows of a held load are out of date.

use super::statement;
use crate::config::{Ident, Table};
use anyhow::Context;
use sqlx::{PgConnection, PgPool};

const SCHEMA: &str = "bursar_staged";

/// Where the rows of a load are staged.
///
/// # Errors
/// None that happens: the name is made of digits.
pub fn table(load_id: i64) -> anyhow::Result<Table> {
    named(&format!("load_{load_id}"))
}

/// Where those of its segment are, from 1.
///
/// # Errors
/// None that happens: the name is made of digits.
pub fn segment(load_id: i64, number: usize) -> anyhow::Result<Table> {
    named(&format!("load_{load_id}_{number}"))
}

/// The table of this name in the schema.
///
/// # Errors
/// Where it is none of a load's: they are made of letters, digits and `_`.
pub(super) fn named(name: &str) -> anyhow::Result<Table> {
    Ok(Table { schema: Ident::parse(SCHEMA)?, name: Ident::parse(name)? })
}

/// Says that a load is under way, until the transaction ends: what it stages is not swept.
///
/// # Errors
/// What the server says.
pub async fn hold(connection: &mut PgConnection, load_id: i64) -> anyhow::Result<()> {
    sqlx::query("select pg_advisory_xact_lock_shared(hashtextextended($1, 0))")
        .bind(lock_name(load_id))
        .execute(connection)
        .await
        .context("say that the load is under way")?;
    Ok(())
}

/// What stands before a load's number in the name of its lock.
pub(super) const LOCK: &str = "bursar staged ";

fn lock_name(load_id: i64) -> String {
    format!("{LOCK}{load_id}")
}

/// The staged tables of a load, in their order; none where it has none.
///
/// # Errors
/// What the server says.
pub async fn of(connection: &mut PgConnection, load_id: i64) -> anyhow::Result<Vec<Table>> {
    let names: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
          where relnamespace = 'bursar_staged'::regnamespace and relkind = 'r' and relname ~ ('^load_' || $1 || '(_[0-9]+)?$')
          order by length(relname), relname",
    )
    .bind(load_id)
    .fetch_all(connection)
    .await
    .context("look for the rows of a load")?;
    names.iter().map(|name| named(name)).collect()
}

/// Drops these tables.
///
/// # Errors
/// What the server says.
pub async fn drop(connection: &mut PgConnection, tables: &[Table]) -> anyhow::Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = tables.iter().map(Table::quoted).collect();
    let statement = format!("drop table if exists {}", names.join(", "));
    statement::run(connection, statement).await.context("drop staged rows")
}

/// Drops what a load that failed had committed beside its transaction, which is over; what is missed here is swept later.
pub async fn clear(pool: &PgPool, load_id: i64) {
    let cleared = async {
        let mut transaction = pool.begin().await?;
        statement::run(&mut transaction, "set local lock_timeout = '1s'").await?;
        let tables = of(&mut transaction, load_id).await?;
        drop(&mut transaction, &tables).await?;
        transaction.commit().await?;
        anyhow::Ok(())
    };
    if let Err(error) = cleared.await {
        tracing::debug!("staged rows of load {load_id} are left to the sweep: {error:#}");
    }
}

/// Drops what programs that died have left; returns how many tables that were.
///
/// # Errors
/// What the server says.
pub async fn sweep(pool: &PgPool) -> anyhow::Result<usize> {
    let left: Vec<(i64, String)> = sqlx::query_as(include_str!("staged_left.sql"))
        .fetch_all(pool)
        .await
        .context("look for staged rows left behind")?;
    let mut dropped = 0;
    for (load_id, name) in left {
        let mut transaction = pool.begin().await.context("drop staged rows left behind")?;
        // Asked again under the lock: its load may have ended well meanwhile, or be under way.
        let is_left: bool = sqlx::query_scalar(
            "select pg_try_advisory_xact_lock(hashtextextended($1, 0)) and set_config('lock_timeout', '1s', true) <> ''",
        )
        .bind(lock_name(load_id))
        .fetch_one(&mut *transaction)
        .await
        .context("look whether a load is under way")?;
        if !is_left {
            continue;
        }
        let still: Vec<(i64, String)> = sqlx::query_as(include_str!("staged_left.sql"))
            .fetch_all(&mut *transaction)
            .await
            .context("look for staged rows left behind")?;
        if still.iter().any(|(_, other)| *other == name) {
            drop(&mut transaction, &[named(&name)?]).await?;
            tracing::info!("dropped {SCHEMA}.{name}, which no load needs any more");
            dropped += 1;
        }
        transaction.commit().await.context("drop staged rows left behind")?;
    }
    Ok(dropped)
}
