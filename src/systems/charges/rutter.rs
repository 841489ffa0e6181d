//! The accounting API, as its documentation has it.

use super::refusal::{Reason, Refusal};
use super::verdict::{self, Answer, Verdict};
use crate::clock::Clock;
use crate::config::{RUTTER_ACCESS_TOKEN, RUTTER_CLIENT_ID, RUTTER_CLIENT_SECRET, Settings};
use crate::fault;
use crate::json;
use crate::outbound::exchange::{Lost, Request, Service, Terms};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::time::Duration;
use uuid::Uuid;

/// The version of the API whose answers are read here.
const VERSION: (&str, &str) = ("x-rutter-version", "2023-03-14");

/// Below the base, before every path.
const ROOT: &str = "versioned";

/// The accounting API.
#[derive(Clone, Debug)]
pub(super) struct Rutter(Service);

/// What became of a request that was sent, or was not.
pub(super) enum Told {
    /// There is an answer.
    Answer(Verdict, Answer),
    /// Nothing was sent.
    Unsent(String),
}

impl Rutter {
    /// The API as the settings describe it.
    ///
    /// # Errors
    /// A refusal that names the variable which is missing.
    pub(super) fn of(settings: &Settings, clock: &Clock) -> anyhow::Result<Self> {
        let secrets = &settings.charges;
        let missing = |variable: &str| {
            let detail = format!("The accounting API is not configured: set {variable}, or {variable}_FILE.");
            Refusal::new(Reason::NotConfigured, detail)
        };
        let client = secrets.client_id.as_ref().ok_or_else(|| missing(RUTTER_CLIENT_ID))?;
        let secret = secrets.client_secret.as_ref().ok_or_else(|| missing(RUTTER_CLIENT_SECRET))?;
        let token = secrets.access_token.as_ref().ok_or_else(|| {
            let detail = format!("There is no access token: set {RUTTER_ACCESS_TOKEN}, or {RUTTER_ACCESS_TOKEN}_FILE.");
            Refusal::new(Reason::NoAccessToken, detail)
        })?;
        let basic = BASE64_STANDARD.encode(format!("{}:{}", client.expose_secret(), secret.expose_secret()));
        let section = &settings.file.charges;
        let terms = Terms {
            base_url: section.rutter.base_url.clone(),
            base_url_key: "charges.rutter.base_url (RUTTER_BASE_URL)",
            headers: vec![("authorization", SecretString::from(format!("Basic {basic}")))],
            query: vec![("access_token", token.clone())],
            secrets: vec![secret.clone(), basic.into()],
            secret_variable: RUTTER_CLIENT_SECRET,
            timeout: Duration::from_secs(section.timeout_s),
            requests_per_second: section.rutter.requests_per_second,
        };
        Service::new(terms, clock.clone()).map(Self)
    }

    /// Asks for an invoice, once.
    pub(super) async fn create(&self, key: Uuid, body: Vec<u8>) -> Told {
        let request = Request::post([ROOT, "accounting", "invoices"], body);
        let request = request.header(VERSION.0, VERSION.1).header("idempotency-key", key.to_string());
        match self.0.send(&request).await {
            Ok(answered) => {
                let (verdict, answer) = verdict::of_request(&answered);
                Told::Answer(verdict, answer)
            }
            Err(Lost::Unsent(error)) => Told::Unsent(fault::told(&error)),
            Err(Lost::Unknown(error)) => {
                Told::Answer(Verdict::Unknown, Answer { error: fault::told(&error), ..Answer::default() })
            }
        }
    }

    /// Asks what became of a job, once.
    pub(super) async fn job(&self, id: &str) -> Told {
        match self.0.send(&get(["jobs", id])).await {
            Ok(answered) => {
                let (verdict, answer) = verdict::of_poll(&answered);
                Told::Answer(verdict, answer)
            }
            Err(lost) => Told::Unsent(fault::told(&lost.into_error())),
        }
    }

    /// Where an invoice's PDF lies.
    ///
    /// # Errors
    /// A transient fault where the API does not tell.
    pub(super) async fn pdf(&self, invoice: &str) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Body {
            invoice: Pdf,
        }
        #[derive(Deserialize)]
        struct Pdf {
            pdf_link: String,
        }
        let request = get(["accounting", "invoices", invoice, "pdf"]);
        let answered = self.0.fetch(&request).await?;
        if !answered.status.is_success() {
            let shown = self.0.shown(&answered.text);
            return Err(fault::transient(format!("{request} answered {}: {shown}", answered.status)));
        }
        let body: Body = json::read(&answered.text).map_err(|why| fault::transient(format!("{request}: the {why}")))?;
        let is_address = ["http://", "https://"].iter().any(|scheme| body.invoice.pdf_link.starts_with(scheme));
        if !is_address {
            return Err(fault::transient(format!("{request}: pdf_link is no address")));
        }
        Ok(body.invoice.pdf_link)
    }
}

fn get<const N: usize>(path: [&str; N]) -> Request {
    Request::get(std::iter::once(ROOT).chain(path)).header(VERSION.0, VERSION.1)
}
