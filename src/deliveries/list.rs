//! Lists deliveries for people.

use super::store::{Delivery, State};
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::error::DatabaseError;
use sqlx::{FromRow, PgPool};

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The first run date.
    pub from: Option<NaiveDate>,
    /// The last run date.
    pub to: Option<NaiveDate>,
    /// Only this dataset.
    pub dataset: Option<String>,
    /// Only this customer.
    pub customer: Option<String>,
    /// Only this state.
    pub state: Option<State>,
    /// Only this outcome; see [`OUTCOMES`].
    pub outcome: Option<String>,
}

/// The outcomes that the load of a delivery can have: the states of a load, `refused` (nothing of the file was loaded
/// because of what it contains) and `failed` (its load failed for another reason).
pub const OUTCOMES: [&str; 6] = ["published", "measured", "held", "discarded", "refused", "failed"];

/// A delivery and what came of its file.
#[derive(Clone, Debug, Serialize, FromRow)]
pub struct Listed {
    /// The delivery.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub delivery: Delivery,
    /// The outcome of its load, one of [`OUTCOMES`]; `None` before its load has ended.
    pub outcome: Option<String>,
    /// Why its load failed.
    pub failure: Option<String>,
}

/// The deliveries there are, by run date, dataset and customer.
///
/// # Errors
/// A configuration fault where the database is not migrated; else what the server says.
pub async fn list(pool: &PgPool, filter: &Filter) -> anyhow::Result<Vec<Listed>> {
    let listed = sqlx::query_as(include_str!("list.sql"))
        .bind(filter.from)
        .bind(filter.to)
        .bind(&filter.dataset)
        .bind(&filter.customer)
        .bind(filter.state.map(State::as_str))
        .bind(&filter.outcome)
        .fetch_all(pool)
        .await;
    listed.map_err(|error| {
        if has_no_tables(&error) {
            return fault::config("there is no table bursar.deliveries yet; make it with `bursar migrate`");
        }
        anyhow::Error::new(error).context("list the deliveries")
    })
}

/// SQLSTATE `undefined_table`.
fn has_no_tables(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("42P01")
}

/// Names that something was once loaded or expected under.
#[derive(Clone, Debug, Default, FromRow)]
pub struct Names {
    /// Of datasets.
    pub datasets: Vec<String>,
    /// Of customers.
    pub customers: Vec<String>,
}

/// The names of all datasets and customers that were ever loaded or expected, also of those that are configured no more;
/// none in a database without tables.
///
/// # Errors
/// What the server says.
pub async fn names(pool: &PgPool) -> anyhow::Result<Names> {
    let found = sqlx::query_as(
        "select coalesce(array_agg(distinct dataset), '{}') as datasets,
                coalesce(array_agg(distinct customer), '{}') as customers
           from (select dataset, customer from bursar.loads
                  union
                 select dataset, customer from bursar.deliveries) as known",
    )
    .fetch_one(pool)
    .await;
    match found {
        Err(error) if has_no_tables(&error) => Ok(Names::default()),
        found => found.context("look for the names of datasets and customers"),
    }
}
