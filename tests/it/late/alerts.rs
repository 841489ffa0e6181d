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
async fn a_failed_run_is_told_until_one_succeeds_that_leaves_nothing_out() {
    let installation = Installation::new("").await;
    installation.deliver("ACD", 1);
    installation.world.deliver("B", "no header at all\r\n");
    installation.serve(EVE, installation.until_run("2025-05-13", "failed")).await;
    assert_eq!(installation.told(), ["raised run_failed -"]);
    installation.run_job("2025-05-13", "agency_a").code(0);
    assert_eq!(installation.count("alerts where state = 'open'").await, 1, "agency_b is still not loaded");
    installation.deliver("B", 9);
    installation.run_job("2025-05-13", "agency_b").code(0);
    assert_eq!(installation.count("alerts where state = 'open' and kind = 'run_failed'").await, 0);
}
