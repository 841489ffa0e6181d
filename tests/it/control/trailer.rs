//! Totals on the file's own trailer lines.

use super::{DAY, check, declared, kept, load, outcome, reasons, refused, rows};
use crate::known::state;
use crate::support::{World, ratings};
use serde_json::json;

const TRAILER: &str = "trailer = \"TRL\"";
const ALL: &str = "from = \"trailer\"
date_format = \"%d.%m.%Y\"
pattern = '^TRL;(?<rows>[0-9]+);(?<sum_customer_rating>[^;]+);(?<date>[^;]+)$'";

async fn world(trailer: &str) -> World {
    let world = declared(TRAILER, ALL).await;
    world.deliver("A", rows() + trailer);
    world
}

#[tokio::test]
async fn totals_that_agree_are_kept_for_auditors() {
    let world = world("TRL;0002;21.00;13.05.2025\r\n").await;
    let loaded = outcome(&world);
    assert_eq!(loaded["state"], "published");
    let checks = json!([
        {"name": "rows", "stated": "0002", "found": "2", "agrees": true},
        {"name": "sum_customer_rating", "stated": "21.00", "found": "21", "agrees": true},
        check("date", "13.05.2025", "13.05.2025"),
    ]);
    assert_eq!(kept(&world).await, checks);
    assert_eq!((&loaded["control"]["checks"], &loaded["control"]["from"]), (&checks, &json!("trailer")));
    let place: String = world.scalar("select control ->> 'place' from bursar.loads").await;
    assert!(place.ends_with("Inc.csv: line 4"), "{place}");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged");
}

#[tokio::test]
async fn a_load_whose_totals_differ_is_held_and_says_both_figures() {
    let world = world("TRL;3;22;12.05.2025").await;
    let reasons = reasons(&world);
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    for (reason, stated, found) in [
        (&reasons[0], "3 stated", "2 found"),
        (&reasons[1], "22 stated", "21 found"),
        (&reasons[2], "12.05.2025", DAY_AS_WRITTEN),
    ] {
        assert!(reason.contains(stated) && reason.contains(found) && reason.contains("line 4"), "{reason}");
    }
    assert_eq!(world.rows("agency_a").await, Vec::<String>::new());
    assert_eq!(kept(&world).await[0], check("rows", "3", "2"));
}

const DAY_AS_WRITTEN: &str = "13.05.2025 found";

#[tokio::test]
async fn rows_are_good_ones_and_rejects_and_sums_are_over_the_good_ones() {
    let world = declared(TRAILER, ALL).await;
    world.deliver("A", rows() + "x,4,5,low-value\r\nTRL;3;25;13.05.2025\r\n");
    let reasons = reasons(&world);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons[0].contains("25 stated") && reasons[0].contains("over the 2 good rows (1 were rejected)"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_sum_is_compared_exactly() {
    let world = declared(TRAILER, ALL).await;
    world.deliver("A", rows() + "TRL;2;21.0000000000000000000000001;13.05.2025");
    assert_eq!(reasons(&world).len(), 1);
}

#[tokio::test]
async fn a_file_without_its_trailer_was_cut_off() {
    let world = world("").await;
    let said = refused(&world, 65).await;
    assert!(said.contains("Inc.csv has no trailer line, which control.from asks for"), "{said}");
}

#[tokio::test]
async fn a_trailer_that_can_not_be_read_is_named_with_its_line_and_what_was_expected() {
    for (trailer, expected) in [
        ("TRL 2", "line 4: it states no rows: \"TRL 2\" is not like control.pattern = "),
        ("TRL;2;many;13.05.2025", "line 4: sum_customer_rating is stated as \"many\"; a decimal number"),
        ("TRL;2;21;2025-05-13", "line 4: date is stated as \"2025-05-13\"; a day like \"%d.%m.%Y\" was expected"),
        ("TRL;99999999999999999999;21;13.05.2025", "rows is stated as \"99999999999999999999\"; a whole number"),
        ("TRL;2;21;13.05.2025\r\nTRL;3;21;13.05.2025", "line 5: rows is stated as \"3\", and as \"2\" before"),
    ] {
        let world = world(trailer).await;
        let said = refused(&world, 65).await;
        assert!(said.contains(expected), "{trailer}: {said}");
    }
}

#[tokio::test]
async fn totals_may_stand_on_several_trailer_lines() {
    let world = declared(
        TRAILER,
        "from = \"trailer\"\npattern = '^TRL (?:ROWS=(?<rows>\\d+)|SUM=(?<sum_customer_rating>\\S+))$'",
    )
    .await;
    world.deliver("A", rows() + "TRL ROWS=2\nTRL NOTE=x\nTRL SUM=+21\n");
    load(&world).code(0);
    assert_eq!(kept(&world).await.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_trailer_is_read_whatever_block_it_lies_on_and_however_long_it_is() {
    for rows_before in [30_000, 52_400] {
        let world = declared(TRAILER, "from = \"trailer\"\npattern = '^TRL (?<rows>\\d+)'").await;
        let lines: Vec<String> = (0..rows_before).map(|n| format!("{n},1,2,x")).collect();
        let text = crate::support::ratings(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        world.deliver("A", format!("{text}TRL {rows_before} {}\n", "x".repeat(300_000)));
        load(&world).code(0);
    }
}

#[tokio::test]
async fn a_footer_states_totals_as_a_trailer_does() {
    let world = declared("footer_lines = 2", "from = \"trailer\"\npattern = 'total: (?<rows>\\d+)'").await;
    world.deliver("A", rows() + "--\r\ntotal: 2\r\n");
    load(&world).code(0);
    assert_eq!(kept(&world).await, json!([check("rows", "2", "2")]));
}

#[tokio::test]
async fn totals_are_written_as_the_files_numbers_are_or_as_control_says() {
    let rows = || ratings(&["1,1.000,20,high-value", "2,234-,21,low-value"]).replace(',', ";");
    let dialect =
        format!("delimiter = \";\"\ndecimal = \",\"\nthousands = \".\"\nnegative = [\"trailing\"]\n{TRAILER}");
    let load_with = async |control: &str, trailer: &str| {
        let world = World::new().await;
        super::declare(&world, "", control);
        world.edit("datasets/customer_rating.toml", |text| {
            text.replace("[dialect]\n", &format!("[dialect]\n{dialect}\n"))
        });
        world.deliver("A", rows() + trailer);
        world
    };
    let world = load_with(ALL, "TRL;2;766,00;13.05.2025").await;
    assert_eq!(outcome(&world)["state"], "published");
    assert_eq!(
        kept(&world).await[1],
        json!({"name": "sum_customer_rating", "stated": "766,00", "found": "766", "agrees": true})
    );
    let said = refused(&load_with(ALL, "TRL;2;766.00;13.05.2025").await, 65).await;
    assert!(said.contains("sum_customer_rating is stated as \"766.00\"; a decimal number, such as 1.234,5"), "{said}");
    let plain = format!("{ALL}\ndecimal = \".\"");
    assert_eq!(outcome(&load_with(&plain, "TRL;2;766.00;13.05.2025").await)["state"], "published");
}
