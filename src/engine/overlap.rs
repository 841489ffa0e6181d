//! What happens when a job is due while runs of it are open.
//!
//! Overlap is judged once, at the due instant, and only against a run that does the same work: a scheduled run that is
//! proceeding normally. Everything else that is open (an operator's run, a run that a crash interrupted, a run that was
//! opened again) makes the occurrence wait for its turn.

use super::job::{Job, Overlap};
use super::occurrences::{self, Cause, Occurrence, PassedOver};
use crate::clock::timestamp;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use uuid::Uuid;

/// An open run of a job, as seen by an occurrence of the job for a run date.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact about the run, independent of the others")]
pub struct OpenRun {
    /// The run.
    pub id: Uuid,
    /// Whether it is for the occurrence's run date.
    pub is_same_date: bool,
    /// Whether a schedule opened it: it covers all customers.
    pub is_scheduled: bool,
    /// Whether it was opened again, or one of its attempts was interrupted.
    pub is_resumed: bool,
    /// Whether anything of it can be done now; if not, all that is left of it waits for files.
    pub is_at_work: bool,
    /// Whether a worker that is up has its configuration.
    pub is_served: bool,
}

impl OpenRun {
    /// Lists the open runs of a job.
    ///
    /// # Errors
    /// Returns a database fault.
    pub async fn list(pool: &PgPool, job: &str, run_date: NaiveDate) -> anyhow::Result<Vec<Self>> {
        sqlx::query_as(include_str!("overlap_open_runs.sql"))
            .bind(job)
            .bind(run_date)
            .fetch_all(pool)
            .await
            .context("look for open runs of the job")
    }

    /// Whether an occurrence that falls due now is skipped under `overlap = "skip"`.
    #[must_use]
    pub const fn is_overlap(&self) -> bool {
        self.is_scheduled && self.is_served && !self.is_resumed && (self.is_same_date || self.is_at_work)
    }

    /// Whether a run for the occurrence has to wait until this one is over. An operator's run for another date does not
    /// block it, nor does a run that no worker can go on with, or one that only waits for files.
    #[must_use]
    pub const fn is_blocking(&self) -> bool {
        self.is_same_date || self.is_scheduled && self.is_served && self.is_at_work
    }
}

/// Passes over those of the due instants after `on_time_since` that overlap, as the job's settings have it. Earlier ones
/// were missed: the catchup policy has decided to run them, and they wait for their turn.
///
/// # Errors
/// Returns a database fault.
pub(super) async fn judge_overlap(
    pool: &PgPool,
    job: &Job,
    due: &mut [Occurrence],
    on_time_since: DateTime<Utc>,
) -> anyhow::Result<()> {
    if job.overlap == Overlap::Queue {
        return Ok(());
    }
    let mut known: HashMap<NaiveDate, Option<PassedOver>> = HashMap::new();
    for occurrence in due.iter_mut().filter(|o| o.passed_over.is_none() && o.due_at >= on_time_since) {
        let run_date = occurrence.run_date;
        occurrence.passed_over = match known.entry(run_date) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(unknown) => {
                unknown.insert(overlap(pool, &job.name, run_date, occurrence.due_at).await?).clone()
            }
        };
    }
    Ok(())
}

async fn overlap(
    pool: &PgPool,
    job: &str,
    run_date: NaiveDate,
    due_at: DateTime<Utc>,
) -> anyhow::Result<Option<PassedOver>> {
    let cause = Cause::Overlap;
    let open = OpenRun::list(pool, job, run_date).await?;
    if let Some(run) = open.iter().find(|run| run.is_overlap()) {
        let reason = format!("run {} was still going on (overlap = skip)", run.id);
        return Ok(Some(PassedOver { state: "skipped", cause, reason }));
    }
    // What waits already for the same date will do the same work.
    let waiting = occurrences::oldest_queued_for(pool, job, run_date, due_at).await?;
    Ok(waiting.map(|due_at| {
        let reason = format!(
            "the occurrence of {} still waits for its run and stands for it (overlap = skip)",
            timestamp(&due_at)
        );
        PassedOver { state: "coalesced", cause, reason }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scheduled run for another date that is proceeding normally.
    fn open_run() -> OpenRun {
        OpenRun {
            id: Uuid::nil(),
            is_same_date: false,
            is_scheduled: true,
            is_resumed: false,
            is_at_work: true,
            is_served: true,
        }
    }

    #[test]
    fn only_a_scheduled_run_that_proceeds_normally_is_an_overlap() {
        let (run, same) = (open_run(), OpenRun { is_same_date: true, ..open_run() });
        for (what, run, is_overlap, is_blocking) in [
            ("at work", run.clone(), true, true),
            ("at work for the date", same.clone(), true, true),
            ("resumed", OpenRun { is_resumed: true, ..run.clone() }, false, true),
            ("resumed for the date", OpenRun { is_resumed: true, ..same.clone() }, false, true),
            ("an operator's", OpenRun { is_scheduled: false, ..run.clone() }, false, false),
            ("an operator's for the date", OpenRun { is_scheduled: false, ..same.clone() }, false, true),
            ("awaiting files", OpenRun { is_at_work: false, ..run.clone() }, false, false),
            ("awaiting files of the date", OpenRun { is_at_work: false, ..same.clone() }, true, true),
            ("stranded", OpenRun { is_served: false, ..run }, false, false),
            ("stranded for the date", OpenRun { is_served: false, ..same }, false, true),
        ] {
            assert_eq!((run.is_overlap(), run.is_blocking()), (is_overlap, is_blocking), "{what}");
        }
    }
}
