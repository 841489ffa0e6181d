//! A job: a named DAG of tasks, perhaps scheduled, compiled from `config/jobs/*.toml`.

use super::schedule::{Schedule, ScheduleError};
use super::task::KindSpec;
use crate::config::{At, Problems, Source, suggest};
use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// `config/jobs/NAME.toml`: a named DAG of tasks, perhaps scheduled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseJob {
    /// Its name: lower-case letters, digits and hyphens; the file is called the same.
    pub name: String,
    /// When it is due: a cron expression of five fields (minute first) or six (second first). Without it the
    /// job runs only when an operator says so.
    pub schedule: Option<String>,
    /// The time zone that the schedule and the run date are read in.
    #[serde(default = "utc")]
    pub timezone: String,
    /// What to do with occurrences missed while no daemon was up.
    #[serde(default)]
    pub catchup: Catchup,
    /// What to do when it falls due while a run of it is still going on.
    #[serde(default)]
    pub overlap: Overlap,
    /// Its tasks.
    #[schemars(length(min = 1))]
    pub task: Vec<LooseTask>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// One `[[task]]`: a node of the DAG.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseTask {
    /// Its name within the job.
    pub name: String,
    /// What it does: `load` or `report`.
    pub kind: String,
    /// The dataset, for a load.
    pub dataset: Option<String>,
    /// The report, for a report.
    pub report: Option<String>,
    /// `customer`: one task for each customer.
    pub for_each: Option<String>,
    /// The tasks that must have succeeded before it starts.
    #[serde(default)]
    pub after: Vec<String>,
    /// Starts when its upstreams are over, however they ended: a report then shows what there is and says
    /// what is missing.
    #[serde(default)]
    pub after_any_outcome: bool,
}

/// What to do with occurrences missed while no daemon was up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Catchup {
    /// They are recorded as skipped.
    None,
    /// The latest one is run and stands for the others.
    #[default]
    Latest,
    /// Each is run, oldest first.
    All,
}

/// What to do when a job falls due while a run of it is still going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The occurrence is recorded as skipped.
    #[default]
    Skip,
    /// It is run when the other one is over.
    Queue,
}

/// A checked job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// When it is due, if ever by itself.
    pub schedule: Option<Schedule>,
    /// The zone of its run dates.
    pub timezone: chrono_tz::Tz,
    /// See [`Catchup`].
    pub catchup: Catchup,
    /// See [`Overlap`].
    pub overlap: Overlap,
    /// Its tasks; [`Task::after`] are indexes into them.
    pub tasks: Vec<Task>,
}

/// A checked task.
#[derive(Clone, Debug)]
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
    check_cycles(source, &loose.task, problems);
    (problems.len() == before).then_some(())?;
    Some(Job {
        name: loose.name.clone(),
        schedule,
        timezone,
        catchup: loose.catchup,
        overlap: loose.overlap,
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
        Ok(schedule) => Some(schedule),
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
    let after = upstreams(source, all, i, problems);
    if let Some(over) = &loose.for_each
        && !words.for_each.contains(&over.as_str())
    {
        let hint = suggest(over, words.for_each.iter().copied());
        problems.push(source.problem(&at("for_each"), format!("there is no {over:?} to go over{hint}")));
    }
    (problems.len() == before).then_some(())?;
    Some(Task {
        name: loose.name.clone(),
        kind: loose.kind.clone(),
        subject: subject?,
        for_each: loose.for_each.clone(),
        after,
        after_any_outcome: loose.after_any_outcome,
    })
}

/// The dataset or report that the task's kind asks for; the other key must not be there.
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
    if kind.needs_item && loose.for_each.is_none() {
        problems.push(
            source.problem(
                &At::key("task").index(i),
                format!("a task of kind {} needs for_each = \"customer\"", kind.name),
            ),
        );
    }
    Some(name.clone())
}

fn upstreams(source: &Source, all: &[LooseTask], i: usize, problems: &mut Problems) -> Vec<usize> {
    let mut found = Vec::new();
    for (k, name) in all[i].after.iter().enumerate() {
        if all[i].after[..k].contains(name) {
            let message = format!("the upstream {name} is there twice");
            problems.push(source.problem(&At::key("task").index(i).then("after").index(k), message));
        }
        match all.iter().position(|t| t.name == *name) {
            Some(upstream) => found.push(upstream),
            None => {
                let others = all.iter().map(|t| t.name.as_str()).filter(|n| *n != all[i].name);
                let message = format!("there is no upstream {name:?} in this job{}", suggest(name, others));
                problems.push(source.problem(&At::key("task").index(i).then("after").index(k), message));
            }
        }
    }
    found
}

fn check_cycles(source: &Source, all: &[LooseTask], problems: &mut Problems) {
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..all.len()).map(|i| graph.add_node(i)).collect();
    for (i, task) in all.iter().enumerate() {
        for upstream in task.after.iter().filter_map(|name| all.iter().position(|t| t.name == *name)) {
            graph.add_edge(nodes[upstream], nodes[i], ());
        }
    }
    for group in tarjan_scc(&graph) {
        let first = group.iter().map(|n| graph[*n]).min().unwrap_or(0);
        let is_cycle = group.len() > 1 || graph.contains_edge(group[0], group[0]);
        if is_cycle {
            let mut names: Vec<&str> = group.iter().map(|n| all[graph[*n]].name.as_str()).collect();
            names.sort_unstable();
            let message = match &names[..] {
                [_] => "the task waits for itself".to_owned(),
                _ => format!("tasks wait for each other in a cycle: {}", names.join(", ")),
            };
            problems.push(source.problem(&At::key("task").index(first).then("after"), message));
        }
    }
}
