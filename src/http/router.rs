//! Puts the routes of all systems together, with what this room answers itself.

use super::access::Access;
use super::document::document;
use super::guard::{Guard, guard};
use super::health;
use super::operation::Operation;
use super::pages;
use super::problem::Problem;
use super::routes::Routes;
use crate::clock::Clock;
use crate::config::Http;
use crate::engine::configurations::Configurations;
use crate::engine::heartbeat::Pulse;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use sqlx::PgPool;
use std::sync::{Arc, OnceLock};
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// What answering needs.
pub struct Answering {
    /// The database, to ask whether it is there.
    pub pool: PgPool,
    /// The daemon's heart, to ask whether it beats.
    pub pulse: Pulse,
    /// The worker's sweep, to ask when it last looked.
    pub swept: Pulse,
    /// The clock, to ask how far the machine's is from the database's.
    pub clock: Clock,
    /// The configuration in force, to ask whether its schedules are those of the other daemons.
    pub configurations: Arc<dyn Configurations>,
    /// What the systems hand over.
    pub routes: Vec<Routes>,
    /// Who may ask.
    pub access: Access,
    /// The settings.
    pub http: Http,
}

/// Everything that is answered.
pub fn router(answering: Answering) -> Router {
    let written = Arc::new(OnceLock::new());
    let own = health::routes(health::Daemon {
        pool: answering.pool,
        pulse: answering.pulse,
        swept: answering.swept,
        clock: answering.clock,
        configurations: answering.configurations,
    })
    .with(openapi(Arc::clone(&written)));
    let all: Vec<Routes> = answering.routes.into_iter().chain([own]).collect();
    // It was made from values that all can be written.
    let text = serde_json::to_vec_pretty(&document(&all)).unwrap_or_default();
    let _ = written.set(Bytes::from(text));
    let operations: Vec<Operation> = all.into_iter().flat_map(|group| group.operations).collect();
    let signed = operations.iter().filter(|operation| operation.declared.is_signed);
    let signed = signed.map(|operation| operation.declared.path.clone()).collect();
    let router = operations.into_iter().fold(Router::new(), |router, operation| {
        let (path, method) = (operation.declared.path.clone(), operation.declared.method.clone());
        let operation = Arc::new(operation);
        let answering = move |request: Request| answer(operation, request);
        router.route(&path, if method == Method::POST { post(answering) } else { get(answering) })
    });
    let guarding = Guard::new(answering.access, &answering.http, signed);
    pages::add_to(router)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_that_method)
        .layer(middleware::from_fn_with_state(guarding, guard))
}

fn openapi(written: Arc<OnceLock<Bytes>>) -> Operation {
    let schema = ["openapi", "info", "paths"].into_iter().fold(ObjectBuilder::new(), |schema, name| {
        let kind = if name == "openapi" { Type::String } else { Type::Object };
        schema.property(name, ObjectBuilder::new().schema_type(kind)).required(name)
    });
    Operation::get("/openapi.json", "getDocument", "This document")
        .gives_json(schema.into(), move || written.get().cloned().unwrap_or_default())
}

async fn answer(operation: Arc<Operation>, request: Request) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    // What a request to read brings along is left unread.
    if operation.declared.method == Method::GET {
        return operation.answer_with(parts, Bytes::new()).await;
    }
    match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => operation.answer_with(parts, bytes).await,
        Err(error) => broken(&error).into_response(),
    }
}

/// A body that is longer than the guard allows, or broke off.
fn broken(error: &axum::Error) -> Problem {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    if causes.into_iter().any(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>) {
        let detail = "The body is longer than http.max_body_bytes allows.";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail);
    }
    Problem::new(StatusCode::BAD_REQUEST, "bad-body", "The body broke off.")
}

async fn nothing_here(request: Request) -> Problem {
    let detail = format!("There is nothing at {}; /openapi.json tells what there is.", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
}

async fn not_that_method(method: Method, request: Request) -> Problem {
    let detail = format!("{} takes no {method}; Allow tells what it takes.", request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
