//! Invoices by their numbers.

use super::{Api, Invoice, encoded};
use crate::support::World;

/// Numbers that look like something else.
const NUMBERS: [&str; 9] = ["a/b", "50%", "ä ö", "x?y=z&w#v", "+1", "aging", "' or 1=1 --", "-", "=1+1"];

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_found_whatever_its_number() {
    let world = World::new().await;
    let api = Api::of(&world, &NUMBERS.map(|number| Invoice::new(number, "Ada"))).await;
    for number in NUMBERS {
        let found = api.get(&format!("/invoices?invoice_number={}", encoded(number)));
        assert_eq!((&found["total"], &found["items"][0]["invoice_number"]), (&1.into(), &number.into()));
        if number != "aging" {
            assert_eq!(api.get(&format!("/invoices/{}", encoded(number)))["invoice_number"], number);
        }
    }
    let problem = api.refused("/invoices/nobody%27s", 404);
    assert_eq!(problem["detail"], "There is no invoice \"nobody's\"; /invoices lists them.");
    api.refused("/invoices/A%2Fb", 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_notes_are_listed_and_summed_beside_invoices_and_never_against_them() {
    let world = World::new().await;
    let invoices = [
        Invoice::new("A1", "Ada").amounts("100", "40"),
        Invoice::new("N1", "Ada").amounts("-30", "-10"),
        Invoice::new("N2", "Ada").amounts("-5", "-5"),
    ];
    let api = Api::of(&world, &invoices).await;
    for (question, expected) in [
        ("/invoices?kind=credit_note", vec!["N1", "N2"]),
        ("/invoices?kind=invoice", vec!["A1"]),
        ("/invoices?kind=credit_note&missing=false", vec!["N1", "N2"]),
        ("/invoices?kind=credit_note&missing=true", vec![]),
        ("/invoices?kind=credit_note&invoice_number=A1", vec![]),
        ("/invoices", vec!["A1", "N1", "N2"]),
    ] {
        let found = api.get(question);
        assert_eq!(super::members(&found["items"], "invoice_number"), expected, "{question}");
        assert_eq!(found["total"], expected.len(), "{question}");
    }
    assert_eq!(api.refused("/invoices?kind=order", 400)["status"], 400);
    let note = api.get("/invoices/N1");
    let amounts = ["kind", "bill_total", "applied", "outstanding", "open_credit"].map(|key| note[key].clone());
    assert_eq!(amounts, ["credit_note", "-30.00", "-10.00", "0.00", "20.00"]);
    let customer = note["customer_id"].as_i64().expect("an id");
    let balance = api.get(&format!("/customers/{customer}"))["balances"][0].clone();
    let keys = ["billed", "applied", "outstanding", "open_ar", "credited", "open_credit"];
    assert_eq!(keys.map(|key| balance[key].clone()), ["100.00", "40.00", "60.00", "60.00", "-35.00", "20.00"]);
    assert_eq!((&balance["invoices"], &balance["credit_notes"]), (&1.into(), &2.into()));
    let statement = api.get(&format!("/customers/{customer}/statement"));
    assert_eq!(super::members(&statement["items"], "invoice_number"), ["A1", "N1"]);
    let month = &note["invoice_date"].as_str().expect("a date")[..7];
    let month = api.get(&format!("/invoices/summary/month?month={month}"));
    assert_eq!((&month["sum_bill_total"], &month["count_invoices"]), (&"100.00".into(), &1.into()));
    let sums = &month["by_currency"][0];
    assert_eq!((&sums["sum_credit_total"], &sums["count_credit_notes"]), (&"-35.00".into(), &2.into()));
    assert_eq!(super::members(&api.get("/invoices/past-due?as_of=2030-01-01")["items"], "invoice_number"), ["A1"]);
}
