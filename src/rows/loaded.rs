//! What became of a load.

use super::certificate::Certificate;
use super::known::Earlier;
use super::publish::Publication;
use super::refused::Refused;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;

/// What became of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Readers see its rows.
    Published,
    /// Loaded beside the table, because readers see a newer run date: its measures count, its rows are gone.
    Measured,
    /// A gate said no: rows, counts and rejects are kept, the table was not touched.
    Held,
    /// An earlier load took in the same bytes for the same run date: nothing was done. The ledger has no row of its own
    /// for it.
    Unchanged,
}

impl State {
    /// The word kept in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Measured => "measured",
            Self::Held => "held",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What to do with a run date older than the one whose rows readers see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Older {
    /// Measure it beside the table; the table stays.
    #[default]
    Measure,
    /// Put it in place of the newer rows.
    Publish,
}

/// How a load ended that failed neither for the program's nor for the configuration's sake.
#[derive(Debug)]
pub enum LoadOutcome {
    /// It was entered into the ledger, or was there already.
    Loaded(Box<Loaded>),
    /// Its file was refused; nothing was changed, and the caller records it.
    Refused(Refused),
}

/// A load that was entered into the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    /// Its id in the ledger.
    pub load_id: i64,
    /// The dataset's name.
    pub dataset: String,
    /// The customer's name.
    pub customer: String,
    /// The table it was meant for.
    pub table: String,
    /// What became of it.
    pub state: State,
    /// Why it was held, not published, or not loaded again.
    pub reasons: Vec<String>,
    /// What an operator should know of it that did not hold it.
    pub warnings: Vec<String>,
    /// What control totals stated and what was found, where the dataset declares any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Value>,
    /// How its rows got into the table.
    pub publication: Publication,
    /// The file it came from.
    pub file: PathBuf,
    /// When the file's bytes were last changed, by its own account.
    pub file_modified_at: DateTime<Utc>,
    /// The proof.
    pub certificate: Certificate,
    /// The measures, name to value.
    pub measures: Value,
    /// The last load of an earlier run date that met the same bytes.
    #[serde(skip)]
    pub earlier: Option<Earlier>,
    /// What its time went to.
    pub stages: Stages,
    /// From the request to just before the commit, in milliseconds.
    pub elapsed_ms: i64,
}

/// What a load's time went to, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stages {
    /// Emptying the table, reading, checking and copying the rows.
    pub rows_ms: i64,
    /// Taking the measures.
    pub measures_ms: i64,
    /// Copying the rejects.
    pub rejects_ms: i64,
}
