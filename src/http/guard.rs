//! What every request goes through on its way in, and every answer on its way out.

use super::access::Access;
use super::problem::{PROBLEM_JSON, Problem};
use super::rate::{Bucket, Taken};
use crate::clock::Stopwatch;
use crate::config::Http;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http_body_util::Limited;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{Instrument, debug, error, error_span, info};
use uuid::Uuid;

/// The header of a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What is answered whoever asks, however much is asked.
const ALWAYS: [&str; 2] = ["/health", "/ready"];
/// How long a path with its query may be, in bytes.
const MOST_URI: usize = 8 << 10;
/// How large all headers may be, in bytes.
const MOST_HEADERS: usize = 32 << 10;
/// How many requests are answered at a time.
const MOST_AT_A_TIME: usize = 256;
/// What is sent with every answer. A page that loads something has a policy of its own.
const SECURITY: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// Bounds, and who may ask.
pub(super) struct Guard {
    access: Access,
    /// One for each token; one for all without tokens; the last for those whose requests are signed.
    buckets: Vec<Bucket>,
    /// Paths at which a signature stands in place of a token.
    signed: Vec<String>,
    since: Stopwatch,
    at_a_time: Semaphore,
    per_second: u32,
    max_body: u64,
    time: Duration,
}

/// The token of a request, for the log.
#[derive(Clone)]
struct By(String);

impl Guard {
    /// A guard with these settings.
    pub(super) fn new(access: Access, http: &Http, signed: Vec<String>) -> Arc<Self> {
        let buckets = (0..=access.count().max(1)).map(|_| Bucket::new(http.requests_per_second)).collect();
        Arc::new(Self {
            access,
            buckets,
            signed,
            since: Stopwatch::start(),
            at_a_time: Semaphore::new(MOST_AT_A_TIME),
            per_second: http.requests_per_second,
            max_body: http.max_body_bytes,
            time: Duration::from_secs(http.timeout_s),
        })
    }

    /// Lets a request in, and gives its answer.
    async fn pass(&self, request: Request, next: Next) -> Result<Response, Problem> {
        if ALWAYS.contains(&request.uri().path()) {
            return self.run(request, next).await;
        }
        self.check_size(&request)?;
        if self.signed.iter().any(|path| path == request.uri().path()) {
            return self.limited(Some(self.buckets.len() - 1), request, next).await;
        }
        let token = self.access.admit(&request)?;
        let by = token.and_then(|token| self.access.name(token)).map(|name| By(name.to_owned()));
        let mut response = match self.limited(token, request, next).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        if let Some(by) = by {
            response.extensions_mut().insert(by);
        }
        Ok(response)
    }

    /// Answers unless too much is asked.
    async fn limited(&self, token: Option<usize>, request: Request, next: Next) -> Result<Response, Problem> {
        let granted = self.buckets.get(token.unwrap_or(0)).map_or(Ok(0), |bucket| bucket.take(self.since.elapsed()));
        let mut response = match granted {
            Ok(_) => self.run_one_of_many(request, next).await.unwrap_or_else(IntoResponse::into_response),
            Err(wait) => too_many(wait).into_response(),
        };
        response.headers_mut().extend(self.rate_headers(&granted));
        Ok(response)
    }

    async fn run_one_of_many(&self, request: Request, next: Next) -> Result<Response, Problem> {
        let Ok(_permit) = self.at_a_time.try_acquire() else {
            let detail = format!("{MOST_AT_A_TIME} requests are being answered already. Try again.");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1));
        };
        self.run(request, next).await
    }

    /// Answers within the time, whatever happens.
    async fn run(&self, request: Request, next: Next) -> Result<Response, Problem> {
        let max_body = usize::try_from(self.max_body).unwrap_or(usize::MAX);
        let request = request.map(|body| Body::new(Limited::new(body, max_body)));
        let answered = timeout(self.time, AssertUnwindSafe(next.run(request)).catch_unwind()).await;
        match answered {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(panic)) => {
                error!("an answer failed: {}", told(panic.as_ref()));
                Err(Problem::internal())
            }
            Err(_) => {
                let detail =
                    format!("There is no answer within {} s. Try again, or ask for less.", self.time.as_secs());
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed-out", detail).retry_after(5))
            }
        }
    }

    fn check_size(&self, request: &Request) -> Result<(), Problem> {
        let uri = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
        if uri > MOST_URI {
            let detail = format!("The path and the query have {uri} bytes; {MOST_URI} are the most.");
            return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", detail));
        }
        let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if headers > MOST_HEADERS {
            let detail = format!("The headers have {headers} bytes; {MOST_HEADERS} are the most.");
            return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", detail));
        }
        let body = request.body().size_hint().lower();
        if body > self.max_body {
            let detail = format!("The body has {body} bytes; {} are the most (http.max_body_bytes).", self.max_body);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail));
        }
        Ok(())
    }

    fn rate_headers(&self, taken: &Taken) -> [(HeaderName, HeaderValue); 2] {
        let (left, wait) = match taken {
            Ok(left) => (*left, 1),
            Err(wait) => (0, seconds(*wait)),
        };
        let policy = format!("\"requests\";q={};w=1", self.per_second);
        let state = format!("\"requests\";r={left};t={wait}");
        [("ratelimit-policy", policy), ("ratelimit", state)].map(|(name, text)| {
            let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
            (HeaderName::from_static(name), value)
        })
    }
}

fn too_many(wait: Duration) -> Problem {
    let detail = "More requests a second than http.requests_per_second allows.";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail).retry_after(seconds(wait))
}

/// Whole seconds that are not too few.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

/// Gives the request an id, lets it in, writes problems out, and tells the log.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    let id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // What fails on the way is told in the log with the request's id.
    let span = error_span!("request", http.request_id = id);
    let mut response = guard.pass(request, next).instrument(span).await.unwrap_or_else(IntoResponse::into_response);
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let body = if method == Method::HEAD { Vec::new() } else { problem.body(&path, &id) };
        *response.body_mut() = Body::from(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.extend(HeaderValue::from_str(&id).ok().map(|id| (REQUEST_ID, id)));
    log(&method, &path, &id, &response, watch);
    response
}

/// One line for each request; the query can hold names, and is left out.
fn log(method: &Method, path: &str, id: &str, response: &Response, watch: Stopwatch) {
    let status = response.status().as_u16();
    let bytes = response.body().size_hint().lower();
    let by = response.extensions().get::<By>().map_or("-", |By(name)| name.as_str());
    let elapsed_ms = watch.elapsed_ms();
    // A container asks every few seconds whether all is well.
    if response.status().is_success() && ALWAYS.contains(&path) {
        debug!(http.method = %method, http.path = path, http.status = status, http.bytes = bytes, http.token = by, http.request_id = id, elapsed_ms, "{method} {path}: {status}");
    } else {
        info!(http.method = %method, http.path = path, http.status = status, http.bytes = bytes, http.token = by, http.request_id = id, elapsed_ms, "{method} {path}: {status}");
    }
}

/// The id that the client gave, where it can stand in a log; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_sane = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    given.filter(is_sane).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}
