//! A record seen through the dataset's columns: its cells, and what a reject tells of it.

use super::cell;
use super::column::Column;
use super::dataset::Dataset;
use super::dialect::Ragged;
use super::encoding::Encoding;
use super::header::{ABSENT, Binding};
use super::limits;
use super::payload::Payload;
use super::reject::{CellError, Code, Reject, RowError, shown};
use super::required;
use super::split::{Bytes, Field, Form, Marks, Record, text};
use super::trim::trim;
use bytes::BytesMut;

/// A reject of the record whose place is its offset and length as delivered.
pub(super) fn describe<'a>(
    line: u64,
    (byte_offset, byte_length): (u64, u64),
    text: &'a [u8],
    encoding: Encoding,
    payload: Payload<'a>,
    errors: &mut Vec<RowError>,
) -> Reject<'a> {
    let errors = std::mem::take(errors);
    Reject {
        line,
        byte_offset,
        byte_length,
        raw: encoding.delivered(text),
        text,
        payload,
        error_class: Reject::class_of(&errors),
        errors,
    }
}

/// Checks a record and appends it as a row; where there are errors the caller cuts it off again.
#[inline]
pub(super) fn encode_row(
    record: Record,
    cells: &Cells<'_>,
    buffer: &mut BytesMut,
    scratch: &mut Vec<u8>,
    errors: &mut Vec<RowError>,
) {
    if record.broken.is_some() || cells.fields.len() != cells.binding.names.len() {
        errors.extend(wrong_form(record, cells));
    }
    if record.broken.is_some() {
        return;
    }
    let dataset = cells.dataset;
    let columns = i16::try_from(dataset.columns.len()).unwrap_or(i16::MAX);
    buffer.extend_from_slice(&columns.to_be_bytes());
    cells.encode(buffer, scratch, errors);
    if !dataset.required.is_empty() {
        required::check(&dataset.required, cells, scratch, errors);
    }
}

/// What is wrong with a record as a whole. Missing fields are told by the columns that miss them, where there are any.
#[cold]
fn wrong_form(record: Record, cells: &Cells<'_>) -> Option<RowError> {
    let Cells { fields, marks, binding, dataset, .. } = *cells;
    let of_the_whole = |code, message: String| Some(RowError { column: None, code, message });
    if let Some(code) = record.broken {
        let message = match code {
            Code::UnclosedQuote => "a quote is opened and not closed".to_owned(),
            Code::StrayEscape => "an escape stands before something that needs none: double it".to_owned(),
            Code::StrayLineEnd => format!(
                "the record has a line end other than {}, which ends the file's records: quote a field that holds one",
                marks.line_end
            ),
            _ => "a quote stands where none may: quote the whole field and double the quotes in it".to_owned(),
        };
        return of_the_whole(code, message);
    }
    if fields.len() > binding.names.len() {
        return of_the_whole(Code::ExtraField, count_of(fields.len(), binding, dataset.ours));
    }
    let is_missed = binding.fields.iter().any(|at| *at != ABSENT && *at >= fields.len());
    if is_missed || dataset.dialect.ragged == Ragged::Pad {
        return None;
    }
    of_the_whole(Code::MissingField, count_of(fields.len(), binding, dataset.ours))
}

fn count_of(fields: usize, binding: &Binding, ours: usize) -> String {
    let (fields, names) = (fields.saturating_sub(ours), binding.names.len().saturating_sub(ours));
    format!("the record has {fields} fields, the {} {names}", binding.told_by)
}

/// A record seen through the dataset's columns.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    pub(super) window: &'a [u8],
    pub(super) fields: &'a [Field],
    pub(super) binding: &'a Binding,
    pub(super) marks: &'a Marks,
    pub(super) encoding: Encoding,
    pub(super) dataset: &'a Dataset,
    pub(super) bytes: Bytes,
    pub(super) nulls: &'a Nulls,
}

/// The bare texts that mean null.
#[derive(Debug)]
pub(super) struct Nulls {
    /// Whether nothing at all does.
    nothing: bool,
    words: Vec<Vec<u8>>,
    longest: usize,
}

impl Nulls {
    pub(super) fn of(texts: &[String]) -> Self {
        let words: Vec<Vec<u8>> = texts.iter().filter(|t| !t.is_empty()).map(|t| t.clone().into_bytes()).collect();
        let longest = words.iter().map(Vec::len).max().unwrap_or(0);
        Self { nothing: texts.iter().any(String::is_empty), words, longest }
    }

    /// Most values are told from all of them by their length.
    #[inline]
    fn holds(&self, value: &[u8]) -> bool {
        match value.len() {
            0 => self.nothing,
            n => n <= self.longest && self.words.iter().any(|word| word == value),
        }
    }
}

impl Cells<'_> {
    #[inline]
    pub(super) fn encode(&self, buffer: &mut BytesMut, scratch: &mut Vec<u8>, errors: &mut Vec<RowError>) {
        let start = buffer.len();
        for (column, at) in self.dataset.columns.iter().zip(&self.binding.fields) {
            let value = match self.fields.get(*at) {
                Some(field) => self.value(*field, column, scratch),
                None if self.dataset.dialect.ragged == Ragged::Pad || *at == ABSENT => None,
                None => {
                    errors.push(self.missing(column));
                    continue;
                }
            };
            let result = match (value, &column.blank) {
                (Some(value), _) => cell::encode(&column.kind, value, self.bytes, buffer),
                (None, Some(blank)) => {
                    buffer.extend_from_slice(&blank.encoded);
                    Ok(())
                }
                (None, None) if column.nullable => {
                    cell::encode_null(buffer);
                    Ok(())
                }
                (None, None) => Err(CellError { code: Code::Null, message: "there is no value".to_owned() }),
            };
            if let Err(error) = result {
                errors.push(self.refused(column, error, value.unwrap_or_default()));
            }
        }
        if errors.is_empty() {
            limits::check(&buffer[start..], self.dataset, errors);
        }
    }

    #[cold]
    fn missing(&self, column: &Column) -> RowError {
        let message = count_of(self.fields.len(), self.binding, self.dataset.ours);
        RowError { column: Some(column.name.to_string()), code: Code::MissingField, message }
    }

    /// What is no UTF-8 after decoding was no UTF-16 before.
    #[cold]
    fn refused(&self, column: &Column, error: CellError, value: &[u8]) -> RowError {
        let CellError { mut code, mut message } = error;
        if code == Code::InvalidUtf8 && self.encoding != Encoding::Utf8 {
            code = Code::InvalidUtf16;
            message = format!("{} is not UTF-16: half of a character stands alone", shown(value));
        }
        RowError { column: Some(column.name.to_string()), code, message }
    }

    /// The text of the dataset's column `index`, or what a null stands for in it; none for a null that is kept.
    pub(super) fn text_of<'b>(&'b self, index: usize, scratch: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let column = &self.dataset.columns[index];
        let value = self.fields.get(self.binding.fields[index]).and_then(|field| self.value(*field, column, scratch));
        value.or_else(|| Some(column.blank.as_ref()?.text.as_slice()))
    }

    /// The cell's text, or none when it means null: a bare text can, and one in quotes where the column says so.
    #[expect(clippy::inline_always, reason = "of nearly every cell it is two comparisons, less than a call")]
    #[inline(always)]
    pub(super) fn value<'b>(&'b self, field: Field, column: &Column, scratch: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        if field.form != Form::Bare {
            let value = text(self.window, field, self.marks, scratch);
            return (!column.null_quoted || !self.nulls.holds(value)).then_some(value);
        }
        let value = &self.window[field.start..field.end];
        let value = if self.dataset.dialect.trim { trim(value) } else { value };
        (!self.nulls.holds(value)).then_some(value)
    }
}
