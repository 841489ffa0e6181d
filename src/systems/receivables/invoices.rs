//! `GET /invoices`: all invoices and credit notes, those of a customer, those that the latest file does not hold any more.

use super::books::{Books, close};
use super::{customer, params};
use crate::http::{Money, Operation, Page, Param, Window};
use anyhow::Context;
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::{FromRow, query_as, query_scalar};
use utoipa::ToSchema;

/// An invoice or credit note, as the latest file that holds it says.
#[expect(clippy::struct_field_names, reason = "the names are those of the API")]
#[derive(Serialize, ToSchema, FromRow)]
pub(super) struct Invoice {
    /// What tells invoices apart.
    #[schema(example = "DF2014658")]
    invoice_number: String,
    /// `invoice`, or `credit_note` where the total is negative.
    #[schema(example = "invoice")]
    kind: String,
    /// Who is billed.
    #[schema(example = 17, minimum = 1)]
    customer_id: i64,
    /// The customer's name.
    #[schema(example = "LogicNest")]
    customer_name: String,
    /// When it was written.
    #[schema(example = "2024-03-11")]
    invoice_date: NaiveDate,
    /// When it is due; where the file leaves it blank, it follows from the terms.
    #[schema(example = "2024-04-10")]
    due_date: NaiveDate,
    /// The customer's purchase order.
    #[schema(example = "PO-000001")]
    customer_po_number: Option<String>,
    /// What is billed; negative in a credit note.
    bill_total: Money,
    /// What was paid or credited of it; what was used of a credit note is negative like its total.
    applied: Money,
    /// What is billed and not applied, never below 0.
    outstanding: Money,
    /// What is left of a credit note, as a positive amount; 0 of an invoice.
    open_credit: Money,
    /// The currency of the four amounts (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// Closed or Pending, as the file says.
    #[schema(example = "Pending")]
    status: String,
    /// The terms, as the file says.
    #[schema(example = "Net 30")]
    customer_terms: Option<String>,
    /// The days of terms written as Net N; null for others.
    #[schema(example = 30, minimum = 0)]
    terms_days: Option<i32>,
    /// The run date since which it is known to be so.
    #[schema(example = "2025-03-01")]
    known_since: NaiveDate,
    /// The load that made or changed it last.
    #[schema(example = 42, minimum = 1)]
    load_id: i64,
    /// The run date of the first file that did not hold it any more; null while the latest file does.
    #[schema(example = "2025-03-02")]
    missing_since: Option<NaiveDate>,
}

/// Which invoices are asked for.
#[derive(Clone)]
struct Filter {
    customer: Option<i64>,
    missing: Option<bool>,
    number: Option<String>,
    kind: Option<&'static str>,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    let customer = Param::integer("customer_id").about("Only this customer's invoices.").example("17");
    let missing = Param::boolean("missing")
        .about("`true`: only invoices that the latest file does not hold any more; `false`: only those that it does.")
        .example("true");
    let kind = Param::choice("kind", &[("invoice", "invoice"), ("credit_note", "credit_note")])
        .about("Only invoices, or only credit notes.")
        .example("credit_note");
    let number = number("invoice_number").about("Only the invoice of this number, whatever characters it has.");
    Operation::get("/invoices", "listInvoices", "All invoices and credit notes")
        .about("In the order of their numbers. Invoices stay when files do not hold them any more.")
        .missing("There is no customer of that id.")
        .takes((customer, missing, number.example("DF2014658"), kind, params::paging()))
        .lists(move |(customer, missing, number, kind, window)| {
            invoices(books.clone(), Filter { customer, missing, number, kind }, window)
        })
}

/// An invoice's number.
pub(super) fn number(parameter: &str) -> Param<Option<String>> {
    Param::text(parameter, 100)
}

async fn invoices(books: Books, filter: Filter, window: Window) -> anyhow::Result<Page<Invoice>> {
    let Filter { customer, missing, number, kind } = filter;
    let mut snapshot = books.open().await?;
    if let Some(id) = customer {
        customer::of_id(&mut snapshot, id).await?;
    }
    let total = query_scalar(include_str!("sql/invoices_count.sql"));
    let total = total.bind(customer).bind(missing).bind(number.clone()).bind(kind);
    let items = query_as(include_str!("sql/invoices.sql")).bind(customer).bind(missing).bind(number).bind(kind);
    let total = total.fetch_one(&mut *snapshot).await.context("count the invoices")?;
    let items = items.bind(window.limit).bind(window.offset).fetch_all(&mut *snapshot).await;
    close(snapshot).await?;
    Ok(window.page(items.context("read a page of invoices")?, total))
}
