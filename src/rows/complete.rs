//! When a delivered file is complete: its deliverer may still be writing it.

use super::pattern;
use super::source::address;
use crate::config::{At, Customer, Problems, Source};
use chrono::{DateTime, TimeDelta, Utc};
use glob::Pattern;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use validator::Validate;

/// `[complete]` of a dataset: how to tell that a file is not being delivered any more.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LooseComplete {
    /// What tells it.
    pub when: When,
    /// With `when = "settled"`: how long its bytes must be unchanged, in seconds; 30 where it is not given.
    #[schemars(range(min = 1, max = 86_400))]
    pub settle_s: Option<u32>,
    /// With `when = "marker"`: the name of the file beside it that says so; holds `{file}`.
    pub marker: Option<String>,
}

/// What tells that a file is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// It has its name: the deliverer writes under another one and renames.
    #[default]
    Named,
    /// Its bytes have not changed for a while.
    Settled,
    /// Another file is beside it.
    Marker,
}

/// How to tell that a file is complete, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Complete {
    /// It has its name.
    #[default]
    Named,
    /// Neither its bytes nor its name have changed for so long.
    Settled(TimeDelta),
    /// A file of this name is beside it; `{file}` stands for its own name.
    Marker(String),
}

/// Where a dataset does not say how long its files must be unchanged.
const SETTLE_S: u32 = 30;

impl Complete {
    /// Compiles a dataset's `[complete]`; `pattern` is that of its files.
    pub fn compile(
        source: &Source,
        loose: &LooseComplete,
        pattern: &str,
        customers: &[&Customer],
        problems: &mut Problems,
    ) -> Self {
        let at = |key: &str| At::key("complete").then(key);
        if loose.settle_s.is_some() && loose.when != When::Settled {
            problems.push(source.problem(&at("settle_s"), "is only for when = \"settled\""));
        }
        if loose.marker.is_some() && loose.when != When::Marker {
            problems.push(source.problem(&at("marker"), "is only for when = \"marker\""));
        }
        match (loose.when, &loose.marker) {
            (When::Named, _) => Self::Named,
            (When::Settled, _) => Self::Settled(TimeDelta::seconds(loose.settle_s.unwrap_or(SETTLE_S).into())),
            (When::Marker, None) => {
                let message = "when = \"marker\" needs the key marker, such as marker = \"{file}.done\"";
                problems.push(source.problem(&at("when"), message));
                Self::Named
            }
            (When::Marker, Some(marker)) => {
                if let Some(why) = why_no_marker(marker, pattern, customers) {
                    problems.push(source.problem(&at("marker"), why));
                }
                Self::Marker(marker.clone())
            }
        }
    }

    /// Since when the file is complete, or why it is not.
    ///
    /// # Errors
    /// What the operating system says of its marker.
    pub fn judge(&self, path: &Path, file: &Metadata, now: DateTime<Utc>) -> io::Result<Result<DateTime<Utc>, String>> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.judge_touched(&name, touched_at(file, now), now, |marker| {
            match std::fs::metadata(path.with_file_name(marker)) {
                Ok(found) => Ok(Some(touched_at(&found, now))),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Since when a file of this name that was last touched at this time is complete, or why it is not; `marker`
    /// tells when the file of a name beside it was touched, if it is there.
    ///
    /// # Errors
    /// What `marker` says.
    pub fn judge_touched<E>(
        &self,
        name: &str,
        touched: DateTime<Utc>,
        now: DateTime<Utc>,
        marker: impl FnOnce(&str) -> Result<Option<DateTime<Utc>>, E>,
    ) -> Result<Result<DateTime<Utc>, String>, E> {
        match self {
            Self::Named => Ok(Ok(touched)),
            Self::Settled(settle) => {
                let age = now - touched;
                Ok(if age >= *settle { Ok(touched + *settle) } else { Err(unsettled(age, *settle)) })
            }
            Self::Marker(pattern) => {
                let beside = pattern.replace("{file}", name);
                Ok(match marker(&beside)? {
                    Some(at) => Ok(touched.max(at)),
                    None => Err(format!("{beside} is not beside it yet")),
                })
            }
        }
    }
}

fn unsettled(age: TimeDelta, settle: TimeDelta) -> String {
    let (age, settle) = (age.num_seconds().max(0), settle.num_seconds());
    format!("it changed {age} s ago, and counts when it is unchanged for {settle} s")
}

/// When a file was last touched: the newer of the times at which its bytes (mtime) and its inode (ctime: also its
/// name) changed. An mtime that lies in the future was set by whoever delivered it, and says nothing.
pub(super) fn touched_at(file: &Metadata, now: DateTime<Utc>) -> DateTime<Utc> {
    let changed = instant(file.ctime(), file.ctime_nsec());
    let modified = modified_at(file);
    if modified > now { changed } else { changed.max(modified) }
}

/// When a file's bytes were last changed, by its own account; in whole microseconds, as PostgreSQL keeps it.
#[must_use]
pub fn modified_at(file: &Metadata) -> DateTime<Utc> {
    instant(file.mtime(), file.mtime_nsec())
}

fn instant(seconds: i64, nanoseconds: i64) -> DateTime<Utc> {
    let micros = seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000);
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

pub(super) fn why_no_marker(marker: &str, pattern: &str, customers: &[&Customer]) -> Option<String> {
    if !marker.contains("{file}") {
        return Some(format!("{marker:?} must hold {{file}}, the name of the file it is for"));
    }
    if marker.contains('/') {
        return Some(format!("{marker:?} must be a name: the marker lies beside its file"));
    }
    if marker.replace("{file}", "").contains(['{', '}']) {
        return Some(format!("{marker:?} holds braces other than {{file}}"));
    }
    let is_taken = marker == "{file}" || customers.iter().any(|customer| is_matched_too(marker, pattern, customer));
    is_taken.then(|| taken(marker, pattern))
}

fn taken(marker: &str, pattern: &str) -> String {
    let pattern = address::shown(pattern);
    format!("the marker {marker:?} is itself matched by the pattern {pattern:?}: each marker would be a file")
}

/// Whether the pattern would match the marker of a file that it matches.
fn is_matched_too(marker: &str, pattern: &str, customer: &Customer) -> bool {
    let Some(wanted) = pattern::sample(pattern, customer) else { return false };
    let wanted = wanted.rsplit('/').next().unwrap_or_default();
    let Ok(compiled) = Pattern::new(wanted) else { return false };
    let file = wanted.replace("[*]", "_").replace("[?]", "_").replace(['*', '?'], "x");
    compiled.matches(&file) && compiled.matches(&marker.replace("{file}", &file))
}
