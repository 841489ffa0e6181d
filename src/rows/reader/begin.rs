//! The beginning of a file: its byte order mark, its line ends, its header.

use super::super::certificate::Fate;
use super::super::input::Input;
use super::super::line_end::LineEnd;
use super::super::repeated::HeaderRecords;
use super::super::sink::Sink;
use super::super::split::{Record, Split};
use super::Reader;
use super::misfit::HEADER_SIGHT;

impl<S: Sink> Reader<'_, '_, S> {
    /// Passes over a byte order mark.
    pub(super) fn begin(&mut self, input: &mut Input) -> anyhow::Result<()> {
        while self.window.bytes().len() < 3 && !self.window.at_end() {
            self.window.fill(input)?;
        }
        if self.window.bytes().starts_with(b"\xEF\xBB\xBF") {
            self.layout.mark = self.window.encoding.delivered(&self.window.bytes()[..3]).into_owned();
            self.pass(Fate::ByteOrderMark, 3);
        }
        Ok(())
    }

    /// Takes in the first records: what ends them, and the header. Returns `false` for a row.
    pub(super) fn is_begun_by(&mut self, record: Record, input: &mut Input) -> anyhow::Result<bool> {
        if self.is_undecided {
            let line_end = self.decide(record, input)?;
            self.splitter.set_line_end(line_end);
            self.is_undecided = false;
            // The same bytes may be another record now.
            return Ok(true);
        }
        let is_header = self.binding.is_none();
        if is_header {
            // What a wrong header says of the file must not depend on the size of blocks.
            while self.window.bytes().len() < record.length + HEADER_SIGHT && !self.window.at_end() {
                self.window.fill(input)?;
            }
            let fate = self.head(record)?;
            self.tally.found();
            self.pass(fate, record.length);
            self.line += record.lines;
        }
        self.is_beginning = self.binding.is_none();
        if let Some(binding) = &self.binding {
            self.header = HeaderRecords::new(self.dataset, binding, &self.heading, self.splitter.marks());
        }
        Ok(is_header)
    }

    /// What ends the file's records: the end of the first one. A first row may hold a line end itself; the next
    /// one then ends with CR LF.
    fn decide(&mut self, first: Record, input: &mut Input) -> anyhow::Result<LineEnd> {
        let line_end = LineEnd::from_bytes(&self.window.bytes()[first.content..first.length]);
        if self.binding.is_none() || line_end == LineEnd::CrLf {
            return Ok(line_end);
        }
        let mut from = first.length;
        loop {
            match self.split(from) {
                (Split::Record(record), _) if record.content == 0 => from += record.length,
                (Split::Record(record), _) => {
                    let rest = &self.window.bytes()[from..];
                    let next = LineEnd::from_bytes(&rest[record.content..record.length]);
                    return Ok(if next == LineEnd::CrLf { next } else { line_end });
                }
                (Split::More, false) => self.window.fill(input)?,
                (Split::More, true) | (Split::End, _) => return Ok(line_end),
            }
        }
    }
}
