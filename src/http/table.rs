//! Answers whose columns are known only at run time: an object for each row as JSON, or CSV.

use super::csv::harmless;
use super::page::Page;
use crate::fault;
use anyhow::Context;
use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};

/// A page of rows, with what their columns are.
#[derive(Clone, Debug)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Heading>,
    /// The rows: as many values each as there are columns.
    pub page: Page<Vec<Value>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Its name.
    pub name: String,
    /// Whether it holds text that anybody may have written.
    pub is_free_text: bool,
}

impl Table {
    /// As JSON.
    pub(super) fn json(&self) -> anyhow::Result<Vec<u8>> {
        let object = |row: &Vec<Value>| {
            let members = self.columns.iter().zip(row).map(|(column, value)| (column.name.clone(), value.clone()));
            Value::Object(members.collect::<Map<String, Value>>())
        };
        let Page { items, total, limit, offset } = &self.page;
        let items: Vec<Value> = items.iter().map(object).collect();
        let page = json!({"items": items, "total": total, "limit": limit, "offset": offset});
        serde_json::to_vec(&page).context("write an answer as JSON")
    }

    /// As CSV, with a header.
    pub(super) fn csv(&self) -> anyhow::Result<Vec<u8>> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let context = "write an answer as CSV";
        writer.write_record(self.columns.iter().map(|column| &column.name)).context(context)?;
        for row in &self.page.items {
            let cells = self.columns.iter().zip(row).map(|(column, value)| match value {
                Value::Null => String::new(),
                Value::String(text) if column.is_free_text => harmless(text),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            writer.write_record(cells).context(context)?;
        }
        writer.into_inner().map_err(|error| fault::bug(format!("{context}: {error}")))
    }
}

/// The schema of a page of rows with these columns. What they hold the database tells, once it is asked.
pub(super) fn schema(columns: &[String]) -> Schema {
    let value = [Type::String, Type::Integer, Type::Boolean, Type::Null];
    let cell = || ObjectBuilder::new().schema_type(SchemaType::from_iter(value.clone()));
    let row = columns.iter().fold(ObjectBuilder::new(), |row, name| row.property(name, cell()).required(name));
    let items = ArrayBuilder::new().items(row).description(Some("The rows of this page, in the report's order."));
    let number = |about: &str, least: i64| {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).description(Some(about))
    };
    let page = ObjectBuilder::new()
        .property("items", items)
        .property("total", number("How many rows there are in all pages.", 0))
        .property("limit", number("How many rows a page holds at most.", 1))
        .property("offset", number("How many rows come before this page.", 0));
    ["items", "total", "limit", "offset"].into_iter().fold(page, ObjectBuilder::required).into()
}
