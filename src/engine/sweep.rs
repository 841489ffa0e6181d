//! The sweep: once a second every worker looks for what fell between two steps, and puts it right.
//!
//! Nothing here is needed while all goes well. A worker that died is found by its lock, which is gone; one that is
//! paused or cut off, and whose connection still holds it, by the queue, which has not heard of it for its lease.

use super::tasks::{self, Key, Lost};
use super::{advance, queue};
use crate::db::fence::Fence;
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use std::collections::HashSet;
use tracing::{info, warn};
use uuid::Uuid;

/// An offer that nobody has taken up after so long, and that the queue does not hold, was lost.
const OVERDUE: TimeDelta = TimeDelta::seconds(20);

/// What a sweep remembers until the next one.
#[derive(Debug, Default)]
pub struct Sweep {
    suspects: HashSet<String>,
    gone: HashSet<String>,
    unheard: HashSet<(Key, i32)>,
}

#[derive(sqlx::FromRow)]
struct Orphan {
    run_id: Uuid,
    task: String,
    item: String,
    attempt: i32,
    worker: String,
    is_there: bool,
}

impl Sweep {
    /// Looks once.
    ///
    /// # Errors
    /// What the server says; the next sweep looks again.
    pub async fn look(&mut self, pool: &PgPool, now: DateTime<Utc>, limit: Option<u32>) -> anyhow::Result<()> {
        self.take_over(pool, now).await?;
        self.close_gone(pool).await?;
        wake_due(pool, now).await?;
        withdraw_lost_offers(pool, now).await?;
        offer_ready(pool, now, limit).await?;
        advance_stuck(pool, now, limit).await
    }

    /// Takes over what dead and silent workers left. One whose lock is gone may just be making its connection anew: it
    /// is dead when two sweeps in a row find it gone.
    async fn take_over(&mut self, pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<()> {
        let orphans: Vec<Orphan> = sqlx::query_as(include_str!("sweep_orphans.sql"))
            .bind(queue::LEASE.as_secs_f64())
            .fetch_all(pool)
            .await
            .context("look for dead workers")?;
        let gone: HashSet<String> = orphans.iter().map(|o| o.worker.clone()).collect();
        let dead: HashSet<&String> = gone.intersection(&self.suspects).collect();
        for orphan in orphans.iter().filter(|o| dead.contains(&o.worker)) {
            let Orphan { run_id, task, item, attempt, worker, is_there } = orphan;
            let fence = Fence::new(*run_id, task.clone(), item.clone(), *attempt);
            let how = if *is_there { "fell silent" } else { "died" };
            let why = format!("attempt {attempt} ended with its worker {worker}, which {how}");
            let lost = tasks::lose(pool, &fence, &why, now).await?;
            if lost != Lost::Stale {
                warn!(run.id = %run_id, task.name = %task, task.item = %item, "{task}[{item}] of run {run_id} is taken over: {why}");
            }
        }
        self.suspects = gone;
        Ok(())
    }

    /// Records of workers that died, busy or not, that they have stopped: what they had for tasks counts no more. Two
    /// sweeps in a row must find their locks gone.
    async fn close_gone(&mut self, pool: &PgPool) -> anyhow::Result<()> {
        let gone: HashSet<String> =
            sqlx::query_scalar("select id from bursar.workers where stopped_at is null and not bursar.is_up(id)")
                .fetch_all(pool)
                .await
                .context("look for workers that died")?
                .into_iter()
                .collect();
        let dead: Vec<&String> = gone.intersection(&self.gone).collect();
        if !dead.is_empty() {
            let stopped = "update bursar.workers set stopped_at = now()
                            where id = any($1) and stopped_at is null and not bursar.is_up(id)";
            sqlx::query(stopped).bind(dead).execute(pool).await.context("record that workers died")?;
        }
        self.gone = gone;
        Ok(())
    }

    /// Gives up attempts that are recorded as this worker's and of which it knows nothing. One may just have been
    /// claimed, or just have ended: two sweeps in a row must find it.
    ///
    /// # Errors
    /// What the server says; the next sweep looks again.
    pub async fn give_up(
        &mut self,
        pool: &PgPool,
        unheard: HashSet<(Key, i32)>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        for ((run, task, item), attempt) in unheard.intersection(&self.unheard) {
            let fence = Fence::new(*run, task.clone(), item.clone(), *attempt);
            let why = format!("attempt {attempt} was begun or ended without its worker hearing of it");
            if tasks::lose(pool, &fence, &why, now).await? != Lost::Stale {
                warn!(run.id = %run, task.name = %task, task.item = %item, "{task}[{item}] of run {run} is taken over: {why}");
            }
        }
        self.unheard = unheard;
        Ok(())
    }
}

/// Deferred tasks whose time to look again has come. Several may be woken at once, by several: nobody waits for
/// another, so nobody waits in a circle.
async fn wake_due(pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<()> {
    sqlx::query(
        "with picked as (
              select run_id, task, item
                from bursar.task_runs
               where state = 'deferred' and ready_at <= $1
               order by run_id, task, item
                 for update skip locked)
         update bursar.task_runs as t
            set state = 'ready', offered_at = null
           from picked as p
          where t.run_id = p.run_id and t.task = p.task and t.item = p.item",
    )
    .bind(now)
    .execute(pool)
    .await
    .context("wake what has waited long enough")?;
    Ok(())
}

/// Offers that never reached the queue, were lost with it, or went to a worker that may not take the task: the task is
/// offered again.
async fn withdraw_lost_offers(pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<()> {
    let lost = sqlx::query(
        "update bursar.task_runs as t
            set offered_at = null
          where t.state = 'ready' and t.offered_at < $1
            and not exists (
                select from apalis.jobs as j
                 where j.job_type = 'bursar'
                   and j.idempotency_key = t.run_id || '/' || t.task || '/' || t.item || '/' || t.offer
                   and j.status in ('Pending', 'Queued', 'Running'))",
    )
    .bind(now - OVERDUE)
    .execute(pool)
    .await
    .context("look for offers that were lost")?;
    if lost.rows_affected() > 0 {
        info!("{} tasks were ready and never delivered; they are offered again", lost.rows_affected());
    }
    Ok(())
}

async fn offer_ready(pool: &PgPool, now: DateTime<Utc>, limit: Option<u32>) -> anyhow::Result<()> {
    let is_any: bool = sqlx::query_scalar(
        "with up as (
              select config_hash || kept_hashes as configurations, credentials
                from bursar.workers
               where stopped_at is null)
         select exists (
             select
               from bursar.task_runs as t
               join bursar.runs as r on r.id = t.run_id
              where t.state = 'ready' and t.offered_at is null and t.ready_at <= $1
                and exists (
                    select from up where r.config_hash = any(up.configurations) and t.needs <@ up.credentials))",
    )
    .bind(now)
    .fetch_one(pool)
    .await
    .context("look for tasks that are ready")?;
    if is_any {
        let mut transaction = pool.begin().await.context("offer tasks")?;
        advance::offer(&mut transaction, now, limit).await?;
        transaction.commit().await.context("offer tasks")?;
    }
    Ok(())
}

/// Runs that could go on and did not: whoever ended a task died, or never heard that it had, before the run went on.
async fn advance_stuck(pool: &PgPool, now: DateTime<Utc>, limit: Option<u32>) -> anyhow::Result<()> {
    let stuck: Vec<Uuid> = sqlx::query_scalar(include_str!("sweep_stuck.sql"))
        .fetch_all(pool)
        .await
        .context("look for runs that stand still")?;
    for run in stuck {
        advance::advance_now(pool, run, now, limit).await?;
    }
    Ok(())
}
