//! The only door to `bursar.deliveries`.
//!
//! Every change of state is conditional on the state it leaves, so that of many who see the same only one
//! changes it, and a late one can't overwrite what was decided.

use super::expect::Expectation;
use super::judge::signed;
use crate::rows::inbox::Delivered;
use crate::rows::known::Earlier;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use std::path::Path;
use uuid::Uuid;

/// What became of a delivery; [`super::judge`] tells how one follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is not there, and need not be yet.
    Expected,
    /// It was complete by its deadline.
    Arrived,
    /// It was not, and came in the late window, or was loaded after it.
    Late,
    /// Its deadline has passed.
    Missing,
    /// The customer's calendar is closed on the due day.
    NotExpected,
    /// It was loaded, and its bytes are those of an earlier run date.
    Duplicate,
    /// The file is no longer the one that was loaded or refused.
    Changed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Expected, Self::Arrived, Self::Late, Self::Missing, Self::NotExpected, Self::Duplicate, Self::Changed];

    /// The word kept in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Arrived => "arrived",
            Self::Late => "late",
            Self::Missing => "missing",
            Self::NotExpected => "not_expected",
            Self::Duplicate => "duplicate",
            Self::Changed => "changed",
        }
    }
}

impl TryFrom<String> for State {
    type Error = anyhow::Error;

    fn try_from(word: String) -> anyhow::Result<Self> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == word);
        known.with_context(|| format!("{word:?} is no state of a delivery"))
    }
}

/// A row of `bursar.deliveries`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct Delivery {
    /// The kind of file.
    pub dataset: String,
    /// Who delivers it.
    pub customer: String,
    /// The business day it is for.
    pub run_date: NaiveDate,
    /// The job that loads it.
    pub job: String,
    /// What became of it.
    #[sqlx(try_from = "String")]
    pub state: State,
    /// Until when it is to be there.
    pub deadline: DateTime<Utc>,
    /// Until when a late one is still loaded.
    pub window_end: DateTime<Utc>,
    /// Until when it is watched for changes once it was loaded.
    pub changes_until: DateTime<Utc>,
    /// Its path within the inbox, once it is there.
    pub file_path: Option<String>,
    /// Its size in bytes as it was loaded or refused, or (before that, and after a change) as it was seen.
    pub file_bytes: Option<i64>,
    /// When its bytes were last changed, by its own account; as `file_bytes`.
    pub file_modified_at: Option<DateTime<Utc>>,
    /// The SHA-256 of the bytes that were loaded or refused last, in hexadecimal.
    pub file_sha256: Option<String>,
    /// Since when it was there and complete; never later than it was seen.
    pub arrived_at: Option<DateTime<Utc>>,
    /// The load that took it in last.
    pub load_id: Option<i64>,
    /// The run of that load.
    pub run_id: Option<Uuid>,
    /// The refusal of its present file; `None` once a file was loaded.
    pub refused_id: Option<i64>,
    /// Why the state is what it is, for people.
    pub note: Option<String>,
    /// When the state last changed.
    pub updated_at: DateTime<Utc>,
}

/// A change of state that a look asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The delivery as it was when it was looked at.
    pub from: Delivery,
    /// What is to become of it.
    pub state: State,
    /// Its file, and since when it was there.
    pub file: Option<(Delivered, DateTime<Utc>)>,
    /// Why.
    pub note: Option<String>,
}

impl Move {
    pub(super) fn to(
        from: &Delivery,
        state: State,
        file: Option<(Delivered, DateTime<Utc>)>,
        note: Option<String>,
    ) -> Self {
        Self { from: from.clone(), state, file, note }
    }
}

/// Makes the rows of what is expected; those that are there already stay as they are. What was loaded before anybody
/// looked for it (by `run-job`, while no daemon was up) has arrived.
///
/// # Errors
/// What the server says.
pub async fn expect(pool: &PgPool, expected: &[Expectation], now: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query(include_str!("expect.sql"))
        .bind(column(expected, |e| e.dataset.as_str()))
        .bind(column(expected, |e| e.customer.as_str()))
        .bind(column(expected, |e| e.run_date))
        .bind(column(expected, |e| e.job.as_str()))
        .bind(column(expected, |e| e.state.as_str()))
        .bind(column(expected, |e| e.deadline))
        .bind(column(expected, |e| e.window_end))
        .bind(column(expected, |e| e.changes_until))
        .bind(column(expected, |e| e.note.as_deref()))
        .bind(now)
        .execute(pool)
        .await
        .context("record what is expected")?;
    Ok(())
}

fn column<'a, T, V>(rows: &'a [T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// Notes that somebody looks for the files of these jobs. Another daemon that does so at this moment does it for both.
///
/// # Errors
/// What the server says.
pub async fn note_look(pool: &PgPool, jobs: &[&str], now: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query(
        "with picked as (
             select job
               from bursar.schedules
              where job = any ($1) and (looked_at is null or looked_at < $2)
              order by job
                for update skip locked)
         update bursar.schedules as s
            set looked_at = $2
           from picked as p
          where s.job = p.job",
    )
    .bind(jobs)
    .bind(now)
    .execute(pool)
    .await
    .context("note that somebody looks for files")?;
    Ok(())
}

/// The deliveries that a look at `now` can change.
///
/// # Errors
/// What the server says.
pub async fn watched(pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<Vec<Delivery>> {
    sqlx::query_as(
        "select * from bursar.deliveries where state = 'expected'
         union all
         select * from bursar.deliveries
          where state not in ('expected', 'not_expected') and greatest(window_end, changes_until) > $1
          order by dataset, customer, run_date",
    )
    .bind(now)
    .fetch_all(pool)
    .await
    .context("list the deliveries to look for")
}

/// Of files that were found: for each the load of an earlier run date that took in the very same one (name, size
/// and time), where there is one.
///
/// # Errors
/// What the server says.
pub async fn loaded_before(
    pool: &PgPool,
    found: &[(&Delivery, &Delivered)],
) -> anyhow::Result<Vec<Option<(i64, NaiveDate)>>> {
    let rows: Vec<(i64, i64, NaiveDate)> = sqlx::query_as(
        "select distinct on (f.place) f.place, l.id, l.run_date
           from unnest($1::text[], $2::text[], $3::date[], $4::text[], $5::bigint[], $6::timestamptz[])
                with ordinality as f (dataset, customer, run_date, name, bytes, modified_at, place)
           join bursar.loads as l
             on l.dataset = f.dataset
            and l.customer = f.customer
            and l.file_name = f.name
            and l.file_modified_at = f.modified_at
            and l.file_bytes = f.bytes
            and l.run_date < f.run_date
          order by f.place, l.id desc",
    )
    .bind(column(found, |(d, _)| d.dataset.as_str()))
    .bind(column(found, |(d, _)| d.customer.as_str()))
    .bind(column(found, |(d, _)| d.run_date))
    .bind(column(found, |(_, f)| f.path.file_name().unwrap_or_default().to_string_lossy()))
    .bind(column(found, |(_, f)| signed(f.bytes)))
    .bind(column(found, |(_, f)| f.modified_at))
    .fetch_all(pool)
    .await
    .context("look whether files were loaded for an earlier day")?;
    let mut earlier = vec![None; found.len()];
    for (place, load, date) in rows {
        if let Some(slot) = usize::try_from(place - 1).ok().and_then(|place| earlier.get_mut(place)) {
            *slot = Some((load, date));
        }
    }
    Ok(earlier)
}

/// Changes states; gives the deliveries that were still as they had been seen and are now changed. One that
/// somebody else is changing at this moment is left to him.
///
/// # Errors
/// What the server says.
pub async fn enter(connection: &mut PgConnection, moves: &[Move], now: DateTime<Utc>) -> anyhow::Result<Vec<Delivery>> {
    let changed: Vec<Delivery> = sqlx::query_as(include_str!("move.sql"))
        .bind(column(moves, |m| m.from.dataset.as_str()))
        .bind(column(moves, |m| m.from.customer.as_str()))
        .bind(column(moves, |m| m.from.run_date))
        .bind(column(moves, |m| m.from.state.as_str()))
        .bind(column(moves, |m| m.from.file_bytes))
        .bind(column(moves, |m| m.from.file_modified_at))
        .bind(column(moves, |m| m.state.as_str()))
        .bind(column(moves, |m| m.file.as_ref().map(|(file, _)| file.path.to_string_lossy())))
        .bind(column(moves, |m| m.file.as_ref().map(|(file, _)| signed(file.bytes))))
        .bind(column(moves, |m| m.file.as_ref().map(|(file, _)| file.modified_at)))
        .bind(column(moves, |m| m.file.as_ref().map(|(_, at)| *at)))
        .bind(column(moves, |m| m.note.as_deref()))
        .bind(now)
        .fetch_all(connection)
        .await
        .context("record what became of deliveries")?;
    Ok(changed)
}

/// A load that took in a delivery.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The kind of file.
    pub dataset: &'a str,
    /// Who delivered it.
    pub customer: &'a str,
    /// The day it was loaded for.
    pub run_date: NaiveDate,
    /// The run it belongs to.
    pub run_id: Uuid,
    /// Its id in the ledger.
    pub load_id: i64,
    /// The file's path within the inbox.
    pub path: &'a Path,
    /// The file's size in bytes.
    pub bytes: u64,
    /// When its bytes were last changed, by its own account.
    pub modified_at: DateTime<Utc>,
    /// Its SHA-256 in hexadecimal.
    pub sha256: &'a str,
    /// The last load of an earlier run date that met the same bytes.
    pub earlier: Option<Earlier>,
}

/// Records what was loaded, in the load's own transaction: the delivery has arrived (late, after its deadline), or
/// is a duplicate. Gives it; none where nothing was to be delivered on that day.
///
/// # Errors
/// What the server says.
pub async fn loaded(
    connection: &mut PgConnection,
    load: &Load<'_>,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<Delivery>> {
    let note = load.earlier.map(|Earlier { id, run_date }| format!("the same bytes as load {id} of {run_date}"));
    sqlx::query_as(
        "update bursar.deliveries
            set state = case when $10 is not null then 'duplicate'
                             when state in ('late', 'missing') then 'late'
                             when state = 'expected' and $11 > deadline then 'late'
                             else 'arrived' end,
                file_path = $4,
                file_bytes = $5,
                file_modified_at = $6,
                file_sha256 = $7,
                load_id = $8,
                refused_id = null,
                run_id = coalesce((select l.run_id from bursar.loads as l where l.id = $8), $9),
                note = $10,
                arrived_at = coalesce(arrived_at, $11),
                updated_at = $11
          where dataset = $1 and customer = $2 and run_date = $3
         returning *",
    )
    .bind(load.dataset)
    .bind(load.customer)
    .bind(load.run_date)
    .bind(load.path.to_string_lossy())
    .bind(signed(load.bytes))
    .bind(load.modified_at)
    .bind(load.sha256)
    .bind(load.load_id)
    .bind(load.run_id)
    .bind(note)
    .bind(now)
    .fetch_optional(connection)
    .await
    .context("record the delivery that was loaded")
}

/// A delivery, if one is known for that day.
///
/// # Errors
/// What the server says.
pub async fn find(
    pool: &PgPool,
    dataset: &str,
    customer: &str,
    run_date: NaiveDate,
) -> anyhow::Result<Option<Delivery>> {
    sqlx::query_as("select * from bursar.deliveries where dataset = $1 and customer = $2 and run_date = $3")
        .bind(dataset)
        .bind(customer)
        .bind(run_date)
        .fetch_optional(pool)
        .await
        .context("look how the delivery stands")
}

/// The customers of whom none of these datasets is expected for a run date, by the calendar.
///
/// # Errors
/// What the server says.
pub async fn not_expected(
    pool: &PgPool,
    datasets: &[String],
    run_date: NaiveDate,
) -> anyhow::Result<Vec<(String, String)>> {
    sqlx::query_as(
        "select dataset, customer
           from bursar.deliveries
          where dataset = any ($1) and run_date = $2 and state = 'not_expected'",
    )
    .bind(datasets)
    .bind(run_date)
    .fetch_all(pool)
    .await
    .context("look who is not to deliver")
}
