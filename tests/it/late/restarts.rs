//! A daemon that is killed while a load waits.

use crate::running::{Running, until};
use crate::support::{World, ratings};
use chrono::{Timelike, Utc};
use nix::sys::signal::Signal;

/// A zone in which it is about noon.
fn zone_of_noon() -> String {
    let offset = 12 - i64::from(Utc::now().hour());
    // The signs of these names are the other way round.
    format!("Etc/GMT{:+}", -offset)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_a_daemon_is_killed_goes_on_waiting_with_the_next_and_is_loaded() {
    let world = World::new().await;
    world.edit("customers.toml", |_| "[[customer]]\nname = \"agency_a\"\ncode = \"A\"\n".to_owned());
    let keys = "arrive_by = \"23:59\"\ncomplete = { when = \"marker\", marker = \"{file}.done\" }\ntable = ";
    world.edit("datasets/customer_rating.toml", |text| text.replace("table = ", keys));
    world.edit("jobs/customer-ratings.toml", |text| {
        text.replace("0 5 * * *", "* * * * * *").replace("America/New_York", &zone_of_noon())
    });
    world.deliver("A", ratings(&["1,10,20,high-value"]));
    let waits = async || world.scalar("select count(*) = 1 from bursar.task_runs where state = 'deferred'").await;
    let first = {
        let daemon = Running::start(&world, &["serve"]);
        daemon.says("answering on http://").await;
        until("the load waits", waits).await;
        daemon.signal(Signal::SIGKILL);
        assert_ne!(daemon.ended().await.code, 0);
        world.scalar::<uuid::Uuid>("select run_id from bursar.task_runs where state = 'deferred'").await
    };
    let daemon = Running::start(&world, &["serve"]);
    daemon.says("answering on http://").await;
    assert!(waits().await, "nothing was lost, and nothing is under way");
    world.write("inbox/ratings/Customer Rating Agency A Inc.csv.done", "");
    let state = format!("select state = 'succeeded' from bursar.runs where id = '{first}'");
    until("the run is over", async || world.scalar(&state).await).await;
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);
    let losses = "select count(*) from bursar.attempts where state = 'lost'";
    assert_eq!(world.scalar::<i64>(losses).await, 0, "who waits occupies no worker");
    assert_eq!(world.scalar::<i64>("select count(*) from bursar.alerts").await, 0);
    assert_eq!(world.rows("agency_a").await, ["(1,10,20,high-value)"]);
}
