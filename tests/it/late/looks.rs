//! Looks and loads at the same time: whoever is first, each thing is done and told once.

use super::{EVE, Installation, OVERDUE};
use crate::deliveries::{at, day};
use bursar::deliveries::Lookout;
use bursar::deliveries::act::{Standing, look_and_act, standing};
use bursar::engine::again;
use bursar::engine::runs::{Opening, RunRequest};
use bursar::engine::task::Trigger;
use bursar::notify::wording::File;
use std::sync::Arc;

const FILE: File<'static> = File {
    job: "customer-ratings",
    dataset: "customer_rating",
    customer: "agency_a",
    run_date: chrono::NaiveDate::from_ymd_opt(2025, 5, 13).expect("a day"),
};

#[tokio::test(flavor = "multi_thread")]
async fn of_daemons_that_look_at_once_one_tells() {
    let installation = Installation::new("").await;
    let app = installation.app(OVERDUE).await;
    for (now, alerts) in [(OVERDUE, 4), ("2025-05-13T11:00:00Z", 8)] {
        let looks = (0..4).map(|_| async {
            let mut lookout = Lookout::new(app.catalog(), &installation.world.path("inbox"));
            look_and_act(app.engine(), &app.catalog(), &mut lookout, at(now)).await.expect("a look")
        });
        let problems: Vec<_> = futures_util::future::join_all(looks).await.into_iter().flatten().collect();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(installation.count("alerts").await, alerts);
        assert_eq!(installation.count("alerts where raised_count > 1").await, 0);
        installation.deliver("ABCD", 1);
    }
    assert_eq!(installation.count("notices").await, 4 + 4 + 4, "missing, over, late");
    app.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_begins_before_the_first_look_of_the_day_waits_too() {
    let installation = Installation::new("").await;
    let app = installation.app(EVE).await;
    let pool = &app.database().pool;
    assert_eq!(installation.count("deliveries").await, 0);
    let found = standing(pool, &app.catalog(), &FILE, at(EVE)).await.expect("an answer");
    assert_eq!(found, Standing::Wait(at("2025-05-13T10:30:00Z")));
    assert_eq!(installation.count("deliveries where state = 'expected'").await, 4);
    let of_another = File { job: "unknown", run_date: day("2025-05-20"), ..FILE };
    assert_eq!(standing(pool, &app.catalog(), &of_another, at(EVE)).await.unwrap(), Standing::Load);
    app.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_begins_to_wait_just_when_its_file_comes_is_woken_by_the_next_look() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation.serve(EVE, installation.until_waiting()).await;
    installation.deliver("A", 7);
    // A look that finds the file and nobody who waits for it.
    let (app, now) = (installation.app("2025-05-13T09:01:00Z").await, at("2025-05-13T09:01:00Z"));
    let mut lookout = Lookout::new(app.catalog(), &installation.world.path("inbox"));
    let seen = lookout.look(&app.database().pool, now).await.expect("a look");
    let mut connection = app.database().pool.acquire().await.expect("a connection");
    assert_eq!(seen.enter(&mut connection, now).await.expect("enter it").len(), 1);
    drop(connection);
    app.close().await.expect("close");
    assert_eq!(installation.count("task_runs where state = 'deferred'").await, 1);
    assert_eq!(installation.look("2025-05-13T09:01:05Z").await, [""; 0]);
    assert_eq!(installation.count("task_runs where state = 'ready' and offered_at is not null").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_file_is_loaded_as_soon_as_an_operators_run_lets_its_run_go_on() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation.serve(OVERDUE, installation.until_run("2025-05-13", "failed")).await;
    let app = installation.app("2025-05-13T11:00:00Z").await;
    let (catalog, run_date) = (app.catalog(), day("2025-05-13"));
    let job = catalog.job("customer-ratings").expect("the job");
    let request = RunRequest {
        job: Arc::clone(job),
        run_date,
        trigger: Trigger::Operator,
        occurrence: None,
        items: catalog.items(job, run_date),
        publish: false,
        force: false,
    };
    let Opening::Opened(run) = app.engine().open(&request).await.expect("open a run") else { panic!("not opened") };
    installation.deliver("A", 7);
    let problems = installation.look("2025-05-13T11:00:00Z").await;
    assert!(problems[0].contains("agency_a for 2025-05-13 is not loaded yet: a newer run "), "{problems:?}");
    assert_eq!(installation.delivery("agency_a", "2025-05-13").await, "late");
    assert_eq!(installation.count("alerts where kind = 'file_late' and state = 'open'").await, 1);
    assert!(again::cancel(&app.database().pool, run, "the test is done with it").await.expect("cancel it").is_some());
    assert_eq!(installation.look("2025-05-13T11:00:05Z").await, [""; 0]);
    let again = "runs where trigger = 'schedule' and state = 'running'";
    assert_eq!(installation.count(again).await, 1);
    app.close().await.expect("close");
    let succeeded = "select state = 'succeeded' from bursar.runs where trigger = 'schedule'";
    installation.serve("2025-05-13T11:00:10Z", installation.until(succeeded)).await;
    assert_eq!(installation.count("alerts where state = 'open'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_file_is_not_loaded_while_a_report_is_written_that_would_not_know_of_it() {
    let installation = Installation::new("").await;
    installation.world.edit("jobs/customer-ratings.toml", |text| text + "after_any_outcome = true\n");
    installation.deliver("BCD", 1);
    installation.serve(EVE, installation.until_waiting()).await;
    installation.serve(OVERDUE, installation.until_run("2025-05-13", "failed")).await;
    installation.deliver("A", 7);
    let mut connection = installation.world.connect().await;
    let report = "update bursar.task_runs set state = $1 where task = 'report'";
    sqlx::query(report).bind("running").execute(&mut connection).await.expect("as if it were being written");
    let problems = installation.look("2025-05-13T11:00:00Z").await;
    assert!(problems[0].contains("report of run ") && problems[0].contains("is downstream of that"), "{problems:?}");
    sqlx::query(report).bind("succeeded").execute(&mut connection).await.expect("and now it is");
    installation.serve("2025-05-13T11:00:05Z", installation.until_run("2025-05-13", "succeeded")).await;
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_load_all_that_came_late_and_never_wait_in_a_circle() {
    let installation = Installation::new("").await;
    let customers: Vec<String> = ('A'..='L')
        .map(|code| format!("[[customer]]\nname = \"agency_{}\"\ncode = \"{code}\"\n", code.to_ascii_lowercase()))
        .collect();
    installation.world.edit("customers.toml", |_| customers.join("\n"));
    let both = async |from: &str, state: &str| {
        let ended = || installation.serve(from, installation.until_run("2025-05-13", state));
        tokio::join!(Box::pin(ended()), Box::pin(ended()));
    };
    both(OVERDUE, "failed").await;
    assert_eq!(installation.count("alerts where raised_count = 1").await, 12);
    installation.deliver("ABCDEFGHIJKL", 1);
    both("2025-05-13T11:00:00Z", "succeeded").await;
    assert_eq!(installation.count("loads").await, 12, "each once");
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 13);
    assert_eq!(installation.count("alerts where state = 'open'").await, 0);
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(installation.world.scalar::<i64>(deadlocks).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_file_that_cannot_be_loaded_is_tried_once_and_told() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation.serve(OVERDUE, installation.until_run("2025-05-13", "failed")).await;
    installation.world.deliver("A", "no header at all\r\n");
    let told = installation.until("select count(*) = 1 from bursar.alerts where kind = 'file_refused'");
    installation.serve("2025-05-13T11:00:00Z", told).await;
    assert_eq!(installation.look("2025-05-13T11:01:00Z").await, [""; 0]);
    assert_eq!(installation.count("runs where state = 'failed'").await, 1);
    let failed = installation.attempts().await.into_iter().filter(|state| state == "failed").count();
    assert_eq!(failed, 2, "without a file, and with a bad one");
    assert_eq!(installation.count("alerts where kind <> 'file_refused' and state = 'open'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_inbox_cannot_be_read_nothing_is_missing_and_the_load_goes_on_waiting() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation.serve(EVE, installation.until_waiting()).await;
    let (inbox, away) = (installation.world.path("inbox"), installation.world.path("away"));
    std::fs::rename(&inbox, &away).expect("take it away");
    let problems = installation.look("2025-05-13T10:35:00Z").await;
    assert!(problems[0].contains("can't be searched"), "{problems:?}");
    let waits_on =
        installation.until("select count(*) > 1 from bursar.attempts where item = 'agency_a' and state = 'deferred'");
    installation.serve("2025-05-13T10:35:00Z", waits_on).await;
    assert_eq!(installation.count("alerts").await, 0);
    std::fs::rename(&away, &inbox).expect("bring it back");
    installation.serve("2025-05-13T10:40:00Z", installation.until_run("2025-05-13", "failed")).await;
    assert_eq!(installation.told(), ["raised file_missing agency_a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_that_is_moved_to_a_configuration_without_a_customer_fails_for_that_customer_alone() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation.serve(EVE, installation.until_waiting()).await;
    installation.world.edit("customers.toml", |text| text.replace("name = \"agency_a\"", "name = \"agency_x\""));
    let run: String = installation.world.scalar("select id::text from bursar.runs where run_date = '2025-05-13'").await;
    installation.bursar(&["runs", "retry", &run]).code(78);
    assert_eq!(
        installation.count("task_runs where item = 'agency_a' and state = 'failed' and fault = 'config'").await,
        1
    );
    assert_eq!(installation.count("loads where is_current").await, 3);
}
