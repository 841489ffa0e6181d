//! Connections to the private server: the first one tells that it is ready.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Error, Executor};
use tokio::process::Child;

use super::cluster::SUPERUSER;
use super::holder::Holder;
use super::place::Place;
use super::process;
use crate::fault;

/// How long a server may be silent before it must have a socket and answer.
pub(super) const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long a server may answer that it is not ready: after a crash it first reads its log and
/// writes what is missing, and to interrupt that is to begin again.
const RECOVERED_WITHIN: Duration = Duration::from_mins(30);

/// How long one attempt to connect may take.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(5);

/// How often it is tried: fast while there is no socket; ever slower while a server says that it
/// is not ready, because it writes that to its log each time.
const POLL: Duration = Duration::from_millis(10);
const SLOWEST_POLL: Duration = Duration::from_millis(300);

/// `invalid_catalog_name`: the server is up, the database is missing.
const NO_SUCH_DATABASE: &str = "3D000";

/// `cannot_connect_now`: the server starts, recovers or stops.
const NOT_NOW: &str = "57P03";

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
/// A transient fault when it takes too long; a configuration fault when the server refuses.
pub(super) async fn wait_until_ready(
    place: &Place,
    database: &str,
    child: &mut Option<Child>,
) -> anyhow::Result<Readiness> {
    let begun = Instant::now();
    let mut pause = POLL;
    loop {
        let ended = has_ended(place, child);
        let refusal = match try_connect(place, database).await {
            Ok(()) => return Ok(Readiness::Ready),
            Err(error) if is(&error, NO_SUCH_DATABASE) => return create(place, database).await,
            Err(error) if may_pass(&error) => error,
            Err(error) => return Err(refused(place, &error)),
        };
        if ended {
            return Ok(Readiness::Ended);
        }
        if begun.elapsed() > bound_for(&refusal) {
            return Err(too_late(place, &refusal));
        }
        tokio::time::sleep(pause).await;
        if is(&refusal, NOT_NOW) {
            pause = slower(pause);
        }
    }
}

fn bound_for(refusal: &Error) -> Duration {
    if is(refusal, NOT_NOW) { RECOVERED_WITHIN } else { READY_WITHIN }
}

fn slower(pause: Duration) -> Duration {
    let slower = pause * 5 / 4;
    if pause < SLOWEST_POLL && slower >= SLOWEST_POLL {
        tracing::info!("the private PostgreSQL recovers from a crash: waiting for it");
    }
    slower.min(SLOWEST_POLL)
}

async fn try_connect(place: &Place, database: &str) -> sqlx::Result<()> {
    let options = options(place, database);
    let connect = async { PgConnection::connect_with(&options).await?.close().await };
    let attempt = tokio::time::timeout(ATTEMPT_WITHIN, connect).await;
    attempt.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::TimedOut).into()))
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
        fault::config(format!("can't create the database {database} in the private PostgreSQL: {error}"))
    })?;
    Ok(Readiness::Ready)
}

fn has_ended(place: &Place, child: &mut Option<Child>) -> bool {
    match child {
        Some(child) => !matches!(child.try_wait(), Ok(None)),
        None => !matches!(Holder::of(&place.cluster()), Holder::Server(_)),
    }
}

fn is(error: &Error, expected: &str) -> bool {
    code(error).as_deref() == Some(expected)
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
    fault::config(format!("the private PostgreSQL in {} refuses us: {error}", place.cluster().display()))
}

fn too_late(place: &Place, refusal: &Error) -> anyhow::Error {
    let who = match Holder::of(&place.cluster()) {
        Holder::Server(pid) => format!("process {pid}, account {}", place.account.name),
        _ => format!("account {}", place.account.name),
    };
    fault::transient(format!(
        "the private PostgreSQL in {} ({who}) does not answer at {}: {refusal}; \
         its log ends with:\n{}",
        place.cluster().display(),
        place.socket().display(),
        process::last_words(&place.log())
    ))
}
