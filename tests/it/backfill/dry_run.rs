//! What a run would do is said without doing it, and is what then happens.

use super::{date_files, deliver_on, one_agency, with};
use crate::running::{Running, Stall};
use crate::support::{World, ratings};
use serde_json::Value;

/// Every table of the database, with how many rows it has and a digest of them.
async fn contents(world: &World) -> Vec<String> {
    let query = "select format('%I.%I', table_schema, table_name)
                     || query_to_xml(format('select count(*), md5(string_agg(t::text, '''' order by t::text)) from %I.%I as t',
                            table_schema, table_name), false, true, '')::text
                   from information_schema.tables
                  where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')
                  order by 1";
    sqlx::query_scalar(query).fetch_all(&world.pool().await).await.expect("the tables")
}

/// Run date and what would become of each load.
fn predicted(runs: &Value) -> Vec<String> {
    let load = |run: &Value, load: &Value| {
        format!("{} {}", &run["run_date"].as_str().expect("a date")[8..], load["becomes"].as_str().expect("a word"))
    };
    let runs = runs.as_array().expect("a list").iter();
    runs.flat_map(|run| run["loads"].as_array().expect("loads").iter().map(|l| load(run, l)).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing_and_what_it_says_is_what_then_happens() {
    let world = one_agency().await;
    world.run_job("2025-05-13", &[]).code(0);
    let before = contents(&world).await;
    assert!(before.len() > 10);
    let runs = world.bursar(&with(&["--dry-run", "--json"])).code(0).json();
    let table = world.bursar(&with(&["--dry-run"])).code(0).stdout;
    assert!(table.contains("measured") && table.ends_with("dry run: nothing was opened or written\n"), "{table}");
    assert_eq!(contents(&world).await, before);
    assert_eq!(world.report("20250512"), None);
    assert_eq!(predicted(&runs), ["12 measured", "13 published", "14 published"]);
    world.bursar(&with(&["--force"])).code(0);
    let happened: Vec<(String, String, i64)> = sqlx::query_as(
        "select to_char(run_date, 'DD') || ' ' || state, file_path, file_bytes from bursar.loads order by id offset 1",
    )
    .fetch_all(&world.pool().await)
    .await
    .expect("the ledger");
    for (i, (state, path, bytes)) in happened.iter().enumerate() {
        let load = &runs[i]["loads"][0];
        assert_eq!(*state, predicted(&runs)[i]);
        assert_eq!((load["file"].as_str(), load["bytes"].as_i64()), (Some(path.as_str()), Some(*bytes)));
        assert!(load["modified_at"].is_string());
        assert!(std::path::Path::new(runs[i]["reports"][0].as_str().expect("a path")).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_run_dates_of_the_range_come_before_later_ones() {
    let world = one_agency().await;
    world.run_job("2025-05-20", &[]).code(0);
    let predicted = |more: &[&'static str]| {
        predicted(&world.bursar(&[&with(more)[..], &["--dry-run", "--json"]].concat()).code(0).json())
    };
    assert_eq!(predicted(&[]), ["12 measured", "13 measured", "14 measured"]);
    assert_eq!(predicted(&["--publish"]), ["12 published", "13 published", "14 published"]);
    world.bursar(&["run-job", "customer-ratings", "--date", "2025-05-12", "--publish"]).code(0);
    assert_eq!(predicted(&[]), ["12 published", "13 published", "14 published"], "readers see the 12th again");
    assert_eq!(predicted(&["--missing-only"]), ["13 published", "14 published"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_nothing_would_be_loaded_is_said() {
    let world = one_agency().await;
    date_files(&world);
    deliver_on(&world, "20250512", &ratings(&["1,1,1,new"]));
    let runs = world.bursar(&with(&["--dry-run", "--json"])).code(0).json();
    assert_eq!(predicted(&runs), ["12 published", "13 nothing", "14 nothing"]);
    let reason = runs[1]["loads"][0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("no file of agency_a for 2025-05-13"), "{reason}");
    world.edit("datasets/customer_rating.toml", |text| text.replace("%Y%m%d {customer.code}", "* {customer.code}"));
    deliver_on(&world, "20250513", &ratings(&["1,1,1,new"]));
    let runs =
        world.bursar(&["run-job", "customer-ratings", "--date", "2025-05-13", "--dry-run", "--json"]).code(0).json();
    assert_eq!(predicted(&runs), ["13 nothing"]);
    let reason = runs[0]["loads"][0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("2 files of agency_a"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_run_is_named() {
    let world = one_agency().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &["run-job", "customer-ratings", "--date", "2025-05-13"]);
    stall.reached().await;
    let runs = world.bursar(&with(&["--dry-run", "--json"])).code(0).json();
    let id: String = world.scalar("select id::text from bursar.runs").await;
    assert_eq!((&runs[0]["open_run"], &runs[1]["open_run"]), (&Value::Null, &Value::String(id)));
    stall.release().await;
    running.ended().await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tables_is_left_so() {
    let world = World::bare().await;
    let ran = world.bursar(&with(&["--dry-run"])).code(78);
    assert!(ran.messages().contains("`bursar migrate` makes them"), "{}", ran.messages());
    assert!(!world.scalar::<bool>("select to_regnamespace('bursar') is not null").await);
}
