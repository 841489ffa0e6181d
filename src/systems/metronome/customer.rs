//! Fetches one customer: all its invoices and balances.

use super::model::{Identified, Invoice, Ledgers, of_customer};
use super::store::{Draft, Store, Then};
use super::vendor::Vendor;
use crate::config::BalanceSource;
use crate::fault::{self, Fault};
use crate::json::{self, Item};
use futures_util::TryStreamExt;
use std::collections::BTreeSet;
use std::pin::pin;

/// So much of a customer is held in memory before it is written, in bytes.
const MOST_BYTES: usize = 1024 * 1024;

/// Whom a failure concerns.
#[derive(Debug)]
pub(super) enum Failure {
    /// This customer alone: the others are fetched.
    Customer(anyhow::Error),
    /// All of them: the token is refused, the database is away.
    Everybody(anyhow::Error),
}

impl Failure {
    /// What the vendor refuses for its configuration it refuses for all.
    fn of_vendor(error: anyhow::Error) -> Self {
        match fault::judge(&error) {
            Fault::Transient | Fault::Data => Self::Customer(error),
            Fault::Config | Fault::Bug => Self::Everybody(error),
        }
    }

    /// What can't be kept (a text with a NUL) is the customer's; any other trouble with the database is not.
    fn of_database(error: anyhow::Error) -> Self {
        match fault::judge(&error) {
            Fault::Data => Self::Customer(error),
            _ => Self::Everybody(error),
        }
    }
}

/// Fetches a customer and writes what there is, page by page; once all is there it counts as fetched.
///
/// # Errors
/// Why not, and whom that concerns.
pub(super) async fn fetch(
    vendor: &Vendor,
    store: &Store,
    source: BalanceSource,
    customer: &str,
) -> Result<(), Failure> {
    let mut draft = Draft::default();
    let credit_types = invoices(vendor, store, customer, &mut draft).await?;
    match source {
        BalanceSource::Ledger => ledgers(vendor, store, customer, &mut draft).await?,
        BalanceSource::NetBalance => net_balances(vendor, customer, credit_types, &mut draft).await?,
    }
    store.save(customer, &mut draft, Then::Fetched).await.map_err(Failure::of_database)
}

/// Gives the credit types that the customer is billed in.
async fn invoices(
    vendor: &Vendor,
    store: &Store,
    customer: &str,
    draft: &mut Draft,
) -> Result<BTreeSet<String>, Failure> {
    let mut credit_types = BTreeSet::new();
    let mut pages = pin!(vendor.invoices(customer));
    while let Some(items) = pages.try_next().await.map_err(Failure::of_vendor)? {
        for item in &items {
            let read = of_customer(&named("invoice", item), item, customer, |read: &Invoice| &read.customer_id);
            credit_types.insert(read.map_err(changed)?.credit_type.id);
        }
        draft.invoices.extend(items);
        write_if_much(store, customer, draft).await?;
    }
    Ok(credit_types)
}

async fn ledgers(vendor: &Vendor, store: &Store, customer: &str, draft: &mut Draft) -> Result<(), Failure> {
    let mut pages = pin!(vendor.ledgers(customer));
    while let Some(items) = pages.try_next().await.map_err(Failure::of_vendor)? {
        for item in &items {
            of_customer("credit ledgers", item, customer, |read: &Ledgers| &read.customer_id).map_err(changed)?;
        }
        draft.ledgers.extend(items);
        write_if_much(store, customer, draft).await?;
    }
    Ok(())
}

/// The balance of USD (cents), and that of each other credit type that the customer is billed in.
async fn net_balances(
    vendor: &Vendor,
    customer: &str,
    mut credit_types: BTreeSet<String>,
    draft: &mut Draft,
) -> Result<(), Failure> {
    let first = vendor.net_balance(customer, None).await.map_err(Failure::of_vendor)?;
    credit_types.remove(&first.credit_type_id);
    draft.net.push(first);
    for credit_type in &credit_types {
        draft.net.push(vendor.net_balance(customer, Some(credit_type)).await.map_err(Failure::of_vendor)?);
    }
    Ok(())
}

async fn write_if_much(store: &Store, customer: &str, draft: &mut Draft) -> Result<(), Failure> {
    if draft.bytes() < MOST_BYTES {
        return Ok(());
    }
    store.save(customer, draft, Then::MoreComes).await.map_err(Failure::of_database)
}

/// What an item is called, with its id where that can be read.
fn named(what: &str, item: &Item) -> String {
    json::read::<Identified>(item.get()).map_or_else(|_| what.to_owned(), |read| format!("{what} {}", read.id))
}

/// The vendor's answers are not what they were.
fn changed(why: String) -> Failure {
    Failure::Customer(fault::data(why))
}
