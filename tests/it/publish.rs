//! How a load's rows get in front of readers: truncate, swap, segments, merge, append.

use crate::support::{World, ratings};
use sqlx::{Connection, PgConnection};
use std::process::Child;

mod inherited;
mod last;
mod merge;
mod segments;
mod swap;
mod violations;

const ROWS: [&str; 2] = ["1,2,3,low-value", "4,5,6,high-value"];
const NEXT: [&str; 2] = ["7,8,9,low-value", "x,1,1,low-value"];

/// Agency A alone, whose dataset has these keys more.
async fn world_with(keys: &str) -> World {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("\n[gate]", &format!("\n{keys}\n[gate]")));
    world
}

/// A table that the customer's points to.
const STATUSES: &str = "create table statuses (name varchar(25) primary key);
    insert into statuses values ('low-value'), ('high-value');
    alter table customer_rating_agency_a add foreign key (customer_status) references statuses";

/// Starts the load of the next day, and gives a reader who waits for nobody longer than a second.
async fn load_beside_a_reader(world: &World) -> (Child, PgConnection) {
    world.deliver("A", ratings(&NEXT));
    let loading =
        world.command(&["run-job", "customer-ratings", "--date", "2025-05-14", "--customer", "agency_a"]).spawn();
    let mut reader = world.connect().await;
    sqlx::raw_sql("set statement_timeout = '1s'").execute(&mut reader).await.expect("set");
    (loading.expect("start"), reader)
}

fn load(world: &World, date: &str, rows: &[&str]) -> serde_json::Value {
    world.deliver("A", ratings(rows));
    let ran = world.run_job(date, &["--customer", "agency_a", "--json"]).code(0).json();
    ran["tasks"][0]["outcome"].clone()
}

/// What is left in the schema of staged rows.
async fn staged(world: &World) -> i64 {
    world
        .scalar("select count(*) from pg_class where relnamespace = 'bursar_staged'::regnamespace and relkind = 'r'")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_leaves_the_same_rows_rejects_and_counts() {
    let mut seen = Vec::new();
    for publish in ["auto", "truncate", "swap", "segments"] {
        let world = world_with(&format!("publish = \"{publish}\"")).await;
        load(&world, "2025-05-13", &ROWS);
        let outcome = load(&world, "2025-05-14", &NEXT);
        let rejects: i64 = world.scalar("select count(*) from bursar.file_invalid_rows where status = 'open'").await;
        let consolidated: Vec<String> =
            world.column("select r::text from customer_rating as r where customer = 'agency_a' order by 1").await;
        let way = outcome["publication"]["way"].as_str().expect("a way").to_owned();
        assert_eq!(way, if publish == "auto" { "truncate" } else { publish }, "{outcome}");
        seen.push((
            world.rows("agency_a").await,
            rejects,
            consolidated,
            outcome["certificate"]["loaded"].clone(),
            outcome["measures"].clone(),
        ));
        let segments = i64::from(publish == "segments");
        assert_eq!(staged(&world).await, segments, "{publish} leaves nothing behind");
    }
    assert!(seen.iter().all(|s| *s == seen[0]), "{seen:#?}");
    assert_eq!(seen[0].0, ["(7,8,9,low-value)"]);
    assert_eq!(seen[0].1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_can_change_its_way_from_day_to_day() {
    let world = world_with("publish = \"truncate\"").await;
    let mut last = "truncate";
    for (day, way) in
        ["segments", "truncate", "swap", "segments", "segments", "swap", "truncate"].into_iter().enumerate()
    {
        world.edit("datasets/customer_rating.toml", |text| {
            text.replace(&format!("publish = \"{last}\""), &format!("publish = \"{way}\""))
        });
        last = way;
        let row = format!("{day},2,3,low-value");
        let outcome = load(&world, &format!("2025-05-{}", 10 + day), &[&row]);
        assert_eq!(outcome["publication"]["way"], way, "{outcome}");
        assert_eq!(world.rows("agency_a").await, [format!("({row})")], "by {way}");
        assert_eq!(staged(&world).await, i64::from(way == "segments"), "after {way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_the_table_for_long_keeps_no_other_reader_waiting() {
    // A report that reads, and maintenance as autovacuum does it.
    const READS: &str = "select from customer_rating_agency_a";
    const MAINTAINS: &str = "lock table customer_rating_agency_a in share update exclusive mode";
    for (publish, holds) in [("truncate", READS), ("swap", READS), ("segments", READS), ("segments", MAINTAINS)] {
        let world = world_with(&format!("publish = \"{publish}\"")).await;
        load(&world, "2025-05-13", &ROWS);
        let mut long = world.connect().await;
        let mut reading = long.begin().await.expect("begin");
        sqlx::query(holds).execute(&mut *reading).await.expect("read");
        let (mut loading, mut other) = load_beside_a_reader(&world).await;
        // Until the load waits for the table, and for a while after: every other reader gets through.
        let mut waits = 0;
        while waits < 3 {
            let rows: i64 = sqlx::query_scalar("select count(*) from customer_rating_agency_a")
                .fetch_one(&mut other)
                .await
                .expect("a reader that does not wait");
            assert_eq!(rows, 2, "yesterday's rows");
            let is_waiting: bool = world.scalar("select exists (select from pg_locks where relation = 'customer_rating_agency_a'::regclass and not granted)").await;
            waits += i32::from(is_waiting);
        }
        reading.commit().await.expect("commit");
        let ended = tokio::task::spawn_blocking(move || loading.wait()).await.expect("wait").expect("wait");
        assert!(ended.success());
        assert_eq!(world.rows("agency_a").await, ["(7,8,9,low-value)"]);
        let waited: i64 = world.scalar("select lock_waited_ms from bursar.loads order by id desc limit 1").await;
        assert!(waited > 0, "the ledger tells how long it waited");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_table_that_a_foreign_key_points_to_keeps_no_other_reader_waiting() {
    for (before, publish) in [("swap", "swap"), ("segments", "segments"), ("segments", "truncate")] {
        let world = world_with(&format!("publish = \"{before}\"")).await;
        load(&world, "2025-05-12", &ROWS);
        world.sql(STATUSES).await;
        load(&world, "2025-05-13", &ROWS);
        world.edit("datasets/customer_rating.toml", |text| text.replace(before, publish));
        let mut long = world.connect().await;
        let mut reading = long.begin().await.expect("begin");
        sqlx::query("select from statuses").execute(&mut *reading).await.expect("read");
        let (mut loading, mut other) = load_beside_a_reader(&world).await;
        let mut waits = 0;
        while waits < 3 {
            let rows: (i64, i64) = sqlx::query_as(
                "select (select count(*) from customer_rating_agency_a), (select count(*) from statuses)",
            )
            .fetch_one(&mut other)
            .await
            .expect("a reader that does not wait");
            assert_eq!(rows, (2, 2), "yesterday's rows");
            let is_waiting: bool = world
                .scalar("select exists (select from pg_locks where relation = 'statuses'::regclass and not granted)")
                .await;
            waits += i32::from(is_waiting);
        }
        reading.commit().await.expect("commit");
        let ended = tokio::task::spawn_blocking(move || loading.wait()).await.expect("wait").expect("wait");
        assert!(ended.success(), "{publish}");
        assert_eq!(world.rows("agency_a").await, ["(7,8,9,low-value)"], "{publish}");
        let held: i64 = world.scalar("select lock_held_ms from bursar.loads order by id desc limit 1").await;
        assert!(held < 1000, "{publish}: its readers waited {held} ms");
    }
}
