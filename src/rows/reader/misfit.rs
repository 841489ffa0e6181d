//! Explains a header that does not fit its dataset by what the file looks like.

use super::Reader;
use crate::rows::column::Kind;
use crate::rows::encoding::{Decoding, Encoding};
use crate::rows::foreign::{self, SIGHT};
use crate::rows::header::{Misfit, bind, by_position, count_known};
use crate::rows::malformed::character_of_fault;
use crate::rows::record::Cells;
use crate::rows::reject::{Code, readable, shown};
use crate::rows::sink::Sink;
use crate::rows::split::{Marks, Record, Split, Splitter, text};
use bytes::BytesMut;

/// Delimiters that files are often written with.
const DELIMITERS: [&str; 10] = [";", ",", "\t", "|", "||", ":", "^", "~", "\u{1}", "\u{1f}"];

/// How many records behind the first are looked at for a header.
const LOOKED_AT: usize = 20;

/// How many bytes behind a header are read before it is judged.
pub(super) const HEADER_SIGHT: usize = 64 * 1024;

impl<S: Sink> Reader<'_, '_, S> {
    /// What is wrong with a header whose quotes are broken, or that has a line end which is not the file's.
    pub(super) fn broken_header(&self, record: Record, code: Code) -> String {
        let header = &self.window.bytes()[..record.content];
        if let Some(described) = self.described().or_else(|| self.other_delimiter(header, 0)) {
            return described;
        }
        if code == Code::StrayLineEnd {
            let line_end = &self.splitter.marks().line_end;
            return format!("the header has a line end other than {line_end} (dialect.line_end): {}", shown(header));
        }
        let at = character_of_fault(header, self.splitter.marks());
        let at = at.map_or_else(String::new, |at| format!(" at character {at}"));
        format!("the header's quotes are broken{at}: {}", shown(header))
    }

    /// What is wrong with a header that does not fit, and what the file looks like.
    pub(super) fn wrong_header(&self, record: Record, misfit: &Misfit) -> String {
        if let Some(described) = self.described() {
            return described;
        }
        let header = &self.window.bytes()[..record.content];
        let known = count_known(&self.dataset.columns, &misfit.names);
        let hint = self
            .other_delimiter(header, known)
            .or_else(|| self.other_encoding(header))
            .or_else(|| self.other_quote(&misfit.names, known))
            .or_else(|| self.header_below(record))
            .or_else(|| self.no_header(record, known));
        hint.map_or_else(|| misfit.message.clone(), |hint| format!("{}; {hint}", misfit.message))
    }

    /// What the file is if its first bytes tell that it is no delimited text.
    pub(super) fn described(&self) -> Option<String> {
        let window = self.window.bytes();
        foreign::describe(&self.window.encoding.delivered(&window[..window.len().min(SIGHT)]))
    }

    /// Another delimiter by which more of the columns are found, or as many fields as there are columns.
    fn other_delimiter(&self, header: &[u8], known: usize) -> Option<String> {
        let dialect = &self.dataset.dialect;
        let columns = &self.dataset.columns;
        let split = |delimiter: &'static str| {
            let marks = Marks { delimiter: delimiter.as_bytes().to_vec(), ..self.splitter.marks().clone() };
            let names = names_of(header, marks)?;
            let found = count_known(columns, &names);
            let is_likely =
                found > known || (found == known && self.is_one_field(header) && names.len() == columns.len());
            (names.len() > 1 && is_likely).then_some((found, names.len(), delimiter))
        };
        let others = DELIMITERS.iter().filter(|delimiter| **delimiter != dialect.delimiter);
        let (_, fields, delimiter) = others.filter_map(|delimiter| split(delimiter)).max()?;
        let of_dataset = &dialect.delimiter;
        Some(format!(
            "these {fields} fields are separated by {delimiter:?}, the dataset expects {of_dataset:?} (dialect.delimiter)"
        ))
    }

    fn is_one_field(&self, header: &[u8]) -> bool {
        names_of(header, self.splitter.marks().clone()).is_none_or(|names| names.len() == 1)
    }

    /// Another encoding that the header's bytes speak for.
    fn other_encoding(&self, header: &[u8]) -> Option<String> {
        let encoding = self.window.encoding;
        let bytes = encoding.delivered(header);
        match (encoding, std::str::from_utf8(&bytes)) {
            (Encoding::Utf8, Err(error)) => {
                let at = error.valid_up_to();
                let mut decoded = Vec::new();
                Decoding::new(Encoding::Windows1252).decode(&bytes, &mut decoded);
                let names = names_of(&decoded, self.splitter.marks().clone())?;
                let columns = &self.dataset.columns;
                let is_it = bind(columns, self.dataset.ours, names, self.dataset.dialect.header_rules()).is_ok();
                let (byte, place) = (bytes[at], at + 1);
                Some(if is_it {
                    format!(
                        "the header is not UTF-8 (0x{byte:02X} at byte {place}) and fits as windows-1252; set \
                         dialect.encoding = \"windows-1252\""
                    )
                } else {
                    format!("the header is not UTF-8 (0x{byte:02X} at byte {place}); is dialect.encoding right?")
                })
            }
            (Encoding::Latin1 | Encoding::Windows1252, Ok(text)) if !text.is_ascii() => {
                Some("the header's bytes are UTF-8; set dialect.encoding = \"utf-8\"".to_owned())
            }
            _ => None,
        }
    }

    /// Quotes that stand around the names and are none in the dataset.
    fn other_quote(&self, names: &[String], known: usize) -> Option<String> {
        let is_found = |quote: &&char| {
            let unquoted = |name: &String| name.trim().trim_matches(**quote).to_owned();
            count_known(&self.dataset.columns, &names.iter().map(unquoted).collect::<Vec<_>>()) > known
        };
        let quote = ['"', '\'', '`'].iter().find(is_found)?;
        let of_dataset = &self.dataset.dialect.quote;
        Some(format!("the names stand in {quote} quotes, and dialect.quote is {of_dataset:?}"))
    }

    /// A header that one of the next lines is.
    fn header_below(&self, record: Record) -> Option<String> {
        let dialect = &self.dataset.dialect;
        if dialect.header_lines > 1 {
            return None;
        }
        let mut splitter = Splitter::new(self.splitter.marks().clone());
        let (behind, mut line) = (&self.window.bytes()[record.length..], self.line + record.lines);
        let mut rest = &behind[..behind.len().min(HEADER_SIGHT)];
        let at_end = self.window.at_end() && rest.len() == behind.len();
        for _ in 0..LOOKED_AT {
            let Split::Record(found) = splitter.split(rest, at_end, false) else { return None };
            let names = names_in(&splitter, rest);
            if bind(&self.dataset.columns, self.dataset.ours, names, dialect.header_rules()).is_ok() {
                return Some(format!("line {line} is a header that fits; set dialect.skip_lines = {}", line - 1));
            }
            rest = &rest[found.length..];
            line += found.lines;
        }
        None
    }

    /// A first record that is a good row already.
    fn no_header(&self, record: Record, known: usize) -> Option<String> {
        let columns = &self.dataset.columns;
        let fields = self.splitter.fields();
        let is_all_text = columns.iter().all(|column| matches!(column.kind, Kind::Text(_)));
        if known > 0 || is_all_text || fields.len() != columns.len() || self.dataset.ours > 0 {
            return None;
        }
        let cells = Cells {
            window: self.window.bytes(),
            fields,
            binding: &by_position(columns),
            marks: self.splitter.marks(),
            encoding: self.window.encoding,
            dataset: self.dataset,
            bytes: record.bytes,
            nulls: &self.nulls,
        };
        let mut errors = Vec::new();
        cells.encode(&mut BytesMut::new(), &mut Vec::new(), &mut errors);
        errors.is_empty().then(|| {
            "this record is a good row by position; if the file has no header, set dialect.header = \"none\"".to_owned()
        })
    }
}

/// The names in a header that is written with these marks; `None` where they do not fit.
fn names_of(header: &[u8], marks: Marks) -> Option<Vec<String>> {
    let mut splitter = Splitter::new(marks);
    match splitter.split(header, true, false) {
        Split::Record(record) if record.broken.is_none() => Some(names_in(&splitter, header)),
        _ => None,
    }
}

fn names_in(splitter: &Splitter, window: &[u8]) -> Vec<String> {
    let mut scratch = Vec::new();
    let name = |field| readable(text(window, field, splitter.marks(), &mut scratch)).into_owned();
    splitter.fields().iter().copied().map(name).collect()
}
