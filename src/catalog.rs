//! Everything the configuration declares, compiled and checked against each other.
//!
//! Each room compiles its own files; here they are found, put together, and what only shows between them is
//! checked. Nothing is asked of a database.

mod check;
mod in_force;
mod overlap;
mod parts;
mod schema;
mod written;

use crate::config::{
    At, Calendar, Customer, CustomersFile, Fingerprint, Ident, Period, Problem, Problems, Settings, Shape, Source,
    compile_customers, suggest,
};
use crate::engine::job::{Job, LooseJob, Task, Vocabulary, compile_job};
use crate::engine::runs::Items;
use crate::engine::task::KindSpec;
use crate::fault;
use crate::report::compile::{LooseReport, Report, compile_report};
use crate::report::names::Known;
use crate::rows::dataset::{Dataset, LooseDataset, Setting, Surroundings, compile_dataset, compile_own, settings};
use crate::rows::publish::target::Target;
use check::{check_calendars, check_deliverers, check_outputs, check_relations};
use chrono::NaiveDate;
pub use in_force::InForce;
use parts::fingerprint;
pub use schema::schemas;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What tasks can be fanned out over.
const FOR_EACH: [&str; 1] = ["customer"];

/// What systems bring that configuration can name.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The kinds of tasks.
    pub kinds: Vec<KindSpec>,
    /// Tables of their own that datasets' rows can go into.
    pub targets: Vec<&'static Target>,
}

/// The compiled configuration.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By name.
    pub customers: BTreeMap<String, Arc<Customer>>,
    /// By name.
    pub calendars: BTreeMap<String, Arc<Calendar>>,
    /// By name.
    pub datasets: BTreeMap<String, Arc<Dataset>>,
    /// By name.
    pub reports: BTreeMap<String, Arc<Report>>,
    /// By name.
    pub jobs: BTreeMap<String, Arc<Job>>,
    /// The hash of each of its parts.
    pub fingerprint: Fingerprint,
    /// The hash of all of them, which a run carries.
    pub hash: String,
}

impl Catalog {
    /// Compiles the files of a configuration folder. The catalog is complete only without problems.
    #[must_use]
    pub fn compile(dir: &Path, schema: &Ident, parts: &Parts) -> (Self, Problems) {
        let mut problems = Problems::default();
        if !dir.is_dir() {
            let message = "there is no such folder; name it with --config or BURSAR_CONFIG_DIR".to_owned();
            problems.push(Problem { file: dir.to_owned(), line: 0, key: String::new(), message });
            return (Self::default(), problems);
        }
        let (source, known) = customers(dir, &mut problems);
        let is_known = known.is_some();
        let (customers, calendars) = known.unwrap_or_default();
        let datasets = datasets(dir, schema, (&source, &customers), &parts.targets, &mut problems);
        check_relations(&datasets, &customers, &mut problems);
        overlap::check(&source, &datasets, &customers, &mut problems);
        if is_known {
            check_calendars(&datasets, &calendars, &mut problems);
            check_deliverers(&source, &datasets, &customers, &stems(dir, "datasets"), &mut problems);
        }
        let (dataset_files, datasets): (Vec<Source>, Vec<Dataset>) = datasets.into_iter().unzip();
        let reports = reports(dir, &datasets, &mut problems);
        check_outputs(&reports, &mut problems);
        let words = Vocabulary {
            kinds: parts.kinds.clone(),
            subjects: HashMap::from([("dataset", stems(dir, "datasets")), ("report", stems(dir, "reports"))]),
            for_each: FOR_EACH.to_vec(),
            is_fanned_out: datasets.iter().map(|d| (d.name.to_string(), d.is_per_customer())).collect(),
        };
        let jobs = jobs(dir, &words, &mut problems);
        written::check(&jobs, &reports, &mut problems);
        let fingerprint = fingerprint(&source, schema, dataset_files.iter().zip(&datasets), &reports, &jobs);
        let catalog = Self {
            hash: fingerprint.hash(),
            fingerprint,
            calendars: calendars.into_iter().map(|c| (c.name.to_string(), Arc::new(c))).collect(),
            customers: customers.into_iter().map(|c| (c.name.to_string(), Arc::new(c))).collect(),
            datasets: datasets.into_iter().map(|d| (d.name.to_string(), Arc::new(d))).collect(),
            reports: reports.into_iter().map(|(_, r)| (r.name.to_string(), Arc::new(r))).collect(),
            jobs: jobs.into_iter().map(|(_, j)| (j.name.clone(), Arc::new(j))).collect(),
        };
        (catalog, problems)
    }

    /// Adds what the program's settings decide about results to the fingerprint.
    #[must_use]
    pub fn with_settings(mut self, settings: &Settings) -> Self {
        self.fingerprint.add("settings", settings.result_keys());
        self.hash = self.fingerprint.hash();
        self
    }

    /// A job by its name.
    ///
    /// # Errors
    /// A configuration fault that names the jobs there are.
    pub fn job(&self, name: &str) -> anyhow::Result<&Arc<Job>> {
        self.jobs.get(name).ok_or_else(|| unknown("job", name, self.jobs.keys()))
    }

    /// A dataset by its name.
    ///
    /// # Errors
    /// A configuration fault that names the datasets there are.
    pub fn dataset(&self, name: &str) -> anyhow::Result<&Arc<Dataset>> {
        self.datasets.get(name).ok_or_else(|| unknown("dataset", name, self.datasets.keys()))
    }

    /// A customer by its name.
    ///
    /// # Errors
    /// A configuration fault that names the customers there are.
    pub fn customer(&self, name: &str) -> anyhow::Result<&Arc<Customer>> {
        self.customers.get(name).ok_or_else(|| unknown("customer", name, self.customers.keys()))
    }

    /// Everyone who delivers a dataset's files.
    #[must_use]
    pub fn deliverers(&self, dataset: &Dataset) -> Vec<Arc<Customer>> {
        dataset.deliverers(&self.all_customers())
    }

    /// Everyone who delivers a dataset's files for a run date.
    #[must_use]
    pub fn deliverers_on(&self, dataset: &Dataset, run_date: NaiveDate) -> Vec<Arc<Customer>> {
        dataset.deliverers_on(&self.all_customers(), run_date)
    }

    fn all_customers(&self) -> Vec<Arc<Customer>> {
        self.customers.values().cloned().collect()
    }

    /// A dataset as its files are for a customer, whether or not the customer still delivers it; `None` for a dataset that
    /// is configured no more.
    #[must_use]
    pub fn dataset_of(&self, name: &str, customer: &str) -> Option<Arc<Dataset>> {
        let dataset = self.datasets.get(name)?;
        let own = dataset.own.iter().find(|(name, _)| name.as_str() == customer);
        Some(Arc::clone(own.map_or(dataset, |(_, own)| own)))
    }

    /// The customer of this name, and a dataset as it is for that customer.
    ///
    /// # Errors
    /// A configuration fault for a customer that does not exist, or does not deliver the dataset.
    pub fn deliverer(&self, dataset: &Arc<Dataset>, name: &str) -> anyhow::Result<Deliverer> {
        if dataset.is_per_customer() {
            let customer = Arc::clone(self.customer(name)?);
            if !customer.delivers(dataset.name.as_str()) {
                let message = format!("{name} does not deliver {} (datasets in customers.toml)", dataset.name);
                return Err(fault::config(message));
            }
            let own = dataset.own.get(&customer.name).unwrap_or(dataset);
            return Ok(Deliverer { dataset: Arc::clone(own), customer });
        }
        let house = Customer::house();
        if name == house.name.as_str() {
            return Ok(Deliverer { dataset: Arc::clone(dataset), customer: Arc::new(house) });
        }
        Err(fault::config(format!("the dataset {} is no customer's, so that {name} delivers none of it", dataset.name)))
    }

    /// A report by its name.
    ///
    /// # Errors
    /// A configuration fault that names the reports there are.
    pub fn report(&self, name: &str) -> anyhow::Result<&Arc<Report>> {
        self.reports.get(name).ok_or_else(|| unknown("report", name, self.reports.keys()))
    }

    /// The calendar by which a customer delivers a dataset's files, if there is one.
    #[must_use]
    pub fn calendar_of(&self, dataset: &Dataset, customer: &Customer) -> Option<&Calendar> {
        let name = customer.calendar.as_ref().or(dataset.calendar.as_ref())?;
        self.calendars.get(name).map(AsRef::as_ref)
    }

    /// The items of each task of a job that is fanned out, for a run date: of a task that works on a dataset the
    /// customers that deliver it for that date, of any other task all customers.
    #[must_use]
    pub fn items(&self, job: &Job, run_date: NaiveDate) -> Items {
        let names = |customers: Vec<Arc<Customer>>| customers.iter().map(|c| c.name.to_string()).collect();
        let customers = |task: &Task| match self.datasets.get(&task.subject) {
            Some(dataset) => names(self.deliverers_on(dataset, run_date)),
            None => self.customers.keys().cloned().collect(),
        };
        let fanned_out = job.tasks.iter().filter(|task| task.for_each.is_some());
        fanned_out.map(|task| (task.name.clone(), customers(task))).collect()
    }
}

/// A customer that delivers a dataset.
#[derive(Clone, Debug)]
pub struct Deliverer {
    /// The dataset as it is for the customer.
    pub dataset: Arc<Dataset>,
    /// The customer.
    pub customer: Arc<Customer>,
}

/// The configuration of a dataset as it is in force for a customer, and where each value comes from. For a
/// configuration without problems.
///
/// # Errors
/// A configuration fault if a file can't be read.
pub fn effective(dir: &Path, dataset: &Dataset, customer: Option<&Customer>) -> anyhow::Result<Vec<Setting>> {
    let mut problems = Problems::default();
    let path = dir.join("datasets").join(format!("{}.toml", dataset.name));
    let sources = Source::read(&path, &mut problems).zip(Source::read(&dir.join("customers.toml"), &mut problems));
    problems.into_result()?;
    let Some((of_dataset, customers)) = sources else { return Ok(Vec::new()) };
    let name = dataset.name.as_str();
    let mut found = customer.map(|customer| of_customer(&customers, customer, name)).unwrap_or_default();
    let mut of_dataset = settings(&of_dataset, &customers, customer.map(|customer| (customer, name)));
    of_dataset.retain(|setting| found.iter().all(|other| other.key != setting.key));
    found.append(&mut of_dataset);
    Ok(found)
}

/// The keys of a customer that say when it delivers a dataset.
fn of_customer(source: &Source, customer: &Customer, dataset: &str) -> Vec<Setting> {
    let Period { since, until } = customer.period_of(dataset);
    let calendar = customer.calendar.as_ref().map(|name| json!(name));
    let keys = [("since", since.map(|day| json!(day))), ("until", until.map(|day| json!(day))), ("calendar", calendar)];
    let of_customer = At::key("customer").index(customer.position);
    let setting = |(key, value): (&str, Option<Value>)| {
        let places = [customer.place_of(dataset).then(key), of_customer.clone().then(key)];
        let line = places.iter().find_map(|at| source.line_if_set(at))?;
        Some(Setting { key: key.to_owned(), value: value?, from: Some(format!("{}:{line}", source.path().display())) })
    };
    keys.into_iter().filter_map(setting).collect()
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> anyhow::Error {
    fault::config(format!("there is no {what} {name:?}{}", suggest(name, known.map(String::as_str))))
}

/// Lists the files `DIR/FOLDER/*.ENDING`, in the order of their names; a folder that does not exist has none.
///
/// Names that begin with a dot are not configuration: editors keep locks and copies there (`.#job.toml`), macOS its
/// attributes (`._job.toml`).
fn files(dir: &Path, folder: &str, ending: &str, problems: &mut Problems) -> Vec<PathBuf> {
    let folder = dir.join(folder);
    let paths = std::fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<PathBuf>>>());
    let mut files = match paths {
        Ok(paths) => paths,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                problems.push(Source::of(folder, "").problem(&At::file(), format!("can't be read: {error}")));
            }
            Vec::new()
        }
    };
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    files.retain(|path| path.extension().is_some_and(|e| e == ending) && !is_hidden(path));
    files.sort();
    files
}

/// The files `DIR/FOLDER/*.toml`, of which there must be one: without it there would be nothing to do.
fn some_files(dir: &Path, folder: &str, what: &str, problems: &mut Problems) -> Vec<PathBuf> {
    let before = problems.len();
    let files = files(dir, folder, "toml", problems);
    if files.is_empty() && problems.len() == before {
        let pattern = Source::of(dir.join(folder).join("*.toml"), "");
        problems.push(pattern.problem(&At::file(), format!("there is no {what}")));
    }
    files
}

/// What the files are called; those that look for them otherwise name the problems of the folder.
fn stems(dir: &Path, folder: &str) -> Vec<String> {
    files(dir, folder, "toml", &mut Problems::default())
        .iter()
        .filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned()))
        .collect()
}

/// Who delivers, and the calendars by which they do.
type People = (Vec<Customer>, Vec<Calendar>);

/// Of customers in a file with a problem nobody can say whether they fit a pattern: then they are not known.
fn customers(dir: &Path, problems: &mut Problems) -> (Source, Option<People>) {
    let path = dir.join("customers.toml");
    let before = problems.len();
    let source = Source::read(&path, problems).unwrap_or_else(|| Source::of(&path, ""));
    let loose: Option<CustomersFile> = source.typed(problems);
    if problems.len() == before && loose.as_ref().is_some_and(|loose| loose.customer.is_empty()) {
        problems.push(source.problem(&At::file(), "there is no customer; each is a [[customer]]"));
    }
    let known = problems.len();
    let customers = loose.map(|loose| compile_customers(&source, loose, problems));
    problems.drop_echoes(before, known);
    (source, customers.filter(|_| known == before))
}

/// Reads and compiles a file. It counts only where nothing is wrong with it; each problem is named once.
fn compiled<L: DeserializeOwned + JsonSchema, T>(
    path: &Path,
    problems: &mut Problems,
    compile: impl FnOnce(&Source, Option<L>, &mut Problems) -> Option<T>,
) -> Option<(Source, T)> {
    let source = Source::read(path, problems)?;
    compiled_from(&source, problems, compile).map(|compiled| (source, compiled))
}

fn compiled_from<L: DeserializeOwned + JsonSchema, T>(
    source: &Source,
    problems: &mut Problems,
    compile: impl FnOnce(&Source, Option<L>, &mut Problems) -> Option<T>,
) -> Option<T> {
    let before = problems.len();
    let loose = source.typed(problems);
    let known = problems.len();
    let compiled = compile(source, loose, problems);
    problems.drop_echoes(before, known);
    compiled.filter(|_| problems.len() == before)
}

fn datasets(
    dir: &Path,
    schema: &Ident,
    (source, customers): (&Source, &[Customer]),
    targets: &[&'static Target],
    problems: &mut Problems,
) -> Vec<(Source, Dataset)> {
    let paths = some_files(dir, "datasets", "dataset", problems);
    let shape = Shape::new();
    let mut compile = |path: PathBuf| {
        let before = problems.len();
        let of_dataset = Source::read(&path, problems)?;
        let dataset = compiled_from(&of_dataset, problems, |of_dataset, loose: Option<LooseDataset>, problems| {
            compile_dataset(of_dataset, loose?, schema, customers, targets, problems)
        });
        let around = Surroundings { customers: source, dataset: &of_dataset, shape: &shape, schema, targets };
        let mut of_customers = Problems::default();
        let own = compile_own(&around, dataset.as_ref(), customers, &mut of_customers);
        // What is inherited is named once, where it is written.
        problems.extend_unless_named(before, of_customers);
        dataset.map(|dataset| (of_dataset, Dataset { own, ..dataset }))
    };
    paths.into_iter().filter_map(&mut compile).collect()
}

fn reports(dir: &Path, datasets: &[Dataset], problems: &mut Problems) -> Vec<(Source, Report)> {
    let paths = files(dir, "reports", "toml", problems);
    let queries = files(dir, "reports", "sql", &mut Problems::default());
    for sql in queries.into_iter().filter(|sql| !paths.contains(&sql.with_extension("toml"))) {
        let message = "has no .toml beside it, which names the report's file and columns";
        problems.push(Source::of(sql, "").problem(&At::file(), message));
    }
    // A report may read a dataset that has problems of its own; those are named once, not here again.
    let mut broken = stems(dir, "datasets");
    broken.retain(|name| !datasets.iter().any(|d| d.name.as_str() == name));
    let known = Known { datasets, broken: &broken };
    let mut compile = |path: PathBuf| {
        compiled(&path, problems, |source, loose: Option<LooseReport>, problems| {
            compile_report(source, loose, known, problems)
        })
    };
    paths.into_iter().filter_map(&mut compile).collect()
}

fn jobs(dir: &Path, words: &Vocabulary, problems: &mut Problems) -> Vec<(Source, Job)> {
    let paths = some_files(dir, "jobs", "job", problems);
    let mut compile = |path: PathBuf| {
        compiled(&path, problems, |source, loose: Option<LooseJob>, problems| {
            compile_job(source, &loose?, words, problems)
        })
    };
    paths.into_iter().filter_map(&mut compile).collect()
}
