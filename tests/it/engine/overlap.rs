//! Jobs that fall due while runs of them are open.

use super::{Plant, Step, job, task};
use bursar::engine::again;
use bursar::engine::attempt::Cause;
use bursar::engine::dispatch::dispatch_due;
use bursar::engine::job::{Catchup, Job, Overlap};
use bursar::engine::schedule::Schedule;
use bursar::engine::task::Trigger;
use bursar::engine::watch::Watch;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A job of one task that is called like it, due at these hours.
fn due(name: &str, hours: &str) -> Job {
    let schedule = Schedule::parse(&format!("0 {hours} * * *"), "UTC").expect("a schedule");
    let tasks = vec![task(name)];
    Job {
        schedule: Some(schedule),
        catchup: Catchup::All,
        catchup_limit: 31,
        overlap: Overlap::Skip,
        ..job(name, tasks)
    }
}

fn at(text: &str) -> DateTime<Utc> {
    format!("2025-05-{text}:00Z").parse().expect("an instant")
}

impl Plant {
    async fn beat(&self, job: &Job, now: &str) -> usize {
        let jobs = [Arc::new(job.clone())];
        let dispatched = dispatch_due(&self.engine, &jobs, &|_: &_, _| HashMap::default(), at(now)).await;
        assert!(dispatched.faults.is_empty(), "{:?}", dispatched.faults);
        dispatched.opened
    }

    /// Has the job's run for the 10th opened by its schedule, at 05:00.
    async fn begin(&self, job: &Job) -> Uuid {
        self.beat(job, "10T04:59").await;
        assert_eq!(self.beat(job, "10T05:00").await, 1);
        let newest = "select id from bursar.runs where job = $1 order by opened_at desc limit 1";
        sqlx::query_scalar(newest).bind(&job.name).fetch_one(self.pool()).await.expect("the run")
    }

    /// The states of the job's occurrences, oldest first.
    async fn occurrences(&self, job: &Job) -> Vec<String> {
        sqlx::query_scalar("select state from bursar.occurrences where job = $1 order by due_at")
            .bind(&job.name)
            .fetch_all(self.pool())
            .await
            .expect("the occurrences")
    }

    async fn has_begun(&self, task: &str, times: i64) {
        self.count_is(times, &format!("bursar.attempts where task = '{task}'")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occurrence_during_a_scheduled_run_is_skipped_and_alerted_until_its_date_is_run() {
    let plant = Plant::new().await;
    let worker = plant.worker(4).await;
    let loud = due("loud", "5");
    let quiet = Job { alert_skipped: false, ..due("quiet", "5") };
    let mut runs = Vec::new();
    for job in [&loud, &quiet] {
        plant.script(&job.name, &[Step::Held, Step::Done]);
        runs.push(plant.begin(job).await);
        plant.has_begun(&job.name, 1).await;
        assert_eq!(plant.beat(job, "11T05:00").await, 0);
        assert_eq!(plant.occurrences(job).await, ["ran", "skipped"], "{}", job.name);
    }
    let (mut watch, now) = (Watch::default(), Utc::now());
    for seconds in [0, 31] {
        watch.check(plant.pool(), now + TimeDelta::seconds(seconds)).await.expect("a look");
    }
    let open = "select key || ': ' || text from bursar.alerts where state = 'open'";
    let told = plant.world.column(open).await;
    let expected = format!(
        "occurrence_skipped loud/2025-05-11: It was due at 2025-05-11T05:00:00Z and was skipped: run {} was still going on \
         (overlap = skip).",
        runs[0]
    );
    assert_eq!(told, [expected]);
    plant.kind.let_go.add_permits(2);
    for run in runs {
        plant.over(run).await;
    }
    watch.check(plant.pool(), now + TimeDelta::seconds(62)).await.expect("a look");
    assert_eq!(plant.world.column(open).await.len(), 1, "the 11th was not run");
    let run = plant.open_job(&loud, &[], Trigger::Backfill, "2025-05-11").await;
    plant.over(run).await;
    watch.check(plant.pool(), now + TimeDelta::seconds(63)).await.expect("a look");
    assert_eq!(plant.world.column(open).await, Vec::<String>::new());
    worker.stop(Duration::from_secs(5), Cause::Stopping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_days_that_are_caught_up_wait_for_their_turn_however_long_a_run_takes() {
    let plant = Plant::new().await;
    let worker = plant.worker(4).await;
    let job = due("back", "5");
    plant.script("back", &[Step::Held]);
    plant.begin(&job).await;
    plant.has_begun("back", 1).await;
    for hour in ["13T09:00", "13T09:01"] {
        assert_eq!(plant.beat(&job, hour).await, 0);
    }
    assert_eq!(plant.occurrences(&job).await, ["ran", "queued", "queued", "queued"]);
    for begun in 1..=3 {
        plant.kind.let_go.add_permits(1);
        plant.count_is(begun, "bursar.runs where state = 'succeeded'").await;
        assert_eq!(plant.beat(&job, "13T09:02").await, 1);
        assert_eq!(plant.beat(&job, "13T09:03").await, 0, "one at a time");
        plant.has_begun("back", begun + 1).await;
    }
    plant.kind.let_go.add_permits(1);
    plant.count_is(4, "bursar.runs where state = 'succeeded'").await;
    let dates = plant.world.column("select to_char(run_date, 'DD') from bursar.runs order by opened_at").await;
    assert_eq!(dates, ["10", "11", "12", "13"]);
    worker.stop(Duration::from_secs(5), Cause::Stopping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occurrence_waits_for_a_run_that_was_interrupted_or_opened_again_and_for_an_operators() {
    let plant = Plant::new().await;
    // Interrupted: the worker stops amid the run of the 10th.
    let worker = plant.worker(4).await;
    let interrupted = due("interrupted", "5");
    plant.script("interrupted", &[Step::Held]);
    plant.begin(&interrupted).await;
    plant.has_begun("interrupted", 1).await;
    worker.stop(Duration::ZERO, Cause::Stopping).await;
    let worker = plant.worker(8).await;
    plant.has_begun("interrupted", 2).await;
    assert_eq!(plant.beat(&interrupted, "11T05:00").await, 0);
    // Opened again by an operator.
    let retried = due("retried", "5");
    plant.script("retried", &[Step::Data, Step::Held]);
    let run = plant.begin(&retried).await;
    assert_eq!(plant.over(run).await.0, "failed");
    again::retry(&plant.engine, run, None).await.expect("a retry");
    plant.has_begun("retried", 2).await;
    assert_eq!(plant.beat(&retried, "11T05:00").await, 0);
    // An operator's run for the same date; of two that are due for it, the first stands for the second.
    let asked = due("asked", "5,6");
    plant.script("asked", &[Step::Held]);
    plant.beat(&asked, "11T04:59").await;
    plant.open_job(&asked, &[], Trigger::Operator, "2025-05-11").await;
    plant.has_begun("asked", 1).await;
    assert_eq!(plant.beat(&asked, "11T05:00").await, 0);
    assert_eq!(plant.beat(&asked, "11T06:00").await, 0);
    assert_eq!(plant.occurrences(&asked).await, ["queued", "coalesced"]);
    plant.kind.let_go.add_permits(100);
    plant.count_is(0, "bursar.runs where state = 'running'").await;
    for job in [&interrupted, &retried, &asked] {
        assert_eq!(plant.beat(job, "11T07:00").await, 1, "{}", job.name);
    }
    assert_eq!(plant.occurrences(&interrupted).await, ["ran", "ran"]);
    assert_eq!(plant.occurrences(&retried).await, ["ran", "ran"]);
    assert_eq!(plant.occurrences(&asked).await, ["ran", "coalesced"]);
    worker.stop(Duration::from_secs(5), Cause::Stopping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_only_waits_for_a_file_keeps_no_other_date_from_being_run() {
    let plant = Plant::new().await;
    let worker = plant.worker(4).await;
    let job = due("awaits", "5");
    plant.script("awaits", &[Step::Defer("file"), Step::Done]);
    let run = plant.begin(&job).await;
    plant.count_is(1, "bursar.task_runs where state = 'deferred'").await;
    assert_eq!(plant.beat(&job, "11T05:00").await, 1);
    assert_eq!(plant.occurrences(&job).await, ["ran", "ran"]);
    plant.count_is(1, "bursar.runs where state = 'succeeded'").await;
    assert_eq!(plant.state(run).await, "running");
    worker.stop(Duration::from_secs(5), Cause::Stopping).await;
}
