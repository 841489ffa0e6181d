//! How attempts end, and which ends are tried again.

use super::{Plant, Step, after, fanned, job, states_of, task};
use crate::proxy::{Proxy, Way};
use crate::running::until;
use bursar::config::{Environment, Settings};
use bursar::db::Database;
use bursar::engine::advance::advance_now;
use bursar::engine::again;
use bursar::engine::attempt::Cause;
use bursar::engine::execute::Engine;
use bursar::engine::job::Task;
use bursar::engine::presence::Role;
use bursar::engine::retry::Retry;
use bursar::engine::sweep::Sweep;
use bursar::engine::task::Trigger;
use bursar::engine::worker::Worker;
use bursar::engine::{queue, tasks};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_fault_is_tried_as_often_as_the_policy_says_and_no_other_is_tried_again() {
    let plant = Plant::new().await;
    plant.script("luck", &[Step::Transient, Step::Transient, Step::Done]);
    for (name, step) in
        [("ill", Step::Transient), ("data", Step::Data), ("config", Step::Config), ("panic", Step::Panic)]
    {
        plant.script(name, &[step]);
    }
    let _worker = plant.worker(4).await;
    let names = ["luck", "ill", "data", "config", "panic"];
    let run = plant.open(names.map(task).to_vec(), &[]).await;
    let (state, states) = plant.over(run).await;
    let failed = ["ill", "data", "config", "panic"].map(|name| (name, "failed"));
    assert_eq!(states, states_of(&[&[("luck", "succeeded")], &failed[..]].concat()));
    assert_eq!(state, "failed");
    let ill = "failed transient";
    assert_eq!(plant.attempts("luck").await, [ill, ill, "succeeded"]);
    assert_eq!(plant.attempts("ill").await, [ill, ill, ill]);
    assert_eq!(plant.attempts("data").await, ["failed data"]);
    assert_eq!(plant.attempts("config").await, ["failed config"]);
    assert_eq!(plant.attempts("panic").await, ["failed bug"], "and it is a fault of that task only");
    let fault: String = plant.world.scalar("select fault from bursar.runs").await;
    assert_eq!(fault, "bug", "the gravest");
    plant.assert_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_again_waits_for_its_delay() {
    let plant = Plant::new().await;
    plant.script("late", &[Step::Transient, Step::Done]);
    let _worker = plant.worker(1).await;
    let retry = Retry { attempts: 2, first_delay_s: 80_000, max_delay_s: 80_000 };
    let before = Utc::now();
    let run = plant.open(vec![Task { retry, ..task("late") }], &[]).await;
    plant.count_is(1, "bursar.task_runs where state = 'ready' and failures = 1 and offered_at is null").await;
    let ready_at: DateTime<Utc> = plant.world.scalar("select ready_at from bursar.task_runs").await;
    assert!(ready_at >= before && ready_at < Utc::now() + TimeDelta::seconds(80_000), "{ready_at}");
    assert_eq!(plant.kind.count("late"), 1);
    plant.sql("update bursar.task_runs set ready_at = now()").await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    assert_eq!(plant.attempts("late").await, ["failed transient", "succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_again_does_not_begin_the_next_attempt_before_its_time() {
    let plant = Plant::new().await;
    plant.script("late", &[Step::Transient, Step::Done]);
    let retry = Retry { attempts: 2, first_delay_s: 80_000, max_delay_s: 80_000 };
    let run = plant.open(vec![Task { retry, ..task("late") }], &[]).await;
    plant.repeat_messages().await;
    let _worker = plant.worker(1).await;
    plant.count_is(0, "apalis.jobs where status in ('Pending', 'Queued', 'Running')").await;
    plant.count_is(1, "bursar.task_runs where state = 'ready' and failures = 1 and offered_at is null").await;
    assert_eq!(plant.kind.count("late"), 1);
    assert_eq!(plant.state(run).await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_ended_and_tried_again() {
    let plant = Plant::new().await;
    plant.script("slow", &[Step::Slow, Step::Done]);
    plant.script("ever", &[Step::Slow]);
    let _worker = plant.worker(2).await;
    let slow = Task { timeout_s: Some(1), ..task("slow") };
    let retry = Retry { attempts: 2, first_delay_s: 0, max_delay_s: 0 };
    let ever = Task { timeout_s: Some(1), retry, ..task("ever") };
    let run = plant.open(vec![slow, ever], &[]).await;
    assert_eq!(plant.over(run).await.1, states_of(&[("slow", "succeeded"), ("ever", "failed")]));
    assert_eq!(plant.attempts("slow").await, ["failed transient", "succeeded"]);
    assert_eq!(plant.attempts("ever").await, ["failed transient", "failed transient"]);
    let error: String = plant.world.scalar("select error from bursar.task_runs where task = 'ever'").await;
    assert!(error.contains("not done within 1 s (timeout_s)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_hands_back_with_no_failure_counted() {
    let plant = Plant::new().await;
    plant.script("held", &[Step::Held]);
    let worker = plant.worker(1).await;
    let run = plant.open(vec![task("held")], &[]).await;
    until("it is begun", async || plant.kind.now() == 1).await;
    worker.stop(Duration::ZERO, Cause::Stopping).await;
    plant.count_is(1, "bursar.task_runs where state = 'ready' and failures = 0 and losses = 0").await;
    assert_eq!(plant.attempts("held").await, ["handed_back"]);
    plant.count_is(1, "bursar.workers where stopped_at is not null").await;
    plant.kind.let_go.add_permits(1);
    let _next = plant.worker(1).await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    assert_eq!(plant.attempts("held").await, ["handed_back", "succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_delivered_twice_is_one_attempt() {
    let plant = Plant::new().await;
    plant.script("once", &[Step::Takes(Duration::from_millis(300))]);
    let run = plant.open(vec![task("once")], &[]).await;
    let message = plant.message(run, "once").await;
    plant.repeat_messages().await;
    let (_one, _two) = (plant.worker(4).await, plant.worker(4).await);
    assert_eq!(plant.over(run).await.0, "succeeded");
    plant.assert_settled().await;
    assert_eq!(plant.kind.count("once"), 1);
    assert_eq!(plant.attempts("once").await, ["succeeded"]);
    assert!(tasks::claim(plant.pool(), &message, &plant.engine.claimant("late")).await.expect("an answer").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_on_a_task_five_times_fails_it_and_what_is_behind_it_is_skipped() {
    let plant = Plant::new().await;
    let run = plant.open(vec![task("deadly"), after("behind", &[0])], &[]).await;
    let mut sweep = Sweep::default();
    for death in 1..=5 {
        advance_now(plant.pool(), run, Utc::now(), None).await.expect("an offer");
        let message = plant.message(run, "deadly").await;
        let claimed = tasks::claim(plant.pool(), &message, &plant.engine.claimant(&format!("ghost {death}")))
            .await
            .expect("an answer");
        assert_eq!(claimed.expect("it is there to be claimed").fence.attempt, death);
        for _ in 0..2 {
            sweep.look(plant.pool(), Utc::now(), None).await.expect("a sweep");
        }
        plant.count_is(death.into(), "bursar.attempts where state = 'lost'").await;
    }
    sweep.look(plant.pool(), Utc::now(), None).await.expect("a sweep");
    let (state, states) = plant.over(run).await;
    assert_eq!(states, states_of(&[("deadly", "failed"), ("behind", "skipped")]));
    assert_eq!(state, "failed");
    assert_eq!(plant.attempts("deadly").await, ["lost"; 5]);
    let error: String = plant.world.scalar("select error from bursar.runs").await;
    assert!(error.contains("attempt 5 ended with its worker ghost 5, which died"), "{error}");
    let _worker = plant.worker(1).await;
    plant.assert_settled().await;
    assert_eq!(plant.kind.begun(), Vec::<String>::new());
}

/// Has commits of tasks that succeed wait for the test's advisory lock 42.
const WAIT_AT_COMMIT: &str = "create function wait_at_commit() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(42); return null; end $$;
 create constraint trigger wait_at_commit after update on bursar.task_runs deferrable initially deferred
    for each row when (new.state = 'succeeded' and new.task = 'settles') execute function wait_at_commit()";

const AT_COMMIT: &str = "pg_locks where locktype = 'advisory' and objid = 42 and classid = 0 and not granted
        and database = (select oid from pg_database where datname = current_database())";

/// When the connection is cut: after the server has committed, or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    BeforeCommit,
    AfterCommit,
}

/// A worker beyond a proxy commits, and never hears of it.
async fn unheard(cut: Cut, others: &[Task]) {
    let plant = Plant::new().await;
    let mut proxy = Proxy::to(&plant.world);
    plant.sql(WAIT_AT_COMMIT).await;
    let mut holder = plant.world.connect().await;
    sqlx::raw_sql("select pg_advisory_lock(42)").execute(&mut holder).await.expect("hold the commit");
    plant.script("settles", &[Step::Settles]);
    plant.script("waits", &[Step::Defer("file")]);
    let run = plant.open([&[task("settles"), after("behind", &[0])][..], others].concat(), &[]).await;
    let mut environment = plant.world.environment();
    environment.push(("DATABASE_URL", plant.world.database_url_through(&proxy)));
    environment.retain(|(name, value)| *name != "DATABASE_URL" || value.contains("127.0.0.1"));
    let settings = Settings::load(&plant.world.path("config"), &Environment::of(environment)).expect("settings");
    let beyond = Database::open(&settings).await.expect("the database");
    let kind = super::Scripted {
        steps: std::sync::Mutex::new(plant.kind.steps.lock().unwrap().clone()),
        seen: std::sync::Mutex::default(),
        let_go: tokio::sync::Semaphore::new(0),
        pool: beyond.pool.clone(),
    };
    let kind = std::sync::Arc::new(kind);
    let kinds: Vec<std::sync::Arc<dyn bursar::engine::task::TaskKind>> = vec![kind.clone()];
    let clock = bursar::clock::Clock::system();
    let engine = Engine::new(beyond.pool.clone(), beyond.queue.clone(), kinds, clock, None);
    let _worker = Worker::start(&engine, Role::Serve, 2, None).await.expect("a worker");
    plant.count_is(1, AT_COMMIT).await;
    let release = "select pg_advisory_unlock(42)";
    if cut == Cut::AfterCommit {
        proxy.stall(Way::ToProgram);
        sqlx::raw_sql(release).execute(&mut holder).await.expect("let it commit");
        plant.count_is(1, "bursar.task_runs where task = 'settles' and state = 'succeeded'").await;
        proxy.cut();
        proxy.heal();
    } else {
        proxy.cut();
        // It asks how its attempt stands, and the server has not decided.
        tokio::time::sleep(Duration::from_millis(300)).await;
        sqlx::raw_sql(release).execute(&mut holder).await.expect("let it commit");
    }
    plant.count_is(1, "bursar.task_runs where task = 'behind' and state = 'succeeded'").await;
    if others.is_empty() {
        assert_eq!(plant.over(run).await.0, "succeeded");
        plant.assert_settled().await;
    }
    assert_eq!(plant.attempts("settles").await, ["succeeded"]);
    assert_eq!(kind.count("settles"), 1);
    holder.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_heard_of_is_not_run_again() {
    unheard(Cut::AfterCommit, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_comes_after_its_connection_is_gone_is_not_run_again() {
    unheard(Cut::BeforeCommit, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_behind_a_task_whose_end_nobody_heard_of_begins_while_others_wait_for_hours() {
    unheard(Cut::BeforeCommit, &[task("waits")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_stuck_at_its_commit_does_not_keep_others_from_taking_it_over() {
    let plant = Plant::new().await;
    plant.sql(WAIT_AT_COMMIT).await;
    let mut holder = plant.world.connect().await;
    sqlx::raw_sql("select pg_advisory_lock(42)").execute(&mut holder).await.expect("hold the commit");
    plant.script("settles", &[Step::Settles]);
    let _worker = plant.worker(2).await;
    let run = plant.open(vec![task("settles")], &[]).await;
    plant.count_is(1, AT_COMMIT).await;
    let (task, item) = ("settles".to_owned(), String::new());
    let fence = bursar::db::fence::Fence::new(run, task, item, 1);
    let lost = tasks::lose(plant.pool(), &fence, "attempt 1 ended with its worker", Utc::now());
    let lost = tokio::time::timeout(Duration::from_secs(5), lost).await.expect("it is not waited for");
    // Its own worker may be quicker to record that the connection was cut.
    let lost = lost.expect("an answer");
    let first = if lost == tasks::Lost::Ready { "lost" } else { "failed transient" };
    sqlx::raw_sql("select pg_advisory_unlock(42)").execute(&mut holder).await.expect("let commits go");
    assert_eq!(plant.over(run).await.0, "succeeded");
    assert_eq!(plant.attempts("settles").await, [first, "succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_which_an_attempt_is_stuck_at_its_commit_can_be_cancelled() {
    let plant = Plant::new().await;
    plant.sql(WAIT_AT_COMMIT).await;
    let mut holder = plant.world.connect().await;
    sqlx::raw_sql("select pg_advisory_lock(42)").execute(&mut holder).await.expect("hold the commit");
    plant.script("settles", &[Step::Settles]);
    let _worker = plant.worker(2).await;
    let run = plant.open(vec![task("settles"), after("behind", &[0])], &[]).await;
    plant.count_is(1, AT_COMMIT).await;
    let cancelled = again::cancel(plant.pool(), run, "the test says so");
    let cancelled = tokio::time::timeout(Duration::from_secs(5), cancelled).await.expect("it is not waited for");
    assert!(cancelled.expect("an answer").is_some());
    sqlx::raw_sql("select pg_advisory_unlock(42)").execute(&mut holder).await.expect("let commits go");
    let (state, states) = plant.over(run).await;
    assert_eq!(
        (state.as_str(), states),
        ("cancelled", states_of(&[("settles", "cancelled"), ("behind", "cancelled")]))
    );
    plant.assert_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_claim_its_own_worker_never_heard_of_is_taken_over() {
    let plant = Plant::new().await;
    plant.script("gate", &[Step::Held]);
    let worker = plant.worker(1).await;
    let gate = plant.open_job(&job("gate", vec![task("gate")]), &[], Trigger::Operator, "2025-05-14").await;
    until("the only place is taken", async || plant.kind.now() == 1).await;
    let run = plant.open(vec![task("unheard")], &[]).await;
    let message = plant.message(run, "unheard").await;
    let claimed = tasks::claim(plant.pool(), &message, &plant.engine.claimant(worker.id())).await.expect("an answer");
    assert_eq!(claimed.expect("it is there to be claimed").fence.attempt, 1);
    plant.count_is(1, "bursar.attempts where task = 'unheard' and state = 'lost'").await;
    plant.kind.let_go.add_permits(1);
    assert_eq!(plant.over(run).await.0, "succeeded");
    assert_eq!(plant.over(gate).await.0, "succeeded");
    assert_eq!(plant.attempts("unheard").await, ["lost", "succeeded"]);
    assert_eq!(plant.attempts("gate").await, ["succeeded"], "what it knows of is let alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bench_of_the_queue_says_what_a_task_costs() {
    let world = crate::support::World::new().await;
    let ran = world.bursar(&["bench", "queue", "--tasks", "20", "--rounds", "2", "--json"]).code(0);
    let figures = ran.json();
    assert!(figures["ms_per_task"]["median"].as_f64().is_some_and(|ms| ms > 0.0), "{figures}");
    assert_eq!(figures["tasks"], 20);
    assert!(world.bursar(&["bench", "queue", "--tasks", "1", "--rounds", "1"]).code(0).stdout.contains("a task, ms"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_items_that_end_at_once_the_last_lets_the_run_go_on() {
    let plant = Plant::new().await;
    let names: Vec<String> = (0..200).map(|n| format!("n{n}")).collect();
    let items: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_one, _two) = (plant.worker(8).await, plant.worker(8).await);
    let since = Instant::now();
    let run = plant.open(vec![fanned("each"), after("behind", &[0])], &items).await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    plant.assert_settled().await;
    plant.count_is(201, "bursar.attempts where state = 'succeeded'").await;
    queue::prune(plant.pool()).await.expect("prune");
}
