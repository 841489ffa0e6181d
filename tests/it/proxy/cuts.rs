//! The network between the program and its database breaks, stands still, and comes back.

use super::{Proxy, Way};
use crate::running::{Running, Shut, Stall, until};
use crate::support::{Ran, World, ratings};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};

const TODAY: [&str; 4] = ["run-job", "customer-ratings", "--date", "2025-05-14"];

/// Yesterday's files are loaded, today's are delivered.
async fn delivered() -> World {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    world.deliver("A", ratings(&["1,10,20,high-value", "2,10,20,low-value"]));
    world
}

/// Runs today's job through a proxy, with patience for a connection of one second.
fn start(world: &World, proxy: &Proxy) -> Running {
    Running::of(
        world
            .command(&TODAY)
            .env("DATABASE_URL", world.database_url_through(proxy))
            .env("BURSAR__DATABASE__CONNECT_TIMEOUT_S", "1"),
    )
}

async fn assert_yesterday(world: &World) {
    assert_eq!(world.rows("agency_a").await, ["(100,10,20,high-value)"]);
    let loads: i64 =
        world.scalar("select count(*) from bursar.loads where run_date = '2025-05-14' and customer = 'agency_a'").await;
    assert_eq!(loads, 0);
}

async fn assert_today(world: &World) {
    assert_eq!(world.rows("agency_a").await, ["(1,10,20,high-value)", "(2,10,20,low-value)"]);
    assert!(world.report("20250514").is_some());
}

/// Waits until the server holds no connection of the program any more.
async fn left(world: &World) {
    until("the server has let go of the program", async || {
        let query = "select not exists (select from pg_stat_activity
            where datname = current_database() and application_name = 'bursar')";
        world.scalar::<bool>(query).await
    })
    .await;
}

fn assert_transient(ran: &Ran, words: &str) {
    assert!(ran.messages().contains(words), "{}", ran.messages());
}

/// What a connection through the proxy comes to within a bound.
async fn ping(connection: &mut PgConnection, bound: Duration) -> Option<sqlx::Result<i32>> {
    tokio::time::timeout(bound, sqlx::query_scalar("select 1").fetch_one(connection)).await.ok()
}

async fn connect(world: &World, proxy: &Proxy) -> sqlx::Result<PgConnection> {
    PgConnection::connect(&world.database_url_through(proxy)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_proxy_changes_nothing() {
    let world = delivered().await;
    let proxy = Proxy::to(&world);
    start(&world, &proxy).ended().await.code(0);
    assert_today(&world).await;
    until("all connections are closed", async || proxy.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_cut_in_the_middle_is_made_again_and_counts_once() {
    let world = delivered().await;
    let proxy = Proxy::to(&world);
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = start(&world, &proxy);
    stall.reached().await;
    proxy.cut();
    stall.release().await;
    let ran = running.ended().await.code(0);
    assert!(ran.stderr.contains("load[agency_a] failed and is tried again"), "{}", ran.stderr);
    left(&world).await;
    assert_today(&world).await;
    let loads: i64 =
        world.scalar("select count(*) from bursar.loads where run_date = '2025-05-14' and customer = 'agency_a'").await;
    assert_eq!(loads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_refuses_after_the_cut_is_transient_until_it_heals() {
    let world = delivered().await;
    let mut proxy = Proxy::to(&world);
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = start(&world, &proxy);
    stall.reached().await;
    proxy.refuse().await;
    proxy.cut();
    assert_transient(&running.ended().await.code(75), "can't be followed; it goes on when the database is back");
    stall.release().await;
    left(&world).await;
    assert_yesterday(&world).await;
    let ran = start(&world, &proxy).ended().await.code(75);
    assert_transient(&ran, "Connection refused");
    assert_yesterday(&world).await;
    proxy.heal();
    start(&world, &proxy).ended().await.code(0);
    assert_today(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_stands_still_for_a_while_delays_a_load_and_no_more() {
    for way in [Way::ToServer, Way::ToProgram] {
        let world = delivered().await;
        let mut proxy = Proxy::to(&world);
        let mut stall = Stall::of(&world, "agency_a").await;
        let running = start(&world, &proxy);
        stall.reached().await;
        proxy.stall(way);
        stall.release().await;
        assert!(connect_stalled(&world, &proxy).await.is_none(), "nothing comes through {way:?}");
        proxy.heal();
        running.ended().await.code(0);
        assert_today(&world).await;
        assert!(connect_stalled(&world, &proxy).await.is_some());
    }
}

/// A connection, where one can be made within a moment.
async fn connect_stalled(world: &World, proxy: &Proxy) -> Option<PgConnection> {
    tokio::time::timeout(Duration::from_millis(500), connect(world, proxy)).await.ok().map(|c| c.expect("a connection"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_proxy_does_what_it_is_called_and_heals() {
    let world = World::new().await;
    let mut proxy = Proxy::to(&world);
    let mut first = connect(&world, &proxy).await.expect("a connection");
    let mut second = connect(&world, &proxy).await.expect("another");
    assert_eq!(proxy.connections(), 2);

    proxy.refuse().await;
    let refused = connect(&world, &proxy).await.expect_err("refused");
    assert!(refused.to_string().contains("refused"), "{refused}");
    assert!(ping(&mut first, Duration::from_secs(10)).await.expect("an answer").is_ok(), "those there are go on");
    proxy.heal();
    connect(&world, &proxy).await.expect("it listens again on the same port").close().await.expect("close");

    for way in [Way::ToServer, Way::ToProgram] {
        proxy.stall(way);
        let waiting = tokio::spawn(async move {
            let answer = ping(&mut first, Duration::from_secs(20)).await;
            (first, answer)
        });
        assert!(connect_stalled(&world, &proxy).await.is_none());
        assert!(!waiting.is_finished(), "{way:?}");
        proxy.heal();
        let (back, answer) = waiting.await.expect("the question");
        assert_eq!(answer.expect("an answer").expect("it was kept"), 1, "{way:?}");
        first = back;
    }

    let since = Instant::now();
    proxy.cut();
    for connection in [&mut first, &mut second] {
        assert!(ping(connection, Duration::from_secs(10)).await.expect("at once").is_err());
    }
    assert!(since.elapsed() < Duration::from_secs(5));
    connect(&world, &proxy).await.expect("new ones are taken").close().await.expect("close");
    until("nothing is left", async || proxy.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_server_is_gone_without_a_word_is_made_again() {
    let world = delivered().await;
    let proxy = Proxy::to(&world);
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = start(&world, &proxy);
    stall.reached().await;
    proxy.freeze();
    world.shut(Shut::Closed).await;
    world.shut(Shut::Open).await;
    stall.release().await;
    let ran = running.ended().await.code(0);
    // Whichever is seen first: that its worker was not heard of, or that its lock is gone.
    let is_found =
        ["which fell silent", "no longer has the transaction of this attempt"].map(|how| ran.stderr.contains(how));
    assert!(is_found.contains(&true), "{}", ran.stderr);
    assert_today(&world).await;
}
