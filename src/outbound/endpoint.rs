//! Where a service lies and how it is reached: what all requests to it share, and one of them on its way.
//!
//! Secrets stand in headers and in the query; no error and no `Debug` shows them, and what the other side says is
//! shown without them.

use super::pace::Pace;
use super::{causes, client, retry};
use crate::clock::Clock;
use crate::fault;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::time::Duration;

/// So much is told of what the other side says, in characters.
const MOST_TOLD: usize = 300;

/// How a service is reached.
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
    /// The variable that the secret comes from; `…_FILE` may name a file instead.
    pub secret_variable: &'static str,
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
    /// The path below the base, by its segments; they are encoded as a URL needs it.
    pub path: Vec<String>,
    /// The query.
    pub query: Vec<(&'static str, String)>,
    /// Headers of its own.
    pub headers: Vec<(&'static str, String)>,
    /// A body of JSON, to the byte.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A GET.
    pub fn get<S: Into<String>>(path: impl IntoIterator<Item = S>) -> Self {
        let path = path.into_iter().map(Into::into).collect();
        Self { method: Method::GET, path, query: Vec::new(), headers: Vec::new(), body: None }
    }

    /// A POST of JSON.
    pub fn post<S: Into<String>>(path: impl IntoIterator<Item = S>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: Method::POST, body: Some(body.into()), ..Self::get(path) }
    }

    /// With a query.
    #[must_use]
    pub fn query(self, query: Vec<(&'static str, String)>) -> Self {
        Self { query, ..self }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /{}", self.method, self.path.join("/"))
    }
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

/// A service that can be reached.
pub(super) struct Endpoint {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    query: Vec<(&'static str, SecretString)>,
    secrets: Vec<SecretString>,
    pace: Pace,
    pub(super) clock: Clock,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.base)
    }
}

impl Endpoint {
    /// Its client; waiting goes by `clock`.
    ///
    /// # Errors
    /// A configuration fault for an address that is none of HTTP, a secret that can't be a header, or a machine without
    /// certificates to trust.
    pub(super) fn new(terms: Terms, clock: Clock) -> anyhow::Result<Self> {
        let base = base(&terms.base_url, terms.base_url_key)?;
        // The client must not send again by itself what may act twice.
        let http = client(|builder| builder.timeout(terms.timeout).retry(reqwest::retry::never()))?;
        let mut headers = HeaderMap::new();
        for (name, secret) in &terms.headers {
            let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| {
                fault::config(format!(
                    "{} can't be sent in a header: is there a line end in it?",
                    terms.secret_variable
                ))
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let in_headers = terms.headers.iter().map(|(_, secret)| secret.clone());
        let in_query = terms.query.iter().map(|(_, secret)| secret.clone());
        let secrets = terms.secrets.iter().cloned().chain(in_headers).chain(in_query).collect();
        let pace = Pace::new(terms.requests_per_second);
        Ok(Self { http, base, headers, query: terms.query, secrets, pace, clock })
    }

    /// Makes a request, once, when it is its turn; the answer's body is still to be read.
    pub(super) async fn send(&self, request: &Request) -> Result<Response, Lost> {
        self.pace.wait(&self.clock).await;
        let prepared = self.prepared(request).map_err(Lost::Unsent)?;
        self.http.execute(prepared).await.map_err(|error| {
            let is_unsent = error.is_connect();
            let error = self.unanswered(request, error);
            if is_unsent { Lost::Unsent(error) } else { Lost::Unknown(error) }
        })
    }

    /// The bytes of an answer; none where there are more than `most`.
    ///
    /// # Errors
    /// A transient fault where they break off.
    pub(super) async fn read(
        &self,
        request: &Request,
        answer: &mut Response,
        most: usize,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unanswered(request, error))? {
            if bytes.len() + chunk.len() > most {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }

    /// How long an answer asks to leave its sender alone.
    pub(super) fn asked(&self, answer: &Response) -> Option<Duration> {
        retry::asked(answer.headers(), self.clock.now())
    }

    /// Takes the secrets out of what others say, as they are and as they look in JSON and in a query.
    pub(super) fn redacted(&self, mut text: String) -> String {
        for secret in &self.secrets {
            let secret = secret.expose_secret();
            let in_json = serde_json::Value::from(secret).to_string();
            let in_query: String = Url::parse_with_params("http://h/", [("s", secret)])
                .map_or_else(|_| String::new(), |url| url.query().unwrap_or_default()[2..].to_owned());
            for form in [secret, in_json.trim_matches('"'), in_query.as_str()] {
                if form.len() > 2 && text.contains(form) {
                    text = text.replace(form, "***");
                }
            }
        }
        text
    }

    /// The beginning of what others say, in one line and without secrets.
    pub(super) fn shown(&self, text: &str) -> String {
        let text = self.redacted(text.to_owned());
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_TOLD).collect()
    }

    fn prepared(&self, request: &Request) -> anyhow::Result<reqwest::Request> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(&request.path)),
            Err(()) => return Err(fault::bug(format!("{} is no base", self.base))),
        }
        let secret = self.query.iter().map(|(key, secret)| (*key, secret.expose_secret()));
        let own = request.query.iter().map(|(key, value)| (*key, value.as_str()));
        let query: Vec<(&str, &str)> = own.chain(secret).collect();
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
    fn unanswered(&self, request: &Request, error: reqwest::Error) -> anyhow::Error {
        let host = self.base.host_str().unwrap_or("?");
        let message = format!("{request}: {host} does not answer: {}", causes(&error.without_url()));
        fault::transient(self.redacted(message))
    }
}

/// The address of a service: requests are put behind it.
fn base(base_url: &str, key: &str) -> anyhow::Result<Url> {
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
