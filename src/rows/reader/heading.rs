//! The header of a file, record by record.

use super::Reader;
use crate::fault;
use crate::rows::certificate::{Fate, Tally};
use crate::rows::dataset::Dataset;
use crate::rows::dialect::EmptyRows;
use crate::rows::header::{bind, joined};
use crate::rows::reject::readable;
use crate::rows::sink::Sink;
use crate::rows::split::{Form, Record, text};

impl<S: Sink> Reader<'_, '_, S> {
    /// Takes in a record of the header; the last one tells where the columns are.
    pub(super) fn head(&mut self, record: Record) -> anyhow::Result<Fate> {
        if self.heading.is_empty() && self.dataset.dialect.empty_rows == EmptyRows::Skip && self.is_empty(record) {
            return Ok(Fate::EmptyRow);
        }
        if let Some(code) = record.broken {
            return Err(fault::data(format!("line {}: {}", self.line, self.broken_header(record, code))));
        }
        let (window, marks) = (self.window.bytes(), self.splitter.marks());
        let names: Vec<String> = self
            .splitter
            .fields()
            .iter()
            .map(|f| readable(text(window, *f, marks, &mut self.scratch)).into_owned())
            .collect();
        self.heading.push(names);
        self.layout.header.push(self.window.encoding.delivered(&window[..record.length]).into_owned());
        if self.heading.len() < self.dataset.dialect.header_lines as usize {
            return Ok(Fate::Header);
        }
        let names = if self.heading.len() > 1 { joined(&self.heading) } else { self.heading[0].clone() };
        let rules = self.dataset.dialect.header_rules();
        match bind(&self.dataset.columns, self.dataset.ours, names, rules) {
            Ok(binding) => self.binding = Some(binding),
            Err(misfit) => {
                return Err(fault::data(format!("line {}: {}", self.line, self.wrong_header(record, &misfit))));
            }
        }
        Ok(Fate::Header)
    }

    /// Whether a record before the header is nothing but delimiters.
    fn is_empty(&self, record: Record) -> bool {
        let trim = self.dataset.dialect.trim;
        let is_blank = |text: &[u8]| text.is_empty() || (trim && text.trim_ascii().is_empty());
        let is_empty = |form: Form, text: &[u8]| form == Form::Bare && is_blank(text);
        let fields = self.splitter.fields();
        record.broken.is_none() && fields.iter().all(|f| is_empty(f.form, &self.window.bytes()[f.start..f.end]))
    }
}

/// Why a file that ended has no header.
pub(super) fn no_header(path: &str, heading: usize, tally: &Tally, dataset: &Dataset) -> anyhow::Error {
    let skipped = &tally.skipped;
    fault::data(match heading {
        0 if tally.records == skipped.blank + skipped.end_mark => format!("{path} holds no header, only blank lines"),
        0 => format!(
            "{path} holds no header: of its {} lines {} are passed over before it (skip_lines), {} behind the rows \
             (footer_lines, trailer), {} are comments and {} blank",
            tally.records,
            skipped.preamble,
            skipped.footer + skipped.trailer,
            skipped.comment,
            skipped.blank
        ),
        n => format!("{path} ends within its header: {n} of {} lines are there", dataset.dialect.header_lines),
    })
}
