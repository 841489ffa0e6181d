//! Names of files in the inbox: those that nearly match a pattern that nothing matches, and those that are refused.

use super::{Inbox, MATCH, metadata};
use crate::config::Customer;
use crate::escape;
use crate::fault;
use crate::rows::pattern::render;
use crate::rows::source::address::Kind;
use chrono::{NaiveDate, TimeDelta};
use encoding_rs::WINDOWS_1252;
use glob::Pattern;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// The most near misses that are named.
const MAX_NAMED: usize = 3;

/// The most names of a folder that are looked at.
const MAX_NAMES: usize = 20_000;

/// How many days back a file of another run date is looked for.
const DAYS_BACK: i64 = 7;

/// What programs put behind the name of a file while they write or send it.
const UNFINISHED: [&str; 10] =
    [".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".writing", ".inprogress", "~"];

/// What is put behind a name by mistake, or says that the file is packed.
const APPENDED: [&str; 9] = [".txt", ".bak", ".old", ".gz", ".zst", ".bz2", ".xz", ".zip", ".csv"];

/// Refuses a file whose name has control characters.
///
/// # Errors
/// Returns a data fault that names the file.
pub(super) fn refuse_control_characters(path: &Path) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !name.contains(char::is_control) {
        return Ok(());
    }
    let shown = escape::path(path);
    Err(fault::data(format!(
        "the name of {shown} has control characters: it is not read; have it delivered under another name"
    )))
}

/// What nearly matches the pattern of a customer's file for a run date, to be added to a message. Empty where nothing
/// does, or the folder can't be read.
pub(super) fn near_misses(inbox: &mut Inbox, pattern: &str, customer: &Customer, run_date: NaiveDate) -> String {
    let wanted = render(pattern, customer, run_date).ok().filter(|wanted| Kind::of(wanted).is_none());
    let Some(wanted) = wanted else { return String::new() };
    let found = list(inbox, pattern, customer, run_date, &wanted);
    if found.is_empty() { String::new() } else { format!("; near misses: {}", found.join(", ")) }
}

/// The same, one by one; `wanted` is the pattern with customer and run date filled in.
fn list(inbox: &mut Inbox, pattern: &str, customer: &Customer, run_date: NaiveDate, wanted: &str) -> Vec<String> {
    let (folders, name) = wanted.rsplit_once('/').unwrap_or(("", wanted));
    let folders = match folders {
        "" => vec![inbox.places.inbox().to_owned()],
        folders => inbox.matches(folders).unwrap_or_default(),
    };
    let folders: Vec<PathBuf> = folders.into_iter().filter(|folder| folder.is_dir()).collect();
    let mut found = Vec::new();
    if folders.is_empty() {
        let folder = wanted.rsplit_once('/').map_or(wanted, |(folder, _)| folder);
        found.push(format!("there is no folder {}", escape::value(folder.as_bytes())));
    }
    if let Some(wish) = Wish::new(name) {
        found.extend(folders.iter().flat_map(|folder| wish.near_misses(folder)).take(MAX_NAMED));
    }
    found.extend(of_another_date(inbox, pattern, customer, run_date, wanted));
    found
}

/// The pattern of a name, and the same without what often differs by mistake.
struct Wish<'a> {
    text: &'a str,
    exact: Pattern,
    composed: Pattern,
    folded: Pattern,
}

impl<'a> Wish<'a> {
    fn new(text: &'a str) -> Option<Self> {
        let composed: String = text.nfc().collect();
        let folded = Pattern::new(&composed.to_lowercase()).ok()?;
        Some(Self { text, exact: Pattern::new(text).ok()?, composed: Pattern::new(&composed).ok()?, folded })
    }

    fn near_misses(&self, folder: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let names = entries.take(MAX_NAMES).filter_map(|entry| Some(entry.ok()?.file_name()));
        let mut found: Vec<String> = names
            .filter_map(|name| {
                let why = self.why(folder, &name)?;
                Some(format!("{} ({why})", escape::value(name.as_encoded_bytes())))
            })
            .collect();
        found.sort_unstable();
        found.truncate(MAX_NAMED);
        found
    }

    /// Why a name does not match though it nearly does; `None` where it is another name altogether.
    fn why(&self, folder: &Path, name: &OsStr) -> Option<String> {
        let mut reasons = Vec::new();
        let text = match name.to_str() {
            Some(text) => Cow::Borrowed(text),
            None => {
                reasons.push("its name is not UTF-8".to_owned());
                WINDOWS_1252.decode_without_bom_handling(name.as_encoded_bytes()).0
            }
        };
        let is_exact = reasons.is_empty() && self.exact.matches_with(&text, MATCH);
        if is_exact {
            return dangling_link(&folder.join(name));
        }
        let mut rest = text.trim();
        if rest.len() < text.len() {
            reasons.push("its name begins or ends with blanks".to_owned());
        }
        if let Some(shown) = rest.strip_prefix('.').filter(|_| !self.text.starts_with('.')) {
            reasons.push("it is hidden: its name begins with a dot".to_owned());
            rest = shown;
        }
        if !self.matches(rest)
            && let Some(ending) = self.lacking(rest)
        {
            reasons.push(format!("it lacks {ending}"));
            return Some(reasons.join("; "));
        }
        while !self.matches(rest)
            && let Some((kept, reason)) = shortened(rest)
        {
            reasons.push(reason);
            rest = kept;
        }
        if !self.matches(rest) {
            return None;
        }
        if !self.exact.matches_with(rest, MATCH) {
            let composed: String = rest.nfc().collect();
            reasons.extend(
                (composed != rest || self.composed.as_str() != self.text)
                    .then(|| "its letters with marks are composed otherwise (Unicode NFC, NFD)".to_owned()),
            );
            if !self.composed.matches_with(&composed, MATCH) {
                reasons.push("upper and lower case differ".to_owned());
            }
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn matches(&self, name: &str) -> bool {
        let folded: String = name.nfc().collect::<String>().to_lowercase();
        self.folded.matches_with(&folded, MATCH)
    }

    /// What would make a name match if it stood behind it.
    fn lacking(&self, name: &str) -> Option<&'static str> {
        let is_lacking = |ending: &&'static str| {
            let is_packing = *ending != ".csv";
            self.text.ends_with(*ending)
                && (is_packing || !name.contains('.'))
                && self.matches(&format!("{name}{ending}"))
        };
        APPENDED.into_iter().find(is_lacking)
    }
}

/// A name without what stands behind it by mistake, and what to say of it.
fn shortened(name: &str) -> Option<(&str, String)> {
    let without = |ending: &&str| {
        let at = name.len().checked_sub(ending.len())?;
        name.get(at..)?.eq_ignore_ascii_case(ending).then_some(at)
    };
    let found = |endings: &[&'static str]| endings.iter().find_map(|ending| Some((without(ending)?, *ending)));
    if let Some((at, ending)) = found(&UNFINISHED) {
        return Some((
            &name[..at],
            format!("it ends with {ending}: its transfer has not ended, or it was not renamed"),
        ));
    }
    found(&APPENDED).map(|(at, ending)| (&name[..at], format!("it ends with {ending}")))
}

/// What a symbolic link that leads nowhere points to.
fn dangling_link(path: &Path) -> Option<String> {
    if std::fs::metadata(path).is_ok() {
        return None;
    }
    let to = std::fs::read_link(path).ok()?;
    Some(format!("it is a symbolic link to {}, which does not exist", escape::path(&to)))
}

/// The newest file of a day before, or that of the day after, where the pattern tells days apart.
fn of_another_date(
    inbox: &mut Inbox,
    pattern: &str,
    customer: &Customer,
    run_date: NaiveDate,
    wanted: &str,
) -> Option<String> {
    let days = (1..=DAYS_BACK).map(|back| -back).chain([1]);
    days.into_iter().find_map(|days| {
        let date = run_date + TimeDelta::days(days);
        let other = render(pattern, customer, date).ok().filter(|other| other != wanted)?;
        let path = inbox.matches(&other).ok()?.into_iter().find(|path| matches!(metadata(path), Ok(Some(_))))?;
        let within = path.strip_prefix(inbox.places.inbox()).unwrap_or(&path);
        Some(format!("{} (it is the file of {date})", escape::path(within)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    fn why(pattern: &str, name: &[u8]) -> String {
        let wish = Wish::new(pattern).unwrap();
        wish.why(Path::new("/nowhere"), OsStr::from_bytes(name)).unwrap_or_default()
    }

    #[test]
    fn a_near_miss_is_named_with_what_keeps_it_from_matching() {
        for (pattern, name, words) in [
            ("acme_*.csv", "ACME_1.csv", "upper and lower case differ"),
            ("acme_*.csv", "acme_1.CSV", "upper and lower case differ"),
            ("acme_*.csv", " acme_1.csv", "its name begins or ends with blanks"),
            ("acme_*.csv", "acme_1.csv ", "its name begins or ends with blanks"),
            ("acme_*.csv", "acme_1.csv.part", "it ends with .part: its transfer has not ended"),
            ("acme_*.csv", "acme_1.csv.filepart", "it ends with .filepart"),
            ("acme_*.csv", "acme_1.csv.TMP", "it ends with .tmp"),
            ("acme_*.csv", "acme_1.csv.txt", "it ends with .txt"),
            ("acme_*.csv", "acme_1.csv.gz", "it ends with .gz"),
            ("acme_*.csv.gz", "acme_1.csv", "it lacks .gz"),
            ("acme_*.csv", "acme_1", "it lacks .csv"),
            ("acme_*.csv", ".acme_1.csv.tmp", "it is hidden: its name begins with a dot; it ends with .tmp"),
            ("müller.csv", "mu\u{308}ller.csv", "composed otherwise"),
            ("mu\u{308}ller.csv", "müller.csv", "composed otherwise"),
            ("müller.csv", "MU\u{308}LLER.csv", "composed otherwise (Unicode NFC, NFD); upper and lower case differ"),
        ] {
            assert!(why(pattern, name.as_bytes()).contains(words), "{name}: {}", why(pattern, name.as_bytes()));
        }
        assert_eq!(why("müller*.csv", b"m\xFCller.csv"), "its name is not UTF-8");
        for other in ["other.csv", "acme_1.xml", "acme.csv", ""] {
            assert_eq!(why("acme_*.csv", other.as_bytes()), "", "{other}");
        }
    }
}
