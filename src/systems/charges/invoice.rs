//! The invoices that were made, with their lines and whether they are to be mailed.

use super::loose::Amount;
use super::outbox::Row;
use super::verdict::RutterInvoice;
use anyhow::Context;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// A request, as far as its lines go.
#[derive(Deserialize)]
struct Request {
    invoice: Lines,
}

#[derive(Deserialize)]
struct Lines {
    line_items: Vec<SentLine>,
}

/// A line as it was sent.
#[derive(Deserialize)]
struct SentLine {
    item: SentItem,
    total_amount: Amount,
    description: Option<String>,
}

#[derive(Deserialize)]
struct SentItem {
    id: String,
    quantity: Amount,
    unit_amount: Amount,
}

/// Stores an invoice, in the transaction that records the success. One that is there stays as it is.
pub(super) async fn store(
    connection: &mut PgConnection,
    row: &Row,
    invoice: &RutterInvoice,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let [platform_id, customer_id, status, currency, number, memo] = invoice.texts();
    let [issued, due] = invoice.moments();
    let [amount_due, total, sub_total, tax, discount] = invoice.amounts();
    let id: Option<i64> = sqlx::query_scalar(
        "insert into charges.acc_uac_invoice (provider_entity_id, platform_id, customer_id, stream_customer_id, status,
                                              issue_date, due_date, currency_code, amount_due, total_amount, sub_total,
                                              tax_amount, total_discount, document_number, memo, pricer_invoice_id,
                                              created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)
         on conflict (pricer_invoice_id) do nothing
         returning id",
    )
    .bind(&invoice.id)
    .bind(platform_id)
    .bind(customer_id)
    .bind(&row.stream_customer_id)
    .bind(status.unwrap_or_else(|| "unknown".to_owned()))
    .bind(issued)
    .bind(due)
    .bind(currency)
    .bind(amount_due)
    .bind(total)
    .bind(sub_total)
    .bind(tax)
    .bind(discount)
    .bind(number.or_else(|| Some(row.document_number.clone())))
    .bind(memo)
    .bind(row.charge_id)
    .bind(now)
    .fetch_optional(&mut *connection)
    .await
    .context("store an invoice")?;
    if let Some(id) = id {
        store_lines(connection, id, row, invoice).await?;
    }
    match &row.mail_to {
        Some(recipient) => want_mail(connection, row.charge_id, recipient, now).await,
        None => Ok(()),
    }
}

/// The invoice is to be mailed; where it is, or was to be, already, nothing changes.
pub(super) async fn want_mail(
    connection: &mut PgConnection,
    charge: Uuid,
    recipient: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    sqlx::query(
        "insert into charges.mails (charge_id, recipient, state, message_id, next_at, changed_at)
         values ($1, $2, 'pending', $3, $4, $4)
         on conflict (charge_id) do nothing",
    )
    .bind(charge)
    .bind(recipient)
    .bind(Uuid::new_v4())
    .bind(now)
    .execute(connection)
    .await
    .context("store that an invoice is to be mailed")?;
    Ok(())
}

/// The lines: as the accounting API tells them where it tells as many as were sent, else as they were sent.
async fn store_lines(connection: &mut PgConnection, id: i64, row: &Row, invoice: &RutterInvoice) -> anyhow::Result<()> {
    let sent: Request = serde_json::from_slice(&row.request).context("read the lines that were sent")?;
    let sent = sent.invoice.line_items;
    let told = invoice.lines();
    let is_alike = told.len() == sent.len();
    for (i, line) in sent.into_iter().enumerate() {
        let told = told.get(i).filter(|_| is_alike);
        let [line_id, item, description] = told.map(super::verdict::RutterLine::texts).unwrap_or_default();
        let [quantity, unit, total] = told.map(super::verdict::RutterLine::amounts).unwrap_or_default();
        sqlx::query(
            "insert into charges.acc_uac_invoice_line (invoice_id, position, provider_entity_id, charge_line_id, item_id,
                                                       description, quantity, unit_amount, total_amount)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(id)
        .bind(i32::try_from(i + 1).unwrap_or(i32::MAX))
        .bind(line_id)
        .bind(row.charge_lines.get(i))
        .bind(item.unwrap_or(line.item.id))
        .bind(description.or(line.description))
        .bind(or(quantity, line.item.quantity))
        .bind(or(unit, line.item.unit_amount))
        .bind(or(total, line.total_amount))
        .execute(&mut *connection)
        .await
        .context("store a line of an invoice")?;
    }
    Ok(())
}

fn or(told: Option<Decimal>, sent: Amount) -> Decimal {
    told.unwrap_or(sent.0)
}
