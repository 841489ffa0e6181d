//! The rows of a redrive while they are in temporary tables: checked against the rejects they correct, then added.

use super::StillWrong;
use crate::config::{Ident, Table};
use crate::fault;
use crate::rows::column::{Column, Kind, definitions};
use crate::rows::dataset::Dataset;
use crate::rows::publish::merge::{self, Extent, Merging};
use crate::rows::publish::{Merged, Mode, segments, taken};
use crate::rows::quarantine::export::ID_COLUMN;
use crate::rows::quarantine::{Met, base};
use crate::rows::spool::COLUMNS;
use crate::rows::{measure, statement};
use anyhow::Context;
use chrono::NaiveDate;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

/// The table of rows that do not conform.
pub(super) const WRONG: &str = "pg_temp.bursar_wrong";

/// So many faults are named.
const NAMED: i64 = 10;

/// So many rows that are still wrong are told.
const TOLD: i64 = 100;

/// The table of rows that conform.
pub(super) fn staged() -> anyhow::Result<Table> {
    Ok(Table { schema: Ident::parse("pg_temp")?, name: Ident::parse("bursar_redriven")? })
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|c| c.name.quoted()).collect::<Vec<_>>().join(", ")
}

/// Makes both tables, for this transaction.
pub(super) async fn stage(connection: &mut PgConnection, columns: &[Column]) -> anyhow::Result<()> {
    let statements = format!(
        "create temporary table bursar_redriven ({ID_COLUMN} bigint, {}) on commit drop;
         create temporary table bursar_wrong on commit drop as
                select {COLUMNS}, null::text as number from bursar.rejects with no data",
        definitions(columns)
    );
    statement::run(connection, statements).await.context("make room for the corrected rows")
}

/// Notes the number that stands in each row that does not conform; this is what the header calls it.
pub(super) async fn number_wrong(connection: &mut PgConnection, header: &str) -> anyhow::Result<()> {
    sqlx::query("update pg_temp.bursar_wrong set number = trim(payload::jsonb ->> $1)")
        .bind(header)
        .execute(&mut *connection)
        .await
        .context("look for the numbers of the rejects")?;
    statement::run(connection, "analyze pg_temp.bursar_redriven").await.context("look at the corrected rows")
}

/// Refuses rows of another load, and several rows of one reject.
pub(super) async fn check_numbers(connection: &mut PgConnection, load_id: i64) -> anyhow::Result<()> {
    let foreign: Vec<String> = sqlx::query_scalar(
        "select n.number
           from (select reject_id::text as number from pg_temp.bursar_redriven
                  union all
                 select number from pg_temp.bursar_wrong where number ~ '^[0-9]{1,18}$') as n
           left join bursar.rejects as r on r.load_id = $1 and r.line = n.number::bigint - $2
          where r.line is null limit $3",
    )
    .bind(load_id)
    .bind(base(load_id))
    .bind(NAMED)
    .fetch_all(&mut *connection)
    .await
    .context("compare the rows with the rejects")?;
    if !foreign.is_empty() {
        let foreign = foreign.join(", ");
        return Err(fault::data(format!(
            "the file has rows of {ID_COLUMN} {foreign}, which load {load_id} has no rejects of; nothing was changed"
        )));
    }
    let twice: Vec<String> = sqlx::query_scalar(
        "select n.number
           from (select reject_id::text as number from pg_temp.bursar_redriven
                  union all
                 select number from pg_temp.bursar_wrong where number ~ '^[0-9]{1,18}$') as n
          group by 1 having count(*) > 1 order by 1 limit $1",
    )
    .bind(NAMED)
    .fetch_all(connection)
    .await
    .context("look for rows of the same reject")?;
    if twice.is_empty() {
        return Ok(());
    }
    let twice = twice.join(", ");
    Err(fault::data(format!(
        "the file has several rows of {ID_COLUMN} {twice}; one row can correct a reject, not more; nothing was changed"
    )))
}

/// Refuses a row that has run over the beginning of another reject: an open quote makes two of them one, and what was
/// meant as a record would be loaded as a text.
pub(super) async fn check_swallowed(
    connection: &mut PgConnection,
    load_id: i64,
    dataset: &Dataset,
) -> anyhow::Result<()> {
    let texts = dataset.columns.iter().filter(|c| matches!(c.kind, Kind::Text(_)));
    let each: Vec<String> = texts
        .map(|c| {
            format!(
                "select reject_id, m.found[1]::bigint as swallowed
                   from pg_temp.bursar_redriven, regexp_matches({}, $2, 'g') as m (found)",
                c.name.quoted()
            )
        })
        .collect();
    if each.is_empty() {
        return Ok(());
    }
    let query = format!(
        "select s.reject_id, s.swallowed
           from ({}) as s join bursar.rejects as r on r.load_id = $1 and r.line = s.swallowed - $3 limit 1",
        each.join(" union all ")
    );
    let pattern = format!("[\\n\\r]([0-9]{{1,18}}){}", regex::escape(&dataset.dialect.delimiter));
    let found: Option<(i64, i64)> = sqlx::query_as(AssertSqlSafe(query))
        .bind(load_id)
        .bind(pattern)
        .bind(base(load_id))
        .fetch_optional(connection)
        .await
        .context("look for rows that run over others")?;
    match found {
        None => Ok(()),
        Some((row, swallowed)) => Err(fault::data(format!(
            "the row of {ID_COLUMN} {row} runs over the row of {swallowed}: a quote in it is opened and closed only \
             there; nothing was changed"
        ))),
    }
}

/// Sets aside rows that have a key (`unique`) which the table has already: the rejects stay open.
///
/// Where rows are merged by key they are meant to meet theirs, and a key that holds all of that one can meet no other
/// row. But a row that was rejected as a duplicate is the one that was not to be loaded.
pub(super) async fn refuse_known_keys(
    connection: &mut PgConnection,
    table: &Table,
    dataset: &Dataset,
    met: &Met,
) -> anyhow::Result<()> {
    let (is_its_reject, run_date) = (is_its_reject(met.id), met.run_date);
    // A date prints as digits and hyphens.
    let of_date = match &dataset.mode {
        Mode::Append { run_date: column } => format!(" and k.{} = date '{run_date}'", column.quoted()),
        _ => String::new(),
    };
    for key in &dataset.unique {
        let but = match &dataset.mode {
            Mode::Merge { key: merged } => merge_excuse(&dataset.columns, merged),
            _ => String::new(),
        };
        let names: Vec<&str> = key.iter().map(|i| dataset.columns[*i].name.as_str()).collect();
        let same: Vec<String> =
            key.iter().map(|i| dataset.columns[*i].name.quoted()).map(|name| format!("k.{name} = t.{name}")).collect();
        // Whoever is resolved already lies in the table: it is not compared with itself.
        let statement = format!(
            "with known as (
                  delete from pg_temp.bursar_redriven as t
                   using bursar.rejects as r
                   where {is_its_reject} and r.status = 'open'
                     and exists (select from {} as k where {})
                  returning t.reject_id)
             insert into pg_temp.bursar_wrong (number, errors)
             select reject_id::text,
                    jsonb_build_array(jsonb_build_object('column', $1::text, 'code', 'duplicate_key', 'message', $2::text))::text
               from known",
            table.quoted(),
            same.join(" and ") + &of_date + &but
        );
        let column = if let [name] = names[..] { Some(name) } else { None };
        sqlx::query(AssertSqlSafe(statement))
            .bind(column)
            .bind(format!("the table has a row of the same {} (unique)", names.join(", ")))
            .execute(&mut *connection)
            .await
            .context("look for keys that are in the table")?;
    }
    Ok(())
}

/// A row of the same merge key is the one that is to be updated, unless the reject was a duplicate of it.
fn merge_excuse(columns: &[Column], merged: &[usize]) -> String {
    let names = merged.iter().map(|i| columns[*i].name.quoted());
    let is_other: Vec<String> = names.map(|name| format!("k.{name} is distinct from t.{name}")).collect();
    format!(" and ({} or r.errors::jsonb @> '[{{\"code\": \"duplicate_key\"}}]')", is_other.join(" or "))
}

/// What became of the rows of the file.
pub(super) struct Counts {
    pub(super) wrong: u64,
    pub(super) resolved: u64,
    pub(super) discarded: u64,
}

/// Counts the rows, and holds their rejects until the transaction ends.
pub(super) async fn counts(connection: &mut PgConnection, load_id: i64) -> anyhow::Result<Counts> {
    let (wrong, resolved, discarded): (i64, i64, i64) = sqlx::query_as(
        "with held as materialized (
              select r.status from bursar.rejects as r
                join pg_temp.bursar_redriven as t on r.line = t.reject_id - $2
               where r.load_id = $1 order by r.line for update of r)
         select (select count(*) from pg_temp.bursar_wrong),
                count(*) filter (where status = 'resolved'),
                count(*) filter (where status = 'discarded')
           from held",
    )
    .bind(load_id)
    .bind(base(load_id))
    .fetch_one(connection)
    .await
    .context("look what became of the rejects")?;
    let count = |n: i64| u64::try_from(n).unwrap_or_default();
    Ok(Counts { wrong: count(wrong), resolved: count(resolved), discarded: count(discarded) })
}

/// Adds the rows of open rejects to the table for a load, or merges them into it; says how many, and what a merge did.
pub(super) async fn add(
    connection: &mut PgConnection,
    table: &Table,
    dataset: &Dataset,
    (load_id, met): (i64, &Met),
) -> anyhow::Result<(u64, Option<Merged>)> {
    if let Mode::Merge { .. } = &dataset.mode {
        let merged = merge_open(connection, table, dataset, (load_id, met)).await?;
        let loaded = (merged.inserted + merged.updated + merged.unchanged).unsigned_abs();
        return Ok((loaded, Some(merged)));
    }
    let (names, quoted, open, run_date) = (names(&dataset.columns), table.quoted(), is_open(met), met.run_date);
    let (more, value) = match &dataset.mode {
        // A date prints as digits and hyphens.
        Mode::Append { run_date: column } => (format!(", {}", column.quoted()), format!(", date '{run_date}'")),
        _ => (String::new(), String::new()),
    };
    let statement = format!(
        "insert into {quoted} ({names}{more})
         select {names}{value} from pg_temp.bursar_redriven as t where {open}"
    );
    let added = sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await;
    let added =
        added.with_context(|| format!("add the corrected rows to {table}; nothing was changed"))?.rows_affected();
    let given = format!("select count(*) from pg_temp.bursar_redriven as t where {open}");
    let given: i64 = sqlx::query_scalar(AssertSqlSafe(given))
        .fetch_one(&mut *connection)
        .await
        .context("count the corrected rows")?;
    taken::check(connection, table, added, given.unsigned_abs()).await?;
    Ok((added, None))
}

/// Whether the reject of a row `t` is open.
fn is_open(met: &Met) -> String {
    format!("exists (select from bursar.rejects as r where {} and r.status = 'open')", is_its_reject(met.id))
}

/// Whether a row `t` corrects the reject `r` of this load.
fn is_its_reject(load_id: i64) -> String {
    format!("r.load_id = {load_id} and r.line = t.reject_id - {}", base(load_id))
}

async fn merge_open(
    connection: &mut PgConnection,
    table: &Table,
    dataset: &Dataset,
    (load_id, met): (i64, &Met),
) -> anyhow::Result<Merged> {
    let open = Table { schema: Ident::parse("pg_temp")?, name: Ident::parse("bursar_open")? };
    let make = format!(
        "create temporary table bursar_open on commit drop as
                select {} from pg_temp.bursar_redriven as t where {}",
        names(&dataset.columns),
        is_open(met)
    );
    statement::run(connection, make).await.context("choose the rows of open rejects")?;
    let merging = Merging { dataset, table, staged: &open, extent: Extent::Rows, load_id, run_date: met.run_date };
    let merged = merge::merge(connection, merging).await;
    merged.with_context(|| format!("merge the corrected rows into {table}; nothing was changed"))
}

/// The first rows that do not conform.
pub(super) async fn first_wrong(connection: &mut PgConnection) -> anyhow::Result<Vec<StillWrong>> {
    sqlx::query_as(
        "select number as reject_id, line, errors::jsonb as errors from pg_temp.bursar_wrong order by line limit $1",
    )
    .bind(TOLD)
    .fetch_all(connection)
    .await
    .context("look at the rows that are still wrong")
}

/// The measures over the rows of the load, with those that were added.
pub(super) async fn measure(
    connection: &mut PgConnection,
    table: &Table,
    dataset: &Dataset,
    run_date: NaiveDate,
) -> anyhow::Result<Value> {
    let parts = segments::with_segments(connection, table).await?;
    let Mode::Append { run_date: column } = &dataset.mode else {
        return measure::take(connection, &parts, dataset).await;
    };
    let of_date = Table { schema: Ident::parse("pg_temp")?, name: Ident::parse("bursar_of_date")? };
    let (names, column) = (names(&dataset.columns), column.quoted());
    let of_part =
        |part: &Table| format!("select {names} from only {} where {column} = date '{run_date}'", part.quoted());
    let rows: Vec<String> = parts.iter().map(of_part).collect();
    let view = format!("create temporary view bursar_of_date as {}", rows.join(" union all "));
    statement::run(connection, view).await.context("look at the rows of the run date")?;
    let measures = measure::take(connection, &[of_date], dataset).await?;
    statement::run(connection, "drop view pg_temp.bursar_of_date").await.context("look at the rows of the run date")?;
    Ok(measures)
}

/// Closes the rejects whose rows were added; says how many.
pub(super) async fn resolve(connection: &mut PgConnection, (load_id, of): (i64, i64), by: &str) -> anyhow::Result<u64> {
    let resolved = sqlx::query(
        "update bursar.rejects as r
            set status = 'resolved', closed_at = now(), closed_by_load = $1, closed_by = $2
           from pg_temp.bursar_redriven as t
          where r.load_id = $3 and r.line = t.reject_id - $4 and r.status = 'open'",
    )
    .bind(load_id)
    .bind(by)
    .bind(of)
    .bind(base(of))
    .execute(connection)
    .await
    .context("resolve the rejects")?;
    Ok(resolved.rows_affected())
}

/// The rejects of the load that are open.
pub(super) async fn count_open(connection: &mut PgConnection, load_id: i64) -> anyhow::Result<i64> {
    sqlx::query_scalar("select count(*) from bursar.rejects where load_id = $1 and status = 'open'")
        .bind(load_id)
        .fetch_one(connection)
        .await
        .context("count the open rejects")
}
