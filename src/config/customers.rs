//! The customers: who delivers files, and the fields by which patterns tell them apart.

use super::ident::Ident;
use super::problem::{At, Problems};
use super::source::Source;
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
}

/// One customer. Beside the keys named here any further text field is free to be used in file patterns
/// as `{customer.FIELD}`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LooseCustomer {
    /// An identifier: it names the customer's tables and appears in reports.
    pub name: String,
    /// Where a dataset's file arrives for this customer, where it differs from the dataset's own pattern:
    /// dataset name to pattern.
    #[serde(default)]
    pub file: BTreeMap<String, String>,
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
    /// Its free fields.
    pub fields: BTreeMap<String, String>,
    /// Which entry of `customers.toml` it is, from 0.
    pub position: usize,
}

impl Customer {
    /// The value that `{customer}`, `{customer.name}` or `{customer.FIELD}` stands for in a pattern.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        if name == "name" { Some(self.name.as_str()) } else { self.fields.get(name).map(String::as_str) }
    }
}

/// Compiles the customers; names must be identifiers and stand only once.
pub fn compile_customers(source: &Source, loose: CustomersFile, problems: &mut Problems) -> Vec<Customer> {
    let mut customers: Vec<Customer> = Vec::with_capacity(loose.customer.len());
    for (i, customer) in loose.customer.into_iter().enumerate() {
        let at = At::key("customer").index(i).then("name");
        match Ident::parse(&customer.name) {
            Err(error) => problems.push(source.problem(&at, error.to_string())),
            Ok(name) if customers.iter().any(|c| c.name == name) => {
                problems.push(source.problem(&at, format!("the customer {name} is there twice")));
            }
            Ok(name) => customers.push(Customer { name, files: customer.file, fields: customer.fields, position: i }),
        }
    }
    customers.sort_by(|a, b| a.name.cmp(&b.name));
    customers
}
