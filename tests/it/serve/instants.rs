//! When runs begin, and what becomes of each instant that was due.

use super::{Daemon, count, due, occurrences, policy, recorded};
use crate::running::Stall;
use crate::support::World;
use bursar::app::{App, Orders};
use bursar::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_at_its_instants_and_leaves_its_report() {
    let world = due("* * * * * *").await;
    let daemon = Daemon::start(&world).await;
    recorded(&world, 2, "runs where state = 'succeeded' and trigger = 'schedule'").await;
    assert_eq!(daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code, 0);
    let date: String =
        world.scalar("select to_char(max(run_date), 'YYYYMMDD') from bursar.runs where state = 'succeeded'").await;
    assert!(world.report(&date).expect("a report").ends_with("agency_a,2,30,1,0,0.00\n"));
    let unsound = "occurrences as o left join bursar.runs as r on r.id = o.run_id
        where o.state = 'ran' and (r.id is null or r.run_date <> o.run_date) or o.due_at <> date_trunc('second', o.due_at)";
    assert_eq!(count(&world, unsound).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_daemons_each_occurrence_is_run_by_one() {
    let world = due("* * * * * *").await;
    policy(&world, "overlap = \"skip\"", "overlap = \"queue\"");
    policy(&world, "catchup = \"latest\"", "catchup = \"all\"");
    world.bursar(&["migrate"]).code(0);
    let (one, two) = (Daemon::start(&world).await, Daemon::start(&world).await);
    recorded(&world, 3, "runs where state = 'succeeded'").await;
    one.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
    two.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
    let counts: Value = world
        .scalar(
            "select jsonb_build_array(
                (select count(*) from bursar.occurrences where state = 'ran'),
                (select count(distinct run_id) from bursar.occurrences where state = 'ran'),
                (select count(*) from bursar.runs),
                (select count(*) from bursar.runs where state in ('succeeded', 'running')))",
        )
        .await;
    let counts: [i64; 4] = serde_json::from_value(counts).expect("counts");
    assert_eq!(counts, [counts[0]; 4]);
    assert_eq!(occurrences(&world).await.get("skipped"), None);
}

/// The states of occurrences, when at least two fell due while the first was still being run.
async fn overlapping(overlap: &str, state: &str) -> (World, BTreeMap<String, i64>) {
    let world = due("* * * * * *").await;
    policy(&world, "overlap = \"skip\"", &format!("overlap = \"{overlap}\""));
    world.bursar(&["migrate"]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let daemon = Daemon::start(&world).await;
    stall.reached().await;
    recorded(&world, 2, &format!("occurrences where state = '{state}'")).await;
    let states = occurrences(&world).await;
    stall.release().await;
    daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
    assert_eq!(states["ran"], 1, "{states:?}");
    (world, states)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occurrence_during_a_run_is_skipped_with_the_reason() {
    let (world, _) = overlapping("skip", "skipped").await;
    let reasons = "occurrences where state = 'skipped' and reason not like 'run % was still going on (overlap = skip)'";
    assert_eq!(count(&world, reasons).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occurrence_during_a_run_is_queued_where_the_job_says_so() {
    let (_, states) = overlapping("queue", "queued").await;
    assert_eq!(states.get("skipped"), None, "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_recorded_and_the_daemon_goes_on() {
    let world = due("* * * * * *").await;
    let file = world.path("inbox/ratings/Customer Rating Agency A Inc.csv");
    std::fs::rename(&file, world.path("aside.csv")).expect("move it");
    let daemon = Daemon::start(&world).await;
    recorded(&world, 1, "runs where state = 'failed' and fault = 'data' and error like 'no file of agency_a%'").await;
    std::fs::rename(world.path("aside.csv"), &file).expect("move it back");
    recorded(&world, 1, "runs where state = 'succeeded'").await;
    daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
}

/// Makes the tables, as if daemons had watched the job with this schedule (expression and zone) since an instant.
async fn watched(world: &World, schedule: &str, since: &str) {
    world.bursar(&["migrate"]).code(0);
    let watched =
        "insert into bursar.schedules (job, schedule, watched_since) values ('customer-ratings', $1, $2::timestamptz)";
    sqlx::query(watched).bind(schedule).bind(since).execute(&mut world.connect().await).await.expect("note it");
}

/// Runs the program in this process, from an instant on, until `done`.
async fn serve_from(world: &World, instant: &str, done: &str) {
    let clock = Clock::starting_at(instant.parse().expect("an instant"));
    let app = App::build(world.settings(), clock).await.expect("build the program");
    let stop = CancellationToken::new();
    let follow = async {
        recorded(world, 1, done).await;
        stop.cancel();
    };
    let (served, ()) = tokio::join!(app.serve(Orders { stop: stop.clone(), ..Orders::default() }, |_| ()), follow);
    served.expect("serve");
    app.close().await.expect("close");
}

/// A daemon that is up at `eve` runs the job of 5 in the morning in New York at `due_at`, for `date`.
async fn runs_at(eve: &str, due_at: &str, date: &str) {
    let world = due("0 5 * * *").await;
    policy(&world, "\"UTC\"", "\"America/New_York\"");
    watched(&world, "0 0 5 * * * America/New_York", eve).await;
    serve_from(&world, eve, "runs where state = 'succeeded'").await;
    let found: DateTime<Utc> = world.scalar("select min(due_at) from bursar.occurrences").await;
    assert_eq!(found, due_at.parse::<DateTime<Utc>>().expect("an instant"));
    assert_eq!(count(&world, "occurrences").await, 1);
    assert!(world.report(date).is_some(), "the report of {date}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_in_the_morning_in_new_york_is_another_instant_from_the_day_on_that_the_clocks_change() {
    tokio::join!(
        runs_at("2024-03-09T09:59:59Z", "2024-03-09T10:00:00Z", "20240309"),
        runs_at("2024-03-10T08:59:59Z", "2024-03-10T09:00:00Z", "20240310"),
        runs_at("2024-11-03T09:59:59Z", "2024-11-03T10:00:00Z", "20241103"),
    );
}

/// What a daemon records that comes up at noon on the 13th, when the job was due at 5 on the 10th to 13th.
async fn after_a_gap(catchup: &str) -> (World, Vec<(String, String)>) {
    let world = due("0 5 * * *").await;
    policy(&world, "catchup = \"latest\"", &format!("catchup = \"{catchup}\""));
    watched(&world, "0 0 5 * * * UTC", "2025-05-09T12:00:00Z").await;
    let done = match catchup {
        "none" => "occurrences where run_date = '2025-05-13'",
        _ => {
            "occurrences as o join bursar.runs as r on r.id = o.run_id and r.state = 'succeeded' where o.run_date = '2025-05-13'"
        }
    };
    serve_from(&world, "2025-05-13T12:00:00Z", done).await;
    let recorded: Value = world
        .scalar("select jsonb_agg(jsonb_build_array(to_char(due_at at time zone 'UTC', 'DD HH24:MI'), state) order by due_at) from bursar.occurrences")
        .await;
    (world, serde_json::from_value(recorded).expect("occurrences"))
}

fn each(states: [&str; 4]) -> Vec<(String, String)> {
    ["10 05:00", "11 05:00", "12 05:00", "13 05:00"]
        .iter()
        .zip(states)
        .map(|(at, state)| ((*at).to_owned(), state.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_recorded_and_run_as_the_job_says() {
    let (none, latest, all) = tokio::join!(after_a_gap("none"), after_a_gap("latest"), after_a_gap("all"));
    let (world, recorded) = none;
    assert_eq!(recorded, each(["skipped"; 4]));
    assert_eq!(count(&world, "runs").await, 0);
    let (world, recorded) = latest;
    assert_eq!(recorded, each(["coalesced", "coalesced", "coalesced", "ran"]));
    assert_eq!(count(&world, "runs").await, 1);
    assert!(world.report("20250513").is_some() && world.report("20250512").is_none());
    let (world, recorded) = all;
    assert_eq!(recorded, each(["ran"; 4]));
    for date in ["20250510", "20250511", "20250512", "20250513"] {
        assert!(world.report(date).is_some(), "the report of {date}");
    }
    let order: bool = world
        .scalar(
            "select array_agg(run_date order by opened_at) = array_agg(run_date order by run_date) from bursar.runs",
        )
        .await;
    assert!(order, "oldest first");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_long_gap_in_seconds_only_the_very_last_is_run() {
    let world = due("* * * * * *").await;
    watched(&world, "* * * * * * UTC", &(Utc::now() - TimeDelta::seconds(25_000)).to_rfc3339()).await;
    let daemon = Daemon::start(&world).await;
    recorded(&world, 1, "runs where state = 'succeeded'").await;
    daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
    let states = occurrences(&world).await;
    assert!(states["coalesced"] > 24_000 && states["ran"] < 20, "{states:?}");
    let late: i64 = count(&world, "occurrences where state = 'ran' and due_at < now() - interval '60 s'").await;
    assert_eq!(late, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_seen_for_the_first_time_has_missed_nothing() {
    let world = due("0 5 * * *").await;
    serve_from(&world, "2025-05-13T12:00:00Z", "schedules").await;
    assert_eq!(occurrences(&world).await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_run_date_is_refused_and_what_it_keeps_from_being_published_is_alerted() {
    let world = due("* * * * * *").await;
    let future = ["run-job", "customer-ratings", "--date", "2062-11-30"];
    let refused = world.bursar(&future).code(64).stderr;
    assert!(refused.contains("2062-11-30 is after ") && refused.contains("--allow-future"), "{refused}");
    let absurd = world.bursar(&["run-job", "customer-ratings", "--date", "+262142-12-31", "--allow-future"]).code(64);
    assert!(absurd.stderr.contains("1900 to 2199"), "{}", absurd.stderr);
    world.bursar(&[&future[..], &["--allow-future"]].concat()).code(0);
    let daemon = Daemon::start(&world).await;
    recorded(&world, 1, "alerts where kind = 'load_measured' and state = 'open' and run_date is null").await;
    daemon.stop(Signal::SIGTERM, Duration::from_secs(5)).await.code(0);
    // The daemon may have stopped in the middle of a run.
    for run in world.column("select id::text from bursar.runs where state = 'running'").await {
        world.bursar(&["runs", "cancel", &run]).code(0);
    }
    let today = Utc::now().date_naive().to_string();
    world.bursar(&["run-job", "customer-ratings", "--date", &today, "--publish", "--force"]).code(0);
    assert_eq!(count(&world, "alerts where kind = 'load_measured' and state = 'open'").await, 0);
}
