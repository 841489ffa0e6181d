//! Makes invoice files of a given size from a seed.

use crate::fault;
use chrono::{Days, NaiveDate};
use fastrand::Rng;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const HEADER: &[u8] = b"CustomerName,InvoiceNumber,InvoiceDate,CustomerPoNumber,BillTotal,Applied,Status,Currency,\
    ContactName,ContactPhone,ContactEmail,CustomerTerms,DueDate\r\n";

const TERMS: [u32; 4] = [7, 15, 30, 45];

/// The day so many days before the last one that invoices are written on.
pub(super) fn day(before: u32) -> NaiveDate {
    let last = NaiveDate::from_ymd_opt(2025, 3, 1).unwrap_or_default();
    last.checked_sub_days(Days::new(before.into())).unwrap_or(last)
}

/// The name of a customer.
pub(super) fn name(customer: u32) -> String {
    format!("Customer {customer:06}")
}

/// Writes a file: of the invoices of two years a quarter is Pending, and of those two thirds have something outstanding.
pub(super) fn write(path: &Path, invoices: u32, customers: u32, seed: u64) -> anyhow::Result<()> {
    let written = File::create(path)
        .and_then(|file| write_to(BufWriter::with_capacity(1 << 20, file), invoices, customers, seed));
    written.map_err(|error| fault::config(format!("can't write {}: {error}", path.display())))
}

fn write_to(mut file: impl Write, invoices: u32, customers: u32, seed: u64) -> io::Result<()> {
    let mut random = Rng::with_seed(seed);
    file.write_all(HEADER)?;
    for number in 0..invoices {
        // Each customer has an invoice, if there are enough.
        let customer = if number < customers { number } else { random.u32(..customers) };
        row(&mut file, number, customer, &mut random)?;
    }
    file.flush()
}

fn row(file: &mut impl Write, number: u32, customer: u32, random: &mut Rng) -> io::Result<()> {
    let (written, terms) = (day(random.u32(..730)), TERMS[random.usize(..TERMS.len())]);
    let due = written.checked_add_days(Days::new(terms.into())).unwrap_or(written);
    let billed = random.u32(100..2_000_000);
    let is_pending = random.u8(..4) == 0;
    let applied = if is_pending && random.u8(..3) > 0 { random.u32(..billed) } else { billed };
    let currency = if random.u8(..10) == 0 { "CAD" } else { "USD" };
    let status = if is_pending { "Pending" } else { "Closed" };
    let name = name(customer);
    write!(file, "{name},INV{number:08},{},PO-{number},", written.format("%-m/%-d/%y"))?;
    write!(file, "{}.{:02},{}.{:02},{status},{currency},", billed / 100, billed % 100, applied / 100, applied % 100)?;
    write!(file, "Contact of {customer},555-{customer:06},c{customer}@example.com,Net {terms},")?;
    // Some leave the due date to the terms.
    if random.u8(..20) == 0 { file.write_all(b"\r\n") } else { write!(file, "{} 00:00\r\n", due.format("%-m/%-d/%y")) }
}
