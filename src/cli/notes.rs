//! What a run has to report besides its result, on stderr: failures, warnings, and what was left out. Messages that
//! differ only in names and numbers are summarised in one line; the run keeps all of them.

use super::show;
use crate::engine::runs::RunSummary;
use crate::engine::task::{TaskResult, TaskState};
use chrono::NaiveDate;

/// More messages of one kind than this are summarised.
const MAX_ALIKE: usize = 3;

/// How many names a summary has besides the first.
const MAX_NAMED: usize = 2;

/// A message about a task.
#[derive(Debug)]
pub(super) struct Note {
    severity: &'static str,
    /// The task's name for people, as in `load[agency_a]`.
    name: String,
    /// What follows the name.
    text: String,
    /// What messages of one kind have in common.
    kind: String,
}

impl Note {
    fn new(severity: &'static str, task: &TaskResult, text: String) -> Self {
        let kind = format!("{} {}", task.task, without_names(&text, task.item.as_deref().unwrap_or_default()));
        Self { severity, name: task.label().to_string(), text, kind }
    }

    /// The same message, in a list that has those of several run dates.
    pub(super) fn of_run_date(self, run_date: NaiveDate) -> Self {
        Self { name: format!("{run_date} {}", self.name), ..self }
    }

    pub(super) fn is_error(&self) -> bool {
        self.severity == "error"
    }
}

/// Everything that the tasks of a run have to report.
pub(super) fn collect(summary: &RunSummary) -> Vec<Note> {
    summary.tasks.iter().flat_map(|task| of_task(task, summary.run.run_date)).collect()
}

fn of_task(task: &TaskResult, run_date: NaiveDate) -> Vec<Note> {
    let mut notes = Vec::new();
    match (&task.error, task.fault) {
        (Some(error), Some(fault)) => {
            notes.push(Note::new("error", task, format!(" {} ({fault}): {error}", task.state.as_str())));
        }
        (Some(reason), None) => notes.push(Note::new("note", task, format!(" {}: {reason}", task.state.as_str()))),
        (None, _) => {}
    }
    notes.extend(show::notes(&task.outcome).into_iter().map(|text| Note::new("note", task, format!(": {text}"))));
    let without_load = if task.state == TaskState::Succeeded { missing(task) } else { Vec::new() };
    match without_load.as_slice() {
        [] => {}
        [one] => notes.push(Note::new("note", task, format!(": {one} has no load for {run_date}"))),
        [first, more @ ..] => {
            let text = format!(": {first} {} have no load for {run_date}", and_more(more));
            notes.push(Note::new("note", task, text));
        }
    }
    notes
}

/// The customers without a load whom a report went without.
fn missing(task: &TaskResult) -> Vec<&str> {
    let missing = task.outcome.get("missing").and_then(serde_json::Value::as_array);
    missing.into_iter().flatten().filter_map(|customer| customer["customer"].as_str()).collect()
}

/// Prints the messages; `all` is a command that shows each of them.
pub(super) fn print(notes: &[Note], all: &str) {
    for line in lines(notes, all) {
        show::message(&line);
    }
}

fn lines(notes: &[Note], all: &str) -> Vec<String> {
    let mut kinds: Vec<Vec<&Note>> = Vec::new();
    for note in notes {
        match kinds.iter_mut().find(|alike| alike[0].kind == note.kind && alike[0].severity == note.severity) {
            Some(alike) => alike.push(note),
            None => kinds.push(vec![note]),
        }
    }
    kinds.into_iter().flat_map(|alike| lines_of_kind(&alike, all)).collect()
}

fn lines_of_kind(alike: &[&Note], all: &str) -> Vec<String> {
    match alike {
        [first, more @ ..] if more.len() >= MAX_ALIKE => {
            let names: Vec<&str> = more.iter().map(|note| note.name.as_str()).collect();
            let Note { severity, name, text, .. } = first;
            vec![format!("{severity}: {name} {}{text}; {all} shows each", and_more(&names))]
        }
        few => few.iter().map(|Note { severity, name, text, .. }| format!("{severity}: {name}{text}")).collect(),
    }
}

/// `and agency_b`, or `and 199 more (agency_b, agency_c, …)`.
fn and_more(names: &[&str]) -> String {
    match names {
        [one] => format!("and {one}"),
        few if few.len() <= MAX_NAMED => format!("and {} more ({})", few.len(), few.join(", ")),
        many => format!("and {} more ({}, …)", many.len(), many[..MAX_NAMED].join(", ")),
    }
}

/// A message without what tells it apart from others of its kind: words with the item's name, a digit or a slash.
fn without_names(text: &str, item: &str) -> String {
    let is_name = |word: &&str| {
        word.contains(|c: char| c.is_ascii_digit() || c == '/') || (!item.is_empty() && word.contains(item))
    };
    text.split_whitespace().filter(|word| !is_name(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use serde_json::{Value, json};

    fn load(item: &str, error: Option<&str>, outcome: Value) -> TaskResult {
        TaskResult {
            task: "load".to_owned(),
            item: Some(item.to_owned()),
            state: if error.is_some() { TaskState::Failed } else { TaskState::Succeeded },
            fault: error.map(|_| Fault::Data),
            error: error.map(str::to_owned),
            outcome,
            elapsed_ms: 1,
        }
    }

    fn texts(tasks: &[TaskResult]) -> Vec<String> {
        let date = NaiveDate::from_ymd_opt(2025, 5, 13).unwrap_or_default();
        let notes: Vec<Note> = tasks.iter().flat_map(|task| of_task(task, date)).collect();
        lines(&notes, "bursar runs show 019b")
    }

    fn stale(n: usize) -> TaskResult {
        let warning = format!("its bytes are those of load {n} of 2025-05-{n:02}: a stale file?");
        load(&format!("agency_{n}"), None, json!({"warnings": [warning]}))
    }

    #[test]
    fn two_hundred_warnings_of_one_kind_are_one_line() {
        let tasks: Vec<TaskResult> = (1..=200).map(stale).collect();
        assert_eq!(
            texts(&tasks),
            [
                "note: load[agency_1] and 199 more (load[agency_2], load[agency_3], …): its bytes are those of load 1 of \
              2025-05-01: a stale file?; bursar runs show 019b shows each"
            ]
        );
    }

    #[test]
    fn few_messages_and_messages_of_another_kind_are_printed_as_they_are() {
        let failed = load("agency_9", Some("in/a.csv: the header lacks \"x\""), Value::Null);
        let skipped = TaskResult {
            state: TaskState::Skipped,
            fault: None,
            ..load("agency_8", Some("its upstream failed"), Value::Null)
        };
        assert_eq!(
            texts(&[stale(1), failed, stale(2), skipped]),
            [
                "note: load[agency_1]: its bytes are those of load 1 of 2025-05-01: a stale file?",
                "note: load[agency_2]: its bytes are those of load 2 of 2025-05-02: a stale file?",
                "error: load[agency_9] failed (data): in/a.csv: the header lacks \"x\"",
                "note: load[agency_8] skipped: its upstream failed",
            ]
        );
    }

    #[test]
    fn customers_that_a_report_lacks_are_one_line() {
        let missing: Vec<Value> = (1..=5).map(|n| json!({"customer": format!("agency_{n}")})).collect();
        let report =
            TaskResult { item: None, task: "report".to_owned(), ..load("", None, json!({"missing": missing})) };
        assert_eq!(
            texts(&[report]),
            ["note: report: agency_1 and 4 more (agency_2, agency_3, …) have no load for 2025-05-13"]
        );
    }
}
