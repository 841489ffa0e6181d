//! Looks whether what is expected has come. Called every few seconds by each daemon; any number may look at once.

use super::expect::{Expectation, due_days, expectations};
use super::judge::{Sight, judge};
use super::store::{self, Delivery, Move, State};
use crate::catalog::{Catalog, Deliverer};
use crate::engine::job::Job;
use crate::engine::schedule::Schedule;
use crate::escape;
use crate::rows::inbox::{Delivered, Inbox};
use crate::rows::source::Places;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far back a deadline is still found that passed while no daemon was up.
const LOOK_BACK: TimeDelta = TimeDelta::days(7);

/// How often it is noted that somebody looks.
const NOTE_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Looks for files, and remembers for which days it has made what is expected.
#[derive(Debug)]
pub struct Lookout {
    catalog: Arc<Catalog>,
    places: Places,
    made: BTreeSet<(String, NaiveDate)>,
    noted_at: Option<DateTime<Utc>>,
}

/// What came of a look.
#[derive(Debug, Default)]
pub struct Seen {
    /// What is to change.
    pub moves: Vec<Move>,
    /// Why some files could not be looked for; of those nothing is concluded.
    pub problems: Vec<anyhow::Error>,
}

/// What has become of a delivery, told to one daemon only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its file is there, in time.
    Arrived(Delivery),
    /// Its deadline has passed; the note says what was found instead.
    Missing(Delivery),
    /// Its file came after the deadline and is to be loaded all the same.
    Late(Delivery),
    /// Its file is no longer the one that was loaded or refused.
    Changed(Delivery),
}

impl Lookout {
    /// Looks for what the catalog declares, in the inbox and elsewhere.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, places: impl Into<Places>) -> Self {
        Self { catalog, places: places.into(), made: BTreeSet::new(), noted_at: None }
    }

    /// Where files are delivered.
    #[must_use]
    pub fn inbox(&self) -> &std::path::Path {
        self.places.inbox()
    }

    /// Makes the rows of what is expected today, and of what was expected in the last seven days of the job's
    /// being watched, but not of what was due when others looked who did not know of it (a customer is new, say);
    /// then looks for the files. Changes no state: see [`Seen::enter`].
    ///
    /// # Errors
    /// What the server says. A folder that can't be read is no error but one of the [`Seen::problems`].
    pub async fn look(&mut self, pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<Seen> {
        self.make_rows(pool, now).await?;
        self.note(pool, now).await?;
        let watched = store::watched(pool, now).await?;
        if watched.is_empty() {
            return Ok(Seen::default());
        }
        let (catalog, places) = (Arc::clone(&self.catalog), self.places.clone());
        let scan = move || scan(&catalog, &places, watched, now);
        let (mut sights, problems) =
            tokio::task::spawn_blocking(scan).await.context("the look at the inbox broke off")?;
        pass_over_earlier(pool, &mut sights).await?;
        let moves = sights.into_iter().filter_map(|(delivery, sight)| judge(&delivery, sight, now)).collect();
        Ok(Seen { moves, problems })
    }

    async fn make_rows(&mut self, pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<()> {
        let scheduled = self.catalog.jobs.values().filter_map(|job| Some((job, job.due_schedule()?)));
        let asked: Vec<(&Arc<Job>, &Schedule)> =
            scheduled.filter(|(job, _)| !self.made.contains(&(job.name.clone(), today(job, now)))).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let since = watches(pool).await?;
        let (mut expected, mut made) = (Vec::<Expectation>::new(), BTreeSet::new());
        for (job, schedule) in asked {
            let known = since.get(&job.name);
            let words = schedule.to_string();
            // Nothing counts before the job is watched with this schedule: the next look will know.
            let Some(watch) = known.filter(|watch| watch.schedule == words) else { continue };
            let today = today(job, now);
            let days = due_days(schedule, watch.watched_since.max(now - LOOK_BACK)).take_while(|day| *day <= today);
            let new = days.filter(|day| !self.made.contains(&(job.name.clone(), *day)));
            let new = new.flat_map(|day| expectations(&self.catalog, job, day));
            expected.extend(new.filter(|e| watch.looked_at.is_none_or(|looked_at| e.deadline > looked_at)));
            made.insert((job.name.clone(), today));
        }
        if !expected.is_empty() {
            store::expect(pool, &expected, now).await?;
        }
        self.made.retain(|(_, day)| *day >= (now - LOOK_BACK).date_naive());
        self.made.extend(made);
        Ok(())
    }

    /// Notes that somebody looks for the files of the jobs whose rows are made.
    async fn note(&mut self, pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<()> {
        if self.noted_at.is_some_and(|noted_at| now - noted_at < NOTE_EVERY) {
            return Ok(());
        }
        let jobs: BTreeSet<&str> = self.made.iter().map(|(job, _)| job.as_str()).collect();
        store::note_look(pool, &jobs.into_iter().collect::<Vec<_>>(), now).await?;
        self.noted_at = Some(now);
        Ok(())
    }
}

/// Makes the rows of a run date of a job that nobody has made yet: a scheduled run may begin before the first look of
/// its day.
///
/// # Errors
/// What the server says.
pub async fn make_rows_of(
    pool: &PgPool,
    catalog: &Catalog,
    job: &str,
    run_date: NaiveDate,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let Some(job) = catalog.jobs.get(job) else { return Ok(()) };
    let Some(due_day) = run_date.checked_sub_signed(TimeDelta::days(job.run_date_offset_days.into())) else {
        return Ok(());
    };
    match expectations(catalog, job, due_day) {
        expected if expected.is_empty() => Ok(()),
        expected => store::expect(pool, &expected, now).await,
    }
}

impl Seen {
    /// Changes the states, and tells what this caller is to act on; best in the same transaction. What another
    /// daemon has changed meanwhile is told to that one.
    ///
    /// # Errors
    /// What the server says.
    pub async fn enter(&self, connection: &mut PgConnection, now: DateTime<Utc>) -> anyhow::Result<Vec<Event>> {
        if self.moves.is_empty() {
            return Ok(Vec::new());
        }
        let changed = store::enter(connection, &self.moves, now).await?;
        Ok(changed.into_iter().filter_map(event).collect())
    }
}

fn event(delivery: Delivery) -> Option<Event> {
    match delivery.state {
        State::Arrived => Some(Event::Arrived(delivery)),
        State::Missing => Some(Event::Missing(delivery)),
        State::Late => Some(Event::Late(delivery)),
        State::Changed => Some(Event::Changed(delivery)),
        State::Expected | State::NotExpected | State::Duplicate => None,
    }
}

fn today(job: &Job, now: DateTime<Utc>) -> NaiveDate {
    now.with_timezone(&job.timezone).date_naive()
}

/// Since when a job is watched, with which schedule and zone, and when somebody last looked for its files.
#[derive(sqlx::FromRow)]
struct Watch {
    job: String,
    schedule: String,
    watched_since: DateTime<Utc>,
    looked_at: Option<DateTime<Utc>>,
}

async fn watches(pool: &PgPool) -> anyhow::Result<BTreeMap<String, Watch>> {
    let rows: Vec<Watch> = sqlx::query_as("select job, schedule, watched_since, looked_at from bursar.schedules")
        .fetch_all(pool)
        .await
        .context("look since when jobs are watched")?;
    Ok(rows.into_iter().map(|watch| (watch.job.clone(), watch)).collect())
}

type Sights = Vec<(Delivery, Sight)>;

/// What lies in the inbox of what is watched. What can't be looked for is left out, and said once.
fn scan(
    catalog: &Catalog,
    places: &Places,
    watched: Vec<Delivery>,
    now: DateTime<Utc>,
) -> (Sights, Vec<anyhow::Error>) {
    let mut inbox = Inbox::of(places);
    let (mut sights, mut problems) = (Vec::with_capacity(watched.len()), BTreeMap::new());
    for delivery in watched {
        // What the configuration does not know any more stays as it is.
        let Some(dataset) = catalog.datasets.get(&delivery.dataset) else { continue };
        let Ok(Deliverer { dataset, customer }) = catalog.deliverer(dataset, &delivery.customer) else { continue };
        match inbox.look(&dataset, &customer, delivery.run_date, now) {
            Ok(found) => sights.push((delivery, Sight::of(found))),
            Err(error) => drop(problems.entry(format!("{error:#}")).or_insert(error)),
        }
    }
    (sights, problems.into_values().collect())
}

/// The file of an earlier run date that still lies there has not arrived for this one.
async fn pass_over_earlier(pool: &PgPool, sights: &mut Sights) -> anyhow::Result<()> {
    let mut places = Vec::new();
    let mut found: Vec<(&Delivery, &Delivered)> = Vec::new();
    for (place, (delivery, sight)) in sights.iter().enumerate() {
        let is_new = matches!(delivery.state, State::Expected | State::Missing);
        if let (true, Sight::There(file)) = (is_new, sight) {
            places.push(place);
            found.push((delivery, file));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let earlier = store::loaded_before(pool, &found).await?;
    for (place, earlier) in places.into_iter().zip(earlier) {
        let (Sight::There(file), Some((load, date))) = (&sights[place].1, earlier) else { continue };
        let why = format!("{} is still the file of {date} (load {load})", escape::path(&file.path));
        sights[place].1 = Sight::Absent(why);
    }
    Ok(())
}
