//! Lines that are no records: passed over as they stand, whatever is on them.

use super::super::certificate::Fate;
use super::super::input::Input;
use super::super::line_end::LineEnd;
use super::super::record::{Cells, encode_row};
use super::super::sink::Sink;
use super::super::split::Split;
use super::Reader;
use crate::fault;

impl<S: Sink> Reader<'_, '_, S> {
    /// Passes over the last lines.
    pub(super) fn footer(&mut self, input: &mut Input) -> anyhow::Result<()> {
        let (found, expected) = (self.tally.skipped.trailer, u64::from(self.dataset.dialect.trailer_lines));
        if found < expected {
            let mark = &self.dataset.dialect.trailer;
            return Err(fault::data(format!(
                "the rows end with {found} lines that begin with {mark:?}, and dialect.trailer_lines is {expected}: the \
                 file was cut off, or dialect.trailer is not what its trailer begins with"
            )));
        }
        self.window.show_footer();
        while !self.window.bytes().is_empty() {
            self.pass_line(Fate::Footer, input)?;
        }
        self.end_mark();
        Ok(())
    }

    /// Passes over the Ctrl-Z bytes that end the file.
    fn end_mark(&mut self) {
        self.window.show_end_marks();
        let length = self.window.bytes().len();
        if length > 0 {
            self.tally.found();
            self.pass(Fate::EndMark, length);
        }
    }

    /// What becomes of the line the window begins with, where its mark says that it is no record.
    pub(super) fn marked_line(&mut self, input: &mut Input) -> anyhow::Result<Option<Fate>> {
        while self.window.bytes().len() < self.marked && !self.window.at_end() {
            self.window.fill(input)?;
        }
        let dialect = &self.dataset.dialect;
        if begins(self.window.bytes(), &dialect.comment) {
            return Ok(Some(Fate::Comment));
        }
        let may_be_trailer = self.window.offset >= self.rows_until && begins(self.window.bytes(), &dialect.trailer);
        Ok((may_be_trailer && self.is_trailer(input)?).then_some(Fate::Trailer))
    }

    /// Whether no row follows the line that begins like a trailer. It and what follows must fit into the bound on a
    /// record's size: what begins so further from the end is a row.
    fn is_trailer(&mut self, input: &mut Input) -> anyhow::Result<bool> {
        let dialect = &self.dataset.dialect;
        let (mut from, mut trailers) = (0, Vec::new());
        loop {
            let text = self.window.bytes();
            let clipped = &text[..text.len().min(self.max_record)];
            let at_end = self.window.at_end() && clipped.len() == text.len();
            let rest = &clipped[from..];
            if rest.is_empty() && at_end {
                break;
            }
            let is_shown = at_end || rest.len() >= self.marked;
            match self.skipped_end.find(rest, at_end).filter(|_| is_shown) {
                Some((content, length)) => {
                    let is_trailer = begins(rest, &dialect.trailer);
                    if content > 0 && !is_trailer && !begins(rest, &dialect.comment) {
                        self.rows_until = self.window.offset + self.window.delivered_length(from);
                        return Ok(false);
                    }
                    trailers.extend(is_trailer.then_some(from));
                    from += length;
                }
                None if clipped.len() == self.max_record => {
                    // At least this line.
                    self.rows_until = self.window.offset + self.window.delivered_length(from).max(1);
                    return Ok(false);
                }
                None => self.window.fill(input)?,
            }
        }
        let expected = dialect.trailer_lines as usize;
        if expected > 0 && trailers.len() > expected {
            let first = trailers[trailers.len() - expected];
            self.rows_until = self.window.offset + self.window.delivered_length(first);
            return Ok(false);
        }
        Ok(true)
    }

    /// Passes over a line as it stands, however long it is.
    pub(super) fn pass_line(&mut self, fate: Fate, input: &mut Input) -> anyhow::Result<()> {
        let (offset, line) = (self.window.offset, self.line);
        let ends_rows = matches!(fate, Fate::Trailer | Fate::Footer);
        if ends_rows {
            if self.reads_as_row() {
                self.suspects.skip(fate, line);
            }
            self.trailers.begin(line);
        }
        let line_end = self.skipped_end.clone();
        self.pass_to(&line_end, input)?;
        self.trailers.end();
        let length = self.window.offset - offset;
        if length > 0 {
            self.tally.found();
            self.tally.cover(fate, offset, length);
        }
        Ok(())
    }

    /// Whether the line that the window begins with would be a good row.
    fn reads_as_row(&mut self) -> bool {
        let Some(binding) = &self.binding else { return false };
        let window = self.window.bytes();
        let Some((content @ 1.., _)) = self.skipped_end.find(window, true) else { return false };
        let window = &window[..content];
        let Split::Record(record) = self.splitter.split(window, true, true) else { return false };
        let (buffer, mut errors) = (self.sink.buffer(), Vec::new());
        let row_start = buffer.len();
        let cells = Cells {
            window,
            fields: self.splitter.fields(),
            binding,
            marks: self.splitter.marks(),
            encoding: self.window.encoding,
            dataset: self.dataset,
            bytes: record.bytes,
            nulls: &self.nulls,
        };
        encode_row(record, &cells, buffer, &mut self.scratch, &mut errors);
        buffer.truncate(row_start);
        errors.is_empty() && record.length == content
    }

    /// Goes on behind the next line end.
    pub(super) fn pass_to(&mut self, line_end: &LineEnd, input: &mut Input) -> anyhow::Result<()> {
        loop {
            let text = self.window.bytes();
            if let Some((content, length)) = line_end.find(text, self.window.at_end()) {
                self.line += line_end.count(&text[..length]);
                self.trailers.pass(&text[..content]);
                self.window.advance(length);
                return Ok(());
            }
            let passed = text.len() - line_end.unfinished(text);
            self.line += line_end.count(&text[..passed]);
            self.trailers.pass(&text[..passed]);
            self.window.advance(passed);
            self.window.fill(input)?;
        }
    }
}

fn begins(text: &[u8], mark: &str) -> bool {
    !mark.is_empty() && text.starts_with(mark.as_bytes())
}
