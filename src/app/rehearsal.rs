//! What runs would do, without opening them: nothing is written anywhere.

use super::App;
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::db::Database;
use crate::engine::list::{self, Filter, RunRow};
use crate::engine::runs::RunRequest;
use crate::rows::source::Places;
use crate::tasks::forecast::{Forecaster, LoadForecast, output_of};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::path::PathBuf;

/// What a run would do.
#[derive(Debug, Serialize)]
pub struct Rehearsed {
    /// The business day.
    pub run_date: chrono::NaiveDate,
    /// A run of the same job and run date that is open: it would be joined where it does the same.
    pub open_run: Option<uuid::Uuid>,
    /// Its loads.
    pub loads: Vec<LoadForecast>,
    /// The reports it would write, as far as their loads are there.
    pub reports: Vec<PathBuf>,
}

impl App {
    /// Says for each of the requests, which follow each other, what would come of it.
    ///
    /// # Errors
    /// A configuration fault when the inbox can't be searched; what the server says.
    pub async fn rehearse(
        settings: &Settings,
        catalog: &Catalog,
        database: &Database,
        requests: &[RunRequest],
        now: DateTime<Utc>,
    ) -> anyhow::Result<Vec<Rehearsed>> {
        let places = Places::new(settings);
        let mut forecaster = Forecaster::new(&database.pool, catalog, &places, now);
        let mut rehearsed = Vec::new();
        for request in requests {
            let mut loads = Vec::new();
            for (task, item) in request.nodes() {
                let task = request.job.tasks.iter().find(|t| t.name == task);
                if let Some(task) = task {
                    loads.extend(forecaster.load(task, item, request.run_date, request.publish).await?);
                }
            }
            let reports =
                request.job.tasks.iter().filter_map(|task| output_of(catalog, settings, task, request.run_date));
            rehearsed.push(Rehearsed {
                run_date: request.run_date,
                open_run: open_run(database, request).await?.map(|run| run.id),
                loads,
                reports: reports.collect(),
            });
        }
        Ok(rehearsed)
    }
}

async fn open_run(database: &Database, request: &RunRequest) -> anyhow::Result<Option<RunRow>> {
    let (job, run_date) = (Some(request.job.name.as_str()), Some(request.run_date));
    let open = Filter { job, state: Some("running"), from: run_date, to: run_date };
    Ok(list::list_runs(&database.pool, &open, 1).await?.pop())
}
