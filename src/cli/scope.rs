//! Of which days, dataset and customer something is asked for: the arguments that commands which list have in common.

use super::usage;
use crate::catalog::Catalog;
use crate::config::{Ident, suggest};
use crate::deliveries::list::names;
use chrono::NaiveDate;
use sqlx::PgPool;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Scope {
    /// Only of this run date, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE", conflicts_with_all = ["from", "to"])]
    date: Option<NaiveDate>,
    /// Only from this run date on.
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// Only up to this run date.
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    /// Only of this dataset.
    #[arg(long, value_name = "NAME")]
    pub(super) dataset: Option<String>,
    /// Only of this customer.
    #[arg(long, value_name = "NAME")]
    pub(super) customer: Option<String>,
}

impl Scope {
    /// The first run date.
    pub(super) fn from(&self) -> Option<NaiveDate> {
        self.date.or(self.from)
    }

    /// The last one.
    pub(super) fn to(&self) -> Option<NaiveDate> {
        self.date.or(self.to)
    }

    /// Whether it narrows anything.
    pub(super) const fn is_empty(&self) -> bool {
        let Self { date, from, to, dataset, customer } = self;
        date.is_none() && from.is_none() && to.is_none() && dataset.is_none() && customer.is_none()
    }

    /// Refuses the name of a dataset or a customer that is not configured and of which nothing was ever loaded or
    /// expected.
    pub(super) async fn check(&self, pool: &PgPool, catalog: &Catalog) -> anyhow::Result<()> {
        let datasets: Vec<&str> = catalog.datasets.keys().map(String::as_str).collect();
        let customers: Vec<&str> = catalog.customers.keys().map(String::as_str).collect();
        let (dataset, customer, house) = (self.dataset.as_deref(), self.customer.as_deref(), Ident::house());
        let dataset = dataset.filter(|name| !datasets.contains(name));
        let customer = customer.filter(|name| !customers.contains(name) && *name != house.as_str());
        if dataset.or(customer).is_none() {
            return Ok(());
        }
        let former = names(pool).await?;
        let asked =
            [("dataset", dataset, datasets, former.datasets), ("customer", customer, customers, former.customers)];
        for (what, name, configured, former) in asked {
            if let Some(name) = name.filter(|name| !former.iter().any(|other| other == name)) {
                return Err(usage(format!("there is no {what} {name:?}{}", suggest(name, configured))));
            }
        }
        Ok(())
    }
}
