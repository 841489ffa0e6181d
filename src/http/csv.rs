//! Lists as CSV (RFC 4180): the columns are the members of an item, in their order.
//!
//! People open these files in spreadsheets, which run a text that begins like a formula. Such a text gets a leading
//! `'`; what is declared as a number, an amount or a date is left as it is.

use crate::fault;
use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Schema, SchemaFormat};
use utoipa::openapi::{KnownFormat, RefOr};

/// A column of a CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    /// Whether its cells could be taken for formulas.
    is_free_text: bool,
}

/// Writes items as CSV, with a header.
///
/// # Errors
/// A bug fault where items are no objects.
pub(super) fn write<T: Serialize + ToSchema>(items: &[T]) -> anyhow::Result<Vec<u8>> {
    let columns = columns::<T>();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let context = "write an answer as CSV";
    writer.write_record(columns.iter().map(|column| &column.name)).context(context)?;
    for item in items {
        let Value::Object(members) = serde_json::to_value(item).context(context)? else {
            return Err(fault::bug("an item of a list is no object"));
        };
        writer.write_record(columns.iter().map(|column| column.cell(&members))).context(context)?;
    }
    writer.into_inner().map_err(|error| fault::bug(format!("{context}: {error}")))
}

impl Column {
    fn cell(&self, members: &Map<String, Value>) -> String {
        match members.get(&self.name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if self.is_free_text => harmless(text),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

/// The text, with a `'` before it where a spreadsheet would take it for a formula.
pub(super) fn harmless(text: &str) -> String {
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{3000}', '\u{feff}']).chars().next();
    let is_formula = first.is_some_and(|c| "=+-@\t\r\n＝＋－＠".contains(c));
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

/// The members of an item, as its schema declares them.
fn columns<T: ToSchema>() -> Vec<Column> {
    let RefOr::T(Schema::Object(item)) = T::schema() else { return Vec::new() };
    let column =
        |(name, schema): (&String, &RefOr<Schema>)| Column { name: name.clone(), is_free_text: is_free_text(schema) };
    item.properties.iter().map(column).collect()
}

/// Texts that have no form of their own.
fn is_free_text(schema: &RefOr<Schema>) -> bool {
    match schema {
        // A type of its own: money, or one whose values are given.
        RefOr::Ref(reference) => !reference.ref_location.ends_with("/Money"),
        RefOr::T(Schema::Object(object)) => !matches!(
            &object.format,
            Some(SchemaFormat::KnownFormat(KnownFormat::Date | KnownFormat::DateTime | KnownFormat::Uuid))
        ),
        RefOr::T(_) => true,
    }
}
