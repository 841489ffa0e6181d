//! The only door to `bursar.notices` and `bursar.notice_channels`, but for what [`super::alert`] enqueues.
//!
//! Any number of daemons send: a notice is claimed for a time, and whoever dies lets go of it by that.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// A claim lasts longer than any attempt does.
const CLAIM: TimeDelta = TimeDelta::seconds(60);

/// What is not taken for so long is given up.
const PATIENCE: TimeDelta = TimeDelta::hours(24);

/// Notices that nobody is to be told of are kept so long.
const KEPT: TimeDelta = TimeDelta::days(7);

/// A failing channel is put into the log once in so long, for each notice.
const QUIET: TimeDelta = TimeDelta::hours(1);

/// A notice that this process is to send on a channel, with its alert.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Claimed {
    pub(super) notice_id: Uuid,
    pub(super) event: String,
    /// How often it was tried on the channel, this attempt included.
    pub(super) attempts: i32,
    pub(super) alert_id: i64,
    pub(super) kind: String,
    pub(super) job: Option<String>,
    pub(super) run_date: Option<NaiveDate>,
    pub(super) dataset: Option<String>,
    pub(super) customer: Option<String>,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) next_step: String,
    pub(super) raised_at: DateTime<Utc>,
    pub(super) raised_count: i64,
    pub(super) resolution: Option<String>,
}

/// Whether there is anything to do for these channels.
pub(super) async fn is_any_due(pool: &PgPool, channels: &[&str], now: DateTime<Utc>) -> anyhow::Result<bool> {
    sqlx::query_scalar(
        "select exists (select from bursar.notices where addressed_at is null)
             or exists (
                select from bursar.notice_channels
                 where channel = any ($1)
                   and state = 'pending'
                   and next_at <= $2
                   and (claimed_until is null or claimed_until <= $2))",
    )
    .bind(channels)
    .bind(now)
    .fetch_one(pool)
    .await
    .context("look for notices to send")
}

/// Addresses new notices to these channels. What was over a day ago, while there was none, is no news.
pub(super) async fn address(pool: &PgPool, channels: &[&str], now: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query(
        "with fresh as (
             select id
               from bursar.notices
              where addressed_at is null
                for update skip locked
         ), addressed as (
             update bursar.notices as n
                set addressed_at = $2
               from fresh
              where n.id = fresh.id
             returning n.id, n.alert_id, n.created_at
         )
         insert into bursar.notice_channels (notice_id, channel, next_at)
         select n.id, c.channel, $2
           from addressed as n
           join bursar.alerts as a on a.id = n.alert_id
          cross join unnest($1::text[]) as c (channel)
          where a.state = 'open' or n.created_at > $3",
    )
    .bind(channels)
    .bind(now)
    .bind(now - PATIENCE)
    .execute(pool)
    .await
    .context("address new notices")?;
    Ok(())
}

/// Claims the oldest notice that is due on a channel. That an alert is over is told after that it was raised.
pub(super) async fn claim(pool: &PgPool, channel: &str, now: DateTime<Utc>) -> anyhow::Result<Option<Claimed>> {
    sqlx::query_as(include_str!("notices_claim.sql"))
        .bind(channel)
        .bind(now)
        .bind(now + CLAIM)
        .fetch_optional(pool)
        .await
        .with_context(|| format!("claim a notice for the channel {channel}"))
}

/// It was taken. Also when the claim lapsed meanwhile: whoever claimed it since need not send it again.
pub(super) async fn sent(pool: &PgPool, channel: &str, claimed: &Claimed, now: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query(
        "update bursar.notice_channels
            set state = 'sent',
                sent_at = $3,
                claimed_until = null,
                last_error = null
          where notice_id = $1 and channel = $2 and state = 'pending'",
    )
    .bind(claimed.notice_id)
    .bind(channel)
    .bind(now)
    .execute(pool)
    .await
    .with_context(|| format!("record that a notice was sent by {channel}"))?;
    Ok(())
}

/// Lets go of a claim whose attempt was broken off.
pub(super) async fn release(pool: &PgPool, channel: &str, claimed: &Claimed) -> anyhow::Result<()> {
    sqlx::query(
        "update bursar.notice_channels
            set claimed_until = null
          where notice_id = $1 and channel = $2 and state = 'pending' and attempts = $3",
    )
    .bind(claimed.notice_id)
    .bind(channel)
    .bind(claimed.attempts)
    .execute(pool)
    .await
    .context("let go of a notice")?;
    Ok(())
}

/// It was not taken, and is tried again at `next_at`. True when that is to be put into the log.
pub(super) async fn failed(
    pool: &PgPool,
    channel: &str,
    claimed: &Claimed,
    error: &str,
    next_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    let is_to_be_told: Option<bool> = sqlx::query_scalar(
        "update bursar.notice_channels
            set claimed_until = null,
                last_error = $4,
                next_at = $5,
                warned_at = case when warned_at > $7 then warned_at else $6 end
          where notice_id = $1 and channel = $2 and state = 'pending' and attempts = $3
         returning warned_at = $6",
    )
    .bind(claimed.notice_id)
    .bind(channel)
    .bind(claimed.attempts)
    .bind(error.replace('\0', "\u{fffd}"))
    .bind(next_at)
    .bind(now)
    .bind(now - QUIET)
    .fetch_optional(pool)
    .await
    .with_context(|| format!("record that a notice was not sent by {channel}"))?;
    Ok(is_to_be_told.unwrap_or(false))
}

/// Leaves a channel alone until then: what waits for it is not the reason that it takes nothing.
pub(super) async fn postpone(pool: &PgPool, channel: &str, until: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query(
        "update bursar.notice_channels
            set next_at = $2
          where channel = $1 and state = 'pending' and next_at < $2",
    )
    .bind(channel)
    .bind(until)
    .execute(pool)
    .await
    .with_context(|| format!("leave the channel {channel} alone for a while"))?;
    Ok(())
}

/// A notice that nobody will be told of on a channel.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct GivenUp {
    pub(super) alert_id: i64,
    pub(super) title: String,
    pub(super) last_error: Option<String>,
}

/// Gives up what was not taken for a day.
pub(super) async fn give_up(pool: &PgPool, channel: &str, now: DateTime<Utc>) -> anyhow::Result<Vec<GivenUp>> {
    sqlx::query_as(
        "update bursar.notice_channels as c
            set state = 'given_up',
                claimed_until = null
           from bursar.notices as n
           join bursar.alerts as a on a.id = n.alert_id
          where n.id = c.notice_id
            and c.channel = $1
            and c.state = 'pending'
            and (c.claimed_until is null or c.claimed_until <= $2)
            and n.addressed_at <= $3
         returning n.alert_id, a.title, c.last_error",
    )
    .bind(channel)
    .bind(now)
    .bind(now - PATIENCE)
    .fetch_all(pool)
    .await
    .with_context(|| format!("give up what the channel {channel} does not take"))
}

/// Drops old notices, where there is no channel that could tell them.
pub(super) async fn prune(pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query("delete from bursar.notices where created_at < $1")
        .bind(now - KEPT)
        .execute(pool)
        .await
        .context("drop notices that there is no channel for")?;
    Ok(())
}
