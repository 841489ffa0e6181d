//! Backfills that are killed or told to stop, and go on when the same is said again.

use super::{RANGE, count, each, loads, one_agency, with};
use crate::running::{Running, Stall};
use nix::sys::signal::Signal;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backfill_goes_on_with_the_same_command_and_nothing_is_loaded_twice() {
    let world = one_agency().await;
    world.run_job("2025-05-12", &[]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &with(&["--missing-only"]));
    stall.reached().await;
    running.signal(Signal::SIGKILL);
    running.ended().await;
    assert_eq!(count(&world, "runs where state = 'running' and run_date = '2025-05-13'").await, 1);
    stall.release().await;
    let rows = world.bursar(&with(&["--missing-only", "--json"])).code(0).json();
    assert_eq!(each(&rows, "run_date"), ["2025-05-13", "2025-05-14"]);
    assert_eq!(loads(&world).await, ["12 published", "13 published", "14 published"]);
    assert_eq!(count(&world, "runs").await, 3, "the open run was joined");
    assert_eq!(count(&world, "attempts where state = 'lost'").await, 1);
    assert_eq!(world.rows("agency_a").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_is_told_to_stop_cancels_what_it_opened_and_begins_nothing_more() {
    let world = one_agency().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &with(&["--json"]));
    stall.reached().await;
    running.signal(Signal::SIGINT);
    let ran = running.ended().await.code(75);
    assert_eq!(each(&ran.json(), "state"), ["cancelled"]);
    assert!(ran.stderr.contains("2 of 3 run dates were not begun"), "{}", ran.stderr);
    assert!(ran.stderr.contains("say the same again to go on"), "{}", ran.stderr);
    assert_eq!(count(&world, "runs").await, 1);
    assert_eq!(count(&world, "task_runs where state not in ('cancelled', 'skipped')").await, 0);
    stall.release().await;
    assert_eq!(loads(&world).await, Vec::<String>::new());
    world.bursar(&RANGE).code(0);
    assert_eq!(loads(&world).await, ["12 published", "13 published", "14 published"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_only_joined_is_not_cancelled() {
    let world = one_agency().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let owner = Running::start(&world, &["run-job", "customer-ratings", "--date", "2025-05-12"]);
    stall.reached().await;
    let joining = Running::of(world.command(&RANGE).env("RUST_LOG", "info"));
    joining.says("is open; it is followed").await;
    joining.signal(Signal::SIGINT);
    let ran = joining.ended().await.code(75);
    assert!(ran.stdout.contains("running"), "{}", ran.stdout);
    stall.release().await;
    owner.ended().await.code(0);
    assert_eq!(loads(&world).await, ["12 published"]);
    assert_eq!(count(&world, "runs where state = 'succeeded'").await, 1);
}
