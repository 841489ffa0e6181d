//! `GET /customers/contact`: whom to talk to at a customer.

use super::books::{Books, close};
use super::{customer, params};
use crate::http::{Operation, Paging, Window};
use anyhow::Context;
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::{FromRow, query_as};
use utoipa::ToSchema;

const ABOUT: &str = "Every contact that a file ever named for the customer, the one seen last first. The name is compared \
    without regard to case, and to blanks at its ends or repeated.";

/// A customer's contacts.
#[derive(Serialize, ToSchema)]
struct CustomerContacts {
    /// The customer, as it was spelt first.
    #[schema(example = "Lens & Light")]
    customer_name: String,
    /// The contacts of this page.
    contacts: Vec<Contact>,
    /// How many contacts there are in all pages.
    #[schema(example = 1, minimum = 0)]
    total: i64,
}

/// Somebody to talk to.
#[expect(clippy::struct_field_names, reason = "the shape of the answer is agreed")]
#[derive(Serialize, ToSchema, FromRow)]
struct Contact {
    /// The person.
    #[schema(example = "Angela Scott")]
    contact_name: Option<String>,
    /// The e-mail address, as the file says.
    #[schema(example = "angela@lensandlight.com")]
    contact_email: Option<String>,
    /// The telephone number, as the file says.
    #[schema(example = "555-513-2964")]
    contact_phone: Option<String>,
    /// The date of the latest invoice with this contact.
    #[schema(example = "2025-01-27")]
    last_seen_invoice_date: NaiveDate,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    let name = params::name("name").about("The customer's name.").example("Lens & Light").required();
    Operation::get("/customers/contact", "getCustomerContacts", "Whom to talk to at a customer")
        .about(ABOUT)
        .missing("There is no customer of that name.")
        .takes((name, Paging::up_to(200, 10)))
        .gives(move |(name, window)| contacts(books.clone(), name, window))
}

async fn contacts(books: Books, name: String, window: Window) -> anyhow::Result<CustomerContacts> {
    let mut snapshot = books.open().await?;
    let found = customer::named(&mut snapshot, &name).await?;
    let contacts = query_as(include_str!("sql/contacts.sql"))
        .bind(found.id)
        .bind(window.limit)
        .bind(window.offset)
        .fetch_all(&mut *snapshot)
        .await
        .context("read a customer's contacts")?;
    close(snapshot).await?;
    Ok(CustomerContacts { customer_name: found.name, contacts, total: found.contacts })
}
