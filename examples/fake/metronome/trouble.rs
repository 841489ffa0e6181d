//! What can happen to a request on its way.

use super::State;
use super::answers::{check_token, error};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// Trouble that passes when the same is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Trouble {
    /// 429, with the delay in milliseconds.
    RetryAfterMs,
    /// 429, with the delay in seconds.
    RetryAfterSeconds,
    /// 429, with the instant.
    RetryAfterDate,
    /// 503.
    ServerError,
    /// The answer takes three seconds.
    Slow,
    /// The connection is cut in the midst of the answer.
    Cut,
    /// 200 with an HTML page, as a proxy or a sign-in page answers.
    HtmlPage,
}

/// How long a body may be.
const MOST_BYTES: usize = 1 << 20;

pub(super) async fn meet(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    if let Err(refused) = check_token(request.headers()) {
        return refused;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MOST_BYTES).await else {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
    };
    let key = format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body));
    let (refused, trouble) = {
        let scenario = state.scenario.lock().expect("the scenario");
        let refused = scenario.refused.iter().find(|(part, _)| key.contains(*part)).map(|(_, status)| *status);
        let turn = state.asked.fetch_add(1, Ordering::Relaxed);
        let is_due = !scenario.trouble.is_empty() && turn.is_multiple_of(scenario.every.max(1));
        let trouble = is_due.then(|| scenario.trouble[turn / scenario.every.max(1) % scenario.trouble.len()]);
        (refused, trouble)
    };
    if let Some(status) = refused {
        return error(StatusCode::from_u16(status).expect("a status"), "refused by the scenario");
    }
    let is_first = trouble.is_some() && state.met.lock().expect("what was met").insert(key.clone());
    if let Some(answer) = trouble.filter(|_| is_first).and_then(made) {
        return answer;
    }
    if trouble == Some(Trouble::Slow) && is_first {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    if answer.status().is_success() {
        state.answered.fetch_add(1, Ordering::Relaxed);
        *state.paths.lock().expect("paths").entry(key).or_default() += 1;
    }
    answer
}

/// The answer that the trouble is, if it is one.
fn made(trouble: Trouble) -> Option<Response> {
    let busy = |name: &'static str, value: String| {
        let mut answer = error(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        answer.headers_mut().insert(name, value.parse().expect("a header"));
        answer
    };
    Some(match trouble {
        Trouble::RetryAfterMs => busy("retry-after-ms", "150".to_owned()),
        Trouble::RetryAfterSeconds => busy("retry-after", "1".to_owned()),
        Trouble::RetryAfterDate => {
            let at = chrono::DateTime::<chrono::Utc>::from(SystemTime::now() + Duration::from_secs(2));
            busy("retry-after", at.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        }
        Trouble::ServerError => error(StatusCode::SERVICE_UNAVAILABLE, "the service is away"),
        Trouble::Slow => return None,
        Trouble::HtmlPage => axum::response::Html("<!DOCTYPE html><title>Sign in</title>").into_response(),
        Trouble::Cut => {
            let halves = [Ok(Bytes::from_static(b"{\"data\":[")), Err(std::io::Error::other("cut"))];
            let body = Body::from_stream(futures_util::stream::iter(halves));
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    })
}
