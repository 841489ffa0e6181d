//! Asks the server whether it understands a dataset's measures, before there is a file to take them of.

use super::sql_place;
use crate::config::{Problems, Source};
use crate::db::prepare::{Answer, Prepared};
use crate::rows::dataset::Dataset;
use anyhow::Context;
use sqlx::PgPool;

/// The measures that the server would refuse, each at its line of `source`, the file of the dataset. Nothing is run:
/// statements are only prepared, over rows of the dataset's columns.
///
/// # Errors
/// When the server can't be asked.
pub async fn problems(pool: &PgPool, dataset: &Dataset, source: &Source) -> anyhow::Result<Problems> {
    let mut connection = pool.acquire().await.context("take a connection to check measures")?;
    let columns = dataset.columns.iter().map(|c| format!("null::{} as {}", c.kind.sql_type(), c.name.quoted()));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let mut problems = Problems::default();
    for measure in &dataset.measures {
        let after = format!("\n)::{})::text from (select {columns}) as rows", measure.kind.sql_type());
        // Beside a count, what is no aggregate is refused as well.
        let prepared = Prepared { before: "select count(*), ((", sql: &measure.sql, after: &after };
        if let Answer::Refused(refusal) = prepared.ask(&mut connection).await? {
            let place = sql_place(source, measure.name.as_str());
            problems.push(prepared.problem(&place, &refusal, "the server refuses the measure: "));
        }
    }
    Ok(problems)
}
