//! Accounts receivable: invoice files in by upsert, answers out by REST.
//!
//! The files are a dataset whose rows go into [`TARGET`]; everything that is asked of it is SQL over these tables.

use super::System;
use crate::rows::publish::target::Target;

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
pub const SYSTEM: System =
    System { name: "receivables", kinds: &[], targets: &[&TARGET], build: |_| Vec::new(), routes: |_| None };
