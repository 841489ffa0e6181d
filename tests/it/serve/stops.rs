//! Daemons that are told to stop, that are killed, and those that come after.

use super::{Daemon, count, due, recorded};
use crate::proxy::{Proxy, Way};
use crate::running::{Shut, Stall, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_cut_off_from_its_database_stops_when_it_is_told_to() {
    let world = due("* * * * * *").await;
    let daemon = Daemon::start(&world).await;
    world.shut(Shut::Closed).await;
    until("it is not ready", async || daemon.get("/ready").0 == 503).await;
    assert_eq!(daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code, 0);
    world.shut(Shut::Open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_nothing_or_half_a_request_do_not_keep_a_daemon_from_stopping() {
    let world = due("0 5 * * *").await;
    let daemon = Daemon::start(&world).await;
    let _silent = TcpStream::connect(daemon.address).expect("connect");
    let mut half = TcpStream::connect(daemon.address).expect("connect");
    half.write_all(b"GET /health HTTP/1.1\r\nhost: x").expect("half a request");
    let mut kept = TcpStream::connect(daemon.address).expect("connect");
    kept.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").expect("a request");
    let answered = kept.read(&mut [0; 64]).expect("an answer");
    assert!(answered > 0);
    assert_eq!(daemon.stop(Signal::SIGTERM, Duration::from_secs(10)).await.code, 0);
}

/// A daemon that is told to stop while a load stands still lets it go on to its end.
async fn finishes_when_told_by(signal: Signal) {
    let world = due("* * * * * *").await;
    world.bursar(&["migrate"]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let daemon = Daemon::start(&world).await;
    stall.reached().await;
    daemon.running.signal(signal);
    daemon.running.says("stopping: no new runs are started").await;
    stall.release().await;
    assert_eq!(daemon.running.ended().await.code, 0);
    assert_eq!(world.rows("agency_a").await, ["(1,10,20,high-value)", "(2,20,30,low-value)"]);
    assert_eq!(count(&world, "runs").await, 1);
    assert_eq!(count(&world, "task_runs where state = 'succeeded' and item = 'agency_a'").await, 1);
    assert_eq!(count(&world, "attempts where state = 'handed_back'").await, 0);
    assert_eq!(count(&world, "occurrences where state = 'ran'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_under_way_is_finished_within_the_grace_time() {
    tokio::join!(finishes_when_told_by(Signal::SIGTERM), finishes_when_told_by(Signal::SIGINT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_outlasts_the_grace_time_is_handed_back_with_no_attempt_spent() {
    let world = due("* * * * * *").await;
    world.bursar(&["migrate"]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let daemon = Daemon::with(&world, &[("BURSAR__ENGINE__GRACE_S", "0")]).await;
    stall.reached().await;
    let ran = daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await;
    assert_eq!(ran.code, 0, "a stop for a deployment is no failure: {}", ran.stderr);
    assert!(ran.stderr.contains("tasks are still going on after 0 s; they are handed back"), "{}", ran.stderr);
    assert_eq!(world.rows("agency_a").await, Vec::<String>::new());
    assert_eq!(count(&world, "loads where customer = 'agency_a'").await, 0);
    let handed_back = "task_runs where item = 'agency_a' and state = 'ready' and failures = 0 and losses = 0";
    assert_eq!(count(&world, handed_back).await, 1);
    assert_eq!(count(&world, "attempts where item = 'agency_a' and state = 'handed_back'").await, 1);
    stall.release().await;
    let daemon = Daemon::start(&world).await;
    recorded(&world, 1, "occurrences as o join bursar.runs as r on r.id = o.run_id and r.state = 'succeeded' where o.due_at = (select min(due_at) from bursar.occurrences)").await;
    daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
    assert_eq!(world.rows("agency_a").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_daemon_at_once() {
    let world = due("* * * * * *").await;
    world.bursar(&["migrate"]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let daemon = Daemon::start(&world).await;
    let backend = stall.reached().await;
    daemon.running.signal(Signal::SIGTERM);
    daemon.running.says("stopping: no new runs are started").await;
    daemon.stop(Signal::SIGTERM, Duration::from_secs(2)).await.code(75);
    stall.release().await;
    until("the server has cleared the load away", async || {
        world.scalar::<bool>(&format!("select not exists (select from pg_stat_activity where pid = {backend})")).await
    })
    .await;
    assert_eq!(world.rows("agency_a").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_of_a_killed_daemon_are_gone_on_with_by_the_next() {
    let world = due("* * * * * *").await;
    world.bursar(&["migrate"]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let daemon = Daemon::start(&world).await;
    stall.reached().await;
    daemon.stop(Signal::SIGKILL, Duration::from_secs(5)).await;
    assert_eq!(count(&world, "runs where state = 'running'").await, 1);
    stall.release().await;
    let daemon = Daemon::start(&world).await;
    assert!(daemon.running.said().contains("1 runs are open, "), "{}", daemon.running.said());
    recorded(&world, 1, "occurrences as o join bursar.runs as r on r.id = o.run_id and r.state = 'succeeded' where o.due_at = (select min(due_at) from bursar.occurrences)").await;
    daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
    assert!(count(&world, "attempts where state = 'lost'").await >= 1);
    assert_eq!(world.rows("agency_a").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_of_a_killed_daemon_are_taken_over_by_one_that_is_up() {
    let world = due("* * * * * *").await;
    world.bursar(&["migrate"]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let first = Daemon::start(&world).await;
    stall.reached().await;
    let second = Daemon::start(&world).await;
    recorded(&world, 1, "occurrences where state = 'skipped'").await;
    first.stop(Signal::SIGKILL, Duration::from_secs(5)).await;
    stall.release().await;
    recorded(&world, 1, "attempts where item = 'agency_a' and state = 'lost'").await;
    recorded(&world, 2, "runs where state = 'succeeded'").await;
    second.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lock_is_lost_neither_stops_the_beat_nor_takes_effect_twice() {
    let world = due("* * * * * *").await;
    world.bursar(&["migrate"]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let daemon = Daemon::start(&world).await;
    stall.reached().await;
    let cut: i64 = world
        .scalar(
            "select count(pg_terminate_backend(a.pid)) from pg_stat_activity as a
              where a.datname = current_database() and a.application_name = 'bursar' and a.state = 'idle'
                and exists (select from pg_locks as l where l.pid = a.pid and l.locktype = 'advisory' and l.granted)",
        )
        .await;
    assert_eq!(cut, 1, "the connection that holds the run's lock");
    let before = count(&world, "occurrences").await;
    recorded(&world, before + 3, "occurrences").await;
    assert_eq!(daemon.get("/ready").0, 200);
    stall.release().await;
    recorded(&world, 1, "runs where state = 'succeeded'").await;
    daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
    assert_eq!(world.rows("agency_a").await.len(), 2);
    assert_eq!(count(&world, "loads where is_current").await, 1);
    assert_eq!(count(&world, "task_runs where state in ('waiting', 'running')").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_database_falls_silent_is_not_ready_and_stops_all_the_same() {
    let world = due("* * * * * *").await;
    let proxy = Proxy::to(&world);
    let url = world.database_url_through(&proxy);
    let environment = [("DATABASE_URL", url.as_str()), ("BURSAR__ENGINE__GRACE_S", "1")];
    let daemon = Daemon::with(&world, &environment).await;
    until("it works", async || count(&world, "occurrences where state = 'ran'").await > 0).await;
    proxy.stall(Way::ToProgram);
    until("its sweep is stale", async || {
        let (status, body) = daemon.get("/ready");
        status == 503 && body["sweep"] == "stale"
    })
    .await;
    daemon.running.signal(Signal::SIGTERM);
    daemon.running.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing() {
    let world = due("* * * * * *").await;
    let mut command = world.command(&["serve"]);
    command.env("RUST_LOG", "trace,bursar=trace,sqlx=trace").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start bursar");
    // A pipe that nobody reads, and that is full within a second.
    let unread = child.stderr.take().expect("stderr");
    until("it works", async || count(&world, "occurrences where state = 'ran'").await > 1).await;
    let before = count(&world, "occurrences").await;
    until("it goes on", async || count(&world, "occurrences").await > before + 1).await;
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("stop it");
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("look at bursar") {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(ended.code(), Some(0));
    drop(unread);
}
