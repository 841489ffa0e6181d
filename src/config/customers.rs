//! The customers: who delivers files and on which days, and the fields by which patterns tell them apart.

use super::calendar::{Calendar, LooseCalendar, compile_calendars, parse_wall_time};
use super::ident::Ident;
use super::problem::{At, Problems, suggest};
use super::source::Source;
use chrono::NaiveTime;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

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

/// One customer. Beside the keys named here any further text field is free to be used in file patterns
/// as `{customer.FIELD}`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LooseCustomer {
    /// An identifier: it names the customer's tables and appears in reports.
    pub name: String,
    /// Where a dataset's file arrives for this customer, where it differs from the dataset's own pattern:
    /// dataset name to pattern, which can be an address.
    #[serde(default)]
    pub file: BTreeMap<String, String>,
    /// The `[[calendar]]` that says on which days nothing is delivered; without it the dataset's own, if any.
    pub calendar: Option<String>,
    /// Until when a dataset's file is to be there on the day its run is due, where that differs from the
    /// dataset's own `arrive_by`: dataset name to `HH:MM`.
    #[serde(default)]
    pub arrive_by: BTreeMap<String, String>,
    /// Free fields, such as `code = "A"`.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

/// A customer whose name can be part of a table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Names the customer's tables and appears in reports.
    pub name: Ident,
    /// File patterns of its own, by dataset.
    pub files: BTreeMap<String, String>,
    /// The name of its calendar, which is there.
    pub calendar: Option<String>,
    /// Until when its files are to be there, by dataset.
    pub arrive_by: BTreeMap<String, NaiveTime>,
    /// Its free fields.
    pub fields: BTreeMap<String, String>,
    /// Which entry of `customers.toml` it is, from 0.
    pub position: usize,
}

impl Customer {
    /// Stands for whoever delivers what is no customer's: files of the house itself.
    #[must_use]
    pub fn house() -> Self {
        Self {
            name: Ident::house(),
            files: BTreeMap::new(),
            calendar: None,
            arrive_by: BTreeMap::new(),
            fields: BTreeMap::new(),
            position: usize::MAX,
        }
    }

    /// The value that `{customer}`, `{customer.name}` or `{customer.FIELD}` stands for in a pattern.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        if name == "name" { Some(self.name.as_str()) } else { self.fields.get(name).map(String::as_str) }
    }
}

/// Compiles the customers and their calendars; names must be identifiers and stand only once.
pub fn compile_customers(
    source: &Source,
    loose: CustomersFile,
    problems: &mut Problems,
) -> (Vec<Customer>, Vec<Calendar>) {
    let names: Vec<&str> = loose.calendar.iter().map(|c| c.name.as_str()).collect();
    let mut customers: Vec<Customer> = Vec::with_capacity(loose.customer.len());
    for (position, customer) in loose.customer.into_iter().enumerate() {
        let at = At::key("customer").index(position);
        if let Some(calendar) = customer.calendar.as_ref().filter(|name| !names.contains(&name.as_str())) {
            problems.push(source.problem(&at.clone().then("calendar"), no_calendar(calendar, &names)));
        }
        let arrive_by = wall_times(source, &at, &customer.arrive_by, problems);
        match Ident::parse(&customer.name) {
            Err(error) => problems.push(source.problem(&at.then("name"), error.to_string())),
            Ok(name) if customers.iter().any(|c| c.name == name) => {
                problems.push(source.problem(&at.then("name"), format!("the customer {name} is there twice")));
            }
            Ok(name) => customers.push(Customer {
                name,
                files: customer.file,
                calendar: customer.calendar,
                arrive_by,
                fields: customer.fields,
                position,
            }),
        }
    }
    customers.sort_by(|a, b| a.name.cmp(&b.name));
    (customers, compile_calendars(source, &loose.calendar, problems))
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

fn wall_times(
    source: &Source,
    at: &At,
    loose: &BTreeMap<String, String>,
    problems: &mut Problems,
) -> BTreeMap<String, NaiveTime> {
    let mut time = |(dataset, text): (&String, &String)| {
        let at = at.clone().then("arrive_by").then(dataset);
        Some((dataset.clone(), parse_wall_time(source, &at, text, problems)?))
    };
    loose.iter().filter_map(&mut time).collect()
}
