//! Sends what is due to be told.

use super::channel::{Channel, Channels};
use super::message::Message;
use super::notices::{self, Claimed};
use crate::clock::Clock;
use crate::fault::{self, Fault};
use crate::outbound::Failure;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The longest wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// No wait is longer than this.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// No channel that asks to be left alone is left alone for longer.
const LONGEST_REST: Duration = Duration::from_hours(1);

/// A call begins nothing more after so long.
const LONGEST_LOOK: TimeDelta = TimeDelta::seconds(30);

/// Sends every notice that is due, on each channel that is configured, and gives how many were taken.
///
/// Any number of daemons may do this side by side, as often as they like: with nothing to send it is one query.
/// A channel that does not take a notice is logged, once an hour for each, and asked again later, with growing
/// pauses, for a day. It holds up no other channel, but this call, for a minute at most: a daemon lets it run beside
/// its beat. `cancel` breaks an attempt off, and the notice is sent again by whoever looks next.
///
/// # Errors
/// What the database says; no failure of a channel.
pub async fn send_due(
    pool: &PgPool,
    channels: &Channels,
    now: DateTime<Utc>,
    cancel: &CancellationToken,
) -> anyhow::Result<usize> {
    let names = channels.names();
    if names.is_empty() {
        notices::prune(pool, now).await?;
        return Ok(0);
    }
    if !notices::is_any_due(pool, &names, now).await? {
        return Ok(0);
    }
    notices::address(pool, &names, now).await?;
    let clock = Clock::starting_at(now);
    let looks = channels.all.iter().map(|channel| {
        let environment = channels.environment.as_deref();
        Look { pool, channel, environment, clock: clock.clone(), until: now + LONGEST_LOOK, cancel }.send_all()
    });
    let looks = futures_util::future::join_all(looks).await;
    looks.into_iter().sum()
}

/// One channel's share of a call.
struct Look<'a> {
    pool: &'a PgPool,
    channel: &'a Channel,
    environment: Option<&'a str>,
    clock: Clock,
    until: DateTime<Utc>,
    cancel: &'a CancellationToken,
}

impl Look<'_> {
    /// Sends what is due, oldest first, up to the first failure: what comes behind it would most likely fail too.
    async fn send_all(self) -> anyhow::Result<usize> {
        self.give_up().await?;
        let mut sent = 0;
        while !self.cancel.is_cancelled() && self.clock.now() < self.until {
            let Some(claimed) = notices::claim(self.pool, self.channel.name(), self.clock.now()).await? else { break };
            if !self.attempt(&claimed).await? {
                break;
            }
            sent += 1;
        }
        Ok(sent)
    }

    async fn give_up(&self) -> anyhow::Result<()> {
        let channel = self.channel.name();
        for given_up in notices::give_up(self.pool, channel, self.clock.now()).await? {
            let (alert, title) = (given_up.alert_id, given_up.title);
            let why = given_up.last_error.unwrap_or_else(|| "it was not tried".to_owned());
            warn!(
                alert.id = alert,
                notify.channel = channel,
                "alert {alert} ({title}) is not told by {channel} any more: it was not taken for a day: {why}"
            );
        }
        Ok(())
    }

    /// Whether it was taken.
    async fn attempt(&self, claimed: &Claimed) -> anyhow::Result<bool> {
        let (channel, alert) = (self.channel.name(), claimed.alert_id);
        let message = Message::of(claimed, self.environment);
        let sending = self.channel.send(&message, self.clock.now());
        match self.cancel.run_until_cancelled(sending).await {
            None => notices::release(self.pool, channel, claimed).await?,
            Some(Ok(())) => {
                notices::sent(self.pool, channel, claimed, self.clock.now()).await?;
                info!(
                    alert.id = alert,
                    notify.channel = channel,
                    "alert {alert} is told by {channel} ({})",
                    claimed.event
                );
                return Ok(true);
            }
            Some(Err(failure)) => self.fail(claimed, &failure).await?,
        }
        Ok(false)
    }

    async fn fail(&self, claimed: &Claimed, failure: &Failure) -> anyhow::Result<()> {
        let (channel, alert, now) = (self.channel.name(), claimed.alert_id, self.clock.now());
        let why = fault::told(&failure.error);
        let wait = wait(claimed.attempts, failure.retry_after);
        if notices::failed(self.pool, channel, claimed, &why, now + wait, now).await? {
            warn!(
                alert.id = alert,
                notify.channel = channel,
                attempt = claimed.attempts,
                "alert {alert} can't be told by {channel}, which is tried again for a day: {why}"
            );
        }
        if fault::judge(&failure.error) == Fault::Transient {
            notices::postpone(self.pool, channel, now + wait).await?;
        }
        Ok(())
    }
}

/// How long to wait after so many attempts: exponential with full jitter, and no less than was asked for.
fn wait(attempts: i32, retry_after: Option<Duration>) -> Duration {
    let doubled = 2_u32.saturating_pow(u32::try_from(attempts - 1).unwrap_or(0));
    let most = FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT);
    let jittered = most.mul_f64(fastrand::f64());
    jittered.max(retry_after.unwrap_or_default().min(LONGEST_REST))
}
