//! What is offered, when, and what becomes of offers and ends that fell between two steps.

use super::{Plant, Step, after, fanned, job, states_of, task};
use crate::running::until;
use bursar::engine::advance::{advance, advance_now};
use bursar::engine::attempt::Cause;
use bursar::engine::task::Trigger;
use bursar::engine::tasks;
use chrono::{TimeDelta, Utc};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_was_lost_is_made_again() {
    let plant = Plant::new().await;
    let run = plant.open(vec![task("lost")], &[]).await;
    plant
        .sql("delete from apalis.jobs; update bursar.task_runs set offered_at = offered_at - interval '1 minute'")
        .await;
    let _worker = plant.worker(1).await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    assert_eq!(plant.kind.count("lost"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_the_queue_holds_is_not_made_again_however_long_it_waits() {
    let plant = Plant::new().await;
    plant.script("first", &[Step::Held]);
    let _worker = plant.worker(1).await;
    let run = plant.open(vec![task("first"), task("second")], &[]).await;
    until("one is begun", async || plant.kind.now() == 1).await;
    plant.sql("update bursar.task_runs set offered_at = offered_at - interval '1 hour'").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    plant.count_is(2, "bursar.task_runs where offer = 1").await;
    plant.kind.let_go.add_permits(1);
    assert_eq!(plant.over(run).await.0, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_last_end_was_recorded_and_no_more_is_closed_by_the_sweep() {
    let plant = Plant::new().await;
    let run = plant.open(vec![task("ended"), after("behind", &[0])], &[]).await;
    plant.sql("delete from apalis.jobs; update bursar.task_runs set state = 'failed', fault = 'data', ended_at = now() where task = 'ended'").await;
    let _worker = plant.worker(1).await;
    let (state, states) = plant.over(run).await;
    assert_eq!((state.as_str(), states), ("failed", states_of(&[("ended", "failed"), ("behind", "skipped")])));
    assert_eq!(plant.kind.begun(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_did_not_go_on_goes_on_though_another_of_its_tasks_is_under_way() {
    let plant = Plant::new().await;
    plant.script("long", &[Step::Held]);
    let run =
        plant.open(vec![task("ended"), fanned("each"), after("behind", &[0, 1]), task("long")], &["a", "b"]).await;
    plant
        .sql(
            "delete from apalis.jobs where convert_from(job, 'utf8') not like '%long%';
        update bursar.task_runs set state = 'succeeded', ended_at = now() where task in ('ended', 'each')",
        )
        .await;
    let _worker = plant.worker(2).await;
    plant.count_is(1, "bursar.task_runs where task = 'behind' and state = 'succeeded'").await;
    assert_eq!(plant.kind.now(), 1, "and the long one goes on");
    plant.kind.let_go.add_permits(1);
    assert_eq!(plant.over(run).await.0, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_task_occupies_no_place_and_is_begun_when_it_is_woken() {
    let plant = Plant::new().await;
    plant.script("waits", &[Step::Defer("file a"), Step::Done]);
    plant.script("other", &[Step::Defer("file b"), Step::Done]);
    let _worker = plant.worker(1).await;
    let waiting = plant.open(vec![task("waits"), task("other")], &[]).await;
    plant.count_is(2, "bursar.task_runs where state = 'deferred'").await;
    let passing = plant.open_job(&job("passing", vec![task("passes")]), &[], Trigger::Backfill, "2025-05-14").await;
    assert_eq!(plant.over(passing).await.0, "succeeded", "the only place is free");
    let mut connection = plant.pool().acquire().await.expect("a connection");
    assert_eq!(tasks::wake(&mut connection, &["file a".to_owned()], Utc::now()).await.expect("wake"), 1);
    plant.count_is(1, "bursar.task_runs where task = 'waits' and state = 'succeeded'").await;
    plant.count_is(1, "bursar.task_runs where task = 'other' and state = 'deferred'").await;
    assert_eq!(
        tasks::wake(&mut connection, &["file a".to_owned()], Utc::now()).await.expect("wake"),
        0,
        "nobody waits for it now"
    );
    assert_eq!(tasks::wake(&mut connection, &["file b".to_owned()], Utc::now()).await.expect("wake"), 1);
    assert_eq!(plant.over(waiting).await.0, "succeeded");
    assert_eq!(plant.attempts("waits").await, ["deferred", "succeeded"]);
    plant.count_is(0, "bursar.task_runs where failures + losses > 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_task_looks_again_at_its_time_and_waits_on_if_it_must() {
    let plant = Plant::new().await;
    let soon = Step::DeferFor(TimeDelta::milliseconds(500));
    plant.script("looks", &[soon.clone(), soon, Step::Done]);
    let _worker = plant.worker(1).await;
    let run = plant.open(vec![task("looks")], &[]).await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    assert_eq!(plant.attempts("looks").await, ["deferred", "deferred", "succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_scheduled_run_pass_those_of_a_backfill_that_wait() {
    let plant = Plant::new().await;
    let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
    let items: Vec<&str> = names.iter().map(String::as_str).collect();
    plant.script("gate", &[Step::Held]);
    let worker = plant.worker(1).await;
    plant.open_job(&job("gate", vec![task("gate")]), &[], Trigger::Operator, "2025-05-14").await;
    until("the only place is taken", async || plant.kind.now() == 1).await;
    let open = async |name: &'static str, trigger| {
        plant.open_job(&job(name, vec![fanned(name)]), &items, trigger, "2025-05-14").await
    };
    let backfill = open("backfill", Trigger::Backfill).await;
    let schedule = open("schedule", Trigger::Schedule).await;
    let operator = open("operator", Trigger::Operator).await;
    plant.kind.let_go.add_permits(1);
    for run in [operator, schedule, backfill] {
        assert_eq!(plant.over(run).await.0, "succeeded");
    }
    worker.stop(Duration::from_secs(5), Cause::Stopping).await;
    let begun: Vec<String> = plant.kind.begun().iter().map(|l| l.split('[').next().unwrap().to_owned()).collect();
    let expected = [vec!["gate"], vec!["operator"; 20], vec!["schedule"; 20], vec!["backfill"; 20]].concat();
    assert_eq!(begun, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_items_of_a_task_are_begun_in_the_order_of_the_plan() {
    let plant = Plant::new().await;
    let names: Vec<String> = (0..30).map(|n| format!("n{n:02}")).collect();
    let items: Vec<&str> = names.iter().map(String::as_str).collect();
    let run = plant.open(vec![fanned("each")], &items).await;
    let _worker = plant.worker(1).await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    let expected: Vec<String> = items.iter().map(|item| format!("each[{item}]")).collect();
    assert_eq!(plant.kind.begun(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_paused_while_it_lets_a_run_go_on_does_not_keep_others_from_it() {
    let plant = Plant::new().await;
    let run = plant.open(vec![task("one")], &[]).await;
    let mut paused = plant.pool().begin().await.expect("begin");
    advance(&mut paused, run, Utc::now(), None).await.expect("it goes on, and is paused before its commit");
    let others = advance_now(plant.pool(), run, Utc::now(), None);
    tokio::time::timeout(Duration::from_secs(15), others).await.expect("they are let in").expect("and go on");
    assert!(paused.commit().await.is_err(), "and what it did counts for nothing");
}
