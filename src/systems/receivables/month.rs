//! `GET /invoices/summary/month`: what was billed in a month, currency by currency.

use super::books::{Books, Rows, close};
use super::{customer, params};
use crate::http::{Money, Month, Operation, Param};
use anyhow::Context;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::{FromRow, query_as};
use utoipa::ToSchema;

const ABOUT: &str = "The sum and the number of the invoices whose invoice date lies in the month, in one currency; \
    `by_currency` has all currencies of the month. Where nothing was billed, the sum is 0.00 and the number 0. Credit notes \
    are counted and summed apart from invoices, in `by_currency`.";

/// What was billed in a month.
#[derive(Serialize, ToSchema)]
struct MonthSummary {
    /// The month.
    #[schema(example = "2024-11", pattern = "^[1-9][0-9]{3}-(0[1-9]|1[0-2])$")]
    month: String,
    /// The currency of the sum.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// What was billed in that currency.
    sum_bill_total: Money,
    /// How many invoices that were.
    #[schema(example = 143, minimum = 0)]
    count_invoices: i64,
    /// The same for every currency of the month, with its credit notes, in alphabetical order.
    by_currency: Vec<CurrencySummary>,
}

/// What was billed in a currency.
#[derive(Serialize, ToSchema, FromRow)]
struct CurrencySummary {
    /// The currency (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// What was billed.
    sum_bill_total: Money,
    /// How many invoices that were.
    #[schema(example = 143, minimum = 0)]
    count_invoices: i64,
    /// What was credited with credit notes, negative.
    sum_credit_total: Money,
    /// How many credit notes that were.
    #[schema(example = 2, minimum = 0)]
    count_credit_notes: i64,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    let month = Param::month("month").about("The month of the invoice dates.").example("2024-11").required();
    let name = params::name("customer_name").about("Only this customer's invoices.").example("Lens & Light");
    let currency = params::currency_code().about("The currency of the sum (ISO 4217).").or("USD".to_owned());
    Operation::get("/invoices/summary/month", "getMonthSummary", "What was billed in a month")
        .about(ABOUT)
        .missing("There is no customer of that name.")
        .takes((month, name, currency))
        .gives(move |(month, name, currency)| summary(books.clone(), month, name, currency))
}

async fn summary(books: Books, month: Month, name: Option<String>, currency: String) -> anyhow::Result<MonthSummary> {
    let mut snapshot = books.open().await?;
    if let Some(name) = &name {
        customer::named(&mut snapshot, name).await?;
    }
    let by_currency = question(month, name).fetch_all(&mut *snapshot).await.context("sum up the month")?;
    close(snapshot).await?;
    let asked = by_currency.iter().find(|sum| sum.currency == currency);
    Ok(MonthSummary {
        month: month.to_string(),
        sum_bill_total: asked.map_or(Money(Decimal::ZERO), |sum| sum.sum_bill_total),
        count_invoices: asked.map_or(0, |sum| sum.count_invoices),
        currency,
        by_currency,
    })
}

fn question(month: Month, name: Option<String>) -> Rows<CurrencySummary> {
    match name {
        None => query_as(include_str!("sql/month.sql")).bind(month.first_day()),
        Some(name) => query_as(include_str!("sql/month_of_customer.sql")).bind(month.first_day()).bind(name),
    }
}
