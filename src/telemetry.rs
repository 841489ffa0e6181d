//! Logs: readable lines on a terminal, one JSON object a line otherwise; always on stderr.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Takes the place of stderr, so that lines don't run into progress bars.
pub type Suspend = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// Starts logging; `directives` say what of which room, as in `info,sqlx=warn`.
pub fn start(directives: &str, suspend: Suspend) {
    let filter = EnvFilter::new(directives);
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
