//! What only shows between files of the configuration.

use crate::config::{At, Calendar, Customer, Ident, Problems, Source, Table, no_calendar, suggest};
use crate::report::compile::Report;
use crate::rows::dataset::Dataset;
use crate::rows::pattern::{check_pattern, names_customer, sample};
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

/// A customer's own file patterns must be for datasets that exist, and be patterns.
pub(super) fn check_customer_files(
    source: &Source,
    customers: &[Customer],
    datasets: &[String],
    problems: &mut Problems,
) {
    for customer in customers {
        for (dataset, pattern) in &customer.files {
            let at = At::key("customer").index(customer.position).then("file").then(dataset);
            if !datasets.contains(dataset) {
                problems.push(source.problem(&at, no_dataset(dataset, datasets)));
            }
            check_pattern(source, &at, pattern, &[customer], problems);
        }
        for dataset in customer.arrive_by.keys().filter(|name| !datasets.contains(name)) {
            let at = At::key("customer").index(customer.position).then("arrive_by").then(dataset);
            problems.push(source.problem(&at, no_dataset(dataset, datasets)));
        }
    }
}

/// Customers have nothing to say of files that are nobody's in particular.
pub(super) fn check_of_house(
    source: &Source,
    datasets: &[(Source, Dataset)],
    customers: &[Customer],
    problems: &mut Problems,
) {
    let of_house = |name: &String| datasets.iter().any(|(_, d)| d.name.as_str() == name && !d.is_per_customer());
    for customer in customers {
        let keys =
            [("file", customer.files.keys().collect::<Vec<_>>()), ("arrive_by", customer.arrive_by.keys().collect())];
        for (key, names) in keys {
            for name in names.into_iter().filter(|name| of_house(name)) {
                let at = At::key("customer").index(customer.position).then(key).then(name);
                let message = format!("the dataset {name} is no customer's: its table is one for all");
                problems.push(source.problem(&at, message));
            }
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

/// No two customers may read the same file: the rows of one would be taken for those of the other.
pub(super) fn check_deliveries(
    source: &Source,
    datasets: &[(Source, Dataset)],
    customers: &[Customer],
    problems: &mut Problems,
) {
    for (of_dataset, dataset) in datasets.iter().filter(|(_, dataset)| dataset.is_per_customer()) {
        let has_own = |customer: &&Customer| customer.files.contains_key(dataset.name.as_str());
        let others = customers.iter().filter(|customer| !has_own(customer)).count();
        let is_shared = others > 1 && !names_customer(&dataset.file);
        if is_shared {
            let message = format!("all {others} customers would read the same file; write {{customer}} in it");
            problems.push(of_dataset.problem(&At::key("file"), message));
        }
        let mut delivering: Vec<&Customer> = customers.iter().filter(|c| has_own(c) || !is_shared).collect();
        delivering.sort_by_key(|customer| customer.position);
        let mut taken: HashMap<String, &Ident> = HashMap::new();
        for customer in delivering {
            let own = customer.files.get(dataset.name.as_str());
            if let Some(why) = own.and_then(|pattern| dataset.why_not(pattern, customer)) {
                let at = At::key("customer").index(customer.position).then("file").then(dataset.name.as_str());
                problems.push(source.problem(&at, why));
            }
            let Some(file) = sample(dataset.pattern_of(customer), customer) else { continue };
            let other = *taken.entry(file).or_insert(&customer.name);
            if *other != customer.name {
                let at = At::key("customer").index(customer.position);
                let name = &customer.name;
                let message = format!("{name} and {other} would read the same file of the dataset {}", dataset.name);
                problems.push(source.problem(&at, message));
            }
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
