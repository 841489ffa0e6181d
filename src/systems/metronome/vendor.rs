//! The calls of the vendor's API, as its documentation has them.

use super::model::{Net, Netted};
use crate::clock::Clock;
use crate::config::{METRONOME_TOKEN, Settings};
use crate::fault;
use crate::json::{self, Item};
use crate::outbound::api::{Api, Conflicts, Request, Rules, Terms};
use futures_util::Stream;
use secrecy::ExposeSecret;
use serde_json::json;
use std::time::Duration;

/// The most items that a page can be asked to hold.
const LIMIT: &str = "100";

/// Which customers are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Active,
    Archived,
}

/// The vendor.
#[derive(Clone, Debug)]
pub(super) struct Vendor(Api);

impl Vendor {
    /// The vendor as the settings describe it.
    ///
    /// # Errors
    /// A configuration fault that names the variable where there is no token.
    pub(super) fn of(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let section = &settings.file.metronome;
        let token = settings.metronome_token.clone().filter(|token| !token.expose_secret().trim().is_empty());
        let token = token.ok_or_else(|| {
            let message = format!("there is no token for the Metronome API: set {METRONOME_TOKEN} to it");
            fault::config(format!("{message}, or {METRONOME_TOKEN}_FILE to a file that holds it"))
        })?;
        let terms = Terms {
            base_url: section.base_url.clone(),
            base_url_key: "metronome.base_url",
            headers: vec![("authorization", format!("Bearer {}", token.expose_secret()).into())],
            query: Vec::new(),
            secrets: vec![token],
            secret_variable: METRONOME_TOKEN,
            timeout: Duration::from_secs(section.timeout_s),
            requests_per_second: section.requests_per_second,
        };
        let rules = Rules {
            attempts: section.attempts,
            conflicts: Conflicts::Pass,
            concurrency: usize::try_from(section.concurrency).unwrap_or(1),
        };
        Api::new(terms, rules, clock).map(Self)
    }

    /// Every customer.
    pub(super) fn customers(&self, which: Which) -> impl Stream<Item = anyhow::Result<Vec<Item>>> + Send + '_ {
        let mut query = vec![("limit", LIMIT.to_owned())];
        if which == Which::Archived {
            query.push(("only_archived", "true".to_owned()));
        }
        self.0.pages(Request::get(["customers"]).query(query))
    }

    /// Every invoice of a customer, whatever its status: those that are void are told from the others by their own word.
    pub(super) fn invoices(&self, customer: &str) -> impl Stream<Item = anyhow::Result<Vec<Item>>> + Send + '_ {
        // Without an order that is named, pages may overlap.
        let query = vec![("sort", "date_asc".to_owned()), ("limit", LIMIT.to_owned())];
        self.0.pages(Request::get(["customers", customer, "invoices"]).query(query))
    }

    /// Every entry of a customer's credit ledgers. It is a POST that reads; a fixed `Idempotency-Key` would give the
    /// first page again and again, so none is sent.
    pub(super) fn ledgers(&self, customer: &str) -> impl Stream<Item = anyhow::Result<Vec<Item>>> + Send + '_ {
        let query = vec![("sort", "asc".to_owned())];
        let body = json!({"customer_ids": [customer]}).to_string();
        self.0.pages(Request::post(["credits", "listEntries"], body).query(query))
    }

    /// A customer's net balance; of USD (cents) where no credit type is named.
    pub(super) async fn net_balance(&self, customer: &str, credit_type: Option<&str>) -> anyhow::Result<Net> {
        let mut body = json!({"customer_id": customer});
        if let Some(id) = credit_type {
            body["credit_type_id"] = id.into();
        }
        let request = Request::post(["contracts", "customerBalances", "getNetBalance"], body.to_string());
        let text = self.0.call(&request).await?;
        let netted: Netted = json::read(&text).map_err(|why| fault::data(format!("{request}: the answer's {why}")))?;
        Ok(netted.data)
    }
}
