//! The program is killed at every step of its work, and started again: each charge has one invoice in the end.
//! `BURSAR_TEST_KILLS=500` kills it more often than the 25 times that are enough for every day.

use super::fake::Step;
use super::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Kills the program when so many steps more were made at the fake: at once, or a moment later, when it is at work on
/// what it was answered.
#[derive(Default)]
struct Killer {
    pid: Mutex<Option<u32>>,
    steps_left: AtomicI64,
    late_us: AtomicI64,
}

impl Killer {
    fn aim(&self, pid: u32, steps: i64, late_us: i64) {
        *self.pid.lock().expect("a pid") = Some(pid);
        self.late_us.store(late_us, Ordering::SeqCst);
        self.steps_left.store(steps, Ordering::SeqCst);
    }

    fn step(self: &Arc<Self>) {
        if self.steps_left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        let late = Duration::from_micros(u64::try_from(self.late_us.load(Ordering::SeqCst)).unwrap_or(0));
        if late.is_zero() {
            return self.strike();
        }
        let killer = Arc::clone(self);
        std::thread::spawn(move || {
            std::thread::sleep(late);
            killer.strike();
        });
    }

    fn strike(&self) {
        if let Some(pid) = self.pid.lock().expect("a pid").take() {
            let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGKILL);
        }
    }
}

/// Asks for invoices until each is answered or the program is gone; who gets no answer asks again in another life.
async fn ask(daemon: &Daemon, charges: &[String]) {
    let asked = charges.iter().map(|charge| async move {
        let body = json!({"send_email": false});
        let key = format!("key-{charge}");
        let request = daemon.client.post(daemon.url(charge, "")).header("idempotency-key", key).json(&body);
        let _ = daemon.send(request).await;
    });
    futures_util::future::join_all(asked).await;
}

async fn finish(world: &World, fake: &Fake, charges: &[String], environment: &[(&str, &str)]) {
    fake.change(|scenario| {
        scenario.chaos.clear();
        scenario.plan.clear();
        scenario.usual = Happening::Sync;
    });
    let daemon = Daemon::start(world, fake, environment).await;
    // Those whose request never came to be stored are asked for again by their clients; all others are gone on with.
    for some in charges.chunks(50) {
        ask(&daemon, some).await;
    }
    let made = "select count(*) from charges.outbox where state = 'succeeded'";
    let all = i64::try_from(charges.len()).expect("a count");
    // Pauses grow with each failure; nobody has to sit through them here.
    let soon = "update charges.outbox set next_at = now() where state <> 'succeeded'";
    let since = Instant::now();
    while world.scalar::<i64>(made).await < all {
        world.sql(soon).await;
        let left = "select o::text from charges.outbox as o where state <> 'succeeded'";
        assert!(since.elapsed() < Duration::from_mins(1), "these have no invoice yet: {:#?}", world.column(left).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let wrong: Vec<_> = charges.iter().filter(|charge| fake.invoices_of(&number(charge)) != 1).collect();
    assert_eq!(wrong, Vec::<&String>::new(), "charges that have not exactly one invoice at the fake");
    assert_eq!(fake.invoices(), charges.len());
    let rows = "select count(distinct pricer_invoice_id)::bigint from charges.acc_uac_invoice";
    assert_eq!(world.scalar::<i64>(rows).await, all);
    let once = "select count(*) from charges.acc_uac_invoice";
    assert_eq!(world.scalar::<i64>(once).await, all);
    let lines = "select count(*) from charges.acc_uac_invoice_line";
    assert_eq!(world.scalar::<i64>(lines).await, all);
    let keys = "select count(*) from charges.outbox where attempt <> 1 or needs_operator";
    assert_eq!(world.scalar::<i64>(keys).await, 0, "nobody had to take another key");
    assert_eq!(fake.keys(), charges.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_killed_and_whatever_is_cut_each_charge_has_one_invoice() {
    const CHARGES: usize = 20;
    let kills = std::env::var("BURSAR_TEST_KILLS").map_or(25, |kills| kills.parse::<usize>().expect("a number"));
    let killer = Arc::new(Killer::default());
    let hooked = Arc::clone(&killer);
    let scenario = Scenario {
        chaos: vec![
            Happening::Sync,
            Happening::Sync,
            Happening::Async(0),
            Happening::Async(1),
            Happening::ErrorAfter(500),
            Happening::Refuse(503),
            Happening::CutBefore,
            Happening::CutAfter,
            Happening::CutWithin,
            Happening::Babble,
            Happening::Busy,
            Happening::JobForgotten,
        ],
        hook: Some(Arc::new(move |_, _| hooked.step())),
        ..Scenario::default()
    };
    let (world, fake) = (World::new().await, serve(scenario).await);
    let environment = [("BURSAR__CHARGES__WAIT_S", "3")];
    let mut all: Vec<String> = Vec::new();
    for round in 0..kills {
        let mut daemon = Daemon::start(&world, &fake, &environment).await;
        let late_us = if round % 3 == 0 { 0 } else { fastrand::i64(1..30_000) };
        killer.aim(daemon.running.pid(), fastrand::i64(1..50), late_us);
        let charges: Vec<String> = (0..CHARGES).map(|_| new_charge()).collect();
        // Some of those before are asked for again.
        let recent = all.iter().rev().take(500);
        let again: Vec<String> = recent.filter(|_| fastrand::u8(..8) == 0).cloned().collect();
        all.extend(charges.iter().cloned());
        ask(&daemon, &[charges, again].concat()).await;
        // Where there were fewer steps than it waited for, it is killed while it follows up.
        killer.strike();
        until("it is gone", || {
            let is_up = daemon.running.is_up();
            async move { !is_up }
        })
        .await;
    }
    finish(&world, &fake, &all, &environment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_each_step_of_a_request_makes_no_second_invoice() {
    let killer = Arc::new(Killer::default());
    let aimed: Arc<Mutex<Option<Step>>> = Arc::default();
    let (hooked, at) = (Arc::clone(&killer), Arc::clone(&aimed));
    let hook = move |step: Step, _: &str| {
        if *at.lock().expect("a step") == Some(step) {
            hooked.strike();
        }
    };
    let scenario = Scenario { hook: Some(Arc::new(hook)), ..Scenario::default() };
    let (world, fake) = (World::new().await, serve(scenario).await);
    let mut all: Vec<String> = Vec::new();
    for (happening, step) in [
        (Happening::Sync, Step::Arrived),
        (Happening::Sync, Step::Done),
        (Happening::Async(1), Step::Arrived),
        (Happening::Async(1), Step::Done),
        (Happening::Async(1), Step::Polled),
        (Happening::ErrorAfter(502), Step::Done),
    ] {
        let mut daemon = Daemon::start(&world, &fake, &[]).await;
        for before in &all {
            daemon.becomes(before, "succeeded").await;
        }
        fake.plan([happening]);
        let charge = new_charge();
        killer.aim(daemon.running.pid(), i64::MAX, 0);
        *aimed.lock().expect("a step") = Some(step);
        ask(&daemon, std::slice::from_ref(&charge)).await;
        until("it is gone", || {
            let is_up = daemon.running.is_up();
            async move { !is_up }
        })
        .await;
        *aimed.lock().expect("a step") = None;
        let state = format!("select state from charges.outbox where charge_id = '{charge}'");
        let state: String = world.scalar(&state).await;
        let expected = if step == Step::Polled { "accepted" } else { "sent" };
        assert_eq!(state, expected, "{happening:?} {step:?}: it was stored before it was sent");
        all.push(charge);
    }
    finish(&world, &fake, &all, &[]).await;
}
