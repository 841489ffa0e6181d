//! Logs: readable lines on a terminal, one JSON object a line otherwise; always on stderr.
//!
//! A daemon's lines are written by a thread of their own, behind a bounded queue: who reads them, or does not, must not
//! keep the daemon from its work. Lines for which the queue has no place are dropped and counted.

use crate::escape;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Takes the place of stderr, so that lines don't run into progress bars.
pub type Suspend = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// How many lines of a daemon wait to be written at most.
const QUEUE_LINES: usize = 8192;

/// How often a daemon looks whether lines were dropped.
const DROPS: Duration = Duration::from_secs(5);

/// A daemon's log. When it is dropped the lines that wait are written, for which a second is left.
pub struct DaemonLog {
    dropped: ErrorCounter,
    _writing: WorkerGuard,
}

impl DaemonLog {
    /// Starts a daemon's log, also of its panics.
    #[must_use]
    pub fn start(directives: &str) -> Self {
        let queue = NonBlockingBuilder::default().buffered_lines_limit(QUEUE_LINES).thread_name("log");
        let (queue, writing) = queue.finish(std::io::stderr());
        let dropped = queue.error_counter();
        start_with(directives, Output::Queue(queue));
        std::panic::set_hook(Box::new(|panic| error!("{panic}")));
        Self { dropped, _writing: writing }
    }

    /// Logs how many lines were dropped, in a task of its own.
    pub fn report_drops(&self) {
        let dropped = self.dropped.clone();
        tokio::spawn(async move {
            let mut reported = 0;
            loop {
                tokio::time::sleep(DROPS).await;
                let lines = dropped.dropped_lines();
                if lines > reported {
                    warn!(
                        log.dropped = lines - reported,
                        "{} log lines were dropped: stderr is not read fast enough",
                        lines - reported
                    );
                    reported = lines;
                }
            }
        });
    }
}

/// Starts logging; `directives` say what of which room, as in `info,sqlx=warn`.
pub fn start(directives: &str, suspend: Suspend) {
    start_with(directives, Output::Stderr(suspend));
}

fn start_with(directives: &str, output: Output) {
    let filter = EnvFilter::new(directives);
    let is_terminal = std::io::stderr().is_terminal();
    let writer = Lines { output, form: if is_terminal { Form::Line } else { Form::Json } };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = if is_terminal {
        builder.with_target(false).compact().try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    };
    if started.is_err() {
        eprintln!("logging was started twice; the first one stays");
    }
}

/// How an event is written.
#[derive(Clone, Copy)]
enum Form {
    Line,
    Json,
}

/// Where events are written.
#[derive(Clone)]
enum Output {
    Stderr(Suspend),
    Queue(NonBlocking),
}

#[derive(Clone)]
struct Lines {
    output: Output,
    form: Form,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { output: self.output.clone(), form: self.form, text: Vec::new() }
    }
}

/// One event; written as a whole when it is complete.
struct Line {
    output: Output,
    form: Form,
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
        let text = String::from_utf8_lossy(&self.text);
        let text = match self.form {
            Form::Line => one_line(&text),
            Form::Json => escape::json(&text).into_owned(),
        };
        // Nobody is left to be told when stderr itself is gone.
        match &mut self.output {
            Output::Stderr(suspend) => suspend(&mut || {
                let _ = std::io::stderr().write_all(text.as_bytes());
            }),
            Output::Queue(queue) => {
                let _ = queue.write_all(text.as_bytes());
            }
        }
    }
}

/// An event with nothing in it that a terminal acts on but its colors and its last line end.
fn one_line(event: &str) -> String {
    let mut line = String::with_capacity(event.len());
    let mut parts = event.strip_suffix('\n').unwrap_or(event).split("\u{1b}[");
    line.push_str(&escape::line(parts.next().unwrap_or_default()));
    for part in parts {
        let color = part.find(|c: char| !c.is_ascii_digit() && c != ';').filter(|end| part[*end..].starts_with('m'));
        match color {
            Some(end) => {
                line.push_str("\u{1b}[");
                line.push_str(&part[..=end]);
                line.push_str(&escape::line(&part[end + 1..]));
            }
            None => line.push_str(&escape::line(&["\u{1b}[", part].concat())),
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_in_which_only_its_colors_act() {
        let event = "\u{1b}[2m12:00\u{1b}[0m \u{1b}[33mWARN\u{1b}[0m a\nerror: forged \u{1b}[2J\u{202e}\n";
        assert_eq!(
            one_line(event),
            "\u{1b}[2m12:00\u{1b}[0m \u{1b}[33mWARN\u{1b}[0m a\\nerror: forged \\u{1b}[2J\\u{202e}\n"
        );
    }
}
