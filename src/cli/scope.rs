//! Of which days, dataset and customer something is asked for: the arguments that commands which list have in common.

use chrono::NaiveDate;

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
}
