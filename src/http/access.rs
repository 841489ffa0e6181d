//! Who may ask: tokens, or everybody on this machine where none are configured.

use super::problem::Problem;
use super::token::hash;
use crate::config::{Role, Token};
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// Who may ask.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody on this machine: there are no tokens, and nobody else can reach the port.
    Open,
    /// Who has one of these.
    Tokens(Vec<Token>),
    /// Nobody: there are no tokens, and the port can be reached from elsewhere.
    Closed,
}

impl Access {
    /// Who may ask a daemon that answers on `address`.
    #[must_use]
    pub fn of(tokens: &[Token], address: SocketAddr) -> Self {
        match tokens {
            [] if is_loopback(address.ip()) => Self::Open,
            [] => Self::Closed,
            tokens => Self::Tokens(tokens.to_vec()),
        }
    }

    /// The token of a request, by its place among the tokens; none where there are no tokens.
    pub(super) fn admit(&self, request: &Request) -> Result<Option<usize>, Problem> {
        match self {
            Self::Open => host_is_ours(request).and_then(|()| origin_is_ours(request)).map(|()| None),
            Self::Closed => Err(closed()),
            Self::Tokens(tokens) => {
                let found = presented(request).and_then(|text| known(tokens, &text));
                let found = found.ok_or_else(|| unauthorized(request.method()))?;
                may(&tokens[found], request.method()).map(|()| Some(found))
            }
        }
    }

    /// The name of a token.
    pub(super) fn name(&self, token: usize) -> Option<&str> {
        let Self::Tokens(tokens) = self else { return None };
        tokens.get(token).map(|token| token.name.as_str())
    }

    /// How many tokens there are.
    pub(super) fn count(&self) -> usize {
        if let Self::Tokens(tokens) = self { tokens.len() } else { 0 }
    }
}

impl Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open to everybody on this machine: no token is configured"),
            Self::Tokens(tokens) if tokens.len() == 1 => f.write_str("for who has the one token"),
            Self::Tokens(tokens) => write!(f, "for who has one of {} tokens", tokens.len()),
            Self::Closed => f.write_str(
                "only /health and /ready: no token is configured, and others can reach this address; \
                 make one with `bursar tokens new NAME --role read`",
            ),
        }
    }
}

/// The index of the token that hashes alike. All are compared, whichever it is.
fn known(tokens: &[Token], text: &str) -> Option<usize> {
    let hash = hash(text);
    let mut found = None;
    for (i, token) in tokens.iter().enumerate() {
        if bool::from(token.sha256.ct_eq(hash.as_ref())) {
            found = Some(i);
        }
    }
    found
}

/// The token that a request shows. A browser can show one only as a password, and that only to read.
fn presented(request: &Request) -> Option<String> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    let is_basic = scheme.eq_ignore_ascii_case("basic") && is_reading(request.method());
    let decoded = is_basic.then(|| BASE64_STANDARD.decode(rest.trim()).ok())??;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

fn is_reading(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

/// Only who may operate may do more than read.
fn may(token: &Token, method: &Method) -> Result<(), Problem> {
    if is_reading(method) || token.role == Role::Operate {
        return Ok(());
    }
    let detail = format!("The token {} has the role read, and {method} needs the role operate.", token.name);
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

fn unauthorized(method: &Method) -> Problem {
    let detail = "Send a token that this installation knows, as `Authorization: Bearer TOKEN`; \
        a browser sends it as the password, with any user name.";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bursar\""));
    if !is_reading(method) {
        return problem;
    }
    let basic =
        HeaderValue::from_static("Basic realm=\"bursar (any user name; the token as password)\", charset=\"UTF-8\"");
    problem.with_header(header::WWW_AUTHENTICATE, basic)
}

fn closed() -> Problem {
    let detail = "No token is configured, and this address can be reached from other machines, so only /health and \
        /ready are answered. Make a token with `bursar tokens new NAME --role read`, put the lines it prints into \
        config/bursar.toml, and start the daemon again.";
    Problem::new(StatusCode::UNAUTHORIZED, "no-token-configured", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bursar\""))
}

/// Without tokens, a page that somebody's browser shows could have another name lead to this machine and read the
/// answers: only names of this machine are answered.
fn host_is_ours(request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    let target = request.uri().authority().map(Authority::as_str);
    let foreign = target.into_iter().chain(&mut hosts).find(|host| !is_this_machine(host));
    let Some(host) = foreign else { return Ok(()) };
    let detail = format!(
        "Without a token only requests to localhost or a loopback address are answered, and this one is to {host:?}. \
         Make a token with `bursar tokens new NAME --role read`."
    );
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign-host", detail))
}

/// Without tokens, a page from elsewhere could have somebody's browser do something here: it tells where the page is
/// from, and only our own pages may.
fn origin_is_ours(request: &Request) -> Result<(), Problem> {
    if is_reading(request.method()) {
        return Ok(());
    }
    let mut origins = request.headers().get_all(header::ORIGIN).iter().map(|origin| origin.to_str().unwrap_or("?"));
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Some(origin) = origins.find(|origin| origin.split_once("://").is_none_or(|(_, rest)| rest != host)) else {
        return Ok(());
    };
    let detail = format!("Without a token no page from elsewhere may do this, and this one is from {origin:?}.");
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign-origin", detail))
}

fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
