//! Customers: their names, contacts, statements, and who belongs to whom.

use super::{Api, Invoice, encoded, keys, members};
use crate::support::World;
use serde_json::{Value, json};

const NAMES: [&str; 5] = ["Lens & Light", "O'Brien", "Café Zoë", "Smith; \"Sons\"", "50% + 1_off"];

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_found_without_regard_to_case_and_blanks_and_as_nothing_else() {
    let world = World::new().await;
    let invoices: Vec<Invoice> = NAMES.iter().map(|name| Invoice::new(name, name)).collect();
    let api = Api::of(&world, &invoices).await;
    for name in NAMES {
        let spaced = format!("  {} ", name.replace(' ', "   "));
        for spelt in [name.to_owned(), name.to_uppercase(), name.to_lowercase(), spaced] {
            let spelt = encoded(&spelt);
            assert_eq!(api.get(&format!("/customers/contact?name={spelt}"))["customer_name"], name);
            let month = api.get(&format!("/invoices/summary/month?month=2025-01&customer_name={spelt}"));
            assert_eq!(month["count_invoices"], 1);
        }
        let listed = api.get(&format!("/customers?name={}", encoded(&name.to_uppercase())));
        assert_eq!(members(&listed["items"], "customer_name"), [name]);
    }
    assert_eq!(api.get("/customers/contact?name=cafe%CC%81+zoe%CC%88")["customer_name"], "Café Zoë");
    for name in ["%25", "_", "Lens", "Cafe+Zoe", "+", "Lens+%26+Light%00".trim_end_matches("%00")] {
        let is_known = name.starts_with("Lens+");
        assert_eq!(api.ask(&format!("/customers/contact?name={name}"), "").status, if is_known { 200 } else { 404 });
    }
    assert_eq!(api.get("/customers?name=%25")["total"], 1, "a % is a character, no wildcard");
    let problem = api.refused("/customers/contact?name=Nobody", 404);
    assert!(problem["detail"].as_str().expect("a text").contains("\"Nobody\""), "{problem}");
    api.refused("/invoices/summary/month?month=2025-01&customer_name=Nobody", 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_paged_with_the_one_seen_last_first() {
    let world = World::new().await;
    let with = |number: &str, written, contact| Invoice { written, contact, ..Invoice::new(number, "Ada") };
    let api = Api::of(
        &world,
        &[
            with("1", "1/1/25", ["Old", "1", "old@example.com"]),
            with("2", "2/1/25", ["New", "2", ""]),
            with("3", "1/5/25", ["", "", ""]),
            Invoice { contact: ["", "", ""], ..Invoice::new("4", "Nobody There") },
        ],
    )
    .await;
    let all = api.get("/customers/contact?name=ada");
    assert_eq!(keys(&all), ["customer_name", "contacts", "total"]);
    assert_eq!(members(&all["contacts"], "contact_name"), ["New", "Old"]);
    assert_eq!(all["contacts"][0]["contact_email"], Value::Null);
    let second = api.get("/customers/contact?name=ada&limit=1&offset=1");
    assert_eq!((members(&second["contacts"], "contact_name"), &second["total"]), (vec!["Old".to_owned()], &json!(2)));
    let none = api.get("/customers/contact?name=nobody+there");
    assert_eq!(none, json!({"customer_name": "Nobody There", "contacts": [], "total": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_lists_what_is_open_with_the_balances_of_everything() {
    let world = World::new().await;
    let api = Api::of(
        &world,
        &[
            Invoice::new("late", "Ada").amounts("100", "30").due("1/10/25"),
            Invoice { status: "Closed", ..Invoice::new("closed", "Ada").amounts("10", "4").due("1/20/25") },
            Invoice::new("due later", "Ada").amounts("5", "0").due("3/1/25"),
            Invoice::new("overpaid", "Ada").amounts("50", "60"),
            Invoice::new("another's", "Bob"),
        ],
    )
    .await;
    let id = &members(&api.get("/customers?name=ada")["items"], "id")[0];
    let statement = api.get(&format!("/customers/{id}/statement?as_of=2025-02-01&limit=2"));
    assert_eq!(members(&statement["items"], "invoice_number"), ["late", "closed"]);
    assert_eq!(members(&statement["items"], "days_past_due"), ["22", "12"]);
    assert_eq!(statement["total"], 3);
    let balance = json!({"currency": "USD", "invoices": 4, "billed": "165.00", "applied": "94.00",
        "outstanding": "81.00", "past_due": "76.00", "open_ar": "75.00",
        "credit_notes": 0, "credited": "0.00", "open_credit": "0.00"});
    assert_eq!(statement["balances"], json!([balance]));
    let customer = api.get(&format!("/customers/{id}?as_of=2025-02-01"));
    assert_eq!((&customer["balances"], &customer["invoices"]), (&json!([balance]), &json!(4)));
    assert_eq!(customer["contact_name"], "Ann");
    let rest = api.get(&format!("/customers/{id}/statement?as_of=2025-02-01&limit=2&offset=2"));
    assert_eq!((members(&rest["items"], "days_past_due"), &rest["total"]), (vec!["0".to_owned()], &json!(3)));
    for path in [
        "/customers/999999",
        "/customers/999999/statement",
        "/customers/999999/open-ar",
        "/invoices?customer_id=999999",
    ] {
        let problem = api.refused(path, 404);
        assert_eq!(problem["detail"], "There is no customer 999999; /customers lists them.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_owes_with_those_below_it_once_each_even_in_a_circle() {
    let world = World::new().await;
    let api = Api::of(
        &world,
        &[
            Invoice::new("1", "Top").amounts("1", "0").numbers("T", "G"),
            Invoice::new("2", "Middle").amounts("20", "0").numbers("M", "T"),
            Invoice { currency: "CAD", ..Invoice::new("3", "Ground").amounts("300", "0").numbers("G", "M") },
            Invoice { status: "Closed", ..Invoice::new("4", "Ground").amounts("7", "0").numbers("G", "M") },
            Invoice::new("5", "Own Parent").amounts("4000", "0").numbers("O", "O"),
            Invoice::new("6", "Stranger").amounts("9", "0"),
        ],
    )
    .await;
    let id = |name: &str| members(&api.get(&format!("/customers?name={name}"))["items"], "id")[0].clone();
    let open = |name: &str, query: &str| api.get(&format!("/customers/{}/open-ar{query}", id(name)));
    let alone = open("top", "");
    assert_eq!(
        (&alone["by_currency"], &alone["children_total"]),
        (&json!([{"currency": "USD", "open_ar": "1.00"}]), &json!(0))
    );
    let all = json!([{"currency": "CAD", "open_ar": "300.00"}, {"currency": "USD", "open_ar": "21.00"}]);
    let top = open("top", "?children=true");
    assert_eq!(
        (&top["by_currency"], members(&top["children"], "customer_name")),
        (&all, vec!["Ground".to_owned(), "Middle".to_owned()])
    );
    assert_eq!(open("ground", "?children=true")["by_currency"], all);
    let page = open("top", "?children=true&limit=1&offset=1");
    assert_eq!(
        (members(&page["children"], "customer_name"), &page["children_total"]),
        (vec!["Middle".to_owned()], &json!(2))
    );
    let own = open("own+parent", "?children=true");
    assert_eq!((&own["by_currency"][0]["open_ar"], &own["children_total"]), (&json!("4000.00"), &json!(0)));
    let listed = api.get("/customers/open-ar");
    assert_eq!(members(&listed["items"], "customer_name"), ["Ground", "Own Parent", "Middle", "Stranger", "Top"]);
}
