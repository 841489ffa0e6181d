//! The client of JSON APIs: its patience is measured on a clock that leaps over what is waited for.

use super::fake::{Scenario, Trouble};
use super::{Fake, serve, url};
use bursar::clock::Clock;
use bursar::fault::{Fault, judge, told};
use bursar::outbound::api::{Api, Conflicts, Request, Rules, Terms};
use futures_util::TryStreamExt;
use std::pin::pin;
use std::time::Duration;

const RULES: Rules = Rules { attempts: 4, conflicts: Conflicts::Pass, concurrency: 2 };

fn terms(base_url: String, token: &str) -> Terms {
    Terms {
        base_url,
        base_url_key: "vendor.base_url",
        headers: vec![("authorization", format!("Bearer {token}").into())],
        query: Vec::new(),
        secrets: Vec::new(),
        secret_variable: "VENDOR_TOKEN",
        timeout: Duration::from_secs(1),
        requests_per_second: 1000,
    }
}

fn api(fake: &Fake) -> (Api, Clock) {
    let clock = Clock::leaping_from(chrono::Utc::now());
    (Api::new(terms(url(fake), "fake-token"), RULES, clock.clone()).expect("a client"), clock)
}

fn customers() -> Request {
    Request::get(["customers"]).query(vec![("limit", "2".to_owned())])
}

/// Asks for all pages; gives how many items there were, and how long was waited.
async fn walk(scenario: Scenario) -> (anyhow::Result<usize>, Duration) {
    let fake = serve(scenario).await;
    let (api, clock) = api(&fake);
    let mut pages = pin!(api.pages(customers()));
    let mut count = 0;
    let walked = loop {
        match pages.try_next().await {
            Ok(Some(items)) => count += items.len(),
            Ok(None) => break Ok(count),
            Err(error) => break Err(error),
        }
    };
    (walked, clock.leapt())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_a_delay_that_is_asked_for_is_kept() {
    for (trouble, from_ms, to_ms) in [
        (Trouble::RetryAfterMs, 150, 160),
        (Trouble::RetryAfterSeconds, 1000, 1010),
        // The instant is told in whole seconds, two from now.
        (Trouble::RetryAfterDate, 1, 2010),
        (Trouble::ServerError, 375, 510),
        (Trouble::Cut, 375, 510),
        (Trouble::Slow, 375, 510),
    ] {
        let scenario = Scenario { trouble: vec![trouble], every: 1000, ..Scenario::generated(2, 0) };
        let (walked, waited) = walk(scenario).await;
        assert_eq!(walked.expect("the pages"), 2);
        let waited = waited.as_millis();
        assert!(waited >= from_ms && waited <= to_ms, "{trouble:?}: {waited} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stays_away_is_given_up_after_the_attempts_that_are_allowed() {
    for (status, fault, waited_ms) in [
        (429, Fault::Transient, 2625),
        (409, Fault::Transient, 2625),
        (500, Fault::Transient, 2625),
        (404, Fault::Data, 0),
        (422, Fault::Data, 0),
        (401, Fault::Config, 0),
        (403, Fault::Config, 0),
        (302, Fault::Config, 0),
    ] {
        let scenario = Scenario { refused: [("/customers".to_owned(), status)].into(), ..Scenario::generated(2, 0) };
        let (walked, waited) = walk(scenario).await;
        let error = walked.expect_err("a refusal");
        assert_eq!(judge(&error), fault, "{status}: {}", told(&error));
        // 0.5 s, 1 s and 2 s, each less a quarter at most.
        let waited = waited.as_millis();
        assert!(waited >= waited_ms && (waited_ms > 0 || waited < 10) && waited <= 3510, "{status}: {waited} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_runs_is_a_transient_fault_that_names_its_host() {
    let fake = serve(Scenario::generated(0, 0)).await;
    let (gone, _) = api(&fake);
    drop(fake);
    let error = gone.call(&customers()).await.expect_err("nobody answers");
    assert_eq!(judge(&error), Fault::Transient);
    assert!(told(&error).starts_with("GET /customers: 127.0.0.1 does not answer: "), "{}", told(&error));
}

#[test]
fn an_address_that_is_none_or_holds_a_secret_is_a_configuration_fault() {
    for wrong in [
        "",
        "api.example.com",
        "ftp://api.example.com",
        "https://user:secret@api.example.com",
        "https://api.example.com/?key=secret",
    ] {
        let error = Api::new(terms(wrong.to_owned(), "fake-token"), RULES, Clock::system()).expect_err("no address");
        assert_eq!(judge(&error), Fault::Config);
        assert!(told(&error).contains("vendor.base_url") && !told(&error).contains("secret@"), "{}", told(&error));
    }
    let with_line_end = terms("https://api.example.com".to_owned(), "a\nb");
    let error = Api::new(with_line_end, RULES, Clock::system()).expect_err("no header");
    assert!(told(&error).contains("VENDOR_TOKEN can't be sent in a header"), "{}", told(&error));
    let api = Api::new(terms("https://api.example.com/v1/".to_owned(), "t"), RULES, Clock::system()).expect("a client");
    assert_eq!(format!("{api:?}"), "Api(https://api.example.com/v1/)");
}
