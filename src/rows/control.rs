//! Control totals: what a customer says of a file beside its rows (how many, which sums, for which day), to be compared
//! with what was found. `[control]` of a dataset tells where that stands and how to read it.

mod compare;
mod stated;

pub use compare::{Check, Figure, Found};
pub(super) use compare::{kept, reasons, states_the_same};
pub(super) use stated::unescaped;
pub use stated::{Of, Stated};

use super::complete::why_no_marker;
use super::dialect::Dialect;
use super::measure::LooseMeasure;
use super::number::{NumberFormat, check_separators};
use super::pattern::{check_pattern, names_customer};
use crate::config::{At, Customer, Problems, Source, suggest};
use chrono::NaiveDate;
use indexmap::IndexMap;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write;

/// `[control]` of a dataset: where control totals stand and how they are read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseControl {
    /// Where they stand.
    pub from: Origin,
    /// With `from = "sidecar"`: the name of the file beside it, such as `{file}.ctl`. With `from = "manifest"`: where
    /// the manifest lies, as in `file` of the dataset.
    pub file: Option<String>,
    /// How that file is read; `text` where it is not given.
    pub form: Option<Form>,
    /// With `form = "text"` and for trailers: a regular expression whose named groups are what is stated: `rows`, `bytes`,
    /// `sha256`, `date`, or the name of a measure. `^` and `$` are the ends of a line.
    pub pattern: Option<String>,
    /// With `form = "json"`: what is stated, name to JSON pointer (`rows = "/totals/count"`). With `form = "csv"`: name to
    /// column. Of a manifest also `file`, the name of the file that an entry is for.
    #[serde(default)]
    pub values: IndexMap<String, String>,
    /// Of a manifest with `form = "json"`: the pointer to the list of files; the document itself where it is not given.
    pub list: Option<String>,
    /// How a business date is written.
    #[serde(default = "date_format")]
    pub date_format: String,
    /// Before the decimals of a total, if totals are not written as the file's numbers are: one character, `.` if only
    /// `thousands` is set.
    #[schemars(length(min = 1, max = 1))]
    pub decimal: Option<String>,
    /// Between groups of three digits of a total, if totals are not written as the file's numbers are: one character;
    /// empty for none, as if only `decimal` is set.
    #[schemars(length(max = 1))]
    pub thousands: Option<String>,
}

fn date_format() -> String {
    "%Y-%m-%d".to_owned()
}

/// Where control totals stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// On the file's own trailer lines: those that `dialect.trailer` or `dialect.footer_lines` tells.
    Trailer,
    /// In a file beside it.
    Sidecar,
    /// In one file that lists many.
    Manifest,
}

impl Origin {
    /// The word kept in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trailer => "trailer",
            Self::Sidecar => "sidecar",
            Self::Manifest => "manifest",
        }
    }
}

/// How a sidecar or a manifest is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Text, by a pattern.
    #[default]
    Text,
    /// As `sha256sum` writes it.
    Sha256,
    /// JSON, by pointers.
    Json,
    /// CSV with a header, by columns.
    Csv,
    /// Not at all: it only has to be there.
    Done,
}

/// What can be stated beside measures.
const STATED: [&str; 4] = ["rows", "bytes", "sha256", "date"];

/// The name of the file that a manifest's entry is for.
const FILE: &str = "file";

/// Where control totals of a dataset stand and how they are read, checked.
#[derive(Clone, Debug)]
pub struct Control {
    /// Where they stand.
    pub origin: Origin,
    /// The sidecar's name, or the manifest's path within the inbox; empty for trailers.
    pub file: String,
    form: Compiled,
    date_format: String,
    /// How totals are written, where that is not the plain way.
    numbers: Option<NumberFormat>,
}

#[derive(Clone, Debug)]
enum Compiled {
    Text(Regex),
    Sha256,
    Json { list: String, values: IndexMap<String, String> },
    Csv(IndexMap<String, String>),
    Done,
}

/// What a dataset's `[control]` is checked against.
pub struct Surroundings<'a> {
    /// The dataset's dialect.
    pub dialect: &'a Dialect,
    /// The dataset's measures.
    pub measures: &'a IndexMap<String, LooseMeasure>,
    /// The pattern of the dataset's files.
    pub pattern: &'a str,
    /// Customers whose files have that pattern.
    pub customers: &'a [&'a Customer],
}

impl Control {
    /// Compiles a dataset's `[control]`.
    pub fn compile(
        source: &Source,
        loose: &LooseControl,
        around: &Surroundings<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut compiling = Compiling { source, loose, around, problems };
        compiling.check_date_format();
        compiling.check_file();
        compiling.check_keys();
        let numbers = compiling.numbers();
        let form = compiling.form()?;
        Some(Self {
            origin: loose.from,
            file: loose.file.clone().unwrap_or_default(),
            form,
            date_format: loose.date_format.clone(),
            numbers,
        })
    }
}

struct Compiling<'a> {
    source: &'a Source,
    loose: &'a LooseControl,
    around: &'a Surroundings<'a>,
    problems: &'a mut Problems,
}

impl Compiling<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(self.source.problem(&At::key("control").then(key), message));
    }

    fn form_of(&self) -> Form {
        self.loose.form.unwrap_or_default()
    }

    fn check_date_format(&mut self) {
        let (format, day) = (&self.loose.date_format, NaiveDate::from_ymd_opt(2025, 5, 13).unwrap_or_default());
        let mut text = String::new();
        let is_written = write!(text, "{}", day.format(format)).is_ok();
        if !is_written || NaiveDate::parse_from_str(&text, format) != Ok(day) {
            self.problem("date_format", format!("{format:?} does not tell a day: write it like %Y-%m-%d or %d.%m.%Y"));
        }
    }

    /// As the file's numbers are written, but for separators of its own.
    fn numbers(&mut self) -> Option<NumberFormat> {
        let (dialect, loose) = (self.around.dialect, self.loose);
        let (decimal, thousands) = match (&loose.decimal, &loose.thousands) {
            (None, None) => return dialect.numbers(),
            (decimal, thousands) => (decimal.as_deref().unwrap_or("."), thousands.as_deref().unwrap_or_default()),
        };
        check_separators(decimal, thousands, |key, message| self.problem(key, message));
        NumberFormat::new(decimal, thousands, &dialect.negative, &dialect.units)
    }

    fn check_file(&mut self) {
        let Surroundings { pattern, customers, dialect, .. } = *self.around;
        match (self.loose.from, &self.loose.file) {
            (Origin::Trailer, Some(_)) => self.problem("file", "is not for from = \"trailer\": it is the file itself"),
            (Origin::Trailer, None) if dialect.trailer.is_empty() && dialect.footer_lines == 0 => {
                let message =
                    "is \"trailer\", but neither dialect.trailer nor dialect.footer_lines tells which lines they are";
                self.problem("from", message);
            }
            (Origin::Trailer, None) => {}
            (Origin::Sidecar, None) => {
                self.problem("from", "is \"sidecar\" and needs the key file, such as file = \"{file}.ctl\"");
            }
            (Origin::Manifest, None) => {
                self.problem("from", "is \"manifest\" and needs the key file, such as file = \"manifest-%Y%m%d.json\"");
            }
            (Origin::Sidecar, Some(name)) => {
                if let Some(why) = why_no_marker(name, pattern, customers) {
                    self.problem("file", why);
                }
            }
            (Origin::Manifest, Some(path)) => {
                let at = At::key("control").then("file");
                check_pattern(self.source, &at, path, customers, self.problems);
                if path.contains(['*', '?', '[']) {
                    self.problem("file", "must name one file: no wildcards");
                }
                let is_shared_text = self.form_of() != Form::Json && self.form_of() != Form::Csv;
                if is_shared_text && !names_customer(path) {
                    self.problem("form", "must be \"json\" or \"csv\" for a manifest of many files");
                }
            }
        }
    }

    /// Keys that mean nothing with this form.
    fn check_keys(&mut self) {
        let (form, is_trailer) = (self.form_of(), self.loose.from == Origin::Trailer);
        if is_trailer && self.loose.form.is_some_and(|form| form != Form::Text) {
            self.problem("form", "must be \"text\" for trailer lines, or left out");
        }
        if form != Form::Text && self.loose.pattern.is_some() {
            self.problem("pattern", "is only for form = \"text\"");
        }
        if !matches!(form, Form::Json | Form::Csv) && !self.loose.values.is_empty() {
            self.problem("values", "are only for form = \"json\" and \"csv\"");
        }
        if self.loose.list.is_some() && (form, self.loose.from) != (Form::Json, Origin::Manifest) {
            self.problem("list", "is only for a manifest with form = \"json\"");
        }
    }

    fn form(&mut self) -> Option<Compiled> {
        match self.form_of() {
            Form::Text => self.text(),
            Form::Sha256 => Some(Compiled::Sha256),
            Form::Done => Some(Compiled::Done),
            Form::Json => {
                let list = self.loose.list.clone().unwrap_or_default();
                if !is_pointer(&list) {
                    self.problem("list", format!("{list:?} is no JSON pointer: it begins with /"));
                }
                let wrong = self.loose.values.iter().filter(|(_, pointer)| !is_pointer(pointer));
                let wrong: Vec<(String, String)> = wrong.map(|(n, p)| (n.clone(), p.clone())).collect();
                for (name, pointer) in wrong {
                    self.value_problem(&name, format!("{pointer:?} is no JSON pointer: it begins with /"));
                }
                Some(Compiled::Json { list, values: self.values() })
            }
            Form::Csv => Some(Compiled::Csv(self.values())),
        }
    }

    fn text(&mut self) -> Option<Compiled> {
        let Some(pattern) = &self.loose.pattern else {
            let message = "is missing: a regular expression with named groups, such as '^TRL,(?<rows>[0-9]+)'";
            self.problem("pattern", message);
            return None;
        };
        let regex = match Regex::new(&format!("(?m:{pattern})")) {
            Ok(regex) => regex,
            Err(error) => {
                let why = error.to_string();
                self.problem("pattern", format!("{pattern:?}: {}", why.lines().last().unwrap_or_default().trim()));
                return None;
            }
        };
        let names: Vec<String> = regex.capture_names().flatten().map(str::to_owned).collect();
        if names.is_empty() {
            self.problem(
                "pattern",
                format!("{pattern:?} has no named group, such as (?<rows>[0-9]+): it states nothing"),
            );
        }
        for name in &names {
            if let Some(why) = self.why_unknown(name) {
                self.problem("pattern", format!("the group {why}"));
            }
        }
        Some(Compiled::Text(regex))
    }

    fn values(&mut self) -> IndexMap<String, String> {
        let values = self.loose.values.clone();
        let is_manifest = self.loose.from == Origin::Manifest;
        if is_manifest && !values.contains_key(FILE) {
            self.problem("values", "must hold file: by which name an entry is this file's");
        }
        if values.keys().all(|name| name == FILE) {
            self.problem("values", "state nothing; write rows = \"…\" and the like");
        }
        for name in values.keys().filter(|name| !(is_manifest && *name == FILE)) {
            if let Some(why) = self.why_unknown(name) {
                self.value_problem(name, why);
            }
        }
        values
    }

    fn value_problem(&mut self, name: &str, message: String) {
        let at = At::key("control").then("values").then(name);
        self.problems.push(self.source.problem(&at, message));
    }

    fn why_unknown(&self, name: &str) -> Option<String> {
        let known = STATED.into_iter().chain(self.around.measures.keys().map(String::as_str));
        let is_known = known.clone().any(|known| known == name);
        (!is_known)
            .then(|| format!("{name:?} is none of rows, bytes, sha256, date and the measures{}", suggest(name, known)))
    }
}

fn is_pointer(text: &str) -> bool {
    text.is_empty() || text.starts_with('/')
}
