//! Publishes into a table whose other rows stay: upsert by key, or the rows of a run date beside those of others.

use super::target::Target;
use super::{Merged, Mode, segments, taken};
use crate::config::{Ident, Table};
use crate::fault;
use crate::rows::column::Column;
use crate::rows::dataset::Dataset;
use crate::rows::header::folded;
use crate::rows::statement;
use anyhow::Context;
use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, PgConnection};

/// Rows that are to be merged.
#[derive(Clone, Copy, Debug)]
pub struct Merging<'a> {
    /// What they are.
    pub dataset: &'a Dataset,
    /// Where they go.
    pub table: &'a Table,
    /// Where they lie.
    pub staged: &'a Table,
    /// Whether they are all.
    pub extent: Extent,
    /// The load they are of.
    pub load_id: i64,
    /// The day they are for.
    pub run_date: NaiveDate,
}

/// How much of what there is the rows tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A whole file: what it does not hold is gone.
    File,
    /// Some rows: of what they do not hold they say nothing.
    Rows,
}

/// Inserts the staged rows, and updates those of the same key that differ.
///
/// # Errors
/// A configuration fault when the table has no unique index on the key, or the dataset does not merge; what the server
/// says otherwise.
pub async fn merge(connection: &mut PgConnection, merging: Merging<'_>) -> anyhow::Result<Merged> {
    let Merging { dataset, table, staged, .. } = merging;
    match (&dataset.mode, dataset.into) {
        (Mode::Merge { .. }, Some(target)) => into_target(connection, merging, target).await,
        (Mode::Merge { key }, None) => by_key(connection, table, staged, &dataset.columns, key).await,
        _ => Err(fault::config(format!("the dataset {} does not merge", dataset.name))),
    }
}

/// A system's own statements know where the rows belong.
async fn into_target(
    connection: &mut PgConnection,
    merging: Merging<'_>,
    target: &'static Target,
) -> anyhow::Result<Merged> {
    let statements = target
        .merge
        .replace("{staged}", &merging.staged.quoted())
        .replace("{is_whole}", if merging.extent == Extent::File { "true" } else { "false" })
        .replace("{key_headers}", &key_headers(merging.dataset, target))
        .replace("{load_id}", &merging.load_id.to_string())
        .replace("{run_date}", &merging.run_date.to_string());
    let (inserted, updated, unchanged) = statement::counts(connection, statements)
        .await
        .map_err(of_the_table)
        .with_context(|| format!("merge rows into the tables of {}", target.name))?;
    Ok(Merged { inserted, updated, unchanged })
}

/// The names of the key in files' headers as a list in SQL; rejects are kept under these names.
fn key_headers(dataset: &Dataset, target: &Target) -> String {
    let is_key = |column: &&Column| target.key.first().is_some_and(|key| column.name.as_str() == *key);
    let column = dataset.columns.iter().find(is_key);
    let names = column.into_iter().flat_map(|column| &column.headers).map(|name| folded(name).replace('\'', "''"));
    names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

async fn by_key(
    connection: &mut PgConnection,
    table: &Table,
    staged: &Table,
    columns: &[Column],
    key: &[usize],
) -> anyhow::Result<Merged> {
    refuse_segments(connection, table).await?;
    let names: Vec<String> = columns.iter().map(|c| c.name.quoted()).collect();
    let key_names: Vec<&str> = key.iter().map(|i| names[*i].as_str()).collect();
    let others: Vec<&String> = names.iter().enumerate().filter(|(i, _)| !key.contains(i)).map(|(_, n)| n).collect();
    let on_conflict = if others.is_empty() {
        "do nothing".to_owned()
    } else {
        let list = |prefix: &str| others.iter().map(|n| format!("{prefix}{n}")).collect::<Vec<_>>().join(", ");
        format!(
            "do update set ({}) = row({}) where ({}) is distinct from ({})",
            list(""),
            list("excluded."),
            list("target."),
            list("excluded."),
        )
    };
    let statement = format!(
        "with merged as (
             insert into {} as target ({names}) select {names} from {} on conflict ({}) {on_conflict}
             returning target.xmax = 0 as is_new)
         select count(*) filter (where is_new), count(*) filter (where not is_new), (select count(*) from {}) from merged",
        table.quoted(),
        staged.quoted(),
        key_names.join(", "),
        staged.quoted(),
        names = names.join(", "),
    );
    let counted: Result<(i64, i64, i64), sqlx::Error> =
        sqlx::query_as(AssertSqlSafe(statement)).fetch_one(&mut *connection).await;
    let (inserted, updated, rows) = counted.map_err(|error| refused(table, &key_names, error))?;
    let unchanged = rows - inserted - updated;
    if unchanged > 0 {
        check_keys(connection, table, staged, (&key_names, rows.unsigned_abs())).await?;
    }
    Ok(Merged { inserted, updated, unchanged })
}

/// What is neither new nor changed must be there: a trigger or a rule may have kept it out.
async fn check_keys(
    connection: &mut PgConnection,
    table: &Table,
    staged: &Table,
    (key, rows): (&[&str], u64),
) -> anyhow::Result<()> {
    let same: Vec<String> = key.iter().map(|name| format!("t.{name} = s.{name}")).collect();
    let query = format!(
        "select count(*) from {} as s where not exists (select from only {} as t where {})",
        staged.quoted(),
        table.quoted(),
        same.join(" and ")
    );
    let lost: i64 =
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut *connection).await.context("look for the keys")?;
    taken::check(connection, table, rows - lost.unsigned_abs(), rows).await
}

/// No index sees the keys of rows that lie in segments.
async fn refuse_segments(connection: &mut PgConnection, table: &Table) -> anyhow::Result<()> {
    if segments::behind(connection, table).await?.is_empty() {
        return Ok(());
    }
    Err(fault::config(format!(
        "the rows of {table} lie in segments, of an earlier publish = \"segments\", where merge does not find their keys: \
         load it once with mode = \"replace\" and publish = \"truncate\" first"
    )))
}

/// SQLSTATE 42P10: nothing says that the key is unique. 21000: it is not, within the file.
fn refused(table: &Table, key: &[&str], error: sqlx::Error) -> anyhow::Error {
    let key = key.join(", ");
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some("42P10") => fault::config(format!(
            "mode = \"merge\" needs a unique index on the key: create unique index on {} ({key})",
            table.quoted()
        )),
        Some("21000") => fault::data(format!(
            "the file has several rows with the same key ({key}), so that it does not tell which one is to stay; \
             nothing was changed"
        )),
        _ => anyhow::Error::new(error).context(format!("merge rows into {table}")),
    }
}

/// A table that publishes deletes and has no replica identity (SQLSTATE 55000) lets nobody delete, however often he tries.
/// The same code says elsewhere that a database is closed for a while.
fn of_the_table(error: sqlx::Error) -> anyhow::Error {
    let is_of_the_table = error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55000"));
    let error = anyhow::Error::new(error);
    if is_of_the_table { fault::config(fault::told(&error)) } else { error }
}

/// Puts the staged rows in the place of those of the same run date.
///
/// # Errors
/// What the server says.
pub async fn append(
    connection: &mut PgConnection,
    table: &Table,
    staged: &Table,
    columns: &[Column],
    (column, run_date): (&Ident, NaiveDate),
    rows: u64,
) -> anyhow::Result<()> {
    let names: Vec<String> = columns.iter().map(|c| c.name.quoted()).collect();
    let (names, quoted, column) = (names.join(", "), table.quoted(), column.quoted());
    for part in segments::with_segments(connection, table).await? {
        let delete = format!("delete from only {} where {column} = $1", part.quoted());
        let deleted = sqlx::query(AssertSqlSafe(delete)).bind(run_date).execute(&mut *connection).await;
        deleted.map_err(of_the_table).with_context(|| format!("clear {run_date} in {table}"))?;
    }
    // A date prints as digits and hyphens.
    let insert =
        format!("insert into {quoted} ({names}, {column}) select {names}, date '{run_date}' from {}", staged.quoted());
    let added = statement::count(&mut *connection, insert).await;
    let added = added.with_context(|| format!("add the rows of {run_date} to {table}"))?;
    taken::check(connection, table, added, rows).await
}
