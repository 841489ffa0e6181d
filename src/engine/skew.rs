//! How far a machine's clock is from the database's, by which all daemons dispatch.
//!
//! Occurrences are recorded for everybody. A daemon whose clock is ahead would record those that are not due yet, and a
//! machine with a wrong clock is wrong about other things, too: certificates, file times, its own logs. So daemons go by
//! the database's clock, and one whose own is far from it dispatches nothing.

use super::execute::Engine;
use crate::clock::Stopwatch;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

/// How far a clock may be from the database's.
pub const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

/// An answer that took longer says too little about the time.
const MAX_ROUND_TRIP: TimeDelta = TimeDelta::seconds(2);

/// A daemon whose clock is too far from the database's.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Skewed {
    /// The machine.
    pub host: String,
    /// The process there.
    pub pid: i32,
    /// How far its clock is ahead, in seconds; negative if it is behind.
    pub clock_skew_s: f64,
}

/// Whether a clock is too far from the database's.
#[must_use]
pub fn is_too_far(ahead: TimeDelta) -> bool {
    ahead.abs() > MAX_SKEW
}

/// Has the engine's clock follow the database's, and records how far that of the machine is from it.
///
/// # Errors
/// A database fault.
pub async fn measure(engine: &Engine, worker: &str) -> anyhow::Result<()> {
    let mut connection = engine.pool.acquire().await.context("ask for the database's time")?;
    let stopwatch = Stopwatch::start();
    let database: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&mut *connection)
        .await
        .context("ask for the database's time")?;
    let round_trip = TimeDelta::from_std(stopwatch.elapsed()).unwrap_or(TimeDelta::MAX);
    if round_trip > MAX_ROUND_TRIP {
        return Ok(());
    }
    engine.clock.follow(database + round_trip / 2);
    sqlx::query("update bursar.workers set clock_skew_s = $2 where id = $1 and abs(clock_skew_s - $2) >= 1")
        .bind(worker)
        .bind(seconds(engine.clock.ahead()))
        .execute(&mut *connection)
        .await
        .context("record how far the clock is from the database's")?;
    Ok(())
}

/// Refuses to dispatch by a clock that is too far from the database's.
///
/// # Errors
/// A transient fault: somebody may set the clock.
pub fn check(ahead: TimeDelta) -> anyhow::Result<()> {
    if !is_too_far(ahead) {
        return Ok(());
    }
    Err(fault::transient(format!(
        "this machine's clock is {} the database's by more than {} s: this daemon dispatches nothing until it is set \
         (bursar workers shows by how much)",
        if ahead > TimeDelta::zero() { "ahead of" } else { "behind" },
        MAX_SKEW.num_seconds()
    )))
}

/// The daemons that are up and whose clocks are too far from the database's.
///
/// # Errors
/// A database fault.
pub async fn list(pool: &PgPool) -> anyhow::Result<Vec<Skewed>> {
    sqlx::query_as(
        "select host, pid, clock_skew_s
           from bursar.workers
          where role = 'serve' and stopped_at is null and abs(clock_skew_s) > $1
          order by host, pid",
    )
    .bind(seconds(MAX_SKEW))
    .fetch_all(pool)
    .await
    .context("look for daemons whose clock is wrong")
}

/// Seconds to the millisecond.
#[must_use]
pub fn seconds(ahead: TimeDelta) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries are exact")]
    let milliseconds = ahead.num_milliseconds() as f64;
    milliseconds / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_by_more_than_half_a_minute_dispatches_nothing() {
        assert!(check(TimeDelta::seconds(30)).is_ok() && check(TimeDelta::seconds(-30)).is_ok());
        let message = check(TimeDelta::hours(1)).unwrap_err().to_string();
        assert!(message.contains("ahead of the database's by more than 30 s"), "{message}");
        assert!(check(TimeDelta::seconds(-31)).unwrap_err().to_string().contains("behind the database's"));
    }
}
