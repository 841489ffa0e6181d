//! A fetch that is killed goes on where it was.

use super::fake::Scenario;
use super::{DAY, command, serve, summary};
use crate::running::{Running, until};
use crate::support::{Ran, World};
use nix::sys::signal::Signal;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_before_a_crash_is_not_fetched_again() {
    let world = World::new().await;
    let fake = serve(Scenario::generated(60, 2)).await;
    let arguments = ["run-job", "metronome-summary", "--date", DAY];
    // Slow enough to be killed in the midst of it.
    let mut slowly = command(&world, &fake, &arguments);
    let running = Running::of(slowly.env("BURSAR__METRONOME__REQUESTS_PER_SECOND", "40"));
    let some = "select count(*) >= 10 from metronome.customers where state = 'fetched'";
    until("some are fetched", async || {
        let is_there: bool = world.scalar("select to_regclass('metronome.customers') is not null").await;
        is_there && world.scalar::<bool>(some).await
    })
    .await;
    running.signal(Signal::SIGKILL);
    running.ended().await;
    let fetched: Vec<String> = world.column("select id from metronome.customers where state = 'fetched'").await;
    assert!((10..60).contains(&fetched.len()), "{}", fetched.len());
    let before: Vec<usize> = fetched.iter().map(|id| fake.answered_at(&format!("/{id}/invoices"))).collect();
    let listed = fake.answered_at("/v1/customers?");
    Ran::of(command(&world, &fake, &arguments).output().expect("start bursar")).code(0);
    let after: Vec<usize> = fetched.iter().map(|id| fake.answered_at(&format!("/{id}/invoices"))).collect();
    assert_eq!(after, before);
    assert_eq!(fake.answered_at("/v1/customers?"), listed);
    assert_eq!(summary(&world, DAY).lines().count(), 1 + 60 + 10);
    let runs: i64 = world.scalar("select count(*) from bursar.runs").await;
    assert_eq!(runs, 1);
}
