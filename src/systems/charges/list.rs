//! Lists charges for people.

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// The states of a charge, as in `charges.outbox`.
pub const STATES: [&str; 6] = ["pending", "sent", "accepted", "succeeded", "failed", "uncertain"];

/// Which charges to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only in this state.
    pub state: Option<String>,
    /// Only those that wait for an operator.
    pub needs_operator: bool,
    /// Only of this customer of the stream API.
    pub customer: Option<String>,
    /// Only those first requested at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only those first requested before this time.
    pub until: Option<DateTime<Utc>>,
    /// How many at most.
    pub limit: i64,
}

/// A charge in the list.
#[derive(Clone, Debug, Serialize, FromRow)]
pub struct Listed {
    /// The charge.
    pub charge_id: Uuid,
    /// The number of its invoice.
    pub document_number: String,
    /// The customer in the stream API.
    pub stream_customer_id: String,
    /// Its state.
    pub state: String,
    /// Whether nothing more is done until an operator decides.
    pub needs_operator: bool,
    /// The total of the lines that are sent, with the digits they have.
    pub amount: Option<String>,
    /// The currency of the amount.
    pub currency_code: Option<String>,
    /// The accounting API's id of the invoice.
    pub invoice_id: Option<String>,
    /// Which of its keys is in use, from 1.
    pub attempt: i32,
    /// The code of the error.
    pub error_code: Option<String>,
    /// Why it failed, or is uncertain.
    pub error: Option<String>,
    /// When the next step is taken without anybody's doing; `None` for never.
    pub next_at: Option<DateTime<Utc>>,
    /// When it was first requested.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub changed_at: DateTime<Utc>,
}

/// Charges: those that wait for an operator first, then the uncertain ones, the failed ones, those under way, and the
/// invoices; within each the last changed first.
///
/// # Errors
/// Passes on errors of the database.
pub async fn list(pool: &PgPool, filter: &Filter) -> anyhow::Result<Vec<Listed>> {
    sqlx::query_as(include_str!("sql/list.sql"))
        .bind(&filter.state)
        .bind(filter.needs_operator)
        .bind(&filter.customer)
        .bind(filter.from)
        .bind(filter.until)
        .bind(filter.limit)
        .fetch_all(pool)
        .await
        .context("list the charges")
}
