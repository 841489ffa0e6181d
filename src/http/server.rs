//! Listens on the port, and takes connections within bounds.

use crate::fault;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How many connections there are at a time; who comes then waits.
const MOST_CONNECTIONS: usize = 1024;
/// A client that takes longer over its headers, or leaves a connection idle for longer, is let go.
const HEADERS_WITHIN: Duration = Duration::from_secs(20);

/// How long a connection is kept, however busy: one whose answers nobody reads would keep its place for ever.
const LIFE: Duration = Duration::from_mins(10);

/// Takes the port.
///
/// # Errors
/// A configuration fault when it is taken or not ours to take.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| fault::config(format!("can't listen on {address}: {error} (set BURSAR_HTTP_BIND)")))
}

/// Answers until `stop`, and what was asked before it.
pub async fn answer(listener: TcpListener, router: Router, stop: CancellationToken) {
    let (bound, graceful) = (Arc::new(Semaphore::new(MOST_CONNECTIONS)), GracefulShutdown::new());
    while let Some(Some((stream, permit))) = stop.run_until_cancelled(accept(&listener, &bound)).await {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            if let Ok(Err(error)) = timeout(LIFE, connection).await {
                debug!("a connection broke off: {error}");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection; none when the bound is gone, which it never is.
async fn accept(listener: &TcpListener, bound: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    loop {
        let permit = Arc::clone(bound).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, permit)),
            Err(error) => {
                warn!("a connection could not be taken: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
