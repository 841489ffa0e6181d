//! Keeps the text of trailer lines while a file is read, so that what they state can be compared.

use super::reject::readable;

/// So many lines are kept; files have one or two.
const MOST_LINES: usize = 32;

/// So many bytes of each.
const MOST_BYTES: usize = 8 * 1024;

/// A trailer line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailerLine {
    /// Its number, from 1.
    pub line: u64,
    /// Its text, without the line's end.
    pub text: String,
}

/// The trailer lines met so far.
#[derive(Debug, Default)]
pub(super) struct Trailers {
    lines: Vec<TrailerLine>,
    /// The one that is being read.
    open: Option<(u64, Vec<u8>)>,
}

impl Trailers {
    /// A trailer line begins.
    pub(super) fn begin(&mut self, line: u64) {
        self.open = (self.lines.len() < MOST_LINES).then(|| (line, Vec::new()));
    }

    /// Bytes of whatever line is passed over.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        if let Some((_, text)) = &mut self.open {
            let room = MOST_BYTES - text.len();
            text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// The line is over.
    pub(super) fn end(&mut self) {
        if let Some((line, text)) = self.open.take() {
            let text = readable(text.trim_ascii_end()).into_owned();
            self.lines.push(TrailerLine { line, text });
        }
    }

    /// All of them.
    pub(super) fn lines(self) -> Vec<TrailerLine> {
        self.lines
    }
}
