//! Runs that stand still because of what workers have: no worker that is up has the run's configuration, or one of the
//! credentials that a task of it needs. Such a run is reported, and goes on when a worker comes up that has it.

use super::execute::Engine;
use super::task::Label;
use super::tasks::Claimant;
use super::{advance, configurations};
use crate::config::short_hash;
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::fmt;
use tracing::warn;
use uuid::Uuid;

/// A run that no worker that is up can go on with, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Stranded {
    /// The run.
    pub run: Uuid,
    /// Its job.
    pub job: String,
    /// The business day it is for.
    pub run_date: NaiveDate,
    /// The configuration it was opened under.
    pub config_hash: String,
    /// Whether no worker is up at all.
    pub is_alone: bool,
    /// Whether no worker that is up has its configuration.
    pub lacks_configuration: bool,
    /// The tasks that no worker that is up has all credentials for.
    pub tasks: Vec<String>,
    /// Their items; empty for a task without `for_each`.
    pub items: Vec<String>,
    /// The credentials that those tasks need.
    pub needs: Vec<String>,
}

impl Stranded {
    /// Returns the tasks that wait for credentials.
    #[must_use]
    pub fn labels(&self) -> Vec<Label> {
        let label = |(task, item): (&String, &String)| Label {
            task: task.clone(),
            item: (!item.is_empty()).then(|| item.clone()),
        };
        self.tasks.iter().zip(&self.items).map(label).collect()
    }

    /// Returns what an operator can do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        let (run, names) = (self.run, self.needs.join(", "));
        if self.is_alone {
            "Start a daemon: bursar serve".to_owned()
        } else if self.lacks_configuration {
            format!(
                "If the configuration files are those of the run: bursar reload. Else go on with it under the present \
                 configuration: bursar runs retry {run}; or end it: bursar runs cancel {run}"
            )
        } else {
            format!(
                "Set {names} for a daemon and restart it; it then takes the tasks. Or end the run: bursar runs cancel {run}"
            )
        }
    }
}

/// Why it stands still, in one sentence without a full stop.
impl fmt::Display for Stranded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_alone {
            return f.write_str("no worker is up");
        }
        if self.lacks_configuration {
            let hash = short_hash(&self.config_hash);
            return write!(f, "no worker that is up has the configuration {hash}, under which the run was opened");
        }
        let labels = self.labels();
        let (first, more) =
            (labels.first().map_or_else(String::new, ToString::to_string), labels.len().saturating_sub(1));
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(f, "no worker that is up has {}, which {first}{more} needs", self.needs.join(", "))
    }
}

/// Lists the stranded runs, or looks whether one run is.
///
/// # Errors
/// A database fault.
pub async fn list(pool: &PgPool, only: Option<Uuid>) -> anyhow::Result<Vec<Stranded>> {
    let found = sqlx::query_as(include_str!("stranded.sql")).bind(only).fetch_all(pool).await;
    found.context("look for runs that no worker can work on")
}

/// Lets any worker take the tasks of a run that are ready and that no worker that is up has the credentials for. They fail,
/// and their error names what is missing. For a run that somebody waits for.
///
/// # Errors
/// A database fault.
pub async fn try_without_credentials(engine: &Engine, stranded: &Stranded) -> anyhow::Result<()> {
    let changed = sqlx::query(
        "update bursar.task_runs as t
            set needs = '{}'
           from unnest($2::text[], $3::text[]) as u (task, item)
          where t.run_id = $1 and t.task = u.task and t.item = u.item and t.state = 'ready'",
    )
    .bind(stranded.run)
    .bind(&stranded.tasks)
    .bind(&stranded.items)
    .execute(&engine.pool)
    .await
    .context("try tasks that no worker has the credentials for")?;
    if changed.rows_affected() > 0 {
        advance::advance_now(&engine.pool, stranded.run, engine.clock.now(), engine.limit).await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct LeftRow {
    run: Uuid,
    job: String,
    run_date: NaiveDate,
    config_hash: String,
    needs: Vec<String>,
}

/// What a worker was found to lack for open runs, so that each configuration and set of credentials is logged once.
#[derive(Debug, Default)]
pub struct LeftAlone {
    known: BTreeSet<String>,
}

impl LeftAlone {
    /// Looks of which open runs a worker leaves tasks alone, and logs a warning for each reason that is new.
    ///
    /// # Errors
    /// A database fault.
    pub async fn log(&mut self, engine: &Engine, by: &Claimant) -> anyhow::Result<()> {
        let rows: Vec<LeftRow> = sqlx::query_as(include_str!("stranded_left_alone.sql"))
            .bind(&by.configurations)
            .bind(&by.credentials)
            .fetch_all(&engine.pool)
            .await
            .context("look for runs that this worker leaves alone")?;
        for row in rows {
            let is_other = !by.configurations.contains(&row.config_hash);
            let reason = if is_other { row.config_hash.clone() } else { row.needs.join(", ") };
            if self.known.insert(reason) {
                let why = left_alone(engine, &row, is_other).await?;
                warn!(run.id = %row.run, "{why}");
            }
        }
        Ok(())
    }
}

async fn left_alone(engine: &Engine, row: &LeftRow, is_other: bool) -> anyhow::Result<String> {
    let LeftRow { run, job, run_date, config_hash, needs } = row;
    if !is_other {
        return Ok(format!(
            "run {run} of {job} for {run_date} needs {}, which this daemon was started without: the tasks that need it are \
             left to workers that have it",
            needs.join(", ")
        ));
    }
    let present = engine.configuration();
    let parts = configurations::differences(&engine.pool, config_hash, &present.fingerprint).await?;
    Ok(format!(
        "run {run} of {job} for {run_date} was opened under another configuration ({}, this daemon has {}{}): its tasks are \
         left to workers that have it; bursar reload has every daemon read its configuration again",
        short_hash(config_hash),
        short_hash(&present.hash),
        differing(&parts)
    ))
}

/// Names the parts in which two configurations differ, as the end of a clause; empty if they are not known.
#[must_use]
pub fn differing(parts: &[String]) -> String {
    if parts.is_empty() { String::new() } else { format!("; they differ in {}", parts.join(", ")) }
}

/// Returns an error for a command that waits for a stranded run which it did not open.
#[must_use]
pub fn waits_in_vain(stranded: &Stranded) -> anyhow::Error {
    fault::config(format!("run {} stands still: {stranded}. {}", stranded.run, stranded.next_step()))
}
