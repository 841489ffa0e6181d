//! A file on a web server: plain GET, and from the middle where the server can.

use super::fetch::{Chunks, Seen};
use super::trouble::Trouble;
use crate::fault::{self, Fault};
use crate::outbound::Address;
use crate::outbound::download::{self, Downloads, From};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED, TRANSFER_ENCODING};
use reqwest::{Method, Response, StatusCode, Version};
use secrecy::SecretString;

/// A file, and how to ask for it.
#[derive(Clone, Debug)]
pub(super) struct WebAt {
    pub(super) downloads: Downloads,
    pub(super) address: Address,
    pub(super) authorization: Option<SecretString>,
    /// The variable that holds the authorization, or could.
    pub(super) variable: String,
}

impl WebAt {
    pub(super) async fn look(&self) -> Result<Seen, Trouble> {
        let mut answer = self.ask(Method::HEAD, None).await?;
        if [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED].contains(&answer.status()) {
            answer = self.ask(Method::GET, None).await?;
        }
        self.check(&answer)?;
        Ok(seen(&answer))
    }

    pub(super) async fn chunks(&self, from: u64, opened: &Seen) -> Result<Chunks, Trouble> {
        let known_by = known_by(opened);
        let from = match &known_by {
            _ if from == 0 => None,
            Some(known_by) => Some(From { byte: from, known_by }),
            None => {
                let why = "the server tells neither a strong ETag nor Last-Modified to go on by";
                return Err(Trouble::Lost(format!("it broke off after {from} bytes, and {why}")));
            }
        };
        let answer = self.ask(Method::GET, from).await?;
        self.check(&answer)?;
        check_part(&answer, from, opened)?;
        let address = self.address.clone();
        let chunks = futures_util::stream::try_unfold((address, answer), |(address, mut answer)| async move {
            let chunk = download::next(&address, &mut answer).await.map_err(|error| trouble(&error))?;
            Ok(chunk.map(|chunk| (chunk, (address, answer))))
        });
        Ok(chunks.boxed())
    }

    async fn ask(&self, method: Method, from: Option<From<'_>>) -> Result<Response, Trouble> {
        let asked = self.downloads.ask(method, &self.address, self.authorization.as_ref(), from).await;
        asked.map_err(|error| trouble(&error))
    }

    /// What a status means.
    fn check(&self, answer: &Response) -> Result<(), Trouble> {
        let (status, variable) = (answer.status(), &self.variable);
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Trouble::Missing),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let is = if self.authorization.is_some() { "is set and not enough" } else { "is not set" };
                Err(Trouble::Refused(format!("{} answered {status}; {variable} {is}", self.address)))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Err(Trouble::Changed("shorter now".to_owned())),
            status if status.is_success() => check_length(answer),
            status => Err(trouble(&download::refusal(&self.address, status))),
        }
    }
}

/// A file whose end is the end of the connection can't be told from one that broke off.
fn check_length(answer: &Response) -> Result<(), Trouble> {
    let is_framed = answer.version() >= Version::HTTP_2 || answer.headers().contains_key(TRANSFER_ENCODING);
    if is_framed || length(answer).is_some() {
        return Ok(());
    }
    Err(Trouble::Refused(
        "the server tells no Content-Length, so that nobody can tell whether the file is whole".into(),
    ))
}

/// The answer must be of the file that was opened, and begin where it should.
fn check_part(answer: &Response, from: Option<From<'_>>, opened: &Seen) -> Result<(), Trouble> {
    let now = seen(answer);
    let Some(From { byte, .. }) = from else {
        return if now.is(opened) { Ok(()) } else { Err(Trouble::Changed("another file is there now".to_owned())) };
    };
    if answer.status() == StatusCode::PARTIAL_CONTENT {
        let range = header(answer, &CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
        let (begins, total) = range.and_then(|range| range.split_once('/')).unwrap_or_default();
        let is_there = begins.split_once('-').is_some_and(|(first, _)| first.parse() == Ok(byte));
        let is_total = opened.bytes.is_none_or(|bytes| total == "*" || total.parse() == Ok(bytes));
        let is_tag = now.tag.as_ref().zip(opened.tag.as_ref()).is_none_or(|(one, other)| one == other);
        let is_it = is_there && is_total && is_tag;
        return if is_it { Ok(()) } else { Err(Trouble::Changed("another file is there now".to_owned())) };
    }
    Err(if now.is(opened) {
        Trouble::Lost(format!("it broke off after {byte} bytes, and the server can't go on in its midst"))
    } else {
        Trouble::Changed("another file is there now".to_owned())
    })
}

fn trouble(error: &anyhow::Error) -> Trouble {
    match fault::judge(error) {
        Fault::Transient => Trouble::Broken(fault::told(error)),
        _ => Trouble::Refused(fault::told(error)),
    }
}

fn seen(answer: &Response) -> Seen {
    let modified = header(answer, &LAST_MODIFIED).and_then(|text| DateTime::parse_from_rfc2822(text).ok());
    Seen {
        bytes: length(answer),
        modified_at: modified.map(|at| at.with_timezone(&Utc)),
        tag: header(answer, &ETAG).map(str::to_owned),
    }
}

/// The length of the file as it is sent. Of a HEAD the client knows no body, so the header is asked.
fn length(answer: &Response) -> Option<u64> {
    header(answer, &reqwest::header::CONTENT_LENGTH)?.parse().ok()
}

fn header<'a>(answer: &'a Response, name: &HeaderName) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// What a server may be asked to go on by (RFC 9110, section 13.1.5): never a weak tag.
fn known_by(seen: &Seen) -> Option<String> {
    let strong = seen.tag.clone().filter(|tag| !tag.starts_with("W/"));
    strong.or_else(|| Some(seen.modified_at?.format("%a, %d %b %Y %H:%M:%S GMT").to_string()))
}

/// Whether an address is of this machine.
pub(super) fn is_loopback(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for near in ["http://127.0.0.1:9000", "http://localhost/x", "http://[::1]:1/"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["http://127.0.0.1.example.com", "http://10.0.0.1", "http://localhost@example.com/", "nonsense"] {
            assert!(!is_loopback(far), "{far}");
        }
    }

    #[test]
    fn a_weak_tag_is_nothing_to_go_on_by() {
        let at = DateTime::parse_from_rfc2822("Tue, 13 May 2025 08:00:00 GMT").unwrap().to_utc();
        let seen = |tag: &str, modified_at| Seen { bytes: Some(1), modified_at, tag: Some(tag.to_owned()) };
        assert_eq!(known_by(&seen("\"1\"", Some(at))).as_deref(), Some("\"1\""));
        assert_eq!(known_by(&seen("W/\"1\"", Some(at))).as_deref(), Some("Tue, 13 May 2025 08:00:00 GMT"));
        assert_eq!(known_by(&seen("W/\"1\"", None)), None);
    }
}
