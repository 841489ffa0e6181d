//! What PostgreSQL's pages of 8 kB hold: an index entry takes a third of one at most, a row a whole one. A row that
//! PostgreSQL would refuse for its size is a reject before it is copied.

use super::column::{Column, Kind};
use super::dataset::Dataset;
use super::reject::{Code, RowError, shown};

/// Maximum size of an entry of a btree index, in bytes. PostgreSQL would compress some longer values; which ones depends on
/// its version and settings, so that is not counted on.
const MAX_ENTRY: usize = 2704;

/// The header of an entry, in bytes.
const ENTRY_HEADER: usize = 8;

/// The header of a longer text, in bytes.
const TEXT_HEADER: usize = 4;

/// Maximum size of a row, in bytes, without the values that are stored elsewhere.
const MAX_ROW: usize = 8160;

/// The header of a row, in bytes, without its nulls.
const ROW_HEADER: usize = 23;

/// A value of more bytes is stored elsewhere where its row would be too long.
const MAX_INLINE: usize = 24;

/// The size of what the row keeps of such a value, in bytes.
const POINTER: usize = 18;

/// As many columns fit whatever they hold.
const FEW_COLUMNS: usize = MAX_ROW / (MAX_INLINE + 1);

/// Rejects a row, as it was encoded for COPY but for its number of columns, if it, or a key of the table's indexes in it, is
/// too long.
#[inline]
pub(super) fn check(row: &[u8], dataset: &Dataset, errors: &mut Vec<RowError>) {
    // No value takes more than four bytes more in an index than in the row.
    let greatest = row.len() + 2 * ENTRY_HEADER + 4 * dataset.columns.len();
    if greatest > MAX_ENTRY && (!dataset.indexed.is_empty() || dataset.columns.len() > FEW_COLUMNS) {
        let values = values(row);
        errors.extend(key_too_long(&values, dataset).or_else(|| row_too_long(&values, &dataset.columns)));
    }
}

#[cold]
fn key_too_long(values: &[Option<&[u8]>], dataset: &Dataset) -> Option<RowError> {
    let size = |key: &Vec<usize>| entry_size(key, values, &dataset.columns);
    let key = dataset.indexed.iter().find(|key| size(key) > MAX_ENTRY)?;
    let length = |place: &&usize| values.get(**place).copied().flatten().map_or(0, <[u8]>::len);
    let longest = *key.iter().max_by_key(length)?;
    let names: Vec<&str> = key.iter().map(|place| dataset.columns[*place].name.as_str()).collect();
    let text = values.get(longest).copied().flatten().unwrap_or_default();
    let message = if names.len() == 1 {
        let max = MAX_ENTRY - ENTRY_HEADER - TEXT_HEADER;
        format!("{} has {} bytes; a key of the table has at most {max}", shown(text), text.len())
    } else {
        let (names, size) = (names.join(", "), size(key));
        format!("{} makes the key ({names}) {size} bytes long; a key of the table has at most {MAX_ENTRY}", shown(text))
    };
    Some(RowError { column: Some(dataset.columns[longest].name.to_string()), code: Code::TooLong, message })
}

#[cold]
fn row_too_long(values: &[Option<&[u8]>], columns: &[Column]) -> Option<RowError> {
    let nulls = if values.contains(&None) { columns.len().div_ceil(8) } else { 0 };
    let mut size = (ROW_HEADER + nulls).next_multiple_of(8);
    for (column, value) in columns.iter().zip(values) {
        let Some(value) = value else { continue };
        let stored = Stored::new(&column.kind, value.len());
        size = if stored.size > MAX_INLINE { size + POINTER } else { stored.behind(size) };
    }
    (size.next_multiple_of(8) > MAX_ROW).then(|| RowError {
        column: None,
        code: Code::TooLong,
        message: format!(
            "the row takes {size} bytes in a table's page, which holds {MAX_ROW}: values of at most {MAX_INLINE} bytes are \
             not stored elsewhere"
        ),
    })
}

/// The values of a row; `None` for nulls.
fn values(mut row: &[u8]) -> Vec<Option<&[u8]>> {
    let mut values = Vec::new();
    while let Some((length, rest)) = row.split_first_chunk() {
        // A null has a length below zero, and no bytes.
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, behind) = rest.split_at(length.unwrap_or(0).min(rest.len()));
        values.push(length.map(|_| value));
        row = behind;
    }
    values
}

/// The size of a key's entry in an index, in bytes.
fn entry_size(key: &[usize], values: &[Option<&[u8]>], columns: &[Column]) -> usize {
    let value = |place: &usize| values.get(*place).copied().flatten();
    let has_null = key.iter().any(|place| value(place).is_none());
    let mut size = if has_null { 2 * ENTRY_HEADER } else { ENTRY_HEADER };
    for place in key {
        if let Some(value) = value(place) {
            size = Stored::new(&columns[*place].kind, value.len()).behind(size);
        }
    }
    size.next_multiple_of(8)
}

/// A value as PostgreSQL stores it.
struct Stored {
    /// It begins at a multiple of so many bytes.
    alignment: usize,
    /// In bytes, its header included.
    size: usize,
}

impl Stored {
    /// A value that has `length` bytes in COPY.
    fn new(kind: &Kind, length: usize) -> Self {
        let (alignment, size) = match kind {
            Kind::Integer(_) | Kind::Date(..) => (4, 4),
            Kind::Bigint(_) | Kind::Timestamp(..) => (8, 8),
            Kind::Boolean(_) => (1, 1),
            Kind::Uuid => (1, 16),
            // The head of eight bytes that a numeric has in COPY is stored as two.
            Kind::Numeric { .. } => (1, 1 + length.saturating_sub(6)),
            Kind::Text(_) if length <= 126 => (1, 1 + length),
            Kind::Text(_) => (4, TEXT_HEADER + length),
            // How long a jsonb is can't be told from its text: the shortest there is.
            Kind::Json | Kind::Map => (1, 5),
        };
        Self { alignment, size }
    }

    /// The place behind the value where it begins at `size` or soon after.
    const fn behind(&self, size: usize) -> usize {
        size.next_multiple_of(self.alignment) + self.size
    }
}
