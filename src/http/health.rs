//! `GET /health`: the process is alive. `GET /ready`: the database answers, the heart beats, the worker sweeps, the clock is
//! right, and the schedules are those in force.

use super::operation::Operation;
use super::routes::Routes;
use crate::clock::Clock;
use crate::engine::configurations::Configurations;
use crate::engine::fleet::Fleet;
use crate::engine::heartbeat::Pulse;
use crate::engine::skew;
use crate::fault;
use anyhow::Context;
use axum::http::StatusCode;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use sqlx::PgPool;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use utoipa::ToSchema;

/// What is asked about a daemon.
#[derive(Clone)]
pub(super) struct Daemon {
    /// The database.
    pub(super) pool: PgPool,
    /// The heartbeat.
    pub(super) pulse: Pulse,
    /// The worker's sweep.
    pub(super) swept: Pulse,
    /// The clock.
    pub(super) clock: Clock,
    /// The configuration in force.
    pub(super) configurations: Arc<dyn Configurations>,
}

/// A sweep may wait for the database for a while, and is begun anew then.
const SWEPT: Duration = Duration::from_secs(20);
/// A heart that has not beaten for so long is not fresh.
const FRESH: Duration = Duration::from_secs(15);
/// A database that takes longer to say 1 is not reachable.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process is alive.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the daemon can do its work.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct Ready {
    /// `ready`, or `not ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// `ok`, or what is wrong with the database.
    #[schema(example = "ok")]
    database: &'static str,
    /// `ok`, or `stale` when nobody has looked for what is due for some time.
    #[schema(example = "ok")]
    heartbeat: &'static str,
    /// How long ago somebody did.
    heartbeat_age_s: u64,
    /// `ok`, or `stale` when this daemon's worker has not looked after its tasks for some time.
    #[schema(example = "ok")]
    sweep: &'static str,
    /// How long ago it did.
    sweep_age_s: u64,
    /// `ok`, or `wrong`: this machine's clock is more than 30 s from the database's, and nothing is dispatched here.
    #[schema(example = "ok")]
    clock: &'static str,
    /// How far it is ahead, in seconds; negative if it is behind.
    clock_skew_s: f64,
    /// `ok`; `differ` if another daemon has schedules that are not in force; `overruled` if this one has, because its
    /// configuration is not the latest; `unknown` without a database.
    #[schema(example = "ok")]
    schedules: &'static str,
}

/// The routes that tell of the daemon itself.
pub(super) fn routes(daemon: Daemon) -> Routes {
    let health = Operation::get("/health", "getHealth", "Whether the process is alive")
        .fleeting()
        .gives(async |()| Ok(Health { status: "ok" }));
    let ready = Operation::get("/ready", "getReadiness", "Whether the daemon can do its work")
        .about("The database answers, the daemon looks for what is due and after its tasks, its clock is right, and its schedules are those in force.")
        .fleeting()
        .otherwise(StatusCode::SERVICE_UNAVAILABLE, "It can't.")
        .gives_either(move |()| {
            let daemon = daemon.clone();
            async move { Ok(ready(&daemon).await) }
        });
    Routes::new("daemon", "The daemon itself.").with(health).with(ready)
}

async fn ready(daemon: &Daemon) -> (StatusCode, Ready) {
    let (age, sweep_age, ahead) = (daemon.pulse.age(), daemon.swept.age(), daemon.clock.ahead());
    let (database, schedules) = match timeout(PATIENCE, Fleet::read(&daemon.pool)).await {
        Ok(Ok(fleet)) if !fleet.has_in_force(&daemon.configurations.present().schedules) => ("ok", "overruled"),
        Ok(Ok(fleet)) if !fleet.conflicts().is_empty() => ("ok", "differ"),
        Ok(Ok(_)) => ("ok", "ok"),
        Ok(Err(_)) => ("unreachable", "unknown"),
        Err(_) => ("does not answer", "unknown"),
    };
    let heartbeat = if age <= FRESH { "ok" } else { "stale" };
    let sweep = if sweep_age <= SWEPT { "ok" } else { "stale" };
    let clock = if skew::is_too_far(ahead) { "wrong" } else { "ok" };
    let is_ready = [database, heartbeat, sweep, clock].iter().all(|state| *state == "ok") && schedules != "overruled";
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if is_ready { "ready" } else { "not ready" };
    let ready = Ready {
        status: word,
        database,
        heartbeat,
        heartbeat_age_s: age.as_secs(),
        sweep,
        sweep_age_s: sweep_age.as_secs(),
        clock,
        clock_skew_s: skew::seconds(ahead),
        schedules,
    };
    (status, ready)
}

/// Asks the daemon on this machine whether it is alive, as a container's health check does.
///
/// # Errors
/// A transient fault when it does not say so within five seconds.
pub async fn ask_health(bind: SocketAddr) -> anyhow::Result<()> {
    let address = reachable(bind);
    let asked = timeout(Duration::from_secs(5), ask(address)).await;
    let status = asked
        .unwrap_or_else(|_| Err(fault::transient("no answer within 5 seconds")))
        .with_context(|| format!("http://{address}/health"))?;
    if status.is_success() {
        Ok(())
    } else {
        Err(fault::transient(format!("http://{address}/health answers {status}")))
    }
}

/// A daemon that listens on every address is asked on the loopback one.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

async fn ask(address: SocketAddr) -> anyhow::Result<hyper::StatusCode> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| fault::transient(error.to_string()))?;
    tokio::spawn(connection);
    let request = hyper::Request::get("/health").header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.map_err(|error| fault::transient(error.to_string()))?;
    Ok(response.status())
}
