//! Alerts about runs that no worker can work on, about daemons that disagree about schedules, about clocks, and about
//! occurrences that were not run. Each is raised when
//! it has lasted for a while: daemons are restarted and reloaded one after the other.

use super::fleet::Fleet;
use super::{skew, stranded};
use crate::notify::alert::{self, Alert, Kind};
use crate::notify::wording::{self, Skipped};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};

/// How long a condition must last before it is an alert.
const GRACE: TimeDelta = TimeDelta::seconds(30);

/// Occurrences that were not run are alerted for at most this many days after they were recorded, and for at most this
/// many run dates of a job.
const MAX_SKIPPED_DAYS: i32 = 7;

/// What a watch remembers until its next look.
#[derive(Debug, Default)]
pub struct Watch {
    since: HashMap<String, DateTime<Utc>>,
}

impl Watch {
    /// Looks once: raises what has lasted, and resolves what is over.
    ///
    /// # Errors
    /// A database fault; the next look does it.
    pub async fn check(&mut self, pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<()> {
        let present: BTreeMap<String, Alert> =
            conditions(pool).await?.into_iter().map(|alert| (alert.key(), alert)).collect();
        self.since.retain(|key, _| present.contains_key(key));
        for key in present.keys() {
            self.since.entry(key.clone()).or_insert(now);
        }
        let mut transaction = pool.begin().await.context("alert about workers")?;
        let open = alert::list_open(
            &mut transaction,
            &[Kind::RunStranded, Kind::ScheduleConflict, Kind::ClockSkew, Kind::OccurrenceSkipped],
        )
        .await?;
        // In the order of their keys, as whoever locks several does.
        let mut keys: Vec<&String> = present.keys().chain(&open).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let is_open = open.contains(key);
            match present.get(key) {
                Some(alert) if !is_open && now - self.since[key] >= GRACE => {
                    alert::raise(&mut transaction, alert).await?;
                }
                None if is_open => {
                    alert::resolve(&mut transaction, key, "it is over").await?;
                }
                _ => {}
            }
        }
        transaction.commit().await.context("alert about workers")
    }
}

async fn conditions(pool: &PgPool) -> anyhow::Result<Vec<Alert>> {
    let runs = stranded::list(pool, None).await?;
    let runs = runs.iter().map(|run| wording::run_stranded(&run.job, run.run_date, &run.to_string(), run.next_step()));
    let conflicts = Fleet::read(pool).await?.conflicts();
    let conflicts = conflicts.iter().map(|conflict| wording::schedule_conflict(&conflict.job, conflict.text()));
    let skewed = skew::list(pool).await?;
    let clocks = skewed.iter().map(|daemon| wording::clock_skew(&daemon.host, daemon.clock_skew_s));
    let skipped = skipped(pool).await?;
    Ok(runs.chain(conflicts).chain(clocks).chain(skipped.iter().map(NotRun::alert)).collect())
}

/// The occurrences of a job for a run date that were skipped or coalesced.
#[derive(sqlx::FromRow)]
struct NotRun {
    job: String,
    run_date: NaiveDate,
    count: i64,
    due_at: DateTime<Utc>,
    state: String,
    reason: String,
}

impl NotRun {
    fn alert(&self) -> Alert {
        let Self { count, due_at, state, reason, .. } = self;
        wording::occurrence_skipped(
            &self.job,
            self.run_date,
            &Skipped { count: *count, due_at: *due_at, state, reason },
        )
    }
}

async fn skipped(pool: &PgPool) -> anyhow::Result<Vec<NotRun>> {
    sqlx::query_as(include_str!("watch_skipped.sql"))
        .bind(MAX_SKIPPED_DAYS)
        .fetch_all(pool)
        .await
        .context("look for occurrences that were not run")
}
