//! Says what a task would find and do, from the inbox and the load ledger alone.

use super::{load, report};
use crate::catalog::{Catalog, Deliverer};
use crate::config::{Settings, Table};
use crate::engine::job::Task;
use crate::fault::{self, Fault};
use crate::rows::inbox::Inbox;
use crate::rows::ledger;
use crate::rows::source::Places;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::PgPool;
use std::collections::HashMap;
use std::path::PathBuf;

/// What would become of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Becomes {
    /// Readers see its rows, unless a gate holds it or they are there already: bytes are not read for a forecast.
    Published,
    /// It is measured beside the table, unless a gate holds it.
    Measured,
    /// It has no file, too many, or one that is still being delivered.
    Nothing,
}

/// What a load would find and do.
#[derive(Clone, Debug, Serialize)]
pub struct LoadForecast {
    /// The task's name.
    pub task: String,
    /// The customer.
    pub customer: String,
    /// The dataset.
    pub dataset: String,
    /// The table it is meant for.
    pub table: String,
    /// The file that would be loaded.
    pub file: Option<PathBuf>,
    /// Its size.
    pub bytes: Option<u64>,
    /// When it was changed last.
    pub modified_at: Option<DateTime<Utc>>,
    /// What would become of it.
    pub becomes: Becomes,
    /// Why it would not be published.
    pub reason: Option<String>,
}

/// Forecasts loads one after the other, each as if those before it were done.
pub struct Forecaster<'a> {
    pool: &'a PgPool,
    catalog: &'a Catalog,
    places: &'a Places,
    inbox: Inbox,
    now: DateTime<Utc>,
    /// The run date that readers would see, by dataset and customer.
    published: HashMap<(String, String), Option<NaiveDate>>,
}

impl<'a> Forecaster<'a> {
    /// One that starts from what is in the inbox and in the ledger at `now`.
    #[must_use]
    pub fn new(pool: &'a PgPool, catalog: &'a Catalog, places: &'a Places, now: DateTime<Utc>) -> Self {
        Self { pool, catalog, places, inbox: Inbox::of(places), now, published: HashMap::new() }
    }

    /// What the load of a customer's file for a run date would do; none for a task that is no load.
    ///
    /// # Errors
    /// When a folder of the inbox can't be searched.
    pub async fn load(
        &mut self,
        task: &Task,
        customer: &str,
        run_date: NaiveDate,
        publish: bool,
    ) -> anyhow::Result<Option<LoadForecast>> {
        if task.kind != load::SPEC.name {
            return Ok(None);
        }
        let Deliverer { dataset, customer: known } =
            self.catalog.deliverer(self.catalog.dataset(&task.subject)?, customer)?;
        let mut forecast = LoadForecast {
            task: task.name.clone(),
            customer: customer.to_owned(),
            dataset: dataset.name.to_string(),
            table: dataset.table_of(&known)?.to_string(),
            file: None,
            bytes: None,
            modified_at: None,
            becomes: Becomes::Nothing,
            reason: None,
        };
        let find = || self.inbox.find(&dataset, &known, run_date, self.now);
        match tokio::task::block_in_place(find) {
            Ok(file) => {
                forecast.bytes = Some(file.bytes);
                forecast.modified_at = Some(file.modified_at);
                forecast.file = Some(self.places.whole(&file.path));
                self.place(&mut forecast, dataset.table_of(&known)?, run_date, publish).await?;
            }
            Err(error) if matches!(fault::judge(&error), Fault::Data | Fault::Transient) => {
                forecast.reason = Some(fault::told(&error));
            }
            Err(error) => return Err(error),
        }
        Ok(Some(forecast))
    }

    /// An older run date does not take the place of a newer one, unless it is told to.
    async fn place(
        &mut self,
        forecast: &mut LoadForecast,
        table: Table,
        run_date: NaiveDate,
        publish: bool,
    ) -> anyhow::Result<()> {
        let key = (forecast.dataset.clone(), forecast.customer.clone());
        if !self.published.contains_key(&key) {
            let mut connection = self.pool.acquire().await.context("look into the load ledger")?;
            let date = ledger::published_date(&mut connection, &forecast.dataset, &forecast.customer, &table).await?;
            self.published.insert(key.clone(), date);
        }
        let published = self.published.entry(key).or_default();
        match published.filter(|date| *date > run_date && !publish) {
            Some(newer) => {
                forecast.becomes = Becomes::Measured;
                forecast.reason = Some(format!("the table holds the rows of {newer}, which is newer (--publish)"));
            }
            None => {
                forecast.becomes = Becomes::Published;
                *published = Some(run_date);
            }
        }
        Ok(())
    }
}

/// Where a report would be written; none for a task that is none. The time of a run that has not begun is shown as letters.
#[must_use]
pub fn output_of(catalog: &Catalog, settings: &Settings, task: &Task, run_date: NaiveDate) -> Option<PathBuf> {
    let report = (task.kind == report::SPEC.name).then(|| catalog.report(&task.subject).ok())??;
    Some(settings.file.paths.output.join(report.file_name(run_date, None)?))
}
