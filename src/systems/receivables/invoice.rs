//! `GET /invoices/{invoice_number}`: an invoice, and what it was before.

use super::books::{Books, Snapshot, close};
use super::invoices::{self, Invoice};
use super::params;
use crate::http::{Money, Operation, Problem, Window};
use anyhow::Context;
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::{FromRow, query_as, query_scalar};
use utoipa::ToSchema;
use uuid::Uuid;

const ABOUT: &str = "As the latest file that holds it says, with what it was before each load that changed it. An invoice \
    numbered like another path (`aging`, `dso`, `past-due`, `.`) is found with `/invoices?invoice_number=`.";

/// An invoice, and what it was before.
#[derive(Serialize, ToSchema)]
struct InvoiceDetail {
    #[serde(flatten)]
    invoice: Invoice,
    /// What it was before, the latest first; this page of it.
    history: Vec<Version>,
    /// How often it was changed.
    #[schema(example = 2, minimum = 0)]
    history_total: i64,
}

/// What an invoice was before a load changed it.
#[derive(Serialize, ToSchema, FromRow)]
#[schema(as = InvoiceVersion)]
struct Version {
    /// The first run date on which it was known to be so.
    #[schema(example = "2025-02-01")]
    known_since: NaiveDate,
    /// The first run date on which it was known to be otherwise; the same where it was corrected that day.
    #[schema(example = "2025-03-01")]
    known_until: NaiveDate,
    /// The load that made it so.
    #[schema(example = 40, minimum = 1)]
    load_id: i64,
    /// The load that changed it.
    #[schema(example = 42, minimum = 1)]
    replaced_by: i64,
    /// The run of that load; null where it was no run's.
    #[schema(example = "019b7a3e-5f0c-7cc1-b3a9-6f2d6a6f2c11")]
    run_id: Option<Uuid>,
    /// Who was billed.
    #[schema(example = "LogicNest")]
    customer_name: String,
    /// `invoice`, or `credit_note` where the total was negative.
    #[schema(example = "invoice")]
    kind: String,
    /// When it was written.
    #[schema(example = "2024-03-11")]
    invoice_date: NaiveDate,
    /// When it was due.
    #[schema(example = "2024-04-10")]
    due_date: NaiveDate,
    /// The customer's purchase order.
    #[schema(example = "PO-000001")]
    customer_po_number: Option<String>,
    /// What was billed.
    bill_total: Money,
    /// What had been paid or credited of it.
    applied: Money,
    /// What was billed and not applied.
    outstanding: Money,
    /// What was left of a credit note; 0 of an invoice.
    open_credit: Money,
    /// The currency of the four amounts (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// Closed or Pending.
    #[schema(example = "Pending")]
    status: String,
    /// The terms.
    #[schema(example = "Net 30")]
    customer_terms: Option<String>,
}

/// An invoice with its id.
#[derive(FromRow)]
struct Found {
    id: i64,
    #[sqlx(flatten)]
    invoice: Invoice,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    let number = invoices::number("invoice_number").in_path().about("The invoice's number.").example("DF2014658");
    Operation::get("/invoices/{invoice_number}", "getInvoice", "An invoice, and what it was before")
        .about(ABOUT)
        .missing("There is no invoice of that number.")
        .takes((number, params::paging()))
        .gives(move |(number, window)| detail(books.clone(), number, window))
}

async fn detail(books: Books, number: String, window: Window) -> anyhow::Result<InvoiceDetail> {
    let mut snapshot = books.open().await?;
    let Found { id, invoice } = find(&mut snapshot, &number).await?;
    let total = query_scalar(include_str!("sql/history_count.sql")).bind(id).fetch_one(&mut *snapshot).await;
    let history = query_as(include_str!("sql/history.sql"))
        .bind(id)
        .bind(window.limit)
        .bind(window.offset)
        .fetch_all(&mut *snapshot)
        .await
        .context("read what an invoice was before")?;
    close(snapshot).await?;
    Ok(InvoiceDetail { invoice, history, history_total: total.context("count what an invoice was before")? })
}

async fn find(snapshot: &mut Snapshot, number: &str) -> anyhow::Result<Found> {
    let found = query_as(include_str!("sql/invoice.sql")).bind(number).fetch_optional(&mut **snapshot).await;
    let missing = || Problem::not_found(format!("There is no invoice {number:?}; /invoices lists them.")).into();
    found.context("look for an invoice")?.ok_or_else(missing)
}
