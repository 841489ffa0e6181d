//! Workers that have different configurations and credentials.

use super::{Plant, Step, job, task};
use bursar::config::Fingerprint;
use bursar::engine::again;
use bursar::engine::attempt::Cause;
use bursar::engine::configurations::{Configuration, Configurations, Schedules};
use bursar::engine::dispatch::dispatch_due;
use bursar::engine::execute::Engine;
use bursar::engine::fleet::Fleet;
use bursar::engine::job::{Job, Task};
use bursar::engine::presence::Role;
use bursar::engine::stranded;
use bursar::engine::task::Trigger;
use bursar::engine::watch::Watch;
use bursar::engine::worker::Worker;
use chrono::{TimeDelta, Utc};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A configuration that is only a name.
struct Named(&'static str, Schedules);

impl Configurations for Named {
    fn present(&self) -> Configuration {
        let mut fingerprint = Fingerprint::default();
        fingerprint.add("customers", self.0.into());
        Configuration { hash: self.0.to_owned(), fingerprint, schedules: self.1.clone() }
    }

    fn served(&self) -> Vec<String> {
        vec![self.0.to_owned()]
    }
}

impl Plant {
    fn configured(&self, name: &'static str) -> Engine {
        self.engine.clone().with_configurations(Arc::new(Named(name, Schedules::default())))
    }

    /// The configurations of the attempts that were made, one after the other.
    async fn made_under(&self) -> Vec<String> {
        self.world.column("select config_hash from bursar.attempts order by started_at").await
    }

    async fn why_stranded(&self, run: Uuid) -> Option<String> {
        let mut found = stranded::list(self.pool(), Some(run)).await.expect("an answer");
        found.pop().map(|stranded| stranded.to_string())
    }

    async fn open_alerts(&self) -> Vec<String> {
        self.world.column("select key from bursar.alerts where state = 'open' order by key").await
    }
}

async fn up(engine: &Engine) -> Worker {
    Worker::start(engine, Role::Serve, 2, None).await.expect("a worker")
}

async fn down(worker: Worker) {
    worker.stop(Duration::from_secs(5), Cause::Stopping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_worked_on_only_under_its_configuration_and_is_reported_while_no_worker_has_it() {
    let mut plant = Plant::new().await;
    let (old, new) = (plant.configured("old"), plant.configured("new"));
    let other = up(&old).await;
    plant.engine = new.clone();
    let run = plant.open(vec![task("one"), task("two")], &[]).await;
    let passed = plant.open_job(&job("passed", vec![task("three")]), &[], Trigger::Operator, "2025-05-14").await;
    let why = plant.why_stranded(run).await.expect("it is stranded");
    assert_eq!(why, "no worker that is up has the configuration new, under which the run was opened");
    plant.count_is(0, "bursar.task_runs where offered_at is not null").await;
    // What lasts is alerted, once.
    let (mut watch, now) = (Watch::default(), Utc::now());
    watch.check(plant.pool(), now).await.expect("a look");
    assert_eq!(plant.open_alerts().await, Vec::<String>::new());
    for seconds in [31, 60] {
        watch.check(plant.pool(), now + TimeDelta::seconds(seconds)).await.expect("a look");
    }
    assert_eq!(plant.open_alerts().await, ["run_stranded passed/2025-05-14", "run_stranded test/2025-05-14"]);
    // A worker that has it takes all of it, although the other is up and idle.
    let worker = up(&new).await;
    assert_eq!((plant.over(run).await.0, plant.over(passed).await.0), ("succeeded".to_owned(), "succeeded".to_owned()));
    assert_eq!(plant.made_under().await, ["new"; 3]);
    watch.check(plant.pool(), now + TimeDelta::seconds(61)).await.expect("a look");
    assert_eq!(plant.open_alerts().await, Vec::<String>::new());
    plant.count_is(2, "bursar.alerts where state = 'resolved' and raised_count = 1").await;
    down(other).await;
    down(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_moves_a_run_to_the_present_configuration_unless_a_worker_works_on_it_under_its_own() {
    let mut plant = Plant::new().await;
    let (old, new) = (plant.configured("old"), plant.configured("new"));
    plant.script("fails", &[Step::Data, Step::Done]);
    plant.script("waits", &[Step::Defer("file"), Step::Done]);
    plant.engine = old.clone();
    let worker = up(&old).await;
    let run = plant.open(vec![task("done"), task("fails"), task("waits")], &[]).await;
    plant.count_is(1, "bursar.task_runs where state = 'succeeded'").await;
    plant.count_is(1, "bursar.task_runs where state = 'failed'").await;
    plant.count_is(1, "bursar.task_runs where state = 'deferred'").await;
    let next = up(&new).await;
    assert_eq!(again::retry(&new, run, None).await.expect("what failed").len(), 1);
    plant.count_is(2, "bursar.task_runs where state = 'succeeded'").await;
    assert_eq!(plant.made_under().await, ["old"; 4], "the run keeps its configuration while a worker has it");
    let refused = again::retry(&new, run, None).await.expect_err("nothing failed");
    assert!(refused.to_string().contains("there is nothing to repeat"), "{refused}");
    down(worker).await;
    assert!(plant.why_stranded(run).await.is_some());
    let labels = again::retry(&new, run, None).await.expect("what has not ended");
    assert_eq!(labels.iter().map(ToString::to_string).collect::<Vec<_>>(), ["waits"]);
    assert_eq!(plant.why_stranded(run).await, None);
    plant.sql("update bursar.task_runs set ready_at = now() where state = 'deferred'").await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    assert_eq!(plant.made_under().await, ["old", "old", "old", "old", "new"]);
    // A run that is over takes the present configuration.
    let latest = plant.configured("latest");
    let only = bursar::engine::task::Label { task: "done".to_owned(), item: None };
    again::retry(&latest, run, Some(&only)).await.expect("a repetition");
    let hash: String = plant.world.scalar("select config_hash from bursar.runs").await;
    assert_eq!(hash, "latest");
    down(next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_left_to_a_worker_that_has_its_credentials_and_is_reported_while_none_has() {
    let mut plant = Plant::new().await;
    let with = |names: &[&str]| plant.engine.clone().with_credentials(names.iter().map(|n| (*n).to_owned()).collect());
    let (bare, equipped) = (with(&["OTHER"]), with(&["OTHER", "TOKEN"]));
    plant.engine = bare.clone();
    let other = up(&bare).await;
    let needy = Task { subject: "needs TOKEN".to_owned(), ..task("needy") };
    let run = plant.open(vec![task("plain"), needy], &[]).await;
    plant.count_is(1, "bursar.task_runs where task = 'plain' and state = 'succeeded'").await;
    let why = plant.why_stranded(run).await.expect("it is stranded");
    assert_eq!(why, "no worker that is up has TOKEN, which needy needs");
    assert_eq!(plant.kind.begun(), ["plain"]);
    let worker = up(&equipped).await;
    assert_eq!(plant.over(run).await.0, "succeeded");
    let by: String = plant.world.scalar("select worker from bursar.attempts where task = 'needy'").await;
    assert_eq!(by, worker.id());
    assert_eq!(plant.attempts("needy").await, ["succeeded"]);
    down(other).await;
    down(worker).await;
}

/// A job with this schedule, as a daemon has it.
fn scheduled(plant: &Plant, name: &'static str, expression: &str) -> (Engine, Arc<Job>) {
    let schedule = bursar::engine::schedule::Schedule::parse(expression, "UTC").expect("a schedule");
    let schedules = Schedules::from([("tick".to_owned(), schedule.to_string())]);
    let engine = plant.engine.clone().with_configurations(Arc::new(Named(name, schedules)));
    (engine, Arc::new(Job { schedule: Some(schedule), ..job("tick", vec![task("tick")]) }))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_schedules_of_a_job_the_latest_is_in_force_and_the_other_does_not_keep_it_from_being_due() {
    let plant = Plant::new().await;
    let (old, old_job) = scheduled(&plant, "old", "*/10 * * * * *");
    let (blanks, blanks_job) = scheduled(&plant, "blanks", "*/10  *  * * * *");
    let (new, new_job) = scheduled(&plant, "new", "*/15 * * * * *");
    let (_one, _two) = (up(&old).await, up(&blanks).await);
    assert_eq!(Fleet::read(plant.pool()).await.expect("a look").conflicts(), [], "they differ in blanks");
    let latest = up(&new).await;
    let beat = async |now| {
        let fleet = Fleet::read(plant.pool()).await.expect("a look");
        for (engine, job) in [(&old, &old_job), (&blanks, &blanks_job), (&new, &new_job)] {
            if fleet.is_in_force("tick", job.schedule.as_ref().map(ToString::to_string).as_deref()) {
                let dispatched =
                    dispatch_due(engine, std::slice::from_ref(job), &|_: &_, _| HashMap::default(), now).await;
                assert!(dispatched.faults.is_empty(), "{:?}", dispatched.faults);
            }
        }
    };
    let start = "2025-05-14T12:00:01Z".parse::<chrono::DateTime<Utc>>().unwrap();
    for second in 0..=35 {
        beat(start + TimeDelta::seconds(second)).await;
    }
    let due = "select to_char(due_at at time zone 'UTC', 'MI:SS') from bursar.occurrences order by due_at";
    assert_eq!(plant.world.column(due).await, ["00:15", "00:30"]);
    let (mut watch, now) = (Watch::default(), Utc::now());
    for seconds in [0, 31] {
        watch.check(plant.pool(), now + TimeDelta::seconds(seconds)).await.expect("a look");
    }
    assert_eq!(plant.open_alerts().await, ["schedule_conflict tick"]);
    let text: String = plant.world.scalar("select text from bursar.alerts").await;
    assert!(text.starts_with("It is due by the latest configuration: 0,15,30,45 * * * * * UTC."), "{text}");
    // When the latest is gone the others agree, and theirs is in force.
    down(latest).await;
    for second in 36..=60 {
        beat(start + TimeDelta::seconds(second)).await;
    }
    assert_eq!(plant.world.column(due).await, ["00:15", "00:30", "00:40", "00:50", "01:00"]);
    watch.check(plant.pool(), now + TimeDelta::seconds(62)).await.expect("a look");
    assert_eq!(plant.open_alerts().await, Vec::<String>::new());
}
