//! Clients that ask at a steady rate, whether or not the answers keep up: a request that had to wait for the one before
//! it counts from the instant at which it was due.

use crate::clock::Stopwatch;
use crate::fault;
use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that are kept open.
const CONNECTIONS: usize = 16;

/// How long answers took, in order.
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// So many of a hundred took no longer, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// What the clients share.
struct Plan {
    address: SocketAddr,
    targets: Vec<String>,
    next: AtomicUsize,
    interval: Duration,
    since: Stopwatch,
}

/// Asks for each target in turn, so many a second; every answer must be a good one.
pub(super) async fn ask(address: SocketAddr, targets: Vec<String>, rate: u32) -> anyhow::Result<Latencies> {
    let interval = Duration::from_secs(1) / rate;
    let plan = Arc::new(Plan { address, targets, next: AtomicUsize::new(0), interval, since: Stopwatch::start() });
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(client(Arc::clone(&plan)));
    }
    let mut latencies = Vec::with_capacity(plan.targets.len());
    while let Some(client) = clients.join_next().await {
        latencies.extend(client.context("wait for a client")??);
    }
    latencies.sort_unstable();
    Ok(Latencies(latencies))
}

async fn client(plan: Arc<Plan>) -> anyhow::Result<Vec<Duration>> {
    let stream = TcpStream::connect(plan.address).await.context("connect to the daemon")?;
    stream.set_nodelay(true).context("connect to the daemon")?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.context("speak with the daemon")?;
    tokio::spawn(connection);
    let mut latencies = Vec::new();
    loop {
        let number = plan.next.fetch_add(1, Ordering::Relaxed);
        let Some(target) = plan.targets.get(number) else { return Ok(latencies) };
        let due = plan.interval.saturating_mul(u32::try_from(number)?);
        tokio::time::sleep(due.saturating_sub(plan.since.elapsed())).await;
        get(&mut sender, plan.address, target).await?;
        latencies.push(plan.since.elapsed().saturating_sub(due));
    }
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>, address: SocketAddr, target: &str) -> anyhow::Result<()> {
    let request =
        Request::get(target).header("host", address.to_string()).body(Empty::new()).context("make a request")?;
    let response = sender.send_request(request).await.with_context(|| format!("ask for {target}"))?;
    let status = response.status();
    let body = response.into_body().collect().await.context("read an answer")?.to_bytes();
    if status.is_success() {
        return Ok(());
    }
    Err(fault::bug(format!("{target} is answered with {status}: {}", String::from_utf8_lossy(&body))))
}
