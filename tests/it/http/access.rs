//! Who is answered.

use super::{Api, add_token};
use crate::support::World;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_this_machine_is_answered_and_no_other_name_of_it() {
    let world = World::new().await;
    let api = Api::start(&world, &[]).await;
    assert!(api.running.said().contains("open to everybody on this machine"), "{}", api.running.said());
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1:1", "127.9.9.9", "[::1]:8080"] {
        assert_eq!(api.get("/openapi.json", &[&format!("host: {host}")]).status, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[fe80::1]", "a b"] {
        let answer = api.get("/openapi.json", &[&format!("host: {host}")]);
        assert_eq!(answer.problem(), (403, "foreign-host".to_owned()), "{host}");
        assert_eq!(api.get("/health", &[&format!("host: {host}")]).status, 200, "health is for everybody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_without_tokens_only_health_is_answered() {
    let world = World::new().await;
    let api = Api::start(&world, &[("BURSAR_HTTP_BIND", "0.0.0.0:0")]).await;
    let said = api.running.said();
    let line = said.lines().find(|line| line.contains("http.address")).expect("a line");
    assert!(line.contains("WARN") && line.contains("bursar tokens new"), "{line}");
    assert_eq!((api.get("/health", &[]).status, api.get("/ready", &[]).status), (200, 200));
    for path in ["/openapi.json", "/docs", "/nowhere"] {
        let answer = api.get(path, &["authorization: Bearer x"]);
        assert_eq!(answer.problem(), (401, "no-token-configured".to_owned()), "{path}");
        assert!(answer.body.contains("bursar tokens new"), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tokens_only_they_are_answered_and_none_is_logged() {
    let world = World::new().await;
    let reader = add_token(&world, "reader", "read");
    let operator = add_token(&world, "operator", "operate");
    let api = Api::start(&world, &[]).await;
    let bearer = |token: &str| format!("authorization: Bearer {token}");
    let basic = |token: &str| format!("authorization: basic {}", BASE64_STANDARD.encode(format!("any:{token}")));
    for header in [
        bearer(&reader),
        basic(&reader),
        bearer(&operator),
        bearer(&reader).to_uppercase().replace(&reader.to_uppercase(), &reader),
    ] {
        assert_eq!(api.get("/openapi.json", &[&header, "host: any.example"]).status, 200);
    }
    let cut = &reader[..reader.len() - 1];
    for header in [
        "x: y".to_owned(),
        bearer(cut),
        bearer(""),
        basic(cut),
        "authorization: Basic %%%".to_owned(),
        format!("authorization: {reader}"),
    ] {
        for path in ["/openapi.json", "/nowhere", "/docs"] {
            let answer = api.get(path, &[&header]);
            assert_eq!(answer.problem(), (401, "unauthorized".to_owned()), "{header} {path}");
            assert!(answer.header("www-authenticate").contains("Bearer realm"), "{:?}", answer.headers);
            assert!(answer.header("www-authenticate").contains("Basic realm"), "{:?}", answer.headers);
        }
    }
    assert_eq!(api.get("/openapi.json", &[&bearer(&reader), &bearer(&reader)]).status, 401, "one of several");
    assert_eq!(api.ask("POST", "/openapi.json", &[&bearer(&reader)]).problem(), (403, "forbidden".to_owned()));
    assert_eq!(api.ask("POST", "/openapi.json", &[&bearer(&operator)]).status, 405);
    assert_eq!(api.ask("POST", "/openapi.json", &[&basic(&operator)]).status, 401, "a browser's password only reads");
    assert_eq!(api.get("/health", &[]).status, 200);
    let said = api.running.said();
    assert!(said.contains("\"http.token\":\"reader\"") && !said.contains(&reader[10..]), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_has_its_own_requests() {
    let world = World::new().await;
    let (first, second) = (add_token(&world, "first", "read"), add_token(&world, "second", "read"));
    let api = Api::start(&world, &[("BURSAR__HTTP__REQUESTS_PER_SECOND", "1")]).await;
    let ask = |token: &str| api.get("/nowhere", &[&format!("authorization: Bearer {token}")]);
    let answers: Vec<_> = (0..20).map(|_| ask(&first)).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("20 requests take less than 20 seconds");
    assert_eq!(refused.problem(), (429, "too-many-requests".to_owned()));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("1", "\"requests\";r=0;t=1"));
    assert_eq!(ask(&second).status, 404);
    assert!((0..20).all(|_| api.get("/health", &[]).status == 200));
}
