//! Tables of somebody else's that inherit from a customer's table: their rows are theirs.

use super::{load, world_with};
use crate::support::World;

/// Measures that the server is asked for.
async fn world_with_kid(keys: &str) -> World {
    let world = world_with(keys).await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[measures]", "[measures]\nhighest = \"max(customer_rating)\"")
            .replace("consolidated = ", "# consolidated = ")
    });
    world.bursar(&["migrate"]).code(0);
    world.sql("create table kid () inherits (customer_rating_agency_a)").await;
    world
}

const KIDS: &str = "select kid::text from kid order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_neither_takes_nor_counts_the_rows_of_a_table_that_inherits() {
    for publish in ["auto", "truncate", "swap", "segments"] {
        let world = world_with_kid(&format!("publish = \"{publish}\"")).await;
        world.sql("insert into kid values (100, 999, 1, 'kid')").await;
        for date in ["2025-05-13", "2025-05-14"] {
            let outcome = load(&world, date, &["1,2,3,low-value", "4,5,6,low-value"]);
            assert_eq!(outcome["state"], "published", "{publish}: {outcome}");
            assert_eq!(outcome["certificate"]["copied_rows"], 2, "{publish}: {outcome}");
            assert_eq!(outcome["measures"]["count_customer_number"], "2", "{publish}: {outcome}");
            assert_eq!(outcome["measures"]["highest"], "5", "{publish}: {outcome}");
            assert_eq!(world.column(KIDS).await, ["(100,999,1,kid)"], "{publish}");
        }
        let again = load(&world, "2025-05-14", &["1,2,3,low-value", "4,5,6,low-value"]);
        assert_eq!(again["state"], "unchanged", "{publish}: its rows are as they were loaded: {again}");
        let rows = world.rows("agency_a").await;
        assert_eq!(rows, ["(1,2,3,low-value)", "(100,999,1,kid)", "(4,5,6,low-value)"], "{publish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_with_the_rows_they_hold_and_a_table_that_inherits_stays() {
    let world = world_with_kid("publish = \"segments\"").await;
    world.sql("insert into kid values (100, 999, 1, 'kid')").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    world.edit("datasets/customer_rating.toml", |text| text.replace("\"segments\"", "\"truncate\""));
    load(&world, "2025-05-14", &["4,5,6,low-value"]);
    assert_eq!(world.rows("agency_a").await, ["(100,999,1,kid)", "(4,5,6,low-value)"]);
    assert_eq!(super::staged(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_date_appended_again_takes_the_place_of_its_own_rows_alone() {
    let world = world_with_kid("mode = \"append\"\nrun_date_column = \"run_date\"").await;
    world.sql("insert into kid values (100, 999, 1, 'kid', '2025-05-13')").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    load(&world, "2025-05-13", &["4,5,6,low-value"]);
    assert_eq!(world.column(KIDS).await, ["(100,999,1,kid,2025-05-13)"]);
    assert_eq!(world.rows("agency_a").await, ["(100,999,1,kid,2025-05-13)", "(4,5,6,low-value,2025-05-13)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_redrive_adds_is_measured_without_the_rows_of_a_table_that_inherits() {
    let world = world_with_kid("publish = \"segments\"").await;
    world.sql("insert into kid values (100, 999, 1, 'kid')").await;
    load(&world, "2025-05-13", &["1,2,3,low-value", "x,5,6,low-value"]);
    let file = world.path("corrected.csv");
    let path = file.to_str().expect("a path");
    world.bursar(&["rejects", "export", "--load", "1", "--file", path]).code(0);
    let text = std::fs::read_to_string(&file).expect("the export").replace("x,5,6", "4,5,6");
    std::fs::write(&file, text).expect("the correction");
    let redriven = world.bursar(&["rejects", "redrive", path, "--json", "--load", "1"]).code(0).json();
    assert_eq!(redriven["measures"]["count_customer_number"], "2", "{redriven}");
    assert_eq!(redriven["measures"]["highest"], "5", "{redriven}");
}
