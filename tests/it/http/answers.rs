//! What every answer is like.

use super::Api;
use crate::support::World;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_wrongly_is_told_as_a_problem() {
    let world = World::new().await;
    let api = Api::start(&world, &[("BURSAR__HTTP__MAX_BODY_BYTES", "10")]).await;
    let problem = |method: &str, path: &str, headers: &[&str]| api.ask(method, path, headers).problem();
    assert_eq!(problem("GET", "/nowhere", &[]), (404, "not-found".to_owned()));
    assert_eq!(problem("GET", "/health/", &[]), (404, "not-found".to_owned()));
    let answer = api.ask("DELETE", "/health", &[]);
    assert_eq!(answer.problem(), (405, "method-not-allowed".to_owned()));
    assert_eq!(answer.header("allow"), "GET,HEAD");
    assert_eq!(problem("GET", "/openapi.json", &["accept: text/csv"]), (406, "not-acceptable".to_owned()));
    assert_eq!(problem("GET", "/openapi.json", &["content-length: 11"]), (413, "body-too-large".to_owned()));
    assert_eq!(problem("GET", &format!("/{}", "x".repeat(9000)), &[]), (414, "uri-too-long".to_owned()));
    let long = format!("x: {}", "y".repeat(40_000));
    assert_eq!(problem("GET", "/openapi.json", &[&long]), (431, "headers-too-large".to_owned()));
    let answer = api.get("/openapi.json?a=1&a=2&%zz=3&%ff=4&x=%00", &[]);
    assert_eq!(answer.problem(), (400, "bad-parameters".to_owned()));
    let unknown = "is not known here; there are no parameters";
    assert_eq!(answer.json()["errors"], json!({"a": unknown, "%zz": unknown, "%ff": unknown, "x": unknown}));
    assert_eq!(answer.json()["instance"], "/openapi.json");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_a_tag_and_is_sent_once() {
    let world = World::new().await;
    let api = Api::start(&world, &[]).await;
    let answer = api.get("/openapi.json", &[]);
    assert_eq!((answer.status, &answer.json()["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let tag = answer.header("etag");
    let again = api.get("/openapi.json", &[&format!("if-none-match: \"a\", W/{tag}")]);
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", tag));
    let head = api.ask("HEAD", "/openapi.json", &[]);
    assert_eq!((head.status, head.body.as_str(), head.header("etag")), (200, "", tag));
    assert_eq!(head.header("content-length"), answer.body.len().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_an_id_and_a_line_in_the_log() {
    let world = World::new().await;
    let api = Api::start(&world, &[]).await;
    assert_eq!(api.get("/openapi.json?name=Smith", &["x-request-id: abc-1.2_3"]).header("x-request-id"), "abc-1.2_3");
    for bad in ["", "a b", "x\"y", &"x".repeat(65)] {
        let made = api.get("/nowhere", &[&format!("x-request-id: {bad}")]);
        assert!(uuid::Uuid::parse_str(made.header("x-request-id")).is_ok(), "{bad:?}: {:?}", made.headers);
    }
    api.running.says("abc-1.2_3").await;
    let said = api.running.said();
    let line = said.lines().find(|line| line.contains("abc-1.2_3")).expect("a line");
    for part in [
        "\"http.method\":\"GET\"",
        "\"http.path\":\"/openapi.json\"",
        "\"http.status\":400",
        "elapsed_ms",
        "http.bytes",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!said.contains("Smith"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_forbids_what_no_browser_needs() {
    let world = World::new().await;
    let api = Api::start(&world, &[]).await;
    for path in ["/health", "/docs", "/nowhere", "/openapi.json?x"] {
        let answer = api.get(path, &[]);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
    }
    assert_eq!(api.get("/health", &[]).body, "{\"status\":\"ok\"}");
}
