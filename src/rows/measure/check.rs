//! Looks whether the server knows what a dataset's measures say, before a file is there to take them of.

use crate::rows::dataset::Dataset;
use crate::rows::statement;
use crate::rows::table::columns_of;
use anyhow::Context;
use sqlx::PgPool;

/// What the server says of the measures that it would refuse, each in a sentence. Nothing is run: statements are only
/// prepared, over rows of the dataset's columns.
///
/// # Errors
/// When the server can't be asked.
pub async fn problems(pool: &PgPool, dataset: &Dataset) -> anyhow::Result<Vec<String>> {
    let mut connection = pool.acquire().await.context("take a connection to look at measures")?;
    let columns = columns_of(dataset).into_iter().map(|(name, kind, _)| format!("null::{kind} as {}", name.quoted()));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let mut found = Vec::new();
    // Beside a count, what is no aggregate is refused as well.
    for measure in &dataset.measures {
        let query = format!("select count(*), {} from (select {columns}) as rows", measure.as_text());
        match statement::prepare(&mut connection, query).await {
            Ok(()) => {}
            Err(sqlx::Error::Database(error)) => {
                let (name, sql) = (&measure.name, &measure.sql);
                found.push(format!("the measure {name} of the dataset {} ({sql}): {}", dataset.name, error.message()));
            }
            Err(error) => return Err(error).context("ask the server about measures"),
        }
    }
    Ok(found)
}
