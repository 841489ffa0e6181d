//! An operation: what can be asked for at a path. One declaration gives the parsing, the answer and the document.
//!
//! ```text
//! Operation::get("/invoices/past-due", "listPastDueInvoices", "Invoices that are past due")
//!     .about("In order of their due dates.")
//!     .takes((as_of, sort, Paging::up_to(200, 50)))
//!     .lists(move |(as_of, sort, window)| past_due(reader.clone(), as_of, sort, window))
//! ```
//! A handler gives what its answer is made from, or an error: a [`Problem`] is told to the client as it is; of a fault
//! the client learns only whether to try again, and the log the rest.

use super::accept::{Format, wanted};
use super::acting::{Body, Sent};
use super::answer::Written;
use super::page::Page;
use super::param::{self, Found, Params, Spec};
use super::problem::Problem;
use super::table::{self, Table};
use crate::fault;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

type Run = Arc<dyn Fn(Found, Format, Sent) -> BoxFuture<'static, anyhow::Result<Response>> + Send + Sync>;

/// What can be asked for at a path, with GET (and so with HEAD), or done there with POST.
#[derive(Clone)]
pub struct Operation {
    pub(super) declared: Box<Declared>,
    pub(super) specs: Vec<Spec>,
    pub(super) formats: &'static [Format],
    pub(super) schema: RefOr<Schema>,
    pub(super) components: Vec<(String, RefOr<Schema>)>,
    run: Run,
}

/// What is declared of an operation beside its parameters and its answer.
#[derive(Clone)]
pub(super) struct Declared {
    pub(super) path: String,
    pub(super) id: String,
    pub(super) summary: String,
    pub(super) about: String,
    /// When there is no answer (404).
    pub(super) missing: Option<String>,
    /// The status of an answer that is no good news, and when it is given.
    pub(super) otherwise: Option<(StatusCode, String)>,
    /// Its answer is true only now and for everybody: it is not to be kept, and needs no token.
    pub(super) is_fleeting: bool,
    /// GET, POST.
    pub(super) method: Method,
    /// What it takes.
    pub(super) body: Option<Body>,
    /// Whether a signature stands in place of a token.
    pub(super) is_signed: bool,
    /// Further statuses of good answers, and when they are given.
    pub(super) also: Vec<(StatusCode, String)>,
    /// Statuses of problems that the handler raises, and when it does.
    pub(super) refuses: Vec<(StatusCode, String)>,
    /// Examples of good answers.
    pub(super) examples: Vec<(StatusCode, serde_json::Value)>,
}

/// An operation that has no handler yet.
pub struct Draft<P> {
    pub(super) declared: Box<Declared>,
    params: P,
}

impl Operation {
    /// An operation at a path, whose segments may be `{name}`s of parameters. `id` is its name in clients that are
    /// made from the document; `summary` is a line.
    #[must_use]
    pub fn get(path: &str, id: &str, summary: &str) -> Draft<()> {
        Self::with(Method::GET, path, id, summary)
    }

    /// As [`Self::get`], for something that is done there.
    #[must_use]
    pub fn post(path: &str, id: &str, summary: &str) -> Draft<()> {
        Self::with(Method::POST, path, id, summary)
    }

    fn with(method: Method, path: &str, id: &str, summary: &str) -> Draft<()> {
        let declared = Declared {
            path: path.to_owned(),
            id: id.to_owned(),
            summary: summary.to_owned(),
            about: String::new(),
            missing: None,
            otherwise: None,
            is_fleeting: false,
            method,
            body: None,
            is_signed: false,
            also: Vec::new(),
            refuses: Vec::new(),
            examples: Vec::new(),
        };
        Draft { declared: Box::new(declared), params: () }
    }

    /// Answers a request without a body.
    #[cfg(test)]
    pub(super) async fn answer(&self, asked: Parts) -> Response {
        self.answer_with(asked, axum::body::Bytes::new()).await
    }

    /// Answers a request.
    pub(super) async fn answer_with(&self, asked: Parts, body: Bytes) -> Response {
        let found = match param::parse(&self.specs, &self.declared.path, &asked.uri, &asked.headers) {
            Ok(found) => found,
            Err(errors) => return Problem::bad_parameters(errors).into_response(),
        };
        let Some(format) = wanted(&asked.headers, self.formats) else { return self.not_acceptable().into_response() };
        let what = format!("{} {} failed", self.declared.method, self.declared.path);
        match (self.run)(found, format, Sent { headers: asked.headers, body }).await {
            Ok(response) => response,
            Err(error) => Problem::of(&error, &what).into_response(),
        }
    }

    fn not_acceptable(&self) -> Problem {
        let formats: Vec<&str> = self.formats.iter().map(|format| format.essence()).collect();
        let detail = format!("There is no answer of the media types in Accept; there is {}.", formats.join(" and "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", detail)
    }
}

impl<P: Params> Draft<P> {
    /// What the summary leaves open.
    #[must_use]
    pub fn about(mut self, about: &str) -> Self {
        about.clone_into(&mut self.declared.about);
        self
    }

    /// When the handler says [`Problem::not_found`].
    #[must_use]
    pub fn missing(mut self, when: &str) -> Self {
        self.declared.missing = Some(when.to_owned());
        self
    }

    /// The parameters it takes: one, or a tuple of them.
    #[must_use]
    pub fn takes<Q: Params>(self, params: Q) -> Draft<Q> {
        Draft { declared: self.declared, params }
    }

    /// Its answer is true only now, and for everybody.
    pub(super) fn fleeting(mut self) -> Self {
        self.declared.is_fleeting = true;
        self
    }

    /// The handler, whose answer is a single thing: JSON.
    #[must_use]
    pub fn gives<T, F>(self, handler: impl Fn(P::Values) -> F + Send + Sync + 'static) -> Operation
    where
        T: Serialize + ToSchema + Send + Sync + 'static,
        F: Future<Output = anyhow::Result<T>> + Send + 'static,
    {
        self.gives_either(move |values| {
            let answer = handler(values);
            async move { Ok((StatusCode::OK, answer.await?)) }
        })
    }

    /// As [`Self::gives`], where the answer may be bad news.
    pub(super) fn gives_either<T, F>(self, handler: impl Fn(P::Values) -> F + Send + Sync + 'static) -> Operation
    where
        T: Serialize + ToSchema + Send + Sync + 'static,
        F: Future<Output = anyhow::Result<(StatusCode, T)>> + Send + 'static,
    {
        let (schema, components) = shape::<T>(T::name().into_owned());
        self.finish(&[Format::Json], schema, components, move |values, _| {
            let answer = handler(values);
            async move { answer.await.and_then(|(status, thing)| Written::json(status, &thing)) }.boxed()
        })
    }

    /// The handler, whose answer is a page of a list: JSON, or CSV of the items.
    #[must_use]
    pub fn lists<T, F>(self, handler: impl Fn(P::Values) -> F + Send + Sync + 'static) -> Operation
    where
        T: Serialize + ToSchema + Send + Sync + 'static,
        F: Future<Output = anyhow::Result<Page<T>>> + Send + 'static,
    {
        let (schema, mut components) = shape::<Page<T>>(format!("{}Page", T::name()));
        components.push((T::name().into_owned(), T::schema()));
        self.finish(&[Format::Json, Format::Csv], schema, components, move |values, format| {
            let answer = handler(values);
            async move { answer.await.and_then(|page| Written::page(&page, format)) }.boxed()
        })
    }

    /// The handler, whose answer is a page of rows with these columns: JSON, or CSV.
    #[must_use]
    pub fn tabulates<F>(self, columns: &[String], handler: impl Fn(P::Values) -> F + Send + Sync + 'static) -> Operation
    where
        F: Future<Output = anyhow::Result<Table>> + Send + 'static,
    {
        let schema = table::schema(columns).into();
        self.finish(&[Format::Json, Format::Csv], schema, Vec::new(), move |values, format| {
            let answer = handler(values);
            async move { answer.await.and_then(|table| Written::table(&table, format)) }.boxed()
        })
    }

    /// The handler, whose answer is JSON that was written before.
    pub(super) fn gives_json(
        self,
        schema: RefOr<Schema>,
        json: impl Fn() -> Bytes + Send + Sync + 'static,
    ) -> Operation {
        self.finish(&[Format::Json], schema, Vec::new(), move |_, format| {
            let written = Written::bytes(format.content_type(), json());
            async move { Ok(written) }.boxed()
        })
    }

    /// The handler of something that is read: its answer is tagged, unless it is true only now.
    fn finish(
        self,
        formats: &'static [Format],
        schema: RefOr<Schema>,
        components: Vec<(String, RefOr<Schema>)>,
        run: impl Fn(P::Values, Format) -> BoxFuture<'static, anyhow::Result<Written>> + Send + Sync + 'static,
    ) -> Operation {
        let is_fleeting = self.declared.is_fleeting;
        self.finish_with(formats, schema, components, move |values, format, sent| {
            let written = run(values, format);
            async move { Ok(respond(written.await?, is_fleeting, &sent.headers)) }.boxed()
        })
    }

    pub(super) fn finish_with(
        self,
        formats: &'static [Format],
        schema: RefOr<Schema>,
        components: Vec<(String, RefOr<Schema>)>,
        run: impl Fn(P::Values, Format, Sent) -> BoxFuture<'static, anyhow::Result<Response>> + Send + Sync + 'static,
    ) -> Operation {
        let (params, id) = (self.params, self.declared.id.clone());
        let specs = params.specs();
        let run = move |found: Found, format, sent| match params.values(&mut found.into_iter()) {
            Some(values) => run(values, format, sent),
            None => {
                let error = fault::bug(format!("a parameter of {id} is not of its type"));
                async move { Err(error) }.boxed()
            }
        };
        Operation { declared: self.declared, specs, formats, schema, components, run: Arc::new(run) }
    }
}

fn respond(written: Written, is_fleeting: bool, asked: &HeaderMap) -> Response {
    if is_fleeting { written.fleeting() } else { written.tagged(asked) }
}

impl Draft<()> {
    /// The status of an answer that is bad news, and when it is given.
    pub(super) fn otherwise(mut self, status: StatusCode, when: &str) -> Self {
        self.declared.otherwise = Some((status, when.to_owned()));
        self
    }
}

/// A reference to the schema of `T`, and what it refers to.
pub(super) fn shape<T: ToSchema>(name: String) -> (RefOr<Schema>, Vec<(String, RefOr<Schema>)>) {
    let mut components = Vec::new();
    T::schemas(&mut components);
    let reference = utoipa::openapi::Ref::from_schema_name(name.as_str()).into();
    components.push((name, T::schema()));
    (reference, components)
}
