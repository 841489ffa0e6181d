//! The only door to `bursar.alerts`.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use std::fmt::{self, Display};

/// What is wrong. A closed list, kept as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A run ended without having done what it is for.
    RunFailed,
    /// No worker that is up can go on with an open run.
    RunStranded,
    /// Daemons schedule a job differently.
    ScheduleConflict,
    /// An occurrence of a job was not run.
    OccurrenceSkipped,
    /// The clock of a daemon's machine is wrong.
    ClockSkew,
    /// A file came after its time.
    FileLate,
    /// A file has not come in its time.
    FileMissing,
    /// A file is no longer what was loaded.
    FileChanged,
    /// A file holds the bytes of an earlier run date's.
    FileDuplicate,
    /// A file can't be loaded because of what it contains.
    FileRefused,
    /// A gate held a load.
    LoadHeld,
    /// A scheduled load was not published, because the table holds a newer run date.
    LoadMeasured,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::RunFailed,
        Self::RunStranded,
        Self::ScheduleConflict,
        Self::OccurrenceSkipped,
        Self::ClockSkew,
        Self::FileLate,
        Self::FileMissing,
        Self::FileChanged,
        Self::FileDuplicate,
        Self::FileRefused,
        Self::LoadHeld,
        Self::LoadMeasured,
    ];

    /// The word kept in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::RunStranded => "run_stranded",
            Self::ScheduleConflict => "schedule_conflict",
            Self::OccurrenceSkipped => "occurrence_skipped",
            Self::ClockSkew => "clock_skew",
            Self::FileLate => "file_late",
            Self::FileMissing => "file_missing",
            Self::FileChanged => "file_changed",
            Self::FileDuplicate => "file_duplicate",
            Self::FileRefused => "file_refused",
            Self::LoadHeld => "load_held",
            Self::LoadMeasured => "load_measured",
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an alert concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The job.
    pub job: Option<String>,
    /// The business day.
    pub run_date: Option<NaiveDate>,
    /// The dataset.
    pub dataset: Option<String>,
    /// The customer.
    pub customer: Option<String>,
    /// The machine.
    pub host: Option<String>,
}

impl Subject {
    /// A run of a job.
    #[must_use]
    pub fn run(job: &str, run_date: NaiveDate) -> Self {
        Self { job: Some(job.to_owned()), run_date: Some(run_date), ..Self::default() }
    }

    /// A machine.
    #[must_use]
    pub fn host(host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..Self::default() }
    }

    /// A job, whatever the run date.
    #[must_use]
    pub fn job(job: &str) -> Self {
        Self { job: Some(job.to_owned()), ..Self::default() }
    }

    /// A customer's file of a dataset for a run date, as a job loads it.
    #[must_use]
    pub fn file(job: &str, dataset: &str, customer: &str, run_date: NaiveDate) -> Self {
        Self { dataset: Some(dataset.to_owned()), customer: Some(customer.to_owned()), ..Self::run(job, run_date) }
    }

    /// The key of an alert of this kind about it: `run_failed nightly/2025-05-13`.
    #[must_use]
    pub fn key(&self, kind: Kind) -> String {
        let date = self.run_date.map(|date| date.to_string());
        let parts = [&self.host, &self.job, &self.dataset, &self.customer, &date];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        format!("{kind} {}", parts.join("/"))
    }
}

/// A condition that an operator is to know of. Those of the program are made by [`super::wording`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What is wrong.
    pub kind: Kind,
    /// What it concerns; with the kind it makes the alert's key.
    pub subject: Subject,
    /// What is wrong, in one line.
    pub title: String,
    /// What is known of it.
    pub text: String,
    /// What to do now: a command, as a rule.
    pub next_step: String,
}

impl Alert {
    /// What the condition is, in one text: no two open alerts have the same.
    #[must_use]
    pub fn key(&self) -> String {
        self.subject.key(self.kind)
    }
}

/// Raises an alert: true when it is newly open, and a notice is to be sent. While the same one is open this only
/// counts, and brings its title, text and next step up to date.
///
/// The key stays locked to the end of the transaction. One that raises or resolves several does so in the order
/// of their keys, and last.
///
/// # Errors
/// What the database says.
pub async fn raise(connection: &mut PgConnection, alert: &Alert) -> anyhow::Result<bool> {
    let Alert { kind, subject, title, text, next_step } = alert;
    sqlx::query_scalar(
        "with raised as (
             insert into bursar.alerts as a
                    (key, kind, job, run_date, dataset, customer, title, text, next_step)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 on conflict (key) where state = 'open' do update
                set raised_count = a.raised_count + 1,
                    last_raised_at = clock_timestamp(),
                    title = excluded.title,
                    text = excluded.text,
                    next_step = excluded.next_step
             returning id, raised_count = 1 as is_new
         ), enqueued as (
             insert into bursar.notices (alert_id, event)
             select id, 'raised' from raised where is_new
         )
         select is_new from raised",
    )
    .bind(alert.key())
    .bind(kind.as_str())
    .bind(&subject.job)
    .bind(subject.run_date)
    .bind(&subject.dataset)
    .bind(&subject.customer)
    .bind(storable(title))
    .bind(storable(text))
    .bind(storable(next_step))
    .fetch_one(connection)
    .await
    .with_context(|| format!("raise the alert {}", alert.key()))
}

/// Brings the words of the open alert of this key up to date without counting: false if there is none.
///
/// # Errors
/// Passes on errors of the database.
pub async fn reword(connection: &mut PgConnection, alert: &Alert) -> anyhow::Result<bool> {
    let reworded = sqlx::query(
        "update bursar.alerts
            set title = $2,
                text = $3,
                next_step = $4
          where key = $1 and state = 'open'",
    )
    .bind(alert.key())
    .bind(storable(&alert.title))
    .bind(storable(&alert.text))
    .bind(storable(&alert.next_step))
    .execute(connection)
    .await
    .with_context(|| format!("bring the alert {} up to date", alert.key()))?;
    Ok(reworded.rows_affected() > 0)
}

/// Resolves the open alert of this key: true when there was one, and a notice is to be sent. `resolution` says
/// what ended it. About locks, see [`raise`].
///
/// # Errors
/// What the database says.
pub async fn resolve(connection: &mut PgConnection, key: &str, resolution: &str) -> anyhow::Result<bool> {
    let resolved = sqlx::query(
        "with resolved as (
             update bursar.alerts
                set state = 'resolved',
                    resolved_at = clock_timestamp(),
                    resolution = $2
              where key = $1 and state = 'open'
             returning id
         )
         insert into bursar.notices (alert_id, event)
         select id, 'resolved' from resolved",
    )
    .bind(key)
    .bind(storable(resolution))
    .execute(connection)
    .await
    .with_context(|| format!("resolve the alert {key}"))?;
    Ok(resolved.rows_affected() > 0)
}

/// Resolves what is open of these kinds about a customer's file, whichever job it was raised for; without a run date,
/// about the customer's files of any date. Returns how many were.
///
/// # Errors
/// What the database says.
pub async fn resolve_of_file(
    connection: &mut PgConnection,
    (dataset, customer, run_date): (&str, &str, Option<NaiveDate>),
    kinds: &[Kind],
    resolution: &str,
) -> anyhow::Result<u64> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let resolved = sqlx::query(
        "with resolved as (
             update bursar.alerts
                set state = 'resolved',
                    resolved_at = clock_timestamp(),
                    resolution = $5
              where state = 'open'
                and kind = any ($4)
                and dataset = $1
                and customer = $2
                and ($3::date is null or run_date = $3)
             returning id
         )
         insert into bursar.notices (alert_id, event)
         select id, 'resolved' from resolved",
    )
    .bind(dataset)
    .bind(customer)
    .bind(run_date)
    .bind(kinds)
    .bind(storable(resolution))
    .execute(connection)
    .await
    .context("resolve the alerts of a file")?;
    Ok(resolved.rows_affected())
}

/// Lists the keys of the open alerts of these kinds.
///
/// # Errors
/// What the database says.
pub async fn list_open(connection: &mut PgConnection, kinds: &[Kind]) -> anyhow::Result<Vec<String>> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    sqlx::query_scalar("select key from bursar.alerts where state = 'open' and kind = any ($1) order by key")
        .bind(kinds)
        .fetch_all(connection)
        .await
        .context("list the open alerts")
}

/// PostgreSQL takes no NUL in a text, and a file's bytes can get into an error's words: a notice must not undo
/// the transaction it is told of.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// An alert as it is kept.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct Kept {
    /// Its number.
    pub id: i64,
    /// What the condition is, in one text.
    pub key: String,
    /// The word of its [`Kind`].
    pub kind: String,
    /// The job it concerns.
    pub job: Option<String>,
    /// The business day it concerns.
    pub run_date: Option<NaiveDate>,
    /// The dataset it concerns.
    pub dataset: Option<String>,
    /// The customer it concerns.
    pub customer: Option<String>,
    /// What is wrong, in one line.
    pub title: String,
    /// What is known of it.
    pub text: String,
    /// What to do now.
    pub next_step: String,
    /// `open` or `resolved`.
    pub state: String,
    /// When it was raised first.
    pub raised_at: DateTime<Utc>,
    /// When it was raised last.
    pub last_raised_at: DateTime<Utc>,
    /// How often it was raised while open.
    pub raised_count: i64,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// What ended it.
    pub resolution: Option<String>,
}

/// Which alerts to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those whose condition lasts.
    Open,
    /// Those that are over, too.
    All,
}

/// Alerts, newest first, at most `limit`.
///
/// # Errors
/// What the database says.
pub async fn list(connection: &mut PgConnection, which: Which, limit: u32) -> anyhow::Result<Vec<Kept>> {
    sqlx::query_as(
        "select id,
                key,
                kind,
                job,
                run_date,
                dataset,
                customer,
                title,
                text,
                next_step,
                state,
                raised_at,
                last_raised_at,
                raised_count,
                resolved_at,
                resolution
           from bursar.alerts
          where $1 or state = 'open'
          order by id desc
          limit $2",
    )
    .bind(which == Which::All)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .context("list the alerts")
}
