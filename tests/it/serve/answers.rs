//! What a daemon answers on its port.

use super::{Daemon, count, due, policy, recorded};
use crate::running::{Running, Shut, until};
use nix::sys::signal::Signal;
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_says_that_it_is_alive_and_ready_and_where() {
    let world = due("0 5 * * *").await;
    let daemon = Daemon::start(&world).await;
    assert_eq!(daemon.get("/health"), (200, json!({"status": "ok"})));
    let (status, ready) = daemon.get("/ready");
    assert_eq!((status, &ready["status"]), (200, &json!("ready")), "{ready}");
    assert_eq!(daemon.get("/nowhere").0, 404);
    let bind = daemon.address.to_string();
    let asked = Running::of(world.command(&["health"]).env("BURSAR_HTTP_BIND", &bind)).ended().await.code(0);
    assert_eq!(asked.stdout, "ok\n");
    assert_eq!(daemon.stop(Signal::SIGINT, Duration::from_secs(5)).await.code, 0);
    let asked = Running::of(world.command(&["health"]).env("BURSAR_HTTP_BIND", &bind)).ended().await.code(75);
    assert!(asked.messages().contains(&format!("http://{bind}/health")), "{}", asked.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_cut_off_from_its_database_is_alive_but_not_ready_and_recovers() {
    let world = due("* * * * * *").await;
    let daemon = Daemon::start(&world).await;
    recorded(&world, 1, "runs where state = 'succeeded'").await;
    world.shut(Shut::Closed).await;
    until("it is not ready", async || daemon.get("/ready").0 == 503).await;
    assert_eq!(daemon.get("/ready").1["database"], "unreachable");
    assert_eq!(daemon.get("/health").0, 200);
    world.shut(Shut::Open).await;
    until("it is ready again", async || daemon.get("/ready").0 == 200).await;
    let before = count(&world, "runs where state = 'succeeded'").await;
    recorded(&world, before + 1, "runs where state = 'succeeded'").await;
    assert_eq!(daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code, 0);
    assert_eq!(count(&world, "runs where state = 'running'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_schedules_a_later_configuration_overrules_is_not_ready_and_both_say_so() {
    let world = due("0 5 * * *").await;
    let first = Daemon::start(&world).await;
    crate::support::copy_dir(&world.path("config"), &world.path("other"));
    policy(&world, "0 5 * * *", "0 6 * * *");
    let other = world.path("other").display().to_string();
    let second = Daemon::start(&world).await;
    let ready = |daemon: &Daemon| {
        let (status, body) = daemon.get("/ready");
        (status, body["schedules"].as_str().expect("a word").to_owned())
    };
    assert_eq!(ready(&first), (503, "overruled".to_owned()));
    assert_eq!(ready(&second), (200, "differ".to_owned()));
    let workers = world.bursar(&["workers"]).code(0);
    let (due_by, pid) = ("It is due by the latest configuration: 0 0 6 * * * UTC.", first.running.pid());
    assert!(workers.messages().contains(due_by), "{}", workers.stderr);
    assert!(workers.messages().contains(&format!("{pid} has 0 0 5 * * * UTC")), "{}", workers.stderr);
    let watched = "select coalesce(max(schedule), '') from bursar.schedules where job = 'customer-ratings'";
    until("the later schedule is watched", async || world.scalar::<String>(watched).await == "0 0 6 * * * UTC").await;
    // A restart does not make the older configuration the later one.
    assert_eq!(first.stop(Signal::SIGTERM, Duration::from_secs(10)).await.code, 0);
    let again = Daemon::with(&world, &[("BURSAR_CONFIG_DIR", &other)]).await;
    assert_eq!(ready(&again), (503, "overruled".to_owned()));
    std::fs::copy(world.path("config/jobs/customer-ratings.toml"), world.path("other/jobs/customer-ratings.toml"))
        .expect("the same files");
    world.bursar(&["reload"]).code(0);
    assert_eq!((ready(&again), ready(&second)), ((200, "ok".to_owned()), (200, "ok".to_owned())));
    for daemon in [again, second] {
        assert_eq!(daemon.stop(Signal::SIGTERM, Duration::from_secs(10)).await.code, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_a_configuration_fault() {
    let world = due("0 5 * * *").await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let bind = taken.local_addr().expect("an address").to_string();
    let ran = Running::of(world.command(&["serve"]).env("BURSAR_HTTP_BIND", &bind)).ended().await.code(78);
    assert!(ran.messages().contains(&format!("can't listen on {bind}")), "{}", ran.stderr);
    assert_eq!(count(&world, "schedules").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_keeps_a_daemon_from_starting() {
    let world = due("0 5 * * *").await;
    policy(&world, "schedule =", "schedul =");
    let ran = world.bursar(&["serve"]).code(78);
    assert!(ran.messages().contains("customer-ratings.toml"), "{}", ran.stderr);
}
