//! A daemon reads its configuration again: all of it is in force afterwards, or nothing has changed.

use super::{App, compile, prepare_tables};
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, Utc};
use tracing::{error, info, warn};

impl App {
    /// Reads the configuration again when somebody asks for it: by a signal, or `bursar reload` for this worker.
    ///
    /// # Errors
    /// When the database can't be asked; a configuration that is wrong is told, and the one in force stays.
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
        let reloaded = self.reload().await;
        match &reloaded {
            Ok(()) => info!("the configuration was read again and is in force"),
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

    async fn reload(&self) -> anyhow::Result<()> {
        let catalog = compile(&self.settings)?;
        let left = prepare_tables(&self.database, &catalog, self.settings.file.database.lock_timeout_s).await?;
        for error in &left {
            warn!("{}", fault::told(error));
        }
        self.catalog.replace(catalog);
        Ok(())
    }
}
