//! Made-up customers of every kind. Amounts are texts of decimals: no float comes near them.

use serde_json::value::RawValue;
use serde_json::{Value, json};

pub const USD_CENTS: (&str, &str) = ("2714e483-4ff1-48e4-9e25-ac732e8f24f2", "USD (cents)");
pub const EUROPE: (&str, &str) = ("5a1c0f6e-0000-4000-8000-00000000e0e0", "Credits (Europe)");

/// A customer and all that is known of it.
#[derive(Clone, Debug, Default)]
pub struct Customer {
    pub id: String,
    /// As the list of customers has it.
    pub item: String,
    /// Texts of JSON, oldest first, each with its status.
    pub invoices: Vec<(String, String)>,
    /// One for each credit type; empty where there is none.
    pub ledgers: Vec<String>,
    /// The net balance of USD (cents).
    pub net: String,
    pub is_archived: bool,
}

impl Customer {
    /// A customer without anything.
    pub fn new(id: &str, name: &str) -> Self {
        let item = json!({
            "id": id, "name": name, "external_id": format!("{id}-alias"), "ingest_aliases": [format!("{id}-alias")],
            "customer_config": {"salesforce_account_id": null}, "custom_fields": {},
            "created_at": "2024-01-01T00:00:00+00:00", "updated_at": "2024-01-02T00:00:00+00:00", "archived_at": null,
        });
        Self { id: id.to_owned(), item: item.to_string(), net: "0".to_owned(), ..Self::default() }
    }

    /// With something else in its entry of the list.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        let mut item: Value = serde_json::from_str(&self.item).expect("an item");
        item[key] = value;
        self.item = item.to_string();
        self
    }

    /// With an invoice of so much; `month` counts from January 2024.
    pub fn invoiced(mut self, month: usize, status: &str, credit_type: (&str, &str), total: &str) -> Self {
        let date = |month: usize| format!("{}-{:02}-01T00:00:00+00:00", 2024 + month / 12, month % 12 + 1);
        let mut invoice = json!({
            "id": format!("{}-invoice-{month}-{status}", self.id), "customer_id": self.id,
            "credit_type": {"id": credit_type.0, "name": credit_type.1},
            "line_items": [{"name": "CPU hours", "type": "usage", "quantity": 1, "credit_type": {"id": credit_type.0, "name": credit_type.1}}],
            "status": status, "type": "USAGE", "start_timestamp": date(month), "end_timestamp": date(month + 1),
            "plan_id": "plan-1", "plan_name": "Pay as you go", "custom_fields": {},
        });
        if status != "DRAFT" {
            invoice["issued_at"] = date(month + 1).into();
        }
        let text = amounts(&invoice, &[("line_items.0.total", total), ("subtotal", total), ("total", total)]);
        self.invoices.push((status.to_owned(), text));
        self
    }

    /// With a ledger; each entry is an amount and the balance after it.
    pub fn ledger(mut self, credit_type: (&str, &str), entries: &[(&str, &str)], pending: &[(&str, &str)]) -> Self {
        let entry = |(amount, running): &(&str, &str)| {
            let entry = json!({
                "reason": "Credit grant", "effective_at": "2024-02-01T00:00:00+00:00", "created_by": "somebody",
                "credit_grant_id": "grant-1", "invoice_id": null,
            });
            amounts(&entry, &[("amount", amount), ("running_balance", running)])
        };
        let list = |entries: &[(&str, &str)]| entries.iter().map(entry).collect::<Vec<_>>().join(",");
        let ending = entries.last().map_or("0", |(_, running)| *running);
        let including = pending.last().map_or(ending, |(_, running)| *running);
        self.ledgers.push(format!(
            r#"{{"credit_type":{{"id":"{}","name":"{}"}},
            "starting_balance":{{"effective_at":"2024-02-01T00:00:00+00:00","excluding_pending":0,"including_pending":0}},
            "ending_balance":{{"effective_at":"2024-12-01T00:00:00+00:00","excluding_pending":{ending},"including_pending":{including}}},
            "entries":[{}],"pending_entries":[{}]}}"#,
            credit_type.0,
            credit_type.1,
            list(entries),
            list(pending)
        ));
        self
    }

    /// With one of its invoices or its entry of the list as this text changes it.
    pub fn altered(mut self, change: impl Fn(&str) -> String) -> Self {
        for (_, text) in &mut self.invoices {
            *text = change(text);
        }
        self
    }
}

/// JSON with these numbers put in, digit by digit; a place is named as `line_items.0.total`.
pub fn amounts(value: &Value, numbers: &[(&str, &str)]) -> String {
    let mut value = value.clone();
    for (i, (place, number)) in numbers.iter().enumerate() {
        let _: &RawValue = serde_json::from_str(number).expect("a number");
        let mut node = &mut value;
        let parts: Vec<&str> = place.split('.').collect();
        for part in &parts {
            node = match part.parse::<usize>() {
                Ok(index) => &mut node[index],
                Err(_) => &mut node[*part],
            };
        }
        *node = format!("\u{1}{i}\u{1}").into();
    }
    let mut text = value.to_string();
    for (i, (_, number)) in numbers.iter().enumerate() {
        text = text.replace(&format!("\"\\u0001{i}\\u0001\""), number);
    }
    text
}

/// The customer number `index`: kinds take turns.
pub fn made_up(index: usize, invoices: usize) -> Customer {
    let mut customer = Customer::new(&format!("00000000-0000-4000-8000-{index:012}"), &format!("Customer {index:05}"));
    for month in 0..invoices {
        let cents = 1000 * (index % 97) + month;
        // Up to four decimals of a cent.
        let total = if index % 6 == 4 { format!("{cents}.1875") } else { cents.to_string() };
        let status = if month + 1 == invoices { "DRAFT" } else { "FINALIZED" };
        let credit_type = if index % 6 == 1 && month % 2 == 1 { EUROPE } else { USD_CENTS };
        customer = customer.invoiced(month, status, credit_type, &total);
    }
    match index % 6 {
        0 => customer.ledger(USD_CENTS, &[("5000", "5000"), ("-1250.5", "3749.5")], &[("-49.5", "3700")]),
        1 => customer.ledger(USD_CENTS, &[("2000", "2000")], &[]).ledger(EUROPE, &[("100", "100"), ("-30", "70")], &[]),
        2 => customer,
        // The vendor's documentation shows a deduction with a positive amount.
        3 => customer.ledger(USD_CENTS, &[("1000", "1000"), ("200", "800")], &[]),
        4 => customer.ledger(USD_CENTS, &[("7163.1875", "7163.1875"), ("-0.0001", "7163.1874")], &[]),
        _ => customer
            .with("current_billable_status", json!({"value": "paused_for_now", "effective_at": null}))
            .with("a_new_field", json!({"of": ["something", 1.5]})),
    }
}

/// The number of a made-up customer.
pub fn index_of(id: &str) -> Option<usize> {
    id.strip_prefix("00000000-0000-4000-8000-")?.parse().ok()
}
