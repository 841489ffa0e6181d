//! What is recorded of due instants, in a real database and with the time handed in.

use super::{KIND, due, utc};
use crate::running::until;
use crate::support::World;
use bursar::clock::Clock;
use bursar::db::Database;
use bursar::engine::attempt::Cause;
use bursar::engine::configurations::Schedules;
use bursar::engine::dispatch::dispatch_due;
use bursar::engine::execute::Engine;
use bursar::engine::job::Job;
use bursar::engine::pause::{self, Meanwhile, Paused};
use bursar::engine::presence::Role;
use bursar::engine::skew;
use bursar::engine::task::{KindSpec, Outcome, TaskContext, TaskFuture, TaskKind};
use bursar::engine::watch::Watch;
use bursar::engine::watermarks::{self, Watermarks};
use bursar::engine::worker::Worker;
use bursar::fault;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A task that is over at once.
struct Rest;

impl TaskKind for Rest {
    fn spec(&self) -> KindSpec {
        KIND
    }

    fn run<'a>(&'a self, _: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(async { Ok(Outcome::Done(Value::Null)) })
    }
}

/// One daemon: it looks at its jobs when it is told to, and works on what it opened.
struct Daemon {
    database: Database,
    engine: Engine,
    worker: Worker,
    jobs: Vec<Arc<Job>>,
}

impl Daemon {
    async fn new(world: &World, jobs: &[Arc<Job>]) -> Self {
        let database = Database::open(&world.settings()).await.expect("the database");
        database.migrate().await.expect("the tables");
        Engine::prepare(&database.pool).await.expect("the queue");
        let (pool, queue) = (database.pool.clone(), database.queue.clone());
        let engine = Engine::new(pool, queue, vec![Arc::new(Rest)], Clock::system(), None);
        let worker = Worker::start(&engine, Role::Serve, 4, None).await.expect("a worker");
        Self { database, engine, worker, jobs: jobs.to_vec() }
    }

    /// Stops it, so that its connections are free for the next one.
    async fn stop(self) {
        self.worker.stop(Duration::ZERO, Cause::Stopping).await;
        self.database.close().await.expect("leave the database");
    }

    fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// One beat at `now`, and the end of the runs that are open. Says how many were opened.
    async fn beat(&self, now: DateTime<Utc>) -> usize {
        let looked = dispatch_due(&self.engine, &self.jobs, &|_: &_, _| HashMap::new(), now).await;
        let faults: Vec<String> = looked.faults.iter().map(fault::told).collect();
        assert_eq!(faults, Vec::<String>::new());
        until("the runs are over", async || {
            self.count("select count(*) from bursar.runs where state = 'running'").await == 0
        })
        .await;
        looked.opened
    }

    /// Beats at `now` until nothing is left to run.
    async fn settle(&self, now: DateTime<Utc>) {
        while self.beat(now).await > 0 {}
    }

    /// The recorded instants of a job with their states, oldest first.
    async fn recorded(&self, job: &str) -> Vec<(DateTime<Utc>, String)> {
        sqlx::query_as("select due_at, state from bursar.occurrences where job = $1 order by due_at")
            .bind(job)
            .fetch_all(self.pool())
            .await
            .expect("the occurrences")
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.expect(query)
    }
}

fn instants(recorded: &[(DateTime<Utc>, String)]) -> Vec<DateTime<Utc>> {
    recorded.iter().map(|(due_at, _)| *due_at).collect()
}

fn states(recorded: &[(DateTime<Utc>, String)]) -> Vec<&str> {
    recorded.iter().map(|(_, state)| state.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_suspended_misses_as_the_job_says_and_forgets_nothing() {
    let world = World::new().await;
    let jobs = [
        ("none", "catchup = \"none\"", ["ran", "skipped", "skipped", "skipped", "ran"]),
        ("latest", "catchup = \"latest\"", ["ran", "coalesced", "coalesced", "coalesced", "ran"]),
        ("all", "catchup = \"all\"", ["ran", "ran", "ran", "ran", "ran"]),
        ("some", "catchup = \"all\"\ncatchup_limit = 1", ["ran", "skipped", "skipped", "ran", "ran"]),
    ];
    let compiled: Vec<_> = jobs.iter().map(|(name, keys, _)| due(name, "0 5 * * *", "UTC", keys)).collect();
    let daemon = Daemon::new(&world, &compiled).await;
    for now in ["2025-05-10T04:59", "2025-05-10T05:00", "2025-05-10T05:01", "2025-05-14T05:00"] {
        daemon.settle(utc(now)).await;
    }
    for (name, _, expected) in jobs {
        assert_eq!(states(&daemon.recorded(name).await), expected, "{name}");
    }
    let out_of_order = "select count(*) from bursar.runs as a join bursar.runs as b using (job)
        where a.run_date < b.run_date and a.opened_at > b.opened_at";
    assert_eq!(daemon.count(out_of_order).await, 0, "the oldest is run first");
    let unexplained = "select count(*) from bursar.occurrences where (state = 'ran') <> (reason is null)";
    assert_eq!(daemon.count(unexplained).await, 0);
}

fn paused_at(at: &str) -> Paused {
    Paused { paused_at: utc(at), paused_by: "ops@host".to_owned(), reason: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_during_a_pause_is_skipped_and_run_afterwards_only_on_request() {
    let world = World::new().await;
    let job = due("rest", "0 5 * * *", "UTC", "catchup = \"all\"");
    let daemon = Daemon::new(&world, std::slice::from_ref(&job)).await;
    daemon.settle(utc("2025-05-10T04:59")).await;
    daemon.settle(utc("2025-05-10T05:00")).await;
    assert!(pause::pause(daemon.pool(), "rest", &paused_at("2025-05-10T06:00")).await.unwrap());
    daemon.settle(utc("2025-05-11T05:00")).await;
    let known = Watermarks::read(daemon.pool(), utc("2025-05-10T06:00")).await.expect("a look");
    assert_eq!(known.next_due(&job, utc("2025-05-11T06:00")), None);
    // Nobody is up on the 12th.
    let resume = async |meanwhile, now| pause::resume(daemon.pool(), &job, meanwhile, utc(now)).await.expect("resumed");
    assert_eq!(resume(Meanwhile::Skip, "2025-05-12T12:00").await, Some(0));
    assert_eq!(resume(Meanwhile::Skip, "2025-05-12T12:00").await, None, "it is not paused any more");
    daemon.settle(utc("2025-05-12T12:01")).await;
    assert_eq!(states(&daemon.recorded("rest").await), ["ran", "skipped", "skipped"]);
    assert_eq!(daemon.count("select count(*) from bursar.occurrences where is_alerted").await, 0);
    assert!(pause::pause(daemon.pool(), "rest", &paused_at("2025-05-12T13:00")).await.unwrap());
    daemon.settle(utc("2025-05-13T05:00")).await;
    assert_eq!(resume(Meanwhile::Run, "2025-05-14T06:00").await, Some(2));
    daemon.settle(utc("2025-05-14T06:01")).await;
    assert_eq!(states(&daemon.recorded("rest").await), ["ran", "skipped", "skipped", "ran", "ran"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_no_daemon_has_is_not_watched_and_nothing_of_it_is_missed() {
    let world = World::new().await;
    let job = due("rest", "0 5 * * *", "UTC", "catchup = \"all\"");
    let daemon = Daemon::new(&world, std::slice::from_ref(&job)).await;
    let disabled = due("rest", "0 5 * * *", "UTC", "enabled = false");
    assert_eq!(disabled.due_schedule().map(ToString::to_string), None);
    daemon.settle(utc("2025-05-10T04:59")).await;
    let own = Schedules::from([("rest".to_owned(), "0 0 5 * * * UTC".to_owned())]);
    watermarks::end_watches(daemon.pool(), &own).await.expect("it is this daemon's own");
    daemon.settle(utc("2025-05-10T05:00")).await;
    watermarks::end_watches(daemon.pool(), &Schedules::new()).await.expect("ended");
    daemon.settle(utc("2025-05-12T06:00")).await;
    daemon.settle(utc("2025-05-13T05:00")).await;
    assert_eq!(instants(&daemon.recorded("rest").await), ["2025-05-10T05:00", "2025-05-13T05:00"].map(utc));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_ahead_of_the_clock_is_warned_about_and_can_be_reset() {
    let world = World::new().await;
    let job = due("rest", "0 5 * * *", "UTC", "");
    let daemon = Daemon::new(&world, std::slice::from_ref(&job)).await;
    daemon.settle(utc("2098-05-10T04:59")).await;
    daemon.settle(utc("2098-05-10T05:00")).await;
    let now = Utc::now();
    let known = Watermarks::read(daemon.pool(), now).await.expect("a look");
    assert!(known.next_due(&job, now).is_some_and(|due| due <= now + TimeDelta::days(1)), "what will happen");
    let warning = known.warning(&job).expect("a warning");
    assert!(warning.contains("until 2098-05-10T05:00") && warning.contains("bursar jobs reset rest"), "{warning}");
    assert_eq!(watermarks::reset(daemon.pool(), "rest", now).await.expect("reset"), 1);
    let known = Watermarks::read(daemon.pool(), now).await.expect("a look");
    assert_eq!(known.warning(&job), None);
    assert!(known.next_due(&job, now).is_some_and(|due| due <= now + TimeDelta::days(1)));
}

/// Instants that a bad clock shows: on by seconds, hours or days, and back.
fn walk(seed: u64, from: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut now = from;
    let step = |random: &mut fastrand::Rng| match random.u8(..5) {
        0 => random.i64(0..90),
        1 => random.i64(0..7200),
        2 => random.i64(0..300_000),
        3 => -random.i64(0..7200),
        _ => -random.i64(0..200_000),
    };
    let mut shown = vec![from];
    for _ in 0..30 {
        now += TimeDelta::milliseconds(step(&mut random) * 1000 + random.i64(0..1000));
        shown.push(now.max(from));
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_forward_and_back_loses_and_repeats_nothing() {
    let world = World::new().await;
    // The clocks of the zone change within these days.
    let from = utc("2024-03-30T12:00");
    let policies = ["catchup = \"none\"", "catchup = \"latest\"", "catchup = \"all\"\ncatchup_limit = 1"];
    for (seed, policy) in (0..).zip(policies.repeat(2)) {
        let name = format!("walk-{seed}");
        let job = due(&name, "15,45 1-3,12 * * *", "Europe/Madrid", policy);
        let daemon = Daemon::new(&world, std::slice::from_ref(&job)).await;
        let shown = walk(seed, from);
        for now in &shown {
            daemon.settle(*now).await;
        }
        let furthest = shown.iter().max().expect("instants");
        let expected: Vec<_> = job.schedule.as_ref().expect("a schedule").between(from, *furthest).collect();
        assert_eq!(instants(&daemon.recorded(&name).await), expected, "{name}: {shown:?}");
        assert_eq!(daemon.count("select count(*) from bursar.occurrences where state = 'queued'").await, 0);
        let again = "select count(*) from (select from bursar.occurrences where state = 'ran' group by run_id having count(*) > 1) as twice";
        assert_eq!(daemon.count(again).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_in_which_the_clocks_change_has_one_run_for_every_day() {
    let world = World::new().await;
    let nights = [
        ("new-york-march", "America/New_York", "2024-03-09T12:00", ["2024-03-10T07:00", "2024-03-11T06:30"]),
        ("new-york-november", "America/New_York", "2024-11-02T12:00", ["2024-11-03T07:30", "2024-11-04T07:30"]),
        ("madrid-march", "Europe/Madrid", "2024-03-30T12:00", ["2024-03-31T01:00", "2024-04-01T00:30"]),
        ("madrid-october", "Europe/Madrid", "2024-10-26T12:00", ["2024-10-27T00:30", "2024-10-28T01:30"]),
        ("lord-howe-october", "Australia/Lord_Howe", "2024-10-05T03:00", ["2024-10-05T15:30", "2024-10-06T15:30"]),
        ("lord-howe-april", "Australia/Lord_Howe", "2024-04-06T03:00", ["2024-04-06T16:00", "2024-04-07T16:00"]),
    ];
    for (name, zone, eve, expected) in nights {
        let daemon = Daemon::new(&world, &[due(name, "30 2 * * *", zone, "")]).await;
        for quarter in 0..4 * 48 {
            daemon.beat(utc(eve) + TimeDelta::minutes(15 * quarter)).await;
        }
        let recorded = daemon.recorded(name).await;
        assert_eq!(instants(&recorded), expected.map(utc), "{name}");
        assert_eq!(states(&recorded), ["ran", "ran"], "{name}");
        daemon.stop().await;
    }
    let dates: i64 = world.scalar("select count(distinct (job, run_date)) from bursar.runs").await;
    assert_eq!(dates, 12, "a run date each");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_jobs_due_at_one_instant_two_dispatchers_record_every_one_once() {
    let world = World::new().await;
    let jobs: Vec<_> = (0..1000).map(|n| due(&format!("job-{n}"), "0 5 * * *", "UTC", "catchup = \"none\"")).collect();
    let (one, two) = (Daemon::new(&world, &jobs).await, Daemon::new(&world, &jobs).await);
    tokio::join!(one.beat(utc("2025-05-13T04:00")), two.beat(utc("2025-05-13T04:00")));
    let (late, later) = (utc("2025-05-13T05:02"), utc("2025-05-13T05:03"));
    tokio::join!(one.beat(late), two.beat(later));
    assert_eq!(one.count("select count(*) from bursar.schedules").await, 1000);
    assert_eq!(one.count("select count(distinct job) from bursar.occurrences where state = 'skipped'").await, 1000);
    assert_eq!(one.count("select count(*) from bursar.occurrences").await, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_jobs_due_at_one_instant_two_dispatchers_run_every_one_once() {
    let world = World::new().await;
    let keys = "catchup = \"all\"\noverlap = \"queue\"";
    let jobs: Vec<_> = (0..12).map(|n| due(&format!("job-{n}"), "0 5 * * *", "UTC", keys)).collect();
    let (one, two) = (Daemon::new(&world, &jobs).await, Daemon::new(&world, &jobs).await);
    one.beat(utc("2025-05-11T04:00")).await;
    while one.count("select count(*) from bursar.occurrences where state = 'ran'").await < 36 {
        tokio::join!(one.beat(utc("2025-05-13T05:00")), two.beat(utc("2025-05-13T05:00")));
    }
    for query in [
        "select count(*) from bursar.occurrences",
        "select count(distinct (job, run_date)) from bursar.runs",
        "select count(*) from bursar.runs where state = 'succeeded'",
        "select count(distinct run_id) from bursar.occurrences",
    ] {
        assert_eq!(one.count(query).await, 36, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_with_a_clock_ahead_recorded_does_not_count() {
    let world = World::new().await;
    let daemon = Daemon::new(&world, &[due("minutely", "* * * * *", "UTC", "catchup = \"all\"")]).await;
    daemon.settle(utc("2025-05-10T04:59")).await;
    daemon.settle(utc("2025-05-10T05:00")).await;
    // An hour ahead it skipped what was due, and one was still queued.
    world
        .sql(
            "insert into bursar.occurrences (job, due_at, run_date, state, reason, recorded_at)
             select 'minutely', due_at, '2025-05-10', case when extract(minute from due_at) = 3 then 'queued' else 'skipped' end,
                    'run x was still going on', '2025-05-10T05:00:00Z'
               from generate_series(timestamptz '2025-05-10T05:01:00Z', '2025-05-10T06:00:00Z', '1 minute') as due_at",
        )
        .await;
    let now = utc("2025-05-10T05:02");
    daemon.settle(now).await;
    let looked = dispatch_due(&daemon.engine, &daemon.jobs, &|_: &_, _| HashMap::new(), now).await;
    assert!(looked.recorded_ahead[0].contains("until 2025-05-10T06:00:00Z"), "{:?}", looked.recorded_ahead);
    let recorded = daemon.recorded("minutely").await;
    assert_eq!(states(&recorded)[..5], ["ran", "ran", "ran", "queued", "skipped"], "{recorded:?}");
    daemon.settle(utc("2025-05-10T05:05")).await;
    let recorded = daemon.recorded("minutely").await;
    assert_eq!(states(&recorded)[..4], ["ran"; 4], "{recorded:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_far_from_the_database_s_is_an_alert_until_it_is_right() {
    let world = World::new().await;
    let daemon = Daemon::new(&world, &[]).await;
    world.sql("update bursar.workers set clock_skew_s = 3600").await;
    let (mut watch, now) = (Watch::default(), Utc::now());
    for seconds in [0, 31] {
        watch.check(daemon.pool(), now + TimeDelta::seconds(seconds)).await.expect("a look");
    }
    let open = "select count(*) from bursar.alerts where state = 'open' and kind = 'clock_skew'";
    assert_eq!(daemon.count(open).await, 1);
    skew::measure(&daemon.engine, daemon.worker.id()).await.expect("a measurement");
    watch.check(daemon.pool(), now + TimeDelta::seconds(62)).await.expect("a look");
    assert_eq!(daemon.count(open).await, 0);
}
