//! Acts on what became of deliveries: wakes what waits for a file, has a late one loaded, raises alerts.

use super::store::{self, Delivery, State};
use super::watch::{Event, Lookout};
use crate::catalog::Catalog;
use crate::engine::execute::Engine;
use crate::engine::task::Label;
use crate::engine::{advance, again, tasks};
use crate::notify::alert::{self, Alert, Kind};
use crate::notify::wording::{self, File};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use tracing::{info, warn};
use uuid::Uuid;

/// What stands before the key of every task that waits for a file.
const WAITING: &str = "file ";

/// The key of a task that waits for a file.
#[must_use]
pub fn wake_key(dataset: &str, customer: &str, run_date: NaiveDate) -> String {
    format!("{WAITING}{dataset}/{customer}/{run_date}")
}

/// Looks once and does what follows from it, in one transaction; gives the reasons why some files could not be looked
/// for.
///
/// # Errors
/// What the server says; nothing was changed then, and the next look finds the same.
pub async fn look_and_act(
    engine: &Engine,
    catalog: &Catalog,
    lookout: &mut Lookout,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<anyhow::Error>> {
    let seen = lookout.look(&engine.pool, now).await?;
    let mut transaction = engine.pool.begin().await.context("act on deliveries")?;
    let events = seen.enter(&mut transaction, now).await?;
    let woken = wake_decided(&mut transaction, now).await?;
    let mut alerts = Vec::new();
    for event in &events {
        log(event);
        if let Event::Late(delivery) = event {
            load_late(&mut transaction, engine, delivery, now).await?;
        }
        alerts.extend(alert_of(catalog, event));
    }
    if woken > 0 {
        advance::offer(&mut transaction, now, engine.limit).await?;
    }
    alerts.sort_by_key(Alert::key);
    for alert in &alerts {
        alert::raise(&mut transaction, alert).await?;
    }
    transaction.commit().await.context("act on deliveries")?;
    Ok(seen.problems)
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
           join bursar.deliveries as d
             on k.key = $2 || d.dataset || '/' || d.customer || '/' || d.run_date::text
          where d.state <> 'expected'",
    )
    .bind(keys)
    .bind(WAITING)
    .fetch_all(&mut *connection)
    .await
    .context("look which files are awaited no more")?;
    tasks::wake(connection, &decided, now).await
}

/// A file that came after its task had failed: the task and what is downstream of it run again.
async fn load_late(
    connection: &mut PgConnection,
    engine: &Engine,
    delivery: &Delivery,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let failed: Option<(Uuid, String)> = sqlx::query_as(
        "select r.id, t.task
           from bursar.runs as r
           join bursar.task_runs as t on t.run_id = r.id
          cross join lateral jsonb_array_elements(r.plan) as p
          where r.job = $1 and r.run_date = $2 and t.item = $3 and t.state in ('failed', 'skipped', 'cancelled')
            and p ->> 'name' = t.task and p ->> 'kind' = 'load' and p ->> 'subject' = $4
          order by r.opened_at desc
          limit 1",
    )
    .bind(&delivery.job)
    .bind(delivery.run_date)
    .bind(&delivery.customer)
    .bind(&delivery.dataset)
    .fetch_optional(&mut *connection)
    .await
    .context("look for the load that missed its file")?;
    let Some((run, task)) = failed else { return Ok(()) };
    let label = Label { task, item: Some(delivery.customer.clone()) };
    match again::repeat(connection, run, Some(&label), now, engine.limit).await {
        Ok(labels) => {
            let names: Vec<String> = labels.iter().map(ToString::to_string).collect();
            info!(run.id = %run, "{} came late: {} of run {run} run again", delivery.file_path.as_deref().unwrap_or(""), names.join(", "));
            Ok(())
        }
        Err(error) if error.is::<sqlx::Error>() => Err(error),
        Err(error) => {
            warn!(run.id = %run, "the late file of {} can't be loaded by run {run}: {error:#}", delivery.customer);
            Ok(())
        }
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

fn alert_of(catalog: &Catalog, event: &Event) -> Option<Alert> {
    let (Event::Arrived(d) | Event::Missing(d) | Event::Late(d) | Event::Changed(d)) = event;
    let zone = catalog.jobs.get(&d.job).map_or(chrono_tz::UTC, |job| job.timezone);
    let file = file_of(d);
    let path = d.file_path.as_deref().unwrap_or("its file");
    match event {
        Event::Arrived(_) => None,
        Event::Missing(_) => {
            let note = d.note.as_deref().unwrap_or("it is not there");
            let (deadline, until) = (d.deadline.with_timezone(&zone), d.window_end.with_timezone(&zone));
            Some(wording::file_missing(&file, note, deadline, until))
        }
        Event::Late(_) => {
            let at = d.arrived_at.unwrap_or(d.updated_at).with_timezone(&zone);
            Some(wording::file_late(&file, path, d.deadline.with_timezone(&zone), at))
        }
        Event::Changed(_) => Some(wording::file_changed(&file, path, d.load_id.unwrap_or_default())),
    }
}

fn file_of(d: &Delivery) -> File<'_> {
    File { job: &d.job, dataset: &d.dataset, customer: &d.customer, run_date: d.run_date }
}

/// Records, in a load's own transaction, what it means for its delivery, and raises and resolves what follows; the
/// last thing but the commit. `held` are the gate's reasons.
///
/// # Errors
/// What the server says.
pub async fn loaded(
    connection: &mut PgConnection,
    job: &str,
    load: &store::Load<'_>,
    held: Option<&[String]>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let delivery = store::loaded(connection, load, now).await?;
    let file = File { job, dataset: load.dataset, customer: load.customer, run_date: load.run_date };
    let is_duplicate = delivery.is_some_and(|d| d.state == State::Duplicate);
    let over = [Kind::FileChanged, Kind::FileDuplicate, Kind::FileLate, Kind::FileMissing, Kind::LoadHeld];
    let stays = |kind: &Kind| match kind {
        Kind::FileDuplicate => is_duplicate,
        Kind::LoadHeld => held.is_some(),
        _ => false,
    };
    let keys: Vec<String> = over.iter().filter(|k| !stays(k)).map(|k| file.subject().key(*k)).collect();
    alert::resolve_all(connection, &keys, &format!("load {} took in the file", load.load_id)).await?;
    if is_duplicate {
        let earlier = store::same_bytes_date(connection, load).await?.unwrap_or(load.run_date);
        let path = load.path.to_string_lossy();
        alert::raise(connection, &wording::file_duplicate(&file, &path, earlier)).await?;
    }
    if let Some(reasons) = held {
        alert::raise(connection, &wording::load_held(&file, load.load_id, reasons)).await?;
    }
    Ok(())
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
    connection: &mut PgConnection,
    dataset: &str,
    customer: &str,
    run_date: NaiveDate,
) -> anyhow::Result<Standing> {
    let Some(delivery) = store::find(connection, dataset, customer, run_date).await? else { return Ok(Standing::Load) };
    let note = delivery.note.unwrap_or_default();
    Ok(match delivery.state {
        State::Expected => Standing::Wait(delivery.deadline),
        State::Missing => Standing::Missing(note),
        State::NotExpected => Standing::NotExpected(note),
        State::Arrived | State::Late | State::Duplicate | State::Changed => Standing::Load,
    })
}
