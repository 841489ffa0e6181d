//! A daemon reads its configuration again: all of it is in force afterwards, or nothing has changed.
//!
//! Runs that are open go on under the configuration they were opened under, which is kept in memory until the last of
//! them is over.

use super::{App, compile, prepare_tables};
use crate::config::short_hash;
use crate::engine::configurations::{self, Taken};
use crate::engine::presence::record_configurations;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, Utc};
use tracing::{error, info, warn};

impl App {
    /// Reads the configuration again when somebody asks for it: by a signal, or `bursar reload` for this worker.
    ///
    /// # Errors
    /// A database fault. A configuration that is wrong is logged, and the one in force stays.
    pub(super) async fn reload_if_asked(&self, worker: &str, by_signal: bool) -> anyhow::Result<()> {
        // What is asked for while the files are being read is not answered by that reading.
        let (by_command, looked_at): (bool, DateTime<Utc>) = sqlx::query_as(
            "select coalesce((
                    select reload_requested_at > config_loaded_at from bursar.workers where id = $1), false),
                    clock_timestamp()",
        )
        .bind(worker)
        .fetch_one(&self.database.pool)
        .await
        .context("look whether a reload is asked for")?;
        if !by_signal && !by_command {
            return Ok(());
        }
        let reloaded = self.reload(worker).await;
        match &reloaded {
            Ok(hash) => info!("the configuration was read again and is in force: {}", short_hash(hash)),
            Err(error) => error!("the configuration stays as it was: {}", fault::told(error)),
        }
        let why = reloaded.err().map(|error| fault::told(&error));
        sqlx::query("update bursar.workers set config_loaded_at = $3, config_error = $2 where id = $1")
            .bind(worker)
            .bind(why)
            .bind(looked_at)
            .execute(&self.database.pool)
            .await
            .context("record the reload")?;
        Ok(())
    }

    /// Returns the hash of the configuration that is in force afterwards.
    async fn reload(&self, worker: &str) -> anyhow::Result<String> {
        let catalog = compile(&self.settings)?;
        let left = prepare_tables(&self.database, &catalog, self.settings.file.database.lock_timeout_s).await?;
        for error in &left {
            warn!("{}", fault::told(error));
        }
        let hash = catalog.hash.clone();
        if self.catalog.replace(catalog) {
            configurations::record(&self.database.pool, &self.engine.configuration(), Taken::ByReload).await?;
        }
        record_configurations(&self.engine, worker).await?;
        Ok(hash)
    }

    /// Drops earlier configurations under which no run is open any more.
    ///
    /// # Errors
    /// A database fault; the next beat does it.
    pub(super) async fn drop_unused_configurations(&self, worker: &str) -> anyhow::Result<()> {
        let kept = self.catalog.kept();
        if kept.is_empty() {
            return Ok(());
        }
        let in_use = configurations::in_use(&self.database.pool, &kept).await?;
        if self.catalog.keep_only(&in_use) {
            record_configurations(&self.engine, worker).await?;
        }
        Ok(())
    }
}
