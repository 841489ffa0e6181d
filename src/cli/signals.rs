//! SIGINT and SIGTERM as a token that is cancelled, SIGHUP as a notice.

use crate::fault;
use anyhow::Context;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGINT or SIGTERM; a second one ends the program at once.
pub(super) fn stop_token() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
        stop.cancel();
        tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
        std::process::exit(i32::from(fault::Fault::Transient.exit_code()));
    });
    Ok(token)
}

/// Notified at each SIGHUP.
pub(super) fn on_hangup() -> anyhow::Result<Arc<Notify>> {
    let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let notify = Arc::new(Notify::new());
    let told = Arc::clone(&notify);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            told.notify_one();
        }
    });
    Ok(notify)
}

/// What `starting` gives; a transient fault when the program is told to stop before it is done.
pub(super) async fn unless_stopped<T>(
    stop: &CancellationToken,
    starting: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let started = stop.run_until_cancelled(starting).await;
    started.unwrap_or_else(|| Err(fault::transient("the program was told to stop before it began; nothing was done")))
}
