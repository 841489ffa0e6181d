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
