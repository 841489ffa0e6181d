//! Keeps the private PostgreSQL up while a daemon uses it.

use super::App;
use super::beside::Troubles;
use crate::clock::Stopwatch;
use crate::fault;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long to wait between two looks whether it runs.
const LOOK: Duration = Duration::from_secs(2);

/// How long it may stay away before the daemon ends, so that whoever watches the daemon learns of it.
const GIVE_UP: Duration = Duration::from_mins(5);

impl App {
    /// Starts the private PostgreSQL again whenever its process has ended, until `stop`.
    ///
    /// # Errors
    /// A transient fault if it can't be started for five minutes.
    pub(super) async fn keep_private_server(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let Some(server) = self.database.embedded() else { return Ok(()) };
        let (mut troubles, mut away) = (Troubles::default(), None);
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let Some(revived) = stop.run_until_cancelled(server.revive()).await else { break };
            let error = match revived {
                Ok(origin) => {
                    if let Some(origin) = origin {
                        warn!("the private PostgreSQL had ended and runs again ({origin:?})");
                    }
                    away = None;
                    continue;
                }
                Err(error) => error,
            };
            let since = *away.get_or_insert_with(Stopwatch::start);
            if since.elapsed() > GIVE_UP {
                let why = fault::told(&error);
                return Err(fault::transient(format!(
                    "the private PostgreSQL ended and can't be started again: {why}"
                )));
            }
            troubles.tell("the private PostgreSQL ended and is not started again yet", &[error]);
        }
        Ok(())
    }
}
