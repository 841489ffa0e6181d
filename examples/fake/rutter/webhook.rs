//! Webhooks of jobs that are done, signed.

use super::CLIENT_SECRET;
use super::State;
use super::book::Book;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;

/// What is told of a job, as if it were done.
pub fn body(book: &Book, job: &str) -> String {
    let told = book.jobs.get(job).map(|found| {
        let response = json!({"http_status": found.http_status, "body": found.body});
        json!({"id": job, "status": found.status, "response": response})
    });
    json!({"type": "JOB", "code": "JOB_COMPLETED", "job": told}).to_string()
}

pub fn signature(body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).expect("a key").chain_update(body);
    format!("sha256={}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

/// Sends it, twice.
pub fn send(state: &Arc<State>, job: &str) {
    let Some(to) = state.scenario.lock().expect("the scenario").webhook.clone() else { return };
    let body = body(&state.book.lock().expect("the book"), job);
    tokio::spawn(async move {
        bursar::outbound::use_ring();
        let client = reqwest::Client::new();
        for delay_ms in [5, 30] {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            let request = client.post(&to).header("x-rutter-signature", signature(body.as_bytes()));
            let _ = request.header("content-type", "application/json").body(body.clone()).send().await;
        }
    });
}
