//! JSON APIs we call: paced, bounded, retried by the rules of their vendors, and judged.
//!
//! The secret goes into a header and nowhere else: no error, log or `Debug` shows it, also where the other side
//! repeats it. Knows no vendor.

use super::pace::Pace;
pub use super::retry::Conflicts;
use super::{CONNECT, causes, retry, use_ring};
use crate::clock::Clock;
use crate::fault;
use anyhow::Context;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::info;

/// No longer answer is read, in bytes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// So much is read of an answer that is an error, in bytes.
const MOST_ERROR_BYTES: usize = 16 * 1024;

/// So much is told of what the other side says, in characters.
const MOST_TOLD: usize = 300;

/// How an API is called.
pub struct Rules {
    /// Where it lies; calls go below it.
    pub base_url: String,
    /// The key of the configuration that says so.
    pub base_url_key: &'static str,
    /// What is sent as `Authorization: Bearer …`.
    pub token: SecretString,
    /// The variable that the token comes from; `…_FILE` may name a file instead.
    pub token_variable: &'static str,
    /// How long one try of a request may take, its answer included.
    pub timeout: Duration,
    /// How often a request is tried in all.
    pub attempts: u32,
    /// Whether 409 is tried again.
    pub conflicts: Conflicts,
    /// At most so many tries in a second.
    pub requests_per_second: u32,
    /// At most so many requests at a time.
    pub concurrency: usize,
}

/// A request, without what is the same for all.
#[derive(Clone, Debug)]
pub struct Call {
    /// GET, POST.
    pub method: Method,
    /// The path below the base, by its segments; they are encoded as a URL needs it.
    pub path: Vec<String>,
    /// The query.
    pub query: Vec<(&'static str, String)>,
    /// What is sent as JSON.
    pub body: Option<Value>,
}

impl Call {
    /// A GET.
    pub fn get<S: Into<String>>(path: impl IntoIterator<Item = S>, query: Vec<(&'static str, String)>) -> Self {
        Self { method: Method::GET, path: path.into_iter().map(Into::into).collect(), query, body: None }
    }

    /// A POST that reads: it may be sent again without a key.
    pub fn post<S: Into<String>>(
        path: impl IntoIterator<Item = S>,
        query: Vec<(&'static str, String)>,
        body: Value,
    ) -> Self {
        let path = path.into_iter().map(Into::into).collect();
        Self { method: Method::POST, path, query, body: Some(body) }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /{}", self.method, self.path.join("/"))
    }
}

/// Calls an API. A clone shares the connections and the limits.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: Url,
    rules: Rules,
    authorization: HeaderValue,
    pace: Pace,
    slots: Semaphore,
    clock: Clock,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({})", self.0.base)
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
    pub fn new(rules: Rules, clock: Clock) -> anyhow::Result<Self> {
        use_ring();
        let base = base(&rules.base_url, rules.base_url_key)?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(rules.timeout)
            .redirect(Policy::none())
            .user_agent(concat!("bursar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| fault::config(format!("can't make an HTTP client: {}", causes(&error))))?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", rules.token.expose_secret()))
            .map_err(|_| fault::config(format!("{} can't be a header: a line end in it?", rules.token_variable)))?;
        authorization.set_sensitive(true);
        let (pace, slots) = (Pace::new(rules.requests_per_second), Semaphore::new(rules.concurrency.max(1)));
        Ok(Self(Arc::new(Inner { http, base, rules, authorization, pace, slots, clock })))
    }

    /// Makes a request and gives its answer's text; tried again by the rules.
    ///
    /// # Errors
    /// A configuration fault where the token is refused or the address leads elsewhere, a transient one where the other
    /// side is away, busy or in trouble, a data fault where it refuses the request or answers beyond all bounds.
    pub async fn call(&self, call: &Call) -> anyhow::Result<String> {
        let inner = &self.0;
        let _slot = inner.slots.acquire().await.context("wait for a slot")?;
        let mut failures = 0;
        loop {
            let Failed { error, is_retried, asked } = match inner.attempt(call).await {
                Ok(text) => return Ok(text),
                Err(failed) => failed,
            };
            failures += 1;
            if !is_retried || failures >= inner.rules.attempts {
                return Err(error);
            }
            let delay = retry::delay(asked, failures, fastrand::f64());
            info!("{} (try {failures}; again in {:.3} s)", fault::told(&error), delay.as_secs_f64());
            inner.clock.sleep(delay).await;
        }
    }
}

/// The address of the API: calls are put behind it.
pub(super) fn base(base_url: &str, key: &str) -> anyhow::Result<Url> {
    let wrong = |why: &str| fault::config(format!("{key} {why}; write https://HOST/PATH"));
    let url = Url::parse(base_url).map_err(|error| wrong(&format!("is no address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(wrong("is no address of HTTP"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("holds a user, a query or a fragment, which is no place for a secret"));
    }
    Ok(url)
}

impl Inner {
    async fn attempt(&self, call: &Call) -> Result<String, Failed> {
        self.pace.wait(&self.clock).await;
        let mut request = self.http.request(call.method.clone(), self.url(call)?).query(&call.query);
        request = request.header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(|error| self.unanswered(call, error))?;
        if !answer.status().is_success() {
            return Err(self.refused(call, answer).await);
        }
        let bytes = read(&mut answer, MOST_BYTES).await.map_err(|error| self.unanswered(call, error))?;
        let wrong = |why: &str| Failed::of(fault::data(format!("{call}: the answer {why}")), false);
        let bytes = bytes.ok_or_else(|| wrong(&format!("is longer than {MOST_BYTES} bytes")))?;
        String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))
    }

    fn url(&self, call: &Call) -> Result<Url, Failed> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(&call.path)),
            Err(()) => return Err(Failed::of(fault::bug(format!("{} is no base", self.base)), false)),
        }
        Ok(url)
    }

    /// A request that nobody answered, or whose answer broke off.
    fn unanswered(&self, call: &Call, error: reqwest::Error) -> Failed {
        let host = self.base.host_str().unwrap_or("?");
        let message = format!("{call}: {host} does not answer: {}", causes(&error.without_url()));
        Failed::of(fault::transient(self.redacted(message)), true)
    }

    async fn refused(&self, call: &Call, mut answer: Response) -> Failed {
        let status = answer.status();
        let is_retried = retry::is_retried(status, answer.headers(), self.rules.conflicts);
        let asked = retry::asked(answer.headers(), self.clock.now());
        // Why it was refused is known already; how its text breaks off adds nothing.
        let bytes = read(&mut answer, MOST_ERROR_BYTES).await.ok().flatten().unwrap_or_default();
        let said = serde_json::from_slice::<Said>(&bytes);
        let said = said.map_or_else(|_| String::new(), |said| format!(": {}", plain(&self.redacted(said.message))));
        Failed { error: self.judged(status, is_retried, format!("{call} answered {status}{said}")), is_retried, asked }
    }

    fn judged(&self, status: StatusCode, is_retried: bool, message: String) -> anyhow::Error {
        let Rules { token_variable, base_url_key, .. } = self.rules;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => fault::config(format!(
                "{message}; the token in {token_variable} (or {token_variable}_FILE) is refused: set one that is valid"
            )),
            status if status.is_redirection() => fault::config(format!(
                "{message}; redirects are not followed, so {base_url_key} must be the final address"
            )),
            _ if is_retried || status.is_server_error() => fault::transient(message),
            _ => fault::data(message),
        }
    }

    /// Takes the token out of what others say.
    fn redacted(&self, message: String) -> String {
        let token = self.rules.token.expose_secret();
        if token.is_empty() { message } else { message.replace(token, "***") }
    }
}

/// The bytes of an answer; none where there are more than `most`.
pub(super) async fn read(answer: &mut Response, most: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// The beginning of a text, in one line.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_TOLD).collect()
}
