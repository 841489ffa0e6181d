//! Charges that are made up: any UUID is one.

use serde_json::{Value, json};

/// A good charge, whose number tells its id.
pub fn charge(id: &str) -> Value {
    let uuid = |digit: char| format!("{digit}{}", id.get(1..).unwrap_or_default());
    json!({
        "id": id, "organization_id": uuid('2'), "document_number": format!("INV-{id}"),
        "issue_date": "2025-06-01T00:00:00.000Z", "due_date": "2025-07-01T00:00:00.000Z", "currency_code": "USD",
        "total_amount": "150.00", "payment_terms": 30,
        "stream_customer": {
            "customer_id": uuid('3'), "customer_name": "Acme", "customer_email": "ap@example.com",
            "uac_customer_id": uuid('4'),
            "uac_customer": {
                "id": uuid('4'), "provider_entity_id": uuid('5'), "currency_code": "USD", "email": "ap@example.com",
            },
        },
        "line_items": [{
            "id": uuid('6'), "description": "Seats", "quantity": 3, "unit_amount": 50, "total_amount": "150.00",
            "suppress_line_item": false, "product_id": uuid('7'),
            "product": {
                "product_id": uuid('7'), "uac_item_id": uuid('8'),
                "uac_item": {"id": uuid('8'), "provider_entity_id": uuid('9')},
            },
        }],
    })
}
