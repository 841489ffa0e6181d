//! Attempts whose transaction the server does not have any more.
//!
//! A connection can break without a word: the server's machine is gone, and a proxy between keeps the socket open. The
//! attempt waits for an answer that never comes, and nobody takes it over, because its worker is up. But another session
//! sees that nobody holds the attempt's lock.

use crate::db::fence::Fence;
use sqlx::PgPool;
use std::collections::HashMap;

/// Sweeps in a row that must find a lock gone. An attempt that has just committed goes on before that.
const MISSES: u32 = 5;

/// What is remembered from one sweep to the next.
#[derive(Debug, Default)]
pub(super) struct CutOff {
    misses: HashMap<String, u32>,
}

impl CutOff {
    /// Returns those of the attempts under way that are cut off.
    ///
    /// # Errors
    /// A database fault; the next sweep looks again.
    pub(super) async fn find(&mut self, pool: &PgPool, under_way: Vec<Fence>) -> anyhow::Result<Vec<Fence>> {
        let open: Vec<Fence> = under_way.into_iter().filter(Fence::has_open_transaction).collect();
        if open.is_empty() {
            self.misses.clear();
            return Ok(Vec::new());
        }
        let names: Vec<String> = open.iter().map(Fence::lock_name).collect();
        let unheld = Fence::list_unheld(pool, &names).await?;
        self.misses.retain(|name, _| unheld.contains(name));
        for name in unheld {
            *self.misses.entry(name).or_default() += 1;
        }
        let is_cut_off = |fence: &Fence| {
            fence.has_open_transaction() && self.misses.get(&fence.lock_name()).is_some_and(|misses| *misses >= MISSES)
        };
        Ok(open.into_iter().filter(is_cut_off).collect())
    }
}
