//! The zones in which instants are shown: that of the job they concern.

use crate::catalog::Catalog;
use crate::clock::timestamp;
use crate::config::Settings;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// The zone of each configured job. An instant of a job that is not configured (any more) is shown in UTC.
pub(super) struct Zones(BTreeMap<String, Tz>);

impl Zones {
    /// The zones of the jobs in a compiled configuration.
    pub(super) fn from_catalog(catalog: &Catalog) -> Self {
        Self(catalog.jobs.iter().map(|(name, job)| (name.clone(), job.timezone)).collect())
    }

    /// The same; none if the configuration can't be compiled.
    pub(super) fn of_settings(settings: &Settings) -> Self {
        Self::from_catalog(&crate::app::compile(settings).unwrap_or_default())
    }

    /// The job's zone.
    pub(super) fn zone(&self, job: &str) -> Tz {
        self.0.get(job).copied().unwrap_or(Tz::UTC)
    }

    /// An instant in the job's zone.
    pub(super) fn show(&self, job: &str, at: DateTime<Utc>) -> String {
        timestamp(&at.with_timezone(&self.zone(job)))
    }

    /// The same, or a dash.
    pub(super) fn show_or_dash(&self, job: &str, at: Option<DateTime<Utc>>) -> String {
        at.map_or_else(|| "-".to_owned(), |at| self.show(job, at))
    }
}
