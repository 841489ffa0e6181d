//! What the vendor's answers must hold for us to understand them. Fields that are not named here, and words that are
//! new, are kept as they are and fail nothing.

use crate::json::{self, Item};
use chrono::{DateTime, FixedOffset};
use rust_decimal::Decimal;
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};

type Instant = DateTime<FixedOffset>;

/// An amount, read from its digits: it was never a float. At most 28 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount(pub(super) Decimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Item::deserialize(deserializer)?;
        let text = text.get();
        let read =
            if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) };
        let wrong = |_| Error::custom(format!("{text} is no decimal number of at most 28 digits"));
        read.map(Self).map_err(wrong)
    }
}

/// A customer of the list.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "the database reads the values from the same text; here it is made sure that it can")]
#[expect(clippy::struct_field_names, reason = "the vendor's names")]
pub(super) struct Customer {
    id: String,
    name: String,
    external_id: Option<String>,
    ingest_aliases: Option<Vec<String>>,
    customer_config: Option<CustomerConfig>,
    created_at: Option<Instant>,
    updated_at: Option<Instant>,
    archived_at: Option<Instant>,
    current_billable_status: Option<BillableStatus>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
struct CustomerConfig {
    salesforce_account_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
struct BillableStatus {
    value: String,
}

/// What a customer's entry must hold at least, for us to say whose it is.
#[derive(Debug, Deserialize)]
pub(super) struct Identified {
    /// The vendor's id of the customer.
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
pub(super) struct CreditType {
    pub(super) id: String,
    name: String,
}

/// An invoice.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
pub(super) struct Invoice {
    id: String,
    pub(super) customer_id: String,
    pub(super) credit_type: CreditType,
    line_items: Vec<IgnoredAny>,
    status: String,
    r#type: String,
    total: Amount,
    subtotal: Option<Amount>,
    start_timestamp: Option<Instant>,
    end_timestamp: Option<Instant>,
    issued_at: Option<Instant>,
    plan_id: Option<String>,
    plan_name: Option<String>,
    contract_id: Option<String>,
}

/// The ledgers of a customer, one for each credit type.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
pub(super) struct Ledgers {
    pub(super) customer_id: String,
    ledgers: Vec<Ledger>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
struct Ledger {
    credit_type: CreditType,
    starting_balance: Option<StartingBalance>,
    ending_balance: EndingBalance,
    entries: Vec<Entry>,
    #[serde(default)]
    pending_entries: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
struct StartingBalance {
    excluding_pending: Option<Amount>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
struct EndingBalance {
    effective_at: Option<Instant>,
    excluding_pending: Amount,
    including_pending: Amount,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "see Customer")]
struct Entry {
    amount: Amount,
    running_balance: Option<Amount>,
    reason: Option<String>,
    effective_at: Option<Instant>,
    created_by: Option<String>,
    credit_grant_id: Option<String>,
    invoice_id: Option<String>,
}

/// The answer about a customer's net balance.
#[derive(Debug, Deserialize)]
pub(super) struct Netted {
    /// The balance.
    pub(super) data: Net,
}

/// A customer's net balance.
#[derive(Debug, Deserialize)]
pub(super) struct Net {
    /// In the credit type's unit.
    pub(super) balance: Amount,
    /// What it is counted in.
    pub(super) credit_type_id: String,
}

/// Reads an item that must be of the customer who was asked for.
pub(super) fn of_customer<T: serde::de::DeserializeOwned>(
    what: &str,
    item: &Item,
    customer: &str,
    whose: impl Fn(&T) -> &str,
) -> Result<T, String> {
    let read: T = json::read(item.get()).map_err(|why| format!("{what}: {why}"))?;
    match whose(&read) {
        found if found == customer => Ok(read),
        found => Err(format!("{what}: customer_id: is {found:?}, but {customer:?} was asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Result<Decimal, String> {
        #[derive(Deserialize)]
        struct Of {
            total: Amount,
        }
        json::read::<Of>(&format!("{{\"total\":{text}}}")).map(|of| of.total.0).map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn an_amount_keeps_every_digit_of_its_text() {
        for text in ["7163.1875", "0.1", "-12.0000", "12345678901234567890.12345678", "0"] {
            assert_eq!(amount(text).unwrap().to_string(), text);
        }
        assert_eq!(amount("1.5e3").unwrap(), Decimal::from(1500));
    }

    #[test]
    fn what_is_no_amount_is_told_with_its_field() {
        for text in ["\"12\"", "null", "true", "[]", "1e99", "123456789012345678901234567890"] {
            let why = amount(text).unwrap_err();
            assert!(why.starts_with("total: "), "{why}");
        }
    }
}
