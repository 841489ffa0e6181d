//! Reads what control totals state.

use super::{Compiled, Control, FILE, Figure, Origin};
use crate::config::Customer;
use crate::escape;
use crate::fault;
use crate::rows::complete::{modified_at, touched_at};
use crate::rows::pattern::render;
use crate::rows::reject::readable;
use crate::rows::trailer::TrailerLine;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use glob::Pattern;
use indexmap::{IndexMap, IndexSet};
use regex::Regex;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The most bytes that a sidecar or a manifest may have.
const MOST_BYTES: u64 = 64 << 20;

/// What was stated of a file.
#[derive(Clone, Debug)]
pub struct Stated {
    /// Where it stands, in words: a file, and a line of it.
    pub place: String,
    /// Name to figure.
    pub values: IndexMap<String, Figure>,
    /// The file it stands in, where that is not the file itself.
    read: Option<Seen>,
}

/// A small file as it was when it was read.
#[derive(Clone, Debug)]
struct Seen {
    path: PathBuf,
    is: Is,
}

type Is = Option<(u64, u64, DateTime<Utc>)>;

fn is(path: &Path) -> Is {
    std::fs::metadata(path).ok().map(|file| (file.ino(), file.len(), modified_at(&file)))
}

/// A file of which something is stated.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// Where the inbox is.
    pub inbox: &'a Path,
    /// Where the file lies.
    pub path: &'a Path,
    /// The name it was delivered with.
    pub name: &'a str,
    /// Whether it lies where it was delivered; else its name alone is known.
    pub is_in_place: bool,
    /// Who delivered it.
    pub customer: &'a Customer,
    /// The day it is for.
    pub run_date: NaiveDate,
}

impl Control {
    /// Where the sidecar or the manifest of a file is to lie; none for trailers.
    ///
    /// # Errors
    /// A configuration fault for a pattern that can't be filled in.
    pub fn path_of(&self, of: &Of<'_>) -> anyhow::Result<Option<PathBuf>> {
        Ok(match self.origin {
            Origin::Trailer => None,
            Origin::Sidecar => {
                let name = of.path.file_name().unwrap_or_default().to_string_lossy();
                Some(of.path.with_file_name(self.file.replace("{file}", &name)))
            }
            Origin::Manifest => Some(of.inbox.join(unescaped(&render(&self.file, of.customer, of.run_date)?))),
        })
    }

    /// Since when the sidecar or the manifest of a file is there, or why the file has to wait for it; none for trailers.
    ///
    /// # Errors
    /// What the file system says.
    pub fn arrived(&self, of: &Of<'_>, now: DateTime<Utc>) -> anyhow::Result<Result<Option<DateTime<Utc>>, String>> {
        let Some(path) = self.path_of(of)? else { return Ok(Ok(None)) };
        match std::fs::metadata(&path) {
            Ok(found) => Ok(Ok(Some(touched_at(&found, now)))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Err(format!("its {} {} is not there yet", self.origin.as_str(), escape::path(&path))))
            }
            Err(error) => Err(error).with_context(|| format!("can't look for {}", escape::path(&path))),
        }
    }

    /// Reads the sidecar or the manifest of a file; none where its trailer lines state its totals.
    ///
    /// # Errors
    /// A data fault when it is missing or can't be understood, with what was expected; what the file system says.
    pub fn read(&self, of: &Of<'_>) -> anyhow::Result<Option<Stated>> {
        let Some(path) = self.path_of(of)? else { return Ok(None) };
        let before = is(&path);
        let place = escape::path(&path);
        let text = text(&path, self.origin, of.path)?;
        let (place, values) = match (&self.form, self.origin) {
            (Compiled::Text(pattern), _) => matched(pattern, &[(place.clone(), 1, &text)])?,
            (Compiled::Sha256, _) => (place.clone(), sha256(&text, &self.listed(of)).with_context(|| place.clone())?),
            (Compiled::Json { list, values }, Origin::Manifest) => {
                let entry = json_entry(&text, list, values, &self.listed(of)).with_context(|| place.clone())?;
                (place.clone(), pointed(entry, values).with_context(|| place)?)
            }
            (Compiled::Json { values, .. }, _) => {
                let figures = raw(&text).and_then(|value| pointed(value, values));
                (place.clone(), figures.with_context(|| place)?)
            }
            (Compiled::Csv(columns), _) => csv(&text, columns, &self.listed(of), self.origin, &place)?,
            (Compiled::Done, _) => (place, IndexMap::new()),
        };
        let stated = Stated { place, values, read: Some(Seen { path, is: before }) };
        stated.check_unchanged()?;
        Ok(Some(stated))
    }

    /// A sidecar is its file's by its own name; a manifest may list files of many customers.
    fn listed<'a>(&self, of: &Of<'a>) -> Listed<'a> {
        let is_told = self.origin == Origin::Manifest && of.is_in_place;
        let within = of.path.strip_prefix(of.inbox).ok().filter(|_| is_told);
        let folder = within.and_then(|path| path.parent()?.to_str());
        Listed { name: of.name, folders: folder.map(|folder| parts(folder).rev().collect()) }
    }

    /// What the file's own trailer lines state.
    ///
    /// # Errors
    /// A data fault when they state nothing, or two things.
    pub fn read_trailers(&self, path: &Path, trailers: &[TrailerLine]) -> anyhow::Result<Stated> {
        let Compiled::Text(pattern) = &self.form else { return Err(fault::bug("a trailer without a pattern")) };
        let path = escape::path(path);
        if trailers.is_empty() {
            return Err(fault::data(format!(
                "{path} has no trailer line, which control.from asks for: was it cut off? Nothing was loaded"
            )));
        }
        let texts: Vec<_> =
            trailers.iter().map(|trailer| (path.clone(), trailer.line, trailer.text.as_str())).collect();
        let (place, values) = matched(pattern, &texts)?;
        Ok(Stated { place, values, read: None })
    }
}

impl Stated {
    /// Makes sure that the sidecar or manifest still says what was read.
    ///
    /// # Errors
    /// A transient fault where it has changed: it is still being delivered.
    pub fn check_unchanged(&self) -> anyhow::Result<()> {
        match &self.read {
            Some(seen) if is(&seen.path) != seen.is => Err(fault::transient(format!(
                "{} changed while it was used; it may still be being delivered: nothing was loaded, run again",
                escape::path(&seen.path)
            ))),
            _ => Ok(()),
        }
    }
}

/// A rendered pattern without wildcards as the path it means: what customers' fields bring is taken literally.
pub(in crate::rows) fn unescaped(rendered: &str) -> String {
    ["*", "?", "[", "]"].iter().fold(rendered.to_owned(), |text, c| text.replace(&Pattern::escape(c), c))
}

fn text(path: &Path, origin: Origin, of: &Path) -> anyhow::Result<String> {
    let shown = escape::path(path);
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => fault::data(format!(
            "the {} {shown} of {} is not there: its control totals can't be compared, nothing was loaded",
            origin.as_str(),
            escape::path(of)
        )),
        _ => anyhow::Error::new(error).context(format!("can't open {shown}")),
    })?;
    let mut bytes = Vec::new();
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("can't read {shown}"))?;
    if read as u64 > MOST_BYTES {
        return Err(fault::data(format!("{shown} has more than {MOST_BYTES} bytes: it is no {}", origin.as_str())));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = 1 + newlines(&sound);
        fault::data(format!("{shown}: line {line} is no UTF-8; text was expected"))
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

/// What the pattern's groups catch in these texts, each with its place and the number of its first line.
fn matched(pattern: &Regex, texts: &[(String, u64, &str)]) -> anyhow::Result<(String, IndexMap<String, Figure>)> {
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    let (mut values, mut at) = (IndexMap::new(), None);
    for (place, first, text) in texts {
        // A line ends before its CR.
        let text = text.replace("\r\n", "\n");
        for captures in pattern.captures_iter(&text) {
            let start = captures.get(0).map_or(0, |all| all.start());
            let here = format!("{place}: line {}", first + newlines(&text[..start]));
            for (name, figure) in names.iter().filter_map(|name| Some((*name, captures.name(name)?.as_str()))) {
                match values.insert(name.to_owned(), Figure::text(figure)) {
                    Some(other) if other.text != figure => {
                        return Err(fault::data(format!(
                            "{here}: {name} is stated as {figure:?}, and as {:?} before",
                            other.text
                        )));
                    }
                    _ => {}
                }
            }
            at.get_or_insert(here);
        }
    }
    let Some((place, first, text)) = texts.first() else { return Err(fault::bug("nothing to look for totals in")) };
    let line = text.lines().next().unwrap_or_default();
    let place = at.unwrap_or_else(|| format!("{place}: line {first}"));
    match names.iter().find(|name| !values.contains_key(**name)) {
        None => Ok((place, values)),
        Some(name) => Err(fault::data(format!(
            "{place}: it states no {name}: {:?} is not like control.pattern = {:?}",
            readable(line.as_bytes()),
            pattern.as_str(),
        ))),
    }
}

fn newlines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

/// The hash of a file in the form that `sha256sum` writes: `HEX  NAME`, one line for each file; or the hash alone.
fn sha256(text: &str, listed: &Listed<'_>) -> anyhow::Result<IndexMap<String, Figure>> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    // What is said twice is said once.
    let mut hashes = IndexSet::new();
    for (line, number) in lines {
        let (hash, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let line = readable(line.as_bytes());
            return Err(fault::data(format!("line {number}: {line:?} is not like sha256sum's HEX  NAME")));
        }
        let of = rest.trim_start().trim_start_matches('*');
        hashes.insert((if of.is_empty() { listed.name } else { of }, hash.to_ascii_lowercase()));
    }
    let hashes: Vec<_> = hashes.into_iter().collect();
    if hashes.is_empty() {
        return Err(fault::data("it is empty; a line of sha256sum's, HEX  NAME, was expected"));
    }
    let (_, hash) = listed.one("lines", &hashes, |(of, _)| Some(*of))?;
    Ok([("sha256".to_owned(), Figure::text(hash))].into())
}

fn raw(text: &str) -> anyhow::Result<&RawValue> {
    serde_json::from_str(text).map_err(|error| {
        fault::data(format!("line {}, column {}: it is no JSON: {error}", error.line(), error.column()))
    })
}

/// The value that a JSON pointer (RFC 6901) leads to, as it is written: numbers stay exact.
fn find<'v>(value: &'v RawValue, pointer: &str) -> Option<&'v RawValue> {
    pointer.split('/').skip(1).try_fold(value, |value, step| {
        let step = step.replace("~1", "/").replace("~0", "~");
        if let Ok(keys) = serde_json::from_str::<HashMap<String, &RawValue>>(value.get()) {
            return keys.get(&step).copied();
        }
        let entries: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
        entries.get(step.parse::<usize>().ok()?).copied()
    })
}

/// A single value.
fn single(value: &RawValue) -> Option<Figure> {
    match value.get().as_bytes().first()? {
        b'"' => serde_json::from_str(value.get()).ok().map(|text: String| Figure::text(&text)),
        b'{' | b'[' | b'n' => None,
        _ => Some(Figure::json_number(value.get())),
    }
}

fn pointed(value: &RawValue, values: &IndexMap<String, String>) -> anyhow::Result<IndexMap<String, Figure>> {
    let stated = values.iter().filter(|(name, _)| *name != FILE);
    stated
        .map(|(name, pointer)| match find(value, pointer).map(single) {
            Some(Some(figure)) => Ok((name.clone(), figure)),
            Some(None) => Err(fault::data(format!("{name}: at {pointer} a number or a text was expected"))),
            None => Err(fault::data(format!("it states no {name}: there is nothing at {pointer}"))),
        })
        .collect()
}

/// The one entry of a manifest that is for a file.
fn json_entry<'t>(
    text: &'t str,
    list: &str,
    values: &IndexMap<String, String>,
    of: &Listed<'_>,
) -> anyhow::Result<&'t RawValue> {
    let listed = find(raw(text)?, list).and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list.get()).ok());
    let entries = listed.ok_or_else(|| fault::data(format!("at {list:?} a list of files was expected")))?;
    let pointer = values.get(FILE).map_or("", String::as_str);
    of.one("entries", &entries, |entry| Some(find(entry, pointer).and_then(single)?.text)).copied()
}

fn csv(
    text: &str,
    columns: &IndexMap<String, String>,
    of: &Listed<'_>,
    origin: Origin,
    place: &str,
) -> anyhow::Result<(String, IndexMap<String, Figure>)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let broken = |error: csv::Error| fault::data(format!("{place}: it is no CSV: {error}"));
    let header = reader.headers().map_err(broken)?.clone();
    let mut at = HashMap::new();
    for (name, column) in columns {
        let found = header.iter().position(|title| title == column);
        let found = found.ok_or_else(|| {
            let titles: Vec<&str> = header.iter().collect();
            fault::data(format!("{place}: line 1: there is no column {column:?}, only {}", titles.join(", ")))
        })?;
        at.insert(name.as_str(), found);
    }
    let records = reader.records().collect::<Result<Vec<_>, _>>().map_err(broken)?;
    let named = |record: &csv::StringRecord| match origin {
        Origin::Manifest => at.get(FILE).and_then(|at| record.get(*at)).map(str::to_owned),
        _ => Some(of.name.to_owned()),
    };
    let record = of.one("entries", &records, named).with_context(|| place.to_owned())?;
    let line = record.position().map_or(0, csv::Position::line);
    let figure = |name: &str| Figure::text(at.get(name).and_then(|at| record.get(*at)).unwrap_or_default());
    let values = columns.keys().filter(|name| *name != FILE).map(|name| (name.clone(), figure(name))).collect();
    Ok((format!("{place}: line {line}"), values))
}

/// A file as lists call it.
struct Listed<'a> {
    name: &'a str,
    /// The folders it lies in within the inbox, from the last one on; none where they have no bearing.
    folders: Option<Vec<&'a str>>,
}

impl Listed<'_> {
    /// The one entry that is this file's, by the name or the path that it gives.
    fn one<'e, T, N: AsRef<str>>(
        &self,
        what: &str,
        entries: &'e [T],
        named: impl Fn(&T) -> Option<N>,
    ) -> anyhow::Result<&'e T> {
        let (mut found, mut elsewhere) = (Vec::new(), None);
        for entry in entries {
            let Some(path) = named(entry) else { continue };
            let (folder, name) = path.as_ref().rsplit_once('/').unwrap_or(("", path.as_ref()));
            if name != self.name {
                continue;
            }
            if self.is_in(folder) {
                found.push(entry);
            } else {
                elsewhere = Some(path.as_ref().to_owned());
            }
        }
        let (all, name) = (entries.len(), self.name);
        match (&found[..], elsewhere) {
            ([only], _) => Ok(only),
            ([], None) => Err(fault::data(format!("none of its {all} {what} is for {name}"))),
            ([], Some(other)) => Err(fault::data(format!(
                "none of its {all} {what} is for {name} in its folder, only one for {other:?}: have it list the name \
                 alone, or the folders that the file has in the inbox"
            ))),
            (several, _) => {
                Err(fault::data(format!("{} of its {all} {what} are for {name}; one was expected", several.len())))
            }
        }
    }

    /// Whether an entry's folders are this file's, as far as both are told: another customer's may have its name.
    fn is_in(&self, folder: &str) -> bool {
        let Some(ours) = &self.folders else { return true };
        parts(folder).rev().zip(ours).all(|(theirs, our)| theirs == *our)
    }
}

fn parts(folder: &str) -> impl DoubleEndedIterator<Item = &str> {
    folder.split('/').filter(|part| !part.is_empty() && *part != ".")
}
