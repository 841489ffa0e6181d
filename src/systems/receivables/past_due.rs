//! `GET /invoices/past-due`: what should have been paid before a day.

use super::books::{Books, Count, Rows};
use super::params;
use crate::http::{Money, Operation, Page, Param, Window};
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::{FromRow, query_as, query_scalar};
use utoipa::ToSchema;

const ABOUT: &str = "Invoices with something outstanding whose due date lies before `as_of`. Plainly asked, the amounts \
    are those of the latest file, whatever the day; with `as_known_on` they are those that were known then, with what \
    had been applied at that time. Invoices of the same due date come in the order of their numbers.";

/// An invoice that is past due.
#[derive(Serialize, ToSchema, FromRow)]
struct PastDueInvoice {
    /// What tells invoices apart.
    #[schema(example = "DF2014658")]
    invoice_number: String,
    /// Who is billed.
    #[schema(example = "LogicNest")]
    customer_name: String,
    /// When it was written.
    #[schema(example = "2024-03-11")]
    invoice_date: NaiveDate,
    /// When it should have been paid.
    #[schema(example = "2024-04-10")]
    due_date: NaiveDate,
    /// What is billed.
    bill_total: Money,
    /// What was paid or credited of it.
    applied: Money,
    /// What is billed and not applied.
    outstanding: Money,
    /// The currency of the three amounts (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// Closed or Pending, as the file says.
    #[schema(example = "Pending")]
    status: String,
    /// Days from the due date to the day that is asked of.
    #[schema(example = 325, minimum = 1)]
    days_past_due: i32,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    let as_known_on = Param::date("as_known_on")
        .about("With the invoices and amounts that were known at the end of this run date.")
        .example("2025-03-01");
    let sort = Param::choice("sort", &[("due_date.asc", "due_date.asc"), ("due_date.desc", "due_date.desc")])
        .about("The invoices that are past due longest come first, or last.")
        .or_first();
    Operation::get("/invoices/past-due", "listPastDueInvoices", "Invoices that are past due")
        .about(ABOUT)
        .takes((params::as_of(), as_known_on, sort, params::paging()))
        .lists(move |(as_of, as_known_on, sort, window)| past_due(books.clone(), as_of, as_known_on, sort, window))
}

async fn past_due(
    books: Books,
    as_of: Option<NaiveDate>,
    as_known_on: Option<NaiveDate>,
    sort: &'static str,
    window: Window,
) -> anyhow::Result<Page<PastDueInvoice>> {
    let as_of = books.day(as_of);
    let (items, total) = match as_known_on {
        None => now(as_of, sort, window),
        Some(known_on) => then(as_of, known_on, sort, window),
    };
    books.page(window, items, total).await
}

fn now(as_of: NaiveDate, sort: &'static str, window: Window) -> (Rows<PastDueInvoice>, Count) {
    let items =
        query_as(include_str!("sql/past_due.sql")).bind(as_of).bind(sort).bind(window.limit).bind(window.offset);
    (items, query_scalar(include_str!("sql/past_due_count.sql")).bind(as_of))
}

fn then(as_of: NaiveDate, known_on: NaiveDate, sort: &'static str, window: Window) -> (Rows<PastDueInvoice>, Count) {
    let items = query_as(include_str!("sql/past_due_as_known.sql"))
        .bind(as_of)
        .bind(sort)
        .bind(window.limit)
        .bind(window.offset)
        .bind(known_on);
    (items, query_scalar(include_str!("sql/past_due_as_known_count.sql")).bind(as_of).bind(known_on))
}
