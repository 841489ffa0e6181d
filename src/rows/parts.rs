//! A file that is delivered in parts: Parquet, one folder for each day (`dt=YYYY-MM-DD`), only ever added to, and each
//! row perhaps more than once. A load takes all parts up to its run date; of the rows that share a key the newest counts.
//!
//! The rows that count are written as CSV into the spool, which is then loaded as any file is: the same checks, rejects
//! and certificate. The certificate also says what the parts held: their records are the rows of that file and those
//! that a newer one supersedes.

mod assemble;
mod cells;
mod newest;
mod open;

use super::archive::Processed;
use super::column::{Column, Kind};
use super::dataset::LooseDataset;
use super::dialect::Dialect;
use super::inbox::Inbox;
use super::load::Request;
use super::source::Located;
use super::source::address::{self, shown};
use super::split::Marks;
use crate::config::{At, Problems, Source};
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tempfile::TempPath;
use tokio_util::sync::CancellationToken;

/// What the folder of a day begins with.
const DAY: &str = "dt=";

/// `[parts]` of a dataset: its file is delivered as parts in Parquet, `…/dt=YYYY-MM-DD/….parquet`, and a load takes all
/// of them up to its run date.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseParts {
    /// The columns that tell rows apart: of those that share a key one is loaded.
    #[schemars(length(min = 1))]
    pub key: Vec<String>,
    /// The timestamp by which the newest of them is told; without it, and among equals, it is the one that was delivered
    /// last.
    pub newest: Option<String>,
}

/// How parts are put together, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The places of the key's columns.
    pub key: Vec<usize>,
    /// The place of the column that tells the newest.
    pub newest: Option<usize>,
}

/// What the parts of a load held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The records of all parts.
    pub records: u64,
    /// Those that a newer one of the same key supersedes; they are not loaded.
    pub superseded: u64,
    /// The parts, in the order in which they were delivered.
    pub parts: Vec<Part>,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it lies: its path within the inbox, or its address.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// How many records it holds.
    pub records: u64,
}

/// The file that parts were put together to; it is gone when this is.
#[derive(Debug)]
pub struct Assembled {
    /// What the parts held.
    pub account: Account,
    /// Where the parts lie, as a pattern.
    pub shown: PathBuf,
    file: TempPath,
}

impl Assembled {
    /// The file.
    #[must_use]
    pub fn located(&self) -> Located {
        Located::in_folder(self.file.to_path_buf())
    }
}

/// Puts together the parts that were delivered for a run date and before it.
///
/// # Errors
/// A data fault where there is none, or one that can't be read; a transient one where one is still being delivered, or
/// on `cancel`.
pub(super) async fn assemble(request: &Request, cancel: &CancellationToken) -> anyhow::Result<Assembled> {
    let (wanted, paths) = find(request).await?;
    let folder = request.spool.clone();
    std::fs::create_dir_all(&folder)
        .map_err(|error| fault::config(format!("can't make the spool's folder {}: {error}", folder.display())))?;
    let mut spooled = Vec::with_capacity(paths.len());
    for path in paths {
        let text = path.to_string_lossy().into_owned();
        let located = if address::Kind::of(&text).is_some() { Located::at(&text) } else { Located::in_folder(path) };
        let source = request.inbox.open(&located, cancel).await?;
        spooled.push(assemble::spool(source, &folder, cancel).await?);
    }
    let (dataset, stop) = (request.dataset.clone(), cancel.clone());
    let work = tokio::task::spawn_blocking(move || assemble::write(&dataset, &spooled, &folder, &stop));
    let (account, file) = work.await.map_err(of_panic)??;
    Ok(Assembled { account, shown: shown(&wanted).into(), file })
}

/// The library panics at some files that are not sound.
fn of_panic(error: tokio::task::JoinError) -> anyhow::Error {
    if error.is_panic() {
        return fault::data("a part is no sound Parquet file: reading it broke off");
    }
    anyhow::Error::new(error).context("the thread that reads the parts broke off")
}

/// The pattern, and what it matches up to the run date, in the order of delivery.
async fn find(request: &Request) -> anyhow::Result<(String, Vec<PathBuf>)> {
    let Request { inbox, dataset, customer, run_date, now, .. } = request.clone();
    let look = move || Inbox::of(&inbox).find_parts(&dataset, &customer, run_date, now);
    tokio::task::spawn_blocking(look).await.context("the look for the parts broke off")?
}

/// The day of a part, by the folder it lies in.
pub(super) fn day_of(path: &Path) -> Option<NaiveDate> {
    let folder = path.parent()?.file_name()?.to_str()?;
    NaiveDate::parse_from_str(folder.strip_prefix(DAY)?, "%Y-%m-%d").ok()
}

/// Compiles `[parts]`; everything wrong with it is a problem.
pub(super) fn compile_parts(
    source: &Source,
    loose: &LooseDataset,
    columns: &[Column],
    problems: &mut Problems,
) -> Option<Parts> {
    let parts = loose.parts.as_ref()?;
    let at = |key: &str| At::key("parts").then(key);
    let whole = || At::key("parts");
    let mut problem = |at: &At, message: String| problems.push(source.problem(at, message));
    if !has_days(&loose.file) {
        let message = format!(
            "{:?} must end like …/dt=*/*.parquet: a folder for each day, and in it the day's parts",
            address::shown(&loose.file)
        );
        problem(&At::key("file"), message);
    }
    if loose.processed != Processed::Leave || loose.control.is_some() {
        problem(
            &whole(),
            "are read anew by each load: they stay where they are (processed), and have no control totals".to_owned(),
        );
    }
    if !is_plain(&loose.dialect) {
        let message = "need no dialect: of [dialect] only extra_columns, ragged, trim and the bounds can be set";
        problem(&whole(), message.to_owned());
    }
    if let Some(i) = loose.column.iter().position(|column| column.position.is_some()) {
        let message = "is one in a header, and the columns of Parquet are found by name".to_owned();
        problem(&At::key("column").index(i).then("position"), message);
    }
    let mut place = |at: &At, name: &str| {
        let found = columns.iter().position(|column| column.name.as_str() == name);
        if found.is_none() && columns.len() == loose.column.len() {
            problem(at, format!("{name:?} is not a column of the dataset"));
        }
        found
    };
    let key: Vec<usize> =
        parts.key.iter().enumerate().filter_map(|(i, name)| place(&at("key").index(i), name)).collect();
    let newest = parts.newest.as_ref().and_then(|name| place(&at("newest"), name));
    if parts.key.is_empty() {
        problem(&at("key"), "names no column: every row would be the same".to_owned());
    }
    if newest.is_some_and(|place| !matches!(columns[place].kind, Kind::Timestamp(..))) {
        problem(&at("newest"), "must be a column of type timestamp".to_owned());
    }
    Some(Parts { key, newest })
}

fn has_days(pattern: &str) -> bool {
    let mut pieces = pattern.rsplit('/');
    let (name, folder) = (pieces.next().unwrap_or_default(), pieces.next().unwrap_or_default());
    name.ends_with(".parquet") && folder == format!("{DAY}*") && !pattern.starts_with("http")
}

/// Whether text is read in the form that parts are put together in.
fn is_plain(dialect: &Dialect) -> bool {
    let plain = Dialect::default();
    let lines = |d: &Dialect| (d.header_lines, d.skip_lines, d.footer_lines);
    Marks { trim: false, ..dialect.marks() } == plain.marks()
        && dialect.numbers().is_none()
        && (dialect.header, dialect.encoding) == (plain.header, plain.encoding)
        && lines(dialect) == lines(&plain)
        && dialect.multiline
        && dialect.comment.is_empty()
        && dialect.trailer.is_empty()
        && dialect.null.iter().any(String::is_empty)
}
