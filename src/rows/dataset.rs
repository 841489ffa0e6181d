//! A dataset: a kind of file, compiled from `config/datasets/*.toml`.

use super::archive::Processed;
use super::column::{Column, LooseColumn, compile_columns};
use super::complete::{Complete, LooseComplete};
use super::control::{Control, LooseControl, Origin, Surroundings};
use super::dialect::{Dialect, check_dialect};
use super::gate::Gate;
use super::known::definition;
use super::measure::{LooseMeasure, Measure, Passing, compile_measures};
use super::parts::{LooseParts, Parts, compile_parts};
use super::pattern;
use super::publish::target::Target;
use super::publish::{LooseMode, LooseTarget, Mode, Publish};
use super::required::{Required, compile_required};
use super::source::address::Kind;
use super::unique::{self, Keep, compile_distinct, compile_unique};
use crate::config::{At, Customer, Ident, IdentError, Problems, Source, Table, parse_wall_time};
use chrono::{NaiveTime, TimeDelta};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
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
    /// Until when a file is to be there on the day its run is due, as `HH:MM` in the job's time zone; customers
    /// can have a time of their own. Without it nobody waits for the file, and none is missed.
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
    pub required: Vec<Required>,
    /// Its measures.
    pub measures: Vec<Measure>,
    /// The same, where they can be taken as rows pass.
    pub passing: Option<Passing>,
    /// The fingerprint of all that decides what the bytes of a file become.
    pub definition: String,
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

    /// Who of these customers deliver its files: all of them, or the house alone.
    #[must_use]
    pub fn deliverers(&self, customers: &[Arc<Customer>]) -> Vec<Arc<Customer>> {
        if self.is_per_customer() { customers.to_vec() } else { vec![Arc::new(Customer::house())] }
    }

    /// Where the file of a customer arrives: relative to the inbox, or an address.
    #[must_use]
    pub fn pattern_of<'a>(&'a self, customer: &'a Customer) -> &'a str {
        customer.files.get(self.name.as_str()).unwrap_or(&self.file)
    }

    /// Why a customer's own pattern can't be that of its files.
    #[must_use]
    pub fn why_not(&self, pattern: &str, customer: &Customer) -> Option<String> {
        let control = self.control.as_ref().and_then(|control| control.why_not(pattern, customer));
        self.complete.why_not(pattern, customer).or(control)
    }

    /// Until when the file of a customer is to be there, by the clock of the job's zone.
    #[must_use]
    pub fn arrive_by_of(&self, customer: &Customer) -> Option<NaiveTime> {
        customer.arrive_by.get(self.name.as_str()).copied().or(self.arrive_by)
    }
}

/// What stands for the customer's name in a table's.
const CUSTOMER: &str = "{customer}";

/// The view `load_measures_NAME` must have a name of at most 63 bytes.
const LONGEST_NAME: usize = 63 - "load_measures_".len();

/// Compiles a dataset for these customers; everything wrong with it is a problem.
pub fn compile_dataset(
    source: &Source,
    loose: LooseDataset,
    schema: &Ident,
    customers: &[Customer],
    targets: &[&'static Target],
    problems: &mut Problems,
) -> Option<Dataset> {
    let house = [Customer::house()];
    let is_per_customer = loose.table.as_ref().is_some_and(|table| table.contains(CUSTOMER));
    let customers = if is_per_customer { customers } else { &house };
    let before = problems.len();
    let name = ident(source, "name", &loose.name, problems);
    if name.is_some() {
        source.check_name(&loose.name, problems);
    }
    if loose.name.len() > LONGEST_NAME {
        let length = loose.name.len();
        let message = format!("has {length} characters; its view load_measures_… leaves room for {LONGEST_NAME}");
        problems.push(source.problem(&At::key("name"), message));
    }
    let consolidated = loose.consolidated.as_deref().map(|name| ident(source, "consolidated", name, problems));
    check_dialect(source, &loose.dialect, problems);
    loose.gate.check(source, problems);
    let delivering: Vec<&Customer> = customers.iter().filter(|c| !c.files.contains_key(&loose.name)).collect();
    pattern::check_pattern(source, &At::key("file"), &loose.file, &delivering, problems);
    let arrive_by =
        loose.arrive_by.as_deref().map(|text| parse_wall_time(source, &At::key("arrive_by"), text, problems));
    let complete = Complete::compile(source, &loose.complete, &loose.file, &delivering, problems);
    let pattern_of = |customer: &Customer| -> String { customer.files.get(&loose.name).unwrap_or(&loose.file).clone() };
    loose.processed.check(source, customers, pattern_of, problems);
    check_addresses(source, &loose, customers, problems);
    let around = Surroundings {
        dialect: &loose.dialect,
        measures: &loose.measures,
        pattern: &loose.file,
        customers: &delivering,
    };
    let control = loose.control.as_ref().map(|control| Control::compile(source, control, &around, problems));
    check_tables(source, loose.table.as_deref(), customers, problems);
    check_consolidated(source, &loose, problems);
    let columns = compile_columns(source, &loose.column, &loose.dialect, problems);
    let parts = compile_parts(source, &loose, &columns, problems);
    let into = compile_into(source, &loose, &columns, targets, problems);
    let required = compile_required(source, &loose.column, problems);
    let names: Vec<&str> = loose.column.iter().map(|column| column.name.as_str()).collect();
    let measures = compile_measures(source, &loose.measures, &names, &columns, problems);
    let unique = compile_unique(source, &loose.unique, &columns, problems);
    let count_distinct = compile_distinct(source, &loose.count_distinct, &columns, problems);
    if loose.unique_keep.is_some() && loose.unique.is_empty() {
        problems.push(source.problem(&At::key("unique_keep"), "is only for a dataset with unique"));
    }
    let target = LooseTarget {
        mode: loose.mode,
        publish: loose.publish,
        key: &loose.key,
        run_date_column: loose.run_date_column.as_deref(),
        streams: loose.streams,
    };
    let mode = target.compile(source, &columns, problems);
    (problems.len() == before).then_some(())?;
    let mode = mode?;
    Some(Dataset {
        name: name?,
        file: loose.file,
        arrive_by: arrive_by.flatten(),
        late_window: TimeDelta::hours(loose.late_window_h.into()),
        calendar: loose.calendar,
        complete,
        parts,
        processed: loose.processed,
        table: loose.table.unwrap_or_default(),
        into,
        schema: schema.clone(),
        consolidated: consolidated.flatten(),
        indexed: mode.key().map(<[usize]>::to_vec).into_iter().collect(),
        mode,
        streams: loose.streams,
        count_distinct,
        unique,
        unique_keep: loose.unique_keep.unwrap_or_default(),
        unique_max_rows: loose.unique_max_rows,
        dialect: loose.dialect,
        control: control.flatten(),
        gate: loose.gate,
        passing: Passing::compile(&measures, &columns),
        columns,
        ours: 0,
        required,
        measures,
        definition: definition(source),
    })
}

fn ident(source: &Source, key: &str, name: &str, problems: &mut Problems) -> Option<Ident> {
    Ident::parse(name).map_err(|error| problems.push(source.problem(&At::key(key), error.to_string()))).ok()
}

/// What stands beside a file, and where it is moved, is known of files in the inbox alone.
fn check_addresses(source: &Source, loose: &LooseDataset, customers: &[Customer], problems: &mut Problems) {
    let patterns = customers.iter().filter_map(|customer| customer.files.get(&loose.name)).chain([&loose.file]);
    let Some(address) = patterns.into_iter().find(|pattern| Kind::of(pattern).is_some()) else { return };
    if loose.processed != Processed::Leave {
        let message = format!("is for files in the inbox, and {address} is not: let whoever keeps it move what is old");
        problems.push(source.problem(&At::key("processed"), message));
    }
    if loose.control.as_ref().is_some_and(|control| control.from != Origin::Trailer) {
        let message =
            format!("is for files in the inbox, and {address} is not: only from = \"trailer\" is read from there");
        problems.push(source.problem(&At::key("control").then("from"), message));
    }
}

fn check_tables(source: &Source, pattern: Option<&str>, customers: &[Customer], problems: &mut Problems) {
    let at = At::key("table");
    let Some(pattern) = pattern else { return };
    let table = |name: &str| Ident::parse(&pattern.replace(CUSTOMER, name));
    if let Err(IdentError::Character(_, wrong)) = table("c") {
        let error = IdentError::Character(pattern.to_owned(), wrong);
        return problems.push(source.problem(&at, error.to_string()));
    }
    let mut wrong = customers.iter().filter_map(|c| Some((&c.name, table(c.name.as_str()).err()?)));
    if let Some((name, error)) = wrong.next() {
        let more = match wrong.count() {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        problems.push(source.problem(&at, format!("for the customer {name}{more}: {error}")));
    }
}

/// A dataset's rows go into a table of its own or into a system's.
fn compile_into(
    source: &Source,
    loose: &LooseDataset,
    columns: &[Column],
    targets: &[&'static Target],
    problems: &mut Problems,
) -> Option<&'static Target> {
    let Some(name) = &loose.into else {
        if loose.table.is_none() {
            let message = "a dataset needs the key table, or into for a system's tables";
            problems.push(source.problem(&At::file(), message));
        }
        return None;
    };
    if loose.table.is_some() {
        problems.push(source.problem(&At::key("table"), "the rows go into a system's tables (into)"));
    }
    if loose.mode != LooseMode::Merge {
        problems.push(source.problem(&At::key("into"), "is only for mode = \"merge\""));
    }
    let target = Target::find(source, name, targets, problems)?;
    if columns.len() == loose.column.len() {
        target.check(source, columns, &loose.key, problems);
    }
    Some(target)
}

fn check_consolidated(source: &Source, loose: &LooseDataset, problems: &mut Problems) {
    if loose.consolidated.is_some() && !loose.table.as_ref().is_some_and(|table| table.contains(CUSTOMER)) {
        let message = "is over the tables of customers: the table's name must hold {customer}";
        problems.push(source.problem(&At::key("consolidated"), message));
    }
    let taken = loose.column.iter().position(|column| column.name == "customer");
    if let (Some(i), Some(view)) = (taken, &loose.consolidated) {
        let message = format!("the view {view} has a column customer of its own; call this one something else");
        problems.push(source.problem(&At::key("column").index(i).then("name"), message));
    }
    if let (Some("customer"), Some(view)) = (loose.run_date_column.as_deref(), &loose.consolidated) {
        let message = format!("the view {view} has a column customer of its own; call this one something else");
        problems.push(source.problem(&At::key("run_date_column"), message));
    }
}
