//! `GET /customers/{id}`: a customer and what it owes.

use super::books::{Books, Snapshot, close};
use super::customers::Customer;
use super::params;
use crate::http::{Money, Operation, Problem};
use anyhow::Context;
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::{FromRow, query_as};
use utoipa::ToSchema;

/// A customer and what it owes.
#[derive(Serialize, ToSchema)]
struct CustomerDetail {
    #[serde(flatten)]
    customer: Customer,
    /// What it was billed and what it owes, currency by currency; none without an invoice.
    balances: Vec<Balance>,
}

/// What a customer was billed and owes in a currency.
#[derive(Serialize, ToSchema, FromRow)]
pub(super) struct Balance {
    /// The currency of the amounts (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    pub(super) currency: String,
    /// How many invoices it has.
    #[schema(example = 23, minimum = 0)]
    invoices: i64,
    /// What is billed with them.
    billed: Money,
    /// What was paid or credited of them.
    applied: Money,
    /// What is billed and not applied, invoice by invoice; what is applied beyond an invoice does not count.
    outstanding: Money,
    /// What is outstanding and due before `as_of`.
    past_due: Money,
    /// What is outstanding of invoices that are Pending.
    pub(super) open_ar: Money,
    /// How many credit notes it has.
    #[schema(example = 1, minimum = 0)]
    credit_notes: i64,
    /// What is credited with them, negative.
    credited: Money,
    /// What is left of them, as a positive amount. It is not taken off what is outstanding.
    open_credit: Money,
}

/// A customer that was found by its name.
#[derive(FromRow)]
pub(super) struct Named {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) contacts: i64,
}

/// Whose invoices count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The customer's own.
    Own,
    /// Those of the customers below it, too.
    WithChildren,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    Operation::get("/customers/{id}", "getCustomer", "A customer and what it owes")
        .about("The balances are of the customer alone, without those that belong to it.")
        .missing("There is no customer of that id.")
        .takes((params::customer_id(), params::as_of()))
        .gives(move |(id, as_of)| detail(books.clone(), id, as_of))
}

async fn detail(books: Books, id: i64, as_of: Option<NaiveDate>) -> anyhow::Result<CustomerDetail> {
    let mut snapshot = books.open().await?;
    let customer = of_id(&mut snapshot, id).await?;
    let balances = balances(&mut snapshot, id, books.day(as_of), Reach::Own).await?;
    close(snapshot).await?;
    Ok(CustomerDetail { customer, balances })
}

/// The customer of an id.
pub(super) async fn of_id(snapshot: &mut Snapshot, id: i64) -> anyhow::Result<Customer> {
    let customer = query_as(include_str!("sql/customer.sql")).bind(id).fetch_optional(&mut **snapshot).await;
    let missing = || Problem::not_found(format!("There is no customer {id}; /customers lists them.")).into();
    customer.context("look for a customer")?.ok_or_else(missing)
}

/// The customer of a name.
pub(super) async fn named(snapshot: &mut Snapshot, name: &str) -> anyhow::Result<Named> {
    let customer = query_as(include_str!("sql/customer_by_name.sql")).bind(name).fetch_optional(&mut **snapshot).await;
    let missing =
        || Problem::not_found(format!("There is no customer {name:?}; /customers?name= finds parts of names."));
    customer.context("look for a customer")?.ok_or_else(|| missing().into())
}

/// What a customer owes, currency by currency.
pub(super) async fn balances(
    snapshot: &mut Snapshot,
    id: i64,
    as_of: NaiveDate,
    reach: Reach,
) -> anyhow::Result<Vec<Balance>> {
    query_as(include_str!("sql/balances.sql"))
        .bind(id)
        .bind(as_of)
        .bind(reach == Reach::WithChildren)
        .fetch_all(&mut **snapshot)
        .await
        .context("sum up what a customer owes")
}
