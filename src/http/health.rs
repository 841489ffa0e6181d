//! `GET /health`: the process is alive. `GET /ready`: the database answers and the heart beats.

use crate::engine::heartbeat::Pulse;
use crate::fault;
use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A heart that has not beaten for so long is not fresh.
const FRESH: Duration = Duration::from_secs(15);
/// A database that takes longer to say 1 is not reachable.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Vitals {
    pool: PgPool,
    pulse: Pulse,
}

/// The routes.
pub fn router(pool: PgPool, pulse: Pulse) -> Router {
    Router::new()
        .route("/health", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/ready", get(ready))
        .with_state(Vitals { pool, pulse })
}

async fn ready(State(vitals): State<Vitals>) -> (StatusCode, Json<Value>) {
    let age = vitals.pulse.age();
    let database = match timeout(PATIENCE, sqlx::query("select 1").execute(&vitals.pool)).await {
        Ok(Ok(_)) => "ok",
        Ok(Err(_)) => "unreachable",
        Err(_) => "does not answer",
    };
    let heartbeat = if age <= FRESH { "ok" } else { "stale" };
    let is_ready = database == "ok" && heartbeat == "ok";
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if is_ready { "ready" } else { "not ready" },
        "database": database,
        "heartbeat": heartbeat,
        "heartbeat_age_s": age.as_secs(),
    });
    (status, Json(body))
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
