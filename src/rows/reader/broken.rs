//! Records that are rejected for their form alone: too long, or several lines in one.

use super::super::certificate::Fate;
use super::super::dialect::RepeatedHeader;
use super::super::input::Input;
use super::super::payload::Payload;
use super::super::record::describe;
use super::super::reject::{Code, RowError};
use super::super::sink::Sink;
use super::super::split::{Record, Split};
use super::Reader;
use crate::fault;

impl<S: Sink> Reader<'_, '_, S> {
    /// A record without a line end within the size bound: its beginning is kept, its end looked for.
    #[cold]
    pub(super) fn too_long(&mut self, input: &mut Input) -> anyhow::Result<()> {
        // Where a CR or the end of the file lies just at the bound, only what follows tells that the record fits.
        while self.window.bytes().len() == self.max_record && !self.window.at_end() {
            self.window.fill(input)?;
        }
        let line_end = self.splitter.marks().line_end.clone();
        let has_stray = self.splitter.has_stray();
        if let Some((_, length)) = line_end.find(self.window.bytes(), self.window.at_end())
            && length <= self.max_record
            && let Split::Record(record) = self.splitter.split(&self.window.bytes()[..length], true, false)
        {
            return self.record(record, input);
        }
        if self.binding.is_none() {
            let (line, bound) = (self.line, self.max_record);
            let described = self.described().map_or_else(String::new, |described| format!("; {described}"));
            return Err(fault::data(format!(
                "line {line}: no line end within {bound} bytes: this is no header{described}"
            )));
        }
        if has_stray {
            let (line, bound) = (self.line, self.max_record);
            return Err(fault::data(format!(
                "line {line}: the file's records end with {line_end} before it, and the next {bound} bytes have other \
                 line ends only: have the file written with one line end, or set dialect.line_end (\"any\" mixes them)"
            )));
        }
        self.tally.found();
        let (offset, line) = (self.window.offset, self.line);
        let head = self.window.bytes()[..self.max_record].to_vec();
        self.pass_to(&line_end, input)?;
        let length = self.window.offset - offset;
        let message = format!("the record has {length} bytes; dialect.max_record_bytes is {}", self.max_record);
        self.errors.clear();
        self.errors.push(RowError { column: None, code: Code::RecordTooLong, message });
        let Some(binding) = self.binding.as_ref() else {
            return Err(fault::bug("a row before the header"));
        };
        let (encoding, errors) = (self.window.encoding, &mut self.errors);
        let payload = Payload { window: &head, fields: &[], binding, marks: self.splitter.marks() };
        self.sink.rejected(&describe(line, (offset, length), &head, encoding, payload, errors))?;
        self.tally.cover(Fate::Rejected, offset, length);
        Ok(())
    }

    /// Why a record is several lines that should not be one, if it is.
    #[inline]
    pub(super) fn joined_lines(&self, record: Record) -> Option<Code> {
        if record.broken.is_some() {
            return self.reads_as_several(record).then_some(Code::StrayLineEnd);
        }
        let quoted = record.lines - u64::from(record.length > record.content);
        (quoted > self.max_quoted_lines).then_some(Code::QuotedLineEnd)
    }

    /// Whether a broken record of several lines has more fields than one record can have.
    #[cold]
    fn reads_as_several(&self, record: Record) -> bool {
        let names = self.binding.as_ref().map_or(0, |binding| binding.names.len());
        let content = &self.window.bytes()[..record.content];
        self.splitter.fields().len() > names && self.skipped_end.count(content) > 0
    }

    /// Rejects each line of a record that reads as several: their number is that of the rows that are missing, and each
    /// can be corrected by itself.
    #[cold]
    pub(super) fn reject_lines(&mut self, record: Record, code: Code) -> anyhow::Result<()> {
        let why = match code {
            Code::StrayLineEnd => format!("have a line end other than {}", self.splitter.marks().line_end),
            _ => "are joined by quotes, which dialect.multiline = false refuses".to_owned(),
        };
        let lines = self.skipped_end.count(&self.window.bytes()[..record.content]) + 1;
        let first = self.line;
        let mut rest = record.length;
        while rest > 0 {
            let text = &self.window.bytes()[..rest];
            let (content, length) = self.skipped_end.find(text, true).unwrap_or((rest, rest));
            self.splitter.split_plainly(&text[..content]);
            self.tally.found();
            let fate = if content == 0 { Fate::Blank } else { Fate::Rejected };
            if fate == Fate::Rejected {
                let number = self.line - first + 1;
                let message = format!("line {number} of {lines} that {why}: none of them is loaded");
                self.reject_line(length, RowError { column: None, code, message })?;
            }
            self.pass(fate, length);
            self.line += 1;
            rest -= length;
        }
        Ok(())
    }

    /// Skips or rejects a record that repeats the header.
    #[cold]
    pub(super) fn header_again(&mut self, record: Record) -> anyhow::Result<Fate> {
        if self.dataset.dialect.repeated_header == RepeatedHeader::Skip {
            return Ok(Fate::RepeatedHeader);
        }
        let message = "the record repeats the header (dialect.repeated_header)".to_owned();
        self.reject_line(record.length, RowError { column: None, code: Code::RepeatedHeader, message })?;
        Ok(Fate::Rejected)
    }

    fn reject_line(&mut self, length: usize, error: RowError) -> anyhow::Result<()> {
        let Some(binding) = self.binding.as_ref() else {
            return Err(fault::bug("a row before the header"));
        };
        let (window, marks) = (self.window.bytes(), self.splitter.marks());
        let payload = Payload { window, fields: self.splitter.fields(), binding, marks };
        let place = (self.window.offset, self.window.delivered_length(length));
        let (encoding, mut errors) = (self.window.encoding, vec![error]);
        self.sink.rejected(&describe(self.line, place, &window[..length], encoding, payload, &mut errors))
    }
}
