//! What is sent to the accounting API: amounts are JSON numbers with the digits they have, never floats.

use super::charge::{Charge, Line};
use crate::config::ResponseMode;
use crate::json::Item;
use anyhow::Context;
use chrono::{DateTime, Utc};
use ring::digest;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Payload<'c> {
    response_mode: ResponseMode,
    invoice: Invoice<'c>,
}

#[derive(Serialize)]
struct Invoice<'c> {
    customer_id: &'c str,
    issue_date: String,
    due_date: String,
    currency_code: &'c str,
    document_number: &'c str,
    line_items: Vec<LineItem<'c>>,
}

#[derive(Serialize)]
struct LineItem<'c> {
    item: ItemOf<'c>,
    total_amount: Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'c str>,
}

#[derive(Serialize)]
struct ItemOf<'c> {
    id: &'c str,
    quantity: Item,
    unit_amount: Item,
}

/// The body of the request, to the byte.
pub(super) fn write(charge: &Charge, response_mode: ResponseMode) -> anyhow::Result<Vec<u8>> {
    let invoice = Invoice {
        customer_id: &charge.customer,
        issue_date: moment(charge.issue_date),
        due_date: moment(charge.due_date),
        currency_code: &charge.currency_code,
        document_number: &charge.document_number,
        line_items: charge.line_items.iter().map(line_item).collect::<anyhow::Result<_>>()?,
    };
    serde_json::to_vec(&Payload { response_mode, invoice }).context("write the request for an invoice")
}

/// The hash it is known by.
pub(super) fn hash(body: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, body).as_ref().to_vec()
}

fn line_item(line: &Line) -> anyhow::Result<LineItem<'_>> {
    let item = ItemOf { id: &line.item, quantity: number(line.quantity)?, unit_amount: number(line.unit_amount)? };
    Ok(LineItem { item, total_amount: number(line.total_amount)?, description: line.description.as_deref() })
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn number(amount: Decimal) -> anyhow::Result<Item> {
    RawValue::from_string(amount.to_string()).context("write an amount")
}
