//! What a pool hands out.

use crate::support::World;
use bursar::db::Database;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Row};

async fn acquire(pool: &PgPool) -> PoolConnection<Postgres> {
    while pool.num_idle() < usize::try_from(pool.size()).expect("a count") {
        tokio::task::yield_now().await;
    }
    pool.acquire().await.expect("a connection")
}

/// The process behind the connection that comes next, and whether it is outside of any transaction. One that is dropped
/// is given back a moment later.
async fn next(pool: &PgPool) -> (i32, bool) {
    let mut connection = acquire(pool).await;
    let state = "select pg_backend_pid(), now() = statement_timestamp()";
    let row = sqlx::raw_sql(state).fetch_one(&mut *connection).await.expect("its state");
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again_but_never_with_a_transaction_that_somebody_left_open() {
    let world = World::new().await;
    let database = Database::open(&world.settings()).await.expect("the database");
    for pool in [&database.pool, &database.queue, &database.reader] {
        let (first, _) = next(pool).await;
        for _ in 0..3 {
            assert_eq!(next(pool).await, (first, true), "nothing was wrong with it");
        }
        let mut connection = pool.acquire().await.expect("a connection");
        // The driver does not know of a transaction that is begun so.
        sqlx::raw_sql("begin").execute(&mut *connection).await.expect("begin");
        drop(connection);
        let (_, is_outside) = next(pool).await;
        assert!(is_outside, "what comes next would never be committed");
    }
    database.close().await.expect("close");
}

/// As one behaves that was opened while the address led to a server that only reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_can_only_read_is_not_used_to_write() {
    let world = World::new().await;
    let database = Database::open(&world.settings()).await.expect("the database");
    for (pool, is_kept) in [(&database.pool, false), (&database.queue, false), (&database.reader, true)] {
        let (first, _) = next(pool).await;
        let mut connection = acquire(pool).await;
        sqlx::raw_sql("set default_transaction_read_only = on").execute(&mut *connection).await.expect("set");
        drop(connection);
        let (second, _) = next(pool).await;
        assert_eq!(first == second, is_kept);
    }
    database.close().await.expect("close");
}

/// As a worker of the queue leaves it that is stopped while it commits: a rollback of nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_the_queue_that_is_stopped_while_it_commits_alarms_nobody() {
    let world = World::new().await;
    let database = Database::open(&world.settings()).await.expect("the database");
    for (pool, alarms) in [(&database.queue, "error"), (&database.pool, "notice")] {
        let told: String =
            sqlx::query_scalar("select current_setting('client_min_messages')").fetch_one(pool).await.expect("it");
        assert_eq!(told, alarms);
    }
    database.close().await.expect("close");
}
