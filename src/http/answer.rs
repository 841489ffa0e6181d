//! An answer on the wire: its form, its entity tag, and `304` for a client that has it already (RFC 9110, 13.1.2).

use super::accept::Format;
use super::csv;
use super::page::Page;
use super::table::Table;
use super::token::hex;
use anyhow::Context;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ring::digest;
use serde::Serialize;
use utoipa::ToSchema;

/// How many items there are in all pages.
pub(super) const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// A body that was written out.
pub(super) struct Written {
    pub(super) status: StatusCode,
    content_type: HeaderValue,
    body: Bytes,
    total: Option<i64>,
}

impl Written {
    /// Bytes of a media type.
    pub(super) fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self { status: StatusCode::OK, content_type, body: body.into(), total: None }
    }

    /// A single thing, as JSON.
    pub(super) fn json<T: Serialize>(status: StatusCode, thing: &T) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(thing).context("write an answer as JSON")?;
        Ok(Self { status, ..Self::bytes(Format::Json.content_type(), body) })
    }

    /// A page of a list.
    pub(super) fn page<T: Serialize + ToSchema>(page: &Page<T>, format: Format) -> anyhow::Result<Self> {
        let body = match format {
            Format::Json => serde_json::to_vec(page).context("write an answer as JSON")?,
            Format::Csv => csv::write(&page.items)?,
        };
        Ok(Self { total: Some(page.total), ..Self::bytes(format.content_type(), body) })
    }

    /// A page of a table.
    pub(super) fn table(table: &Table, format: Format) -> anyhow::Result<Self> {
        let body = match format {
            Format::Json => table.json()?,
            Format::Csv => table.csv()?,
        };
        Ok(Self { total: Some(table.page.total), ..Self::bytes(format.content_type(), body) })
    }

    /// The response to a request with these headers: with a tag, so that the client need not fetch the same again.
    pub(super) fn tagged(self, asked: &HeaderMap) -> Response {
        let tag = self.tag();
        let is_known = self.status == StatusCode::OK && is_known(asked, &tag);
        let mut response =
            if is_known { StatusCode::NOT_MODIFIED.into_response() } else { self.status.into_response() };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept, authorization"));
        headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
        headers.extend(self.total.map(|total| (TOTAL_COUNT, HeaderValue::from(total))));
        if is_known { response } else { self.into_body_of(response) }
    }

    /// The response of something that is true only now.
    pub(super) fn fleeting(self) -> Response {
        let mut response = self.status.into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.into_body_of(response)
    }

    fn into_body_of(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type);
        *response.body_mut() = Body::from(self.body);
        response
    }

    /// A strong entity tag: a hash of the media type, of how many items there are in all, and of the body.
    fn tag(&self) -> String {
        let total = self.total.unwrap_or(-1).to_be_bytes();
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [self.content_type.as_bytes(), &[0], &total, &self.body] {
            hash.update(part);
        }
        let hex = hex(&hash.finish().as_ref()[..16]);
        format!("\"{hex}\"")
    }
}

/// Whether the client says that it has the answer of this tag. Tags are compared weakly.
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let listed = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = listed.flat_map(|text| text.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
