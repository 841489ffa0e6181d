//! An attempt that is not the present one any more changes nothing.

use crate::running::{Running, until};
use crate::support::World;
use bursar::db::fence::Fence;
use std::process::Stdio;

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_run_was_closed_by_somebody_else_changes_nothing() {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    let before = (world.rows("agency_a").await, world.scalar::<i64>("select count(*) from bursar.loads").await);
    let mut holder = world.connect().await;
    let name = "bursar load public.customer_rating_agency_a";
    let take = "select pg_advisory_lock(hashtextextended($1, 0))";
    sqlx::query(take).bind(name).execute(&mut holder).await.expect("hold the table's lock");
    let late = world
        .command(&["run-job", "customer-ratings", "--date", "2025-05-14", "--customer", "agency_a"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start bursar");
    let waiting = "select count(*) from pg_locks join pg_database as d on d.oid = database
                    where d.datname = current_database() and locktype = 'advisory' and not granted";
    until("the load waits", || async { world.scalar::<i64>(waiting).await > 0 }).await;
    let close = "update bursar.task_runs set state = 'cancelled', ended_at = now() where state in ('running', 'waiting');
                 update bursar.runs set state = 'cancelled', fault = 'transient', closed_at = now() where state = 'running'";
    sqlx::raw_sql(close).execute(&mut holder).await.expect("cancel the run");
    drop(holder);
    let output = late.wait_with_output().expect("the late run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("attempt 1 is stale: the task was taken over by another worker or cancelled"), "{said}");
    let after = (world.rows("agency_a").await, world.scalar::<i64>("select count(*) from bursar.loads").await);
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_attempt_is_not_the_present_one_never_takes_its_place() {
    let world = World::new().await;
    world.deliver_all();
    let path = world.path("output/Customer_Rating_Aggregate_Report_20250514.csv");
    let mut holder = world.connect().await;
    let take = "select pg_advisory_lock(hashtextextended('bursar report ' || $1, 0))";
    sqlx::query(take).bind(path.to_string_lossy()).execute(&mut holder).await.expect("hold the report's place");
    let mut command = world.command(&["run-job", "customer-ratings", "--date", "2025-05-14"]);
    let late = Running::of(&mut command);
    let waiting = "select count(*) from pg_locks join pg_database as d on d.oid = database
                    where d.datname = current_database() and locktype = 'advisory' and not granted";
    until("the report waits for its place", || async { world.scalar::<i64>(waiting).await > 0 }).await;
    let lose = "update bursar.task_runs set attempt = attempt + 1 where task = 'report' and state = 'running'";
    sqlx::raw_sql(lose).execute(&mut holder).await.expect("begin another attempt");
    drop(holder);
    late.says("counts for nothing").await;
    assert!(!path.exists(), "it was put in place");
    assert_eq!(world.scalar::<i64>("select count(*) from bursar.artifacts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_a_stale_attempt_replaced_is_restored_as_it_was_recorded() {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    let path = world.path("output/Customer_Rating_Aggregate_Report_20250513.csv");
    let sidecar = world.path("output/Customer_Rating_Aggregate_Report_20250513.csv.json");
    let recorded = (world.report("20250513"), std::fs::read(&sidecar).expect("a sidecar"));
    for place in [&sidecar, &path] {
        let stale = world.write("output/stale", "older");
        std::fs::rename(stale, place).expect("replace it");
    }
    let ran = world.run_job("2025-05-14", &[]).code(0);
    assert!(ran.stderr.contains("20250513.csv was replaced by a version that was never recorded"), "{}", ran.stderr);
    assert_eq!((world.report("20250513"), std::fs::read(&sidecar).expect("a sidecar")), recorded);
    std::fs::remove_file(&path).expect("collect it");
    world.run_job("2025-05-15", &[]).code(0);
    assert!(!path.exists(), "a report that was collected stays away");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_session_the_server_lost_is_told_from_one_that_it_has() {
    let world = World::new().await;
    let pool = world.pool().await;
    let fences = ["kept", "lost"].map(|task| Fence::new(uuid::Uuid::nil(), task.to_owned(), String::new(), 1));
    let names = fences.map(|fence| fence.lock_name());
    let mut sessions = [world.connect().await, world.connect().await];
    for (session, name) in sessions.iter_mut().zip(&names) {
        let hold = "select pg_advisory_lock_shared(hashtextextended($1, 0))";
        sqlx::query(hold).bind(name).execute(session).await.expect("hold the attempt's lock");
    }
    assert!(Fence::list_unheld(&pool, &names).await.expect("a look").is_empty());
    let cut = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted
                  and ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)";
    sqlx::query(cut).bind(&names[1]).execute(&pool).await.expect("cut it");
    until("the lock is gone", async || {
        Fence::list_unheld(&pool, &names).await.expect("a look") == [names[1].clone()].into()
    })
    .await;
}
