//! Files we fetch: nothing is followed, unpacked or kept, and a server that falls silent is given up.

use super::{Address, causes, client, judged};
use crate::fault;
pub use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// How long a server may be silent, in the midst of a file too.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Where to go on in a file that broke off: at this byte, where it still has this `ETag` or `Last-Modified`.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    /// Bytes that are there already.
    pub byte: u64,
    /// What the file was known by.
    pub known_by: &'a str,
}

/// Fetches files. A clone uses the same connections.
#[derive(Clone, Debug)]
pub struct Downloads {
    http: reqwest::Client,
}

impl Downloads {
    /// A client that takes bytes as they were sent.
    ///
    /// # Errors
    /// A configuration fault where this machine has no certificates to trust.
    pub fn new() -> anyhow::Result<Self> {
        client(|builder| builder.read_timeout(SILENCE).no_gzip()).map(|http| Self { http })
    }

    /// Asks for a file, or with `HEAD` about it; gives the answer whatever its status.
    ///
    /// # Errors
    /// A transient fault where none comes; a configuration fault where the secret can't be a header.
    pub async fn ask(
        &self,
        method: Method,
        at: &Address,
        authorization: Option<&SecretString>,
        from: Option<From<'_>>,
    ) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, at.0.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(secret) = authorization {
            let mut value = HeaderValue::from_str(secret.expose_secret())
                .map_err(|_| fault::config(format!("the Authorization for {at} can't be a header: a line end?")))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(from) = from {
            request = request.header(RANGE, format!("bytes={}-", from.byte)).header(IF_RANGE, from.known_by);
        }
        request.send().await.map_err(|error| broken(at, error))
    }
}

/// The next bytes of an answer; none at its end.
///
/// # Errors
/// A transient fault where they break off.
pub async fn next(at: &Address, answer: &mut Response) -> anyhow::Result<Option<bytes::Bytes>> {
    answer.chunk().await.map_err(|error| broken(at, error))
}

/// What a status means that is no success.
#[must_use]
pub fn refusal(at: &Address, status: StatusCode) -> anyhow::Error {
    judged(status, format!("{at} answered {status}"))
}

fn broken(at: &Address, error: reqwest::Error) -> anyhow::Error {
    fault::transient(format!("{at} does not answer: {}", causes(&error.without_url())))
}
