//! Compiles a dataset's file; everything wrong with it is a problem.

use super::{CUSTOMER, Dataset, LooseDataset};
use crate::config::{At, Customer, Ident, IdentError, Problems, Source, parse_wall_time};
use crate::rows::archive::Processed;
use crate::rows::between::compile_rules;
use crate::rows::column::{Column, compile_columns};
use crate::rows::complete::Complete;
use crate::rows::control::{Control, Origin, Surroundings};
use crate::rows::dialect::check_dialect;
use crate::rows::known::definition;
use crate::rows::measure::{Passing, compile_measures};
use crate::rows::parts::compile_parts;
use crate::rows::pattern;
use crate::rows::publish::target::Target;
use crate::rows::publish::{LooseMode, LooseTarget};
use crate::rows::source::address::Kind;
use crate::rows::unique::{compile_distinct, compile_unique};
use chrono::TimeDelta;
use std::collections::BTreeMap;

/// The view `load_measures_NAME` must have a name of at most 63 bytes.
const MAX_NAME_LENGTH: usize = 63 - "load_measures_".len();

/// Compiles a dataset for these customers; everything wrong with it is a problem.
pub fn compile_dataset(
    source: &Source,
    loose: LooseDataset,
    schema: &Ident,
    customers: &[Customer],
    targets: &[&'static Target],
    problems: &mut Problems,
) -> Option<Dataset> {
    let house = Customer::house();
    let is_per_customer = loose.table.as_ref().is_some_and(|table| table.contains(CUSTOMER));
    let customers: Vec<&Customer> =
        if is_per_customer { customers.iter().filter(|c| c.delivers(&loose.name)).collect() } else { vec![&house] };
    let before = problems.len();
    let name = ident(source, "name", &loose.name, problems);
    if name.is_some() {
        source.check_name(&loose.name, problems);
    }
    if loose.name.len() > MAX_NAME_LENGTH {
        let length = loose.name.len();
        let message = format!("has {length} characters; its view load_measures_… leaves room for {MAX_NAME_LENGTH}");
        problems.push(source.problem(&At::key("name"), message));
    }
    let consolidated = loose.consolidated.as_deref().map(|name| ident(source, "consolidated", name, problems));
    check_dialect(source, &loose.dialect, problems);
    loose.gate.check(source, problems);
    let delivering: Vec<&Customer> =
        customers.iter().copied().filter(|customer| !customer.has_own(&loose.name, "file")).collect();
    pattern::check_pattern(source, &At::key("file"), &loose.file, &delivering, problems);
    let arrive_by =
        loose.arrive_by.as_deref().map(|text| parse_wall_time(source, &At::key("arrive_by"), text, problems));
    let complete = Complete::compile(source, &loose.complete, &loose.file, &delivering, problems);
    loose.processed.check(source, &loose.file, &delivering, problems);
    check_address(source, &loose, problems);
    let around = Surroundings {
        dialect: &loose.dialect,
        measures: &loose.measures,
        pattern: &loose.file,
        customers: &delivering,
    };
    let control = loose.control.as_ref().map(|control| Control::compile(source, control, &around, problems));
    check_tables(source, loose.table.as_deref(), &customers, problems);
    check_consolidated(source, &loose, problems);
    let columns = compile_columns(source, &loose.column, &loose.dialect, problems);
    let parts = compile_parts(source, &loose, &columns, problems);
    let into = compile_into(source, &loose, &columns, targets, problems);
    let rules = compile_rules(source, &loose.column, &columns, problems);
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
        rules,
        measures,
        definition: definition(source),
        own: BTreeMap::new(),
    })
}

fn ident(source: &Source, key: &str, name: &str, problems: &mut Problems) -> Option<Ident> {
    Ident::parse(name).map_err(|error| problems.push(source.problem(&At::key(key), error.to_string()))).ok()
}

/// What stands beside a file, and where it is moved, is known of files in the inbox alone.
fn check_address(source: &Source, loose: &LooseDataset, problems: &mut Problems) {
    let address = &loose.file;
    if Kind::of(address).is_none() {
        return;
    }
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

fn check_tables(source: &Source, pattern: Option<&str>, customers: &[&Customer], problems: &mut Problems) {
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
