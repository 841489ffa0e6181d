//! SIGINT and SIGTERM as a token that is cancelled, SIGHUP as a notice.

use crate::fault;
use anyhow::Context;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// How long a command may take to stop.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(2);

/// A token that is cancelled by the first SIGINT or SIGTERM. A second one, or two minutes, end the program.
pub(super) fn stop_token() -> anyhow::Result<CancellationToken> {
    stop_token_within(COMMAND_TIMEOUT)
}

/// A token that is cancelled by the first SIGINT or SIGTERM. A second one ends the program at once, and so does `limit` if it
/// has not stopped by itself until then. Signals are received by a thread with a runtime of its own, so that they work
/// whatever keeps the program's runtime busy.
pub(super) fn stop_token_within(limit: Duration) -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let stop = token.clone();
    let (listening, is_listening) = mpsc::sync_channel(1);
    let receive = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(receive(&stop, limit, &listening)),
            Err(error) => drop(listening.send(Err(error))),
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(receive).context("listen for signals")?;
    is_listening.recv().context("listen for signals")?.context("listen for signals")?;
    Ok(token)
}

/// Returns only if it can't listen.
async fn receive(stop: &CancellationToken, limit: Duration, listening: &mpsc::SyncSender<std::io::Result<()>>) {
    let signals = signal(SignalKind::interrupt()).and_then(|one| Ok((one, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) = match signals {
        Ok(signals) => signals,
        Err(error) => return drop(listening.send(Err(error))),
    };
    let _ = listening.send(Ok(()));
    tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
    stop.cancel();
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
        () = tokio::time::sleep(limit) => {
            // In a thread of its own: the log may be what keeps the program from stopping.
            std::thread::spawn(move || error!("not stopped within {} s: the program ends at once", limit.as_secs()));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    std::process::exit(i32::from(fault::Fault::Transient.exit_code()));
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
