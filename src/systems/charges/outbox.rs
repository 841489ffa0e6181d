//! The outbox: what is meant to be done is stored before it is done. Every change is conditional on the state it leaves.

use super::verdict::Answer;
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a charge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
#[schema(as = ChargeState)]
pub(super) enum State {
    /// Nothing was sent that was taken.
    Pending,
    /// A request is under way.
    Sent,
    /// A job makes the invoice.
    Accepted,
    /// There is an invoice.
    Succeeded,
    /// There is none.
    Failed,
    /// Nobody knows yet.
    Uncertain,
}

/// Who changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Api,
    Job,
    Daemon,
    Webhook,
    Operator,
}

impl By {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Job => "job",
            Self::Daemon => "daemon",
            Self::Webhook => "webhook",
            Self::Operator => "operator",
        }
    }
}

/// A row of the outbox.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Row {
    pub(super) charge_id: Uuid,
    pub(super) state: State,
    pub(super) attempt: i32,
    pub(super) idempotency_key: Uuid,
    pub(super) document_number: String,
    pub(super) stream_customer_id: String,
    pub(super) charge_lines: Vec<String>,
    pub(super) request: Vec<u8>,
    pub(super) sends: i32,
    pub(super) polls: i32,
    pub(super) rutter_job_id: Option<String>,
    pub(super) response_status: Option<i32>,
    pub(super) is_accepted: bool,
    pub(super) needs_operator: bool,
    pub(super) error_code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) mail_to: Option<String>,
    pub(super) next_at: Option<DateTime<Utc>>,
    pub(super) first_sent_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) changed_at: DateTime<Utc>,
}

/// What is to be sent for a charge.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) charge_id: Uuid,
    pub(super) document_number: String,
    pub(super) organization_id: Option<String>,
    pub(super) stream_customer_id: String,
    pub(super) charge_lines: Vec<String>,
    pub(super) request: Vec<u8>,
    pub(super) request_sha256: Vec<u8>,
}

/// How a row changes when something became known.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) state: State,
    pub(super) answer: Answer,
    pub(super) is_accepted: bool,
    pub(super) needs_operator: bool,
    /// Whether the job that was told is no job (any more).
    pub(super) forgets_job: bool,
    /// How many polls more.
    pub(super) polls: i32,
    pub(super) next_at: Option<DateTime<Utc>>,
    pub(super) by: By,
    pub(super) now: DateTime<Utc>,
}

/// The row of a charge.
pub(super) async fn find(pool: &PgPool, charge: Uuid) -> anyhow::Result<Option<Row>> {
    let found = sqlx::query_as("select * from charges.outbox where charge_id = $1").bind(charge);
    found.fetch_optional(pool).await.context("look for a charge in the outbox")
}

/// The row whose job this is.
pub(super) async fn find_by_job(pool: &PgPool, job: &str) -> anyhow::Result<Option<Row>> {
    let found = sqlx::query_as("select * from charges.outbox where rutter_job_id = $1 limit 1").bind(job);
    found.fetch_optional(pool).await.context("look for a job in the outbox")
}

/// Charges that are to be taken up again, the longest due first; also for their mail.
pub(super) async fn list_due(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> anyhow::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "select charge_id
           from (select charge_id, next_at from charges.outbox where next_at <= $1
                 union all
                 select charge_id, next_at from charges.mails where next_at <= $1 and state <> 'sent') as due
          order by next_at
          limit $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(pool)
    .await
    .context("look for charges that are due")
}

/// Charges that were begun and are not settled, or whose mail is not sent.
pub(super) async fn list_open(pool: &PgPool) -> anyhow::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "select charge_id
           from charges.outbox
          where state in ('pending', 'sent', 'accepted', 'uncertain')
         union
         select charge_id from charges.mails where state <> 'sent' and next_at is not null
          order by 1",
    )
    .fetch_all(pool)
    .await
    .context("look for charges that are not settled")
}

/// Charges of which only an operator can tell whether they have an invoice, the one that waits longest first.
pub(super) async fn list_stuck(pool: &PgPool) -> anyhow::Result<Vec<Uuid>> {
    sqlx::query_scalar("select charge_id from charges.outbox where needs_operator order by changed_at, charge_id")
        .fetch_all(pool)
        .await
        .context("look for charges that wait for an operator")
}

/// Stores what is meant to be done, unless something was begun already.
pub(super) async fn insert(
    connection: &mut PgConnection,
    intent: &Intent,
    mail_to: Option<&str>,
    by: By,
    run: Option<Uuid>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    sqlx::query(
        "insert into charges.outbox (charge_id, state, attempt, idempotency_key, document_number, organization_id,
                                     stream_customer_id, charge_lines, request, request_sha256, mail_to, next_at,
                                     created_at, changed_at, changed_by, run_id)
         values ($1, 'pending', 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $11, $12)
         on conflict (charge_id) do nothing",
    )
    .bind(intent.charge_id)
    .bind(Uuid::new_v4())
    .bind(&intent.document_number)
    .bind(&intent.organization_id)
    .bind(&intent.stream_customer_id)
    .bind(&intent.charge_lines)
    .bind(&intent.request)
    .bind(&intent.request_sha256)
    .bind(mail_to)
    .bind(now)
    .bind(by.as_str())
    .bind(run)
    .execute(connection)
    .await
    .context("store what is meant to be done for a charge")?;
    Ok(())
}

/// Another charge with this number that is, or may become, an invoice. Holds the number until the transaction ends.
pub(super) async fn find_namesake(
    connection: &mut PgConnection,
    charge: Uuid,
    document_number: &str,
) -> anyhow::Result<Option<Uuid>> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('document ' || $1, 0))")
        .bind(document_number)
        .execute(&mut *connection)
        .await
        .context("hold a document number")?;
    sqlx::query_scalar(
        "select charge_id
           from charges.outbox
          where document_number = $2 and charge_id <> $1 and state <> 'failed'
          order by created_at
          limit 1",
    )
    .bind(charge)
    .bind(document_number)
    .fetch_optional(connection)
    .await
    .context("look for the document number")
}

/// A request goes out now. False where the row is not what it was.
pub(super) async fn sending(pool: &PgPool, row: &Row, by: By, now: DateTime<Utc>) -> anyhow::Result<bool> {
    let done = sqlx::query(
        "update charges.outbox
            set state = case state when 'pending' then 'sent' else state end,
                sends = sends + 1,
                first_sent_at = coalesce(first_sent_at, $4),
                next_at = $4,
                changed_at = $4,
                changed_by = $5
          where charge_id = $1 and attempt = $2 and state = $3 and state in ('pending', 'uncertain')",
    )
    .bind(row.charge_id)
    .bind(row.attempt)
    .bind(row.state)
    .bind(now)
    .bind(by.as_str())
    .execute(pool)
    .await
    .context("record that a request goes out")?;
    Ok(done.rows_affected() == 1)
}

/// Records what became known. False where the row is not what it was.
pub(super) async fn record(connection: &mut PgConnection, row: &Row, change: &Change) -> anyhow::Result<bool> {
    let answer = &change.answer;
    let done = sqlx::query(
        "update charges.outbox
            set state = $4,
                rutter_job_id = case when $5 then null else coalesce($6, rutter_job_id) end,
                response_status = $7,
                response = $8,
                error_code = $9,
                error = $10,
                is_accepted = $11,
                needs_operator = $12,
                polls = polls + $13,
                next_at = $14,
                changed_at = $15,
                changed_by = $16
          where charge_id = $1 and attempt = $2 and state = $3",
    )
    .bind(row.charge_id)
    .bind(row.attempt)
    .bind(row.state)
    .bind(change.state)
    .bind(change.forgets_job)
    .bind(&answer.job)
    .bind(answer.status)
    .bind(&answer.text)
    .bind(&answer.code)
    .bind(Some(&answer.error).filter(|error| !error.is_empty()))
    .bind(change.is_accepted)
    .bind(change.needs_operator)
    .bind(change.polls)
    .bind(change.next_at)
    .bind(change.now)
    .bind(change.by.as_str())
    .execute(connection)
    .await
    .context("record what became of a request")?;
    Ok(done.rows_affected() == 1)
}

/// Takes a charge up again that failed: with the same key where the request is the same and was never accepted, else
/// with a new one. False where the row is not what it was.
pub(super) async fn again(
    connection: &mut PgConnection,
    row: &Row,
    intent: Option<&Intent>,
    by: By,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    let is_same = intent.is_none_or(|intent| intent.request == row.request);
    let keeps_key = is_same && !row.is_accepted && row.state == State::Failed;
    let done = sqlx::query(
        "update charges.outbox
            set state = 'pending',
                attempt = case when $4 then attempt else attempt + 1 end,
                idempotency_key = case when $4 then idempotency_key else $5 end,
                request = coalesce($6, request),
                request_sha256 = coalesce($7, request_sha256),
                document_number = coalesce($8, document_number),
                charge_lines = coalesce($9, charge_lines),
                stream_customer_id = coalesce($10, stream_customer_id),
                sends = case when $4 then sends else 0 end,
                polls = 0,
                first_sent_at = null,
                rutter_job_id = null,
                response_status = null,
                response = null,
                error_code = null,
                error = null,
                is_accepted = false,
                needs_operator = false,
                next_at = $11,
                changed_at = $11,
                changed_by = $12
          where charge_id = $1 and attempt = $2 and state = $3",
    )
    .bind(row.charge_id)
    .bind(row.attempt)
    .bind(row.state)
    .bind(keeps_key)
    .bind(Uuid::new_v4())
    .bind(intent.map(|intent| &intent.request))
    .bind(intent.map(|intent| &intent.request_sha256))
    .bind(intent.map(|intent| &intent.document_number))
    .bind(intent.map(|intent| &intent.charge_lines))
    .bind(intent.map(|intent| &intent.stream_customer_id))
    .bind(now)
    .bind(by.as_str())
    .execute(connection)
    .await
    .context("take a charge up again")?;
    Ok(done.rows_affected() == 1)
}
