//! Progress bars on a terminal: one for each task under way, gone when it is over.

use crate::engine::task::{Label, RunInfo, TaskResult, Watch, Watching};
use crate::telemetry::Suspend;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The bars of all runs.
#[derive(Debug)]
pub(super) struct Bars {
    multi: MultiProgress,
    bars: Mutex<HashMap<(Uuid, Label), ProgressBar>>,
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
        let style = ProgressStyle::with_template("{spinner} {prefix:36} {bar:30} {pos}/{len} {eta:>4}")
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

    /// Draws the tasks of each run that this process works on.
    pub(super) fn watching(self: &Arc<Self>) -> Watching {
        let bars = Arc::clone(self);
        Arc::new(move |run: &RunInfo| Arc::new(RunBars { bars: Arc::clone(&bars), run: run.clone() }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Uuid, Label), ProgressBar>> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bars of a run.
struct RunBars {
    bars: Arc<Bars>,
    run: RunInfo,
}

impl RunBars {
    fn key(&self, label: &Label) -> (Uuid, Label) {
        (self.run.id, label.clone())
    }
}

impl Watch for RunBars {
    fn started(&self, label: &Label) {
        let style = ProgressStyle::with_template(
            "{spinner} {prefix:36} {bar:30} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let name = format!("{} {label}", self.run.run_date);
        let bar = self.bars.multi.add(ProgressBar::new(0).with_style(style).with_prefix(name));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bars.lock().insert(self.key(label), bar);
    }

    fn progressed(&self, label: &Label, done: u64, total: u64) {
        if let Some(bar) = self.bars.lock().get(&self.key(label)) {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn ended(&self, result: &TaskResult) {
        let bar = self.bars.lock().remove(&self.key(&result.label()));
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }
}
