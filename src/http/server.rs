//! Listens on the port.

use crate::fault;
use axum::Router;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Takes the port.
///
/// # Errors
/// A configuration fault when it is taken or not ours to take.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| fault::config(format!("can't listen on {address}: {error} (set BURSAR_HTTP_BIND)")))
}

/// Answers until `stop`.
///
/// # Errors
/// What the operating system says.
pub async fn answer(listener: TcpListener, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}
