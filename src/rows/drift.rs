//! Drift: where a customer's table is not what its dataset describes, so that its loads would fail, and the SQL that
//! repairs it.
//!
//! Compared are columns, types, nullability, generated and identity columns, and the unique key that a merge needs. What
//! operators add (indexes, checks, comments, grants) is not drift. A table is never altered by a load or by `migrate`:
//! it may have other users, and an operator decides which side is right.

mod report;

use super::dataset::Dataset;
use super::publish::Mode;
use super::table::{Relation, columns_of, find, tables_of};
use crate::config::{Customer, Ident, Table};
pub(super) use report::drift_fault;
pub use report::{messages, notes, repair_sql};
use serde::Deserialize;
use sqlx::PgConnection;
use std::collections::HashMap;
use std::sync::Arc;

/// What a relation is made of.
#[derive(Debug, Deserialize)]
pub(super) struct Shape {
    /// `pg_class.relkind`: `r` for a table, `v` for a view.
    pub(super) kind: String,
    columns: Vec<ShapeColumn>,
    /// Unique indexes of plain columns over all rows; the primary key comes first.
    keys: Vec<UniqueKey>,
    required_by_check: Vec<RequiredByCheck>,
}

#[derive(Debug, Deserialize)]
struct ShapeColumn {
    name: String,
    /// The type, as PostgreSQL writes it.
    kind: String,
    /// Whether it is NOT NULL.
    is_required: bool,
    has_default: bool,
    filled_by: FilledBy,
}

/// Where a column's values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FilledBy {
    /// Whoever inserts the row.
    Insert,
    /// `generated always as (…) stored`
    Expression,
    /// `generated always as identity`
    Identity,
}

#[derive(Debug, Deserialize)]
struct UniqueKey {
    name: String,
    /// The constraint that it belongs to.
    constraint: Option<String>,
    columns: Vec<String>,
    is_primary: bool,
    is_valid: bool,
    /// Whether it is checked row by row; a deferrable one is not.
    is_immediate: bool,
}

/// A check that only says that a column is not null.
#[derive(Debug, Deserialize)]
struct RequiredByCheck {
    name: String,
    column: String,
}

/// How a table differs from its dataset.
#[derive(Debug)]
pub struct Drift<'a> {
    table: Table,
    dataset: &'a Ident,
    /// What makes loads fail.
    differences: Vec<String>,
    /// What `alter table` has to do about the differences.
    repairs: Vec<String>,
    /// Statements of their own that are needed as well.
    further: Vec<String>,
    /// Whether views over the table are in the way of the repairs.
    is_blocked_by_views: bool,
    /// Where the table allows more than the dataset does: no load needs that to change.
    notes: Vec<String>,
}

/// Compares all tables of these datasets that exist.
///
/// # Errors
/// What the server says.
pub async fn find_all<'a>(
    connection: &mut PgConnection,
    datasets: &[&'a Dataset],
    customers: &[Arc<Customer>],
) -> anyhow::Result<Vec<Drift<'a>>> {
    let wanted = tables_of(datasets, customers)?;
    let found = find(connection, wanted.iter().map(|(table, _)| table)).await?;
    let exists = |(table, _): &&(Table, &Dataset)| found.contains_key(table);
    Ok(wanted
        .iter()
        .filter(exists)
        .filter_map(|(table, dataset)| Drift::find(table, shape_of(&found, table), dataset))
        .collect())
}

/// Returns whether all tables of these datasets exist.
///
/// # Errors
/// A database fault.
pub async fn all_exist(
    connection: &mut PgConnection,
    datasets: &[&Dataset],
    customers: &[Arc<Customer>],
) -> anyhow::Result<bool> {
    let wanted = tables_of(datasets, customers)?;
    let found = find(connection, wanted.iter().map(|(table, _)| table)).await?;
    Ok(wanted.iter().all(|(table, _)| found.contains_key(table)))
}

/// Compares tables that were looked up.
pub(super) fn among<'a>(wanted: &[(Table, &'a Dataset)], found: &HashMap<&Table, Relation>) -> Vec<Drift<'a>> {
    let drifts = wanted.iter().filter_map(|(table, dataset)| Drift::find(table, shape_of(found, table), dataset));
    drifts.filter(Drift::is_blocking).collect()
}

fn shape_of<'a>(found: &'a HashMap<&Table, Relation>, table: &Table) -> Option<&'a Shape> {
    found.get(table).map(|relation| &relation.shape.0)
}

/// Refuses a table that differs from its dataset.
///
/// # Errors
/// A configuration fault that names every difference, and the SQL that repairs it.
pub async fn check(connection: &mut PgConnection, table: &Table, dataset: &Dataset) -> anyhow::Result<()> {
    let found = find(connection, std::iter::once(table)).await?;
    check_shape(connection, table, dataset, shape_of(&found, table)).await
}

/// The same of a table that was looked up.
///
/// # Errors
/// As [`check`].
pub(super) async fn check_shape(
    connection: &mut PgConnection,
    table: &Table,
    dataset: &Dataset,
    found: Option<&Shape>,
) -> anyhow::Result<()> {
    // A system's own tables are made with its migrations.
    let drift = Drift::find(table, found, dataset).filter(|_| dataset.into.is_none());
    match drift.filter(Drift::is_blocking) {
        None => Ok(()),
        Some(drift) => Err(drift_fault(connection, &[drift]).await?),
    }
}

impl<'a> Drift<'a> {
    fn find(table: &Table, found: Option<&Shape>, dataset: &'a Dataset) -> Option<Self> {
        let mut drift = Self {
            table: table.clone(),
            dataset: &dataset.name,
            differences: Vec::new(),
            repairs: Vec::new(),
            further: Vec::new(),
            is_blocked_by_views: false,
            notes: Vec::new(),
        };
        match found {
            None => drift.differences.push("it does not exist; bursar migrate makes it".to_owned()),
            Some(shape) if shape.kind != ORDINARY_TABLE => drift.differences.push(wrong_kind(&shape.kind)),
            Some(shape) => {
                drift.compare_columns(shape, dataset);
                drift.compare_key(shape, dataset);
            }
        }
        let is_any = !drift.differences.is_empty() || !drift.notes.is_empty();
        is_any.then_some(drift)
    }

    /// The dataset's name.
    #[must_use]
    pub const fn dataset(&self) -> &Ident {
        self.dataset
    }

    /// Whether loads fail because of it.
    #[must_use]
    pub const fn is_blocking(&self) -> bool {
        !self.differences.is_empty()
    }

    fn compare_columns(&mut self, shape: &Shape, dataset: &Dataset) {
        let columns = columns_of(dataset);
        for (name, wanted, is_nullable) in &columns {
            match shape.columns.iter().find(|column| column.name == name.as_str()) {
                None => {
                    self.differ(format!("it lacks {name} {wanted}"), format!("add column {} {wanted}", name.quoted()));
                }
                Some(found) => {
                    self.compare_values(name, wanted, found, &dataset.mode);
                    self.compare_nulls(name, *is_nullable, found, shape);
                }
            }
        }
        for column in shape.columns.iter().filter(|column| columns.iter().all(|c| c.0.as_str() != column.name)) {
            let name = &column.name;
            self.differ(
                format!("the dataset does not know its column {name}"),
                format!("drop column {}", quoted(name)),
            );
            self.is_blocked_by_views = true;
        }
    }

    /// Whether the column can take the dataset's values.
    fn compare_values(&mut self, name: &Ident, wanted: &str, found: &ShapeColumn, mode: &Mode) {
        let (column, kind) = (name.quoted(), &found.kind);
        if found.filled_by == FilledBy::Expression {
            let difference = format!("{name} is a generated column, so that no value can be loaded into it");
            self.differ(difference, format!("alter column {column} drop expression"));
        }
        // COPY gives such a column the values of the file; INSERT is refused.
        if found.filled_by == FilledBy::Identity && matches!(mode, Mode::Merge { .. } | Mode::Append { .. }) {
            let difference =
                format!("{name} is generated always as identity, so that no value can be inserted into it");
            self.differ(difference, format!("alter column {column} drop identity"));
        }
        if kind != wanted {
            self.differences.push(format!("{name} is {kind}, the dataset says {wanted}"));
            let using = if is_assignable(kind, wanted) { String::new() } else { format!(" using {column}::{wanted}") };
            // A default is cast by assignment alone.
            if found.has_default && found.filled_by == FilledBy::Insert && !using.is_empty() {
                self.repairs.push(format!("alter column {column} drop default"));
            }
            self.repairs.push(format!("alter column {column} type {wanted}{using}"));
            self.is_blocked_by_views = true;
        }
    }

    /// Whether the column takes nulls if the dataset allows them.
    fn compare_nulls(&mut self, name: &Ident, is_nullable: bool, found: &ShapeColumn, shape: &Shape) {
        let column = name.quoted();
        if !is_nullable {
            if !found.is_required {
                self.notes.push(format!("{name} may be null in the table, and the dataset requires a value"));
            }
            return;
        }
        if found.is_required {
            let is_in_it = |key: &&UniqueKey| key.is_primary && key.columns.iter().any(|part| part == name.as_str());
            let primary = shape.keys.iter().find(is_in_it).map(|key| format!("drop constraint {}", quoted(key.name())));
            self.repairs.extend(primary.filter(|drop| !self.repairs.contains(drop)));
            let difference = format!("{name} is NOT NULL, the dataset allows nulls (nullable = true)");
            self.differ(difference, format!("alter column {column} drop not null"));
        }
        for check in shape.required_by_check.iter().filter(|check| check.column == name.as_str()) {
            let difference = format!("the check {} forbids nulls in {name}, the dataset allows them", check.name);
            self.differ(difference, format!("drop constraint {}", quoted(&check.name)));
        }
    }

    /// A merge finds the row of a key by a unique index on exactly its columns.
    fn compare_key(&mut self, shape: &Shape, dataset: &Dataset) {
        let Mode::Merge { key } = &dataset.mode else { return };
        let names: Vec<&str> = key.iter().map(|i| dataset.columns[*i].name.as_str()).collect();
        let is_same = |unique: &&UniqueKey| {
            unique.columns.len() == names.len() && names.iter().all(|name| unique.columns.iter().any(|c| c == name))
        };
        let same: Vec<&UniqueKey> = shape.keys.iter().filter(is_same).collect();
        if same.iter().any(|unique| unique.is_valid && unique.is_immediate) {
            return;
        }
        let list = names.join(", ");
        let add = format!("add primary key ({})", names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "));
        if let Some(invalid) = same.iter().find(|unique| unique.is_immediate) {
            let index = format!("{}.{}", self.table.schema.quoted(), quoted(&invalid.name));
            self.differences.push(format!("its unique index {} on the key ({list}) is not valid", invalid.name));
            return self.further.push(format!("reindex index {index}"));
        }
        if let Some(deferrable) = same.first() {
            let name = deferrable.name();
            let difference =
                format!("its constraint {name} on the key ({list}) is deferrable, and a merge needs one that is not");
            self.repairs.push(format!("drop constraint {}", quoted(name)));
            return self.differ(difference, add);
        }
        match shape.keys.iter().find(|unique| unique.is_primary) {
            Some(primary) => {
                let other = primary.columns.join(", ");
                let drop = format!("drop constraint {}", quoted(primary.name()));
                if !self.repairs.contains(&drop) {
                    self.repairs.push(drop);
                }
                self.differ(format!("its primary key is ({other}), the dataset's key is ({list})"), add);
            }
            None => self.differ(format!("it has no unique index on the dataset's key ({list})"), add),
        }
    }

    fn differ(&mut self, difference: String, repair: String) {
        self.differences.push(difference);
        self.repairs.push(repair);
    }

    /// The statements that repair the table, each with its semicolon.
    fn statements(&self) -> Vec<String> {
        let table = self.table.quoted();
        let alter = (!self.repairs.is_empty()).then(|| format!("alter table {table} {};", self.repairs.join(", ")));
        alter.into_iter().chain(self.further.iter().map(|statement| format!("{statement};"))).collect()
    }
}

/// `pg_class.relkind` of a table that a load can write.
const ORDINARY_TABLE: &str = "r";

/// Names what has the table's name instead of an ordinary table, and what to do about it.
fn wrong_kind(relkind: &str) -> String {
    let (kind, remedy) = match relkind {
        "p" => (
            "a partitioned table",
            "a load replaces or swaps whole tables, which partitions do not allow; rename it, or set another name in \
             the dataset's key table and attach or copy the loaded rows from there",
        ),
        "v" => ("a view", "a load needs the table behind it; set that table in the dataset's key table"),
        "m" => (
            "a materialized view",
            "its rows come from its query only; rename it, or set another name in the dataset's key table",
        ),
        "f" => (
            "a foreign table",
            "its rows are stored on another server; rename it, or set another name in the dataset's key table",
        ),
        "S" => ("a sequence", OTHER_NAME),
        "c" => ("a composite type", OTHER_NAME),
        "i" | "I" => ("an index", OTHER_NAME),
        _ => ("not a table", OTHER_NAME),
    };
    format!("it is {kind}, and a load needs an ordinary table: {remedy}")
}

const OTHER_NAME: &str = "rename it, or set another name in the dataset's key table";

impl UniqueKey {
    /// The name by which it is dropped.
    fn name(&self) -> &str {
        self.constraint.as_deref().unwrap_or(&self.name)
    }
}

/// Whether PostgreSQL casts values of a column's old type to the new one by itself. A length is then checked: an explicit
/// cast would cut texts off.
fn is_assignable(found: &str, wanted: &str) -> bool {
    let family = |kind: &str| match kind.split('(').next().unwrap_or(kind) {
        "integer" | "bigint" | "smallint" | "numeric" | "real" | "double precision" => 1,
        "date" | "timestamp without time zone" | "timestamp with time zone" => 2,
        "json" | "jsonb" => 3,
        _ => 0,
    };
    let is_text = wanted == "text" || wanted.starts_with("character varying");
    is_text || family(found) != 0 && family(found) == family(wanted)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::is_assignable;

    #[test]
    fn texts_are_never_cut_off_by_a_change_of_type() {
        assert!(is_assignable("text", "character varying(25)"));
        assert!(is_assignable("integer", "numeric(12,2)"));
        assert!(is_assignable("date", "timestamp without time zone"));
        assert!(!is_assignable("text", "integer"));
        assert!(!is_assignable("integer", "boolean"));
        assert!(!is_assignable("text", "uuid"));
    }
}
