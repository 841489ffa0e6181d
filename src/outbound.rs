//! HTTP we call: bounds on time and size, and what became of it, without the secret that an address can be.
//!
//! Whoever knows a webhook's path can use it. So an [`Address`] shows its host at most, and no error of this
//! room shows more. Knows nothing of what is sent.

pub mod api;
pub mod download;
mod endpoint;
pub mod exchange;
mod pace;
pub mod pages;
mod retry;

use crate::clock::Clock;
use crate::fault;
use anyhow::Context;
use chrono::DateTime;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::time::Duration;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a request may take in all, its answer included.
const TOTAL: Duration = Duration::from_secs(15);

/// So much of an answer is read, in bytes; the rest is left unread and the connection closed.
const MOST_BYTES: usize = 16 * 1024;

/// No answer that is longer is told, in bytes.
const LONGEST_WORD: usize = 60;

/// Names the one provider of TLS. Whatever opens TLS needs this first; a second time it changes nothing.
pub fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What makes requests: follows no redirect, says who it is, and has what else is asked for.
fn client(more: impl FnOnce(ClientBuilder) -> ClientBuilder) -> anyhow::Result<reqwest::Client> {
    use_ring();
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .redirect(Policy::none())
        .user_agent(concat!("bursar/", env!("CARGO_PKG_VERSION")));
    more(builder).build().map_err(|error| fault::config(format!("can't make an HTTP client: {}", causes(&error))))
}

/// Where to call. Its path, query, user and password are secret: shown is the host.
#[derive(Clone)]
pub struct Address(Url);

impl Address {
    /// Reads `http://…` or `https://…`.
    ///
    /// # Errors
    /// A configuration fault, which does not show the text.
    pub fn parse(text: &SecretString) -> anyhow::Result<Self> {
        let url = Url::parse(text.expose_secret()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.map(Self).ok_or_else(|| fault::config("the address is none of HTTP; write https://HOST/PATH"))
    }

    /// Whether a word is, or is of, something in the address.
    fn holds(&self, word: &str) -> bool {
        // What is shorter stands in any word.
        let mut parts = self.0.as_str().split(['/', '?', '&', '=', ':', '@']).filter(|part| part.len() > 2);
        self.0.as_str().contains(word) || parts.any(|part| word.contains(part))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.host_str().unwrap_or("?"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Why something that was sent was not taken.
#[derive(Debug)]
pub struct Failure {
    /// A transient fault where the same again may be taken later, a configuration fault where it will not.
    pub error: anyhow::Error,
    /// How long the other side asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, retry_after: None }
    }
}

/// Calls others. A clone uses the same connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    clock: Clock,
}

impl Client {
    /// A client; `clock` reads the dates of `Retry-After`.
    ///
    /// # Errors
    /// A configuration fault where this machine has no certificates to trust.
    pub fn new(clock: Clock) -> anyhow::Result<Self> {
        Ok(Self { http: client(|builder| builder.timeout(TOTAL))?, clock })
    }

    /// Posts JSON; `key` is the same whenever the same thing is posted again (header `Idempotency-Key`).
    ///
    /// # Errors
    /// Where the answer is not 2xx, or none comes. A redirect is not followed.
    pub async fn post_json(&self, to: &Address, key: &str, body: &serde_json::Value) -> Result<(), Failure> {
        self.send(to, self.http.post(to.0.clone()).header("idempotency-key", key).json(body)).await
    }

    async fn send(&self, to: &Address, request: RequestBuilder) -> Result<(), Failure> {
        let answer = request.send().await.map_err(|error| unanswered(to, error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = self.retry_after(answer.headers());
        let said = told(to, answer).await;
        Err(Failure { error: judged(status, format!("{to} answered {status}{said}")), retry_after })
    }

    /// RFC 9110, section 10.2.3: seconds, or a date.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = DateTime::parse_from_rfc2822(text).ok()?;
        Some((until.to_utc() - self.clock.now()).to_std().unwrap_or_default())
    }
}

/// A request that nobody answered, or whose answer broke off.
fn unanswered(to: &Address, error: reqwest::Error) -> Failure {
    let message = format!("{to} does not answer: {}", causes(&error.without_url()));
    Failure::from(fault::transient(message))
}

/// An error with all its causes, which reqwest leaves out.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What was refused for what it is will be refused again; too slow, too often and their own trouble pass.
fn judged(status: StatusCode, message: String) -> anyhow::Error {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => fault::transient(message),
        status if status.is_redirection() => {
            fault::config(message + "; redirects are not followed, so the final address is needed")
        }
        status if status.is_client_error() => fault::config(message),
        _ => fault::transient(message),
    }
}

/// What the answer says, as `: …`, where it is one bare word, as Slack's `invalid_token`. Any other text may repeat
/// the address, as pages for 404 do.
async fn told(to: &Address, answer: Response) -> String {
    // Why it was refused is known already; how its text breaks off adds nothing.
    let text = text(answer).await.unwrap_or_default();
    let word = text.trim();
    let is_word = word.chars().all(|c| c.is_ascii_lowercase() || c == '_') && (1..=LONGEST_WORD).contains(&word.len());
    if is_word && !to.holds(word) { format!(": {word}") } else { String::new() }
}

/// The beginning of an answer's text.
async fn text(mut answer: Response) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("read the answer")? {
        let room = MOST_BYTES - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == MOST_BYTES {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
