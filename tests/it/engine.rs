//! The engine under hostile hands: runs whose tasks do what the test says, worked on by any number of workers, which die,
//! fall silent and lose their connections.

mod board;
mod chaos;
mod configured;
mod ends;
mod executor;
mod model;
mod offers;
mod overlap;
mod shares;
mod takeover;

use crate::running::until;
use crate::support::World;
use bursar::clock::Clock;
use bursar::db::Database;
use bursar::engine::execute::Engine;
use bursar::engine::job::{Catchup, Job, Overlap, Task};
use bursar::engine::presence::Role;
use bursar::engine::queue::Message;
use bursar::engine::retry::Retry;
use bursar::engine::runs::{Opening, RunRequest};
use bursar::engine::task::{KindSpec, Outcome, TaskContext, TaskFuture, TaskKind, Trigger};
use bursar::engine::worker::Worker;
use bursar::fault;
use chrono::{NaiveDate, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// What an attempt at a scripted task does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Done,
    Skip,
    Data,
    Config,
    Transient,
    Panic,
    /// Waits for this key, for an hour at most.
    Defer(&'static str),
    /// Waits for its time.
    DeferFor(TimeDelta),
    /// Goes on until it is told to stop.
    Slow,
    /// Goes on until the test lets it, or it is told to stop.
    Held,
    /// Takes so long.
    Takes(Duration),
    /// Settles its attempt in a transaction of its own, as a load does.
    Settles,
}

/// What the scripted kind has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Attempts begun, by label, in order.
    begun: Vec<String>,
    /// Under way now, and the most there were.
    now: usize,
    peak: usize,
}

/// A kind of task that does what the test says: the steps of a label one after the other, the last one ever after.
#[derive(Debug)]
struct Scripted {
    steps: Mutex<HashMap<String, Vec<Step>>>,
    seen: Mutex<Seen>,
    /// What held tasks wait for.
    let_go: Semaphore,
    pool: PgPool,
}

const KIND: KindSpec = KindSpec { name: "scripted", subject: "dataset", needs_item: false };

impl TaskKind for Scripted {
    fn spec(&self) -> KindSpec {
        KIND
    }

    fn needs(&self, task: &Task, _: Option<&str>) -> Vec<String> {
        task.subject.strip_prefix("needs ").map(str::to_owned).into_iter().collect()
    }

    fn run<'a>(&'a self, context: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(async move {
            let step = self.begin(&context.label().to_string());
            let outcome = self.perform(step, context).await;
            self.seen.lock().unwrap().now -= 1;
            outcome
        })
    }
}

impl Scripted {
    fn begin(&self, label: &str) -> Step {
        let mut seen = self.seen.lock().unwrap();
        let nth = seen.begun.iter().filter(|l| *l == label).count();
        seen.begun.push(label.to_owned());
        seen.now += 1;
        seen.peak = seen.peak.max(seen.now);
        let steps = self.steps.lock().unwrap();
        let steps = steps.get(label).map_or(&[Step::Done][..], Vec::as_slice);
        steps.get(nth).or(steps.last()).cloned().unwrap_or(Step::Done)
    }

    async fn perform(&self, step: Step, context: &TaskContext) -> anyhow::Result<Outcome> {
        let done = || Ok(Outcome::Done(Value::Null));
        let stopped = || Err(fault::transient("told to stop"));
        match step {
            Step::Done => done(),
            Step::Skip => Ok(Outcome::Skipped { reason: "nothing to do".to_owned(), summary: Value::Null }),
            Step::Data => Err(fault::data("bad data")),
            Step::Config => Err(fault::config("bad configuration")),
            Step::Transient => Err(fault::transient("bad luck")),
            Step::Panic => {
                self.seen.lock().unwrap().now -= 1;
                panic!("the task panics, as it is told to");
            }
            Step::Defer(key) => {
                let until = Utc::now() + TimeDelta::hours(1);
                Ok(Outcome::Deferred { key: key.to_owned(), until, reason: "no file yet".to_owned() })
            }
            Step::DeferFor(delta) => {
                let until = Utc::now() + delta;
                Ok(Outcome::Deferred { key: "time".to_owned(), until, reason: "not yet".to_owned() })
            }
            Step::Slow => {
                context.cancel.cancelled().await;
                stopped()
            }
            Step::Held => tokio::select! {
                permit = self.let_go.acquire() => { permit.unwrap().forget(); done() }
                () = context.cancel.cancelled() => stopped(),
            },
            Step::Takes(time) => tokio::select! {
                () = tokio::time::sleep(time) => done(),
                () = context.cancel.cancelled() => stopped(),
            },
            Step::Settles => {
                let outcome = Outcome::Done(Value::Null);
                let mut transaction = self.pool.begin().await?;
                context.fence.hold(&mut transaction).await?;
                context.fence.settle(&mut transaction, &outcome.settlement()).await?;
                transaction.commit().await?;
                Ok(outcome)
            }
        }
    }

    fn begun(&self) -> Vec<String> {
        self.seen.lock().unwrap().begun.clone()
    }

    fn count(&self, label: &str) -> usize {
        self.begun().iter().filter(|l| *l == label).count()
    }

    fn now(&self) -> usize {
        self.seen.lock().unwrap().now
    }

    fn peak(&self) -> usize {
        self.seen.lock().unwrap().peak
    }
}

/// A task without upstreams, whose retries come at once.
fn task(name: &str) -> Task {
    Task {
        name: name.to_owned(),
        kind: KIND.name.to_owned(),
        subject: "any".to_owned(),
        for_each: None,
        after: vec![],
        after_any_outcome: false,
        timeout_s: None,
        retry: Retry { attempts: 3, first_delay_s: 0, max_delay_s: 0 },
    }
}

/// A task behind others.
fn after(name: &str, upstreams: &[usize]) -> Task {
    Task { after: upstreams.to_vec(), ..task(name) }
}

/// A task for each of the items.
fn fanned(name: &str) -> Task {
    Task { for_each: Some("item".to_owned()), ..task(name) }
}

fn job(name: &str, tasks: Vec<Task>) -> Job {
    Job {
        name: name.to_owned(),
        is_enabled: true,
        schedule: None,
        timezone: chrono_tz::UTC,
        run_date_offset_days: 0,
        catchup: Catchup::None,
        catchup_limit: 1,
        overlap: Overlap::Queue,
        alert_skipped: true,
        max_parallel_tasks: None,
        tasks,
    }
}

/// A database with an engine whose tasks are scripted, and as many workers on it as the test starts.
struct Plant {
    world: World,
    database: Database,
    engine: Engine,
    kind: Arc<Scripted>,
}

impl Plant {
    async fn new() -> Self {
        Self::limited(None).await
    }

    async fn limited(limit: Option<u32>) -> Self {
        let world = World::new().await;
        let database = Database::open(&world.settings()).await.expect("the database");
        database.migrate().await.expect("the tables");
        Engine::prepare(&database.pool).await.expect("the queue");
        let kind = Arc::new(Scripted {
            steps: Mutex::default(),
            seen: Mutex::default(),
            let_go: Semaphore::new(0),
            pool: database.pool.clone(),
        });
        let kinds: Vec<Arc<dyn TaskKind>> = vec![kind.clone()];
        let engine = Engine::new(database.pool.clone(), database.queue.clone(), kinds, Clock::system(), limit);
        Self { world, database, engine, kind }
    }

    fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// What attempts at a label do, one after the other.
    fn script(&self, label: &str, steps: &[Step]) {
        self.kind.steps.lock().unwrap().insert(label.to_owned(), steps.to_vec());
    }

    /// A worker on this process's connections.
    async fn worker(&self, parallel: usize) -> Worker {
        Worker::start(&self.engine, Role::Serve, parallel, None).await.expect("a worker")
    }

    async fn open(&self, tasks: Vec<Task>, items: &[&str]) -> Uuid {
        self.open_job(&job("test", tasks), items, Trigger::Operator, "2025-05-14").await
    }

    async fn open_job(&self, job: &Job, items: &[&str], trigger: Trigger, date: &str) -> Uuid {
        let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
        let run_date: NaiveDate = date.parse().unwrap();
        let request = RunRequest {
            job: Arc::new(job.clone()),
            run_date,
            trigger,
            occurrence: None,
            items: job.tasks.iter().map(|task| (task.name.clone(), items.clone())).collect(),
            publish: false,
            force: false,
        };
        match self.engine.open(&request).await.expect("a run") {
            Opening::Opened(id) => id,
            other => panic!("not opened: {other:?}"),
        }
    }

    /// Waits until a run is over; gives its state and its tasks', by label.
    async fn over(&self, run: Uuid) -> (String, BTreeMap<String, String>) {
        until("the run is over", async || self.state(run).await != "running").await;
        (self.state(run).await, self.states(run).await)
    }

    async fn state(&self, run: Uuid) -> String {
        sqlx::query_scalar("select state from bursar.runs where id = $1")
            .bind(run)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    async fn states(&self, run: Uuid) -> BTreeMap<String, String> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "select task || case when item = '' then '' else '[' || item || ']' end, state
               from bursar.task_runs where run_id = $1",
        )
        .bind(run)
        .fetch_all(self.pool())
        .await
        .unwrap();
        rows.into_iter().collect()
    }

    /// The states of a task's attempts with their faults, in order.
    async fn attempts(&self, task: &str) -> Vec<String> {
        sqlx::query_scalar(
            "select state || coalesce(' ' || fault, '') from bursar.attempts where task = $1 order by run_id, item, attempt",
        )
        .bind(task)
        .fetch_all(self.pool())
        .await
        .unwrap()
    }

    /// Waits until a count is what it should be.
    async fn count_is(&self, expected: i64, query: &str) {
        let query = format!("select count(*) from {query}");
        let mut connection = self.world.connect().await;
        let since = std::time::Instant::now();
        loop {
            let safe = sqlx::AssertSqlSafe(query.clone());
            let found: i64 = sqlx::query_scalar(safe).fetch_one(&mut connection).await.unwrap();
            if found == expected {
                return;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "{query} is {found}, not {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs statements of the test's.
    async fn sql(&self, statements: &str) {
        let mut connection = self.world.connect().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.expect(statements);
    }

    /// Puts each message into the queue five times more.
    async fn repeat_messages(&self) {
        self.sql(
            "insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
             select apalis.generate_ulid(), job_type, job, 'Pending', 0, max_attempts, run_at, priority
               from apalis.jobs, generate_series(1, 5) as n",
        )
        .await;
    }

    /// The message by which a task is offered at present.
    async fn message(&self, run: Uuid, task: &str) -> Message {
        let offer: i32 =
            sqlx::query_scalar("select offer from bursar.task_runs where run_id = $1 and task = $2 and item = ''")
                .bind(run)
                .bind(task)
                .fetch_one(self.pool())
                .await
                .unwrap();
        Message { run, task: task.to_owned(), item: String::new(), offer }
    }

    /// What must hold when all is over: no attempt is open, and the queue holds no live message.
    async fn assert_settled(&self) {
        self.count_is(0, "bursar.attempts where state = 'running'").await;
        self.count_is(0, "bursar.task_runs where state in ('waiting', 'ready', 'running', 'deferred')").await;
        self.count_is(0, "apalis.jobs where status in ('Pending', 'Queued', 'Running')").await;
    }
}

/// The labels with their states, as a test writes them.
fn states_of(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|(label, state)| ((*label).to_owned(), (*state).to_owned())).collect()
}
