//! The door to `bursar.schedules`: since when each job's due instants are watched and up to when they are recorded.

use super::configurations::Schedules;
use super::job::Job;
use super::pause::{self, Paused};
use super::skew::{MAX_SKEW, seconds};
use crate::clock::timestamp;
use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::types::Json;
use std::collections::{HashMap, HashSet};

/// A job, its schedule, its watermark, and until when occurrences are recorded that are not due yet.
type Watched = (String, String, DateTime<Utc>, Option<DateTime<Utc>>);

/// What is recorded of all jobs, as one look at the database has it: a thousand jobs of which none is due cost no more
/// than one.
#[derive(Debug)]
pub struct Watermarks {
    watched: HashMap<String, (String, DateTime<Utc>)>,
    ahead: HashMap<String, DateTime<Utc>>,
    queued: HashSet<String>,
    paused: HashMap<String, Paused>,
}

impl Watermarks {
    /// Reads the watermarks of all jobs. What was recorded for a time after `now`, or passed over before it was due, by a daemon whose clock was
    /// ahead, does not count.
    ///
    /// # Errors
    /// What the server says.
    pub async fn read(pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let watched: Vec<Watched> = sqlx::query_as(
            "select s.job,
                    s.schedule,
                    greatest(
                        least(s.watched_since, $1),
                        (select max(due_at) from bursar.occurrences as o
                          where o.job = s.job and due_at <= $1
                            and not (o.state in ('skipped', 'coalesced') and o.recorded_at < o.due_at - make_interval(secs => $2)))),
                    greatest(
                        case when s.watched_since > $1 then s.watched_since end,
                        (select max(due_at) from bursar.occurrences as o where o.job = s.job and due_at > $1))
               from bursar.schedules as s",
        )
        .bind(now)
        .bind(seconds(MAX_SKEW))
        .fetch_all(pool)
        .await
        .context("look for the occurrences recorded last")?;
        let queued: Vec<String> =
            sqlx::query_scalar("select distinct job from bursar.occurrences where state = 'queued' and due_at <= $1")
                .bind(now)
                .fetch_all(pool)
                .await
                .context("look for queued occurrences")?;
        let ahead = watched.iter().filter_map(|(job, _, _, ahead)| Some((job.clone(), (*ahead)?))).collect();
        let watched = watched.into_iter().map(|(job, schedule, since, _)| (job, (schedule, since))).collect();
        Ok(Self { watched, ahead, queued: queued.into_iter().collect(), paused: pause::list(pool).await? })
    }

    /// The instant since which a job's occurrences are not recorded yet: that of the last one, or when a daemon first
    /// saw the job with this schedule. None when nobody has; see [`begin_to_watch`].
    #[must_use]
    pub fn watermark(&self, job: &str, schedule: &str) -> Option<DateTime<Utc>> {
        let (known, since) = self.watched.get(job)?;
        (known == schedule).then_some(*since)
    }

    /// Returns the pause of a job, if it is paused.
    #[must_use]
    pub fn paused(&self, job: &str) -> Option<&Paused> {
        self.paused.get(job)
    }

    /// Returns when a job is due next: after what is recorded already. `None` if it has no schedule, or is paused.
    #[must_use]
    pub fn next_due(&self, job: &Job, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let schedule = job.due_schedule().filter(|_| self.paused(&job.name).is_none())?;
        let watermark = self.watermark(&job.name, &schedule.to_string());
        schedule.next_after(watermark.map_or(now, |watermark| watermark.max(now)))
    }

    /// Warns about a job with occurrences that are not due yet, recorded by a daemon whose clock was ahead.
    #[must_use]
    pub fn warning(&self, job: &Job) -> Option<String> {
        let (name, until) = (&job.name, timestamp(&self.ahead.get(&job.name)?.with_timezone(&job.timezone)));
        Some(format!(
            "{name} has occurrences that are not due yet, until {until}, recorded by a daemon whose clock was ahead: they \
             are ignored. \"bursar jobs reset {name}\" discards them"
        ))
    }

    /// Whether an occurrence of the job waits to be run.
    #[must_use]
    pub fn is_queued(&self, job: &str) -> bool {
        self.queued.contains(job)
    }
}

/// A job is watched with this schedule from now on. What an earlier schedule missed, or what this one would have had
/// before it was there, is nobody's to run.
///
/// # Errors
/// What the server says.
pub async fn begin_to_watch(pool: &PgPool, job: &str, schedule: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query(
        "insert into bursar.schedules (job, schedule, watched_since) values ($1, $2, $3)
         on conflict (job) do update set schedule = excluded.schedule, watched_since = excluded.watched_since
          where schedules.schedule <> excluded.schedule",
    )
    .bind(job)
    .bind(schedule)
    .bind(now)
    .execute(pool)
    .await
    .context("remember the job's schedule")?;
    Ok(())
}

/// Ends the watches of schedules that no daemon has: what they would have had from then on is not missed. `own` are the
/// schedules of this daemon. A daemon that has just stopped still counts.
///
/// # Errors
/// Returns a database fault.
pub async fn end_watches(pool: &PgPool, own: &Schedules) -> anyhow::Result<()> {
    sqlx::query(
        "delete from bursar.schedules as s
          where s.schedule is distinct from $1::jsonb ->> s.job
            and not exists (
                select
                  from bursar.workers as w
                  join bursar.configurations as c on c.hash = w.config_hash
                 where w.role = 'serve'
                   and (w.stopped_at is null or w.stopped_at > now() - interval '1 minute')
                   and c.schedules ->> s.job = s.schedule)",
    )
    .bind(Json(own))
    .execute(pool)
    .await
    .context("end the watches of schedules that no daemon has")?;
    Ok(())
}

/// Discards what is recorded of a job after `now`, so that it is due again at its next instant. Returns how many
/// occurrences that were; their runs stay.
///
/// # Errors
/// Returns a database fault.
pub async fn reset(pool: &PgPool, job: &str, now: DateTime<Utc>) -> anyhow::Result<u64> {
    let mut transaction = pool.begin().await.context("reset the schedule")?;
    let discarded = sqlx::query("delete from bursar.occurrences where job = $1 and due_at > greatest($2, now())")
        .bind(job)
        .bind(now)
        .execute(&mut *transaction)
        .await
        .context("discard occurrences ahead of now")?;
    sqlx::query(
        "update bursar.schedules set watched_since = $2 where job = $1 and watched_since > greatest($2, now())",
    )
    .bind(job)
    .bind(now)
    .execute(&mut *transaction)
    .await
    .context("reset the schedule")?;
    transaction.commit().await.context("reset the schedule")?;
    Ok(discarded.rows_affected())
}
