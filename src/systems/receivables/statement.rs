//! `GET /customers/{id}/statement`: what a customer has not paid yet, invoice by invoice, and its open credit notes.

use super::books::{Books, close};
use super::customer::{self, Balance, Reach};
use super::params;
use crate::http::{Money, Operation, Window};
use anyhow::Context;
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::{FromRow, query_as, query_scalar};
use utoipa::ToSchema;

const ABOUT: &str = "Every invoice with something outstanding and every credit note of which something is left as the latest \
    file says, due or not, the oldest due date first, and the balances of all the customer's invoices and credit notes.";

/// What a customer has not paid yet.
#[derive(Serialize, ToSchema)]
struct Statement {
    /// The customer.
    #[schema(example = 17, minimum = 1)]
    customer_id: i64,
    /// Its name.
    #[schema(example = "Lens & Light")]
    customer_name: String,
    /// The day that is asked of.
    #[schema(example = "2025-03-01")]
    as_of: NaiveDate,
    /// What it was billed and what it owes, currency by currency.
    balances: Vec<Balance>,
    /// The invoices and credit notes of this page.
    items: Vec<OpenInvoice>,
    /// How many there are in all pages.
    #[schema(example = 2, minimum = 0)]
    total: i64,
    /// How many a page holds at most.
    #[schema(example = 50, minimum = 1)]
    limit: i64,
    /// How many come before this page.
    #[schema(example = 0, minimum = 0)]
    offset: i64,
}

/// An invoice with something outstanding, or a credit note of which something is left.
#[derive(Serialize, ToSchema, FromRow)]
struct OpenInvoice {
    /// What tells invoices apart.
    #[schema(example = "DF2014658")]
    invoice_number: String,
    /// `invoice`, or `credit_note` where the total is negative.
    #[schema(example = "invoice")]
    kind: String,
    /// When it was written.
    #[schema(example = "2024-03-11")]
    invoice_date: NaiveDate,
    /// When it is due.
    #[schema(example = "2024-04-10")]
    due_date: NaiveDate,
    /// The customer's purchase order.
    #[schema(example = "PO-000001")]
    customer_po_number: Option<String>,
    /// What is billed; negative in a credit note.
    bill_total: Money,
    /// What was paid or credited of it; what was used of a credit note is negative like its total.
    applied: Money,
    /// What is billed and not applied; 0 of a credit note.
    outstanding: Money,
    /// What is left of a credit note, as a positive amount; 0 of an invoice.
    open_credit: Money,
    /// The currency of the four amounts (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// Closed or Pending, as the file says.
    #[schema(example = "Pending")]
    status: String,
    /// Days from the due date to the day that is asked of; 0 where it is not past due, and of a credit note.
    #[schema(example = 325, minimum = 0)]
    days_past_due: i32,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    Operation::get("/customers/{id}/statement", "getStatement", "What a customer has not paid yet")
        .about(ABOUT)
        .missing("There is no customer of that id.")
        .takes((params::customer_id(), params::as_of(), params::paging()))
        .gives(move |(id, as_of, window)| statement(books.clone(), id, as_of, window))
}

async fn statement(books: Books, id: i64, as_of: Option<NaiveDate>, window: Window) -> anyhow::Result<Statement> {
    let as_of = books.day(as_of);
    let mut snapshot = books.open().await?;
    let customer = customer::of_id(&mut snapshot, id).await?;
    let balances = customer::balances(&mut snapshot, id, as_of, Reach::Own).await?;
    let total = query_scalar(include_str!("sql/statement_count.sql")).bind(id).fetch_one(&mut *snapshot).await;
    let items = query_as(include_str!("sql/statement.sql"))
        .bind(id)
        .bind(as_of)
        .bind(window.limit)
        .bind(window.offset)
        .fetch_all(&mut *snapshot)
        .await
        .context("read a customer's open invoices")?;
    close(snapshot).await?;
    Ok(Statement {
        customer_id: id,
        customer_name: customer.customer_name,
        as_of,
        balances,
        items,
        total: total.context("count a customer's open invoices")?,
        limit: window.limit,
        offset: window.offset,
    })
}
