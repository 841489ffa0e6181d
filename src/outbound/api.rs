//! JSON APIs we read: bounded, retried by the rules of their vendors, and judged. Knows no vendor.

use super::endpoint::Endpoint;
pub use super::endpoint::{Request, Terms};
use super::retry;
pub use super::retry::Conflicts;
use crate::clock::Clock;
use crate::fault;
use crate::json;
use anyhow::Context;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::info;

/// No longer answer is read, in bytes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// So much is read of an answer that is an error, in bytes.
const MOST_ERROR_BYTES: usize = 16 * 1024;

/// By what rules an API is called.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How often a request is tried in all.
    pub attempts: u32,
    /// Whether 409 is tried again.
    pub conflicts: Conflicts,
    /// At most so many requests at a time.
    pub concurrency: usize,
}

/// Calls an API. A clone shares the connections and the limits.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    base_url_key: &'static str,
    secret_variable: &'static str,
    rules: Rules,
    slots: Semaphore,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({})", self.0.endpoint)
    }
}

/// A try that came to nothing.
struct Failed {
    error: anyhow::Error,
    is_retried: bool,
    asked: Option<Duration>,
}

impl Failed {
    const fn of(error: anyhow::Error, is_retried: bool) -> Self {
        Self { error, is_retried, asked: None }
    }
}

/// What vendors say of an error.
#[derive(Deserialize)]
struct Said {
    message: String,
}

impl Api {
    /// A client; waiting goes by `clock`.
    ///
    /// # Errors
    /// A configuration fault for an address that is none of HTTP, a token that can't be sent, or a machine without
    /// certificates to trust.
    pub fn new(terms: Terms, rules: Rules, clock: Clock) -> anyhow::Result<Self> {
        let Terms { base_url_key, secret_variable, .. } = terms;
        let endpoint = Endpoint::new(terms, clock)?;
        let slots = Semaphore::new(rules.concurrency.max(1));
        Ok(Self(Arc::new(Inner { endpoint, base_url_key, secret_variable, rules, slots })))
    }

    /// Makes a request that reads and gives its answer's text; tried again by the rules.
    ///
    /// # Errors
    /// A configuration fault where the token is refused or the address leads elsewhere, a transient one where the other
    /// side is away, busy or in trouble, a data fault where it refuses the request or answers beyond all bounds.
    pub async fn call(&self, request: &Request) -> anyhow::Result<String> {
        let inner = &self.0;
        let _slot = inner.slots.acquire().await.context("wait for a slot")?;
        let mut failures = 0;
        loop {
            let Failed { error, is_retried, asked } = match inner.attempt(request).await {
                Ok(text) => return Ok(text),
                Err(failed) => failed,
            };
            failures += 1;
            if !is_retried || failures >= inner.rules.attempts {
                return Err(error);
            }
            let delay = retry::delay(asked, failures, fastrand::f64());
            info!("{} (try {failures}; again in {:.3} s)", fault::told(&error), delay.as_secs_f64());
            inner.endpoint.clock.sleep(delay).await;
        }
    }
}

impl Inner {
    async fn attempt(&self, request: &Request) -> Result<String, Failed> {
        let endpoint = &self.endpoint;
        let mut answer = endpoint.send(request).await.map_err(|lost| Failed::of(lost.into_error(), true))?;
        if !answer.status().is_success() {
            return Err(self.refused(request, answer).await);
        }
        let bytes = endpoint.read(request, &mut answer, MOST_BYTES).await.map_err(|error| Failed::of(error, true))?;
        let wrong = |why: &str| Failed::of(fault::data(format!("{request}: the answer {why}")), false);
        let bytes = bytes.ok_or_else(|| wrong(&format!("is longer than {MOST_BYTES} bytes")))?;
        if json::is_markup(&bytes) {
            return Err(Failed::of(self.markup(request), true));
        }
        String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))
    }

    /// A success whose body is a page: a proxy, a sign-in or a maintenance page answered in place of the API.
    fn markup(&self, request: &Request) -> anyhow::Error {
        fault::transient(format!(
            "{request}: the answer is an HTML page, not JSON: does {} name the API itself, and is it reached without a \
             proxy or sign-in page in between?",
            self.base_url_key
        ))
    }

    async fn refused(&self, request: &Request, mut answer: Response) -> Failed {
        let (status, asked) = (answer.status(), self.endpoint.asked(&answer));
        let is_retried = retry::is_retried(status, answer.headers(), self.rules.conflicts);
        // Why it was refused is known already; how its text breaks off adds nothing.
        let bytes = self.endpoint.read(request, &mut answer, MOST_ERROR_BYTES).await.ok().flatten().unwrap_or_default();
        let said = serde_json::from_slice::<Said>(&bytes);
        let said = match said {
            Ok(said) => format!(": {}", self.endpoint.shown(&said.message)),
            Err(_) if json::is_markup(&bytes) => " with an HTML page".to_owned(),
            Err(_) => String::new(),
        };
        Failed {
            error: self.judged(status, is_retried, format!("{request} answered {status}{said}")),
            is_retried,
            asked,
        }
    }

    fn judged(&self, status: StatusCode, is_retried: bool, message: String) -> anyhow::Error {
        let Self { secret_variable, base_url_key, .. } = self;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => fault::config(format!(
                "{message}; the token in {secret_variable} (or {secret_variable}_FILE) is refused: set one that is valid"
            )),
            status if status.is_redirection() => fault::config(format!(
                "{message}; redirects are not followed, so {base_url_key} must be the final address"
            )),
            _ if is_retried || status.is_server_error() => fault::transient(message),
            _ => fault::data(message),
        }
    }
}
