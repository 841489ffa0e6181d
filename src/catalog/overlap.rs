//! A file is read for one customer of one dataset: no two patterns may match the same name.

use crate::config::{At, Customer, Problem, Problems, Source};
use crate::rows::dataset::Dataset;
use crate::rows::pattern::{Language, Overlap, names_customer, overlaps, with_fields};
use crate::rows::source::address::shown;
use std::borrow::Cow;
use std::fmt::Write;

/// At most this many overlapping pairs are looked for: the first show what is wrong.
const MAX_PAIRS: usize = 100;

/// What to do about two customers with the same pattern.
const OTHER_FIELDS: &str = "give them different fields, or one of them a pattern of its own";

/// A customer's pattern of a dataset.
struct Pattern<'a> {
    source: &'a Source,
    dataset: &'a Dataset,
    customer: Cow<'a, Customer>,
    language: Language,
}

/// Checks that no two patterns can match the same name, whatever the run dates: the rows of one customer would be taken
/// for those of another. `source` is that of the customers.
pub(super) fn check(source: &Source, datasets: &[(Source, Dataset)], customers: &[Customer], problems: &mut Problems) {
    let mut patterns = Vec::new();
    for (of_dataset, dataset) in datasets {
        let mut found = patterns_of(of_dataset, dataset, customers);
        let shared = found.iter().filter(|pattern| !pattern.is_own()).count();
        if shared > 1 && !names_customer(&dataset.file) {
            let message = format!("all {shared} customers would read the same file; write {{customer}} in it");
            problems.push(of_dataset.problem(&At::key("file"), message));
            found.retain(Pattern::is_own);
        }
        patterns.extend(found);
    }
    let languages: Vec<&Language> = patterns.iter().map(|pattern| &pattern.language).collect();
    let mut found: Vec<(Problem, usize)> = Vec::new();
    for overlap in overlaps(&languages, MAX_PAIRS) {
        let problem = problem(source, &patterns, &overlap);
        match found.iter_mut().find(|(other, _)| (&other.file, &other.key) == (&problem.file, &problem.key)) {
            Some((_, more)) => *more += 1,
            None => found.push((problem, 0)),
        }
    }
    for (mut problem, more) in found {
        if more > 0 {
            let _ = write!(problem.message, " ({more} more pairs of patterns overlap)");
        }
        problems.push(problem);
    }
}

/// The patterns of a dataset, in the order in which its customers are written down.
fn patterns_of<'a>(source: &'a Source, dataset: &'a Dataset, customers: &'a [Customer]) -> Vec<Pattern<'a>> {
    let deliverers: Vec<Cow<'a, Customer>> = if dataset.is_per_customer() {
        customers.iter().filter(|customer| customer.delivers(dataset.name.as_str())).map(Cow::Borrowed).collect()
    } else {
        vec![Cow::Owned(Customer::house())]
    };
    let compiled = deliverers.into_iter().filter_map(|customer| {
        let language = Language::new(&dataset.of_customer(&customer).file, &customer)?;
        Some(Pattern { source, dataset, customer, language })
    });
    let mut patterns: Vec<Pattern<'a>> = compiled.collect();
    patterns.sort_by_key(|pattern| pattern.customer.position);
    patterns
}

impl Pattern<'_> {
    /// Whether it is the customer's own, and not that of the dataset.
    fn is_own(&self) -> bool {
        self.customer.has_own(self.dataset.name.as_str(), "file")
    }

    fn filled_in(&self) -> String {
        shown(&with_fields(&self.dataset.of_customer(&self.customer).file, &self.customer))
    }

    /// Whose files it is for.
    fn owner(&self, other: &Self) -> String {
        let (customer, dataset) = (&self.customer.name, &self.dataset.name);
        if !self.dataset.is_per_customer() {
            format!("the dataset {dataset}")
        } else if *dataset == other.dataset.name {
            customer.to_string()
        } else {
            format!("{customer} (dataset {dataset})")
        }
    }
}

fn problem(source: &Source, patterns: &[Pattern<'_>], overlap: &Overlap) -> Problem {
    let (first, second) = (&patterns[overlap.first], &patterns[overlap.second]);
    let (one, other) = (first.filled_in(), second.filled_in());
    let is_shared = first.dataset.name == second.dataset.name && !first.is_own() && !second.is_own();
    let why = if is_shared && one == other {
        format!("{one:?} is the pattern of both; {OTHER_FIELDS}")
    } else if is_shared {
        format!("{one:?} and {other:?} both match it; {}", remedy(first, second))
    } else {
        format!("{one:?} and {other:?} both match it; change one of the two patterns")
    };
    let (owner, other_owner) = (first.owner(second), second.owner(first));
    let message = format!("{:?} would be read for {owner} and for {other_owner}: {why}", shown(&overlap.example));
    let own = [second, first].into_iter().find(|pattern| pattern.is_own());
    match own {
        Some(own) => source.problem(&own.customer.place_of(own.dataset.name.as_str()).then("file"), message),
        // The customers have the same fields.
        None if is_shared && one == other => {
            source.problem(&At::key("customer").index(second.customer.position), message)
        }
        None => second.source.problem(&At::key("file"), message),
    }
}

/// How a dataset's pattern can tell two customers apart.
fn remedy(first: &Pattern<'_>, second: &Pattern<'_>) -> String {
    let file = &first.dataset.file;
    let is_apart = |pattern: &String| {
        let language = |customer: &Customer| Language::new(pattern, customer);
        let (one, other) = (language(&first.customer), language(&second.customer));
        one.zip(other).is_some_and(|(one, other)| one.common_name(&other).is_none())
    };
    let after_field = file.rfind('}').map_or(file.len(), |end| end + 1);
    let (head, tail) = file.split_at(after_field);
    let in_place = ["%Y%m%d", "[0-9]*"].map(|what| format!("{head}{}", tail.replacen('*', what, 1)));
    let (folder, name) = head.rsplit_once('/').map_or(("", head), |(folder, name)| (folder, name));
    let slash = if folder.is_empty() { "" } else { "/" };
    let apart =
        in_place.into_iter().chain([format!("{folder}{slash}{name}/{}", tail.trim_start_matches(['_', '-', ' ']))]);
    let offered: Vec<String> = apart.filter(is_apart).map(|pattern| format!("{:?}", shown(&pattern))).collect();
    match &offered[..] {
        [] => "give one of them a pattern of its own".to_owned(),
        offered => format!("write {}, or give one of them a pattern of its own", offered.join(" or ")),
    }
}
