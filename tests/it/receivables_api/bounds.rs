//! Parameters that are wrong: each is named, with what would be right.

use super::Api;
use crate::support::World;

/// What is asked, and the parameters that are wrong in it.
const WRONG: &[(&str, &[&str])] = &[
    ("/invoices/past-due?as_of=2025-02-30", &["as_of"]),
    ("/invoices/past-due?as_of=3/1/25", &["as_of"]),
    ("/invoices/past-due?as_of=", &["as_of"]),
    ("/invoices/past-due?as_of=0000-01-01", &["as_of"]),
    ("/invoices/past-due?as_of=12025-01-01", &["as_of"]),
    ("/invoices/past-due?as_known_on=today", &["as_known_on"]),
    ("/invoices/past-due?limit=0", &["limit"]),
    ("/invoices/past-due?limit=201", &["limit"]),
    ("/invoices/past-due?limit=1.5", &["limit"]),
    ("/invoices/past-due?limit=99999999999999999999", &["limit"]),
    ("/invoices/past-due?offset=-1", &["offset"]),
    ("/invoices/past-due?offset=9007199254740992", &["offset"]),
    ("/invoices/past-due?sort=due_date", &["sort"]),
    ("/invoices/past-due?sort=DUE_DATE.ASC", &["sort"]),
    ("/invoices/past-due?sort=due_date.asc&sort=due_date.asc", &["sort"]),
    ("/invoices/past-due?page=2", &["page"]),
    (
        "/invoices/past-due?as_of=x&limit=x&offset=x&sort=x&as_known_on=x&x=x",
        &["as_of", "as_known_on", "sort", "limit", "offset", "x"],
    ),
    ("/invoices/summary/month", &["month"]),
    ("/invoices/summary/month?month=2025-13", &["month"]),
    ("/invoices/summary/month?month=2025-1", &["month"]),
    ("/invoices/summary/month?month=2025-01-01", &["month"]),
    ("/invoices/summary/month?month=0999-01", &["month"]),
    ("/invoices/summary/month?month=2025-01&currency=usd&customer_name=", &["customer_name", "currency"]),
    ("/invoices/summary/month?month=2025-01&currency=USDX", &["currency"]),
    ("/invoices/summary/month?month=2025-01&currency=USD%0A", &["currency"]),
    ("/customers/contact", &["name"]),
    ("/customers/contact?name=", &["name"]),
    ("/customers/contact?name=a%00b", &["name"]),
    ("/customers/contact?name=%FF", &["name"]),
    ("/customers/contact?name=x&limit=201", &["limit"]),
    ("/customers?limit=201&name=%2", &["name", "limit"]),
    ("/customers/0x11", &["id"]),
    ("/customers/1?as_of=x", &["as_of"]),
    ("/customers/9007199254740992/statement?limit=0", &["id", "limit"]),
    ("/customers/1/open-ar?children=yes", &["children"]),
    ("/customers/open-ar?currency=us", &["currency"]),
    ("/invoices?customer_id=x&missing=1&invoice_number=", &["customer_id", "missing", "invoice_number"]),
    ("/invoices/a?limit=0", &["limit"]),
    ("/invoices/aging?edges=", &["edges"]),
    ("/invoices/aging?edges=0,30", &["edges"]),
    ("/invoices/aging?edges=30,", &["edges"]),
    ("/invoices/aging?edges=10000", &["edges"]),
    ("/invoices/aging?edges=1,2,3,4,5,6,7,8,9,10,11", &["edges"]),
    ("/invoices/aging?edges=30,60&by=month&as_of=1&currency=$", &["as_of", "by", "currency"]),
    ("/invoices/dso?from=2025&to=2025-00&limit=121", &["from", "to", "limit"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_that_is_wrong_is_named() {
    let world = World::new().await;
    let api = Api::start(&world).await;
    for (target, wrong) in WRONG {
        let answer = api.ask(target, "");
        assert_eq!(answer.status, 400, "{target}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.wrong(), *wrong, "{target}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_the_bounds_is_answered() {
    let world = World::new().await;
    let api = Api::start(&world).await;
    for target in [
        "/invoices/past-due?as_of=0001-01-01&limit=1&offset=9007199254740991",
        "/invoices/past-due?as_of=9999-12-31&as_known_on=0001-01-01&limit=200",
        "/invoices/summary/month?month=1000-01&currency=ZZZ",
        "/invoices/summary/month?month=9999-12",
        "/invoices/aging?as_of=0001-01-01&edges=1",
        "/invoices/aging?as_of=9999-12-31&edges=9999,9998,7,6,5,4,3,2,1,1&by=customer",
        "/invoices/dso?from=9999-12&to=9999-12",
        "/invoices/dso?from=1000-01&to=1000-01",
        "/invoices?missing=true&limit=200",
        "/customers/open-ar",
        "/customers",
    ] {
        let answer = api.get(target);
        assert!(answer.get("items").is_none_or(|items| items == &serde_json::json!([])), "{target}: {answer}");
    }
    let longest = "x".repeat(200);
    api.refused(&format!("/customers/contact?name={longest}"), 404);
    api.refused(&format!("/customers/contact?name={longest}x"), 400);
}
