//! Holds the last lines of a file back, which are no rows whatever stands on them.

use super::line_end::LineEnd;
use crate::fault;
use std::collections::VecDeque;

/// The last lines of the text seen so far.
#[derive(Debug)]
pub(super) struct Footer {
    lines: usize,
    /// The most bytes they may have together: nothing grows with the file.
    bound: u64,
    /// Where the last lines begin, `lines` of them at most.
    starts: VecDeque<u64>,
    seen: u64,
    line_end: LineEnd,
    /// The last bytes seen, if they may be the beginning of a line end.
    unfinished: Vec<u8>,
    /// Whether the next byte begins a line.
    is_line_start: bool,
}

impl Footer {
    /// The last `lines` lines; none where there are to be none.
    pub(super) fn new(lines: u32, bound: usize, line_end: LineEnd) -> Option<Self> {
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        (lines > 0).then(|| Self {
            lines,
            bound: bound as u64,
            starts: VecDeque::new(),
            seen: 0,
            line_end,
            unfinished: Vec::new(),
            is_line_start: true,
        })
    }

    /// How many of the last bytes are to be held back, now that `piece` was read behind the others.
    ///
    /// # Errors
    /// A data fault at the end, where the last lines are longer than the bound.
    pub(super) fn hold(&mut self, piece: &[u8], at_end: bool) -> anyhow::Result<usize> {
        self.see(piece);
        let held = self.starts.front().map_or(0, |start| self.seen - start);
        if at_end && held > self.bound {
            let (lines, bound) = (self.lines, self.bound);
            return Err(fault::data(format!(
                "the last {lines} lines, which dialect.footer_lines skips, have {held} bytes; \
                 dialect.max_record_bytes allows {bound}"
            )));
        }
        // A footer that begins with a line from which it is already too long is refused at the end, however the text
        // goes on. So that line may be shown.
        let starts = self.starts.iter().map(|start| self.seen - start);
        let held = starts.into_iter().find(|held| *held <= self.bound).unwrap_or(0);
        Ok(usize::try_from(held).unwrap_or(usize::MAX))
    }

    fn see(&mut self, piece: &[u8]) {
        let mut text = std::mem::take(&mut self.unfinished);
        let mut offset = self.seen - text.len() as u64;
        text.extend_from_slice(piece);
        self.seen += piece.len() as u64;
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            if self.is_line_start {
                self.begin(offset);
            }
            self.is_line_start = false;
            let Some((_, length)) = self.line_end.find(rest, false) else { break };
            self.is_line_start = true;
            offset += length as u64;
            rest = &rest[length..];
        }
        self.unfinished = rest[rest.len() - self.line_end.unfinished(rest)..].to_vec();
    }

    fn begin(&mut self, offset: u64) {
        if self.starts.len() == self.lines {
            self.starts.pop_front();
        }
        self.starts.push_back(offset);
    }
}
