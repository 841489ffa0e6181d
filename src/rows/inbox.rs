//! Finds customers' files for a run date by their datasets' patterns.

mod names;
mod remote;

use super::complete::modified_at;
use super::control::Of;
use super::dataset::Dataset;
use super::parts;
use super::pattern::render;
use super::source::address::{Kind, shown};
use super::source::{Located, Places};
use crate::config::Customer;
use crate::escape;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use glob::{MatchOptions, Pattern};
use names::{near_misses, refuse_control_characters};
use remote::{Remote, Wanted};
use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// As in a shell: a leading dot is matched only by a dot.
pub(super) const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A file as it lies in the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its path within the inbox, or its address.
    pub path: PathBuf,
    /// Its size in bytes; 0 where a web server does not tell it.
    pub bytes: u64,
    /// When its bytes were last changed, by its own account; in whole microseconds.
    pub modified_at: DateTime<Utc>,
    /// Since when it is complete.
    pub complete_at: DateTime<Utc>,
}

/// What there is of a customer's file for a run date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing matches this path.
    Nothing(PathBuf),
    /// Something does, and is still being delivered: which, and why it is not complete.
    Partial(PathBuf, String),
    /// The one complete file.
    One(Delivered),
    /// More than one complete file: which of them counts is not ours to guess.
    Several(Vec<PathBuf>),
}

impl Found {
    /// What complete files, or else one that is not, come to.
    fn of(mut complete: Vec<Delivered>, partial: Option<(PathBuf, String)>, wanted: impl FnOnce() -> PathBuf) -> Self {
        match (complete.len(), partial) {
            (0, None) => Self::Nothing(wanted()),
            (0, Some((path, why))) => Self::Partial(path, why),
            (1, _) => Self::One(complete.remove(0)),
            _ => Self::Several(complete.into_iter().map(|file| file.path).collect()),
        }
    }
}

/// The one complete file of a customer for a run date.
///
/// # Errors
/// A data fault when there is none, or more than one; a transient one when it is still being delivered. A
/// configuration fault when the inbox is not there or can't be searched: that says nothing of what was delivered.
pub async fn find(
    places: &Places,
    dataset: &Arc<Dataset>,
    customer: &Arc<Customer>,
    run_date: NaiveDate,
    now: DateTime<Utc>,
) -> anyhow::Result<Located> {
    let (places, dataset, customer) = (places.clone(), Arc::clone(dataset), Arc::clone(customer));
    let find = move || {
        let mut inbox = Inbox::of(&places);
        inbox.remote.is_for_one = true;
        let found = inbox.find(&dataset, &customer, run_date, now)?;
        let wanted = render(&dataset.file, &customer, run_date)?;
        Ok(match Kind::of(&wanted) {
            Some(Kind::Web) => Located::at(&wanted),
            Some(_) => Located::at(&found.path.to_string_lossy()),
            None => Located::in_folder(places.whole(&found.path)),
        })
    };
    tokio::task::spawn_blocking(find).await.context("the look for the file broke off")?
}

/// What is said of several files where one was expected.
#[must_use]
pub fn several(customer: &Customer, run_date: NaiveDate, paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().take(5).map(|path| escape::path(path)).collect();
    format!(
        "{} files of {} for {run_date} match its pattern: {}; leave one, or make the pattern tell them apart",
        paths.len(),
        customer.name,
        names.join(", ")
    )
}

/// One look at the inbox. What a folder holds is asked only once, however many files are looked for in it.
#[derive(Debug)]
pub struct Inbox {
    places: Places,
    /// Whether the inbox can be searched, or why not; none: nobody has asked.
    searched: Option<Result<(), String>>,
    folders: HashMap<PathBuf, Listing>,
    remote: Remote,
}

/// The names in a folder in their order, or why they can't be told.
type Listing = Result<Rc<[String]>, (ErrorKind, String)>;

impl Inbox {
    /// A look that has seen nothing yet.
    #[must_use]
    pub fn of(places: &Places) -> Self {
        Self { places: places.clone(), searched: None, folders: HashMap::new(), remote: Remote::default() }
    }

    /// Looks whether there is an inbox. Who reads only from elsewhere needs none.
    fn check(&mut self) -> anyhow::Result<()> {
        let root = self.places.inbox();
        let search = || std::fs::read_dir(root).and_then(|_| std::fs::metadata(root.join("."))).map(drop);
        let searched = self.searched.get_or_insert_with(|| search().map_err(|error| error.to_string()));
        searched.clone().map_err(|error| {
            fault::config(format!("the inbox {} can't be searched: {error} (set BURSAR_INBOX_DIR)", root.display()))
        })
    }

    /// The one complete file of a customer for a run date.
    ///
    /// # Errors
    /// As [`find`].
    pub fn find(
        &mut self,
        dataset: &Dataset,
        customer: &Customer,
        run_date: NaiveDate,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Delivered> {
        let name = &customer.name;
        match self.look(dataset, customer, run_date, now)? {
            Found::One(file) => Ok(file),
            Found::Nothing(wanted) => {
                let near = near_misses(self, &dataset.file, customer, run_date);
                let wanted = escape::path(&wanted);
                Err(fault::data(format!("no file of {name} for {run_date}: nothing matches {wanted}{near}")))
            }
            Found::Partial(path, why) => Err(fault::transient(format!(
                "the file of {name} for {run_date} is still being delivered: {}: {why}",
                escape::path(&path)
            ))),
            Found::Several(paths) => Err(fault::data(several(customer, run_date, &paths))),
        }
    }

    /// The parts of a customer's file up to a run date, in the order of their days and names; and the pattern.
    ///
    /// # Errors
    /// A data fault when there is none; a transient one when one is still being delivered.
    pub fn find_parts(
        &mut self,
        dataset: &Dataset,
        customer: &Customer,
        run_date: NaiveDate,
        now: DateTime<Utc>,
    ) -> anyhow::Result<(String, Vec<PathBuf>)> {
        let wanted = render(&dataset.file, customer, run_date)?;
        let paths = match self.look_for_all(dataset, customer, run_date, now)? {
            Found::One(part) => vec![part.path],
            Found::Several(paths) => paths,
            Found::Nothing(_) => Vec::new(),
            Found::Partial(path, why) => {
                return Err(fault::transient(format!(
                    "a part of {} for {run_date} is still being delivered: {}: {why}",
                    customer.name,
                    escape::path(&path)
                )));
            }
        };
        let dated = paths.into_iter().filter_map(|path| Some((parts::day_of(&path)?, self.places.whole(&path))));
        let mut dated: Vec<(NaiveDate, PathBuf)> = dated.filter(|(day, _)| *day <= run_date).collect();
        if dated.is_empty() {
            let name = &customer.name;
            return Err(fault::data(format!("no part of {name} up to {run_date}: nothing matches {}", shown(&wanted))));
        }
        dated.sort();
        Ok((wanted, dated.into_iter().map(|(_, path)| path).collect()))
    }

    /// What there is of a customer's file for a run date. Parts are one file: that of their pattern.
    ///
    /// # Errors
    /// When a folder can't be searched, which says nothing of what was delivered.
    /// Files that lie in no folder are looked for by the runtime; the caller's thread waits for it, and must be none of
    /// its own (`spawn_blocking`, `block_in_place`).
    pub fn look(
        &mut self,
        dataset: &Dataset,
        customer: &Customer,
        run_date: NaiveDate,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Found> {
        let found = self.look_for_all(dataset, customer, run_date, now)?;
        let (Some(_), Found::One(_) | Found::Several(_)) = (&dataset.parts, &found) else { return Ok(found) };
        let path = PathBuf::from(shown(&render(&dataset.file, customer, run_date)?));
        Ok(Found::One(Delivered { path, bytes: 0, modified_at: now, complete_at: now }))
    }

    fn look_for_all(
        &mut self,
        dataset: &Dataset,
        customer: &Customer,
        run_date: NaiveDate,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Found> {
        let pattern = dataset.file.as_str();
        let wanted = render(pattern, customer, run_date)?;
        if let Some(kind) = Kind::of(&wanted) {
            let wanted = Wanted { pattern, text: &wanted, run_date, complete: &dataset.complete, now };
            return self.remote.look(&self.places, kind, &wanted);
        }
        self.check()?;
        let root = self.places.inbox().to_owned();
        let (mut complete, mut partial) = (Vec::new(), None);
        for path in self.matches(&wanted)? {
            let Some(file) = metadata(&path)? else { continue };
            refuse_control_characters(&path)?;
            let judged = dataset.complete.judge(&path, &file, now);
            match judged.with_context(|| format!("can't look for the marker of {}", escape::path(&path)))? {
                Ok(since) => match self.awaited(dataset, customer, run_date, &path, now)? {
                    Ok(stated) => complete.push(self.delivered(&path, &file, stated.map_or(since, |at| at.max(since)))),
                    Err(why) => partial = Some((path, why)),
                },
                Err(why) => partial = Some((path, why)),
            }
        }
        if dataset.parts.is_some() && partial.is_some() {
            complete.clear();
        }
        Ok(match Found::of(complete, partial, || root.join(&wanted)) {
            Found::Several(paths) => Found::Several(paths.into_iter().map(|path| root.join(path)).collect()),
            found => found,
        })
    }

    /// Since when the control totals of a file are there that has a time to arrive by; none where it has none.
    fn awaited(
        &self,
        dataset: &Dataset,
        customer: &Customer,
        run_date: NaiveDate,
        path: &Path,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Result<Option<DateTime<Utc>>, String>> {
        let awaited = dataset.control.as_ref().filter(|_| dataset.arrive_by.is_some());
        let Some(control) = awaited else { return Ok(Ok(None)) };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        control
            .arrived(&Of { inbox: self.places.inbox(), path, name: &name, is_in_place: true, customer, run_date }, now)
    }

    fn delivered(&self, path: &Path, file: &Metadata, complete_at: DateTime<Utc>) -> Delivered {
        let within = path.strip_prefix(self.places.inbox()).unwrap_or(path);
        Delivered { path: within.to_owned(), bytes: file.len(), modified_at: modified_at(file), complete_at }
    }

    /// The paths that match a rendered pattern, part by part.
    fn matches(&mut self, wanted: &str) -> anyhow::Result<Vec<PathBuf>> {
        let parts: Vec<&str> = wanted.split('/').filter(|part| !part.is_empty()).collect();
        let mut found = vec![self.places.inbox().to_owned()];
        for (i, part) in parts.iter().enumerate() {
            let mut next = Vec::new();
            for folder in &found {
                self.enter(folder, part, &mut next)?;
            }
            if i + 1 < parts.len() && !literal_prefix(part).1 {
                next = folders_of(next)?;
            }
            found = next;
        }
        Ok(found)
    }

    /// Adds what matches `part` in a folder. A name without wildcards is not looked for here: it is there or not.
    fn enter(&mut self, folder: &Path, part: &str, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
        let (prefix, is_whole) = literal_prefix(part);
        if is_whole {
            found.push(folder.join(prefix));
            return Ok(());
        }
        let pattern =
            Pattern::new(part).map_err(|error| fault::config(format!("the file pattern {part:?}: {error}")))?;
        let names = self.list(folder)?;
        let first = names.partition_point(|name| *name < prefix);
        let alike = names[first..].iter().take_while(|name| name.starts_with(&prefix));
        // Nearly all names are told apart by their ends, at a hundredth of the cost.
        let suffix = part.rsplit(['*', '?', ']']).next().unwrap_or_default();
        let alike = alike.filter(|name| name.ends_with(suffix) && pattern.matches_with(name, MATCH));
        found.extend(alike.map(|name| folder.join(name)));
        Ok(())
    }

    fn list(&mut self, folder: &Path) -> anyhow::Result<Rc<[String]>> {
        if !self.folders.contains_key(folder) {
            let names = list(folder).map_err(|error| (error.kind(), error.to_string()));
            self.folders.insert(folder.to_owned(), names);
        }
        match self.folders.get(folder) {
            Some(Ok(names)) => Ok(Rc::clone(names)),
            Some(Err((kind, why))) => Err(io::Error::new(*kind, why.clone()))
                .with_context(|| format!("can't look for files in {}", folder.display())),
            None => Err(fault::bug("a folder that was just listed is not known")),
        }
    }
}

/// The names in a folder, in their order; those that are no UTF-8 can't be meant by a pattern. A folder that is
/// not there holds none.
fn list(folder: &Path) -> io::Result<Rc<[String]>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Rc::from([])),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names.into())
}

/// Of what matched a part with wildcards, the folders.
fn folders_of(paths: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for path in paths {
        if metadata(&path)?.is_some_and(|file| file.is_dir()) {
            folders.push(path);
        }
    }
    Ok(folders)
}

fn metadata(path: &Path) -> anyhow::Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't look for {}", escape::path(path))),
    }
}

/// What every name that matches a part of a pattern begins with, and whether that is the whole name. `[*]` and
/// the like, by which a customer's fields are taken literally, are no wildcards.
fn literal_prefix(part: &str) -> (String, bool) {
    let (mut prefix, mut rest) = (String::new(), part);
    while let Some(first) = rest.chars().next() {
        let literal = match first {
            '*' | '?' => None,
            '[' => escaped(rest),
            c => Some((c, &rest[c.len_utf8()..])),
        };
        let Some((c, after)) = literal else { return (prefix, false) };
        prefix.push(c);
        rest = after;
    }
    (prefix, true)
}

/// The one character in brackets that a text begins with, and what comes after.
fn escaped(text: &str) -> Option<(char, &str)> {
    let mut inner = text.strip_prefix('[')?.chars();
    let literal = inner.next().filter(|c| *c != '!')?;
    Some((literal, inner.as_str().strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_the_first_wildcard_and_escapes_are_literal() {
        assert_eq!(literal_prefix("Agency A Inc*.csv"), ("Agency A Inc".to_owned(), false));
        assert_eq!(literal_prefix("A[*]b[[]c[]]é.csv"), ("A*b[c]é.csv".to_owned(), true));
        assert_eq!(literal_prefix("A[ab].csv"), ("A".to_owned(), false));
        assert_eq!(literal_prefix("A[!a]"), ("A".to_owned(), false));
        assert_eq!(literal_prefix("**"), (String::new(), false));
    }
}
