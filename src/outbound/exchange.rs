//! One request and its whole answer, whatever its status, for whoever must know what exactly became of it.
//!
//! Nothing is sent twice here but by [`Service::fetch`], which only reads.

use super::endpoint::Endpoint;
pub use super::endpoint::{Lost, Request, Terms};
use super::retry::{self, Conflicts};
use crate::clock::Clock;
use crate::fault;
pub use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// No longer answer is read, in bytes.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// How often something is read at most.
const ATTEMPTS: u32 = 4;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its text, without secrets.
    pub text: String,
    /// How long the other side asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// A service. A clone uses the same connections and limits.
#[derive(Clone)]
pub struct Service(Arc<Endpoint>);

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({})", self.0)
    }
}

impl Service {
    /// A client; waiting goes by `clock`.
    ///
    /// # Errors
    /// A configuration fault for an address that is none of HTTP, a secret that can't be a header, or a machine without
    /// certificates to trust.
    pub fn new(terms: Terms, clock: Clock) -> anyhow::Result<Self> {
        Endpoint::new(terms, clock).map(|endpoint| Self(Arc::new(endpoint)))
    }

    /// Makes a request, once.
    ///
    /// # Errors
    /// Whether it may have been taken.
    pub async fn send(&self, request: &Request) -> Result<Answered, Lost> {
        let endpoint = &self.0;
        let mut answer = endpoint.send(request).await?;
        // Whatever breaks off from here on, the request had been sent.
        let bytes = endpoint.read(request, &mut answer, MOST_BYTES).await.map_err(Lost::Unknown)?;
        let too_long = || fault::transient(format!("{request}: the answer is longer than {MOST_BYTES} bytes"));
        let bytes = bytes.ok_or_else(|| Lost::Unknown(too_long()))?;
        let text = endpoint.redacted(String::from_utf8_lossy(&bytes).replace('\0', "\u{FFFD}"));
        let retry_after = endpoint.asked(&answer);
        Ok(Answered { status: answer.status(), headers: answer.headers().clone(), text, retry_after })
    }

    /// Reads something: tried again while it may pass.
    ///
    /// # Errors
    /// A transient fault where no answer comes, or none but trouble.
    pub async fn fetch(&self, request: &Request) -> anyhow::Result<Answered> {
        let mut failures = 0;
        loop {
            failures += 1;
            let (error, asked) = match self.send(request).await {
                Ok(answer) if !retry::is_retried(answer.status, &answer.headers, Conflicts::Stay) => return Ok(answer),
                Ok(answer) => (fault::transient(format!("{request} answered {}", answer.status)), answer.retry_after),
                Err(lost) => (lost.into_error(), None),
            };
            if failures >= ATTEMPTS {
                return Err(error);
            }
            self.0.clock.sleep(retry::delay(asked, failures, fastrand::f64())).await;
        }
    }

    /// The beginning of what the other side says, in one line and without secrets.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        self.0.shown(text)
    }
}
