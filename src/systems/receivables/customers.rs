//! `GET /customers`: who is billed.

use super::books::Books;
use super::params;
use crate::http::{Operation, Page, Window};
use serde::Serialize;
use sqlx::{FromRow, query_as, query_scalar};
use utoipa::ToSchema;

/// Who is billed.
#[expect(clippy::struct_field_names, reason = "a name is called the same in every answer")]
#[derive(Serialize, ToSchema, FromRow)]
pub(super) struct Customer {
    /// It stays the same from file to file.
    #[schema(example = 17, minimum = 1)]
    pub(super) id: i64,
    /// As it was spelt first.
    #[schema(example = "Lens & Light")]
    pub(super) customer_name: String,
    /// Its number, where a file says so.
    #[schema(example = "C-1007")]
    customer_number: Option<String>,
    /// The number of the customer it belongs to, where a file says so.
    #[schema(example = "C-1000")]
    parent_number: Option<String>,
    /// The first contact in the file that named one last.
    #[schema(example = "Angela Scott")]
    contact_name: Option<String>,
    /// That contact's e-mail address, as the file says.
    #[schema(example = "angela@lensandlight.com")]
    contact_email: Option<String>,
    /// That contact's telephone number, as the file says.
    #[schema(example = "555-513-2964")]
    contact_phone: Option<String>,
    /// How many invoices and credit notes it has.
    #[schema(example = 23, minimum = 0)]
    invoices: i64,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    let name = params::name("name")
        .about("Only those whose name holds this, without regard to case and to blanks at its ends or repeated.")
        .example("light");
    Operation::get("/customers", "listCustomers", "Who is billed")
        .about("In the order of their names, without regard to case.")
        .takes((name, params::paging()))
        .lists(move |(name, window)| customers(books.clone(), name, window))
}

async fn customers(books: Books, name: Option<String>, window: Window) -> anyhow::Result<Page<Customer>> {
    let total = query_scalar(include_str!("sql/customers_count.sql")).bind(name.clone());
    let items = query_as(include_str!("sql/customers.sql")).bind(name).bind(window.limit).bind(window.offset);
    books.page(window, items, total).await
}
