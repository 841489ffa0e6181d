//! A dataset: a kind of file, compiled from `config/datasets/*.toml`.

mod compile;
mod own;

use super::archive::Processed;
use super::between::Rule;
use super::column::{Column, LooseColumn};
use super::complete::{Complete, LooseComplete};
use super::control::{Control, LooseControl};
use super::dialect::Dialect;
use super::gate::Gate;
use super::measure::{LooseMeasure, Measure, Passing};
use super::parts::{LooseParts, Parts};
use super::publish::target::Target;
use super::publish::{LooseMode, Mode, Publish};
use super::unique::{self, Keep};
use crate::config::{Customer, Ident, Table};
use chrono::{NaiveDate, NaiveTime, TimeDelta};
pub use compile::compile_dataset;
use indexmap::IndexMap;
pub use own::{Setting, Surroundings, compile_own, own_schema, settings};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `config/datasets/NAME.toml`: a kind of file that customers deliver.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseDataset {
    /// Its name, an identifier; the file is called the same.
    pub name: String,
    /// Where its files arrive, relative to the inbox: `*` and `?`, `{customer}` and `{customer.FIELD}`, and the
    /// run date as `%Y%m%d` and the like. A pattern without a date serves whatever date is asked for. Or an address:
    /// `s3://BUCKET/…`, `gs://BUCKET/…`, `az://CONTAINER/…`, `https://HOST/…`.
    pub file: String,
    /// Until when a file is to be there on the day its run is due, as `HH:MM` in the job's time zone. Without it nobody
    /// waits for the file, and none is missed.
    pub arrive_by: Option<String>,
    /// How long after that a late file is still loaded, in hours.
    #[serde(default = "late_window_h")]
    #[schemars(range(min = 1, max = 240))]
    pub late_window_h: u32,
    /// The `[[calendar]]` of customers that name none of their own: on which days nothing is delivered.
    pub calendar: Option<String>,
    /// How to tell that a file is not being delivered any more.
    #[serde(default)]
    pub complete: LooseComplete,
    /// The file is delivered in parts.
    pub parts: Option<LooseParts>,
    /// What becomes of a file once it is loaded: `"leave"`, or `{ archive = "archive/%Y/%m/{file}" }`.
    #[serde(default)]
    pub processed: Processed,
    /// The table, made from the columns. With `{customer}` in it each customer has one of its own, and delivers a file
    /// of its own; without it there is one, and one file.
    pub table: Option<String>,
    /// In place of `table`: a system's own tables, which the rows are merged into.
    pub into: Option<String>,
    /// A view over all customers' tables, each row telling its customer.
    pub consolidated: Option<String>,
    /// What a load does to the rows of its customer's table.
    #[serde(default)]
    pub mode: LooseMode,
    /// With `mode = "replace"`: how the rows get in front of readers; `auto` where it is not given.
    pub publish: Option<Publish>,
    /// With `publish = "segments"`: over how many connections a large file is copied; one more than there are
    /// cores, and at most eight, where it is not given.
    #[schemars(range(min = 1, max = 16))]
    pub streams: Option<u8>,
    /// With `mode = "merge"`: the columns that tell rows apart.
    #[serde(default)]
    pub key: Vec<String>,
    /// With `mode = "append"`: a column of the table, beside those of the file, that tells each row's run date.
    pub run_date_column: Option<String>,
    /// Keys that no two rows of a file may share, each a list of columns: the later row is a reject. A null equals
    /// nothing.
    #[serde(default)]
    pub unique: Vec<Vec<String>>,
    /// With `unique`: which of the rows that share a key is loaded; the others are rejects. With `"last"` a file is read
    /// twice.
    pub unique_keep: Option<Keep>,
    /// With `unique`: the most good rows a file may have. Each takes up to 37 bytes of memory for each key.
    #[serde(default = "unique_max_rows")]
    #[schemars(range(min = 1))]
    pub unique_max_rows: u32,
    /// Columns whose different values `bursar parse` counts among the good rows; a null is none.
    #[serde(default)]
    pub count_distinct: Vec<String>,
    /// How the files are written.
    #[serde(default)]
    pub dialect: Dialect,
    /// Where a file's control totals stand, with which a load must agree to be published.
    pub control: Option<LooseControl>,
    /// What a load must be like to be published.
    #[serde(default)]
    pub gate: Gate,
    /// The columns, in the order of the table.
    #[schemars(length(min = 1))]
    pub column: Vec<LooseColumn>,
    /// SQL aggregates over a load, kept in the load ledger: name to expression.
    #[serde(default)]
    pub measures: IndexMap<String, LooseMeasure>,
}

const fn unique_max_rows() -> u32 {
    unique::MOST_ROWS
}

const fn late_window_h() -> u32 {
    24
}

/// A checked dataset.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its name.
    pub name: Ident,
    /// Where its files arrive: a pattern within the inbox, or an address.
    pub file: String,
    /// Until when they are to be there, by the clock of the job's zone; none: nobody waits.
    pub arrive_by: Option<NaiveTime>,
    /// How long after that a late one is still loaded.
    pub late_window: TimeDelta,
    /// The name of the calendar of customers that have none of their own.
    pub calendar: Option<String>,
    /// How to tell that a file is complete.
    pub complete: Complete,
    /// How its parts are put together, where it is delivered in parts.
    pub parts: Option<Parts>,
    /// What becomes of a file once it is loaded.
    pub processed: Processed,
    /// The table's name, perhaps with `{customer}` in it.
    pub table: String,
    /// A system's tables that its rows go into, in place of one of its own.
    pub into: Option<&'static Target>,
    /// The schema its tables lie in.
    pub schema: Ident,
    /// The view over all customers' tables.
    pub consolidated: Option<Ident>,
    /// What a load does to the rows of its customer's table.
    pub mode: Mode,
    /// Over how many connections a large file is copied, where the dataset says so.
    pub streams: Option<u8>,
    /// Keys of the table's btree indexes, as far as they are known: the places of their columns.
    pub indexed: Vec<Vec<usize>>,
    /// Keys that no two rows of a file may share: the places of their columns.
    pub unique: Vec<Vec<usize>>,
    /// Which of the rows that share one is loaded.
    pub unique_keep: Keep,
    /// The most good rows a file with `unique` may have.
    pub unique_max_rows: u32,
    /// The places of the columns whose different values are counted.
    pub count_distinct: Vec<usize>,
    /// How its files are written.
    pub dialect: Dialect,
    /// Where a file's control totals stand.
    pub control: Option<Control>,
    /// What a load must be like.
    pub gate: Gate,
    /// Its columns.
    pub columns: Vec<Column>,
    /// How many of them, and of a file's fields, are ours and not the customer's: messages do not count them.
    pub ours: usize,
    /// The rules between them.
    pub rules: Vec<Rule>,
    /// Its measures.
    pub measures: Vec<Measure>,
    /// The same, where they can be taken as rows pass.
    pub passing: Option<Passing>,
    /// The fingerprint of all that decides what the bytes of a file become.
    pub definition: String,
    /// The dataset as it is for the customers that differ from the others.
    pub own: BTreeMap<Ident, Arc<Dataset>>,
}

impl Dataset {
    /// The table of a customer.
    ///
    /// # Errors
    /// A configuration fault; [`compile_dataset`] has refused such a name for every known customer.
    pub fn table_of(&self, customer: &Customer) -> anyhow::Result<Table> {
        if let Some(target) = self.into {
            return target.table();
        }
        let name = Ident::parse(&self.table.replace("{customer}", customer.name.as_str())).map_err(|error| {
            crate::fault::config(format!("the table of {} for {}: {error}", self.name, customer.name))
        })?;
        Ok(Table { schema: self.schema.clone(), name })
    }

    /// Whether each customer delivers a file of its own.
    #[must_use]
    pub fn is_per_customer(&self) -> bool {
        self.table.contains(CUSTOMER)
    }

    /// Who of these customers deliver its files, or the house alone.
    #[must_use]
    pub fn deliverers(&self, customers: &[Arc<Customer>]) -> Vec<Arc<Customer>> {
        if !self.is_per_customer() {
            return vec![Arc::new(Customer::house())];
        }
        customers.iter().filter(|customer| customer.delivers(self.name.as_str())).cloned().collect()
    }

    /// Who of these customers deliver its files for a run date.
    #[must_use]
    pub fn deliverers_on(&self, customers: &[Arc<Customer>], run_date: NaiveDate) -> Vec<Arc<Customer>> {
        let mut deliverers = self.deliverers(customers);
        deliverers.retain(|customer| customer.period_of(self.name.as_str()).contains(run_date));
        deliverers
    }

    /// The dataset as it is for a customer.
    #[must_use]
    pub fn of_customer(&self, customer: &Customer) -> &Self {
        self.own.get(&customer.name).map_or(self, AsRef::as_ref)
    }
}

/// What stands for the customer's name in a table's.
const CUSTOMER: &str = "{customer}";
