//! `GET /invoices/dso`: days sales outstanding, month by month.

use super::books::Books;
use super::params;
use crate::http::{Money, Month, Operation, Page, Paging, Param, Window};
use chrono::Months;
use serde::Serialize;
use sqlx::{FromRow, query_as, query_scalar};
use utoipa::ToSchema;

const ABOUT: &str = "Days sales outstanding: what is outstanding of everything billed up to the month's end, over what \
    was billed in the month, times the month's days. What is outstanding is as the latest file says, so the figure of a \
    past month falls as its invoices are paid. One item for each month and each currency that was ever billed; none \
    where `from` is after `to`.";

/// Days sales outstanding of a month in a currency.
#[expect(clippy::struct_field_names, reason = "the names are those of the API")]
#[derive(Serialize, ToSchema, FromRow)]
struct Dso {
    /// The month.
    #[schema(example = "2024-11", pattern = "^[1-9][0-9]{3}-(0[1-9]|1[0-2])$")]
    month: String,
    /// The currency of the amounts (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// What was billed in the month.
    billed: Money,
    /// What is outstanding of everything billed up to its end.
    receivable: Money,
    /// The days of the month.
    #[schema(example = 30, minimum = 28, maximum = 31)]
    days: i32,
    /// Days sales outstanding, with one decimal; null where nothing was billed.
    #[schema(example = 41.3, minimum = 0)]
    dso_days: Option<f64>,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    let from = Param::month("from").about("The first month; where it is not given, eleven before the last.");
    let to = Param::month("to").about("The last month; where it is not given, this one in New York.");
    Operation::get("/invoices/dso", "listDso", "Days sales outstanding, month by month")
        .about(ABOUT)
        .takes((from.example("2024-04"), to.example("2025-03"), params::currency(), Paging::up_to(120, 120)))
        .lists(move |(from, to, currency, window)| dso(books.clone(), from, to, currency, window))
}

async fn dso(
    books: Books,
    from: Option<Month>,
    to: Option<Month>,
    currency: Option<String>,
    window: Window,
) -> anyhow::Result<Page<Dso>> {
    let last = books.month(to).first_day();
    let a_year = || last.checked_sub_months(Months::new(11)).unwrap_or(last);
    let first = from.map_or_else(a_year, Month::first_day);
    let total = query_scalar(include_str!("sql/dso_count.sql")).bind(first).bind(last).bind(currency.clone());
    let items = query_as(include_str!("sql/dso.sql"))
        .bind(first)
        .bind(last)
        .bind(currency)
        .bind(window.limit)
        .bind(window.offset);
    books.page(window, items, total).await
}
