//! Recognizes a record that repeats the file's header, as files that were put together have it.

use super::dataset::Dataset;
use super::dialect::RepeatedHeader;
use super::header::Binding;
use super::split::{Field, Marks, Record, text};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The records of a header.
#[derive(Debug)]
pub(super) struct HeaderRecords {
    records: Vec<Vec<Vec<u8>>>,
    /// Whether one of them, or of the ways to write it, begins with the byte of this number.
    begins: [bool; 256],
    quote: Option<u8>,
    /// A field that the file's sender did not write.
    ours: Option<usize>,
}

impl HeaderRecords {
    /// The records of a file's header, or of the names that it should have; `None` if they may be repeated.
    pub(super) fn new(dataset: &Dataset, binding: &Binding, heading: &[Vec<String>], marks: &Marks) -> Option<Self> {
        if dataset.dialect.repeated_header == RepeatedHeader::Load {
            return None;
        }
        let names = std::slice::from_ref(&binding.names);
        let records = if heading.is_empty() { names } else { heading };
        let bytes = |record: &Vec<String>| record.iter().map(|name| name.clone().into_bytes()).collect();
        let has_names = |record: &&Vec<String>| record.iter().any(|name| !name.trim().is_empty());
        let records: Vec<Vec<Vec<u8>>> = records.iter().filter(has_names).map(bytes).collect();
        let ours = (dataset.ours > 0).then(|| binding.fields[0]);
        let mut begins = [ours.is_some(); 256];
        let firsts = records.iter().filter_map(|record| record[0].first());
        for byte in firsts.chain(&marks.quote).chain(marks.delimiter.first()).chain(&BYTE_ORDER_MARK[..1]) {
            begins[usize::from(*byte)] = true;
        }
        Some(Self { records, begins, quote: marks.quote, ours })
    }

    /// Whether a record that begins so may be one of them.
    #[inline]
    pub(super) fn may_be(&self, window: &[u8]) -> bool {
        let within = usize::from(Some(window[0]) == self.quote);
        self.begins[usize::from(*window.get(within).unwrap_or(&window[0]))]
    }

    /// Whether the record is one of them: has the same texts in the same order. Each of several files that were put
    /// together may have had a byte order mark.
    #[inline(never)]
    pub(super) fn contains(&self, record: Record, window: &[u8], fields: &[Field], marks: &Marks) -> bool {
        let mut scratch = Vec::new();
        let is_marked = window.starts_with(BYTE_ORDER_MARK);
        if record.broken.is_some() && !is_marked {
            return false;
        }
        let mut is_same = |(i, (field, name)): (usize, (&Field, &Vec<u8>))| {
            let text = text(window, *field, marks, &mut scratch);
            let text = text.strip_prefix(BYTE_ORDER_MARK).filter(|_| i == 0 && is_marked).unwrap_or(text);
            // A quote behind the mark is not the first character of the record.
            let quote = marks.quote.as_slice();
            let unquoted = || text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
            self.ours == Some(i) || text == name || (record.broken.is_some() && unquoted() == Some(name))
        };
        self.records
            .iter()
            .any(|record| record.len() == fields.len() && fields.iter().zip(record).enumerate().all(&mut is_same))
    }
}
