//! Results for people (tables) and for programs (JSON), on stdout.

use crate::engine::runs::RunSummary;
use crate::engine::task::{TaskResult, TaskState};
use crate::escape;
use anyhow::Context;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

/// How long the last message may take to be printed.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// A table with this header; columns whose index is in `numbers` are set to the right.
pub(super) fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for index in numbers {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Prints a line or a table, with nothing in it that a terminal acts on.
pub(super) fn line(text: &dyn std::fmt::Display) -> anyhow::Result<()> {
    print(&escape::lines(&text.to_string()))
}

/// Prints a message on stderr, with nothing in it that a terminal acts on.
pub(super) fn message(text: &str) {
    eprintln!("{}", escape::lines(text));
}

/// As [`message`], for what is printed before the program ends: a reader that reads nothing does not keep it from that.
pub(super) fn last_message(text: &str) {
    let text = text.to_owned();
    let printing = std::thread::spawn(move || message(&text));
    let since = Instant::now();
    while !printing.is_finished() && since.elapsed() < LAST_MESSAGE_TIMEOUT {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Prints a text and a line end; a reader who went away (`| head`) is no fault.
fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("print the result"),
        _ => Ok(()),
    }
}

/// What was printed; none where the reader went away, which is no fault.
pub(super) fn unless_gone<T>(printed: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    let is_gone = |error: &anyhow::Error| {
        error.chain().filter_map(|e| e.downcast_ref::<std::io::Error>()).any(|e| e.kind() == ErrorKind::BrokenPipe)
    };
    match printed {
        Err(error) if is_gone(&error) => Ok(None),
        printed => printed.map(Some),
    }
}

/// Prints JSON, indented.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&escape::json(&serde_json::to_string_pretty(value)?))
}

/// Prints a value as JSON, or for people.
pub(super) fn either<T: Serialize>(
    is_json: bool,
    value: &T,
    print: impl FnOnce(&T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if is_json { json(value) } else { print(value) }
}

/// Prints a run: a table of its loads, and the files it left.
pub(super) fn run(summary: &RunSummary) -> anyhow::Result<()> {
    let mut loads = table(&["task", "state", "rows", "rejected", "skipped", "bytes", "file", "ms"], &[2, 3, 4, 5, 7]);
    for task in summary.tasks.iter().filter(|t| t.outcome.get("certificate").is_some()) {
        loads.add_row(load_row(task));
    }
    if !loads.is_empty() {
        line(&loads)?;
    }
    for (task, merged) in summary.tasks.iter().map(|t| (t, &t.outcome["publication"])) {
        if let (Some(inserted), Some(updated), Some(unchanged)) =
            (merged["inserted"].as_i64(), merged["updated"].as_i64(), merged["unchanged"].as_i64())
        {
            line(&format!("{}: {inserted} inserted, {updated} updated, {unchanged} unchanged", task.label()))?;
        }
    }
    for path in written(summary) {
        line(&format!("report: {path}"))?;
    }
    let state = serde_json::to_value(summary.state)?;
    line(&format!(
        "{} for {}: {} in {} ms (run {})",
        summary.run.job,
        summary.run.run_date,
        state.as_str().unwrap_or_default(),
        summary.elapsed_ms,
        summary.run.id
    ))
}

fn load_row(task: &TaskResult) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let certificate = &task.outcome["certificate"];
    let skipped = certificate["skipped"].as_object().map_or(0, |s| s.values().filter_map(Value::as_u64).sum::<u64>());
    vec![
        task.label().to_string(),
        text(&task.outcome["state"]),
        text(&certificate["loaded"]),
        text(&certificate["rejected"]),
        skipped.to_string(),
        text(&certificate["bytes"]),
        text(&task.outcome["file"]),
        task.elapsed_ms.to_string(),
    ]
}

/// The files that a run's reports wrote.
pub(super) fn written(summary: &RunSummary) -> Vec<String> {
    summary
        .tasks
        .iter()
        .filter(|t| t.state == TaskState::Succeeded)
        .filter_map(|t| t.outcome.get("path").and_then(Value::as_str).map(str::to_owned))
        .collect()
}

/// The warnings in the outcome of a load, and why it was not made again.
pub(super) fn notes(outcome: &Value) -> Vec<String> {
    let sentences = |key: &str| outcome[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let is_unchanged = outcome["state"] == "unchanged";
    sentences("warnings").chain(sentences("reasons").filter(|_| is_unchanged)).map(str::to_owned).collect()
}

/// A result together with the most memory the process has held, in bytes.
pub(super) fn with_peak_memory(value: &impl Serialize) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(value)?;
    value["peak_memory_bytes"] = peak_memory()?.into();
    Ok(value)
}

/// On Linux what getrusage says begins with the peak of whoever started the program, so the kernel's own account of
/// this one is asked first.
fn peak_memory() -> anyhow::Result<i64> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    if let Some(kib) = peak.map(|kib: i64| kib) {
        return Ok(kib * 1024);
    }
    let usage =
        nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).context("look at the memory used")?;
    // macOS counts in bytes, others in KiB.
    Ok(usage.max_rss() * if cfg!(target_os = "macos") { 1 } else { 1024 })
}
