//! One morning: the job falls due at 05:00 in New York, files are due by 06:30.

use super::{EVE, Installation, OVERDUE};
use crate::notify::servers::Web;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_load_waits_for_its_file_while_others_are_loaded_and_nobody_is_told() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation
        .serve(EVE, async {
            installation.until_waiting().await;
            let reason: String =
                installation.world.scalar("select error from bursar.task_runs where state = 'deferred'").await;
            assert!(reason.ends_with("is awaited until 2025-05-13T06:30:00-04:00"), "{reason}");
            installation.deliver("A", 7);
            installation.until_run("2025-05-13", "succeeded").await;
        })
        .await;
    assert_eq!(installation.attempts().await, ["deferred", "succeeded"]);
    assert_eq!(installation.delivery("agency_a", "2025-05-13").await, "arrived");
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 5);
    assert_eq!((installation.count("alerts").await, installation.told().len()), (0, 0));
    assert_eq!(installation.count("task_runs where failures + losses > 0").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_by_its_deadline_is_loaded_by_the_daemon_that_is_up_then() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation.serve(EVE, installation.until_waiting()).await;
    installation.serve("2025-05-13T09:10:00Z", installation.until_waiting()).await;
    installation.deliver("A", 7);
    installation.serve("2025-05-13T09:20:00Z", installation.until_run("2025-05-13", "succeeded")).await;
    assert_eq!((installation.count("runs").await, installation.count("alerts").await), (1, 0));
    assert_eq!(installation.attempts().await.last().map(String::as_str), Some("succeeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_is_told_once_and_loaded_by_the_same_run_when_it_comes() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation.serve(EVE, installation.until_waiting()).await;
    installation.serve(OVERDUE, installation.until_run("2025-05-13", "failed")).await;
    assert_eq!(installation.told(), ["raised file_missing agency_a"]);
    let next: Value = installation.web.taken()[0].json()["next_step"].clone();
    let command = "bursar run-job customer-ratings --date 2025-05-13 --customer agency_a";
    assert!(next.as_str().expect("a next step").contains(command), "{next}");
    assert_eq!(installation.count("loads where state = 'published'").await, 3, "the others");
    assert_eq!(installation.count("task_runs where task = 'report' and state = 'skipped'").await, 1);
    assert_eq!(installation.world.report("20250513"), None);
    installation.deliver("A", 7);
    installation.serve("2025-05-13T11:00:00Z", installation.until_run("2025-05-13", "succeeded")).await;
    assert_eq!(installation.count("runs").await, 1, "the same run");
    assert_eq!(installation.delivery("agency_a", "2025-05-13").await, "late");
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 5);
    assert_eq!(installation.count("alerts where state = 'open'").await, 0);
    let told = ["raised file_late", "raised file_missing", "resolved file_late", "resolved file_missing"];
    assert_eq!(installation.told(), told.map(|what| format!("{what} agency_a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_after_any_outcome_is_written_without_who_is_missing_and_again_with_him() {
    let installation = Installation::new("").await;
    installation.world.edit("jobs/customer-ratings.toml", |text| text + "after_any_outcome = true\n");
    installation.deliver("BCD", 1);
    installation.serve(EVE, installation.until_waiting()).await;
    installation.serve(OVERDUE, installation.until_run("2025-05-13", "failed")).await;
    assert_eq!(installation.told(), ["raised file_missing agency_a"]);
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 4);
    let sidecar = installation.world.path("output/Customer_Rating_Aggregate_Report_20250513.csv.json");
    let sidecar: Value = serde_json::from_str(&std::fs::read_to_string(sidecar).expect("a sidecar")).expect("JSON");
    assert_eq!(sidecar["missing"][0]["customer"], "agency_a", "{sidecar}");
    installation.deliver("A", 7);
    installation.serve("2025-05-13T11:00:00Z", installation.until_run("2025-05-13", "succeeded")).await;
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_after_its_window_is_loaded_only_by_an_operator() {
    let installation = Installation::new("late_window_h = 1\n").await;
    installation.deliver("BCD", 1);
    // No daemon was up at 05:00, nor at 06:30.
    installation.serve(OVERDUE, installation.until_run("2025-05-13", "failed")).await;
    assert_eq!(installation.count("alerts where kind = 'file_missing' and raised_count = 1").await, 1);
    assert_eq!(installation.count("alerts where kind = 'run_failed'").await, 0);
    installation.deliver("A", 7);
    assert_eq!(installation.look("2025-05-13T11:31:00Z").await, [""; 0]);
    assert_eq!(installation.delivery("agency_a", "2025-05-13").await, "missing");
    assert_eq!(installation.count("runs where state = 'running'").await, 0);
    installation.run_job("2025-05-13", "agency_a").code(0);
    assert_eq!(installation.delivery("agency_a", "2025-05-13").await, "late");
    assert_eq!(installation.count("alerts where state = 'open'").await, 0);
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 5);
    assert_eq!(installation.look("2025-05-13T11:32:00Z").await, [""; 0]);
    assert_eq!(installation.count("runs where trigger = 'schedule' and state = 'failed'").await, 1, "it is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_told_although_nothing_ran_at_all() {
    let installation = Installation::new("").await;
    let catchup = |text: String| text.replace("catchup = \"latest\"", "catchup = \"none\"");
    installation.world.edit("jobs/customer-ratings.toml", catchup);
    let told = async {
        installation.until("select count(*) = 4 from bursar.alerts").await;
        installation.until("select count(*) = 1 from bursar.occurrences where state = 'skipped'").await;
        installation.until_told().await;
    };
    installation.serve("2025-05-13T10:35:00Z", told).await;
    assert_eq!(installation.told(), ["a", "b", "c", "d"].map(|agency| format!("raised file_missing agency_{agency}")));
    assert_eq!(installation.count("runs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_calendar_does_not_expect_is_neither_awaited_nor_missed() {
    let installation = Installation::new("").await;
    installation.world.edit("customers.toml", |text| {
        let text = text.replace("code = \"A\"", "code = \"A\"\ncalendar = \"tuesdays_off\"");
        text + "\n[[calendar]]\nname = \"tuesdays_off\"\nclosed_weekdays = [\"tue\"]\n"
    });
    installation.deliver("BCD", 1);
    installation.serve(EVE, installation.until_run("2025-05-13", "succeeded")).await;
    assert_eq!(installation.attempts().await, ["succeeded"]);
    assert_eq!(installation.delivery("agency_a", "2025-05-13").await, "not_expected");
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 4);
    assert_eq!((installation.count("alerts").await, installation.count("loads").await), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_or_hangs_changes_nothing_of_the_run() {
    for mood in [Web::status(500), Web::Hang] {
        let installation = Installation::new("").await;
        installation.web.does(mood);
        installation.deliver("BCD", 1);
        let failed = installation.until("select bool_and(state = 'failed') from bursar.runs");
        installation.serve(OVERDUE, failed).await;
        assert_eq!(installation.count("loads where state = 'published'").await, 3);
        assert_eq!(installation.count("alerts where kind = 'file_missing' and state = 'open'").await, 1);
        installation.deliver("A", 7);
        let succeeded = installation.until("select bool_and(state = 'succeeded') from bursar.runs");
        installation.serve("2025-05-13T11:00:00Z", succeeded).await;
        assert_eq!(installation.count("alerts where state = 'open'").await, 0);
        assert_eq!(installation.told(), [""; 0]);
    }
}
