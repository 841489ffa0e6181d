//! How a load's rows get in front of readers: `mode`, `publish`, `key` and `streams` of a dataset.
//!
//! A full file replaces its customer's table in one of three ways to the same end ([`Way`]); which one is decided
//! before the first row, from what hangs on the table, and is kept in the ledger with its reason.

pub mod lock;
pub mod merge;
pub mod segments;
pub mod swap;
pub mod taken;
pub mod target;
pub mod twin;

use super::column::{Column, Kind};
use crate::config::{At, Ident, Problems, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a load does to the rows of its customer's table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LooseMode {
    /// A full file takes the place of all rows.
    #[default]
    Replace,
    /// Rows are inserted, or update the row of the same key; rows that are not in the file stay.
    Merge,
    /// Rows are added to those of other run dates; each tells its run date.
    Append,
}

/// How a full replacement is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Publish {
    /// A swap, but for small files, and for tables on which something hangs that a swap would tear off.
    #[default]
    Auto,
    /// TRUNCATE and COPY: readers wait while the rows are copied.
    Truncate,
    /// COPY into a twin of the table, which then takes its name: readers wait for a moment.
    Swap,
    /// COPY over several connections into segments behind the table, which then take the place of the old ones.
    Segments,
}

/// A dataset's mode, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A full file takes the place of all rows.
    Replace(Publish),
    /// Upsert by these columns, which are places in the dataset's.
    Merge {
        /// At least one, none of them nullable.
        key: Vec<usize>,
    },
    /// Rows are added; this column of the table tells their run date.
    Append {
        /// A column of the table and not of the file.
        run_date: Ident,
    },
}

impl Mode {
    /// The places of the columns by which rows are merged.
    #[must_use]
    pub fn key(&self) -> Option<&[usize]> {
        match self {
            Self::Merge { key } => Some(key),
            Self::Replace(_) | Self::Append { .. } => None,
        }
    }
}

/// The way a load's rows took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// TRUNCATE and COPY.
    Truncate,
    /// A twin took the table's name.
    Swap,
    /// Put behind the table.
    Segments,
    /// Upsert by key.
    Merge,
    /// Added.
    Append,
}

impl Way {
    /// The word kept in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncate => "truncate",
            Self::Swap => "swap",
            Self::Segments => "segments",
            Self::Merge => "merge",
            Self::Append => "append",
        }
    }
}

/// How a load's rows got into the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Publication {
    /// The way; none where they did not.
    pub way: Option<Way>,
    /// Why it is not the way that would have been taken otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many connections the rows went over.
    pub streams: usize,
    /// How long it waited until readers let go of the table, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_waited_ms: Option<i64>,
    /// How long readers had to wait for it, until just before the commit, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_held_ms: Option<i64>,
    /// What a merge did.
    #[serde(flatten)]
    pub merged: Option<Merged>,
}

/// What a merge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// Rows whose key was new.
    pub inserted: i64,
    /// Rows that changed.
    pub updated: i64,
    /// Rows that were there as they are.
    pub unchanged: i64,
}

/// The keys of a dataset that say where its rows go.
#[derive(Debug)]
pub struct LooseTarget<'a> {
    /// `mode`.
    pub mode: LooseMode,
    /// `publish`.
    pub publish: Option<Publish>,
    /// `key`.
    pub key: &'a [String],
    /// `run_date_column`.
    pub run_date_column: Option<&'a str>,
    /// `streams`.
    pub streams: Option<u8>,
}

/// The most connections for one file.
pub const MOST_STREAMS: u8 = 16;

impl LooseTarget<'_> {
    /// Compiles the mode; everything wrong with it is a problem.
    pub fn compile(&self, source: &Source, columns: &[Column], problems: &mut Problems) -> Option<Mode> {
        let only_for = |key: &str, mode: &str, problems: &mut Problems| {
            problems.push(source.problem(&At::key(key), format!("is only for mode = {mode:?}")));
        };
        if self.publish.is_some() && self.mode != LooseMode::Replace {
            only_for("publish", "replace", problems);
        }
        if !self.key.is_empty() && self.mode != LooseMode::Merge {
            only_for("key", "merge", problems);
        }
        if self.run_date_column.is_some() && self.mode != LooseMode::Append {
            only_for("run_date_column", "append", problems);
        }
        if self.streams.is_some() && self.publish != Some(Publish::Segments) {
            problems.push(source.problem(&At::key("streams"), "is only for publish = \"segments\""));
        }
        if self.streams.is_some_and(|n| !(1..=MOST_STREAMS).contains(&n)) {
            problems.push(source.problem(&At::key("streams"), format!("must be between 1 and {MOST_STREAMS}")));
        }
        match self.mode {
            LooseMode::Replace => Some(Mode::Replace(self.publish.unwrap_or_default())),
            LooseMode::Merge => self.merge(source, columns, problems),
            LooseMode::Append => self.append(source, columns, problems),
        }
    }

    fn merge(&self, source: &Source, columns: &[Column], problems: &mut Problems) -> Option<Mode> {
        let at = |i: usize| At::key("key").index(i);
        if self.key.is_empty() {
            let message = "mode = \"merge\" needs the columns that tell rows apart, such as key = [\"invoice_number\"]";
            problems.push(source.problem(&At::key("mode"), message));
            return None;
        }
        let mut key = Vec::new();
        for (i, name) in self.key.iter().enumerate() {
            match columns.iter().position(|column| column.name.as_str() == name) {
                None => problems.push(source.problem(&at(i), format!("{name:?} is not a column of the dataset"))),
                Some(place) if key.contains(&place) => {
                    problems.push(source.problem(&at(i), format!("{name} is there twice")));
                }
                Some(place) if matches!(columns[place].kind, Kind::Json | Kind::Map) => {
                    let message = format!("{name} is json or a map, which can be the same in many spellings");
                    problems.push(source.problem(&at(i), message));
                }
                Some(place) if columns[place].nullable => {
                    let message = format!("the column {name} is nullable: a row without it could not be told apart");
                    problems.push(source.problem(&at(i), message));
                }
                Some(place) => key.push(place),
            }
        }
        Some(Mode::Merge { key })
    }

    fn append(&self, source: &Source, columns: &[Column], problems: &mut Problems) -> Option<Mode> {
        let Some(name) = self.run_date_column else {
            let message = "mode = \"append\" needs a column that tells each row's run date, so that a run date can be \
                           loaded again, such as run_date_column = \"run_date\"";
            problems.push(source.problem(&At::key("mode"), message));
            return None;
        };
        let at = At::key("run_date_column");
        if columns.iter().any(|column| column.name.as_str() == name) {
            let message = format!("{name} is a column of the file; the run date needs one of its own");
            problems.push(source.problem(&at, message));
        }
        match Ident::parse(name) {
            Ok(run_date) => Some(Mode::Append { run_date }),
            Err(error) => {
                problems.push(source.problem(&at, error.to_string()));
                None
            }
        }
    }
}
