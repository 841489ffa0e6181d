//! Acts on what became of deliveries: wakes what waits for a file, has a late one loaded, raises alerts.

use super::store::{self, Delivery, State};
use super::watch::{self, Event, Lookout};
use crate::catalog::Catalog;
use crate::clock::timestamp;
use crate::engine::again::Asked;
use crate::engine::execute::Engine;
use crate::engine::task::Label;
use crate::engine::{advance, again, tasks};
use crate::notify::alert::{self, Alert, Kind};
use crate::notify::wording::{self, File};
use crate::rows::archive;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};
use tracing::{info, warn};
use uuid::Uuid;

/// What stands before the key of every task that waits for a file.
const WAITING: &str = "file ";

/// The key of a task that waits for a file.
#[must_use]
pub fn wake_key(dataset: &str, customer: &str, run_date: NaiveDate) -> String {
    format!("{WAITING}{dataset}/{customer}/{run_date}")
}

/// Looks once and does what follows from it (also moves files that were loaded and are to be archived): alerts are
/// raised and resolved and waiting tasks are woken in the transaction that enters what was seen; then loads are repeated
/// that failed because their file was missing or refused, and whose file is there since. Returns the reasons why some
/// files could not be looked for, or could not be loaded yet.
///
/// Whoever locks several rows locks them in this order: a task of its own that is under way, deliveries, runs, tasks that
/// wait or have ended, alerts by their keys, the turn to offer, tasks that are offered or cancelled.
///
/// # Errors
/// What the server says; what was not done then is found by the next look.
pub async fn look_and_act(
    engine: &Engine,
    catalog: &Catalog,
    lookout: &mut Lookout,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<anyhow::Error>> {
    let mut seen = lookout.look(&engine.pool, now).await?;
    let mut transaction = engine.pool.begin().await.context("act on deliveries")?;
    let events = seen.enter(&mut transaction, now).await?;
    let woken = wake_decided(&mut transaction, now).await?;
    let mut changes: Vec<Change> = events.iter().flat_map(|event| changes(catalog, event)).collect();
    changes.sort_by_key(Change::key);
    for change in &changes {
        change.make(&mut transaction).await?;
    }
    transaction.commit().await.context("act on deliveries")?;
    events.iter().for_each(log);
    if woken > 0 {
        offer(engine, now).await?;
    }
    for load in list_repeatable(&engine.pool, now).await? {
        if let Err(error) = load.repeat(engine, now).await {
            let Repeatable { dataset, customer, run_date, .. } = &load;
            let what = format!("the new file of {dataset} of {customer} for {run_date} is not loaded yet");
            seen.problems.push(error.context(what));
        }
    }
    seen.problems.extend(archive::catch_up(&engine.pool, lookout.inbox(), None).await?);
    Ok(seen.problems)
}

/// In a transaction of its own: nothing else may be held while the turn to offer is waited for.
async fn offer(engine: &Engine, now: DateTime<Utc>) -> anyhow::Result<()> {
    let mut transaction = engine.pool.begin().await.context("offer what waits no more")?;
    advance::offer(&mut transaction, now, engine.limit).await?;
    transaction.commit().await.context("offer what waits no more")
}

/// Wakes the tasks whose delivery is not awaited any more. Asked of all that wait, not only of those that an event is
/// about: a task may have begun to wait just when its file came.
async fn wake_decided(connection: &mut PgConnection, now: DateTime<Utc>) -> anyhow::Result<u64> {
    let keys = tasks::list_deferred(connection, WAITING).await?;
    if keys.is_empty() {
        return Ok(0);
    }
    let decided: Vec<String> = sqlx::query_scalar(
        "select k.key
           from unnest($1::text[]) as k (key)
          cross join lateral string_to_array(substr(k.key, length($2) + 1), '/') as p
           join bursar.deliveries as d
             on d.dataset = p[1] and d.customer = p[2] and d.run_date = p[3]::date
          where d.state <> 'expected'",
    )
    .bind(keys)
    .bind(WAITING)
    .fetch_all(&mut *connection)
    .await
    .context("look which files are awaited no more")?;
    tasks::wake(connection, &decided, now).await
}

/// A scheduled load that failed because its file was missing or refused, and whose file is there since.
#[derive(sqlx::FromRow)]
struct Repeatable {
    dataset: String,
    customer: String,
    run_date: NaiveDate,
    run: Uuid,
    task: String,
    /// Empty for a task without `for_each`.
    item: String,
    /// `missing` or `refused`.
    reason: String,
}

/// Asked of every such load, not only of those that an event is about: the run may not have been free just then.
async fn list_repeatable(pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<Vec<Repeatable>> {
    sqlx::query_as(
        "select distinct on (d.dataset, d.customer, d.run_date)
                d.dataset,
                d.customer,
                d.run_date,
                r.id as run,
                t.task,
                t.item,
                t.outcome ->> 'state' as reason
           from bursar.deliveries as d
           join bursar.runs as r on r.job = d.job and r.run_date = d.run_date
           join bursar.task_runs as t on t.run_id = r.id and t.item in (d.customer, '')
          where d.state not in ('expected', 'not_expected') and greatest(d.window_end, d.changes_until) > $1
            and d.state in ('late', 'changed')
            and r.trigger = 'schedule' and r.state in ('running', 'failed')
            and t.state = 'failed' and t.outcome ->> 'dataset' = d.dataset
            and (d.state = 'late' and d.load_id is null and t.outcome ->> 'state' = 'missing'
                 or d.state = 'changed' and t.outcome ->> 'state' = 'refused'
                    and t.outcome -> 'load_id' = to_jsonb(d.refused_id))
          order by d.dataset, d.customer, d.run_date, r.opened_at desc",
    )
    .bind(now)
    .fetch_all(pool)
    .await
    .context("look for loads whose file is there since they failed")
}

impl Repeatable {
    /// Has the load and what is downstream of it run again, unless another daemon does. The load is not repeated once
    /// more after that unless its file is refused again and another one is delivered.
    async fn repeat(&self, engine: &Engine, now: DateTime<Utc>) -> anyhow::Result<()> {
        let mut transaction = engine.pool.begin().await.context("repeat the load")?;
        if !self.is_still_to_do(&mut transaction).await? {
            return Ok(());
        }
        let label = Label { task: self.task.clone(), item: Some(self.item.clone()).filter(|item| !item.is_empty()) };
        let labels = again::repeat(&mut transaction, engine, self.run, Some(&label), Asked::ByDaemon, now).await?;
        transaction.commit().await.context("repeat the load")?;
        let names: Vec<String> = labels.iter().map(ToString::to_string).collect();
        let (run, names) = (self.run, names.join(", "));
        let why = if self.reason == "missing" { "was delivered late" } else { "was delivered anew after a refusal" };
        info!(run.id = %run, "{} of {} {why}: {names} of run {run} run again", self.dataset, self.customer);
        Ok(())
    }

    /// The run first: whoever changes a task that has ended holds its run.
    async fn is_still_to_do(&self, connection: &mut PgConnection) -> anyhow::Result<bool> {
        sqlx::query("select from bursar.runs where id = $1 for no key update")
            .bind(self.run)
            .execute(&mut *connection)
            .await
            .context("lock the run")?;
        sqlx::query_scalar(
            "select exists (
                    select from bursar.task_runs
                     where run_id = $1 and task = $2 and item = $3 and state = 'failed'
                       and outcome ->> 'state' = $4)",
        )
        .bind(self.run)
        .bind(&self.task)
        .bind(&self.item)
        .bind(&self.reason)
        .fetch_one(connection)
        .await
        .context("look whether the load is still to be repeated")
    }
}

fn log(event: &Event) {
    match event {
        Event::Arrived(d) => {
            info!(dataset = %d.dataset, customer = %d.customer, "{} of {} for {} has arrived", d.dataset, d.customer, d.run_date);
        }
        Event::Late(d) => {
            warn!(dataset = %d.dataset, customer = %d.customer, "{} of {} for {} came late", d.dataset, d.customer, d.run_date);
        }
        Event::Missing(d) => {
            let note = d.note.as_deref().unwrap_or_default();
            warn!(dataset = %d.dataset, customer = %d.customer, "{} of {} for {} is missing: {note}", d.dataset, d.customer, d.run_date);
        }
        Event::Changed(d) => {
            let note = d.note.as_deref().unwrap_or_default();
            warn!(dataset = %d.dataset, customer = %d.customer, "{} of {} for {} has changed: {note}", d.dataset, d.customer, d.run_date);
        }
    }
}

/// What becomes of an alert.
enum Change {
    Raise(Alert),
    /// By its key, and why.
    Resolve(String, String),
}

impl Change {
    fn key(&self) -> String {
        match self {
            Self::Raise(alert) => alert.key(),
            Self::Resolve(key, _) => key.clone(),
        }
    }

    async fn make(&self, connection: &mut PgConnection) -> anyhow::Result<bool> {
        match self {
            Self::Raise(alert) => alert::raise(connection, alert).await,
            Self::Resolve(key, why) => alert::resolve(connection, key, why).await,
        }
    }
}

fn changes(catalog: &Catalog, event: &Event) -> Vec<Change> {
    let (Event::Arrived(d) | Event::Missing(d) | Event::Late(d) | Event::Changed(d)) = event;
    let zone = catalog.jobs.get(&d.job).map_or(chrono_tz::UTC, |job| job.timezone);
    let file = file_of(d);
    let path = d.file_path.as_deref().unwrap_or("its file");
    match event {
        Event::Arrived(_) => Vec::new(),
        Event::Missing(_) => {
            let note = d.note.as_deref().unwrap_or("it is not there");
            let (deadline, until) = (d.deadline.with_timezone(&zone), d.window_end.with_timezone(&zone));
            vec![Change::Raise(wording::file_missing(&file, note, deadline, until))]
        }
        Event::Late(_) => {
            let at = d.arrived_at.unwrap_or(d.updated_at).with_timezone(&zone);
            let came = format!("it was delivered at {}, as {path}", timestamp(&at));
            vec![
                Change::Raise(wording::file_late(&file, path, d.deadline.with_timezone(&zone), at)),
                Change::Resolve(file.subject().key(Kind::FileMissing), came),
            ]
        }
        // The alert of the refusal is still open, and nothing was loaded that the change could be a correction of.
        Event::Changed(_) if d.refused_id.is_some() => Vec::new(),
        Event::Changed(_) => vec![Change::Raise(wording::file_changed(&file, path, d.load_id.unwrap_or_default()))],
    }
}

fn file_of(d: &Delivery) -> File<'_> {
    File { job: &d.job, dataset: &d.dataset, customer: &d.customer, run_date: d.run_date }
}

/// Records, in a load's own transaction, what it means for its delivery, and raises and resolves what follows; the
/// last but its row in the ledger.
///
/// # Errors
/// What the server says.
pub async fn loaded(
    connection: &mut PgConnection,
    job: &str,
    load: &store::Load<'_>,
    ended: LoadEnd<'_>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let delivery = store::loaded(connection, load, now).await?;
    let file = File { job, dataset: load.dataset, customer: load.customer, run_date: load.run_date };
    let is_duplicate = delivery.is_some_and(|d| d.state == State::Duplicate);
    let over =
        [Kind::FileChanged, Kind::FileDuplicate, Kind::FileLate, Kind::FileMissing, Kind::FileRefused, Kind::LoadHeld];
    let stays = |kind: &Kind| match kind {
        Kind::FileDuplicate => is_duplicate,
        Kind::LoadHeld => matches!(ended, LoadEnd::Held(_)),
        _ => false,
    };
    let over: Vec<Kind> = over.into_iter().filter(|kind| !stays(kind)).collect();
    let resolution = format!("load {} took in the file", load.load_id);
    alert::resolve_of_file(connection, (load.dataset, load.customer, Some(load.run_date)), &over, &resolution).await?;
    if is_duplicate {
        let earlier = load.earlier.map_or(load.run_date, |earlier| earlier.run_date);
        let path = load.path.to_string_lossy();
        alert::raise(connection, &wording::file_duplicate(&file, &path, earlier)).await?;
    }
    match ended {
        LoadEnd::Held(reasons) => {
            alert::raise(connection, &wording::load_held(&file, load.load_id, reasons)).await?;
        }
        LoadEnd::MeasuredBySchedule(reasons) => {
            alert::raise(connection, &wording::load_measured(&file, load.load_id, reasons)).await?;
        }
        LoadEnd::Published => published(connection, (load.dataset, load.customer), load.load_id).await?,
        LoadEnd::Other => {}
    }
    Ok(())
}

/// Resolves, in the transaction that publishes a load, the alert that loads of the customer are not published.
///
/// # Errors
/// Passes on errors of the database.
pub async fn published(
    connection: &mut PgConnection,
    (dataset, customer): (&str, &str),
    load: i64,
) -> anyhow::Result<()> {
    let resolution = format!("load {load} was published");
    alert::resolve_of_file(connection, (dataset, customer, None), &[Kind::LoadMeasured], &resolution).await?;
    Ok(())
}

/// How a load ended, as far as alerts depend on it; with the load's reasons.
#[derive(Clone, Copy, Debug)]
pub enum LoadEnd<'a> {
    /// Its rows are in the table.
    Published,
    /// A gate held it.
    Held(&'a [String]),
    /// A scheduled load that was not published, because the table holds a newer run date.
    MeasuredBySchedule(&'a [String]),
    /// Nothing was loaded, or an operator's load was not published.
    Other,
}

/// What a scheduled load is to do about its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Load it.
    Load,
    /// Wait for it, at most until then.
    Wait(DateTime<Utc>),
    /// It has not come in time.
    Missing(String),
    /// It is not to come that day.
    NotExpected(String),
}

/// How the delivery of a file stands, for a scheduled load of it. A file that nobody waits for is loaded as it lies
/// there.
///
/// # Errors
/// What the server says.
pub async fn standing(
    pool: &PgPool,
    catalog: &Catalog,
    file: &File<'_>,
    now: DateTime<Utc>,
) -> anyhow::Result<Standing> {
    let File { job, dataset, customer, run_date } = *file;
    let mut delivery = store::find(pool, dataset, customer, run_date).await?;
    if delivery.is_none() {
        watch::make_rows_of(pool, catalog, job, run_date, now).await?;
        delivery = store::find(pool, dataset, customer, run_date).await?;
    }
    let Some(delivery) = delivery else { return Ok(Standing::Load) };
    let note = delivery.note.unwrap_or_default();
    Ok(match delivery.state {
        State::Expected => Standing::Wait(delivery.deadline),
        State::Missing => Standing::Missing(note),
        State::NotExpected => Standing::NotExpected(note),
        State::Arrived | State::Late | State::Duplicate | State::Changed => Standing::Load,
    })
}
