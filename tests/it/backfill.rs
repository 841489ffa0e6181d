//! A range of run dates: oldest first, so many at a time, what is missing, and what would come of it.

mod dry_run;
mod interrupted;

use crate::offline::Offline;
use crate::running::{Running, Stall, until};
use crate::support::{World, ratings};
use serde_json::Value;

/// A week of run dates of the shipped job, which is due every day.
const RANGE: [&str; 6] = ["run-job", "customer-ratings", "--from", "2025-05-12", "--to", "2025-05-14"];

/// One agency, whose file serves every run date; its tables are made.
async fn one_agency() -> World {
    let world = World::new().await;
    world.edit("customers.toml", |_| "[[customer]]\nname = \"agency_a\"\ncode = \"A\"\n".to_owned());
    world.deliver("A", ratings(&["1,10,20,high-value", "x,20,30,low-value", "2,20,30,low-value"]));
    world.bursar(&["migrate"]).code(0);
    world
}

/// From now on each run date has a file of its own.
fn date_files(world: &World) {
    let pattern = "ratings/%Y%m%d {customer.code}.csv";
    world.edit("datasets/customer_rating.toml", |text| {
        text.lines()
            .map(|l| if l.starts_with("file =") { format!("file = {pattern:?}\n") } else { format!("{l}\n") })
            .collect()
    });
}

fn deliver_on(world: &World, date: &str, text: &str) {
    world.write(&format!("inbox/ratings/{date} A.csv"), text);
}

/// These arguments after those of the range.
fn with(more: &[&'static str]) -> Vec<&'static str> {
    [&RANGE[..], more].concat()
}

/// A key of each run date.
fn each<'a>(rows: &'a Value, key: &str) -> Vec<&'a str> {
    rows.as_array().expect("a list").iter().map(|row| row[key].as_str().expect("a text")).collect()
}

async fn count(world: &World, query: &str) -> i64 {
    world.scalar(&format!("select count(*) from bursar.{query}")).await
}

/// The states of the loads, oldest run date first, those of a date in their order.
async fn loads(world: &World) -> Vec<String> {
    let query = "select to_char(run_date, 'DD') || ' ' || state from bursar.loads order by run_date, id";
    sqlx::query_scalar(query).fetch_all(&world.pool().await).await.expect("the ledger")
}

/// The most runs that were open at one time.
const MOST_OPEN: &str = "select max(n) from (
    select (select count(*) from bursar.runs as o where o.opened_at <= r.opened_at and o.closed_at > r.opened_at) as n
      from bursar.runs as r) as s";

#[tokio::test(flavor = "multi_thread")]
async fn run_dates_are_run_oldest_first_and_one_at_a_time() {
    let world = one_agency().await;
    let ran = world.bursar(&with(&["--json"])).code(0);
    let logged: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with('{')).collect();
    assert!(logged.len() == 3 && logged.iter().all(|line| line.contains("run date 2025-05-1")), "{logged:#?}");
    let rows = ran.json();
    assert_eq!(each(&rows, "run_date"), ["2025-05-12", "2025-05-13", "2025-05-14"]);
    assert_eq!(each(&rows, "state"), ["succeeded"; 3]);
    assert_eq!(each(&rows, "trigger"), ["backfill"; 3]);
    assert_eq!((&rows[0]["loaded"], &rows[0]["rejected"]), (&2.into(), &1.into()));
    assert_eq!(loads(&world).await, ["12 published", "13 published", "14 published"]);
    let dates: Vec<String> = sqlx::query_scalar("select run_date::text from bursar.runs order by opened_at")
        .fetch_all(&world.pool().await)
        .await
        .expect("the runs");
    assert_eq!(dates, each(&rows, "run_date"));
    assert_eq!(world.scalar::<i64>(MOST_OPEN).await, 1);
    for (date, row) in ["20250512", "20250513", "20250514"].iter().zip(rows.as_array().expect("a list")) {
        assert!(world.report(date).is_some());
        assert!(row["reports"][0].as_str().expect("a path").contains(date));
    }
    assert_eq!(count(&world, "workers where role = 'run-job'").await, 1, "one worker for the whole command");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_run_dates_are_open_together_as_are_asked_for_and_never_more() {
    let world = one_agency().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let arguments = ["run-job", "customer-ratings", "--from", "2025-05-12", "--to", "2025-05-17", "--parallel", "2"];
    let running = Running::start(&world, &arguments);
    stall.reached().await;
    until("two are open", async || count(&world, "runs where state = 'running'").await == 2).await;
    stall.release().await;
    running.ended().await.code(0);
    assert_eq!(count(&world, "runs where state = 'succeeded'").await, 6);
    assert_eq!(world.scalar::<i64>(MOST_OPEN).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_succeeded_is_left_out_whoever_asked_for_it_if_it_was_all_of_it() {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-12", &["--customer", "agency_a"]).code(0);
    world.run_job("2025-05-13", &[]).code(0);
    let ran = world.bursar(&with(&["--missing-only", "--json"])).code(0);
    assert_eq!(each(&ran.json(), "run_date"), ["2025-05-12", "2025-05-14"]);
    assert!(ran.stderr.contains("note: 1 of 3 run dates have a succeeded run and are left out"), "{}", ran.stderr);
    let ran = world.bursar(&with(&["--missing-only", "--json"])).code(0);
    assert_eq!(ran.json(), Value::Array(vec![]));
    let narrowed = world.bursar(&with(&["--missing-only", "--json", "--customer", "agency_b"])).code(0);
    assert_eq!(narrowed.json(), Value::Array(vec![]), "a run of all customers was one of each");
    assert_eq!(count(&world, "runs").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_date_that_fails_does_not_keep_the_others_from_being_run() {
    let world = one_agency().await;
    date_files(&world);
    for (date, text) in [("20250512", ratings(&["1,1,1,new"])), ("20250513", "nonsense\n".to_owned())] {
        deliver_on(&world, date, &text);
    }
    deliver_on(&world, "20250514", &ratings(&["3,1,1,new"]));
    let ran = world.bursar(&with(&["--json"])).code(65);
    let rows = ran.json();
    assert_eq!(each(&rows, "state"), ["succeeded", "failed", "succeeded"]);
    assert_eq!(rows[1]["fault"], "data");
    assert!(rows[1]["error"].as_str().expect("an error").starts_with("load[agency_a]: "), "{rows}");
    assert!(ran.stderr.contains("error: 1 of 3 run dates failed"), "{}", ran.stderr);
    assert_eq!(world.rows("agency_a").await, ["(3,1,1,new)"]);
    deliver_on(&world, "20250513", &ratings(&["2,1,1,new"]));
    let again = world.bursar(&with(&["--missing-only"])).code(0).stdout;
    assert!(again.contains("2025-05-13") && !again.contains("2025-05-12"), "{again}");
    assert_eq!(loads(&world).await, ["12 published", "13 measured", "14 published"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_range_is_only_measured_unless_it_is_to_be_published() {
    let world = one_agency().await;
    world.run_job("2025-05-20", &[]).code(0);
    world.bursar(&RANGE).code(0);
    assert_eq!(loads(&world).await, ["12 measured", "13 measured", "14 measured", "20 published"]);
    world.deliver("A", ratings(&["7,10,20,high-value"]));
    world.bursar(&with(&["--publish"])).code(0);
    assert_eq!(world.rows("agency_a").await, ["(7,10,20,high-value)"]);
    assert_eq!(count(&world, "loads where state = 'published'").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_date_with_another_run_open_is_told_and_the_others_are_run() {
    let world = one_agency().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let other = Running::start(&world, &["run-job", "customer-ratings", "--date", "2025-05-13", "--publish"]);
    stall.reached().await;
    let running = Running::of(world.command(&with(&["--json", "--parallel", "3"])).env("RUST_LOG", "info"));
    running.says("run date 2025-05-13: not_opened").await;
    stall.release().await;
    let rows = running.ended().await.code(75).json();
    assert_eq!(each(&rows, "state"), ["succeeded", "not_opened", "succeeded"]);
    assert!(rows[1]["error"].as_str().expect("an error").contains("another run of customer-ratings"), "{rows}");
    other.ended().await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_run_dates_of_the_schedule_are_run_and_each_day_without_one() {
    let world = one_agency().await;
    let weekend = ["run-job", "customer-ratings", "--from", "2025-05-16", "--to", "2025-05-19", "--json"];
    world.edit("jobs/customer-ratings.toml", |text| text.replace("0 5 * * *", "0 5 * * 1-5"));
    let rows = world.bursar(&weekend).code(0).json();
    assert_eq!(each(&rows, "run_date"), ["2025-05-16", "2025-05-19"]);
    let none = world.bursar(&["run-job", "customer-ratings", "--from", "2025-05-17", "--to", "2025-05-18"]).code(0);
    assert_eq!(none.stdout, "no run dates\n");
    world.edit("jobs/customer-ratings.toml", |text| text.replace("schedule =", "# schedule ="));
    let rows = world.bursar(&weekend).code(0).json();
    assert_eq!(each(&rows, "run_date").len(), 4);
}

#[test]
fn what_is_no_range_is_usage() {
    let said = |arguments: &[&str]| {
        Offline::configured().bursar(&[&["run-job", "customer-ratings"], arguments].concat()).code(64).stderr
    };
    assert!(said(&["--from", "2025-05-12"]).contains("--to"));
    assert!(said(&["--to", "2025-05-12"]).contains("--from"));
    assert!(said(&["--date", "2025-05-12", "--from", "2025-05-12", "--to", "2025-05-12"]).contains("--date"));
    assert!(said(&["--parallel", "2"]).contains("--from"));
    assert!(said(&["--missing-only"]).contains("--from"));
    assert_eq!(
        said(&["--from", "2025-05-12", "--to", "2025-05-11"]),
        "error: --from 2025-05-12 is after --to 2025-05-11\n"
    );
    assert!(said(&["--from", "1990-01-01", "--to", "2025-05-11"]).contains("ask for 10000 at most"));
    assert!(said(&["--from", "0001-01-01", "--to", "2025-05-11"]).contains("1900"));
    for n in ["0", "65", "many"] {
        assert!(said(&["--from", "2025-05-12", "--to", "2025-05-13", "--parallel", n]).contains("--parallel"));
    }
}
