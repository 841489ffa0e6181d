//! A charge as it comes: every member is read by itself, so that all that is wrong can be named at once.

use crate::json::{self, Item, Misfit};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
pub(super) struct LooseCharge {
    pub(super) id: Option<Item>,
    pub(super) organization_id: Option<Item>,
    pub(super) document_number: Option<Item>,
    pub(super) issue_date: Option<Item>,
    pub(super) due_date: Option<Item>,
    pub(super) currency_code: Option<Item>,
    pub(super) total_amount: Option<Item>,
    pub(super) payment_terms: Option<Item>,
    pub(super) stream_customer: Option<Item>,
    pub(super) line_items: Option<Item>,
}

#[derive(Deserialize)]
pub(super) struct LooseCustomer {
    pub(super) customer_id: Option<Item>,
    pub(super) customer_name: Option<Item>,
    pub(super) customer_email: Option<Item>,
    pub(super) uac_customer_id: Option<Item>,
    pub(super) uac_customer: Option<Item>,
}

#[derive(Deserialize)]
pub(super) struct LooseLine {
    pub(super) id: Option<Item>,
    pub(super) description: Option<Item>,
    pub(super) quantity: Option<Item>,
    pub(super) unit_amount: Option<Item>,
    pub(super) total_amount: Option<Item>,
    pub(super) suppress_line_item: Option<Item>,
    pub(super) product_id: Option<Item>,
    pub(super) product: Option<Item>,
}

#[derive(Deserialize)]
pub(super) struct LooseProduct {
    pub(super) uac_item_id: Option<Item>,
    pub(super) uac_item: Option<Item>,
}

/// What stands for a customer or an item at the accounting API.
#[derive(Deserialize)]
pub(super) struct LooseCounterpart {
    pub(super) provider_entity_id: Option<Item>,
}

/// A number as JSON has it, or as a text; with all its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount(pub(super) Decimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Item::deserialize(deserializer)?;
        let text = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
        let number = Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text));
        // Of a text that is shorter than its number, digits would have been left out.
        let number = number.ok().filter(|_| text.len() <= 40);
        number.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("must be a number of up to 28 digits, found {}", shown(raw.get())))
        })
    }
}

/// An instant as RFC 3339 has it, or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) DateTime<Utc>);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let instant = DateTime::parse_from_rfc3339(&text).ok().map(|at| at.to_utc());
        let instant = instant.or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc()));
        instant.map(Self).ok_or_else(|| {
            let message = format!("must be a date like 2025-06-01T00:00:00.000Z, found {}", shown(&text));
            serde::de::Error::custom(message)
        })
    }
}

/// The beginning of something that is wrong.
pub(super) fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(60).collect();
    format!("{beginning:?}{}", if beginning.len() < text.len() { "…" } else { "" })
}

/// What is wrong, by its path.
#[derive(Debug, Default)]
pub(super) struct Wrong(pub(super) IndexMap<String, String>);

impl Wrong {
    pub(super) fn add(&mut self, path: &str, why: impl Into<String>) {
        self.0.entry(path.to_owned()).or_insert_with(|| why.into());
    }

    /// A member that must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, path: &str, value: Option<&Item>) -> Option<T> {
        if value.is_none() {
            self.add(path, "is missing");
        }
        self.optional(path, value)
    }

    /// A member that may be missing or null.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, path: &str, value: Option<&Item>) -> Option<T> {
        let text = value?.get();
        if text.starts_with('"') && text.contains("\\u0000") {
            self.add(path, "must not hold a NUL character");
            return None;
        }
        let read = json::read(text);
        // Where it stands in its own text says nothing of the charge.
        let mut tell = |misfit: Misfit| {
            self.add(&misfit.below(path), misfit.why.split(" at line ").next().unwrap_or_default());
        };
        read.map_err(&mut tell).ok()
    }

    /// A text that may be missing; one that is blank is taken for missing.
    pub(super) fn text(&mut self, path: &str, value: Option<&Item>) -> Option<String> {
        self.optional(path, value).filter(|text: &String| !text.trim().is_empty())
    }
}
