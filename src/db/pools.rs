//! The pools of connections: one for work, one for the queue, one for answers over HTTP.

use super::connect::connect;
use super::patience::ping;
use super::session::{Purpose, Server, Sessions};
use crate::config::Ident;
use crate::fault;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Row};
use std::time::Duration;

/// How long an answer over HTTP waits for a connection: a client is told soon that there is none.
const READER_TIMEOUT: Duration = Duration::from_secs(10);

/// What pools are made with.
#[derive(Debug)]
pub(super) struct Pools {
    pub options: PgConnectOptions,
    pub patience: Duration,
    pub schema: Ident,
}

impl Pools {
    /// Sets up a session that is no pool's.
    ///
    /// # Errors
    /// See [`Sessions::set_up`].
    pub(super) async fn set_up(&self, connection: &mut PgConnection) -> anyhow::Result<Server> {
        Sessions::new(Purpose::Work, &self.schema).set_up(connection).await
    }

    /// The pool for work, with its first connection open, and the server process behind that.
    ///
    /// # Errors
    /// What the server says; a transient fault if it has no second connection for this process.
    pub(super) async fn work(&self, connections: u32) -> anyhow::Result<(PgPool, i32)> {
        let sessions = Sessions::new(Purpose::Work, &self.schema);
        let pool = self.pool(Purpose::Work, &sessions, connections).connect_with(self.options.clone()).await;
        match pool {
            Ok(pool) => Ok((pool, sessions.newest())),
            Err(error) => Err(explained(&self.options, error.into()).await.context("open a second connection")),
        }
    }

    pub(super) fn queue(&self, connections: u32) -> PgPool {
        let sessions = Sessions::new(Purpose::Queue, &self.schema);
        self.pool(Purpose::Queue, &sessions, connections).connect_lazy_with(self.options.clone())
    }

    pub(super) fn reader(&self, connections: u32) -> PgPool {
        let sessions = Sessions::new(Purpose::Read, &self.schema);
        let pool = self.pool(Purpose::Read, &sessions, connections);
        pool.acquire_timeout(self.patience.min(READER_TIMEOUT)).connect_lazy_with(self.options.clone())
    }

    fn pool(&self, purpose: Purpose, sessions: &Sessions, connections: u32) -> PgPoolOptions {
        let sessions = sessions.clone();
        PgPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .acquire_timeout(self.patience)
            .before_acquire(move |connection, _| Box::pin(ping(is_fit(connection, purpose))))
            // The pool itself pings what it gets back, and would wait for the answer for ever.
            .after_release(|connection, _| Box::pin(async { ping(connection.ping()).await.map(|()| true) }))
            .after_connect(move |connection, _| {
                let sessions = sessions.clone();
                Box::pin(async move { sessions.set_up_in_pool(connection).await })
            })
    }
}

/// Adds to an error what keeps the server from giving this process a connection, where that is what failed: a pool tries
/// again and again, and in the end does not say what it met.
pub async fn explain(pool: &PgPool, error: anyhow::Error) -> anyhow::Error {
    explained(&pool.connect_options(), error).await
}

async fn explained(options: &PgConnectOptions, error: anyhow::Error) -> anyhow::Error {
    if !error.chain().any(|cause| matches!(cause.downcast_ref(), Some(sqlx::Error::PoolTimedOut))) {
        return error;
    }
    let why = match connect(options, Duration::from_secs(1)).await {
        Ok(connection) => {
            let _ = connection.close().await;
            "all those of this process were in use".to_owned()
        }
        Err(error) => fault::told(&error),
    };
    fault::transient(format!("{}: {why}", fault::told(&error)))
}

/// Whether a connection that somebody used before is fit for the next one; else it is closed, and another is opened.
///
/// Who is dropped while a transaction is being begun leaves it open, and the driver does not know of it: what came next
/// would never be committed. A server that has become read-only, or is one since the address leads to another, refuses
/// whatever is written over this connection for as long as it lives.
///
/// The statement goes as one message: prepared, its own transaction begins some microseconds before it is executed, and
/// every connection would look unfit.
async fn is_fit(connection: &mut PgConnection, purpose: Purpose) -> sqlx::Result<bool> {
    let state = "select now() = statement_timestamp(), current_setting('transaction_read_only') = 'off'";
    let row = sqlx::raw_sql(state).fetch_one(connection).await?;
    Ok(row.try_get(0)? && (!purpose.writes() || row.try_get(1)?))
}
