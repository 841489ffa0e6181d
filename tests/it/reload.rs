//! A daemon reads its configuration again: all of it is in force afterwards, or nothing has changed.

use crate::running::{Running, until};
use crate::support::{World, copy_dir};
use nix::sys::signal::Signal;
use serde_json::Value;

const A: &str = "[[customer]]\nname = \"agency_a\"\ncode = \"A\"\n";
const B: &str = "[[customer]]\nname = \"agency_b\"\ncode = \"B\"\n";

/// A daemon whose job is due each second, for one agency of two that deliver.
async fn served() -> (World, Running) {
    let world = World::new().await;
    world.edit("customers.toml", |_| A.to_owned());
    world.edit("jobs/customer-ratings.toml", |t| {
        t.replace("0 5 * * *", "* * * * * *").replace("America/New_York", "UTC")
    });
    world.deliver_all();
    let daemon = Running::start(&world, &["serve"]);
    daemon.says("answering on http://").await;
    (world, daemon)
}

async fn loaded(world: &World, customer: &str) {
    let query = format!("select exists (select from bursar.loads where customer = '{customer}')");
    until(&query, async || world.scalar::<bool>(&query).await).await;
}

fn daemons(world: &World) -> Vec<Value> {
    let workers = world.bursar(&["workers", "--json"]).code(0).json();
    workers.as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_customer_is_loaded_by_the_next_run_without_a_restart() {
    let (world, daemon) = served().await;
    loaded(&world, "agency_a").await;
    world.edit("customers.toml", |text| text + B);
    let said = world.bursar(&["reload"]).code(0).stdout;
    assert!(said.ends_with(&format!(" {}: ok\n", daemon.pid())), "{said}");
    loaded(&world, "agency_b").await;
    assert_eq!(world.rows("agency_b").await, ["(101,10,20,high-value)"]);
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_here_is_told_here_and_nobody_is_asked() {
    let (world, daemon) = served().await;
    world.edit("customers.toml", |text| text + B);
    world.edit("jobs/customer-ratings.toml", |text| text.replace("kind = \"load\"", "kind = \"lode\""));
    let said = world.bursar(&["reload"]).code(78).messages();
    assert!(said.contains("lode"), "{said}");
    assert_eq!(daemons(&world)[0]["reload_requested_at"], Value::Null);
    assert_eq!(daemons(&world)[0]["config_error"], Value::Null);
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_takes_all_of_a_configuration_or_none_of_it_and_says_so() {
    let (world, daemon) = served().await;
    copy_dir(&world.path("config"), &world.path("good"));
    let good = world.path("good").display().to_string();
    let job = std::fs::read_to_string(world.path("config/jobs/customer-ratings.toml")).expect("the job");
    world.edit("customers.toml", |text| text + B);
    world.edit("jobs/customer-ratings.toml", |text| text.replace("kind = \"load\"", "kind = \"lode\""));
    let said = world.bursar(&["--config", &good, "reload"]).code(78).stdout;
    assert!(said.contains(&format!(" {}: kept the configuration it had: ", daemon.pid())), "{said}");
    assert!(daemons(&world)[0]["config_error"].as_str().expect("a problem").contains("lode"));
    daemon.says("the configuration stays as it was").await;
    let runs = "select count(*) from bursar.runs where state = 'succeeded'";
    let before: i64 = world.scalar(runs).await;
    until("it goes on as before", async || world.scalar::<i64>(runs).await > before).await;
    assert!(world.scalar::<bool>("select to_regclass('customer_rating_agency_b') is null").await);
    // Mended, and told by a signal.
    world.edit("jobs/customer-ratings.toml", |_| job);
    daemon.signal(Signal::SIGHUP);
    loaded(&world, "agency_b").await;
    assert_eq!(daemons(&world)[0]["config_error"], Value::Null);
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_daemon_is_asked_and_one_that_does_not_answer_is_told() {
    let (world, daemon) = served().await;
    let other = Running::start(&world, &["serve"]);
    other.says("answering on http://").await;
    assert_eq!(daemons(&world).len(), 2);
    other.signal(Signal::SIGSTOP);
    let said = world.bursar(&["reload"]).code(75).stdout;
    other.signal(Signal::SIGCONT);
    assert!(said.contains(&format!(" {}: ok\n", daemon.pid())), "{said}");
    assert!(said.contains(&format!(" {}: did not answer within 15 s\n", other.pid())), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_there_is_nobody_to_ask() {
    let world = World::bare().await;
    assert!(world.bursar(&["reload"]).code(78).messages().contains("`bursar migrate` makes them"));
    world.bursar(&["migrate"]).code(0);
    let said = world.bursar(&["reload"]).code(0).stdout;
    assert_eq!(said, "no daemon is up; one that starts reads the configuration anyway\n");
}
