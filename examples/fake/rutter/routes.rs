//! The calls of the three services.

use super::book::{Kept, Mail, error};
use super::trouble::{Happening, Step};
use super::{ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, STREAM_TOKEN, State, charges, webhook};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::io::Error;
use std::sync::Arc;

type Body = BoxBody<Bytes, Error>;
type Answer = Result<Response<Body>, Error>;

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

fn json_of(status: u16, body: &Value) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status");
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(full(body.to_string())).expect("a response"))
}

/// The connection is cut.
fn cut() -> Answer {
    Err(Error::other("cut by the scenario"))
}

pub async fn answer(state: Arc<State>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(Error::other)?.to_bytes();
    let delay = state.scenario.lock().expect("the scenario").delay;
    tokio::time::sleep(delay).await;
    let path = parts.uri.path().to_owned();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (&parts.method, &segments[..]) {
        (&Method::GET, ["stream", "charges", id]) => stream(&state, &parts.headers, id),
        (&Method::POST, ["mail", "send"]) => mail(&state, &parts.headers, &body),
        (&Method::GET, ["pdf", _]) => Ok(Response::new(full("%PDF-1.4\n% a made-up invoice\n%%EOF\n"))),
        (method, ["versioned", rest @ ..]) => {
            if let Err(refused) = check(&parts.headers, parts.uri.query().unwrap_or_default()) {
                return json_of(401, &refused);
            }
            match (method, rest) {
                (&Method::POST, ["accounting", "invoices"]) => create(&state, &parts.headers, &body),
                (&Method::GET, ["accounting", "invoices", id, "pdf"]) => {
                    let link = format!("http://{}/pdf/{id}.pdf", state.address);
                    json_of(200, &json!({"invoice": {"pdf_link": link}}))
                }
                (&Method::GET, ["jobs", id]) => poll(&state, id),
                _ => json_of(404, &error(404)),
            }
        }
        _ => json_of(404, &json!({"message": "nothing here"})),
    }
}

/// What is refused repeats what was sent, as some do.
fn check(headers: &HeaderMap, query: &str) -> Result<(), Value> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let asked: reqwest::Url = format!("http://h/?{query}").parse().expect("a query");
    let token = asked.query_pairs().find(|(key, _)| key == "access_token").map(|(_, value)| value.into_owned());
    if text(AUTHORIZATION.as_str()) == expected
        && token.as_deref() == Some(ACCESS_TOKEN)
        && text("x-rutter-version") == "2023-03-14"
    {
        return Ok(());
    }
    let sent = format!("{} with {token:?} is not valid", text(AUTHORIZATION.as_str()));
    Err(json!({"error_type": "AUTH", "error_code": "INVALID_CREDENTIALS", "error_message": sent}))
}

fn stream(state: &State, headers: &HeaderMap, id: &str) -> Answer {
    let scenario = state.scenario.lock().expect("the scenario");
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if sent != Some(&format!("Bearer {STREAM_TOKEN}")) {
        return json_of(401, &json!({"message": format!("{sent:?} is not valid")}));
    }
    if let Some(status) = scenario.stream_status {
        return json_of(status, &json!({"message": "the scenario says so"}));
    }
    match scenario.charges.get(id) {
        Some(text) => Ok(Response::new(full(text.clone()))),
        None if scenario.is_strict => json_of(404, &json!({"message": "no such charge"})),
        None => json_of(200, &charges::charge(id)),
    }
}

fn create(state: &Arc<State>, headers: &HeaderMap, body: &Bytes) -> Answer {
    let request = String::from_utf8_lossy(body).into_owned();
    let asked: Value = serde_json::from_str(&request).unwrap_or_default();
    let number = asked["invoice"]["document_number"].as_str().unwrap_or_default().to_owned();
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if uuid::Uuid::parse_str(&key).is_err() || number.is_empty() {
        return json_of(400, &error(400));
    }
    let (happening, hook) = {
        let mut scenario = state.scenario.lock().expect("the scenario");
        let planned = scenario.plan_of.get_mut(&number).and_then(std::collections::VecDeque::pop_front);
        let planned = planned.or_else(|| scenario.plan.pop_front());
        let usual = if scenario.chaos.is_empty() {
            scenario.usual
        } else {
            scenario.chaos[fastrand::usize(..scenario.chaos.len())]
        };
        (planned.unwrap_or(usual), scenario.hook.clone())
    };
    let tell = |step| {
        if let Some(hook) = &hook {
            hook(step, &number);
        }
    };
    tell(Step::Arrived);
    let kept = {
        let mut book = state.book.lock().expect("the book");
        book.asked += 1;
        book.keys_seen.insert(key.clone());
        // Who asks too much is told so before anybody looks at keys.
        let kept = book.keys.get(&key).cloned().filter(|_| happening != Happening::Busy);
        match kept {
            Some(kept) if kept.request != request => Some(Kept { status: 409, body: error(409), job: None, request }),
            Some(kept) => Some(kept),
            None => book.accept(happening, &key, &request),
        }
    };
    tell(Step::Done);
    let Some(kept) = kept else { return cut() };
    if let Some(job) = kept.job.as_ref().filter(|_| kept.status == 200) {
        webhook::send(state, job);
    }
    told(happening, &kept)
}

/// The answer, or what comes in its place; also where the key was there before.
fn told(happening: Happening, kept: &Kept) -> Answer {
    match happening {
        Happening::CutBefore | Happening::CutAfter => return cut(),
        Happening::ErrorAfter(status) => return json_of(status, &error(status)),
        Happening::Babble => return Ok(Response::new(full("<html>a gateway</html>"))),
        Happening::CutWithin => {
            let halves = [Ok(Frame::data(Bytes::from_static(b"{\"invoice\":{"))), Err(Error::other("cut"))];
            return Ok(Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(halves)))));
        }
        _ => {}
    }
    let mut answer = json_of(kept.status, &kept.body)?;
    if let Some(job) = &kept.job {
        answer.headers_mut().insert("x-rutter-job-id", job.parse().expect("a header"));
    }
    if kept.status == 429 {
        answer.headers_mut().insert("retry-after", "1".parse().expect("a header"));
    }
    Ok(answer)
}

fn poll(state: &Arc<State>, id: &str) -> Answer {
    let (planned, hook) = {
        let mut scenario = state.scenario.lock().expect("the scenario");
        (scenario.polls.pop_front(), scenario.hook.clone())
    };
    if let Some(hook) = hook {
        hook(Step::Polled, id);
    }
    let mut book = state.book.lock().expect("the book");
    book.polled += 1;
    match (planned, book.jobs.get_mut(id)) {
        (Some(0), _) => cut(),
        (Some(status), _) => json_of(status, &error(status)),
        (None, Some(job)) if !job.is_forgotten => {
            let told = job.told(id);
            job.polls_left = job.polls_left.saturating_sub(1);
            json_of(200, &told)
        }
        (None, _) => json_of(404, &error(404)),
    }
}

/// A mail under a key that came before is not sent again.
fn mail(state: &State, headers: &HeaderMap, body: &Bytes) -> Answer {
    if let Some(status) = state.scenario.lock().expect("the scenario").mail.pop_front() {
        return if status == 0 { cut() } else { json_of(status, &json!({"message": "the scenario says so"})) };
    }
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut book = state.book.lock().expect("the book");
    if !book.mails.iter().any(|mail| mail.key == key) {
        let body = serde_json::from_slice(body).unwrap_or_default();
        book.mails.push(Mail { key, body });
    }
    json_of(202, &json!({}))
}
