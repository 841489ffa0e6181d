//! Operations that do something: with POST, a body, and answers of several statuses.
//!
//! ```text
//! Operation::post("/charges/{charge_id}/invoice", "createInvoice", "Make the invoice of a charge")
//!     .takes((charge, key))
//!     .sends::<Wishes>("What is wanted beside the invoice; may be left out.")
//!     .also(StatusCode::ACCEPTED, "It is under way.")
//!     .refuses(StatusCode::CONFLICT, "There is another.")
//!     .acts::<Invoice, _>(move |(charge, key), sent| create(charge, key, sent))
//! ```

use super::accept::Format;
use super::operation::{Draft, Operation, shape};
use super::param::Params;
use super::problem::Problem;
use crate::json;
use anyhow::Context;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// What came with a request beside its path and query.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The headers.
    pub headers: HeaderMap,
    /// The body, to the byte.
    pub body: Bytes,
}

impl Sent {
    /// The body as JSON; none where there is none.
    ///
    /// # Errors
    /// A problem that names the member that is wrong, or the media type.
    pub fn json<B: DeserializeOwned>(&self) -> Result<Option<B>, Problem> {
        if self.body.is_empty() {
            return Ok(None);
        }
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = format!("The body is sent as {essence:?}; send it as application/json.");
            return Err(Problem::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
        }
        // A list would be taken for the members in their order.
        if self.body.trim_ascii_start().first() == Some(&b'[') {
            return Err(Problem::bad_parameter("body", "must be a JSON object, found a list"));
        }
        if json::has_nul(&self.body) {
            return Err(Problem::bad_parameter("body", "must not contain a NUL character (\\u0000)"));
        }
        json::read(&self.body).map(Some).map_err(|misfit| Problem::bad_parameter(&misfit.below("body"), misfit.why))
    }
}

/// What such an operation answers.
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    body: Bytes,
    location: Option<String>,
}

impl Reply {
    /// This, as JSON.
    ///
    /// # Errors
    /// A bug fault where it can't be written.
    pub fn of<T: Serialize>(status: StatusCode, thing: &T) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(thing).context("write an answer as JSON")?;
        Ok(Self { status, body: body.into(), location: None })
    }

    /// JSON that was written before.
    #[must_use]
    pub fn written(status: StatusCode, json: String) -> Self {
        Self { status, body: json.into(), location: None }
    }

    /// Where to look for more.
    #[must_use]
    pub fn at(mut self, path: String) -> Self {
        self.location = Some(path);
        self
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Its body, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Format::Json.content_type()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.location.and_then(|at| HeaderValue::try_from(at).ok()).map(|at| (header::LOCATION, at)));
        response
    }
}

/// The body that an operation takes.
#[derive(Clone)]
pub(super) struct Body {
    pub(super) about: String,
    pub(super) schema: RefOr<Schema>,
    pub(super) components: Vec<(String, RefOr<Schema>)>,
    pub(super) is_required: bool,
}

impl<P: Params> Draft<P> {
    /// A JSON body that may be left out.
    #[must_use]
    pub fn may_send<B: ToSchema>(mut self, about: &str) -> Self {
        let (schema, components) = shape::<B>(B::name().into_owned());
        self.declared.body = Some(Body { about: about.to_owned(), schema, components, is_required: false });
        self
    }

    /// A JSON body that must be there.
    #[must_use]
    pub fn sends<B: ToSchema>(self, about: &str) -> Self {
        let mut draft = self.may_send::<B>(about);
        if let Some(body) = &mut draft.declared.body {
            body.is_required = true;
        }
        draft
    }

    /// It needs no token: the handler checks a signature. It is reached from everywhere.
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.declared.is_signed = true;
        self
    }

    /// Another status of a good answer, and when it is given.
    #[must_use]
    pub fn also(mut self, status: StatusCode, when: &str) -> Self {
        self.declared.also.push((status, when.to_owned()));
        self
    }

    /// The status of a problem that the handler raises, and when it does.
    #[must_use]
    pub fn refuses(mut self, status: StatusCode, when: &str) -> Self {
        self.declared.refuses.push((status, when.to_owned()));
        self
    }

    /// An example of a good answer.
    #[must_use]
    pub fn example(mut self, status: StatusCode, example: serde_json::Value) -> Self {
        self.declared.examples.push((status, example));
        self
    }

    /// The handler, whose answer is a `T`.
    #[must_use]
    pub fn acts<T, F>(self, handler: impl Fn(P::Values, Sent) -> F + Send + Sync + 'static) -> Operation
    where
        T: ToSchema,
        F: Future<Output = anyhow::Result<Reply>> + Send + 'static,
    {
        let (schema, components) = shape::<T>(T::name().into_owned());
        self.finish_with(&[Format::Json], schema, components, move |values, _, sent| {
            let reply = handler(values, sent);
            async move { reply.await.map(IntoResponse::into_response) }.boxed()
        })
    }
}
