//! A record seen through the dataset's columns: its cells, and what a reject tells of it.

use super::between;
use super::cell;
use super::column::Column;
use super::dataset::Dataset;
use super::dialect::Ragged;
use super::encoding::Encoding;
use super::field::{is_escaped_null, unescaped_bare};
use super::header::{ABSENT, Binding, ExtraFields};
use super::limits;
use super::malformed::character_of_fault;
use super::payload::Payload;
use super::reject::{CellError, Code, Reject, RowError, shown};
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
    cells.check_form(record, errors);
    if record.broken.is_some() {
        return;
    }
    let dataset = cells.dataset;
    let columns = i16::try_from(dataset.columns.len()).unwrap_or(i16::MAX);
    buffer.extend_from_slice(&columns.to_be_bytes());
    cells.encode(buffer, scratch, errors);
    if !dataset.rules.is_empty() {
        between::check(&dataset.rules, cells, scratch, errors);
    }
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
    pub(super) fn check_form(&self, record: Record, errors: &mut Vec<RowError>) {
        if record.broken.is_some() || self.fields.len() != self.binding.names.len() {
            errors.extend(self.wrong_form(record));
        }
    }

    /// What is wrong with a record as a whole. Missing fields are told by the columns that miss them, where there are any.
    #[cold]
    fn wrong_form(&self, record: Record) -> Option<RowError> {
        let Self { fields, binding, dataset, .. } = *self;
        let of_the_whole = |code, message: String| Some(RowError { column: None, code, message });
        if let Some(code) = record.broken {
            let line_end = &self.marks.line_end;
            let at = character_of_fault(&self.window[..record.content], self.marks);
            let at = at.map_or_else(String::new, |at| format!(" at character {at}"));
            return of_the_whole(
                code,
                match code {
                    Code::UnclosedQuote => format!("a quote is opened{at} and not closed"),
                    Code::StrayLineEnd => format!(
                        "the record has a line end other than {line_end}, which ends the file's records: quote a field \
                         that holds one"
                    ),
                    Code::StrayEscape => format!("an escape stands{at} before something that needs none: double it"),
                    _ => {
                        format!("a quote stands{at} where none may: quote the whole field and double the quotes in it")
                    }
                },
            );
        }
        let beyond = fields.get(binding.names.len()..).unwrap_or_default();
        if !beyond.is_empty() {
            let is_allowed = dataset.dialect.extra_fields == ExtraFields::Empty;
            if is_allowed && beyond.iter().all(|field| field.start == field.end) {
                return None;
            }
            return of_the_whole(Code::ExtraField, count_of(fields.len(), binding, dataset.ours));
        }
        let is_missed = binding.fields.iter().any(|at| *at != ABSENT && *at >= fields.len());
        if is_missed || dataset.dialect.ragged == Ragged::Pad {
            return None;
        }
        of_the_whole(Code::MissingField, count_of(fields.len(), binding, dataset.ours))
    }

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
        match field.form {
            Form::Bare => {}
            Form::Quoted | Form::Escaped => {
                let value = text(self.window, field, self.marks, scratch);
                return (!column.null_quoted || !self.nulls.holds(value)).then_some(value);
            }
            Form::BareEscaped => return self.escaped_value(field, scratch),
        }
        let value = self.bare(field);
        (!self.nulls.holds(value)).then_some(value)
    }

    /// What stands in a field without quotes.
    #[inline]
    fn bare(&self, field: Field) -> &[u8] {
        let value = &self.window[field.start..field.end];
        if self.dataset.dialect.trim { trim(value) } else { value }
    }

    /// Nulls and blanks are looked for in what stands in the file, before escapes mean anything.
    #[inline(never)]
    fn escaped_value<'b>(&self, field: Field, scratch: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let value = self.bare(field);
        let is_null = is_escaped_null(value) || self.nulls.holds(value);
        (!is_null).then(|| unescaped_bare(value, self.marks, scratch))
    }

    /// Whether no field of the customer's has a value: the record is nothing but delimiters.
    #[inline]
    pub(super) fn are_empty(&self) -> bool {
        let ours = &self.binding.fields[..self.dataset.ours];
        let is_quoted_null = |field: &Field| self.dataset.dialect.null_quoted && field.start == field.end;
        let is_empty = |field: &Field| match field.form {
            Form::Bare => self.bare(*field).is_empty(),
            Form::Quoted => is_quoted_null(field),
            Form::Escaped | Form::BareEscaped => false,
        };
        self.fields.iter().enumerate().all(|(place, field)| is_empty(field) || ours.contains(&place))
    }
}
