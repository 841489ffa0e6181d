//! The `OpenAPI` 3.1 document: made from the same declarations that requests are read by.

use super::accept::Format;
use super::acting::Body;
use super::operation::Operation;
use super::param::{Place, Spec};
use super::problem::{PROBLEM_JSON, Written};
use super::routes::Routes;
use axum::http::{Method, StatusCode};
use utoipa::PartialSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, Info, InfoBuilder, License, OpenApi, OpenApiBuilder, PathsBuilder,
    Ref, RefOr, Required, Response, ResponseBuilder, Schema,
};

const ABOUT: &str = "What Bursar answers. Whatever takes GET takes HEAD; a method that is not here is answered with 405. \
    An answer has an ETag: with it in If-None-Match, the same answer is not sent again (304). Errors are \
    application/problem+json (RFC 9457), with a member of `errors` for each parameter that is wrong.";

/// Problems that every operation can be answered with.
const PROBLEMS: [(StatusCode, &str); 3] = [
    (StatusCode::BAD_REQUEST, "A parameter is wrong, missing, repeated or unknown; `errors` names each."),
    (StatusCode::NOT_ACCEPTABLE, "There is no answer of the media types in Accept."),
    (StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong here; the log tells more."),
];

/// Problems of operations that are not for everybody at any time.
const GUARDED: [(StatusCode, &str); 6] = [
    (StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than `http.max_body_bytes`."),
    (StatusCode::URI_TOO_LONG, "The path and the query are too long."),
    (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large."),
    (StatusCode::UNAUTHORIZED, "There is no token, or one that is not known."),
    (StatusCode::FORBIDDEN, "The token's role does not allow it, or the request is addressed to another host."),
    (StatusCode::TOO_MANY_REQUESTS, "Too many requests; Retry-After tells when to go on."),
];

const UNAVAILABLE: &str = "The database is away, or the answer takes too long; Retry-After tells when to ask again.";

/// The document of all routes.
pub(super) fn document(routes: &[Routes]) -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut components = components();
    let mut tags = Vec::new();
    for group in routes.iter().filter(|group| !group.operations.is_empty()) {
        tags.push(TagBuilder::new().name(&group.tag).description(Some(&group.about)).build());
        for operation in &group.operations {
            let is_post = operation.declared.method == Method::POST;
            let method = if is_post { HttpMethod::Post } else { HttpMethod::Get };
            let path = PathItem::new(method, described(operation, &group.tag));
            paths = paths.path(operation.declared.path.clone(), path);
            components.schemas.extend(operation.components.iter().cloned());
            let body = operation.declared.body.iter().flat_map(|body| body.components.iter().cloned());
            components.schemas.extend(body);
        }
    }
    OpenApiBuilder::new()
        .info(info())
        .paths(paths)
        .components(Some(components))
        .tags(Some(tags))
        .security(Some([token()]))
        .build()
}

fn info() -> Info {
    InfoBuilder::new()
        .title("Bursar")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(License::new(env!("CARGO_PKG_LICENSE"))))
        .build()
}

fn token() -> SecurityRequirement {
    SecurityRequirement::new("token", Vec::<String>::new())
}

fn components() -> Components {
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description = Some("A token, made by `bursar tokens new`.".to_owned());
    ComponentsBuilder::new()
        .schema("Problem", Written::schema())
        .security_scheme("token", SecurityScheme::Http(bearer))
        .build()
}

fn described(operation: &Operation, tag: &str) -> utoipa::openapi::path::Operation {
    let declared = &operation.declared;
    let about = Some(&declared.about).filter(|about| !about.is_empty());
    let mut described = OperationBuilder::new()
        .tag(tag)
        .operation_id(Some(&declared.id))
        .summary(Some(&declared.summary))
        .description(about)
        .parameters(Some(operation.specs.iter().map(parameter)))
        .response("200", answer(operation, StatusCode::OK, "The answer."));
    if declared.is_fleeting || declared.is_signed {
        described = described.securities(Some([]));
    } else if declared.method == Method::GET {
        described = described.response("304", not_modified());
    }
    let guarded = GUARDED.into_iter().filter(|_| !declared.is_fleeting);
    for (status, about) in PROBLEMS.into_iter().chain(guarded) {
        described = described.response(status.as_str(), problem(about, status));
    }
    if let Some(body) = &declared.body {
        let text = "The body is not sent as application/json.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        described = described.request_body(Some(taken(body))).response(status.as_str(), problem(text, status));
    }
    for (status, when) in &declared.also {
        described = described.response(status.as_str(), answer(operation, *status, when));
    }
    for (status, when) in &declared.refuses {
        described = described.response(status.as_str(), problem(when, *status));
    }
    if let Some(when) = &declared.missing {
        described = described.response("404", problem(when, StatusCode::NOT_FOUND));
    }
    match &declared.otherwise {
        Some((status, when)) => described.response(status.as_str(), answer(operation, *status, when)).build(),
        None => described.response("503", problem(UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE)).build(),
    }
}

fn parameter(spec: &Spec) -> Parameter {
    let default = spec.default.as_ref().map(super::param::Value::json);
    let schema = spec.kind.schema().default(default).build();
    let is_needed = spec.is_required;
    ParameterBuilder::new()
        .name(&spec.name)
        .parameter_in(match spec.place {
            Place::Path => ParameterIn::Path,
            Place::Query => ParameterIn::Query,
            Place::Header => ParameterIn::Header,
        })
        .required(if is_needed { Required::True } else { Required::False })
        .description(Some(&spec.about).filter(|about| !about.is_empty()))
        .schema(Some(schema))
        .example(spec.example.as_ref().map(|text| spec.kind.json(text)))
        .build()
}

/// What is sent.
fn taken(body: &Body) -> RequestBody {
    RequestBodyBuilder::new()
        .description(Some(&body.about))
        .required(Some(if body.is_required { Required::True } else { Required::False }))
        .content("application/json", ContentBuilder::new().schema(Some(body.schema.clone())).build())
        .build()
}

/// An answer in all its forms.
fn answer(operation: &Operation, status: StatusCode, about: &str) -> Response {
    let example = operation.declared.examples.iter().find(|(of, _)| *of == status).map(|(_, example)| example.clone());
    let mut response = ResponseBuilder::new().description(about);
    for format in operation.formats {
        let schema = match format {
            Format::Json => operation.schema.clone(),
            Format::Csv => ObjectBuilder::new().schema_type(Type::String).into(),
        };
        response = response
            .content(format.essence(), ContentBuilder::new().schema(Some(schema)).example(example.clone()).build());
    }
    if operation.formats.contains(&Format::Csv) {
        response = header(response, "X-Total-Count", "How many items there are in all pages.", Type::Integer);
    }
    if status == StatusCode::ACCEPTED {
        response = header(response, "Location", "Where to look for what becomes of it.", Type::String);
    }
    if !operation.declared.is_fleeting && operation.declared.method == Method::GET {
        response = header(response, "ETag", "Changes when the answer does.", Type::String);
    }
    request_id(response).build()
}

fn not_modified() -> Response {
    let response = ResponseBuilder::new().description("The client has the answer already (If-None-Match).");
    request_id(header(response, "ETag", "The tag of the answer.", Type::String)).build()
}

fn problem(about: &str, status: StatusCode) -> Response {
    let schema: RefOr<Schema> = Ref::from_schema_name("Problem").into();
    let mut response = ResponseBuilder::new()
        .description(about)
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(schema)).build());
    if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status) {
        response = header(response, "Retry-After", "In so many seconds.", Type::Integer);
    }
    if status == StatusCode::UNAUTHORIZED {
        response = header(response, "WWW-Authenticate", "How to authenticate.", Type::String);
    }
    request_id(response).build()
}

fn request_id(response: ResponseBuilder) -> ResponseBuilder {
    header(response, "X-Request-Id", "The request's id, as it stands in the log.", Type::String)
}

fn header(response: ResponseBuilder, name: &str, about: &str, kind: Type) -> ResponseBuilder {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    response.header(name, HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build())
}
