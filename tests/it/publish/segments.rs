//! Segments behind a table: filled over several connections, put in place at once.

use super::{load, staged, world_with};
use crate::running::{Running, until};
use crate::support::{World, ratings};
use nix::sys::signal::Signal;
use std::fmt::Write;

/// More than one stream's worth of rows.
fn large() -> String {
    let mut text = ratings(&[]);
    for n in 0..1_800_000 {
        write!(text, "{n},{n},3,low-value\r\n").expect("text");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_over_several_connections_and_no_row_is_lost_or_doubled() {
    let world = world_with("publish = \"segments\"\nstreams = 3").await;
    world.deliver("A", large());
    let ran = world.run_job("2025-05-13", &["--customer", "agency_a", "--json"]).code(0).json();
    let outcome = &ran["tasks"][0]["outcome"];
    assert_eq!(outcome["publication"]["streams"], 2, "as many as the file is worth");
    assert_eq!(outcome["certificate"]["copied_rows"], 1_800_000);
    assert_eq!(outcome["measures"]["count_customer_number"], "1800000");
    let counts: Vec<String> =
        world.column("select count(*)::text from customer_rating_agency_a union all select count(distinct customer_number)::text from customer_rating where customer = 'agency_a'").await;
    assert_eq!(counts, ["1800000", "1800000"]);
    assert_eq!(staged(&world).await, 2);
    let uneven: i64 = world
        .scalar("select min(n) from (select count(*) as n from customer_rating_agency_a group by tableoid) as s")
        .await;
    assert!(uneven > 100_000, "both had work: {uneven}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_segments_would_break_is_truncated_and_the_ledger_says_why() {
    let world = world_with("publish = \"segments\"").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    world.sql("create unique index one_number on customer_rating_agency_a (customer_number)").await;
    let outcome = load(&world, "2025-05-14", &["4,5,6,low-value"]);
    assert_eq!(outcome["publication"]["way"], "truncate");
    let reason = outcome["publication"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("one_number is unique"), "{reason}");
    assert_eq!((world.rows("agency_a").await, staged(&world).await), (vec!["(4,5,6,low-value)".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_killed_leaves_no_segment_behind() {
    let world = world_with("publish = \"segments\"").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    world.deliver("A", large());
    let running =
        Running::start(&world, &["run-job", "customer-ratings", "--date", "2025-05-14", "--customer", "agency_a"]);
    until("rows are copied", async || {
        world.scalar::<bool>("select exists (select from pg_stat_progress_copy where tuples_processed > 0)").await
    })
    .await;
    running.signal(Signal::SIGKILL);
    drop(running.ended().await);
    // What the killed one had committed by itself: a segment that nobody reads.
    world.sql("create table bursar_staged.load_4711_1 (like customer_rating_agency_a)").await;
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)"]);
    world.deliver("A", ratings(&["4,5,6,low-value"]));
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
    assert_eq!(world.rows("agency_a").await, ["(4,5,6,low-value)"]);
    assert_eq!(staged(&world).await, 1, "the one behind the table");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_off_leaves_no_segment_behind() {
    let world: World = world_with("publish = \"segments\"\nstreams = 4").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    world.deliver("A", large());
    world.sql("alter table customer_rating_agency_a add constraint small check (customer_number < 1700000)").await;
    let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]);
    assert_ne!(ran.code, 0);
    assert!(ran.messages().contains("small"), "{}", ran.messages());
    assert_eq!((world.rows("agency_a").await, staged(&world).await), (vec!["(1,2,3,low-value)".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_segment_has_the_tables_indexes_day_after_day() {
    let world = world_with("publish = \"segments\"\nstreams = 2").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    world.sql("create index by_status on customer_rating_agency_a (customer_status); create index on customer_rating_agency_a (customer_number)").await;
    world.deliver("A", large());
    for day in ["2025-05-14", "2025-05-15"] {
        world.run_job(day, &["--customer", "agency_a"]).code(0);
        let indexes: i64 =
            world.scalar("select count(*) from pg_index as i join pg_inherits as h on h.inhrelid = i.indrelid").await;
        assert_eq!(indexes, 4, "two of each of two segments");
    }
    let plan =
        world.column("explain (costs off) select * from customer_rating_agency_a where customer_number = 4711").await;
    let scans = plan.iter().filter(|line| line.contains("Index Scan") || line.contains("Bitmap Index"));
    assert!(scans.count() >= 2, "{plan:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_sees_every_row_whatever_way_the_dataset_wants() {
    let world = world_with("publish = \"segments\"").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    world
        .sql(
            "create function double() returns trigger language plpgsql as
                 'begin new.customer_rating := 2 * new.customer_rating; return new; end';
             create trigger doubled before insert on customer_rating_agency_a for each row execute function double()",
        )
        .await;
    let outcome = load(&world, "2025-05-14", &["4,5,6,low-value"]);
    let publication = &outcome["publication"];
    assert_eq!(publication["way"], "truncate", "{outcome}");
    assert!(publication["reason"].as_str().is_some_and(|why| why.contains("trigger doubled")), "{outcome}");
    assert_eq!(world.rows("agency_a").await, ["(4,10,6,low-value)"]);
}
