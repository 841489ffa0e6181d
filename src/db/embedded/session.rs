//! Connections to the private server: the first one tells that it is ready.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Error, Executor};
use tokio::process::Child;

use super::cluster::SUPERUSER;
use super::holder::Holder;
use super::place::Place;
use super::process;
use crate::fault;

const POLL: Duration = Duration::from_millis(10);

/// `invalid_catalog_name`: the server is up, the database is missing.
const NO_SUCH_DATABASE: &str = "3D000";

/// The database that every cluster has.
const MAINTENANCE: &str = "postgres";

/// How the wait for a server ended.
pub(super) enum Readiness {
    /// It takes connections, and the database is there.
    Ready,
    /// Its process ended.
    Ended,
}

/// How to connect to a database of the private server. The environment's `PGHOST` and the like
/// do not count.
pub(super) fn options(place: &Place, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&place.socket_dir)
        .port(5432)
        .username(SUPERUSER)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

/// Waits until the server takes connections to the database, which is made if missing.
///
/// # Errors
/// A transient fault when the deadline passes; a configuration fault when the server refuses.
pub(super) async fn wait_until_ready(
    place: &Place,
    database: &str,
    child: &mut Option<Child>,
    deadline: Instant,
) -> anyhow::Result<Readiness> {
    loop {
        let ended = has_ended(place, child);
        let refusal = match try_connect(place, database, deadline).await {
            Ok(()) => return Ok(Readiness::Ready),
            Err(error) if is_missing_database(&error) => return create(place, database).await,
            Err(error) if may_pass(&error) => error,
            Err(error) => return Err(refused(place, &error)),
        };
        if ended {
            return Ok(Readiness::Ended);
        }
        if Instant::now() > deadline {
            return Err(too_late(place, &refusal));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn try_connect(place: &Place, database: &str, deadline: Instant) -> sqlx::Result<()> {
    let connect = async {
        PgConnection::connect_with(&options(place, database))
            .await?
            .close()
            .await
    };
    tokio::time::timeout_at(deadline.into(), connect)
        .await
        .unwrap_or(Err(Error::PoolTimedOut))
}

async fn create(place: &Place, database: &str) -> anyhow::Result<Readiness> {
    // Names can't be bound; a quoted one may hold anything.
    let quoted = database.replace('"', "\"\"");
    let statement = format!("create database \"{quoted}\" template template0 encoding 'UTF8'");
    let made = async {
        let mut connection = PgConnection::connect_with(&options(place, MAINTENANCE)).await?;
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await
    };
    made.await.map_err(|error| {
        fault::config(format!(
            "can't create the database {database} in the private PostgreSQL: {error}"
        ))
    })?;
    Ok(Readiness::Ready)
}

fn has_ended(place: &Place, child: &mut Option<Child>) -> bool {
    match child {
        Some(child) => !matches!(child.try_wait(), Ok(None)),
        None => !matches!(Holder::of(&place.cluster()), Holder::Server(_)),
    }
}

fn is_missing_database(error: &Error) -> bool {
    code(error).as_deref() == Some(NO_SUCH_DATABASE)
}

/// Whether a server that starts or stops might answer so: no socket yet, or it says that it is
/// not ready (class 57) or has no room (class 53).
fn may_pass(error: &Error) -> bool {
    code(error).is_none_or(|code| code.starts_with("57") || code.starts_with("53"))
}

fn code(error: &Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

fn refused(place: &Place, error: &Error) -> anyhow::Error {
    fault::config(format!(
        "the private PostgreSQL in {} refuses us: {error}",
        place.cluster().display()
    ))
}

fn too_late(place: &Place, refusal: &Error) -> anyhow::Error {
    let who = match Holder::of(&place.cluster()) {
        Holder::Server(pid) => format!("process {pid}, account {}", place.account.name),
        _ => format!("account {}", place.account.name),
    };
    fault::transient(format!(
        "the private PostgreSQL in {} ({who}) does not answer at {}: {refusal}; its log ends with:\n{}",
        place.cluster().display(),
        place.socket().display(),
        process::last_words(&place.log(), 15)
    ))
}
