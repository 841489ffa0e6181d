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
