//! How many tasks are under way: as many as may be, and never more.

use super::{Plant, Step, fanned, job, task};
use crate::running::until;
use bursar::engine::job::Job;
use bursar::engine::task::Trigger;
use std::time::Duration;

const SOON: Step = Step::Takes(Duration::from_millis(60));

fn items(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("n{n}")).collect()
}

/// Opens a run of a job whose tasks take a moment.
async fn open(plant: &Plant, job: &Job, count: usize, date: &str) -> uuid::Uuid {
    let items = items(count);
    let labels: Vec<&str> = items.iter().map(String::as_str).collect();
    for item in &items {
        plant.script(&format!("{}[{item}]", job.tasks[0].name), std::slice::from_ref(&SOON));
    }
    plant.open_job(job, &labels, Trigger::Backfill, date).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_limit_over_all_its_runs_and_two_workers_is_reached_and_never_exceeded() {
    let plant = Plant::new().await;
    let limited = Job { max_parallel_tasks: Some(3), ..job("limited", vec![fanned("each")]) };
    let (_one, _two) = (plant.worker(4).await, plant.worker(4).await);
    let mut runs = Vec::new();
    for date in ["2025-05-12", "2025-05-13", "2025-05-14"] {
        runs.push(open(&plant, &limited, 15, date).await);
    }
    for run in runs {
        assert_eq!(plant.over(run).await.0, "succeeded");
    }
    check_peak(&plant, 3);
    assert_eq!(plant.kind.begun().len(), 45);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_over_all_jobs_and_two_workers_is_reached_and_never_exceeded() {
    let plant = Plant::limited(Some(5)).await;
    let (_one, _two) = (plant.worker(4).await, plant.worker(4).await);
    let mut runs = Vec::new();
    for name in ["one", "two", "three"] {
        runs.push(open(&plant, &job(name, vec![fanned(name)]), 15, "2025-05-14").await);
    }
    for run in runs {
        assert_eq!(plant.over(run).await.0, "succeeded");
    }
    check_peak(&plant, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_as_many_tasks_as_it_may_and_no_more() {
    let plant = Plant::new().await;
    let _worker = plant.worker(3).await;
    let run = open(&plant, &job("free", vec![fanned("each")]), 20, "2025-05-14").await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    check_peak(&plant, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_kept_while_tasks_fail_are_tried_again_and_are_put_off() {
    let plant = Plant::new().await;
    let limited = Job { max_parallel_tasks: Some(2), ..job("limited", vec![fanned("each")]) };
    let (_one, _two) = (plant.worker(4).await, plant.worker(4).await);
    let names = items(16);
    let labels: Vec<&str> = names.iter().map(String::as_str).collect();
    for (n, item) in names.iter().enumerate() {
        let first =
            [Step::Transient, Step::DeferFor(chrono::TimeDelta::milliseconds(200)), SOON, Step::Panic][n % 4].clone();
        plant.script(&format!("each[{item}]"), &[first, SOON]);
    }
    let run = plant.open_job(&limited, &labels, Trigger::Schedule, "2025-05-14").await;
    assert_eq!(plant.over(run).await.0, "failed");
    check_peak(&plant, 2);
    plant.count_is(4, "bursar.task_runs where state = 'failed'").await;
    plant.assert_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_busy_for_longer_than_its_lease_loses_nothing() {
    let plant = Plant::new().await;
    let (_one, _two) = (plant.worker(1).await, plant.worker(1).await);
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        plant.script(name, &[Step::Takes(Duration::from_secs(if name < "c" { 12 } else { 0 }))]);
    }
    let run = plant.open(names.map(task).to_vec(), &[]).await;
    until("both are busy", async || plant.kind.now() == 2).await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    plant.count_is(5, "bursar.attempts where state = 'succeeded'").await;
    plant.count_is(5, "bursar.attempts").await;
}

/// As many at a time as may be, and no more. How many of these short tasks meet is the machine's business; that some do is
/// the law.
fn check_peak(plant: &Plant, most: usize) {
    let peak = plant.kind.peak();
    assert!(peak > 1 && peak <= most, "{peak} at a time, of {most}");
}
