//! The engine against the model: random DAGs of tasks that fail, wait, panic and take too long, on two workers.

use super::model::{Plan, plans};
use super::{Plant, Step, job};
use bursar::engine::attempt::Cause;
use bursar::engine::task::{TaskState, Trigger};
use bursar::engine::tasks;
use chrono::Utc;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// How many DAGs are worked on side by side.
const PLANS: usize = 24;

/// Random plans whose tasks have names of their own, so that a script can tell them apart.
fn some_plans(seed: u64) -> Vec<Plan> {
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let plan = |p: usize| {
        let mut plan = plans(5).new_tree(&mut runner).expect("a plan").current();
        for task in &mut plan.tasks {
            task.name = format!("p{p}{}", task.name);
        }
        plan
    };
    (0..PLANS).map(plan).collect()
}

/// Steps that come to this in the end, with at most three attempts.
fn steps(fate: TaskState, random: &mut fastrand::Rng) -> Vec<Step> {
    let choices = match fate {
        TaskState::Succeeded => vec![
            vec![Step::Done],
            vec![Step::Settles],
            vec![Step::Transient, Step::Transient, Step::Done],
            vec![Step::Defer("file"), Step::Settles],
            vec![Step::Transient, Step::Defer("file"), Step::Transient, Step::Done],
            vec![Step::Slow, Step::Done],
        ],
        TaskState::Failed => vec![
            vec![Step::Data],
            vec![Step::Config],
            vec![Step::Panic],
            vec![Step::Transient],
            vec![Step::Defer("file"), Step::Transient, Step::Data],
        ],
        _ => vec![vec![Step::Skip], vec![Step::Transient, Step::Skip]],
    };
    random.choice(choices).expect("a choice")
}

/// Writes the script of a plan; what is to take too long gets its limit.
fn script(plant: &Plant, plan: &mut Plan, random: &mut fastrand::Rng) {
    for (task, item, fate) in plan.nodes() {
        let steps = steps(fate, random);
        if steps.contains(&Step::Slow) {
            plan.tasks[task].timeout_s = Some(1);
        }
        plant.script(&plan.label(task, item.as_ref()), &steps);
    }
}

/// Wakes what waits, again and again, until all runs are over.
async fn wake_until_over(plant: &Plant, runs: &[Uuid]) {
    let since = std::time::Instant::now();
    let open = "select count(*) from bursar.runs where state = 'running'";
    let mut connection = plant.world.connect().await;
    while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut connection).await.unwrap() > 0 {
        assert!(since.elapsed() < Duration::from_mins(1), "{} runs are not over", runs.len());
        tasks::wake(&mut connection, &["file".to_owned()], Utc::now()).await.expect("wake");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn words(ends: BTreeMap<String, TaskState>) -> BTreeMap<String, String> {
    ends.into_iter().map(|(label, state)| (label, state.as_str().to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_dags_on_two_workers_end_as_the_model_says() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut dags = some_plans(seed);
    let plant = Plant::new().await;
    let (one, two) = (plant.worker(4).await, plant.worker(3).await);
    let mut runs = Vec::new();
    for (p, plan) in dags.iter_mut().enumerate() {
        script(&plant, plan, &mut random);
        let job = job(&format!("plan-{p}"), plan.tasks.clone());
        let trigger = random.choice([Trigger::Operator, Trigger::Schedule, Trigger::Backfill]).expect("one");
        runs.push(plant.open_job(&job, &plan.items, trigger, "2025-05-14").await);
    }
    wake_until_over(&plant, &runs).await;
    for (plan, run) in dags.iter().zip(&runs) {
        let expected = plan.ends();
        let has_failed = expected.values().any(|end| *end == TaskState::Failed);
        let (state, states) = plant.over(*run).await;
        assert_eq!(states, words(expected), "seed {seed}: {plan:?}");
        assert_eq!(state, if has_failed { "failed" } else { "succeeded" }, "seed {seed}: {plan:?}");
    }
    one.stop(Duration::from_secs(5), Cause::Stopping).await;
    two.stop(Duration::from_secs(5), Cause::Stopping).await;
    plant.assert_settled().await;
    plant.count_is(0, "bursar.attempts where state = 'lost'").await;
}
