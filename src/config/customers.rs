//! The customers: who delivers which files, on which days, and how they differ from each other.

use super::calendar::{Calendar, LooseCalendar, compile_calendars};
use super::ident::Ident;
use super::period::Period;
use super::problem::{At, Problems, suggest};
use super::source::Source;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};

/// `config/customers.toml`: everyone who delivers files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomersFile {
    /// One entry for each customer.
    #[serde(default)]
    pub customer: Vec<LooseCustomer>,
    /// The calendars that customers and datasets name.
    #[serde(default)]
    pub calendar: Vec<LooseCalendar>,
}

/// One customer. Any text key other than those named here can be used in file patterns, as `{customer.KEY}`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LooseCustomer {
    /// An identifier: it names the customer's tables and appears in reports.
    pub name: String,
    /// The datasets that the customer delivers; if it is not set, every dataset whose table is named after customers.
    pub datasets: Option<Vec<String>>,
    /// The first run date for which the customer delivers, as `"YYYY-MM-DD"`.
    pub since: Option<String>,
    /// The last run date for which the customer delivers, as `"YYYY-MM-DD"`.
    pub until: Option<String>,
    /// The `[[calendar]]` that states on which days nothing is delivered; if it is not set, that of the dataset.
    pub calendar: Option<String>,
    /// What differs from a dataset's file for this customer, by dataset: tables are inherited key by key.
    #[serde(default)]
    pub dataset: BTreeMap<String, Map<String, Value>>,
    /// Fields for file patterns, such as `code = "A"`.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

/// A customer whose name can be part of a table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Names the customer's tables and appears in reports.
    pub name: Ident,
    /// The datasets that it delivers; `None` for all that customers deliver.
    pub datasets: Option<Vec<String>>,
    /// The run dates for which it delivers.
    pub period: Period,
    /// The name of its calendar, which exists.
    pub calendar: Option<String>,
    /// What differs from a dataset for this customer, by dataset.
    pub own: BTreeMap<String, Own>,
    /// Its fields for file patterns.
    pub fields: BTreeMap<String, String>,
    /// Its place in `customers.toml`, from 0.
    pub position: usize,
}

/// What differs from a dataset for a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The run dates for which it delivers the dataset; an open end is that of the customer.
    pub period: Period,
    /// The keys of the dataset's file that have another value; compiled by the room that knows what they mean.
    pub keys: Map<String, Value>,
}

impl Customer {
    /// Stands for whoever delivers what is no customer's: files of the house itself.
    #[must_use]
    pub fn house() -> Self {
        Self {
            name: Ident::house(),
            datasets: None,
            period: Period::default(),
            calendar: None,
            own: BTreeMap::new(),
            fields: BTreeMap::new(),
            position: usize::MAX,
        }
    }

    /// The value that `{customer}`, `{customer.name}` or `{customer.FIELD}` stands for in a pattern.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        if name == "name" { Some(self.name.as_str()) } else { self.fields.get(name).map(String::as_str) }
    }

    /// Returns whether the customer delivers a dataset that customers deliver.
    #[must_use]
    pub fn delivers(&self, dataset: &str) -> bool {
        self.datasets.as_ref().is_none_or(|datasets| datasets.iter().any(|name| name == dataset))
    }

    /// Returns the run dates for which the customer delivers a dataset.
    #[must_use]
    pub fn period_of(&self, dataset: &str) -> Period {
        self.own.get(dataset).map_or(self.period, |own| own.period.or(self.period))
    }

    /// Returns whether a key of a dataset's file has another value for this customer.
    #[must_use]
    pub fn has_own(&self, dataset: &str, key: &str) -> bool {
        self.own.get(dataset).is_some_and(|own| own.keys.contains_key(key))
    }

    /// Returns where `customers.toml` states what differs from a dataset for this customer.
    #[must_use]
    pub fn place_of(&self, dataset: &str) -> At {
        At::key("customer").index(self.position).then("dataset").then(dataset)
    }
}

/// Compiles the customers and their calendars; names must be identifiers and unique.
pub fn compile_customers(
    source: &Source,
    loose: CustomersFile,
    problems: &mut Problems,
) -> (Vec<Customer>, Vec<Calendar>) {
    let calendars: Vec<&str> = loose.calendar.iter().map(|c| c.name.as_str()).collect();
    let mut customers: Vec<Customer> = Vec::with_capacity(loose.customer.len());
    let mut names = HashSet::new();
    for (position, customer) in loose.customer.into_iter().enumerate() {
        let at = At::key("customer").index(position);
        if let Some(calendar) = customer.calendar.as_ref().filter(|name| !calendars.contains(&name.as_str())) {
            problems.push(source.problem(&at.clone().then("calendar"), no_calendar(calendar, &calendars)));
        }
        let period = Period::compile(source, &at, customer.since.as_deref(), customer.until.as_deref(), problems);
        let mut own = BTreeMap::new();
        for (dataset, keys) in customer.dataset {
            let at = at.clone().then("dataset").then(&dataset);
            own.insert(dataset, compile_own(source, &at, keys, period, problems));
        }
        match Ident::parse(&customer.name) {
            Err(error) => problems.push(source.problem(&at.then("name"), error.to_string())),
            Ok(name) if !names.insert(name.clone()) => {
                problems.push(source.problem(&at.then("name"), format!("the customer {name} is there twice")));
            }
            Ok(name) => customers.push(Customer {
                name,
                datasets: customer.datasets,
                period,
                calendar: customer.calendar,
                own,
                fields: customer.fields,
                position,
            }),
        }
    }
    customers.sort_by(|a, b| a.name.cmp(&b.name));
    (customers, compile_calendars(source, &loose.calendar, problems))
}

/// Takes the period out of the keys that differ for a customer; the others are the dataset's.
fn compile_own(
    source: &Source,
    at: &At,
    mut keys: Map<String, Value>,
    of_customer: Period,
    problems: &mut Problems,
) -> Own {
    let mut text = |key: &str| match keys.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        Some(_) => {
            problems.push(source.problem(&at.clone().then(key), "must be a date in quotes, such as \"2026-01-31\""));
            None
        }
        None => None,
    };
    let (since, until) = (text("since"), text("until"));
    let period = Period::compile(source, at, since.as_deref(), until.as_deref(), problems);
    if period != Period::default() {
        period.or(of_customer).check_order(source, at, problems);
    }
    Own { period, keys }
}

/// What is said of a calendar that is not there.
#[must_use]
pub fn no_calendar(name: &str, known: &[&str]) -> String {
    let hint = match known {
        [] => "; write a [[calendar]] in customers.toml".to_owned(),
        known => suggest(name, known.iter().copied()),
    };
    format!("there is no calendar {name:?}{hint}")
}
