//! Tells the others that this process is up: its row in `bursar.workers`, and a session advisory lock that ends with
//! the process or its connection, however that goes.

use super::configurations::{self, Taken};
use super::execute::Engine;
use crate::db::patience::within;
use anyhow::Context;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// How long the connection of the lock may take to answer before it is made anew.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// What a worker is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A daemon.
    Serve,
    /// A command that helps while it waits for its run.
    RunJob,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::RunJob => "run-job",
        }
    }
}

/// This process, as the others see it.
#[derive(Debug)]
pub struct Presence {
    pool: PgPool,
    id: String,
    connection: Option<PgConnection>,
}

impl Presence {
    /// Shows this process to the others, under a new id, with what it has for tasks.
    ///
    /// # Errors
    /// What the server says.
    pub async fn announce(engine: &Engine, role: Role) -> anyhow::Result<Self> {
        let pool = &engine.pool;
        let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let pid = std::process::id();
        let id = format!("{host}:{pid}:{}", Uuid::new_v4().simple());
        let mut presence = Self { pool: pool.clone(), id, connection: None };
        // The lock first: whoever sees the row finds it held.
        presence.keep().await?;
        let configuration = engine.configuration();
        configurations::record(pool, &configuration, Taken::AtStart).await?;
        sqlx::query(
            "insert into bursar.workers (id, role, host, pid, config_hash, credentials) values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&presence.id)
        .bind(role.as_str())
        .bind(host)
        .bind(i32::try_from(pid).unwrap_or(0))
        .bind(configuration.hash)
        .bind(engine.claimant(&presence.id).credentials)
        .execute(pool)
        .await
        .context("make this process known")?;
        Ok(presence)
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Makes sure that the lock is held; a connection that was cut is made anew.
    ///
    /// # Errors
    /// What the server says; it is asked for again at the next sweep.
    pub async fn keep(&mut self) -> anyhow::Result<()> {
        if let Some(mut connection) = self.connection.take()
            && within(PING_TIMEOUT, async { Ok(connection.ping().await?) }).await.is_ok()
        {
            self.connection = Some(connection);
            return Ok(());
        }
        let mut connection = self.pool.acquire().await.context("make this process known")?.detach();
        sqlx::query("select pg_advisory_lock_shared(hashtextextended('bursar worker ' || $1, 0))")
            .bind(&self.id)
            .execute(&mut connection)
            .await
            .context("make this process known")?;
        self.connection = Some(connection);
        // While it had no connection, others may have taken it for dead.
        sqlx::query("update bursar.workers set stopped_at = null where id = $1 and stopped_at is not null")
            .bind(&self.id)
            .execute(&self.pool)
            .await
            .context("make this process known")?;
        Ok(())
    }

    /// Says goodbye.
    pub async fn leave(self) {
        let stopped = sqlx::query("update bursar.workers set stopped_at = now() where id = $1 and stopped_at is null")
            .bind(&self.id)
            .execute(&self.pool)
            .await;
        if let Err(error) = stopped {
            tracing::debug!("the end of this worker could not be recorded: {error}");
        }
        if let Some(connection) = self.connection {
            // However closing it goes, the server lets go of the lock with the connection.
            let _ = connection.close().await;
        }
    }
}

/// Tells the others which configurations a worker has now.
///
/// # Errors
/// A database fault.
pub async fn record_configurations(engine: &Engine, worker: &str) -> anyhow::Result<()> {
    let served = engine.claimant(worker).configurations;
    let Some((present, kept)) = served.split_first() else { return Ok(()) };
    sqlx::query("update bursar.workers set config_hash = $2, kept_hashes = $3 where id = $1")
        .bind(worker)
        .bind(present)
        .bind(kept)
        .execute(&engine.pool)
        .await
        .context("record the worker's configurations")?;
    Ok(())
}
