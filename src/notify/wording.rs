//! The words of the program's alerts, in one place: what is wrong, what is known, which command comes next.

use super::alert::{Alert, Kind, Subject};
use crate::clock::timestamp;
use crate::fault::Fault;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

/// A customer's file of a dataset for a run date, as a job loads it.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// The job that loads it.
    pub job: &'a str,
    /// The dataset.
    pub dataset: &'a str,
    /// The customer who delivers it.
    pub customer: &'a str,
    /// The business day it is for.
    pub run_date: NaiveDate,
}

impl File<'_> {
    /// What an alert about it concerns.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::file(self.job, self.dataset, self.customer, self.run_date)
    }

    /// What an alert about the customer's files of any run date concerns.
    #[must_use]
    pub fn of_any_date(&self) -> Subject {
        Subject { run_date: None, ..self.subject() }
    }

    fn load_command(&self) -> String {
        let Self { job, customer, run_date, .. } = self;
        format!("bursar run-job {job} --date {run_date} --customer {customer}")
    }

    fn alert(&self, kind: Kind, what: &str, text: String, next_step: String) -> Alert {
        let Self { dataset, customer, run_date, .. } = self;
        let title = format!("{dataset} of {customer} for {run_date}: {what}");
        Alert { kind, subject: self.subject(), title, text, next_step }
    }
}

/// A run that ended without having done what it is for; `why` names the gravest failure.
#[must_use]
pub fn run_failed(job: &str, run_date: NaiveDate, run: Uuid, fault: Fault, why: &str) -> Alert {
    let advice = match fault {
        Fault::Transient => "The same again may succeed",
        Fault::Data => "Once corrected files are there",
        Fault::Config => "Once the configuration is repaired (bursar check)",
        Fault::Bug => "Report this as a bug of Bursar; once it is fixed",
    };
    Alert {
        kind: Kind::RunFailed,
        subject: Subject::run(job, run_date),
        title: format!("{job} for {run_date} failed ({fault})"),
        text: why.to_owned(),
        next_step: format!("See its tasks: bursar runs show {run}. {advice}: bursar runs retry {run}"),
    }
}

/// An open run that no worker that is up can go on with; `why` says what they lack.
#[must_use]
pub fn run_stranded(job: &str, run_date: NaiveDate, why: &str, next_step: String) -> Alert {
    Alert {
        kind: Kind::RunStranded,
        subject: Subject::run(job, run_date),
        title: format!("{job} for {run_date} stands still"),
        text: format!("The run is open, and {why}."),
        next_step,
    }
}

/// A job that daemons schedule differently; `who` says which daemon has which schedule.
#[must_use]
pub fn schedule_conflict(job: &str, who: String) -> Alert {
    Alert {
        kind: Kind::ScheduleConflict,
        subject: Subject::job(job),
        title: format!("daemons schedule {job} differently"),
        text: who,
        next_step: "Give the daemons that are named the same configuration (bursar check there), then: bursar reload"
            .to_owned(),
    }
}

/// Occurrences of a job for a run date that were not run; `reason` is that of the last one.
#[must_use]
pub fn occurrence_skipped(job: &str, run_date: NaiveDate, skipped: &Skipped<'_>) -> Alert {
    let Skipped { count, due_at, state, reason } = skipped;
    let due = match count {
        1 => format!("It was due at {} and was", timestamp(due_at)),
        many => format!("{many} occurrences were not run; the last one was due at {} and was", timestamp(due_at)),
    };
    Alert {
        kind: Kind::OccurrenceSkipped,
        subject: Subject::run(job, run_date),
        title: format!("{job} for {run_date} was not run when it was due"),
        text: format!("{due} {state}: {reason}."),
        next_step: format!(
            "Run it: bursar run-job {job} --date {run_date}. The alert ends when a run for that date has succeeded"
        ),
    }
}

/// What is known of the occurrences of a job for a run date that were not run.
#[derive(Clone, Copy, Debug)]
pub struct Skipped<'a> {
    /// How many there are.
    pub count: i64,
    /// When the last one was due.
    pub due_at: DateTime<Utc>,
    /// Its state.
    pub state: &'a str,
    /// Why it was not run.
    pub reason: &'a str,
}

/// A daemon that dispatches nothing, because its machine's clock is `ahead_s` seconds ahead of the database's (negative:
/// behind).
#[must_use]
pub fn clock_skew(host: &str, ahead_s: f64) -> Alert {
    let direction = if ahead_s > 0.0 { "ahead of" } else { "behind" };
    Alert {
        kind: Kind::ClockSkew,
        subject: Subject::host(host),
        title: format!("the clock of {host} is wrong"),
        text: format!(
            "It is {:.0} s {direction} the database's. A daemon there dispatches nothing until it is set; others go on.",
            ahead_s.abs()
        ),
        next_step: format!("Set the clock of {host} (NTP), or that of the database's machine, then: bursar workers"),
    }
}

/// A load that a gate held; `reasons` are the gate's sentences.
#[must_use]
pub fn load_held(file: &File<'_>, load: i64, reasons: &[String]) -> Alert {
    file.alert(
        Kind::LoadHeld,
        "the load is held, the table was not changed",
        format!("Load {load} was not published: {}", reasons.join("; ")),
        format!(
            "Publish it as it is: bursar loads accept {load} --reason \"…\". Drop it: bursar loads discard {load} \
             --reason \"…\". Or load a corrected file: {}",
            file.load_command()
        ),
    )
}

/// Loads of a customer that are counted and not published, because the table holds a newer run date; `reasons` are the
/// load's sentences. One alert for all run dates.
#[must_use]
pub fn load_measured(file: &File<'_>, load: i64, reasons: &[String]) -> Alert {
    let command = file.load_command();
    let alert = file.alert(
        Kind::LoadMeasured,
        "the load was not published",
        format!("Load {load} was counted, and the table was not changed: {}.", reasons.join("; ")),
        format!(
            "If the newer run date is a mistake: {command} --publish. Otherwise nothing needs to be done: the alert ends \
             when a load of {} is published",
            file.customer
        ),
    );
    Alert { subject: file.of_any_date(), ..alert }
}

/// A file that has not come by its deadline; `found` is what was found instead, `until` how long it is still loaded
/// when it comes.
#[must_use]
pub fn file_missing(file: &File<'_>, found: &str, deadline: DateTime<Tz>, until: DateTime<Tz>) -> Alert {
    file.alert(
        Kind::FileMissing,
        "the file is missing",
        format!("It was due by {}: {found}.", timestamp(&deadline)),
        format!(
            "Ask {} for it. Delivered by {} it is loaded automatically; after that: {}",
            file.customer,
            timestamp(&until),
            file.load_command()
        ),
    )
}

/// A file that came after its deadline.
#[must_use]
pub fn file_late(file: &File<'_>, path: &str, deadline: DateTime<Tz>, arrived_at: DateTime<Tz>) -> Alert {
    file.alert(
        Kind::FileLate,
        "the file is late",
        format!(
            "It was due by {} and was delivered at {}, as {path}. Its load follows automatically.",
            timestamp(&deadline),
            timestamp(&arrived_at)
        ),
        format!("If this alert stays open: {}", file.load_command()),
    )
}

/// A file that was changed after it was loaded.
#[must_use]
pub fn file_changed(file: &File<'_>, path: &str, load: i64) -> Alert {
    file.alert(
        Kind::FileChanged,
        "the file was changed after it was loaded",
        format!("{path} is no longer the file that load {load} read. The table keeps that load's rows."),
        format!("Ask {} whether it is a correction. If it is: {}", file.customer, file.load_command()),
    )
}

/// A file with the bytes of the file that was loaded for an earlier run date.
#[must_use]
pub fn file_duplicate(file: &File<'_>, path: &str, earlier: NaiveDate) -> Alert {
    file.alert(
        Kind::FileDuplicate,
        "the file is an old one",
        format!("{path} has the same bytes as the file that was loaded for {earlier}."),
        format!("Ask {} for the file of {}. Once it is there: {}", file.customer, file.run_date, file.load_command()),
    )
}

/// A file that was refused because of what it contains; `watched_until` is the time until which a corrected file is
/// noticed, if anybody looks for it.
#[must_use]
pub fn file_refused(file: &File<'_>, why: &str, watched_until: Option<DateTime<Tz>>) -> Alert {
    let (customer, command) = (file.customer, file.load_command());
    let next_step = match watched_until {
        Some(until) => format!(
            "Ask {customer} for a corrected file. Delivered by {} it is loaded automatically; after that: {command}",
            timestamp(&until)
        ),
        None => format!("Ask {customer} for a corrected file. Once it is there: {command}"),
    };
    let text = format!("{}. Nothing was loaded; the table was not changed.", why.trim_end_matches('.'));
    file.alert(Kind::FileRefused, "the file was refused", text, next_step)
}
