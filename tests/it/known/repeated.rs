//! The same bytes again, for the same run date and for a later one.

use super::{by_hand, delivered, load, loads, run, state};
use crate::support::ratings;

const DAY: &str = "2025-05-13";

#[tokio::test]
async fn the_same_bytes_again_for_the_same_run_date_do_nothing_and_say_so() {
    let world = delivered().await;
    let first = load(&world, DAY, "agency_a", &[]);
    let again = run(&world, DAY, "agency_a", &[]).code(0);
    let second = super::outcome(&again, "agency_a");
    assert_eq!([&first["state"], &second["state"]], ["published", "unchanged"]);
    assert_eq!(first["load_id"], second["load_id"]);
    assert_eq!(first["certificate"], second["certificate"]);
    assert_eq!(first["measures"], second["measures"]);
    assert_eq!(loads(&world, "true").await, 1);
    assert!(again.messages().contains("took in the same bytes for the same run date"), "{}", again.stderr);
    assert!(again.messages().contains("--force"), "{}", again.stderr);
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_the_same() {
    let world = delivered().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    world.deliver("A", ratings(&["1,10,20,high-value", "2,11,21,low-value"]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged");
}

#[tokio::test]
async fn a_file_of_the_same_size_and_other_bytes_is_loaded() {
    let world = delivered().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    world.deliver("A", ratings(&["1,10,20,high-value", "3,11,21,low-value"]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!(loads(&world, "is_current").await, 1);
    assert_eq!(world.rows("agency_a").await[1], "(3,11,21,low-value)");
}

#[tokio::test]
async fn force_loads_the_same_bytes_again() {
    let world = delivered().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!(state(&world, DAY, "agency_a", &["--force"]), "published");
    assert_eq!(loads(&world, "true").await, 2);
    let listed = world.bursar(&["runs", "list", "--json"]).json();
    assert_eq!([&listed[0]["force"], &listed[1]["force"]], [true, false]);
}

#[tokio::test]
async fn a_table_that_was_changed_by_hand_is_loaded_again() {
    let world = delivered().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    let rows = world.rows("agency_a").await;
    for change in [
        "truncate customer_rating_agency_a",
        "delete from customer_rating_agency_a where customer_number = 1",
        "insert into customer_rating_agency_a values (3, 3, 3, 'x')",
        "update customer_rating_agency_a set customer_rating = 99",
    ] {
        by_hand(&world, change).await;
        assert_eq!(state(&world, DAY, "agency_a", &[]), "published", "{change}");
        assert_eq!(world.rows("agency_a").await, rows, "{change}");
    }
}

#[tokio::test]
async fn an_edited_definition_loads_the_same_bytes_again() {
    let world = delivered().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    let dataset = "datasets/customer_rating.toml";
    for (what, to) in [
        ("max_length = 25", "max_length = 25\nheader = \"customer_status\""),
        ("max_reject_percent = 50", "max_reject_percent = 60"),
        ("sum(customer_rating), 0", "max(customer_rating), 0"),
        ("[gate]", "[dialect]\ntrim = true\n\n[gate]"),
    ] {
        world.edit(dataset, |text| text.replace(what, to));
        assert_ne!(state(&world, DAY, "agency_a", &[]), "unchanged", "{to}");
    }
}

#[tokio::test]
async fn a_definition_that_is_only_written_otherwise_or_waits_otherwise_is_the_same() {
    let world = delivered().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    world.edit("datasets/customer_rating.toml", |text| {
        let text = text.replace("table = ", "arrive_by = \"06:30\"\ntable = ");
        format!("# Ours.\n{}", text.replace("max_reject_percent = 50", "max_reject_percent=50   # half"))
    });
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged");
}

#[tokio::test]
async fn an_older_run_date_that_was_measured_is_published_when_it_is_to_be() {
    let world = delivered().await;
    assert_eq!(state(&world, "2025-05-14", "agency_a", &[]), "published");
    world.deliver("A", ratings(&["7,10,20,high-value"]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "measured");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged");
    assert_eq!(state(&world, DAY, "agency_a", &["--publish"]), "published");
    assert_eq!(world.rows("agency_a").await, ["(7,10,20,high-value)"]);
    assert_eq!(state(&world, DAY, "agency_a", &["--publish"]), "unchanged");
}

#[tokio::test]
async fn a_run_date_that_readers_do_not_see_any_more_is_published_again_when_it_is_to_be() {
    let world = delivered().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!(state(&world, "2025-05-14", "agency_a", &[]), "published");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged", "it would only be measured again");
    assert_eq!(state(&world, DAY, "agency_a", &["--publish"]), "published");
}

#[tokio::test]
async fn a_held_load_is_made_again() {
    let world = delivered().await;
    world.deliver("A", ratings(&[]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "held");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "held");
    assert_eq!(loads(&world, "state = 'held'").await, 2);
}

#[tokio::test]
async fn good_bytes_that_come_back_after_a_held_load_are_loaded_and_end_its_rejects() {
    let world = delivered().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    world.deliver("A", ratings(&["x,y,z,high-value"]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "held");
    world.deliver("A", ratings(&["1,10,20,high-value", "2,11,21,low-value"]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    let open: i64 = world.scalar("select count(*) from bursar.file_invalid_rows where status = 'open'").await;
    assert_eq!(open, 0);
}

#[tokio::test]
async fn the_same_bytes_for_a_later_run_date_are_loaded_with_a_warning_that_is_kept() {
    let world = delivered().await;
    let first = load(&world, DAY, "agency_a", &[]);
    assert_eq!(first["warnings"], serde_json::json!([]));
    let ran = run(&world, "2025-05-14", "agency_a", &[]).code(0);
    let second = super::outcome(&ran, "agency_a");
    assert_eq!(second["state"], "published");
    let warning = format!("its bytes are those of load {} of {DAY}: a stale file?", first["load_id"]);
    assert_eq!(second["warnings"], serde_json::json!([warning]));
    assert_eq!(ran.stderr.matches(&warning).count(), 1, "once, and not in the log as well: {}", ran.stderr);
    let run = ran.json()["run"]["id"].as_str().expect("an id").to_owned();
    let shown = world.bursar(&["runs", "show", &run]).code(0).stdout;
    assert!(shown.contains(&format!("note: load[agency_a]: {warning}")), "{shown}");
    let kept: String = world.scalar("select warnings ->> 0 from bursar.loads where run_date = '2025-05-14'").await;
    assert_eq!(kept, warning);
    let again = load(&world, "2025-05-14", "agency_a", &[]);
    assert_eq!((again["state"].as_str(), &again["warnings"][0]), (Some("unchanged"), &warning.into()));
}

#[tokio::test]
async fn the_same_bytes_for_a_later_run_date_are_held_where_that_is_configured() {
    let world = delivered().await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("[gate]", "[gate]\nallow_duplicate = false"));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!(state(&world, "2025-05-14", "agency_a", &[]), "held");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged");
}
