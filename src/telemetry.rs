//! Logs: readable lines on a terminal, one JSON object a line otherwise; always on stderr.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Takes the place of stderr, so that lines don't run into progress bars.
pub type Suspend = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// What is logged where the variable `RUST_LOG` says nothing. What libraries say of themselves at every start is
/// no news to an operator.
#[derive(Clone, Copy, Debug)]
pub enum Detail {
    /// Everything an operator may want to know.
    Info,
    /// What is alarming and is not in the command's own result, which tells how each task ended.
    Alarms,
}

impl Detail {
    const fn directives(self) -> &'static str {
        match self {
            Self::Info => "info,sqlx=warn,tokio_cron_scheduler=warn",
            Self::Alarms => "warn,bursar::engine=off,bursar::tasks=off",
        }
    }
}

/// Starts logging; `directives` is the variable `RUST_LOG`.
pub fn start(detail: Detail, directives: Option<&str>, suspend: Suspend) {
    let filter = EnvFilter::new(directives.unwrap_or(detail.directives()));
    let writer = Stderr { suspend };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = if std::io::stderr().is_terminal() {
        builder.with_target(false).compact().try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    };
    if started.is_err() {
        eprintln!("logging was started twice; the first one stays");
    }
}

#[derive(Clone)]
struct Stderr {
    suspend: Suspend,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { suspend: Arc::clone(&self.suspend), text: Vec::new() }
    }
}

/// One event; written as a whole when it is complete.
struct Line {
    suspend: Suspend,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        (self.suspend)(&mut || {
            // Nobody is left to be told when stderr itself is gone.
            let _ = std::io::stderr().write_all(&text);
        });
    }
}
