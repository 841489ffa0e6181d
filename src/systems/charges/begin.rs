//! From a charge to what is meant to be done for it: fetched, checked, written down, stored.

use super::charge::{self, Charge};
use super::machine::Machine;
use super::outbox::{self, By, Intent, Row, State};
use super::payload;
use super::refusal::{Reason, Refusal};
use crate::config::{ChargeMail, MailVia};
use crate::fault;
use anyhow::Context;
use uuid::Uuid;

/// Fetches and checks a charge, and writes the request down.
///
/// # Errors
/// A refusal that says why it can't be an invoice.
pub(super) async fn prepare(machine: &Machine, charge: Uuid) -> anyhow::Result<Intent> {
    let text = machine.source()?.fetch(charge).await?;
    let charge = charge::parse(charge, &text)?;
    intent(&charge, machine)
}

fn intent(charge: &Charge, machine: &Machine) -> anyhow::Result<Intent> {
    let request = payload::write(charge, machine.settings.file.charges.rutter.response_mode)?;
    Ok(Intent {
        charge_id: charge.id,
        document_number: charge.document_number.clone(),
        organization_id: charge.organization_id.clone(),
        stream_customer_id: charge.stream_customer_id.clone(),
        charge_lines: charge.line_items.iter().map(|line| line.id.clone()).collect(),
        request_sha256: payload::hash(&request),
        request,
    })
}

/// Stores what is meant to be done, before anything is sent; gives the row, whoever stored it.
///
/// # Errors
/// A refusal where another charge has the number, or the accounting API is not configured.
pub(super) async fn begin(
    machine: &Machine,
    intent: &Intent,
    mail_to: Option<&str>,
    by: By,
    run: Option<Uuid>,
) -> anyhow::Result<Row> {
    machine.rutter()?;
    let mut transaction = machine.pool.begin().await.context("begin with a charge")?;
    check_number(&mut transaction, intent).await?;
    outbox::insert(&mut transaction, intent, mail_to, by, run, machine.clock.now()).await?;
    transaction.commit().await.context("begin with a charge")?;
    let row = outbox::find(&machine.pool, intent.charge_id).await?;
    row.ok_or_else(|| fault::bug(format!("charge {} was stored and is not there", intent.charge_id)))
}

/// Takes a charge up again that failed, or of which an operator says that there is no invoice.
pub(super) async fn again(machine: &Machine, row: &Row, by: By) -> anyhow::Result<()> {
    machine.rutter()?;
    let intent = prepare(machine, row.charge_id).await?;
    // What another request needs is another key. Where one of several requests with this key was lost, only a person
    // can tell that none of them will be taken yet.
    if by != By::Operator && row.sends > 1 && intent.request != row.request {
        let detail = "The charge was changed, so a new key is needed, and a request with the first key was lost: ask again \
            with retry=failed when it is sure that the accounting platform has no invoice.";
        return Err(Refusal::new(Reason::InvoiceCreationFailed, detail).into());
    }
    let mut transaction = machine.pool.begin().await.context("take a charge up again")?;
    check_number(&mut transaction, &intent).await?;
    outbox::again(&mut transaction, row, Some(&intent), by, machine.clock.now()).await?;
    transaction.commit().await.context("take a charge up again")
}

async fn check_number(connection: &mut sqlx::PgConnection, intent: &Intent) -> anyhow::Result<()> {
    let Some(other) = outbox::find_namesake(connection, intent.charge_id, &intent.document_number).await? else {
        return Ok(());
    };
    let detail = format!("The document number {:?} is that of the charge {other}, too.", intent.document_number);
    Err(Refusal::new(Reason::DuplicateDocumentNumber, detail).into())
}

/// Who gets the mail: whoever was asked for, where that is allowed, else whom the settings name. None where no mail is
/// wanted.
///
/// # Errors
/// A refusal where mail is off, nobody is named, or the one that was asked for is not allowed.
pub(super) fn recipient(
    section: &ChargeMail,
    wants: Option<bool>,
    asked: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let usual = section.via != MailVia::None && section.by_default;
    if !wants.unwrap_or(usual) {
        return Ok(None);
    }
    if section.via == MailVia::None {
        let detail = "Mail is off: set charges.mail.via, or leave send_email out.";
        return Err(Refusal::new(Reason::NotConfigured, detail));
    }
    match (asked, &section.recipient) {
        (Some(asked), usual) if usual.as_deref() == Some(asked) || is_allowed(section, asked) => {
            Ok(Some(asked.to_owned()))
        }
        (Some(_), _) => {
            let detail = "This recipient is not in charges.mail.allowed_recipients.";
            Err(Refusal::new(Reason::RecipientNotAllowed, detail))
        }
        (None, Some(usual)) => Ok(Some(usual.clone())),
        (None, None) => {
            let detail = "Nobody is named to get mail: set RECIPIENT_EMAIL, or charges.mail.recipient.";
            Err(Refusal::new(Reason::NotConfigured, detail))
        }
    }
}

fn is_allowed(section: &ChargeMail, asked: &str) -> bool {
    // One plain address: a list, a name or a line end would make more of it.
    let is_plain = asked.bytes().all(|b| b.is_ascii_graphic() && !b",;<>\"()".contains(&b));
    let is_address = is_plain && asked.parse::<lettre::Address>().is_ok();
    let matches = |allowed: &String| match allowed.strip_prefix('@') {
        Some(domain) => asked.rsplit_once('@').is_some_and(|(_, of)| of.eq_ignore_ascii_case(domain)),
        None => allowed.eq_ignore_ascii_case(asked),
    };
    is_address && section.allowed_recipients.iter().any(matches)
}

/// Whether a row may be taken up again without an operator: nothing of it was accepted.
pub(super) fn may_try_again(row: &Row) -> bool {
    row.state == State::Failed && !row.is_accepted
}
