//! Lists deliveries for people.

use super::store::{Delivery, State};
use crate::fault;
use chrono::NaiveDate;
use sqlx::PgPool;
use sqlx::error::DatabaseError;

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
}

/// The deliveries there are, by run date, dataset and customer.
///
/// # Errors
/// A configuration fault where the database is not migrated; else what the server says.
pub async fn list(pool: &PgPool, filter: &Filter) -> anyhow::Result<Vec<Delivery>> {
    sqlx::query_as(
        "select *
           from bursar.deliveries
          where ($1::date is null or run_date >= $1)
            and ($2::date is null or run_date <= $2)
            and ($3::text is null or dataset = $3)
            and ($4::text is null or customer = $4)
            and ($5::text is null or state = $5)
          order by run_date, dataset, customer",
    )
    .bind(filter.from)
    .bind(filter.to)
    .bind(&filter.dataset)
    .bind(&filter.customer)
    .bind(filter.state.map(State::as_str))
    .fetch_all(pool)
    .await
    .map_err(|error| match error.as_database_error().and_then(DatabaseError::code).as_deref() {
        // SQLSTATE undefined_table.
        Some("42P01") => fault::config("there is no table bursar.deliveries yet; make it with `bursar migrate`"),
        _ => anyhow::Error::new(error).context("list the deliveries"),
    })
}
