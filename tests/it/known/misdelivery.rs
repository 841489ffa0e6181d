//! The same bytes under another customer's name.

use super::{load, loads, run, state};
use crate::running::{Running, until};
use crate::support::{World, ratings};
use bursar::rows::source::hex;
use sha2::{Digest, Sha256};
use sqlx::Connection;

const DAY: &str = "2025-05-13";
const ROWS: [&str; 2] = ["1,10,20,high-value", "2,11,21,low-value"];

#[tokio::test]
async fn the_bytes_of_another_customer_are_held_and_both_are_named() {
    let world = World::new().await;
    world.deliver("A", ratings(&ROWS));
    world.deliver("B", ratings(&ROWS));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    let first: i64 = world.scalar("select id from bursar.loads").await;
    let ran = run(&world, "2025-05-14", "agency_b", &[]).code(65);
    let held = super::outcome(&ran, "agency_b");
    let reason = held["reasons"][0].as_str().expect("a reason");
    for named in ["agency_a", "agency_b", DAY, "2025-05-14", &format!("load {first} "), "gate.allow_misdelivery"] {
        assert!(reason.contains(named), "{named}: {reason}");
    }
    assert!(reason.contains(&format!("load {}", held["load_id"])), "{reason}");
    assert_eq!(world.rows("agency_b").await, Vec::<String>::new());
    assert_eq!(loads(&world, &format!("misdelivery_of = {first} and state = 'held'")).await, 1);
}

#[tokio::test]
async fn whose_the_bytes_were_first_goes_on_with_them() {
    let world = World::new().await;
    world.deliver("A", ratings(&ROWS));
    world.deliver("B", ratings(&ROWS));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!(state(&world, DAY, "agency_b", &[]), "held");
    assert_eq!(state(&world, DAY, "agency_a", &["--force"]), "published");
    assert_eq!(state(&world, "2025-05-14", "agency_a", &[]), "published");
    assert_eq!(state(&world, DAY, "agency_b", &["--force"]), "held");
}

#[tokio::test]
async fn bytes_that_an_operator_has_accepted_are_the_customers_own() {
    let world = World::new().await;
    world.deliver("A", ratings(&ROWS));
    world.deliver("B", ratings(&ROWS));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    let held = load(&world, DAY, "agency_b", &[])["load_id"].to_string();
    world.bursar(&["loads", "accept", &held, "--reason", "one holding, two names"]).code(0);
    assert_eq!(state(&world, DAY, "agency_b", &[]), "unchanged");
    assert_eq!(state(&world, "2025-05-14", "agency_b", &[]), "published");
    assert_eq!(state(&world, "2025-05-14", "agency_a", &[]), "published");
}

#[tokio::test]
async fn a_customer_whose_file_another_one_had_gets_it_once_that_one_has_its_own() {
    let world = World::new().await;
    world.deliver("A", ratings(&ROWS));
    world.deliver("B", ratings(&ROWS));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published", "it is B's file");
    assert_eq!(state(&world, DAY, "agency_b", &[]), "held");
    world.deliver("A", ratings(&["5,10,20,high-value"]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!(state(&world, DAY, "agency_b", &[]), "published");
}

#[tokio::test]
async fn the_bytes_of_a_load_that_a_gate_holds_are_not_anothers_either() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("[gate]", "[gate]\nmin_rows = 5"));
    world.deliver("A", ratings(&ROWS));
    world.deliver("B", ratings(&ROWS));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "held");
    let held = load(&world, DAY, "agency_b", &[]);
    assert_eq!(held["reasons"].as_array().map(Vec::len), Some(2), "{held}");
}

#[tokio::test]
async fn a_file_of_a_header_alone_says_nothing_of_whose_it_is() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("[gate]", "[gate]\nallow_empty = true"));
    for (code, customer) in [("A", "agency_a"), ("B", "agency_b")] {
        world.deliver(code, ratings(&[]));
        assert_eq!(state(&world, DAY, customer, &[]), "published");
    }
}

#[tokio::test]
async fn customers_may_deliver_the_same_bytes_where_that_is_configured() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("[gate]", "[gate]\nallow_misdelivery = true"));
    for (code, customer) in [("A", "agency_a"), ("B", "agency_b")] {
        world.deliver(code, ratings(&ROWS));
        assert_eq!(state(&world, DAY, customer, &[]), "published");
    }
}

#[tokio::test]
async fn of_customers_that_load_the_same_bytes_at_one_moment_only_one_passes() {
    let world = World::new().await;
    let bytes = ratings(&ROWS);
    let customers = [("A", "agency_a"), ("B", "agency_b"), ("C", "agency_c")];
    for (code, _) in customers {
        world.deliver(code, &bytes);
    }
    world.bursar(&["migrate"]).code(0);
    // All of them stand before the ledger's answer when the first may ask.
    let mut holder = world.connect().await;
    let key = format!("bursar bytes {}", hex(&Sha256::digest(&bytes)));
    sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
        .bind(&key)
        .execute(&mut holder)
        .await
        .expect("hold");
    let dates = ["2025-05-12", DAY, "2025-05-14"];
    let start = |((_, customer), date): (&(&str, &str), &str)| {
        Running::start(&world, &["run-job", "customer-ratings", "--date", date, "--customer", customer])
    };
    let running: Vec<Running> = customers.iter().zip(dates).map(start).collect();
    let waiting = "select count(*) = 3 from pg_locks where locktype = 'advisory' and not granted
                      and database = (select oid from pg_database where datname = current_database())";
    until("all of them wait", async || world.scalar(waiting).await).await;
    holder.close().await.expect("let go");
    let mut passed = 0;
    for run in running {
        passed += usize::from(run.ended().await.code == 0);
    }
    assert_eq!(passed, 1);
    assert_eq!(loads(&world, "state = 'published'").await, 1);
    assert_eq!(loads(&world, "state = 'held' and misdelivery_of is not null").await, 2);
}
