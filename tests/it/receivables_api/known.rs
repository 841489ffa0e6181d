//! What was known when: files change what is known, and what was known before can still be asked for.

use super::{Api, Invoice, members};
use crate::support::World;
use serde_json::{Value, json};

/// Three files: `a` is paid bit by bit, `b` is there from the start and gone at the end, `c` comes with the second.
async fn three_files(world: &World) -> Api {
    let a = |applied: &str| Invoice::new("a", "Ada").amounts("100", applied);
    let (b, c) = (Invoice::new("b", "Ada"), Invoice::new("c", "Bob").amounts("50.5", "0"));
    world.load_invoices("2025-02-03", &[a("0"), b.clone()]);
    world.load_invoices("2025-02-04", &[a("40"), b, c.clone()]);
    world.load_invoices("2025-02-05", &[a("100"), c.due("2/28/25")]);
    Api::start(world).await
}

fn past_due(api: &Api, known_on: &str) -> Vec<String> {
    let page = api.get(&format!("/invoices/past-due?as_of=2025-02-10{known_on}"));
    let items = page["items"].as_array().expect("items");
    assert_eq!(page["total"], items.len());
    let item = |item: &Value| format!("{} {}", item["invoice_number"], item["outstanding"]).replace('"', "");
    items.iter().map(item).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_day_is_answered_with_the_amounts_known_then() {
    let world = World::new().await;
    let api = three_files(&world).await;
    assert_eq!(past_due(&api, "&as_known_on=2025-02-02"), Vec::<String>::new());
    assert_eq!(past_due(&api, "&as_known_on=2025-02-03"), ["a 100.00", "b 100.00"]);
    assert_eq!(past_due(&api, "&as_known_on=2025-02-04"), ["a 60.00", "b 100.00", "c 50.50"]);
    assert_eq!(past_due(&api, "&as_known_on=2025-02-05"), ["b 100.00"]);
    assert_eq!(past_due(&api, "&as_known_on=9999-12-31"), ["b 100.00"]);
    assert_eq!(past_due(&api, ""), ["b 100.00"]);
    let page =
        api.get("/invoices/past-due?as_of=2025-02-10&as_known_on=2025-02-04&limit=1&offset=1&sort=due_date.desc");
    assert_eq!((&page["total"], &page["items"][0]["invoice_number"]), (&json!(3), &json!("b")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_tells_what_it_was_before_each_load_that_changed_it() {
    let world = World::new().await;
    let api = three_files(&world).await;
    let invoice = api.get("/invoices/a");
    assert_eq!((&invoice["applied"], &invoice["known_since"]), (&json!("100.00"), &json!("2025-02-05")));
    let history = &invoice["history"];
    assert_eq!(invoice["history_total"], 2);
    assert_eq!(members(history, "applied"), ["40.00", "0.00"]);
    assert_eq!(members(history, "known_since"), ["2025-02-04", "2025-02-03"]);
    assert_eq!(members(history, "known_until"), ["2025-02-05", "2025-02-04"]);
    assert_eq!(history[0]["replaced_by"], invoice["load_id"]);
    assert_eq!(history[1]["replaced_by"], history[0]["load_id"]);
    let run: String = world.scalar("select run_id::text from bursar.loads order by id desc limit 1").await;
    assert_eq!(history[0]["run_id"], run);
    let page = api.get("/invoices/a?limit=1&offset=1");
    assert_eq!((members(&page["history"], "applied"), &page["history_total"]), (vec!["0.00".to_owned()], &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_vanished_stays_and_is_listed_as_missing() {
    let world = World::new().await;
    let api = three_files(&world).await;
    let numbers = |query: &str| {
        let page = api.get(&format!("/invoices{query}"));
        let numbers = members(&page["items"], "invoice_number");
        assert_eq!(page["total"], numbers.len());
        numbers
    };
    assert_eq!(numbers(""), ["a", "b", "c"]);
    assert_eq!(numbers("?missing=true"), ["b"]);
    assert_eq!(numbers("?missing=false"), ["a", "c"]);
    assert_eq!(api.get("/invoices/b")["missing_since"], "2025-02-05");
    assert_eq!(api.get("/invoices/a")["missing_since"], Value::Null);
    let ada = &members(&api.get("/customers?name=ada")["items"], "id")[0];
    assert_eq!(numbers(&format!("?customer_id={ada}")), ["a", "b"]);
    assert_eq!(numbers(&format!("?customer_id={ada}&missing=true")), ["b"]);
    assert_eq!(numbers(&format!("?customer_id={ada}&missing=false&invoice_number=b")), Vec::<String>::new());
    assert_eq!(numbers(&format!("?customer_id={ada}&missing=true&invoice_number=b")), ["b"]);
    assert_eq!(numbers("?invoice_number=c"), ["c"]);
}
