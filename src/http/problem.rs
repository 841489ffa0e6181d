//! What is said of a request that gets no answer: `application/problem+json` (RFC 9457).
//!
//! A [`Problem`] becomes a response that carries it; [`super::guard`] writes it out at the very end, because only there
//! is known which request it is about.

use crate::fault::{self, Fault};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use serde::Serialize;
use std::fmt::{self, Display};
use std::sync::Arc;
use tracing::{error, warn};
use utoipa::ToSchema;

/// The media type.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// When somebody who met a database that is away may ask again, in seconds.
const AGAIN_S: u64 = 5;

/// Why a request gets no answer.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: &'static str,
    status: StatusCode,
    detail: String,
    code: Option<String>,
    errors: Box<IndexMap<String, String>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem as it is written out.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Written<'p> {
    /// What kind of problem it is; the names are listed in docs/api.md.
    #[serde(rename = "type")]
    #[schema(example = "urn:bursar:problem:bad-parameters", format = "uri")]
    kind: String,
    /// The status in words.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599, example = 400)]
    status: u16,
    /// What is wrong with this request, and what would be right.
    detail: &'p str,
    /// The path that was asked for.
    #[schema(format = "uri-reference", example = "/health")]
    instance: &'p str,
    /// The request's id, as it stands in the log.
    request_id: &'p str,
    /// What it is called where the operation has names for its refusals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "UNRECONCILED_CUSTOMER")]
    code: Option<&'p str>,
    /// Each parameter that is wrong, with what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, String>>, example = json!({"limit": "must be a whole number from 1 to 200, found \"abc\""}))]
    errors: Option<&'p IndexMap<String, String>>,
}

impl Problem {
    /// A problem; `kind` is the last part of its type.
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, status, detail: detail.into(), code: None, errors: Box::default(), headers: Vec::new() }
    }

    /// What a handler refuses to do; `kind` is the last part of the type.
    #[must_use]
    pub fn refused(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(status, kind, detail)
    }

    /// What it is called.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// What is wrong, by its place.
    #[must_use]
    pub fn errors(mut self, errors: IndexMap<String, String>) -> Self {
        *self.errors = errors;
        self
    }

    /// Parameters that are wrong, each with what is wrong with it.
    #[must_use]
    pub fn bad_parameters(errors: IndexMap<String, String>) -> Self {
        let names: Vec<&str> = errors.keys().map(String::as_str).collect();
        let detail = format!("These parameters are wrong: {}.", names.join(", "));
        Self { errors: Box::new(errors), ..Self::new(StatusCode::BAD_REQUEST, "bad-parameters", detail) }
    }

    /// One parameter that is wrong, where only the handler can tell.
    #[must_use]
    pub fn bad_parameter(name: &str, message: impl Into<String>) -> Self {
        Self::bad_parameters(IndexMap::from([(name.to_owned(), message.into())]))
    }

    /// What was asked for is not there.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The problem of a request that failed: one that was raised as such, 404 for a name that does not exist, or a fault,
    /// which only the log explains.
    pub(super) fn of(error: &anyhow::Error, what: &str) -> Self {
        if let Some(problem) = error.chain().find_map(|cause| cause.downcast_ref::<Self>()) {
            return problem.clone();
        }
        let told = fault::told(error);
        if fault::is_not_found(error) {
            return Self::not_found(sentence(&told));
        }
        if fault::judge(error) == Fault::Transient {
            warn!("{what}: {told}");
            let detail = "The database is away, or takes too long. Try again.";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(AGAIN_S);
        }
        error!("{what}: {told}");
        Self::internal()
    }

    /// Something is wrong here, not with the request.
    pub(super) fn internal() -> Self {
        let detail = "Something went wrong here. The log tells more, under the request's id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// When to ask again.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The body.
    pub(super) fn body(&self, instance: &str, request_id: &str) -> Vec<u8> {
        let written = Written {
            kind: format!("urn:bursar:problem:{}", self.kind),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code.as_deref(),
            instance,
            request_id,
            errors: (!self.errors.is_empty()).then_some(&*self.errors),
        };
        // It holds nothing that could not be written.
        serde_json::to_vec(&written).unwrap_or_default()
    }
}

/// A text as a sentence: the first letter is upper case, and a period ends it.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
