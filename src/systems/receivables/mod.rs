//! Accounts receivable: invoice files in by upsert, answers out by REST.
//!
//! The files are a dataset whose rows go into [`TARGET`]; everything that is asked of it is SQL over these tables.

mod aging;
mod books;
mod contact;
mod customer;
mod customers;
mod dso;
mod invoice;
mod invoices;
mod month;
mod open_ar;
mod params;
mod past_due;
mod statement;

use super::System;
use crate::http::Routes;
use crate::rows::publish::target::Target;
use crate::tasks::Deps;
use books::Books;

/// Customers and invoices: one row of a file is an invoice and names its customer.
pub const TARGET: Target = Target {
    name: "receivables",
    table: ("receivables", "invoices"),
    columns: &[
        ("customer_name", "text"),
        ("invoice_number", "text"),
        ("invoice_date", "date"),
        ("customer_po_number", "text"),
        ("bill_total", "numeric(18,2)"),
        ("applied", "numeric(18,2)"),
        ("status", "text"),
        ("currency", "text"),
        ("contact_name", "text"),
        ("contact_phone", "text"),
        ("contact_email", "text"),
        ("customer_terms", "text"),
        ("due_date", "date"),
        ("customer_number", "text"),
        ("parent_customer", "text"),
    ],
    key: &["invoice_number"],
    merge: include_str!("merge.sql"),
};

/// The system.
pub const SYSTEM: System = System {
    name: "receivables",
    kinds: &[],
    targets: &[&TARGET],
    build: |_| Vec::new(),
    routes: |deps| Some(routes(deps)),
    beside: None,
};

const ABOUT: &str = "Who owes what. Amounts are texts with two decimals, and those of several currencies are never \
    added. Customers are told apart without regard to case and to blanks at the ends of their names.";

fn routes(deps: &Deps) -> Routes {
    let books = Books::of(deps);
    [
        past_due::operation(&books),
        month::operation(&books),
        aging::operation(&books),
        dso::operation(&books),
        invoices::operation(&books),
        invoice::operation(&books),
        contact::operation(&books),
        open_ar::of_all(&books),
        customers::operation(&books),
        customer::operation(&books),
        statement::operation(&books),
        open_ar::of_one(&books),
    ]
    .into_iter()
    .fold(Routes::new("receivables", ABOUT), Routes::with)
}
