//! Everything the configuration declares, compiled and checked against each other.
//!
//! Each room compiles its own files; here they are found, put together, and what only shows between them is
//! checked. Nothing is asked of a database.

mod check;
mod in_force;
mod parts;
mod written;

use crate::config::{
    At, Calendar, Customer, CustomersFile, Fingerprint, Ident, Problem, Problems, Settings, SettingsFile, Source,
    WALL_TIME, compile_customers, schema_of, suggest,
};
use crate::engine::job::{Job, LooseJob, Vocabulary, compile_job};
use crate::engine::task::KindSpec;
use crate::fault;
use crate::report::compile::{LooseReport, Report, compile_report};
use crate::report::names::Known;
use crate::rows::column::TYPES;
use crate::rows::dataset::{Dataset, LooseDataset, compile_dataset};
use crate::rows::publish::target::Target;
use check::{check_calendars, check_customer_files, check_deliveries, check_of_house, check_outputs, check_relations};
pub use in_force::InForce;
use parts::fingerprint;
use schemars::{JsonSchema, Schema};
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
        let datasets = datasets(dir, schema, &customers, &parts.targets, &mut problems);
        check_relations(&datasets, &customers, &mut problems);
        check_deliveries(&source, &datasets, &customers, &mut problems);
        if is_known {
            check_calendars(&datasets, &calendars, &mut problems);
        }
        check_of_house(&source, &datasets, &customers, &mut problems);
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
        check_customer_files(&source, &customers, &words.subjects["dataset"], &mut problems);
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
        let customers: Vec<Arc<Customer>> = self.customers.values().cloned().collect();
        dataset.deliverers(&customers)
    }

    /// Who delivers a dataset's file, by name.
    ///
    /// # Errors
    /// A configuration fault for a customer that is not there, or does not deliver it.
    pub fn deliverer(&self, dataset: &Dataset, name: &str) -> anyhow::Result<Arc<Customer>> {
        if dataset.is_per_customer() {
            return self.customer(name).cloned();
        }
        let house = Customer::house();
        if name == house.name.as_str() {
            return Ok(Arc::new(house));
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

    /// What each `for_each` goes over.
    #[must_use]
    pub fn items(&self) -> HashMap<String, Vec<String>> {
        FOR_EACH.iter().map(|over| ((*over).to_owned(), self.customers.keys().cloned().collect())).collect()
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> anyhow::Error {
    fault::config(format!("there is no {what} {name:?}{}", suggest(name, known.map(String::as_str))))
}

/// The JSON Schema of each kind of file, by the name of the file it is kept in. Editors are also told the words
/// that the program compiles by rules of its own.
#[must_use]
pub fn schemas(parts: &Parts) -> Vec<(&'static str, Schema)> {
    let kinds: Vec<&str> = parts.kinds.iter().map(|kind| kind.name).collect();
    let (plain, with_arguments): (Vec<&str>, Vec<&str>) = TYPES.iter().partition(|name| !name.contains('('));
    let pattern =
        with_arguments.iter().map(|name| name.split('(').next().unwrap_or_default()).collect::<Vec<_>>().join("|");
    let types = json!([{"enum": plain}, {"pattern": format!(r"^({pattern})\(\s*[0-9]+\s*(,\s*[0-9]+\s*)?\)$")}]);
    let mut dataset = schema_of::<LooseDataset>();
    rule(&mut dataset, "/$defs/LooseColumn/properties/type", "anyOf", types);
    rule(&mut dataset, "/properties/arrive_by", "pattern", json!(WALL_TIME));
    let mut customers = schema_of::<CustomersFile>();
    rule(&mut customers, "/$defs/LooseCustomer/properties/arrive_by/additionalProperties", "pattern", json!(WALL_TIME));
    let mut job = schema_of::<LooseJob>();
    rule(&mut job, "/$defs/LooseTask/properties/kind", "enum", json!(kinds));
    rule(&mut job, "/$defs/LooseTask/properties/for_each", "enum", json!(FOR_EACH));
    let mut schemas = vec![
        ("bursar.schema.json", "Bursar: the settings of an installation", schema_of::<SettingsFile>()),
        ("customers.schema.json", "Bursar: the customers", customers),
        ("dataset.schema.json", "Bursar: a dataset", dataset),
        ("job.schema.json", "Bursar: a job", job),
        ("report.schema.json", "Bursar: a report", schema_of::<LooseReport>()),
    ];
    for (_, title, schema) in &mut schemas {
        schema.insert("title".to_owned(), json!(title));
    }
    schemas.into_iter().map(|(name, _, schema)| (name, schema)).collect()
}

/// Adds a rule for the value at `place`.
fn rule(schema: &mut Schema, place: &str, rule: &str, value: Value) {
    if let Some(Value::Object(part)) = schema.pointer_mut(place) {
        part.insert(rule.to_owned(), value);
    }
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
    let before = problems.len();
    let source = Source::read(path, problems)?;
    let loose = source.typed(problems);
    let known = problems.len();
    let compiled = compile(&source, loose, problems);
    problems.drop_echoes(before, known);
    compiled.filter(|_| problems.len() == before).map(|compiled| (source, compiled))
}

fn datasets(
    dir: &Path,
    schema: &Ident,
    customers: &[Customer],
    targets: &[&'static Target],
    problems: &mut Problems,
) -> Vec<(Source, Dataset)> {
    let paths = some_files(dir, "datasets", "dataset", problems);
    let mut compile = |path: PathBuf| {
        compiled(&path, problems, |source, loose: Option<LooseDataset>, problems| {
            compile_dataset(source, loose?, schema, customers, targets, problems)
        })
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
