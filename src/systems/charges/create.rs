//! `POST /charges/{charge_id}/invoice`: makes the invoice of a charge, or goes on with it, or tells that it is made.

use super::answer::{self, CreatedInvoice, Rehearsal};
use super::begin;
use super::drive;
use super::machine::Machine;
use super::outbox::{self, By, Row, State};
use super::payload;
use super::refusal::{Reason, Refusal, told};
use super::{invoice, show};
use crate::fault;
use crate::http::{Operation, Param, Problem, Reply, Sent};
use crate::outbound::exchange::StatusCode;
use anyhow::Context;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::warn;
use utoipa::ToSchema;
use uuid::Uuid;

const ABOUT: &str = "However often it is asked for, a charge becomes one invoice. The request waits for it up to \
    `charges.wait_s`; 202 says that it is under way, and GET at the same path what became of it. With the \
    `Idempotency-Key` of a request that was answered with its invoice, the same answer comes again, for 30 days.";

/// What is wanted beside the invoice.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = InvoiceWishes)]
struct Wishes {
    /// Whether its PDF is mailed; without it, as `charges.mail.by_default` says.
    send_email: Option<bool>,
    /// Who gets the mail; only whom `charges.mail.allowed_recipients` allows.
    #[schema(min_length = 1, max_length = 254)]
    recipient: Option<String>,
}

impl Wishes {
    fn check(&self) -> Result<(), Problem> {
        let length = self.recipient.as_ref().map_or(1, |recipient| recipient.chars().count());
        if (1..=254).contains(&length) {
            return Ok(());
        }
        Err(Problem::bad_parameter("body.recipient", format!("must have 1 to 254 characters, found {length}")))
    }
}

/// How long the request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Sync,
    Async,
}

/// What an operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Retry {
    /// A new key after a failure that was accepted.
    Failed,
    /// There is no invoice: he has looked.
    Uncertain,
}

/// A request.
struct Asked {
    charge: Uuid,
    is_rehearsal: bool,
    mode: Mode,
    retry: Option<Retry>,
    key: Option<String>,
    wishes: Wishes,
}

pub(super) fn operation(machine: &Arc<Machine>) -> Operation {
    let machine = Arc::clone(machine);
    let dry_run = Param::boolean("dry_run").about("Answer what would be sent; nothing is sent or stored.").or(false);
    let mode = Param::choice("response_mode", &[("sync", Mode::Sync), ("async", Mode::Async)])
        .about("`async` answers at once.")
        .or_first();
    let retry = Param::choice("retry", &[("failed", Retry::Failed), ("uncertain", Retry::Uncertain)]).about(
        "An operator's decision to take a new key. `failed`: after a failure that the accounting API had accepted. \
         `uncertain`: there is no invoice at the accounting platform; somebody has looked.",
    );
    let key = Param::form("Idempotency-Key", "^[A-Za-z0-9._:-]{1,200}$", "1 to 200 of A-Z a-z 0-9 . _ : -")
        .in_header()
        .about("The same for whatever is one request to the client.");
    Operation::post("/charges/{charge_id}/invoice", "createChargeInvoice", "Make the invoice of a charge")
        .about(ABOUT)
        .missing("There is no such charge (`NOT_FOUND`), or a setting is missing (`NOT_CONFIGURED`).")
        .takes((show::charge_id(), dry_run, mode, retry, key))
        .may_send::<Wishes>("What is wanted beside the invoice.")
        .also(StatusCode::CREATED, "The invoice was made just now.")
        .also(StatusCode::ACCEPTED, "It is under way, or nobody knows yet; `state` tells which.")
        .refuses(
            StatusCode::BAD_REQUEST,
            "A parameter or the body is wrong, or `NO_ACCESS_TOKEN`, `DOCUMENT_NUMBER_REQUIRED`.",
        )
        .refuses(
            StatusCode::CONFLICT,
            "`UNRECONCILED_CUSTOMER`, `UNRECONCILED_ITEM`, `DUPLICATE_DOCUMENT_NUMBER`, `IDEMPOTENCY_KEY_REUSED`.",
        )
        .refuses(StatusCode::UNPROCESSABLE_ENTITY, "`INVALID_CHARGE`, `NO_LINE_ITEMS`; `errors` names every path.")
        .refuses(StatusCode::BAD_GATEWAY, "`INVOICE_CREATION_FAILED`, `STREAM_UNAVAILABLE`.")
        .example(StatusCode::OK, answer::example("succeeded"))
        .example(StatusCode::CREATED, answer::example("succeeded"))
        .example(StatusCode::ACCEPTED, answer::example("accepted"))
        .acts::<CreatedInvoice, _>(move |(charge, is_rehearsal, mode, retry, key), sent: Sent| {
            let machine = Arc::clone(&machine);
            async move {
                let wishes = sent.json::<Wishes>()?.unwrap_or_default();
                wishes.check()?;
                let charge = show::uuid(&charge)?;
                let asked = Asked { charge, is_rehearsal, mode, retry, key, wishes };
                create(&machine, &asked).await.map_err(told)
            }
        })
}

async fn create(machine: &Arc<Machine>, asked: &Asked) -> anyhow::Result<Reply> {
    if asked.is_rehearsal {
        return rehearse(machine, asked.charge).await;
    }
    let section = &machine.settings.file.charges.mail;
    let mail_to = begin::recipient(section, asked.wishes.send_email, asked.wishes.recipient.as_deref())?;
    let known = match &asked.key {
        Some(key) => claim(machine, key, asked).await?,
        None => Known::New,
    };
    if let Known::Answered(status, text) = known {
        return Ok(Reply::written(status, text));
    }
    let before = outbox::find(&machine.pool, asked.charge).await?;
    let was_there = before.as_ref().is_some_and(|row| row.state == State::Succeeded);
    match before {
        None => {
            let intent = begin::prepare(machine, asked.charge).await?;
            begin::begin(machine, &intent, mail_to.as_deref(), By::Api, None).await?;
        }
        Some(row) => go_on(machine, asked, &row, mail_to.as_deref(), known == Known::Again).await?,
    }
    work(machine, asked).await;
    let row = outbox::find(&machine.pool, asked.charge).await?;
    let row = row.ok_or_else(|| fault::bug(format!("charge {} is not in the outbox", asked.charge)))?;
    reply(machine, asked, row, was_there).await
}

async fn rehearse(machine: &Machine, charge: Uuid) -> anyhow::Result<Reply> {
    let intent = begin::prepare(machine, charge).await?;
    let payload = String::from_utf8(intent.request).context("show what would be sent")?;
    let payload = RawValue::from_string(payload).context("show what would be sent")?;
    Reply::of(StatusCode::OK, &Rehearsal { charge_id: charge, dry_run: true, payload })
}

/// What is done for a charge of which something was begun already.
async fn go_on(machine: &Machine, asked: &Asked, row: &Row, mail_to: Option<&str>, again: bool) -> anyhow::Result<()> {
    if let Some(recipient) = mail_to {
        also_mail(machine, row, recipient).await?;
    }
    match (row.state, asked.retry) {
        (State::Failed, Some(Retry::Failed)) => begin::again(machine, row, By::Operator).await,
        (State::Uncertain, Some(Retry::Uncertain)) if row.needs_operator => {
            warn!("charge {}: an operator says that there is no invoice; a new key is taken", row.charge_id);
            begin::again(machine, row, By::Operator).await
        }
        // The same request again tells what became of the first; it is no new attempt.
        (State::Failed, _) if begin::may_try_again(row) && !again => begin::again(machine, row, By::Api).await,
        _ => Ok(()),
    }
}

async fn also_mail(machine: &Machine, row: &Row, recipient: &str) -> anyhow::Result<()> {
    let mut transaction = machine.pool.begin().await.context("store that an invoice is to be mailed")?;
    let state: State = sqlx::query_scalar(
        "update charges.outbox set mail_to = coalesce(mail_to, $2) where charge_id = $1 returning state",
    )
    .bind(row.charge_id)
    .bind(recipient)
    .fetch_one(&mut *transaction)
    .await
    .context("store that an invoice is to be mailed")?;
    if state == State::Succeeded {
        invoice::want_mail(&mut transaction, row.charge_id, recipient, machine.clock.now()).await?;
    }
    transaction.commit().await.context("store that an invoice is to be mailed")
}

/// Works on the charge; what takes longer than the client waits goes on without him.
async fn work(machine: &Arc<Machine>, asked: &Asked) {
    // The answer must come before the HTTP room says that it takes too long.
    let most = machine.settings.file.http.timeout_s.saturating_sub(2);
    let wait_s = machine.settings.file.charges.wait_s.min(most);
    let until = machine.clock.now() + TimeDelta::seconds(i64::try_from(wait_s).unwrap_or(0));
    let (worker, charge) = (Arc::clone(machine), asked.charge);
    let working = tokio::spawn(async move {
        if let Err(error) = drive::drive(&worker, charge, By::Api, until).await {
            warn!("charge {charge}: {}", fault::told(&error));
        }
    });
    if asked.mode == Mode::Async {
        return;
    }
    let settled = async {
        let _ = working.await;
        // Somebody else may have the turn.
        while !is_settled(machine, charge).await {
            let _ = timeout(Duration::from_millis(200), machine.bell.notified()).await;
        }
    };
    let _ = timeout(Duration::from_secs(wait_s), settled).await;
}

async fn is_settled(machine: &Machine, charge: Uuid) -> bool {
    match outbox::find(&machine.pool, charge).await {
        Ok(Some(row)) => {
            matches!(row.state, State::Succeeded | State::Failed) || row.needs_operator || is_blocked(&row)
        }
        Ok(None) | Err(_) => true,
    }
}

/// Whether the accounting API does not take requests for a reason that an operator must mend.
fn is_blocked(row: &Row) -> bool {
    row.state == State::Pending
        && row.response_status.is_some_and(|s| [401, 403, 404, 410].contains(&s) || (300..400).contains(&s))
}

async fn reply(machine: &Machine, asked: &Asked, row: Row, was_there: bool) -> anyhow::Result<Reply> {
    if row.state == State::Failed || is_blocked(&row) {
        return Err(failure(&row).into());
    }
    let status = match (row.state, was_there) {
        (State::Succeeded, true) => StatusCode::OK,
        (State::Succeeded, false) => StatusCode::CREATED,
        _ => StatusCode::ACCEPTED,
    };
    let reply = Reply::of(status, &answer::read(&machine.pool, row).await?)?;
    if status == StatusCode::ACCEPTED {
        return Ok(reply.at(format!("/charges/{}/invoice", asked.charge)));
    }
    if let Some(key) = &asked.key {
        keep(machine, key, &reply).await?;
    }
    Ok(reply)
}

fn failure(row: &Row) -> Refusal {
    let why = row.error.as_deref().unwrap_or("it gave no reason");
    let is_duplicate = row.error_code.as_ref().is_some_and(|code| code.to_uppercase().contains("DUPLICATE"));
    let reason = if is_duplicate { Reason::DuplicateDocumentNumber } else { Reason::InvoiceCreationFailed };
    let next = match (row.is_accepted, is_blocked(row)) {
        (true, _) => " It had accepted the request, so a new key is needed: ask again with retry=failed.",
        (false, true) => " It is asked again by itself once that is mended.",
        (false, false) => " Ask again once that is mended.",
    };
    Refusal::new(reason, format!("The accounting API made no invoice: {why}.{next}"))
}

/// How long a client's key is known. That a charge has one invoice does not rest on it.
const KEY_LIFE: TimeDelta = TimeDelta::days(30);

/// What is known of a client's key.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    New,
    /// It came before.
    Again,
    /// It came before, and was answered.
    Answered(StatusCode, String),
}

/// Keeps the key of a request, or finds what became of the request that had it first.
async fn claim(machine: &Machine, key: &str, asked: &Asked) -> anyhow::Result<Known> {
    let what = serde_json::to_vec(&(&asked.wishes, asked.retry)).context("describe a request")?;
    let hash = payload::hash(&what);
    let now = machine.clock.now();
    sqlx::query("delete from charges.requests where created_at < $1")
        .bind(now - KEY_LIFE)
        .execute(&machine.pool)
        .await
        .context("forget old keys of requests")?;
    let made = sqlx::query(
        "insert into charges.requests (key, charge_id, asked_sha256, created_at)
         values ($1, $2, $3, $4)
         on conflict (key) do nothing",
    )
    .bind(key)
    .bind(asked.charge)
    .bind(&hash)
    .bind(now)
    .execute(&machine.pool)
    .await
    .context("keep the key of a request")?;
    if made.rows_affected() == 1 {
        return Ok(Known::New);
    }
    let (charge, first, status, answer): (Uuid, Vec<u8>, Option<i32>, Option<String>) =
        sqlx::query_as("select charge_id, asked_sha256, status, answer from charges.requests where key = $1")
            .bind(key)
            .fetch_one(&machine.pool)
            .await
            .context("look for the key of a request")?;
    if charge != asked.charge || first != hash {
        let other = if charge == asked.charge { "another request for the same charge" } else { "another charge" };
        let detail = format!("This Idempotency-Key was used for {other}; take a new one.");
        return Err(Refusal::new(Reason::KeyReused, detail).into());
    }
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    Ok(status.zip(answer).map_or(Known::Again, |(status, answer)| Known::Answered(status, answer)))
}

async fn keep(machine: &Machine, key: &str, reply: &Reply) -> anyhow::Result<()> {
    sqlx::query(
        "update charges.requests set status = $2, answer = $3, answered_at = $4 where key = $1 and status is null",
    )
    .bind(key)
    .bind(i32::from(reply.status().as_u16()))
    .bind(reply.text())
    .bind(machine.clock.now())
    .execute(&machine.pool)
    .await
    .context("keep an answer")?;
    Ok(())
}
