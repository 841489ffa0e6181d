//! A worker that waits for a run, wherever its tasks are worked on, and for no longer than there is hope.

use super::{Shared, Worker};
use crate::clock::Stopwatch;
use crate::db;
use crate::db::patience::within;
use crate::engine::queue::Receiver;
use crate::engine::runs;
use crate::fault;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a database may be away before who follows a run gives up.
const AWAY: Duration = Duration::from_secs(15);
/// What becomes of a run that is not followed any more.
const GOES_ON: &str = "it goes on when the database is back, run the same command then";

impl Worker {
    /// Waits until a run is over, wherever its tasks are worked on, or until `cancel`.
    ///
    /// # Errors
    /// When there is no such run; a transient fault when the database is away for longer than a quarter of a minute.
    pub async fn follow(&self, run: Uuid, cancel: &CancellationToken) -> anyhow::Result<()> {
        let mut answered = Stopwatch::start();
        loop {
            let ended = self.shared.run_ended.notified();
            match within(AWAY, async { runs::is_over(&self.shared.engine.pool, run).await }).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    answered = Stopwatch::start();
                    self.shared.check_queue(run).await?;
                }
                Err(error) if fault::judge(&error) == fault::Fault::Transient && answered.elapsed() < AWAY => {}
                Err(error) => {
                    let error = db::explain(&self.shared.engine.pool, error).await;
                    return Err(error.context(format!("run {run} can't be followed; {GOES_ON}")));
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = ended => {}
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        }
    }
}

impl Shared {
    /// Refuses to wait for a run that nobody works on, because this process can't read the queue.
    async fn check_queue(&self, run: Uuid) -> anyhow::Result<()> {
        let (pool, queue) = (&self.engine.pool, &self.engine.queue);
        let Some(why) = self.queue_trouble.lasting(queue, AWAY) else { return Ok(()) };
        if Receiver::is_heard(pool, &self.id).await.unwrap_or(true)
            || runs::is_worked_on(pool, run).await.unwrap_or(true)
        {
            return Ok(());
        }
        let error = db::explain(queue, anyhow::Error::from(sqlx::Error::PoolTimedOut)).await;
        Err(error.context(format!("nobody works on run {run}, and the task queue can't be read ({why}); {GOES_ON}")))
    }
}
