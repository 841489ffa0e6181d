//! The numbers that the real file is known to give.

use super::{Api, keys};
use crate::support::{World, real_data};
use rust_decimal::Decimal;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(bursar_real_data), ignore = "needs the real files: set BURSAR_REAL_DATA")]
async fn the_real_file_gives_the_golden_numbers() {
    let world = World::new().await;
    let file = real_data().expect("BURSAR_REAL_DATA").join("invoices/unicorn_inc.csv");
    world.write("inbox/receivables/unicorn.csv", std::fs::read(file).expect("the real file"));
    world.bursar(&["run-job", "receivables", "--date", "2025-03-01"]).code(0);
    let api = Api::start(&world).await;
    past_due(&api);
    months_and_contacts(&api);
    the_rest(&api);
}

fn past_due(api: &Api) {
    let page = api.get("/invoices/past-due?as_of=2025-03-01&limit=5");
    assert_eq!(keys(&page), ["items", "total", "limit", "offset"]);
    assert_eq!((&page["total"], &page["limit"], &page["offset"]), (&json!(28), &json!(5), &json!(0)));
    assert_eq!(
        page["items"][0].to_string(),
        r#"{"invoice_number":"DF2014658","customer_name":"LogicNest","invoice_date":"2024-03-11","due_date":"2024-04-10","bill_total":"9400.00","applied":"7138.90","outstanding":"2261.10","currency":"USD","status":"Pending","days_past_due":325}"#
    );
    let second = &page["items"][1];
    assert_eq!(second["invoice_number"], "DF2014959");
    assert_eq!(
        [&second["bill_total"], &second["applied"], &second["outstanding"], &second["days_past_due"]],
        [&json!("1200.00"), &json!("417.75"), &json!("782.25"), &json!(323)]
    );
    let all = api.get("/invoices/past-due?as_of=2025-03-01&limit=200");
    let outstanding = |item: &Value| item["outstanding"].as_str().expect("a text").parse::<Decimal>().expect("money");
    let items = all["items"].as_array().expect("items");
    assert!(items.iter().all(|item| item["currency"] == "USD"));
    assert_eq!((items.len(), items.iter().map(outstanding).sum::<Decimal>().to_string()), (28, "39442.94".to_owned()));
}

fn months_and_contacts(api: &Api) {
    let month = api.get("/invoices/summary/month?month=2024-11");
    assert_eq!(keys(&month), ["month", "currency", "sum_bill_total", "count_invoices", "by_currency"]);
    assert_eq!(month["sum_bill_total"], "318565.14");
    assert_eq!(month["count_invoices"], 143);
    for name in ["Lens+%26+Light", "lens%20%26%20light", "%20LENS+%26++LIGHT%20"] {
        let month = api.get(&format!("/invoices/summary/month?month=2024-11&customer_name={name}"));
        assert_eq!((&month["sum_bill_total"], &month["count_invoices"]), (&json!("4550.00"), &json!(2)), "{name}");
        let contact = api.get(&format!("/customers/contact?name={name}"));
        assert_eq!(
            contact.to_string(),
            r#"{"customer_name":"Lens & Light","contacts":[{"contact_name":"Angela Scott","contact_email":"angela@lensandlight.com","contact_phone":"555-513-2964","last_seen_invoice_date":"2025-01-27"}],"total":1}"#
        );
    }
}

fn the_rest(api: &Api) {
    assert_eq!(api.get("/invoices")["total"], 3107);
    assert_eq!(api.get("/customers")["total"], 135);
    let aging = api.get("/invoices/aging?as_of=2025-03-01&currency=USD");
    let buckets = aging["items"].as_array().expect("items");
    let names: Vec<&Value> = buckets.iter().map(|bucket| &bucket["bucket"]).collect();
    assert_eq!(names, ["current", "1-30", "31-60", "61-90", "over 90"]);
    let past_due: i64 = buckets[1..].iter().map(|bucket| bucket["invoices"].as_i64().expect("a count")).sum();
    assert_eq!(past_due, 28);
    assert_eq!(api.get("/invoices/aging?as_of=2025-03-01&by=customer&limit=200")["offset"], 0);
    assert!(api.get("/customers/open-ar")["total"].as_i64().expect("a total") > 0);
    let dso = api.get("/invoices/dso?from=2024-11&to=2024-11&currency=USD");
    assert_eq!(dso["items"][0]["billed"], "318565.14");
}
