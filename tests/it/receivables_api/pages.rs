//! Lists in pages, and answers that a client has already.

use super::{Api, Invoice, members};
use crate::support::World;
use serde_json::Value;

/// Many invoices with few due dates, so that what breaks ties decides.
fn many() -> Vec<Invoice> {
    let invoice = |n: usize| Invoice {
        currency: ["USD", "CAD"][n % 2],
        ..Invoice::new(&format!("N{}", n * 7919 % 1000), &format!("Customer {}", n % 11))
            .due(&format!("1/{}/25", 1 + n % 3))
            .amounts("10", &format!("{}", n % 3))
    };
    (0..67).map(invoice).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_together_are_the_list() {
    let world = World::new().await;
    let api = Api::of(&world, &many()).await;
    for target in [
        "/invoices/past-due?as_of=2025-03-01",
        "/invoices/past-due?as_of=2025-03-01&sort=due_date.desc",
        "/invoices/past-due?as_of=2025-03-01&as_known_on=2025-03-01",
        "/invoices?missing=false",
        "/customers?name=customer",
        "/customers/open-ar?",
        "/invoices/aging?by=customer&as_of=2025-03-01&edges=58",
        "/invoices/aging?as_of=2025-03-01",
        "/invoices/dso?from=2024-01&to=2025-12",
    ] {
        let whole = api.get(&format!("{target}&limit=120"));
        let items = whole["items"].as_array().expect("items");
        assert_eq!(whole["total"], items.len(), "{target}");
        let mut paged: Vec<Value> = Vec::new();
        while paged.len() < items.len() {
            let page = api.get(&format!("{target}&limit=7&offset={}", paged.len()));
            assert_eq!(page["total"], whole["total"], "{target}");
            let page = page["items"].as_array().expect("items").clone();
            assert_eq!(page.len(), 7.min(items.len() - paged.len()), "{target}");
            paged.extend(page);
        }
        assert_eq!(&paged, items, "{target}");
        assert_eq!(api.get(&format!("{target}&offset={}", items.len()))["items"], Value::Array(Vec::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_csv_for_who_accepts_that() {
    let world = World::new().await;
    let api = Api::of(&world, &[Invoice::new("1", "Lens, \"Light\""), Invoice::new("2", "Ada").due("2/2/25")]).await;
    let answer = api.ask("/invoices/past-due?as_of=2025-02-03&limit=1", "accept: text/csv\r\n");
    assert_eq!(answer.headers["x-total-count"], "2");
    assert_eq!(
        answer.body,
        "invoice_number,customer_name,invoice_date,due_date,bill_total,applied,outstanding,currency,status,days_past_due\r\n\
         1,\"Lens, \"\"Light\"\"\",2025-01-01,2025-01-31,100.00,0.00,100.00,USD,Pending,3\r\n"
    );
    assert_eq!(api.ask("/customers/contact?name=ada", "accept: text/csv\r\n").status, 406);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_answer_is_not_sent_again_until_a_load_changes_it() {
    let world = World::new().await;
    let api = Api::of(&world, &[Invoice::new("1", "Ada"), Invoice::new("2", "Ada")]).await;
    let targets = [
        "/invoices/past-due?as_of=2025-03-01",
        "/invoices/summary/month?month=2025-01",
        "/invoices/1",
        "/customers/open-ar",
    ];
    let tags = targets.map(|target| api.ask(target, "").headers["etag"].clone());
    let again = |i: usize| api.ask(targets[i], &format!("if-none-match: {}\r\n", tags[i]));
    for (i, tag) in tags.iter().enumerate() {
        let answer = again(i);
        assert_eq!((answer.status, answer.body.as_str(), &answer.headers["etag"]), (304, "", tag));
    }
    world.load_invoices("2025-03-02", &[Invoice::new("1", "Ada").amounts("90", "1"), Invoice::new("2", "Ada")]);
    for (i, tag) in tags.iter().enumerate() {
        let answer = again(i);
        assert_eq!(answer.status, 200, "{}", targets[i]);
        assert_ne!(answer.headers["etag"], *tag);
    }
    assert_eq!(members(&api.get(targets[0])["items"], "outstanding"), ["89.00", "100.00"]);
}
