//! Three daemons and one database that are killed, paused and cut off at random while they load; in the end every file is
//! loaded once, and every report is right.
//!
//! `BURSAR_TEST_CHAOS=full` makes it 200 blows and 300 loads instead of 60 and 100; `BURSAR_TEST_SEED` repeats a test.

mod deliveries;

use super::Plant;
use crate::proxy::{Proxy, Way};
use crate::running::Running;
use crate::support::World;
use bursar::app;
use bursar::catalog::InForce;
use bursar::engine::again;
use bursar::engine::job::Job;
use bursar::engine::task::Trigger;
use chrono::NaiveDate;
use deliveries::Deliveries;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How much of it.
struct Size {
    blows: usize,
    customers: usize,
    dates: usize,
}

fn size() -> Size {
    match std::env::var("BURSAR_TEST_CHAOS").as_deref() {
        Ok("full") => Size { blows: 200, customers: 30, dates: 10 },
        _ => Size { blows: 60, customers: 20, dates: 5 },
    }
}

fn seed() -> u64 {
    std::env::var("BURSAR_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..))
}

/// A daemon with a network of its own, and what is to be undone later.
struct Victim {
    proxy: Proxy,
    running: Running,
    paused_until: Option<Instant>,
    stalled_until: Option<Instant>,
}

impl Victim {
    fn start(world: &World) -> Self {
        let proxy = Proxy::to(world);
        let running = serve(world, &proxy);
        Self { proxy, running, paused_until: None, stalled_until: None }
    }

    /// One blow, mostly a kill.
    fn strike(&mut self, world: &World, random: &mut fastrand::Rng) -> &'static str {
        let is_whole = self.paused_until.is_none() && self.stalled_until.is_none();
        match random.u8(..100) {
            0..6 if is_whole => {
                self.running.signal(Signal::SIGSTOP);
                self.paused_until = Some(Instant::now() + Duration::from_millis(random.u64(9_000..12_000)));
                "pause"
            }
            6..12 if is_whole => {
                self.proxy.stall(if random.bool() { Way::ToServer } else { Way::ToProgram });
                self.stalled_until = Some(Instant::now() + Duration::from_millis(random.u64(500..11_000)));
                "stall"
            }
            12..30 => {
                self.proxy.cut();
                "cut"
            }
            _ => {
                self.running = serve(world, &self.proxy);
                "kill"
            }
        }
    }

    /// Undoes what has lasted long enough. A daemon that was cut off while it started has ended, and is started again.
    fn recover(&mut self, world: &World, is_end: bool) {
        let now = Instant::now();
        if self.paused_until.is_some_and(|until| is_end || until < now) {
            self.running.signal(Signal::SIGCONT);
            self.paused_until = None;
        }
        if self.stalled_until.is_some_and(|until| is_end || until < now) {
            self.proxy.heal();
            self.stalled_until = None;
        }
        if !self.running.is_up() {
            self.running = serve(world, &self.proxy);
        }
    }
}

/// A daemon beyond a proxy; one that it takes the place of is killed.
fn serve(world: &World, proxy: &Proxy) -> Running {
    Running::of(
        world
            .command(&["serve"])
            .env("DATABASE_URL", world.database_url_through(proxy))
            .env("BURSAR__ENGINE__PARALLEL_TASKS", "2")
            .env("BURSAR__DATABASE__CONNECT_TIMEOUT_S", "5"),
    )
}

/// Every load takes a moment with its transaction open, so that blows meet it.
const TAKE_TIME: &str = "create function take_time() returns trigger language plpgsql as
        $$ begin perform pg_sleep(random() * 0.25); return new; end $$;
     create trigger take_time before insert on bursar.loads for each row execute function take_time()";

/// The runs, opened one after the other while the blows fall.
struct Runs<'a> {
    plant: &'a Plant,
    job: Arc<Job>,
    items: Vec<&'a str>,
    dates: Vec<NaiveDate>,
    open: Vec<Uuid>,
}

impl Runs<'_> {
    /// Opens runs until as many are open as belong to this share of the blows.
    async fn open_until(&mut self, blow: usize, blows: usize) {
        while self.open.len() < self.dates.len() && self.open.len() * blows <= self.dates.len() * blow {
            let date = self.dates[self.open.len()].to_string();
            let trigger = if self.open.len().is_multiple_of(2) { Trigger::Backfill } else { Trigger::Operator };
            self.open.push(self.plant.open_job(&self.job, &self.items, trigger, &date).await);
        }
    }

    /// Runs in which a task died too often are retried, as an operator would.
    async fn retry_what_died_too_often(&self) -> usize {
        let query = "select id from bursar.runs as r where state = 'failed' and not exists (
            select from bursar.task_runs as t where t.run_id = r.id and t.state = 'failed' and t.losses < 5)";
        let ids: Vec<Uuid> = sqlx::query_scalar(query).fetch_all(self.plant.pool()).await.expect("runs");
        for id in &ids {
            again::retry(&self.plant.engine, *id, None).await.expect("retry");
        }
        ids.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_that_are_killed_paused_and_cut_off_load_every_file_once() {
    let (seed, size) = (seed(), size());
    eprintln!("seed {seed} (BURSAR_TEST_SEED={seed} repeats it)");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut plant = Plant::new().await;
    let deliveries = Deliveries::make(&plant.world, size.customers, size.dates, &mut random);
    plant.world.bursar(&["migrate"]).code(0);
    plant.sql(TAKE_TIME).await;
    let catalog = app::compile(&plant.world.settings()).expect("the configuration");
    // The runs are opened under the configuration that the daemons have.
    plant.engine = plant.engine.with_configurations(Arc::new(InForce::new(catalog.clone())));
    let world = &plant.world;
    let items = deliveries.customers().map(String::as_str).collect();
    let job = Arc::clone(catalog.job("customer-ratings").expect("the job"));
    let mut runs = Runs { plant: &plant, job, items, dates: deliveries.dates(), open: Vec::new() };

    let since = Instant::now();
    let mut victims: Vec<Victim> = (0..3).map(|_| Victim::start(world)).collect();
    let blows = strike_all(&mut victims, &mut runs, &mut random, size.blows).await;
    let (stricken, mut retried) = (since.elapsed(), 0);
    let open = "select count(*) from bursar.runs where state = 'running'";
    while world.scalar::<i64>(open).await > 0 || runs.retry_what_died_too_often().await > 0 {
        retried += runs.retry_what_died_too_often().await;
        if since.elapsed() > stricken + Duration::from_secs(90) {
            let said: Vec<String> = victims.iter().map(|v| v.running.said()).collect();
            panic!("seed {seed}: not over: {:?}\n{}", open_tasks(&plant).await, said.join("\n=====\n"));
        }
        for victim in &mut victims {
            victim.recover(world, true);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eprintln!("{blows:?} in {stricken:?}; over after {:?}; {retried} runs retried", since.elapsed());
    eprintln!("attempts: {:?}", attempts(&plant).await);
    // What dead daemons had fetched comes back when their lease is over, and is void.
    plant.count_is(0, "apalis.jobs where status in ('Pending', 'Queued', 'Running')").await;
    for victim in &mut victims {
        victim.recover(world, true);
        victim.running.says("answering on http://").await;
        victim.running.signal(Signal::SIGTERM);
    }
    for victim in victims {
        victim.running.ended().await.code(0);
    }
    deliveries.assert_loaded(world).await;
    plant.count_is(size.dates.try_into().unwrap(), "bursar.runs where state = 'succeeded'").await;
    plant.count_is(0, "bursar.runs where state <> 'succeeded'").await;
    plant.assert_settled().await;
}

/// So many blows, while the runs are opened one after the other; in the end all is healed. Says how many of each there were.
async fn strike_all(
    victims: &mut [Victim],
    runs: &mut Runs<'_>,
    random: &mut fastrand::Rng,
    blows: usize,
) -> BTreeMap<&'static str, usize> {
    let (mut struck, mut kinds) = (0, BTreeMap::new());
    while struck < blows {
        runs.open_until(struck, blows).await;
        tokio::time::sleep(Duration::from_millis(random.u64(50..550))).await;
        for victim in victims.iter_mut() {
            victim.recover(&runs.plant.world, false);
        }
        let mut awake: Vec<&mut Victim> = victims.iter_mut().filter(|v| v.paused_until.is_none()).collect();
        if awake.is_empty() {
            continue;
        }
        let victim = random.usize(..awake.len());
        *kinds.entry(awake[victim].strike(&runs.plant.world, random)).or_default() += 1;
        struck += 1;
    }
    runs.open_until(blows, blows).await;
    for victim in victims {
        victim.recover(&runs.plant.world, true);
    }
    kinds
}

async fn open_tasks(plant: &Plant) -> Vec<(String, String, String, i32, Option<String>)> {
    sqlx::query_as(
        "select task, item, state, attempt, error from bursar.task_runs where state not in ('succeeded', 'failed')",
    )
    .fetch_all(plant.pool())
    .await
    .expect("the open tasks")
}

async fn attempts(plant: &Plant) -> Vec<(String, i64)> {
    sqlx::query_as("select state, count(*) from bursar.attempts group by state order by state")
        .fetch_all(plant.pool())
        .await
        .expect("the attempts")
}
