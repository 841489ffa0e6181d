//! Bounds each wait for the database.
//!
//! A server whose machine is gone without a word leaves connections that look open: a proxy may acknowledge what is sent,
//! and nobody ever answers. The driver offers neither keepalives nor `TCP_USER_TIMEOUT` for its sockets, and neither
//! would notice such a proxy. So whoever waits says for how long.

use crate::fault;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::time::timeout;

/// How long a connection of a pool may take to answer a statement that does nothing.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Waits for the database, at most for `limit`.
///
/// # Errors
/// A transient fault when the time is over; what was sent may yet be executed.
pub fn within<T>(
    limit: Duration,
    waiting: impl Future<Output = anyhow::Result<T>>,
) -> impl Future<Output = anyhow::Result<T>> {
    // On the heap: those who wait may be large.
    let waiting = Box::pin(waiting);
    async move {
        let timed_out = || fault::transient(format!("the database did not answer within {} s", limit.as_secs()));
        timeout(limit, waiting).await.unwrap_or_else(|_| Err(timed_out()))
    }
}

/// As [`within`], for a statement that does nothing; a connection that does not answer is closed by its pool.
pub(super) async fn ping<T>(pinging: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let timed_out = || sqlx::Error::Io(ErrorKind::TimedOut.into());
    timeout(PING_TIMEOUT, pinging).await.unwrap_or_else(|_| Err(timed_out()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, judge};
    use std::future::pending;

    #[tokio::test]
    async fn who_waits_for_a_silent_server_gives_up() {
        let error = within(Duration::from_millis(1), pending::<anyhow::Result<()>>()).await.unwrap_err();
        assert_eq!(judge(&error), Fault::Transient);
        assert_eq!(within(Duration::from_secs(1), async { Ok(7) }).await.unwrap(), 7);
    }
}
