//! The daemons that are up, and whether they agree when jobs are due.
//!
//! Of two configurations that schedule a job differently the later one decides: the others leave the job to the daemons
//! that have that schedule. So a job is never due by two schedules, and a daemon that kept an older configuration does
//! not keep it from being due.

use super::configurations::Schedules;
use anyhow::Context;
use sqlx::PgPool;
use sqlx::types::Json;
use std::collections::BTreeSet;

/// A daemon that is up.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Daemon {
    /// The machine.
    pub host: String,
    /// The process there.
    pub pid: i32,
    /// The configuration in force in it.
    pub config_hash: String,
    /// Why it kept that one when it was last told to read its files again.
    pub config_error: Option<String>,
    /// When its jobs are due.
    pub schedules: Json<Schedules>,
}

/// The daemons that are up, those with the latest configuration first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet(Vec<Daemon>);

/// A job that daemons schedule differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The job.
    pub job: String,
    /// The schedule in force, of the latest configuration; none: that one does not schedule the job.
    pub in_force: Option<String>,
    /// Each schedule that is not in force, with the daemon that has it.
    pub others: Vec<(Daemon, Option<String>)>,
}

impl Fleet {
    /// Looks which daemons are up.
    ///
    /// # Errors
    /// A database fault.
    pub async fn read(pool: &PgPool) -> anyhow::Result<Self> {
        let daemons = sqlx::query_as(
            "select w.host,
                    w.pid,
                    w.config_hash,
                    w.config_error,
                    c.schedules
               from bursar.workers as w
               join bursar.configurations as c on c.hash = w.config_hash
              where w.role = 'serve' and w.stopped_at is null
              order by c.taken_at desc, c.hash, w.started_at, w.id",
        )
        .fetch_all(pool)
        .await
        .context("look which daemons are up")?;
        Ok(Self(daemons))
    }

    /// The daemons whose state is known.
    #[must_use]
    pub fn from_daemons(daemons: Vec<Daemon>) -> Self {
        Self(daemons)
    }

    /// Whether a schedule (none: no schedule) is the one in force for a job.
    #[must_use]
    pub fn is_in_force(&self, job: &str, schedule: Option<&str>) -> bool {
        self.0.first().is_none_or(|latest| schedule_of(latest, job) == schedule)
    }

    /// Whether all of a configuration's schedules are in force.
    #[must_use]
    pub fn has_in_force(&self, schedules: &Schedules) -> bool {
        self.0.first().is_none_or(|latest| latest.schedules.0 == *schedules)
    }

    /// Returns the jobs that not all daemons schedule alike.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        let Some((latest, rest)) = self.0.split_first() else { return Vec::new() };
        let jobs: BTreeSet<&String> = self.0.iter().flat_map(|daemon| daemon.schedules.0.keys()).collect();
        let conflict = |job: &String| {
            let in_force = schedule_of(latest, job);
            let others = rest.iter().filter(|daemon| schedule_of(daemon, job) != in_force);
            let others: Vec<_> =
                others.map(|daemon| (daemon.clone(), schedule_of(daemon, job).map(str::to_owned))).collect();
            let in_force = in_force.map(str::to_owned);
            (!others.is_empty()).then(|| Conflict { job: job.clone(), in_force, others })
        };
        jobs.into_iter().filter_map(conflict).collect()
    }
}

fn schedule_of<'a>(daemon: &'a Daemon, job: &str) -> Option<&'a str> {
    daemon.schedules.0.get(job).map(String::as_str)
}

impl Conflict {
    /// Returns the sentences that say who has which schedule.
    #[must_use]
    pub fn text(&self) -> String {
        let (in_force, others) = (self.in_force.as_deref(), self.others.iter());
        let others: Vec<String> = others
            .map(|(daemon, schedule)| {
                let kept = daemon
                    .config_error
                    .as_ref()
                    .map(|error| format!(", because it kept the configuration it had: {error}"));
                format!("{} {} has {}{}", daemon.host, daemon.pid, named(schedule.as_deref()), kept.unwrap_or_default())
            })
            .collect();
        let due = match in_force {
            Some(schedule) => format!("It is due by the latest configuration: {schedule}."),
            None => "The latest configuration does not schedule it, and it is not due.".to_owned(),
        };
        format!("{due} {}.", others.join("; "))
    }
}

fn named(schedule: Option<&str>) -> &str {
    schedule.unwrap_or("no schedule for it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(pid: i32, schedules: &[(&str, &str)]) -> Daemon {
        let schedules = schedules.iter().map(|(job, text)| ((*job).to_owned(), (*text).to_owned())).collect();
        let (host, config_hash) = ("host".to_owned(), pid.to_string());
        Daemon { host, pid, config_hash, config_error: None, schedules: Json(schedules) }
    }

    #[test]
    fn the_schedule_of_the_latest_configuration_is_in_force_and_others_are_named() {
        let fleet = Fleet::from_daemons(vec![
            daemon(2, &[("same", "a"), ("moved", "new")]),
            daemon(1, &[("same", "a"), ("moved", "old"), ("dropped", "b")]),
        ]);
        assert!(fleet.is_in_force("same", Some("a")) && fleet.is_in_force("moved", Some("new")));
        assert!(!fleet.is_in_force("moved", Some("old")) && !fleet.is_in_force("dropped", Some("b")));
        let conflicts = fleet.conflicts();
        let jobs: Vec<&str> = conflicts.iter().map(|conflict| conflict.job.as_str()).collect();
        assert_eq!(jobs, ["dropped", "moved"]);
        assert_eq!(
            conflicts[0].text(),
            "The latest configuration does not schedule it, and it is not due. host 1 has b."
        );
        assert_eq!(conflicts[1].text(), "It is due by the latest configuration: new. host 1 has old.");
    }

    #[test]
    fn daemons_that_agree_and_a_daemon_alone_have_no_conflict() {
        let schedules = [("same", "a")];
        let fleet = Fleet::from_daemons(vec![daemon(1, &schedules), daemon(2, &schedules)]);
        assert_eq!(fleet.conflicts(), []);
        assert!(fleet.has_in_force(&fleet.0[0].schedules.0));
        assert!(Fleet::default().is_in_force("any", Some("a")), "nobody is known to be up");
    }
}
