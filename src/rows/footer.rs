//! Holds the last lines of a file back, which are no rows whatever stands on them.

use crate::fault;
use memchr::memchr2;
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
    last: Last,
}

/// What the text seen so far ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    LineEnd,
    CarriageReturn,
    Inside,
}

impl Footer {
    /// The last `lines` lines; none where there are to be none.
    pub(super) fn of(lines: u32, bound: usize) -> Option<Self> {
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        (lines > 0).then(|| Self { lines, bound: bound as u64, starts: VecDeque::new(), seen: 0, last: Last::LineEnd })
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
        let mut rest = piece;
        while let Some(first) = rest.first() {
            let goes_on = self.last == Last::Inside || (self.last == Last::CarriageReturn && *first == b'\n');
            if !goes_on {
                self.begin(self.seen + (piece.len() - rest.len()) as u64);
            }
            let found = memchr2(b'\n', b'\r', rest);
            self.last = match found.map(|at| rest[at]) {
                None => Last::Inside,
                Some(b'\r') => Last::CarriageReturn,
                Some(_) => Last::LineEnd,
            };
            rest = found.map_or(&[], |at| &rest[at + 1..]);
        }
        self.seen += piece.len() as u64;
    }

    fn begin(&mut self, offset: u64) {
        if self.starts.len() == self.lines {
            self.starts.pop_front();
        }
        self.starts.push_back(offset);
    }
}
