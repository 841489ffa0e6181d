//! What only shows between files of the configuration.

use crate::config::{At, Calendar, Customer, Problems, Source, Table, no_calendar, suggest};
use crate::report::compile::Report;
use crate::rows::dataset::Dataset;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// No two reports may write the same file.
pub(super) fn check_outputs(reports: &[(Source, Report)], problems: &mut Problems) {
    for (i, (source, report)) in reports.iter().enumerate() {
        if let Some((_, other)) =
            reports[..i].iter().find(|(_, other)| report.file.is_some() && other.file == report.file)
        {
            problems
                .push(source.problem(&At::key("file"), format!("is already the file of the report {}", other.name)));
        }
    }
}

/// Checks the datasets that customers name, and that each dataset of customers is delivered by one.
pub(super) fn check_deliverers(
    source: &Source,
    datasets: &[(Source, Dataset)],
    customers: &[Customer],
    known: &[String],
    problems: &mut Problems,
) {
    let why_not = |name: &String| {
        if !known.contains(name) {
            return Some(no_dataset(name, known));
        }
        let dataset = datasets.iter().map(|(_, dataset)| dataset).find(|dataset| dataset.name.as_str() == name)?;
        (!dataset.is_per_customer()).then(|| format!("the dataset {name} is no customer's: its table is one for all"))
    };
    for customer in customers {
        let at = At::key("customer").index(customer.position);
        for (i, name) in customer.datasets.iter().flatten().enumerate() {
            if let Some(why) = why_not(name) {
                problems.push(source.problem(&at.clone().then("datasets").index(i), why));
            }
        }
        for name in customer.own.keys() {
            let is_listed = || {
                (!customer.delivers(name))
                    .then(|| format!("{} does not deliver {name}: add it to datasets", customer.name))
            };
            if let Some(why) = why_not(name).or_else(is_listed) {
                problems.push(source.problem(&customer.place_of(name), why));
            }
        }
    }
    for (of_dataset, dataset) in datasets.iter().filter(|(_, dataset)| dataset.is_per_customer()) {
        if !customers.is_empty() && !customers.iter().any(|customer| customer.delivers(dataset.name.as_str())) {
            let message = format!(
                "no customer delivers the dataset: each states other datasets; add {:?} to the datasets of one",
                dataset.name.as_str()
            );
            problems.push(of_dataset.problem(&At::key("name"), message));
        }
    }
}

fn no_dataset(name: &str, known: &[String]) -> String {
    format!("there is no dataset {name:?}{}", suggest(name, known.iter().map(String::as_str)))
}

/// A dataset's calendar must be there.
pub(super) fn check_calendars(datasets: &[(Source, Dataset)], calendars: &[Calendar], problems: &mut Problems) {
    let known: Vec<&str> = calendars.iter().map(|calendar| calendar.name.as_str()).collect();
    for (source, dataset) in datasets {
        if let Some(name) = dataset.calendar.as_ref().filter(|name| !known.contains(&name.as_str())) {
            problems.push(source.problem(&At::key("calendar"), no_calendar(name, &known)));
        }
    }
}

/// No two things may be the same relation.
pub(super) fn check_relations(datasets: &[(Source, Dataset)], customers: &[Customer], problems: &mut Problems) {
    let customers: &[Arc<Customer>] = &customers.iter().cloned().map(Arc::new).collect::<Vec<_>>();
    let mut taken: HashMap<String, String> = HashMap::new();
    for (source, dataset) in datasets {
        let key = if dataset.into.is_some() { "into" } else { "table" };
        let all = dataset.deliverers(customers);
        let shown =
            |table: Table| if table.schema == dataset.schema { table.name.to_string() } else { table.to_string() };
        let tables = all.iter().filter_map(|c| Some((key, shown(dataset.table_of(c).ok()?))));
        let view = dataset.consolidated.iter().map(|name| ("consolidated", name.to_string()));
        let mut clashes: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
        for (key, name) in tables.chain(view) {
            match taken.get(&name) {
                Some(owner) => clashes.entry((key, owner.clone())).or_default().push(name),
                None => {
                    taken.insert(name, format!("{key} of the dataset {}", dataset.name));
                }
            }
        }
        for ((key, owner), names) in clashes {
            let more = if names.len() > 1 { format!(" (and {} more)", names.len() - 1) } else { String::new() };
            let message = format!("the relation {}{more} is already the {owner}", names[0]);
            problems.push(source.problem(&At::key(key), message));
        }
    }
}
