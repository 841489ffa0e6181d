//! Runs a report's SQL with its parameters bound: the only place of the room in which SQL is put together.

use super::bind::{Bound, type_of};
use super::compile::Report;
use super::parameter::{ParameterType, RUN_DATE, Value, Values};
use super::provenance::SourceRows;
use crate::config::Table;
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, Postgres, Row, SqlSafeStr, TypeInfo};

/// What a column holds, as far as programs that read the answer need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Integer,
    /// A number that is no float: programs must read its digits.
    Decimal,
    /// true or false.
    Boolean,
    /// Anything else, as PostgreSQL writes it.
    Text,
}

impl Kind {
    /// A value as JSON: whole numbers and truth values as such, all else as text, so that no reader takes a decimal for a
    /// float.
    #[must_use]
    pub fn json(self, text: &str) -> serde_json::Value {
        let read = match self {
            Self::Integer => text.parse::<i64>().ok().map(Into::into),
            Self::Boolean => text.parse::<bool>().ok().map(Into::into),
            Self::Decimal | Self::Text => None,
        };
        read.unwrap_or_else(|| text.into())
    }
}

/// The SQL's columns must be those the report declares: a report's header never changes by accident. Gives what each
/// holds.
pub(super) async fn check_described(connection: &mut PgConnection, report: &Report) -> anyhow::Result<Vec<Kind>> {
    let described = connection
        .describe(AssertSqlSafe(report.sql.query.clone()).into_sql_str())
        .await
        .with_context(|| format!("prepare {}", report.sql_file))?;
    let found: Vec<&str> = described.columns().iter().map(Column::name).collect();
    if found == report.columns {
        let kind = |column: &sqlx::postgres::PgColumn| match column.type_info().name() {
            "INT2" | "INT4" | "INT8" => Kind::Integer,
            "NUMERIC" => Kind::Decimal,
            "BOOL" => Kind::Boolean,
            _ => Kind::Text,
        };
        return Ok(described.columns().iter().map(kind).collect());
    }
    Err(fault::config(format!(
        "{} gives the columns {}; the report declares {}",
        report.sql_file,
        found.join(", "),
        report.columns.join(", ")
    )))
}

/// Runs the report and hands over each row, its values as text and null as none; gives how many there were.
pub(super) async fn each(
    connection: &mut PgConnection,
    report: &Report,
    values: &Values,
    mut take: impl FnMut(&[Option<String>]) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let columns: Vec<String> = report.columns.iter().map(|c| format!("\"{c}\"::text")).collect();
    let query = format!("select {} from ({}\n) as report", columns.join(", "), report.sql.query);
    let query = bind_all(sqlx::query(AssertSqlSafe(query)), report, &report.sql.binds, values);
    let mut rows = query.fetch(connection);
    let mut count = 0;
    while let Some(row) = rows.try_next().await.map_err(|error| refused(error, report))? {
        let values = (0..report.columns.len()).map(|i| row.try_get(i)).collect::<Result<Vec<Option<String>>, _>>();
        take(&values.context("read the report's row")?)?;
        count += 1;
    }
    Ok(count)
}

/// A report's SQL that writes is refused by its own transaction, which is read-only on any server.
fn refused(error: sqlx::Error, report: &Report) -> anyhow::Error {
    let is_write = error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("25006"));
    let context = format!("run {}", report.sql_file);
    let error = anyhow::Error::new(error).context(context);
    if is_write { fault::config(format!("{}: a report's SQL can only read", fault::told(&error))) } else { error }
}

/// Refuses values that name something that does not exist (`must_exist`).
///
/// # Errors
/// [`fault::not_found`] that names the parameter and its value; a configuration fault if a query can't be used.
pub(super) async fn check_existence(
    connection: &mut PgConnection,
    report: &Report,
    values: &Values,
) -> anyhow::Result<()> {
    for parameter in &report.parameters {
        let name = parameter.name.as_str();
        let (Some(Bound { query, binds }), Some(value)) = (&parameter.must_exist, values.get(name)) else { continue };
        let query = format!("select exists ({query}\n)");
        let found: PgRow = bind_all(sqlx::query(AssertSqlSafe(query)), report, binds, values)
            .fetch_one(&mut *connection)
            .await
            .with_context(|| format!("run must_exist of the parameter {name} of the report {}", report.name))?;
        if !found.try_get(0).context("read whether a value exists")? {
            let about = &parameter.about;
            return Err(fault::not_found(format!(
                "there is no {name} {value} (report {}; {name}: {about})",
                report.name
            )));
        }
    }
    Ok(())
}

fn bind_all<'q>(
    query: Query<'q, Postgres, PgArguments>,
    report: &Report,
    names: &[String],
    values: &Values,
) -> Query<'q, Postgres, PgArguments> {
    names.iter().fold(query, |query, name| {
        let kind = type_of(&report.parameters, name).unwrap_or(ParameterType::Date);
        bind(query, kind, values.get(name))
    })
}

fn bind<'q>(
    query: Query<'q, Postgres, PgArguments>,
    kind: ParameterType,
    value: Option<&Value>,
) -> Query<'q, Postgres, PgArguments> {
    match (value, kind) {
        (Some(Value::Date(date)), _) => query.bind(*date),
        (Some(Value::Text(text)), _) => query.bind(text.clone()),
        (Some(Value::Integer(number)), _) => query.bind(*number),
        (Some(Value::Decimal(number)), _) => query.bind(number.to_string()),
        (Some(Value::Boolean(is_true)), _) => query.bind(*is_true),
        (None, ParameterType::Date | ParameterType::Month) => query.bind(None::<NaiveDate>),
        (None, ParameterType::Text | ParameterType::Decimal) => query.bind(None::<String>),
        (None, ParameterType::Integer) => query.bind(None::<i64>),
        (None, ParameterType::Boolean) => query.bind(None::<bool>),
    }
}

/// A relation that must hold something of a date before the report can say anything.
#[derive(Clone, Debug)]
pub struct Needed {
    /// It has a column `run_date`.
    pub relation: Table,
    /// The parameter that is the date.
    pub date: String,
}

/// What the relations that the report needs hold of their dates. One whose date is not given is left out.
pub(super) async fn sources(
    connection: &mut PgConnection,
    report: &Report,
    values: &Values,
) -> anyhow::Result<Vec<SourceRows>> {
    let mut found = Vec::new();
    for Needed { relation, date } in &report.sources {
        let Some(date) = values.date(date) else { continue };
        let query = format!("select to_jsonb(source) from {} as source where run_date = $1", relation.quoted());
        let rows: Vec<PgRow> = sqlx::query(AssertSqlSafe(query))
            .bind(date)
            .fetch_all(&mut *connection)
            .await
            .with_context(|| format!("look for what {relation} holds of {date}"))?;
        let rows = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<serde_json::Value>, _>>();
        found.push(SourceRows { relation: relation.to_string(), date, rows: rows.context("read a source's row")? });
    }
    Ok(found)
}

/// The parameter that a source's date is where the report does not say it.
pub(super) fn default_date() -> String {
    RUN_DATE.to_owned()
}
