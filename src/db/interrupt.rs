//! Has the server break off what it does for a connection, when the program is told to stop.

use anyhow::Context;
use sqlx::{PgConnection, PgPool};
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A server process that can be told to break off its statement.
#[derive(Clone, Copy, Debug)]
pub struct Backend(i32);

impl Backend {
    /// The one of this number.
    #[must_use]
    pub const fn new(pid: i32) -> Self {
        Self(pid)
    }

    /// The one that works for `connection`.
    ///
    /// # Errors
    /// What the server says.
    pub async fn of(connection: &mut PgConnection) -> anyhow::Result<Self> {
        sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(connection)
            .await
            .map(Self)
            .context("ask for the server process")
    }

    /// Waits for `work` on this process's connection. Once `cancel` says so, the process is told to break off
    /// until the work is over: a statement that waits for a lock never looks at `cancel` by itself, and a word
    /// said between two statements is not heard.
    pub async fn until_cancelled<T>(
        self,
        pool: &PgPool,
        cancel: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::select! {
            done = work => done,
            never = self.break_off(pool, cancel) => match never {},
        }
    }

    async fn break_off(self, pool: &PgPool, cancel: &CancellationToken) -> Infallible {
        cancel.cancelled().await;
        loop {
            // Only if it is there: of one that is gone the server would warn each time.
            let cancel = "select pg_cancel_backend(pid) from pg_stat_activity where pid = $1";
            if let Err(error) = sqlx::query(cancel).bind(self.0).execute(pool).await {
                tracing::warn!("could not have the server break off its work: {error}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
