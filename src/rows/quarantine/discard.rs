//! Lets rejects go: they stay, with who said so and why.

use super::{Filter, Status, matching, place};
use anyhow::Context;
use sqlx::{Arguments, PgConnection};

/// Open rejects that were found, to be discarded or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub count: i64,
    /// The loads that met them: the rejects of another were not seen, and those of one come all at once.
    pub loads: Vec<i64>,
}

fn open(filter: &Filter) -> Filter {
    Filter { status: Some(Status::Open), ..filter.clone() }
}

/// The first of these numbers that is no reject's, whatever became of it.
///
/// # Errors
/// What the server says.
pub async fn unknown(connection: &mut PgConnection, ids: &[i64]) -> anyhow::Result<Option<i64>> {
    let (loads, lines): (Vec<i64>, Vec<i64>) = ids.iter().copied().map(place).unzip();
    sqlx::query_scalar(
        "select asked.id
           from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality as asked (id, load_id, line, place)
          where not exists (
                select from bursar.rejects as r where r.load_id = asked.load_id and r.line = asked.line)
          order by asked.place
          limit 1",
    )
    .bind(ids)
    .bind(loads)
    .bind(lines)
    .fetch_optional(connection)
    .await
    .context("look for the rejects")
}

/// The open rejects that match.
///
/// # Errors
/// What the server says.
pub async fn count(connection: &mut PgConnection, filter: &Filter) -> anyhow::Result<Found> {
    let query = matching!("select count(*), coalesce(array_agg(distinct r.load_id), '{}')", "");
    let (count, loads) = sqlx::query_as_with(query, open(filter).arguments()?)
        .fetch_one(connection)
        .await
        .context("count the open rejects")?;
    Ok(Found { count, loads })
}

/// Discards the open rejects that match and were found; says how many.
///
/// # Errors
/// What the server says.
pub async fn discard(
    connection: &mut PgConnection,
    filter: &Filter,
    found: &Found,
    by: &str,
    reason: &str,
) -> anyhow::Result<u64> {
    let mut arguments = open(filter).arguments()?;
    arguments
        .add(&found.loads)
        .and_then(|()| arguments.add(by))
        .and_then(|()| arguments.add(reason))
        .map_err(anyhow::Error::from_boxed)?;
    let query = matching!(
        "update bursar.rejects
            set status = 'discarded', closed_at = now(), closed_by = $13, close_reason = $14
          where status = 'open' and (load_id, line) in (select r.load_id, r.line",
        " and r.load_id = any ($12))"
    );
    let done = sqlx::query_with(query, arguments).execute(connection).await.context("discard the rejects")?;
    Ok(done.rows_affected())
}
