//! What is past due, and what was billed in a month.

use super::{Api, Invoice, keys, members};
use crate::support::World;
use chrono::Utc;
use chrono_tz::America::New_York;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn past_due_is_what_was_due_before_the_day_with_something_outstanding() {
    let world = World::new().await;
    let api = Api::of(
        &world,
        &[
            Invoice::new("due-that-day", "Ada").due("2/10/25"),
            Invoice::new("due-the-day-before", "Ada").due("2/9/25"),
            Invoice::new("paid", "Ada").amounts("100", "100"),
            Invoice::new("overpaid", "Ada").amounts("100", "100.01"),
            Invoice::new("nothing billed", "Ada").amounts("0", "0"),
            Invoice { status: "Closed", ..Invoice::new("a cent", "Bob").amounts("100", "99.99") },
        ],
    )
    .await;
    let page = api.get("/invoices/past-due?as_of=2025-02-10");
    assert_eq!(members(&page["items"], "invoice_number"), ["a cent", "due-the-day-before"]);
    assert_eq!(members(&page["items"], "days_past_due"), ["10", "1"]);
    assert_eq!(members(&page["items"], "outstanding"), ["0.01", "100.00"]);
    assert_eq!(page["total"], 2);
    assert_eq!(
        keys(&page["items"][0]),
        [
            "invoice_number",
            "customer_name",
            "invoice_date",
            "due_date",
            "bill_total",
            "applied",
            "outstanding",
            "currency",
            "status",
            "days_past_due"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invoices_of_one_due_date_come_in_the_order_of_their_numbers_either_way() {
    let world = World::new().await;
    let invoices = [("c", "1/5/25"), ("a", "1/5/25"), ("b", "1/4/25"), ("d", "1/6/25")];
    let api = Api::of(&world, &invoices.map(|(number, due)| Invoice::new(number, "Ada").due(due))).await;
    let numbers = |sort: &str| {
        members(&api.get(&format!("/invoices/past-due?as_of=2025-03-01{sort}"))["items"], "invoice_number")
    };
    assert_eq!(numbers(""), ["b", "a", "c", "d"]);
    assert_eq!(numbers("&sort=due_date.asc"), ["b", "a", "c", "d"]);
    assert_eq!(numbers("&sort=due_date.desc"), ["d", "a", "c", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_due_is_asked_of_today_in_new_york_where_no_day_is_given() {
    let world = World::new().await;
    let today = || Utc::now().with_timezone(&New_York).date_naive();
    let before = today();
    let due = [-1, 0, 1].map(|days| (before + chrono::Duration::days(days)).format("%-m/%-d/%y").to_string());
    let invoices: Vec<Invoice> =
        due.iter().enumerate().map(|(n, due)| Invoice::new(&n.to_string(), "Ada").due(due)).collect();
    let api = Api::of(&world, &invoices).await;
    let numbers = members(&api.get("/invoices/past-due")["items"], "invoice_number");
    let midnight_has_passed = today() != before;
    assert!(numbers == ["0"] || midnight_has_passed, "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn currencies_are_never_added() {
    let world = World::new().await;
    let of = |number: &str, currency, billed: &str| Invoice {
        currency,
        ..Invoice::new(number, "Ada").amounts(billed, "0.50")
    };
    let api = Api::of(&world, &[of("1", "USD", "10"), of("2", "CAD", "200"), of("3", "USD", "3000.25")]).await;
    let month = api.get("/invoices/summary/month?month=2025-01");
    let both = json!([
        {"currency": "CAD", "sum_bill_total": "200.00", "count_invoices": 1,
         "sum_credit_total": "0.00", "count_credit_notes": 0},
        {"currency": "USD", "sum_bill_total": "3010.25", "count_invoices": 2,
         "sum_credit_total": "0.00", "count_credit_notes": 0},
    ]);
    assert_eq!(
        month,
        json!({"month": "2025-01", "currency": "USD", "sum_bill_total": "3010.25", "count_invoices": 2, "by_currency": both})
    );
    let euros = api.get("/invoices/summary/month?month=2025-01&currency=EUR&customer_name=ADA");
    assert_eq!(
        euros,
        json!({"month": "2025-01", "currency": "EUR", "sum_bill_total": "0.00", "count_invoices": 0, "by_currency": both})
    );
    let nothing = api.get("/invoices/summary/month?month=2025-02&currency=CAD");
    assert_eq!(
        nothing,
        json!({"month": "2025-02", "currency": "CAD", "sum_bill_total": "0.00", "count_invoices": 0, "by_currency": []})
    );
    let ids = members(&api.get("/customers")["items"], "id");
    for (path, list, amount) in [
        ("/customers/open-ar".to_owned(), "items", "open_ar"),
        ("/invoices/aging?as_of=2025-02-01&by=customer".to_owned(), "items", "outstanding"),
        (format!("/customers/{}", ids[0]), "balances", "outstanding"),
        (format!("/customers/{}/statement", ids[0]), "balances", "outstanding"),
        (format!("/customers/{}/open-ar?children=true", ids[0]), "by_currency", "open_ar"),
        ("/invoices/dso?from=2025-01&to=2025-01".to_owned(), "items", "receivable"),
    ] {
        let answer = api.get(&path);
        assert_eq!(members(&answer[list], "currency"), ["CAD", "USD"], "{path}");
        assert_eq!(members(&answer[list], amount), ["199.50", "3009.25"], "{path}");
    }
    let only = api.get("/customers/open-ar?currency=USD");
    assert_eq!((members(&only["items"], "currency"), &only["total"]), (vec!["USD".to_owned()], &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_sales_outstanding_are_what_is_open_over_what_was_billed_times_the_days() {
    let world = World::new().await;
    let of = |number: &str, written, billed: &str, applied: &str| Invoice {
        written,
        ..Invoice::new(number, "Ada").amounts(billed, applied)
    };
    let api = Api::of(
        &world,
        &[of("1", "1/10/25", "300", "200"), of("2", "2/1/25", "400", "300"), of("3", "4/1/25", "1", "1")],
    )
    .await;
    let dso = api.get("/invoices/dso?from=2025-01&to=2025-04");
    assert_eq!(members(&dso["items"], "month"), ["2025-01", "2025-02", "2025-03", "2025-04"]);
    assert_eq!(members(&dso["items"], "receivable"), ["100.00", "200.00", "200.00", "200.00"]);
    assert_eq!(members(&dso["items"], "dso_days"), ["10.3", "14.0", "null", "6000.0"]);
    assert_eq!(dso["total"], 4);
    let page = api.get("/invoices/dso?from=2025-01&to=2025-04&limit=2&offset=1");
    assert_eq!(members(&page["items"], "month"), ["2025-02", "2025-03"]);
    assert_eq!(api.get("/invoices/dso?from=2025-02&to=2025-01")["total"], 0);
    assert_eq!(api.get("/invoices/dso?to=2025-04")["total"], 12);
    let ages = api.get("/invoices/dso?from=1000-01&to=9999-12&limit=1&offset=107999");
    assert_eq!((&ages["total"], &ages["items"][0]["month"]), (&json!(108_000), &json!("9999-12")));
}
