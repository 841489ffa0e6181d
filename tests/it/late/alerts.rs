//! Files that came and are not what they should be: told, and over when a better one was loaded.

use super::{EVE, Installation};
use crate::support::ratings;

async fn first_day(installation: &Installation) {
    installation.deliver("ABCD", 1);
    installation.serve(EVE, installation.until_run("2025-05-13", "succeeded")).await;
    assert_eq!(installation.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_file_delivered_anew_is_told_and_so_is_its_correction_until_that_is_loaded() {
    let installation = Installation::new("").await;
    first_day(&installation).await;
    installation.deliver("A", 1);
    installation.deliver("BCD", 10);
    installation.serve("2025-05-14T08:59:59Z", installation.until_run("2025-05-14", "succeeded")).await;
    assert_eq!(installation.told(), ["raised file_duplicate agency_a"]);
    installation.deliver("A", 99);
    assert_eq!(installation.look("2025-05-14T10:00:00Z").await, [""; 0]);
    assert_eq!(installation.delivery("agency_a", "2025-05-14").await, "changed");
    assert_eq!(installation.count("alerts where state = 'open'").await, 2, "the table keeps the old one");
    installation.run_job("2025-05-14", "agency_a").code(0);
    assert_eq!(installation.count("alerts where state = 'open'").await, 0);
    let resolved =
        "alerts where kind in ('file_duplicate', 'file_changed') and resolution like 'load % took in the file'";
    assert_eq!(installation.count(resolved).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_file_in_place_is_not_todays_and_a_load_waits_for_that() {
    let installation = Installation::new("").await;
    first_day(&installation).await;
    installation.deliver("BCD", 10);
    let today = async {
        installation
            .until("select count(*) = 1 from bursar.task_runs where item = 'agency_a' and state = 'deferred'")
            .await;
        installation.until("select count(*) = 7 from bursar.loads").await;
        installation.deliver("A", 9);
        installation.until_run("2025-05-14", "succeeded").await;
    };
    installation.serve("2025-05-14T08:59:59Z", today).await;
    assert_eq!(installation.world.rows("agency_a").await, ["(9,10,20,high-value)"]);
    assert_eq!(installation.count("alerts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_load_is_told_instead_of_its_run_and_over_with_the_next_published_one() {
    let installation = Installation::new("").await;
    installation.deliver("BCD", 1);
    installation.world.deliver("A", ratings(&["x,1,1,low", "y,1,1,low"]));
    installation.serve(EVE, installation.until_run("2025-05-13", "failed")).await;
    assert_eq!(installation.told(), ["raised load_held agency_a"]);
    installation.run_job("2025-05-13", "agency_a").code(65);
    assert_eq!(installation.count("alerts where state = 'open' and raised_count = 2").await, 1, "still the same one");
    installation.deliver("A", 7);
    installation.run_job("2025-05-13", "agency_a").code(0);
    assert_eq!(installation.count("alerts where state = 'open'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_alerted_when_its_first_task_fails_until_a_run_succeeds_that_leaves_nothing_out() {
    let installation = Installation::new("").await;
    installation.world.sql("alter table customer_rating_agency_b drop column customer_status cascade").await;
    installation.deliver("BCD", 1);
    let alerted = async {
        installation.until("select exists (select from bursar.alerts)").await;
        installation.until_waiting_for_a().await;
        installation.until_told().await;
    };
    installation.serve(EVE, alerted).await;
    assert_eq!(installation.told(), ["raised run_failed -"]);
    assert_eq!(installation.count("runs where state = 'running'").await, 1, "agency_a is still awaited");
    installation.deliver("A", 7);
    installation.serve("2025-05-13T09:30:00Z", installation.until_run("2025-05-13", "failed")).await;
    assert_eq!(installation.count("alerts where raised_count = 1").await, 1, "its end raises nothing more");
    installation.run_job("2025-05-13", "agency_a").code(0);
    assert_eq!(installation.count("alerts where state = 'open'").await, 1, "agency_b is still not loaded");
    installation.world.sql("alter table customer_rating_agency_b add column customer_status varchar(25)").await;
    installation.run_job("2025-05-13", "agency_b").code(0);
    assert_eq!(installation.count("alerts where state = 'open'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_file_is_alerted_when_its_load_fails_and_a_corrected_one_is_loaded_by_the_same_run() {
    let installation = Installation::new("").await;
    installation.deliver("CD", 1);
    installation.world.deliver("B", "no header at all\r\n");
    let alerted = async {
        installation.until("select exists (select from bursar.alerts)").await;
        installation.until_waiting_for_a().await;
        installation.until_told().await;
    };
    installation.serve(EVE, alerted).await;
    assert_eq!(installation.told(), ["raised file_refused agency_b"]);
    assert_eq!(installation.count("runs where state = 'running'").await, 1, "agency_a is still awaited");
    let refused = "refused_files as r join bursar.deliveries as d on d.refused_id = r.id
                   where d.state = 'arrived' and r.file_bytes = 18 and r.file_sha256 = d.file_sha256";
    assert_eq!(installation.count(refused).await, 1);
    // Another bad file is another refusal, and a corrected one is loaded: each once.
    installation.deliver("A", 7);
    installation.world.deliver("B", "no header again\r\n");
    let again = installation.until("select count(*) = 2 from bursar.refused_files");
    installation.serve("2025-05-13T09:30:00Z", again).await;
    installation.deliver("B", 9);
    installation.serve("2025-05-13T09:40:00Z", installation.until_run("2025-05-13", "succeeded")).await;
    assert_eq!(installation.told(), ["raised file_refused agency_b", "resolved file_refused agency_b"]);
    assert_eq!(installation.delivery("agency_b", "2025-05-13").await, "arrived");
    assert_eq!((installation.count("runs").await, installation.count("refused_files").await), (1, 2));
    assert_eq!(installation.count("deliveries where refused_id is not null").await, 0);
    assert_eq!(installation.world.report("20250513").expect("a report").lines().count(), 5);
}
