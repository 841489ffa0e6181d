//! One request and its whole answer, whatever its status, for whoever must know what exactly became of it.
//!
//! Nothing is sent twice here but by [`Service::fetch`], which only reads. Secrets stand in headers and in the query;
//! no error, `Debug` or answer shows them, also where the other side repeats them.

use super::api::{base, plain, read};
use super::pace::Pace;
use super::retry::{self, Conflicts};
use super::{CONNECT, causes, use_ring};
use crate::clock::Clock;
use crate::fault;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
pub use reqwest::{Method, StatusCode};
use reqwest::{Response, Url};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// No longer answer is read, in bytes.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// How often something is read at most.
const ATTEMPTS: u32 = 4;

/// How a service is called.
pub struct Terms {
    /// Where it lies; requests go below it.
    pub base_url: String,
    /// What says so: a key, a variable.
    pub base_url_key: &'static str,
    /// Headers that every request has; their values are secret.
    pub headers: Vec<(&'static str, SecretString)>,
    /// What every request has in its query; secret, too.
    pub query: Vec<(&'static str, SecretString)>,
    /// More that must not be seen, as parts of what the headers are made from.
    pub secrets: Vec<SecretString>,
    /// How long a request may take, its answer included.
    pub timeout: Duration,
    /// At most so many requests in a second.
    pub requests_per_second: u32,
}

/// A request, without what is the same for all.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST.
    pub method: Method,
    /// The path below the base, by its segments.
    pub path: Vec<String>,
    /// Headers of its own.
    pub headers: Vec<(&'static str, String)>,
    /// A body of JSON, to the byte.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A GET.
    pub fn get<S: Into<String>>(path: impl IntoIterator<Item = S>) -> Self {
        let path = path.into_iter().map(Into::into).collect();
        Self { method: Method::GET, path, headers: Vec::new(), body: None }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /{}", self.method, self.path.join("/"))
    }
}

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

/// Why there is no answer.
#[derive(Debug)]
pub enum Lost {
    /// Nothing was sent: there was no connection.
    Unsent(anyhow::Error),
    /// The request may have been taken.
    Unknown(anyhow::Error),
}

impl Lost {
    /// What happened.
    #[must_use]
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Unsent(error) | Self::Unknown(error) => error,
        }
    }
}

/// A service. A clone uses the same connections and limits.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    query: Vec<(&'static str, SecretString)>,
    secrets: Vec<SecretString>,
    pace: Pace,
    clock: Clock,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({})", self.0.base)
    }
}

impl Service {
    /// A client; waiting goes by `clock`.
    ///
    /// # Errors
    /// A configuration fault for an address that is none of HTTP, a secret that can't be a header, or a machine without
    /// certificates to trust.
    pub fn new(terms: Terms, clock: Clock) -> anyhow::Result<Self> {
        use_ring();
        let base = base(&terms.base_url, terms.base_url_key)?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(terms.timeout)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("bursar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| fault::config(format!("can't make an HTTP client: {}", causes(&error))))?;
        let mut headers = HeaderMap::new();
        for (name, secret) in &terms.headers {
            let mut value = HeaderValue::from_str(secret.expose_secret())
                .map_err(|_| fault::config(format!("{name} can't be sent: is there a line end in the secret?")))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let in_headers = terms.headers.iter().map(|(_, secret)| secret.clone());
        let in_query = terms.query.iter().map(|(_, secret)| secret.clone());
        let secrets = terms.secrets.iter().cloned().chain(in_headers).chain(in_query).collect();
        let pace = Pace::new(terms.requests_per_second);
        Ok(Self(Arc::new(Inner { http, base, headers, query: terms.query, secrets, pace, clock })))
    }

    /// Makes a request, once.
    ///
    /// # Errors
    /// Whether it may have been taken.
    pub async fn send(&self, request: &Request) -> Result<Answered, Lost> {
        let inner = &self.0;
        inner.pace.wait(&inner.clock).await;
        let prepared = inner.prepared(request).map_err(Lost::Unsent)?;
        let mut answer = inner.http.execute(prepared).await.map_err(|error| inner.lost(request, error))?;
        let unknown = |why: String| Lost::Unknown(fault::transient(why));
        let bytes = read(&mut answer, MOST_BYTES).await.map_err(|error| match inner.lost(request, error) {
            // Whatever broke off now, the request had been sent.
            Lost::Unsent(error) | Lost::Unknown(error) => Lost::Unknown(error),
        })?;
        let bytes = bytes.ok_or_else(|| unknown(format!("{request}: the answer is longer than {MOST_BYTES} bytes")))?;
        Ok(inner.answered(&answer, &bytes))
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
        plain(&self.0.redacted(text.to_owned()))
    }
}

impl Inner {
    fn prepared(&self, request: &Request) -> anyhow::Result<reqwest::Request> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(&request.path)),
            Err(()) => return Err(fault::bug(format!("{} is no base", self.base))),
        }
        let query: Vec<(&str, &str)> = self.query.iter().map(|(key, secret)| (*key, secret.expose_secret())).collect();
        let mut builder = self.http.request(request.method.clone(), url).headers(self.headers.clone());
        if !query.is_empty() {
            builder = builder.query(&query);
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.header("content-type", "application/json").body(body.clone());
        }
        builder.build().map_err(|error| fault::bug(format!("{request}: {}", causes(&error.without_url()))))
    }

    /// A request that nobody answered, or whose answer broke off.
    fn lost(&self, request: &Request, error: reqwest::Error) -> Lost {
        let is_unsent = error.is_connect();
        let host = self.base.host_str().unwrap_or("?");
        let message = format!("{request}: {host} does not answer: {}", causes(&error.without_url()));
        let error = fault::transient(self.redacted(message));
        if is_unsent { Lost::Unsent(error) } else { Lost::Unknown(error) }
    }

    fn answered(&self, answer: &Response, bytes: &[u8]) -> Answered {
        let text = self.redacted(String::from_utf8_lossy(bytes).replace('\0', "\u{FFFD}"));
        let retry_after = retry::asked(answer.headers(), self.clock.now());
        Answered { status: answer.status(), headers: answer.headers().clone(), text, retry_after }
    }

    /// Takes the secrets out of what others say, as they are and as they look in JSON and in a query.
    fn redacted(&self, mut text: String) -> String {
        for secret in &self.secrets {
            let secret = secret.expose_secret();
            let in_json = serde_json::Value::from(secret).to_string();
            let in_query: String = reqwest::Url::parse_with_params("http://h/", [("s", secret)])
                .map_or_else(|_| String::new(), |url| url.query().unwrap_or_default()[2..].to_owned());
            for form in [secret, in_json.trim_matches('"'), in_query.as_str()] {
                if form.len() > 2 && text.contains(form) {
                    text = text.replace(form, "***");
                }
            }
        }
        text
    }
}
