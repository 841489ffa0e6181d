//! Puts the routes of all systems together, with what this room answers itself.

use super::access::Access;
use super::document::document;
use super::guard::{Guard, guard};
use super::health;
use super::operation::Operation;
use super::pages;
use super::problem::Problem;
use super::routes::Routes;
use crate::config::Http;
use crate::engine::heartbeat::Pulse;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::routing::get;
use sqlx::PgPool;
use std::sync::{Arc, OnceLock};
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// What answering needs.
pub struct Answering {
    /// The database, to ask whether it is there.
    pub pool: PgPool,
    /// The daemon's heart, to ask whether it beats.
    pub pulse: Pulse,
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
    let own = health::routes(answering.pool, answering.pulse).with(openapi(Arc::clone(&written)));
    let all: Vec<Routes> = answering.routes.into_iter().chain([own]).collect();
    // It was made from values that all can be written.
    let text = serde_json::to_vec_pretty(&document(&all)).unwrap_or_default();
    let _ = written.set(Bytes::from(text));
    let operations = all.into_iter().flat_map(|group| group.operations);
    let router = operations.fold(Router::new(), |router, operation| {
        let (path, operation) = (operation.declared.path.clone(), Arc::new(operation));
        router.route(&path, get(move |request: Request| answer(operation, request)))
    });
    let guarding = Guard::new(answering.access, &answering.http);
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
    operation.answer(request.into_parts().0).await
}

async fn nothing_here(request: Request) -> Problem {
    let detail = format!("There is nothing at {}; /openapi.json tells what there is.", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
}

async fn not_that_method(method: Method, request: Request) -> Problem {
    let detail = format!("{} takes no {method}; Allow tells what it takes.", request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
