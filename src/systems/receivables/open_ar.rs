//! Open AR: what is outstanding of invoices that are Pending. `GET /customers/open-ar` for all customers,
//! `GET /customers/{id}/open-ar` for one and those that belong to it.

use super::books::{Books, Snapshot, close};
use super::customer::{self, Reach};
use super::params;
use crate::http::{Money, Operation, Page, Param, Window};
use anyhow::Context;
use serde::Serialize;
use sqlx::{FromRow, query_as, query_scalar};
use utoipa::ToSchema;

const ABOUT_ALL: &str = "Customers with something outstanding of invoices that are Pending, once for each currency: the \
    currencies in alphabetical order, in each the customer that owes most first.";

const ABOUT_ONE: &str = "What is outstanding of invoices that are Pending, currency by currency. With `children=true` \
    those of the customers that belong to it count, too, and of those that belong to them, whatever the depth; each \
    counts once.";

/// What a customer owes in a currency.
#[derive(Serialize, ToSchema, FromRow)]
struct CustomerOpenAr {
    /// The customer.
    #[schema(example = 17, minimum = 1)]
    customer_id: i64,
    /// Its name.
    #[schema(example = "Lens & Light")]
    customer_name: String,
    /// The currency (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// How many invoices are Pending, with something outstanding.
    #[schema(example = 2, minimum = 1)]
    invoices: i64,
    /// What is outstanding of them.
    open_ar: Money,
}

/// What a customer owes, perhaps with those that belong to it.
#[derive(Serialize, ToSchema)]
struct OpenAr {
    /// The customer.
    #[schema(example = 17, minimum = 1)]
    customer_id: i64,
    /// Its name.
    #[schema(example = "Lens & Light")]
    customer_name: String,
    /// What is outstanding, in alphabetical order of the currencies; none without an invoice.
    by_currency: Vec<CurrencyOpenAr>,
    /// The customers that belong to it and count, in the order of their names; this page of them.
    children: Vec<Child>,
    /// How many of them there are in all pages.
    #[schema(example = 3, minimum = 0)]
    children_total: i64,
}

/// What is outstanding in a currency.
#[derive(Serialize, ToSchema)]
struct CurrencyOpenAr {
    /// The currency (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// What is outstanding of invoices that are Pending.
    open_ar: Money,
}

/// A customer that belongs to another.
#[derive(Serialize, ToSchema, FromRow)]
struct Child {
    /// The customer.
    #[schema(example = 18, minimum = 1)]
    id: i64,
    /// Its name.
    #[schema(example = "Lens & Light West")]
    customer_name: String,
    /// Its number, where a file says so.
    #[schema(example = "C-1008")]
    customer_number: Option<String>,
}

pub(super) fn of_all(books: &Books) -> Operation {
    let books = books.clone();
    Operation::get("/customers/open-ar", "listOpenAr", "What each customer owes")
        .about(ABOUT_ALL)
        .takes((params::currency(), params::paging()))
        .lists(move |(currency, window)| all(books.clone(), currency, window))
}

async fn all(books: Books, currency: Option<String>, window: Window) -> anyhow::Result<Page<CustomerOpenAr>> {
    let total = query_scalar(include_str!("sql/open_ar_count.sql")).bind(currency.clone());
    let items = query_as(include_str!("sql/open_ar.sql")).bind(currency).bind(window.limit).bind(window.offset);
    books.page(window, items, total).await
}

pub(super) fn of_one(books: &Books) -> Operation {
    let books = books.clone();
    let children = Param::boolean("children").about("Whether those that belong to it count, too.").or(false);
    Operation::get("/customers/{id}/open-ar", "getOpenAr", "What a customer owes, with those that belong to it")
        .about(ABOUT_ONE)
        .missing("There is no customer of that id.")
        .takes((params::customer_id(), children, params::paging()))
        .gives(move |(id, children, window)| {
            one(books.clone(), id, if children { Reach::WithChildren } else { Reach::Own }, window)
        })
}

async fn one(books: Books, id: i64, reach: Reach, window: Window) -> anyhow::Result<OpenAr> {
    let mut snapshot = books.open().await?;
    let customer = customer::of_id(&mut snapshot, id).await?;
    let balances = customer::balances(&mut snapshot, id, books.day(None), reach).await?;
    let (children, children_total) = match reach {
        Reach::Own => (Vec::new(), 0),
        Reach::WithChildren => children(&mut snapshot, id, window).await?,
    };
    close(snapshot).await?;
    let by_currency = balances.into_iter().map(|b| CurrencyOpenAr { currency: b.currency, open_ar: b.open_ar });
    Ok(OpenAr {
        customer_id: id,
        customer_name: customer.customer_name,
        by_currency: by_currency.collect(),
        children,
        children_total,
    })
}

async fn children(snapshot: &mut Snapshot, id: i64, window: Window) -> anyhow::Result<(Vec<Child>, i64)> {
    let total = query_scalar(include_str!("sql/children_count.sql")).bind(id).fetch_one(&mut **snapshot).await;
    let children = query_as(include_str!("sql/children.sql"))
        .bind(id)
        .bind(window.limit)
        .bind(window.offset)
        .fetch_all(&mut **snapshot)
        .await;
    Ok((children.context("read who belongs to a customer")?, total.context("count who belongs to a customer")?))
}
