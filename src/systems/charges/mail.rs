//! The mail with an invoice's PDF. That it is tried is committed before, what became of it after: who finds an attempt
//! that broke off sends the mail again, under the same id.

use super::machine::Machine;
use crate::clock::Clock;
use crate::config::{ChargeMail, EMAIL_SERVICE_URL, EMAIL_SMTP_URL, MailVia, Settings};
use crate::fault;
use crate::notify::mail::MailServer;
use crate::outbound::download::{self, Downloads, Method};

use crate::outbound::{Address, Client, Failure};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use serde_json::json;
use sqlx::FromRow;
use tracing::{info, warn};
use uuid::Uuid;

/// No larger PDF is sent through a mail server, in bytes.
const MOST_BYTES: usize = 20 * 1024 * 1024;

/// What sends mail.
pub(super) enum Mailer {
    Service { client: Client, address: Address },
    Server { server: Box<MailServer>, from: Mailbox, downloads: Downloads },
}

/// A mail that is to be sent.
#[derive(Debug, FromRow)]
struct Due {
    recipient: String,
    message_id: Uuid,
    attempts: i32,
    document_number: String,
    provider_entity_id: String,
}

impl Mailer {
    /// The way the settings name; none where mail is off.
    ///
    /// # Errors
    /// A configuration fault for an address that is none.
    pub(super) fn of(settings: &Settings, clock: &Clock) -> anyhow::Result<Option<Self>> {
        let (section, secrets) = (&settings.file.charges.mail, &settings.charges);
        let missing = |variable: &str| fault::config(format!("charges.mail.via needs {variable}"));
        Ok(match section.via {
            MailVia::None => None,
            MailVia::Http => {
                let url = secrets.mail_service.as_ref().ok_or_else(|| missing(EMAIL_SERVICE_URL))?;
                let address = Address::parse(url).context(EMAIL_SERVICE_URL)?;
                Some(Self::Service { client: Client::new(clock.clone())?, address })
            }
            MailVia::Smtp => {
                let url = secrets.smtp_url.as_ref().ok_or_else(|| missing(EMAIL_SMTP_URL))?;
                let from = section.from.as_deref().unwrap_or_default();
                let from = from.parse().map_err(|error| fault::config(format!("charges.mail.from: {error}")))?;
                let server = Box::new(MailServer::at(url, EMAIL_SMTP_URL)?);
                Some(Self::Server { server, from, downloads: Downloads::new()? })
            }
        })
    }

    async fn send(&self, section: &ChargeMail, due: &Due, pdf: &str, now: DateTime<Utc>) -> Result<(), Failure> {
        let said = |text: &str| text.replace("{document_number}", &due.document_number);
        let (subject, text, filename) = (said(&section.subject), said(&section.text), filename(&due.document_number));
        match self {
            Self::Service { client, address } => {
                let attachments = json!([{"filename": filename, "path": pdf}]);
                let body = json!({"to": due.recipient, "subject": subject, "text": text, "attachments": attachments});
                client.post_json(address, &due.message_id.to_string(), &body).await
            }
            Self::Server { server, from, downloads } => {
                let bytes = fetch(downloads, pdf).await?;
                let to: Mailbox = due.recipient.parse().map_err(|error| fault::config(format!("mail to: {error}")))?;
                let kind = ContentType::parse("application/pdf").map_err(fault::bug)?;
                let parts = MultiPart::mixed()
                    .singlepart(SinglePart::plain(text))
                    .singlepart(Attachment::new(filename).body(bytes, kind));
                let letter = lettre::Message::builder()
                    .from(from.clone())
                    .to(to)
                    .subject(subject)
                    .message_id(Some(format!("<{}@{}>", due.message_id, from.email.domain())))
                    .date(now.into())
                    .multipart(parts)
                    .map_err(|error| fault::bug(format!("make a mail: {error}")))?;
                server.send(letter).await
            }
        }
    }
}

/// The file's name: what could lead elsewhere, or into another field, is left out.
fn filename(document_number: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = document_number.chars().map(safe).take(100).collect();
    format!("Invoice-{name}.pdf")
}

async fn fetch(downloads: &Downloads, link: &str) -> anyhow::Result<Vec<u8>> {
    let address = Address::parse(&link.to_owned().into()).context("the PDF")?;
    let mut answer = downloads.ask(Method::GET, &address, None, None).await?;
    if !answer.status().is_success() {
        return Err(fault::transient(format!("the PDF: {address} answered {}", answer.status())));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = download::next(&address, &mut answer).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_BYTES {
            return Err(fault::data(format!("the PDF has more than {MOST_BYTES} bytes")));
        }
    }
    Ok(bytes)
}

/// Sends the mail of a charge whose turn is held, where one is due.
pub(super) async fn deliver(machine: &Machine, charge: Uuid) -> anyhow::Result<()> {
    let Some(mailer) = machine.mailer()? else { return Ok(()) };
    let now = machine.clock.now();
    let Some(due) = claim(machine, charge, now).await? else { return Ok(()) };
    match attempt(machine, mailer, charge, &due).await {
        Ok(()) => {
            finish(machine, charge, None, None).await?;
            info!("charge {charge}: its invoice is mailed");
        }
        Err(failure) => {
            let why = fault::told(&failure.error);
            warn!("charge {charge}: its invoice could not be mailed: {why}");
            let most = machine.settings.file.charges.mail.attempts;
            let is_last = u32::try_from(due.attempts).is_ok_and(|attempts| attempts >= most);
            let asked = failure.retry_after.and_then(|asked| TimeDelta::from_std(asked).ok()).unwrap_or_default();
            let next_at = (!is_last).then(|| machine.clock.now() + wait(due.attempts).max(asked));
            finish(machine, charge, Some(&why), next_at).await?;
        }
    }
    Ok(())
}

/// 15 s, 30 s, … up to an hour, less up to a quarter by chance.
fn wait(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.clamp(1, 16) - 1).unwrap_or(0);
    let longest_ms = (15_i64 << doublings).min(3600) * 1000;
    TimeDelta::milliseconds(longest_ms - fastrand::i64(0..=longest_ms / 4))
}

async fn claim(machine: &Machine, charge: Uuid, now: DateTime<Utc>) -> anyhow::Result<Option<Due>> {
    sqlx::query_as(
        "update charges.mails as m
            set state = 'sending', attempts = m.attempts + 1, changed_at = $2
           from charges.acc_uac_invoice as i, charges.outbox as o
          where m.charge_id = $1 and m.state <> 'sent' and m.next_at <= $2
            and i.pricer_invoice_id = m.charge_id and o.charge_id = m.charge_id
      returning m.recipient, m.message_id, m.attempts, o.document_number, i.provider_entity_id",
    )
    .bind(charge)
    .bind(now)
    .fetch_optional(&machine.pool)
    .await
    .context("record that an invoice is mailed")
}

async fn attempt(machine: &Machine, mailer: &Mailer, charge: Uuid, due: &Due) -> Result<(), Failure> {
    // A link lives for some time only, so it is asked for each time.
    let pdf = machine.rutter()?.pdf(&due.provider_entity_id).await.context("the PDF")?;
    sqlx::query("update charges.acc_uac_invoice set pdf_link = $2, updated_at = $3 where pricer_invoice_id = $1")
        .bind(charge)
        .bind(&pdf)
        .bind(machine.clock.now())
        .execute(&machine.pool)
        .await
        .context("keep where a PDF lies")?;
    mailer.send(&machine.settings.file.charges.mail, due, &pdf, machine.clock.now()).await
}

async fn finish(
    machine: &Machine,
    charge: Uuid,
    error: Option<&str>,
    next_at: Option<DateTime<Utc>>,
) -> anyhow::Result<()> {
    sqlx::query(
        "with mailed as (
             update charges.mails
                set state = case when $2::text is null then 'sent' else 'failed' end,
                    error = $2,
                    next_at = $3,
                    sent_at = case when $2::text is null then $4 end,
                    changed_at = $4
              where charge_id = $1 and state = 'sending'
          returning charge_id
         )
         update charges.acc_uac_invoice as i
            set email_status = case when $2::text is null then 'SENT' else 'FAILED_TO_SEND' end, updated_at = $4
           from mailed
          where i.pricer_invoice_id = mailed.charge_id",
    )
    .bind(charge)
    .bind(error)
    .bind(next_at)
    .bind(machine.clock.now())
    .execute(&machine.pool)
    .await
    .context("record what became of a mail")?;
    Ok(())
}
