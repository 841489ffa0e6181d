//! Daemons that die or fall silent in the middle of a load, and those that take it over.

use crate::running::{Running, Stall, until};
use crate::support::{World, ratings};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

const ROWS: [&str; 2] = ["(1,10,20,high-value)", "(2,20,30,low-value)"];

/// One agency whose file is there, and a job that is due each second, of which only one occurrence is run.
async fn due() -> World {
    let world = World::new().await;
    world.edit("customers.toml", |_| "[[customer]]\nname = \"agency_a\"\ncode = \"A\"\n".to_owned());
    world.deliver("A", ratings(&["1,10,20,high-value", "x,1,1,low-value", "2,20,30,low-value"]));
    world.edit("jobs/customer-ratings.toml", |text| {
        text.replace("0 5 * * *", "* * * * * *").replace("America/New_York", "UTC")
    });
    world.bursar(&["migrate"]).code(0);
    world
}

async fn daemon(world: &World) -> Running {
    let running = Running::start(world, &["serve"]);
    running.says("answering on http://").await;
    running
}

/// Waits until so many rows are there; says how long it took.
async fn seen(world: &World, bound: Duration, what: &str) -> Duration {
    let since = Instant::now();
    while world.scalar::<i64>(&format!("select count(*) from bursar.{what}")).await == 0 {
        assert!(since.elapsed() < bound, "not within {bound:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    since.elapsed()
}

async fn assert_once(world: &World) {
    assert_eq!(world.rows("agency_a").await, ROWS);
    let open = "select count(*) from bursar.file_invalid_rows as x join bursar.loads as l on l.id = x.load_id
        where x.status = 'open' and l.run_date = (select min(run_date) from bursar.loads)";
    let open: i64 = world.scalar(open).await;
    assert_eq!(open, 1);
    let twice: i64 = world
        .scalar("select count(*) from (select from bursar.attempts where state = 'succeeded' group by run_id, task, item having count(*) > 1) as t")
        .await;
    assert_eq!(twice, 0);
}

const SECOND: &str = "attempts where item = 'agency_a' and attempt = 2 and state = 'running'";

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_daemon_is_killed_is_taken_over_by_another_within_15_seconds() {
    let world = due().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let first = daemon(&world).await;
    stall.reached().await;
    let second = daemon(&world).await;
    first.signal(Signal::SIGKILL);
    let took = seen(&world, Duration::from_secs(15), SECOND).await;
    eprintln!("taken over after {took:?}");
    stall.release().await;
    seen(&world, Duration::from_secs(15), "runs where state = 'succeeded'").await;
    second.signal(Signal::SIGTERM);
    second.ended().await.code(0);
    assert_once(&world).await;
}

/// A daemon is stopped in the middle of a load, until another has taken it over and more.
async fn is_stopped_past_its_lease(hold_commit: bool) {
    let world = due().await;
    let at_commit = "create function wait_at_commit() returns trigger language plpgsql as
            $$ begin perform pg_advisory_xact_lock_shared(42); return null; end $$;
         create constraint trigger wait_at_commit after update on bursar.task_runs deferrable initially deferred
            for each row when (new.state = 'succeeded' and new.item = 'agency_a') execute function wait_at_commit()";
    let mut stall = Stall::of(&world, "agency_a").await;
    if hold_commit {
        let mut connection = world.connect().await;
        let free = "drop trigger wait_for_the_test on customer_rating_agency_a";
        sqlx::raw_sql(free).execute(&mut connection).await.expect("loads go through");
        sqlx::raw_sql(at_commit).execute(&mut connection).await.expect("and stand still at their commit");
    }
    let first = daemon(&world).await;
    stall.reached().await;
    first.signal(Signal::SIGSTOP);
    let second = daemon(&world).await;
    let took = seen(&world, Duration::from_secs(18), SECOND).await;
    eprintln!("taken over after {took:?}");
    stall.release().await;
    seen(&world, Duration::from_secs(15), "runs where state = 'succeeded'").await;
    first.signal(Signal::SIGCONT);
    first.says("is stale").await;
    for daemon in [first, second] {
        daemon.signal(Signal::SIGTERM);
        daemon.ended().await.code(0);
    }
    assert_once(&world).await;
    until("no attempt is open", async || {
        world.scalar::<i64>("select count(*) from bursar.attempts where state = 'running'").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_daemon_is_stopped_past_its_lease_is_taken_over_and_the_late_one_has_no_effect() {
    is_stopped_past_its_lease(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_stopped_between_settling_and_committing_keeps_nobody_from_taking_over() {
    is_stopped_past_its_lease(true).await;
}
