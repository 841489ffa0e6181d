//! The document for people: Swagger UI at `/docs`, `ReDoc` at `/redoc`, both out of the program itself.
//!
//! What they are made of lies beside this file as it was published on npm (swagger-ui-dist 5.35.0, redoc 2.5.4), with
//! its licences; only the references to source maps are taken out.

use super::answer::Written;
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Both set styles from their scripts, and `ReDoc` searches in a worker that it makes.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

macro_rules! files {
    ($($path:literal: $kind:ident = $file:literal),+ $(,)?) => {
        &[$(($path, $kind, include_bytes!(concat!("pages/", $file)))),+]
    };
}

/// Where a file is, its media type, and its bytes.
type Files = &'static [(&'static str, &'static str, &'static [u8])];

const FILES: Files = files! {
    "/docs": HTML = "swagger-ui/index.html",
    "/docs/start.js": SCRIPT = "swagger-ui/start.js",
    "/docs/swagger-ui.css": STYLE = "swagger-ui/swagger-ui.css",
    "/docs/swagger-ui-bundle.js": SCRIPT = "swagger-ui/swagger-ui-bundle.js",
    "/redoc": HTML = "redoc/index.html",
    "/redoc/redoc.standalone.js": SCRIPT = "redoc/redoc.standalone.js",
};

/// Adds the pages.
pub(super) fn add_to(router: Router) -> Router {
    FILES.iter().fold(router, |router, (path, kind, bytes)| {
        router.route(path, get(async |asked: HeaderMap| page(kind, bytes, &asked)))
    })
}

fn page(kind: &'static str, bytes: &'static [u8], asked: &HeaderMap) -> Response {
    let mut response = Written::bytes(kind, bytes).tagged(asked);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}
