//! An attempt that is not the present one any more changes nothing.

use crate::running::until;
use crate::support::World;
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
