//! A job: a named DAG of tasks, perhaps scheduled, compiled from `config/jobs/*.toml`.

mod graph;
mod loose;

use super::retry::Retry;
use super::schedule::{Schedule, ScheduleError};
use super::task::KindSpec;
use crate::config::{At, Problems, Source, suggest};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
pub use loose::{Catchup, LooseJob, LooseTask, Overlap};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How many missed occurrences are run where the job does not say it.
const CATCHUP_LIMIT: usize = 31;

/// A checked job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Whether it is due by its schedule.
    pub is_enabled: bool,
    /// When it is due, if ever by itself.
    pub schedule: Option<Schedule>,
    /// The zone of its run dates.
    pub timezone: chrono_tz::Tz,
    /// How many days its run date is after the day on which it is due; -366 to 366.
    pub run_date_offset_days: i32,
    /// See [`Catchup`].
    pub catchup: Catchup,
    /// With [`Catchup::All`] the latest so many of the missed occurrences are run; 1 to 10,000.
    pub catchup_limit: usize,
    /// See [`Overlap`].
    pub overlap: Overlap,
    /// Whether an occurrence that is skipped or coalesced raises an alert.
    pub alert_skipped: bool,
    /// At most so many of its tasks at a time over all daemons; 1 to 10,000.
    pub max_parallel_tasks: Option<u32>,
    /// Its tasks; [`Task::after`] are indexes into them.
    pub tasks: Vec<Task>,
}

impl Job {
    /// Returns the schedule by which it is due: none if it is disabled.
    #[must_use]
    pub fn due_schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref().filter(|_| self.is_enabled)
    }

    /// The run date of a due instant of its schedule: the day it belongs to ([`Schedule::run_date`]), plus the
    /// job's offset.
    #[must_use]
    pub fn run_date(&self, due_at: DateTime<Utc>) -> NaiveDate {
        let day = self.schedule.as_ref().map_or_else(|| self.day(due_at), |schedule| schedule.run_date(due_at));
        self.offset(day)
    }

    /// The run date of a run that an operator asks for at `now` without naming one: the day in the job's zone,
    /// plus the job's offset.
    #[must_use]
    pub fn run_date_today(&self, now: DateTime<Utc>) -> NaiveDate {
        self.offset(self.day(now))
    }

    /// The run dates between two, both included, that its schedule has; each day where it has no schedule.
    pub fn run_dates(&self, from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> + '_ {
        let is_due = move |schedule: &Schedule, run_date: NaiveDate| {
            run_date.checked_sub_signed(self.offset_days()).is_some_and(|day| schedule.is_due_on(day))
        };
        let days = from.iter_days().take_while(move |day| *day <= to);
        days.filter(move |day| self.schedule.as_ref().is_none_or(|schedule| is_due(schedule, *day)))
    }

    fn day(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.timezone).date_naive()
    }

    /// The run date of a due day. A day at the very end of the calendar stays where it is.
    #[must_use]
    pub fn offset(&self, day: NaiveDate) -> NaiveDate {
        day.checked_add_signed(self.offset_days()).unwrap_or(day)
    }

    /// From the day on which it is due to its run date.
    pub(super) fn offset_days(&self) -> TimeDelta {
        TimeDelta::days(self.run_date_offset_days.into())
    }
}

/// A checked task. A run keeps its tasks as JSON, so that it is worked on as it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its name within the job.
    pub name: String,
    /// The name of its kind.
    pub kind: String,
    /// What the kind works on: a dataset's or a report's name.
    pub subject: String,
    /// What it is fanned out over.
    pub for_each: Option<String>,
    /// Upstreams, as indexes into the job's tasks.
    pub after: Vec<usize>,
    /// Whether failed upstreams don't keep it from running.
    pub after_any_outcome: bool,
    /// How long an attempt may take, in seconds.
    pub timeout_s: Option<u64>,
    /// How it is tried again.
    pub retry: Retry,
}

/// What job files can refer to.
#[derive(Debug)]
pub struct Vocabulary {
    /// The kinds of tasks.
    pub kinds: Vec<KindSpec>,
    /// The key by which a kind names its subject (`dataset`, `report`), to the names there are.
    pub subjects: HashMap<&'static str, Vec<String>>,
    /// What tasks can be fanned out over.
    pub for_each: Vec<&'static str>,
    /// Of subjects that are known: whether tasks that work on them are fanned out.
    pub is_fanned_out: HashMap<String, bool>,
}

/// Compiles a job; everything wrong with it is a problem.
pub fn compile_job(source: &Source, loose: &LooseJob, words: &Vocabulary, problems: &mut Problems) -> Option<Job> {
    let before = problems.len();
    check_name(source, &loose.name, problems);
    let timezone = match loose.timezone.parse::<chrono_tz::Tz>() {
        Ok(zone) => zone,
        Err(_) => {
            let zones = chrono_tz::TZ_VARIANTS.iter().map(|z| z.name());
            let close = suggest(&loose.timezone, zones).split("; known").next().unwrap_or("").to_owned();
            problems.push(source.problem(
                &At::key("timezone"),
                format!("{:?} is no time zone of the IANA database{close}", loose.timezone),
            ));
            chrono_tz::UTC
        }
    };
    let schedule = loose.schedule.as_deref().and_then(|text| compile_schedule(source, text, timezone, problems));
    let tasks: Vec<Option<Task>> =
        (0..loose.task.len()).map(|i| compile_task(source, &loose.task, i, words, problems)).collect();
    graph::check_cycles(source, &loose.task, problems);
    if loose.catchup_limit.is_some() && loose.catchup != Catchup::All {
        let message = "means something only with catchup = \"all\"; say that, or leave it out";
        problems.push(source.problem(&At::key("catchup_limit"), message));
    }
    (problems.len() == before).then_some(())?;
    Some(Job {
        name: loose.name.clone(),
        is_enabled: loose.enabled,
        schedule,
        timezone,
        run_date_offset_days: loose.run_date_offset_days,
        catchup: loose.catchup,
        catchup_limit: loose.catchup_limit.unwrap_or(CATCHUP_LIMIT),
        overlap: loose.overlap,
        alert_skipped: loose.alert_skipped,
        max_parallel_tasks: loose.max_parallel_tasks,
        tasks: tasks.into_iter().flatten().collect(),
    })
}

fn check_name(source: &Source, name: &str, problems: &mut Problems) {
    match why_no_name(name) {
        Some(why) => problems.push(source.problem(&At::key("name"), why)),
        None => source.check_name(name, problems),
    }
}

/// Names of jobs and tasks are never part of SQL, so that hyphens may stand in them.
fn why_no_name(name: &str) -> Option<String> {
    let is_allowed =
        |(i, c): (usize, char)| c.is_ascii_lowercase() || i > 0 && (c.is_ascii_digit() || matches!(c, '-' | '_'));
    let wrong = name.char_indices().find(|at| !is_allowed(*at));
    match wrong {
        Some((_, c)) => Some(format!(
            "{name:?}: {c:?} may not stand there (a lower-case letter first, then letters, digits, hyphens)"
        )),
        None if name.is_empty() => Some("the name is empty".to_owned()),
        None => (name.len() > 63).then(|| format!("the name has {} characters; at most 63 fit", name.len())),
    }
}

fn compile_schedule(source: &Source, text: &str, zone: chrono_tz::Tz, problems: &mut Problems) -> Option<Schedule> {
    match Schedule::parse(text, zone.name()) {
        Ok(schedule) => {
            for warning in schedule.warnings() {
                problems.warn(source.problem(&At::key("schedule"), warning.clone()));
            }
            Some(schedule)
        }
        Err(error) => {
            let key = if matches!(error, ScheduleError::Zone { .. }) { "timezone" } else { "schedule" };
            problems.push(source.problem(&At::key(key), error.to_string()));
            None
        }
    }
}

fn compile_task(
    source: &Source,
    all: &[LooseTask],
    i: usize,
    words: &Vocabulary,
    problems: &mut Problems,
) -> Option<Task> {
    let before = problems.len();
    let loose = &all[i];
    let at = |key: &str| At::key("task").index(i).then(key);
    if let Some(why) = why_no_name(&loose.name) {
        problems.push(source.problem(&at("name"), why));
    }
    if all[..i].iter().any(|t| t.name == loose.name) {
        problems.push(source.problem(&at("name"), format!("the task {} is there twice", loose.name)));
    }
    let subject = subject(source, loose, i, words, problems);
    let after = graph::upstreams(source, all, i, problems);
    if let Some(over) = &loose.for_each
        && !words.for_each.contains(&over.as_str())
    {
        let hint = suggest(over, words.for_each.iter().copied());
        problems.push(source.problem(&at("for_each"), format!("there is no {over:?} to go over{hint}")));
    }
    if loose.retry.first_delay_s > loose.retry.max_delay_s {
        let (first, most) = (loose.retry.first_delay_s, loose.retry.max_delay_s);
        let message = format!("must be at most max_delay_s, {most} s, found {first}");
        problems.push(source.problem(&at("retry").then("first_delay_s"), message));
    }
    (problems.len() == before).then_some(())?;
    Some(Task {
        name: loose.name.clone(),
        kind: loose.kind.clone(),
        subject: subject?,
        for_each: loose.for_each.clone(),
        after,
        after_any_outcome: loose.after_any_outcome,
        timeout_s: loose.timeout_s,
        retry: loose.retry,
    })
}

/// The dataset or report that the task's kind asks for; the other key must not be there. Empty where it asks for none.
fn subject(
    source: &Source,
    loose: &LooseTask,
    i: usize,
    words: &Vocabulary,
    problems: &mut Problems,
) -> Option<String> {
    let at = |key: &str| At::key("task").index(i).then(key);
    let Some(kind) = words.kinds.iter().find(|k| k.name == loose.kind) else {
        let hint = suggest(&loose.kind, words.kinds.iter().map(|k| k.name));
        problems.push(source.problem(&at("kind"), format!("there is no kind of task {:?}{hint}", loose.kind)));
        return None;
    };
    let mut found = None;
    for (key, value) in [("dataset", &loose.dataset), ("report", &loose.report)] {
        match value {
            Some(_) if key != kind.subject => {
                problems.push(source.problem(&at(key), format!("a task of kind {} takes no {key}", kind.name)));
            }
            Some(name) => found = Some(name),
            None => {}
        }
    }
    if kind.subject.is_empty() {
        return Some(String::new());
    }
    let Some(name) = found else {
        problems.push(source.problem(
            &At::key("task").index(i),
            format!("a task of kind {} needs the key {}", kind.name, kind.subject),
        ));
        return None;
    };
    let known = words.subjects.get(kind.subject).map_or(&[][..], Vec::as_slice);
    if !known.contains(name) {
        let hint = suggest(name, known.iter().map(String::as_str));
        problems.push(source.problem(&at(kind.subject), format!("there is no {} {name:?}{hint}", kind.subject)));
    }
    if kind.needs_item
        && let Some(is_fanned_out) = words.is_fanned_out.get(name).copied()
        && is_fanned_out != loose.for_each.is_some()
    {
        let (at, message) = if is_fanned_out {
            (At::key("task").index(i), format!("a task of kind {} needs for_each = \"customer\"", kind.name))
        } else {
            (at("for_each"), format!("the {} {name} is one for all, and no customer's", kind.subject))
        };
        problems.push(source.problem(&at, message));
    }
    Some(name.clone())
}
