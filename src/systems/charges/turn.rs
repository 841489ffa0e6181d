//! A charge is worked on by one at a time, over all processes: whoever has its turn.
//!
//! The turns of a process are advisory locks of one session, so they end with the process, however it ends. Should the
//! session break while a turn is held, another may take it: both would use the same key, and what is recorded is
//! conditional on the state it leaves.

use anyhow::Context;
use sqlx::{Connection, PgConnection, PgPool};
use std::collections::HashSet;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use tokio::sync::Mutex;
use uuid::Uuid;

/// The turns of this process.
pub(super) struct Turns {
    pool: PgPool,
    session: Mutex<Option<PgConnection>>,
    held: Lock<HashSet<Uuid>>,
    over: Lock<Vec<Uuid>>,
}

/// A turn; it is over when this is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    charge: Uuid,
    is_locked: bool,
}

impl Turns {
    pub(super) fn new(pool: PgPool) -> Arc<Self> {
        Arc::new(Self { pool, session: Mutex::new(None), held: Lock::default(), over: Lock::default() })
    }

    /// Takes a charge's turn; none while somebody has it.
    pub(super) async fn take(self: &Arc<Self>, charge: Uuid) -> anyhow::Result<Option<Turn>> {
        if !self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(charge) {
            return Ok(None);
        }
        let mut turn = Turn { turns: Arc::clone(self), charge, is_locked: false };
        let mut session = self.session.lock().await;
        let locked = match self.lock(&mut session, charge).await {
            Ok(locked) => locked,
            // A session that was idle may have been ended by the server.
            Err(_) => {
                *session = None;
                self.lock(&mut session, charge).await?
            }
        };
        turn.is_locked = locked;
        Ok(locked.then_some(turn))
    }

    async fn lock(&self, session: &mut Option<PgConnection>, charge: Uuid) -> anyhow::Result<bool> {
        let connection = match session {
            Some(connection) => connection,
            None => {
                let acquired = self.pool.acquire().await.context("take the turn of a charge")?;
                session.insert(acquired.detach())
            }
        };
        self.unlock(connection).await?;
        sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended('charge ' || ($1::uuid)::text, 0))")
            .bind(charge)
            .fetch_one(connection)
            .await
            .context("take the turn of a charge")
    }

    /// Ends the turns that are over.
    async fn unlock(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let over = std::mem::take(&mut *self.over.lock().unwrap_or_else(PoisonError::into_inner));
        if over.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "select pg_advisory_unlock(hashtextextended('charge ' || id::text, 0)) from unnest($1::uuid[]) as id",
        )
        .bind(over)
        .execute(connection)
        .await
        .context("end the turn of a charge")?;
        Ok(())
    }

    /// Ends the turns that are over; a session that fails is closed, and ends them so.
    async fn tidy(&self) {
        let mut session = self.session.lock().await;
        let Some(connection) = session.as_mut() else { return };
        if self.unlock(connection).await.is_err()
            && let Some(connection) = session.take()
        {
            let _ = connection.close_hard().await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_locked {
            self.turns.over.lock().unwrap_or_else(PoisonError::into_inner).push(self.charge);
        }
        self.turns.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.charge);
        let turns = Arc::clone(&self.turns);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { turns.tidy().await });
        }
    }
}
