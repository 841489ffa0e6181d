//! What becomes of a delivery once it is loaded: changes, duplicates, yesterday's file.

use super::{DUE_BY, Watched, at, file};
use std::fs::File;

/// Gives a file the time of a real morning: two deliveries of a test are else of the same moment.
fn touch(watched: &Watched, time: &str) {
    let path = watched.world.path("inbox/ratings/Customer Rating Agency A Inc.csv");
    File::options().append(true).open(path).unwrap().set_modified(at(time).into()).expect("set its time");
}

fn deliver(watched: &Watched, number: u32, time: &str) {
    watched.world.deliver("A", file(number));
    touch(watched, time);
}

/// The file of 2025-05-13 came in time and was loaded.
async fn loaded() -> Watched {
    let mut watched = Watched::alone(DUE_BY).await;
    deliver(&watched, 1, "2025-05-13T09:30:00Z");
    assert_eq!(watched.look("2025-05-13T09:30:00Z").await, ["arrived agency_a 2025-05-13"]);
    let delivery = watched.load("2025-05-13", "2025-05-13T09:31:00Z").await.expect("a delivery");
    assert_eq!(delivery.state.as_str(), "arrived");
    assert_eq!(delivery.arrived_at, Some(at("2025-05-13T09:30:00Z")), "loading does not change when it came");
    assert_eq!(delivery.file_modified_at, Some(at("2025-05-13T09:30:00Z")));
    assert_eq!(delivery.file_sha256.map(|hash| hash.len()), Some(64));
    assert!(delivery.load_id.is_some() && delivery.run_id.is_some());
    watched
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_file_that_is_replaced_has_changed_and_each_change_is_told_once() {
    let mut watched = loaded().await;
    watched.nothing_at("2025-05-13T11:00:00Z").await;
    deliver(&watched, 22, "2025-05-13T11:30:00Z");
    assert_eq!(watched.look("2025-05-13T12:00:00Z").await, ["changed agency_a 2025-05-13"]);
    assert!(watched.note("agency_a", "2025-05-13").await.contains("Inc.csv is no longer the file that load "));
    watched.nothing_at("2025-05-13T12:00:01Z").await;
    touch(&watched, "2025-05-13T12:30:00Z");
    assert_eq!(watched.look("2025-05-13T13:00:00Z").await, ["changed agency_a 2025-05-13"], "another time is enough");
    let delivery = watched.load("2025-05-13", "2025-05-13T14:00:00Z").await.expect("a delivery");
    assert_eq!((delivery.state.as_str(), delivery.note), ("arrived", None));
    watched.nothing_at("2025-05-13T14:00:01Z").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_looked_for_until_the_next_due_day_begins() {
    let mut watched = loaded().await;
    deliver(&watched, 2, "2025-05-14T04:30:00Z");
    // Midnight in New York is 04:00 UTC.
    assert_eq!(watched.look("2025-05-14T04:31:00Z").await, ["arrived agency_a 2025-05-14"]);
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_taken_away_or_called_otherwise_has_not_changed() {
    let mut watched = loaded().await;
    let path = watched.world.path("inbox/ratings/Customer Rating Agency A Inc.csv");
    std::fs::rename(&path, path.with_file_name("Customer Rating Agency A Inc (done).csv")).expect("rename it");
    watched.nothing_at("2025-05-13T12:00:00Z").await;
    std::fs::remove_file(path.with_file_name("Customer Rating Agency A Inc (done).csv")).expect("remove it");
    watched.nothing_at("2025-05-13T12:00:01Z").await;
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_file_that_still_lies_there_has_not_arrived() {
    let mut watched = loaded().await;
    watched.nothing_at("2025-05-14T10:00:00Z").await;
    assert_eq!(watched.state("agency_a", "2025-05-14").await, "expected");
    assert_eq!(watched.look("2025-05-14T10:31:00Z").await, ["missing agency_a 2025-05-14"]);
    let note = watched.note("agency_a", "2025-05-14").await;
    assert!(note.ends_with("Inc.csv is still the file of 2025-05-13 (load 1)"), "{note}");
    deliver(&watched, 1, "2025-05-14T11:00:00Z");
    assert_eq!(watched.look("2025-05-14T11:01:00Z").await, ["late agency_a 2025-05-14"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_bytes_delivered_anew_are_a_duplicate_once_they_are_loaded() {
    let mut watched = loaded().await;
    deliver(&watched, 1, "2025-05-14T09:30:00Z");
    assert_eq!(watched.look("2025-05-14T09:31:00Z").await, ["arrived agency_a 2025-05-14"]);
    let delivery = watched.load("2025-05-14", "2025-05-14T09:32:00Z").await.expect("a delivery");
    assert_eq!(delivery.state.as_str(), "duplicate");
    assert_eq!(delivery.note.as_deref(), Some("the same bytes as load 1 of 2025-05-13"));
    let delivery = watched.load("2025-05-13", "2025-05-14T09:33:00Z").await.expect("a delivery");
    assert_eq!(delivery.state.as_str(), "arrived", "of the earlier date they are none");
    deliver(&watched, 3, "2025-05-14T10:00:00Z");
    assert_eq!(watched.look("2025-05-14T10:01:00Z").await, ["changed agency_a 2025-05-14"]);
    let delivery = watched.load("2025-05-14", "2025-05-14T10:02:00Z").await.expect("a delivery");
    assert_eq!((delivery.state.as_str(), delivery.note), ("arrived", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_holds_a_duplicate_where_it_is_told_to() {
    let watched = Watched::alone(DUE_BY).await;
    watched
        .world
        .edit("datasets/customer_rating.toml", |text| text.replace("[gate]\n", "[gate]\nallow_duplicate = false\n"));
    deliver(&watched, 1, "2025-05-13T09:30:00Z");
    watched.world.run_job("2025-05-13", &[]).code(0);
    watched.world.run_job("2025-05-13", &["--force"]).code(0);
    let said = watched.world.run_job("2025-05-14", &[]).code(65).messages();
    assert!(said.contains("its bytes are those of load 2 of 2025-05-13 (gate.allow_duplicate is false)"), "{said}");
    deliver(&watched, 2, "2025-05-14T09:30:00Z");
    watched.world.run_job("2025-05-14", &[]).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_before_it_is_looked_for_has_arrived_and_is_not_told() {
    let mut watched = Watched::alone(DUE_BY).await;
    deliver(&watched, 1, "2025-05-13T09:30:00Z");
    assert!(watched.load("2025-05-13", "2025-05-13T09:31:00Z").await.is_none(), "no daemon was up");
    watched.nothing_at("2025-05-13T12:00:00Z").await;
    let delivery = watched.get("agency_a", "2025-05-13").await;
    assert_eq!(delivery.state.as_str(), "late", "by the database's own clock");
    assert_eq!((delivery.load_id, delivery.note.as_deref()), (Some(1), Some("loaded before it was looked for")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_settles_a_delivery_in_whatever_state_it_was() {
    let mut watched = Watched::alone(DUE_BY).await;
    watched.nothing_at("2025-05-13T09:00:00Z").await;
    deliver(&watched, 1, "2025-05-13T09:30:00Z");
    for (from, now, to) in [
        ("expected", "2025-05-13T10:00:00Z", "arrived"),
        ("expected", "2025-05-13T11:00:00Z", "late"),
        ("missing", "2025-05-13T11:00:00Z", "late"),
        ("late", "2025-05-13T11:00:00Z", "late"),
        ("arrived", "2025-05-13T11:00:00Z", "arrived"),
        ("changed", "2025-05-13T11:00:00Z", "arrived"),
        ("duplicate", "2025-05-13T11:00:00Z", "arrived"),
        ("not_expected", "2025-05-13T11:00:00Z", "arrived"),
    ] {
        let set = "update bursar.deliveries
                      set state = $1, load_id = null,
                          arrived_at = case when $1 in ('expected', 'missing', 'not_expected') then null else deadline end";
        sqlx::query(set).bind(from).execute(&watched.pool).await.expect("set the state");
        let delivery = watched.load("2025-05-13", now).await.expect("a delivery");
        assert_eq!(delivery.state.as_str(), to, "from {from}");
    }
}
