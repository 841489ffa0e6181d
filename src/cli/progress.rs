//! Progress bars on a terminal: one for each task under way, gone when it is over.

use crate::engine::task::{Label, TaskResult, Watch};
use crate::telemetry::Suspend;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The bars of a run.
#[derive(Debug)]
pub(super) struct Bars {
    multi: MultiProgress,
    bars: Mutex<HashMap<Label, ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self { multi: MultiProgress::new(), bars: Mutex::new(HashMap::new()) }
    }

    /// Whether there is a terminal to draw them on.
    pub(super) fn are_shown() -> bool {
        std::io::stderr().is_terminal()
    }

    /// A bar that counts to `total`.
    pub(super) fn counter(&self, name: &'static str, total: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{spinner} {prefix:24} {bar:30} {pos}/{len} {eta:>4}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.multi.add(ProgressBar::new(total).with_style(style).with_prefix(name));
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// Lets log lines pass between the bars.
    pub(super) fn suspend(self: &Arc<Self>) -> Suspend {
        let multi = self.multi.clone();
        Arc::new(move |write| multi.suspend(write))
    }

    fn with_bar(&self, label: &Label, show: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.bars.lock().unwrap_or_else(PoisonError::into_inner).get(label) {
            show(bar);
        }
    }
}

impl Watch for Bars {
    fn started(&self, label: &Label) {
        let style = ProgressStyle::with_template(
            "{spinner} {prefix:24} {bar:30} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.multi.add(ProgressBar::new(0).with_style(style).with_prefix(label.to_string()));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).insert(label.clone(), bar);
    }

    fn progressed(&self, label: &Label, done: u64, total: u64) {
        self.with_bar(label, |bar| {
            bar.set_length(total);
            bar.set_position(done);
        });
    }

    fn ended(&self, result: &TaskResult) {
        let bar = self.bars.lock().unwrap_or_else(PoisonError::into_inner).remove(&result.label());
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }
}
