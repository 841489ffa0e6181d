//! The queue: apalis on PostgreSQL delivers ready tasks to whatever workers are up, on one machine or many.
//!
//! It may deliver a message twice, late or (after a crash at the wrong moment) never. What a message says is
//! therefore only a hint: the truth is in `bursar.task_runs`, and [`super::tasks::claim`] asks there.

use crate::clock::Stopwatch;
use crate::db::migrations::Migrations;
use crate::fault;
use anyhow::Context;
use apalis::prelude::{
    BackendExt, BoxDynError, Event, TaskBuilder, WorkerBuilder, WorkerBuilderExt, WorkerContext, WorkerError,
};
use apalis_postgres::{Config, PostgresStorage};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection, PgPool};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

/// The queue's name, in apalis's tables.
const QUEUE: &str = "bursar";

/// How often a worker tells that it is alive, and how often it may fail to before its tasks are delivered again.
const HEARTBEAT: Duration = Duration::from_secs(2);
const MISSED: usize = 4;

/// A worker that has not told for so long is not heard of any more.
pub const LEASE: Duration = Duration::from_secs(HEARTBEAT.as_secs() * MISSED as u64);

/// A worker is told of each new message by the database; this is how often it looks by itself.
const LOOK: Duration = Duration::from_millis(500);

/// A queue that broke off is taken up again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// apalis delivers what is due by the database's clock; ours may be ahead of that.
const SKEW: TimeDelta = TimeDelta::hours(1);

/// A message: this task may be begun.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// The run.
    pub run: Uuid,
    /// The task's name.
    pub task: String,
    /// The item it is for; empty where there is none.
    pub item: String,
    /// Which offer of the task this is; a task that was offered again does not answer to it.
    pub offer: i32,
}

/// Makes the queue's tables, where they are not as they should be.
///
/// # Errors
/// A configuration fault when the role may not, or an extension is not to be had.
pub async fn set_up(pool: &PgPool) -> anyhow::Result<()> {
    let context = "make the task queue's tables (schema apalis)";
    let migrations = migrations();
    let mut connection = pool.acquire().await.context(context)?;
    if migrations.is_newest_applied(&mut connection).await.context(context)? {
        return Ok(());
    }
    // A connection of its own, whose search path ends with it: what apalis makes without a schema goes to apalis.
    let mut connection = connection.detach();
    sqlx::raw_sql("set search_path = apalis, public").execute(&mut connection).await.context(context)?;
    let made = migrations.run(&mut connection).await.map_err(lacking);
    connection.close().await.context(context)?;
    made.context(context)
}

/// The queue's migrations.
#[must_use]
pub fn migrations() -> Migrations {
    Migrations::new(PostgresStorage::<()>::migrations(), "apalis", "_sqlx_migrations")
}

/// What a database that refuses an extension lacks: 58P01 and 0A000 (not installed), 42501 (no privilege).
fn lacking(error: anyhow::Error) -> anyhow::Error {
    let told = fault::told(&error);
    if !told.contains("extension") && !told.contains("permission denied") {
        return error;
    }
    fault::config(format!(
        "the task queue needs the extensions hstore and pgcrypto and the schema apalis, and they can't be made: {told}. \
         Install PostgreSQL's contrib package, and give the role CREATE on the database, or have a superuser say: \
         create extension hstore; create extension pgcrypto; create schema apalis authorization ROLE"
    ))
}

/// Puts messages into the queue, in the caller's transaction; those of a greater priority are delivered first.
///
/// # Errors
/// What the server says.
pub async fn push(
    connection: &mut PgConnection,
    messages: &[(Message, i32)],
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let due = u64::try_from((now - SKEW).timestamp()).unwrap_or(0);
    let mut tasks = Vec::with_capacity(messages.len());
    for (message, priority) in messages {
        let Message { run, task, item, offer } = message;
        let bytes = serde_json::to_vec(message).context("write a message for the queue")?;
        let task = TaskBuilder::new(bytes)
            .priority(usize::try_from(*priority).unwrap_or(0))
            .run_at_timestamp(due)
            .idempotency_key(format!("{run}/{task}/{item}/{offer}"));
        tasks.push(task.build());
    }
    apalis_postgres::queries::push_tasks(connection, QUEUE, tasks)
        .await
        .map_err(of_queue)
        .context("put tasks into the queue")
}

/// Takes a message; an error has it delivered again.
pub type Deliver = Arc<dyn Fn(Message) -> Delivering + Send + Sync>;

/// The future of [`Deliver`].
pub type Delivering = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Who receives messages.
pub struct Receiver {
    /// The database.
    pub pool: PgPool,
    /// The worker's id.
    pub worker: String,
    /// How many messages at a time.
    pub parallel: usize,
    /// Whether a connection listens for them.
    pub listens: bool,
    /// What keeps the queue from being read.
    pub trouble: Trouble,
}

/// What keeps the queue from being read, and for how long it has.
#[derive(Clone, Debug, Default)]
pub struct Trouble(Arc<Mutex<Option<Failures>>>);

/// Failures that followed each other without a pause in which the queue was read.
#[derive(Debug)]
struct Failures {
    since: Stopwatch,
    last: Stopwatch,
    why: String,
}

impl Trouble {
    fn note(&self, why: String, pause: Duration) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Stopwatch::start();
        let since = failures.as_ref().filter(|failures| failures.last.elapsed() < pause).map_or(now, |f| f.since);
        *failures = Some(Failures { since, last: now, why });
    }

    /// Why the queue has not been read for longer than `bound`; `pool` is what it is read over.
    #[must_use]
    pub fn lasting(&self, pool: &PgPool, bound: Duration) -> Option<String> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lasting = failures.as_ref().filter(|f| f.last.elapsed() < pause(pool) && f.since.elapsed() > bound);
        lasting.map(|failures| failures.why.clone())
    }
}

/// How long the queue must not have failed to count as read: who waits for a connection has not failed yet.
fn pause(pool: &PgPool) -> Duration {
    pool.options().get_acquire_timeout() + LEASE
}

impl Receiver {
    /// Whether the queue has heard of this worker lately.
    ///
    /// # Errors
    /// What the server says.
    pub async fn is_heard(pool: &PgPool, worker: &str) -> anyhow::Result<bool> {
        sqlx::query_scalar(
            "select exists (
                select from apalis.workers
                 where worker_type = $1 and id like $2 || '/%' and last_seen > now() - make_interval(secs => $3))",
        )
        .bind(QUEUE)
        .bind(worker)
        .bind(LEASE.as_secs_f64())
        .fetch_one(pool)
        .await
        .context("look whether the queue hears of this worker")
    }
}

/// Receives messages until `stop`; what was received by then is waited for. A queue that breaks off (the database is
/// away) is taken up again.
pub async fn receive(receiver: &Receiver, deliver: &Deliver, stop: &CancellationToken) {
    let (mut round, mut is_failing) = (0_u32, false);
    while !stop.is_cancelled() {
        round += 1;
        let since = Stopwatch::start();
        let (context, mut running) = build(receiver, round, Arc::clone(deliver));
        let ended = tokio::select! {
            result = &mut running => result,
            () = stop.cancelled() => {
                let _ = context.stop();
                running.await
            }
        };
        match ended {
            Err(error) => {
                let why = fault::told(&error);
                if !is_failing {
                    warn!("the task queue can't be read, and is looked at again each second: {why}");
                }
                is_failing = true;
                receiver.trouble.note(why, pause(&receiver.pool));
            }
            Ok(()) => is_failing = false,
        }
        if since.elapsed() < AGAIN {
            let _ = stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
        }
    }
}

/// Whether the queue has heard of a worker within its lease: if not, others take over what the worker claims.
///
/// # Errors
/// A database fault.
pub async fn is_heard(pool: &PgPool, worker: &str) -> anyhow::Result<bool> {
    sqlx::query_scalar(
        "select exists (
                select
                  from apalis.workers
                 where worker_type = $1
                   and starts_with(id, $2 || '/')
                   and last_seen > now() - make_interval(secs => $3))",
    )
    .bind(QUEUE)
    .bind(worker)
    .bind(LEASE.as_secs_f64())
    .fetch_one(pool)
    .await
    .context("look whether the queue has heard of this worker")
}

/// A worker of apalis, not begun.
fn build(receiver: &Receiver, round: u32, deliver: Deliver) -> (WorkerContext, Delivering) {
    let Receiver { pool, worker, parallel, listens, .. } = receiver;
    // One message at a time: a batch would keep tasks from idle workers, and apalis tells no heartbeat while it
    // holds a message that it can't pass on.
    let config = Config::default()
        .queue(QUEUE)
        .batch_size(1)
        .lock_tasks(false)
        .heartbeat_interval(HEARTBEAT)
        .missed_heartbeats(MISSED);
    let storage = PostgresStorage::<Message>::new(pool).with_config(config);
    let context = WorkerContext::new(&format!("{worker}/{round}"));
    let handler = move |message: Message| {
        let delivering = deliver(message);
        async move { delivering.await.map_err(|error| BoxDynError::from(fault::told(&error))) }
    };
    let builder = WorkerBuilder::new(&context);
    let mut events: Events = if *listens {
        let storage = storage.with_pubsub().poll_with_interval(LOOK);
        Box::pin(builder.backend(storage).concurrency(*parallel).build(handler).stream())
    } else {
        let storage = storage.poll_with_interval(LOOK);
        Box::pin(builder.backend(storage).concurrency(*parallel).build(handler).stream())
    };
    let running = async move {
        while let Some(event) = events.next().await {
            event.map_err(|error| fault::transient(error.to_string()))?;
        }
        Ok(())
    };
    (context, Box::pin(running))
}

/// What a worker of apalis tells; it works while it is listened to.
type Events = Pin<Box<dyn Stream<Item = Result<Event, WorkerError>> + Send>>;

/// Forgets what was delivered an hour ago, and workers that have been silent for a day.
///
/// # Errors
/// What the server says.
pub async fn prune(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::query(
        "delete from apalis.jobs
          where job_type = $1 and status in ('Done', 'Failed', 'Killed') and done_at < now() - interval '1 hour'",
    )
    .bind(QUEUE)
    .execute(pool)
    .await
    .context("prune the queue")?;
    sqlx::query(
        "delete from apalis.workers as w
          where worker_type = $1 and last_seen < now() - interval '1 day'
            and not exists (select from apalis.jobs as j where j.lock_by = w.id)",
    )
    .bind(QUEUE)
    .execute(pool)
    .await
    .context("prune the queue's workers")?;
    Ok(())
}

fn of_queue(error: apalis_postgres::Error) -> anyhow::Error {
    match error {
        apalis_postgres::Error::Database(error) => error.into(),
        other => fault::bug(other),
    }
}
