//! What a client is told of a charge.

use super::outbox::{Row, State};
use crate::json::Item;
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a charge stands.
#[derive(Serialize, ToSchema)]
pub(super) struct ChargeInvoice {
    /// The charge.
    charge_id: Uuid,
    /// Where it stands.
    pub(super) state: State,
    /// The number of its invoice.
    #[schema(example = "INV-1001")]
    document_number: String,
    /// Which of its keys is in use, from 1.
    #[schema(example = 1, minimum = 1)]
    attempt: i32,
    /// The key of its requests to the accounting API.
    idempotency_key: Uuid,
    /// The job that makes the invoice.
    rutter_job_id: Option<String>,
    /// Whether nothing more is done until an operator says so.
    needs_operator: bool,
    /// When it is taken up again by itself.
    next_at: Option<DateTime<Utc>>,
    /// The code of the error.
    error_code: Option<String>,
    /// Why it failed, or is uncertain, or waits.
    error: Option<String>,
    /// When it was first asked for.
    created_at: DateTime<Utc>,
    /// When it changed last.
    changed_at: DateTime<Utc>,
    /// The invoice.
    invoice: Option<Invoice>,
    /// The mail with its PDF.
    email: Option<Mail>,
    /// What went wrong beside.
    warnings: Vec<Warning>,
}

/// An invoice, as the accounting API told it when it was made.
#[derive(Serialize, ToSchema, FromRow)]
#[schema(as = AccountingInvoice)]
struct Invoice {
    /// The accounting API's id of it.
    provider_entity_id: String,
    /// The accounting platform's own.
    platform_id: Option<String>,
    /// The accounting API's id of the customer.
    customer_id: Option<String>,
    /// `open`, `draft` and the like.
    #[schema(example = "open")]
    status: String,
    /// Its date.
    issue_date: Option<DateTime<Utc>>,
    /// When it is due.
    due_date: Option<DateTime<Utc>>,
    /// The currency of the amounts.
    #[schema(example = "USD")]
    currency_code: Option<String>,
    /// What is due.
    #[schema(example = "150.00")]
    amount_due: Option<String>,
    /// What it comes to.
    #[schema(example = "150.00")]
    total_amount: Option<String>,
    /// Its number.
    #[schema(example = "INV-1001")]
    document_number: Option<String>,
    /// Where its PDF lay when it was last asked for.
    pdf_link: Option<String>,
    /// `SENT`, `FAILED_TO_SEND`, or null.
    #[schema(example = "SENT")]
    email_status: Option<String>,
}

/// A mail.
#[derive(Serialize, ToSchema, FromRow)]
#[schema(as = ChargeMail)]
struct Mail {
    /// Who gets it.
    #[schema(example = "billing@example.com")]
    recipient: String,
    /// `pending`, `sending`, `sent` or `failed`.
    #[schema(example = "sent")]
    state: String,
    /// How often it was tried.
    attempts: i32,
    /// When it is tried again.
    next_at: Option<DateTime<Utc>>,
    /// Why it was not taken.
    error: Option<String>,
}

/// What went wrong beside, and loses no invoice.
#[derive(Serialize, ToSchema)]
struct Warning {
    /// What it is called.
    #[schema(example = "FAILED_TO_SEND_EMAIL")]
    code: &'static str,
    /// What happened.
    message: String,
}

/// A change of a charge's state.
#[derive(Serialize, ToSchema, FromRow)]
#[schema(as = ChargeChange)]
struct Past {
    /// When.
    at: DateTime<Utc>,
    /// Which key was in use.
    attempt: i32,
    /// What it came to.
    state: State,
    /// The status of the last answer.
    response_status: Option<i32>,
    /// Why.
    error: Option<String>,
    /// `api`, `job`, `daemon`, `webhook`, `operator`.
    changed_by: String,
}

/// Where a charge stands, and how it came there.
#[derive(Serialize, ToSchema)]
pub(super) struct ChargeStory {
    #[serde(flatten)]
    now: ChargeInvoice,
    /// Every change, the first first.
    history: Vec<Past>,
}

/// What would be sent.
#[derive(Serialize, ToSchema)]
pub(super) struct Rehearsal {
    /// The charge.
    pub(super) charge_id: Uuid,
    /// Always true: nothing was sent or stored.
    pub(super) dry_run: bool,
    /// The body of the request.
    #[schema(value_type = Object)]
    pub(super) payload: Item,
}

/// What a request for an invoice is answered.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the answer in the document")]
pub(super) enum CreatedInvoice {
    /// Where the charge stands.
    Charge(Box<ChargeInvoice>),
    /// With `dry_run`: what would be sent.
    Rehearsal(Rehearsal),
}

/// Reads all that is told of a charge.
pub(super) async fn read(pool: &PgPool, row: Row) -> anyhow::Result<ChargeInvoice> {
    let invoice = sqlx::query_as(
        "select provider_entity_id, platform_id, customer_id, status, issue_date, due_date, currency_code,
                amount_due::text as amount_due, total_amount::text as total_amount, document_number, pdf_link,
                email_status
           from charges.acc_uac_invoice
          where pricer_invoice_id = $1",
    )
    .bind(row.charge_id)
    .fetch_optional(pool)
    .await
    .context("read an invoice")?;
    let email: Option<Mail> =
        sqlx::query_as("select recipient, state, attempts, next_at, error from charges.mails where charge_id = $1")
            .bind(row.charge_id)
            .fetch_optional(pool)
            .await
            .context("read a mail")?;
    let failed = email.as_ref().filter(|mail| mail.state == "failed");
    let warning = failed.map(|mail| Warning {
        code: "FAILED_TO_SEND_EMAIL",
        message: mail.error.clone().unwrap_or_else(|| "the mail was not taken".to_owned()),
    });
    Ok(ChargeInvoice {
        charge_id: row.charge_id,
        state: row.state,
        document_number: row.document_number,
        attempt: row.attempt,
        idempotency_key: row.idempotency_key,
        rutter_job_id: row.rutter_job_id,
        needs_operator: row.needs_operator,
        next_at: row.next_at,
        error_code: row.error_code,
        error: row.error,
        created_at: row.created_at,
        changed_at: row.changed_at,
        invoice,
        warnings: warning.into_iter().collect(),
        email,
    })
}

/// Reads how a charge came to where it stands.
pub(super) async fn story(pool: &PgPool, row: Row) -> anyhow::Result<ChargeStory> {
    let history = sqlx::query_as(
        "select at, attempt, state, response_status, error, changed_by
           from charges.history
          where charge_id = $1
          order by id
          limit 1000",
    )
    .bind(row.charge_id)
    .fetch_all(pool)
    .await
    .context("read a charge's history")?;
    Ok(ChargeStory { now: read(pool, row).await?, history })
}

/// An answer for the document.
pub(super) fn example(state: &str) -> serde_json::Value {
    let is_made = state == "succeeded";
    json!({
        "charge_id": "10000000-0000-4000-8000-000000000001",
        "state": state,
        "document_number": "INV-1001",
        "attempt": 1,
        "idempotency_key": "5f0c7cc1-b3a9-4f2d-8a6f-2c116f2d6a6f",
        "rutter_job_id": if is_made { None } else { Some("a4f6cf4b-9b2b-4b3e-9f0e-0d9f0c3c5b10") },
        "needs_operator": false,
        "next_at": if is_made { None } else { Some("2025-06-01T08:00:01Z") },
        "error_code": null,
        "error": null,
        "created_at": "2025-06-01T08:00:00Z",
        "changed_at": "2025-06-01T08:00:00Z",
        "invoice": if is_made { Some(json!({
            "provider_entity_id": "b2f6f7de-0c39-4b0c-8c38-3f5a1d2f9a01",
            "platform_id": "1042",
            "customer_id": "50000000-0000-4000-8000-000000000001",
            "status": "open",
            "issue_date": "2025-06-01T00:00:00Z",
            "due_date": "2025-07-01T00:00:00Z",
            "currency_code": "USD",
            "amount_due": "150.00",
            "total_amount": "150.00",
            "document_number": "INV-1001",
            "pdf_link": null,
            "email_status": null,
        })) } else { None },
        "email": null,
        "warnings": [],
    })
}
