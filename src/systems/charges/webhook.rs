//! `POST /webhooks/rutter`: the accounting API tells that a job is done. Believed is what is signed, and nothing of it
//! that would lead a charge back.

use super::drive;
use super::machine::Machine;
use super::outbox::{self, By, State};
use super::refusal::{Reason, Refusal};
use super::verdict::{self, Answer, Job, Verdict};
use crate::config::RUTTER_CLIENT_SECRET;
use crate::http::{Operation, Param, Problem, Reply, Sent};
use crate::outbound::exchange::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::info;
use utoipa::ToSchema;

const ABOUT: &str = "Needs no token: the header `X-Rutter-Signature` is `sha256=` and the HMAC-SHA256 of the body with the \
    client secret, in base64. What is repeated, comes late or is of no job that is known changes nothing.";

/// What the accounting API tells.
#[derive(Deserialize, ToSchema)]
#[schema(as = RutterWebhook)]
struct Event {
    /// `JOB`, or something that is passed over.
    #[schema(example = "JOB")]
    r#type: String,
    /// `JOB_COMPLETED`, or something that is passed over.
    #[schema(example = "JOB_COMPLETED")]
    code: Option<String>,
    /// The job, with what the synchronous call would have said.
    #[schema(value_type = Option<Object>)]
    job: Option<Job>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAnswer)]
struct Taken {
    /// `applied`: it was news; `known`: it was not; `ignored`: it is of nothing that is known here.
    #[schema(example = "applied")]
    result: &'static str,
}

pub(super) fn operation(machine: &Arc<Machine>) -> Operation {
    let machine = Arc::clone(machine);
    let signature = Param::text("X-Rutter-Signature", 200).in_header().about("The signature.");
    Operation::post("/webhooks/rutter", "takeRutterWebhook", "A job of the accounting API is done")
        .about(ABOUT)
        .missing("There is no client secret to check the signature with (`NOT_CONFIGURED`).")
        .takes(signature)
        .sends::<Event>("What the accounting API tells.")
        .signed()
        .example(StatusCode::OK, serde_json::json!({"result": "applied"}))
        .acts::<Taken, _>(move |signature, sent: Sent| {
            let machine = Arc::clone(&machine);
            async move { take(&machine, signature.as_deref(), &sent).await }
        })
}

async fn take(machine: &Machine, signature: Option<&str>, sent: &Sent) -> anyhow::Result<Reply> {
    check_signature(machine, signature, &sent.body)?;
    let event: Event = sent.json()?.ok_or_else(|| Problem::bad_parameter("body", "is missing"))?;
    let job = event.job.filter(|_| event.r#type == "JOB");
    let result = match job {
        Some(job) => apply(machine, &job).await?,
        None => {
            info!("a webhook of type {:?} ({:?}) is passed over", event.r#type, event.code);
            "ignored"
        }
    };
    Reply::of(StatusCode::OK, &Taken { result })
}

/// Compares in constant time, over the body as it came.
fn check_signature(machine: &Machine, signature: Option<&str>, body: &[u8]) -> Result<(), Problem> {
    let Some(secret) = &machine.settings.charges.client_secret else {
        let detail =
            format!("Signatures can't be checked: set {RUTTER_CLIENT_SECRET}, or {RUTTER_CLIENT_SECRET}_FILE.");
        return Err(Refusal::new(Reason::NotConfigured, detail).problem());
    };
    let sent =
        signature.and_then(|text| text.strip_prefix("sha256=")).and_then(|text| BASE64_STANDARD.decode(text).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let is_right = sent.is_some_and(|sent| hmac::verify(&key, body, &sent).is_ok());
    if is_right {
        return Ok(());
    }
    let detail = "X-Rutter-Signature is not that of this body.";
    Err(Problem::refused(StatusCode::UNAUTHORIZED, "wrong-signature", detail))
}

async fn apply(machine: &Machine, job: &Job) -> anyhow::Result<&'static str> {
    let Some(id) = &job.id else { return Ok("ignored") };
    // Somebody may record the same just now; what he recorded is looked at then.
    for _ in 0..3 {
        let Some(row) = outbox::find_by_job(&machine.pool, id).await? else { return Ok("ignored") };
        let is_open = matches!(row.state, State::Accepted | State::Uncertain);
        let mut answer = Answer::default();
        let verdict = verdict::of_job(job, &mut answer);
        answer.text = Some("told by a webhook".to_owned());
        if !is_open || matches!(verdict, Verdict::Accepted) {
            return Ok("known");
        }
        drive::settle(machine, &row, row.state, verdict, answer, By::Webhook, 0).await?;
        let now = outbox::find(&machine.pool, row.charge_id).await?;
        if now.is_some_and(|now| now.state != row.state || now.needs_operator) {
            machine.bell.notify_waiters();
            return Ok("applied");
        }
    }
    Ok("known")
}
