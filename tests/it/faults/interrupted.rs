//! Runs that something comes between: a change, a signal, a cut, another run.

use super::{ONCE, TODAY, TODAYS, assert_says, assert_today, assert_yesterday, delivered, states};
use crate::running::{Running, Shut, Stall, until};
use crate::support::{World, ratings};
use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::Connection;
use std::io::Write;

/// A file too big to be read before its first row is taken; its first row is customer number 1.
fn big() -> String {
    let rows: Vec<String> = (1..150_000).map(|number| format!("{number},10,20,low-value")).collect();
    ratings(&rows.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Waits until the server has cleared away a process of its own.
async fn gone(world: &World, backend: i32) {
    until("the server has cleared the load away", async || {
        world.scalar::<bool>(&format!("select not exists (select from pg_stat_activity where pid = {backend})")).await
    })
    .await;
}

/// Makes a change while A's file is being read; the file is refused, and nothing is changed.
async fn is_noticed(world: &World, make: impl FnOnce()) {
    let mut stall = Stall::of(world, "agency_a").await;
    let running = Running::start(world, &[&TODAY[..], &["--customer", "agency_a"]].concat());
    stall.reached().await;
    make();
    stall.release().await;
    let ran = running.ended().await.code(75);
    assert_says(&ran, &["Customer Rating Agency A Inc.csv changed while it was read", "run again when it is complete"]);
    assert_yesterday(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_read_is_not_loaded() {
    let world = delivered().await;
    let path = world.deliver("A", big());
    let other = world.write("other.csv", big());
    let open = || std::fs::OpenOptions::new().append(true).open(&path).expect("the file");
    is_noticed(&world, || open().write_all(b"999999,1,1,low-value\r\n").expect("it grows")).await;
    is_noticed(&world, || open().set_len(5_000_000).expect("it shrinks")).await;
    is_noticed(&world, || std::fs::rename(&other, &path).expect("another takes its place")).await;
    world.bursar(&[&TODAY[..], &["--customer", "agency_a"]].concat()).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_mid_load_leaves_yesterdays_rows_and_a_second_run_succeeds() {
    let world = delivered().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &TODAY);
    stall.cut().await;
    stall.release().await;
    let ran = running.ended().await.code(75);
    assert_says(
        &ran,
        &["load[agency_a] failed (transient)", "Customer Rating Agency A Inc.csv into public.customer_rating_agency_a"],
    );
    assert_yesterday(&world).await;
    world.bursar(&TODAY).code(0);
    assert_today(&world).await;
    assert_eq!(states(&world).await, ["failed", "succeeded"]);
}

/// As shipped: what is transient is tried again.
fn tried_again(world: &World) {
    world.edit("jobs/customer-ratings.toml", |text| text.replace(ONCE, "for_each = \"customer\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_mid_load_is_tried_again_and_each_row_is_loaded_once() {
    let world = delivered().await;
    tried_again(&world);
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &TODAY);
    stall.cut().await;
    stall.release().await;
    let ran = running.ended().await.code(0);
    assert!(ran.stderr.contains("load[agency_a] failed and is tried again in"), "{}", ran.stderr);
    assert_today(&world).await;
    let attempts: Value = world
        .scalar("select jsonb_agg(a.state order by attempt) from bursar.attempts as a join bursar.runs as r on r.id = run_id where run_date = '2025-05-14' and item = 'agency_a'")
        .await;
    assert_eq!(attempts, serde_json::json!(["failed", "succeeded"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_for_a_while_is_waited_for() {
    let world = delivered().await;
    tried_again(&world);
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &TODAY);
    stall.reached().await;
    world.shut(Shut::Closed).await;
    running.says("the sweep fails, and is tried again each second").await;
    world.shut(Shut::Open).await;
    stall.release().await;
    running.ended().await.code(0);
    assert_today(&world).await;
    assert_eq!(states(&world).await, ["succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stays_away_is_a_transient_fault_and_the_run_goes_on_when_it_is_back() {
    let world = delivered().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &TODAY);
    stall.reached().await;
    world.shut(Shut::Closed).await;
    let ran = running.ended().await.code(75);
    assert_says(&ran, &["can't be followed; it goes on when the database is back, run the same command then"]);
    world.shut(Shut::Open).await;
    stall.release().await;
    assert_yesterday(&world).await;
    world.bursar(&TODAY).code(0);
    assert_today(&world).await;
    assert_eq!(states(&world).await, ["succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_of_one_date_at_once_the_second_follows_the_first() {
    let world = delivered().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let first = Running::start(&world, &TODAY);
    stall.reached().await;
    let second = Running::start(&world, &TODAY);
    second.says("is open; it is followed").await;
    stall.release().await;
    let (first, second) = (first.ended().await.code(0), second.ended().await.code(0));
    assert_eq!(first.json()["run"]["id"], second.json()["run"]["id"]);
    assert_eq!(first.json()["tasks"], second.json()["tasks"]);
    assert_today(&world).await;
    assert_eq!(states(&world).await, ["succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_would_do_something_else_than_the_open_one_says_which_that_is() {
    let world = delivered().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let first = Running::start(&world, &TODAY);
    stall.reached().await;
    for other in [&["--publish"][..], &["--customer", "agency_b"]] {
        let second = world.bursar(&[&TODAY[..], other].concat()).code(75);
        let words =
            ["another run of customer-ratings for 2025-05-14 is open", &first.pid().to_string(), "nothing was done"];
        assert_says(&second, &words);
    }
    stall.release().await;
    first.ended().await.code(0);
    assert_eq!(states(&world).await, ["succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_two_dates_at_once_load_a_table_one_after_the_other() {
    let world = delivered().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let first = Running::start(&world, &TODAY);
    stall.reached().await;
    let second = Running::start(&world, &["run-job", "customer-ratings", "--date", "2025-05-12"]);
    until("the second one waits for the first", async || {
        world.scalar::<bool>("select exists (select from pg_locks where locktype = 'advisory' and not granted and objid <> 42 and database = (select oid from pg_database where datname = current_database()))").await
    })
    .await;
    stall.release().await;
    first.ended().await.code(0);
    second.ended().await.code(0);
    let states: Value =
        world.scalar("select jsonb_agg(state order by run_date) from bursar.loads where customer = 'agency_a'").await;
    assert_eq!(states, serde_json::json!(["measured", "published", "published"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_mid_load_leaves_yesterdays_rows_and_the_next_run_loads_each_row_once() {
    let world = delivered().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &TODAY);
    let backend = stall.reached().await;
    running.signal(Signal::SIGKILL);
    assert_eq!(running.ended().await.code, -1);
    stall.release().await;
    gone(&world, backend).await;
    assert_yesterday(&world).await;
    assert_eq!(states(&world).await, ["running"]);
    let ran = world.bursar(&TODAY).code(0);
    assert!(ran.stderr.contains("which died"), "{}", ran.stderr);
    assert_today(&world).await;
    assert_eq!(states(&world).await, ["succeeded"], "the run goes on");
    let open: i64 =
        world.scalar("select count(*) from bursar.task_runs where state in ('waiting', 'ready', 'running')").await;
    assert_eq!(open, 0);
    let leftovers = std::fs::read_dir(world.path("state/spool")).expect("the spool's folder").count();
    assert_eq!(leftovers, 0, "a spool has no name that could be left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_mid_load_changes_nothing_and_is_obeyed_at_once() {
    let world = delivered().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut stall = Stall::of(&world, "agency_a").await;
        let running = Running::start(&world, &[&TODAY[..], &["--customer", "agency_a"]].concat());
        stall.reached().await;
        running.signal(signal);
        let ran = running.ended().await.code(75);
        let messages = ran.messages();
        assert!(messages.contains("error: load[agency_a] cancelled (transient): the load of public.customer_rating_agency_a was cancelled; nothing was changed"), "{messages}");
        assert_yesterday(&world).await;
        stall.release().await;
    }
    assert_eq!(states(&world).await, ["cancelled", "cancelled"]);
    world.bursar(&TODAY).code(0);
    assert_today(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_obeyed_by_a_load_that_waits_for_readers_of_its_table() {
    let world = delivered().await;
    let mut reader = world.connect().await;
    let mut transaction = reader.begin().await.expect("read");
    sqlx::query("select from customer_rating_agency_a").execute(&mut *transaction).await.expect("read");
    let running = Running::start(&world, &TODAY);
    until("the load waits for the reader", async || {
        world.scalar::<bool>("select exists (select from pg_locks where relation = 'customer_rating_agency_a'::regclass and not granted)").await
    })
    .await;
    running.signal(Signal::SIGTERM);
    let ran = running.ended().await.code(75);
    assert!(ran.messages().contains("load[agency_a] cancelled"), "{}", ran.messages());
    transaction.commit().await.expect("read");
    assert_yesterday(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_obeyed_by_a_report_that_takes_long() {
    let world = delivered().await;
    world.edit("reports/customer_rating_aggregate.sql", |text| text.replace("where", "cross join pg_sleep(60) where"));
    let running = Running::start(&world, &TODAY);
    until("the report is made", async || {
        world.scalar::<bool>("select exists (select from pg_stat_activity where query like '%pg_sleep(60) where%' and state = 'active' and wait_event = 'PgSleep')").await
    })
    .await;
    running.signal(Signal::SIGTERM);
    let ran = running.ended().await.code(75);
    assert_says(&ran, &["report cancelled (transient)"]);
    assert_eq!(world.report("20250514"), None);
    assert_eq!(world.rows("agency_a").await, TODAYS, "the loads were over before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_a_reader_holds_too_long_is_transient() {
    let world = delivered().await;
    let mut reader = world.connect().await;
    let mut transaction = reader.begin().await.expect("read");
    sqlx::query("select from customer_rating_agency_a").execute(&mut *transaction).await.expect("read");
    let ran = Running::of(world.command(&TODAY).env("BURSAR__DATABASE__LOCK_TIMEOUT_S", "1")).ended().await.code(75);
    assert_says(&ran, &["load[agency_a] failed (transient)", "was in use by bursar (process", "nothing was changed"]);
    transaction.commit().await.expect("read");
    assert_yesterday(&world).await;
}
