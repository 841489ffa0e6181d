//! Measures: SQL aggregates over a load, taken while its rows pass or in its transaction, and kept in the load ledger.

pub mod check;
mod names;
mod passing;

use super::column::Column;
use super::dataset::Dataset;
use super::statement;
use crate::config::{At, Ident, Problems, Source, Table, TextPlace};
use crate::fault;
use crate::sql::{Token, tokens};
use anyhow::Context;
use indexmap::IndexMap;
pub use passing::{KEYWORDS, Passing};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

/// A measure: an SQL aggregate, or a table with `sql` and the type of the result.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LooseMeasure {
    /// An aggregate whose result is a number.
    Sql(String),
    /// An aggregate whose result is of another type.
    Typed(TypedMeasure),
}

/// An aggregate with its type.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypedMeasure {
    /// The aggregate.
    pub sql: String,
    /// What it gives.
    #[serde(rename = "type")]
    pub kind: MeasureType,
}

/// The type of a measure's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are PostgreSQL's")]
pub enum MeasureType {
    Numeric,
    Text,
    Date,
    Timestamp,
    Boolean,
}

/// A compiled measure.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Its name: a column of the dataset's measures view.
    pub name: Ident,
    /// The aggregate, as the configuration gives it.
    pub sql: String,
    /// What it gives.
    pub kind: MeasureType,
}

/// The columns of a dataset's measures view, with their types.
#[must_use]
pub fn measure_columns(dataset: &Dataset) -> Vec<(String, String)> {
    let ledger = LEDGER_COLUMNS.into_iter().zip(LEDGER_TYPES).map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    let measures = dataset.measures.iter().map(|m| (m.name.to_string(), m.kind.sql_type().to_owned()));
    ledger.chain(measures).collect()
}

/// The types of [`LEDGER_COLUMNS`].
const LEDGER_TYPES: [&str; 10] =
    ["text", "date", "bigint", "text", "text", "bigint", "bigint", "bigint", "bigint", "timestamptz"];

/// Columns that every measures view has; a measure can't take their names.
pub const LEDGER_COLUMNS: [&str; 10] = [
    "customer",
    "run_date",
    "load_id",
    "file_name",
    "file_sha256",
    "records",
    "loaded",
    "rejected",
    "skipped",
    "loaded_at",
];

/// Compiles a dataset's measures. `names` are those of all its columns, `columns` those that have no problem.
pub fn compile_measures(
    source: &Source,
    loose: &IndexMap<String, LooseMeasure>,
    names: &[&str],
    columns: &[Column],
    problems: &mut Problems,
) -> Vec<Measure> {
    let mut measures = Vec::with_capacity(loose.len());
    for (name, measure) in loose {
        let at = At::key("measures").then(name);
        let (sql, kind) = match measure {
            LooseMeasure::Sql(sql) => (sql, MeasureType::Numeric),
            LooseMeasure::Typed(typed) => (&typed.sql, typed.kind),
        };
        let place = sql_place(source, name);
        let problem = |offset: usize, message: String| place.problem(sql, offset, message);
        match why_not_an_expression(sql) {
            Some(why) => problems.push(source.problem(&at, why)),
            None => names::check(sql, kind, names::Known { names, columns }, &problem, problems),
        }
        if LEDGER_COLUMNS.contains(&name.as_str()) {
            problems.push(
                source.problem(&at, format!("{name} is a column of the ledger; call the measure something else")),
            );
        }
        match Ident::parse(name) {
            Ok(name) => measures.push(Measure { name, sql: sql.clone(), kind }),
            Err(error) => problems.push(source.problem(&at, error.to_string())),
        }
    }
    measures
}

/// Where a measure's SQL is in the file of its dataset.
fn sql_place(source: &Source, name: &str) -> TextPlace {
    let at = At::key("measures").then(name);
    let sql = at.clone().then("sql");
    source.text_place(if source.has(&sql) { &sql } else { &at })
}

/// A measure is configuration that operators write, like a report's SQL; a stray semicolon or an open
/// parenthesis is still better named here than by the server at five in the morning.
fn why_not_an_expression(sql: &str) -> Option<&'static str> {
    let mut depth = 0i32;
    for token in tokens(sql).into_iter().filter(|t| t.token == Token::Other) {
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            ";" => return Some("an aggregate can't hold a semicolon"),
            "," if depth == 0 => {
                return Some("a comma outside parentheses makes two aggregates; give each a name of its own");
            }
            _ => {}
        }
        if depth < 0 {
            return Some("a parenthesis is closed that was not opened");
        }
    }
    match (tokens(sql).is_empty(), depth) {
        (true, _) => Some("the aggregate is empty"),
        (_, 0) => None,
        _ => Some("a parenthesis is not closed"),
    }
}

/// Takes the measures over the rows of all `tables`, in one pass, within the load's transaction; rows of tables that
/// inherit from them are not theirs. Each is kept as text: JSON's numbers would pass through floating point on their way,
/// and sums of money must not.
///
/// # Errors
/// A configuration fault that names the measure when the server refuses an aggregate.
pub async fn take(connection: &mut PgConnection, tables: &[Table], dataset: &Dataset) -> anyhow::Result<Value> {
    if dataset.measures.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let taken = statement::value(connection, guarded(tables, dataset.measures.iter())).await;
    match taken {
        Ok(values) => Ok(values),
        Err(error) => Err(refused(connection, tables, dataset, error).await),
    }
}

/// The measures in one statement, after which a refusal leaves the load's transaction as it was before.
fn guarded<'a>(tables: &[Table], measures: impl Iterator<Item = &'a Measure>) -> String {
    let aggregates: Vec<String> =
        measures.map(|measure| format!("{} as {}", measure.as_text(), measure.name.quoted())).collect();
    let rows = match tables {
        [table] => format!("only {}", table.quoted()),
        tables => {
            let each: Vec<String> =
                tables.iter().map(|table| format!("select * from only {}", table.quoted())).collect();
            format!("({}) as rows", each.join(" union all "))
        }
    };
    let query = format!("select to_jsonb(m) from (select {} from {rows}) as m", aggregates.join(", "));
    format!("savepoint before_measures; {query}; release savepoint before_measures")
}

/// What the server's refusal means. It does not say which measure it is about: they are taken one by one until it
/// refuses again. Whatever the server refuses is the configuration's fault here: the rows themselves have passed every
/// check.
async fn refused(
    connection: &mut PgConnection,
    tables: &[Table],
    dataset: &Dataset,
    error: sqlx::Error,
) -> anyhow::Error {
    let mut refused = (error, None);
    for measure in dataset.measures.iter().take_while(|_| is_refusal(&refused.0)) {
        if statement::run(connection, "rollback to savepoint before_measures").await.is_err() {
            break;
        }
        if let Err(error) = statement::value(connection, guarded(tables, std::iter::once(measure))).await {
            refused = (error, Some(&measure.name));
            break;
        }
    }
    let (error, name) = refused;
    let what = name.map_or_else(
        || format!("take the measures of the dataset {}", dataset.name),
        |name| format!("take the measure {name} of the dataset {} (measures.{name})", dataset.name),
    );
    let is_refusal = is_refusal(&error);
    let hint = if class_of(&error).as_deref() == Some("22") {
        ": is its type right, and does it take every value?"
    } else {
        ""
    };
    let error = anyhow::Error::new(error).context(what);
    if is_refusal { fault::config(format!("{}{hint}", fault::told(&error))) } else { error }
}

/// Whether the server refuses the SQL or the values, not the moment: a cardinality, a value, something not supported, a
/// name or the syntax, a function's own words.
fn is_refusal(error: &sqlx::Error) -> bool {
    class_of(error).is_some_and(|class| ["21", "22", "0A", "42", "P0"].contains(&class.as_str()))
}

/// The class of an SQLSTATE: its first two characters.
fn class_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code()?.get(..2).map(str::to_owned)
}

/// Whether what is taken as rows pass is what the server would say: the table takes rows as they are copied (no trigger
/// changes them), and its texts are equal where their bytes are.
///
/// # Errors
/// What the server says.
pub async fn is_plain(connection: &mut PgConnection, table: &Table) -> anyhow::Result<bool> {
    sqlx::query_scalar(include_str!("measure/is_plain.sql"))
        .bind(table.quoted())
        .fetch_one(connection)
        .await
        .with_context(|| format!("look whether {table} takes rows as they are"))
}

/// The number of rows in these tables; those of tables that inherit from them are not theirs.
///
/// # Errors
/// What the server says.
pub async fn count(connection: &mut PgConnection, tables: &[Table]) -> anyhow::Result<i64> {
    let mut rows = 0;
    for table in tables {
        let query = format!("select count(*) from only {}", table.quoted());
        let counted = sqlx::query_scalar::<_, i64>(AssertSqlSafe(query)).fetch_one(&mut *connection).await;
        rows += counted.with_context(|| format!("count the rows of {table}"))?;
    }
    Ok(rows)
}

impl MeasureType {
    const fn sql_type(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Boolean => "boolean",
        }
    }
}

impl Measure {
    /// The aggregate as SQL that gives a text. The line end keeps a comment at its end from swallowing more.
    fn as_text(&self) -> String {
        format!("(({}\n)::{})::text", self.sql, self.kind.sql_type())
    }

    /// The measure as a column of the view over the ledger.
    #[must_use]
    pub fn view_column(&self) -> String {
        format!("(measures ->> '{}')::{} as {}", self.name, self.kind.sql_type(), self.name.quoted())
    }
}
