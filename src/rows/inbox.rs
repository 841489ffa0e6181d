//! Finds a customer's file for a run date by the dataset's pattern.

use crate::config::{At, Customer, Problems, Source, suggest};
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use glob::{MatchOptions, Pattern};
use std::fmt::Write;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Names with a leading dot are left out by [`is_meant`]: glob would panic at one that is no UTF-8.
const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// The one file that matches `pattern` for this customer and run date.
///
/// # Errors
/// A data fault when there is none, or more than one: which of them counts is not ours to guess. A configuration
/// fault when the inbox is not there or can't be searched: that says nothing of what was delivered.
pub fn find(inbox: &Path, pattern: &str, customer: &Customer, run_date: NaiveDate) -> anyhow::Result<PathBuf> {
    let wanted = render(pattern, customer, run_date)?;
    let shown = inbox.join(&wanted);
    let mut found = matches(inbox, &wanted)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(fault::data(format!(
            "no file of {} for {run_date}: nothing matches {}",
            customer.name,
            shown.display()
        ))),
        n => {
            let names: Vec<String> = found.iter().take(5).map(|p| p.display().to_string()).collect();
            Err(fault::data(format!(
                "{n} files of {} for {run_date} match {}: {}; leave one, or make the pattern tell them apart",
                customer.name,
                shown.display(),
                names.join(", ")
            )))
        }
    }
}

/// The paths within the inbox that match a rendered pattern.
fn matches(inbox: &Path, wanted: &str) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::read_dir(inbox).and_then(|_| std::fs::metadata(inbox.join("."))).map_err(|error| {
        fault::config(format!("the inbox {} can't be searched: {error} (set BURSAR_INBOX_DIR)", inbox.display()))
    })?;
    let full = format!("{}/{wanted}", Pattern::escape(&inbox.to_string_lossy()));
    let entries = glob::glob_with(&full, MATCH)
        .map_err(|error| fault::config(format!("the file pattern {wanted:?}: {error}")))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| {
            let context = format!("can't search {}", error.path().display());
            anyhow::Error::new(std::io::Error::from(error)).context(context)
        })?;
        if is_meant(path.strip_prefix(inbox).unwrap_or(&path), wanted) {
            found.push(path);
        }
    }
    // A folder on the way that can't be entered looks to glob as if it were not there.
    match std::fs::metadata(inbox.join(wanted)) {
        Err(error) if found.is_empty() && error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't look for {}", inbox.join(wanted).display()))
        }
        _ => Ok(found),
    }
}

/// Whether each name with a leading dot is matched by a part of the pattern that has one too, as in a shell.
fn is_meant(path: &Path, wanted: &str) -> bool {
    let is_named = |name: &str| {
        let mut parts = wanted.split('/').filter(|part| part.starts_with('.'));
        parts.any(|part| Pattern::new(part).is_ok_and(|part| part.matches_with(name, MATCH)))
    };
    path.iter().all(|name| !name.as_bytes().starts_with(b".") || name.to_str().is_some_and(is_named))
}

/// The pattern with run date and customer filled in; what they bring is taken literally.
fn render(pattern: &str, customer: &Customer, run_date: NaiveDate) -> anyhow::Result<String> {
    let mut dated = String::new();
    write!(dated, "{}", run_date.format(pattern))
        .map_err(|_| fault::config(format!("the file pattern {pattern:?} has an unknown date specifier")))?;
    let mut text = String::new();
    for part in parts(&dated) {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Field(name) => text.push_str(&Pattern::escape(customer.field(name).ok_or_else(|| {
                fault::config(format!(
                    "the customer {} has no field {name:?} for the file pattern {pattern:?}",
                    customer.name
                ))
            })?)),
            Part::Unknown(text) => {
                return Err(fault::config(format!("{{{text}}} in the file pattern {pattern:?} is unknown")));
            }
        }
    }
    Ok(text)
}

/// Where a customer's file arrives on some day, to tell whether two customers read the same one; none where the
/// pattern can't be filled in.
#[must_use]
pub fn sample(pattern: &str, customer: &Customer) -> Option<String> {
    render(pattern, customer, NaiveDate::default()).ok()
}

/// Whether a pattern tells customers apart at all.
#[must_use]
pub fn names_customer(pattern: &str) -> bool {
    parts(pattern).iter().any(|part| matches!(part, Part::Field(_)))
}

enum Part<'a> {
    Text(&'a str),
    /// A field of the customer.
    Field(&'a str),
    /// Something else in braces.
    Unknown(&'a str),
}

fn parts(pattern: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some((before, inner, after)) = rest
        .split_once('{')
        .and_then(|(before, tail)| tail.split_once('}').map(|(inner, after)| (before, inner, after)))
    {
        parts.push(Part::Text(before));
        parts.push(match inner.strip_prefix("customer") {
            Some("") => Part::Field("name"),
            Some(field) if field.starts_with('.') => Part::Field(&field[1..]),
            _ => Part::Unknown(inner),
        });
        rest = after;
    }
    parts.push(Part::Text(rest));
    parts
}

/// Checks a dataset's file pattern, or a customer's own one, without looking at any folder.
pub fn check_pattern(source: &Source, at: &At, pattern: &str, customers: &[&Customer], problems: &mut Problems) {
    let mut problem = |message: String| problems.push(source.problem(at, message));
    if !is_within(pattern) {
        problem(format!("{pattern:?} must be a path within the inbox: relative, without `..`"));
    }
    let mut dated = String::new();
    if write!(dated, "{}", NaiveDate::default().format(pattern)).is_err() {
        problem(format!("{pattern:?} has a specifier that is none of a date; write %% for a percent sign"));
    }
    if let Err(error) = Pattern::new(pattern) {
        problem(format!("{pattern:?}: {error}"));
    }
    for part in parts(pattern) {
        match part {
            Part::Text(text) if text.contains(['{', '}']) => problem(format!("{text:?} holds half a pair of braces")),
            Part::Text(_) => {}
            Part::Unknown(text) => problem(format!("{{{text}}} is unknown; write {{customer}} or {{customer.FIELD}}")),
            Part::Field(name) => {
                let lacking: Vec<&&Customer> = customers.iter().filter(|c| c.field(name).is_none()).collect();
                if let Some(first) = lacking.first() {
                    let known = first.fields.keys().map(String::as_str).chain(["name"]);
                    let names: Vec<&str> = lacking.iter().take(5).map(|c| c.name.as_str()).collect();
                    let more =
                        if lacking.len() > 5 { format!(" and {} more", lacking.len() - 5) } else { String::new() };
                    let hint = suggest(name, known);
                    problem(format!("{{customer.{name}}} has no value for {}{more}{hint}", names.join(", ")));
                }
            }
        }
    }
    if let Some(customer) =
        customers.iter().find(|c| is_within(pattern) && sample(pattern, c).is_some_and(|path| !is_within(&path)))
    {
        problem(format!(
            "{pattern:?} leaves the inbox for the customer {}: its fields must not hold `..`",
            customer.name
        ));
    }
}

fn is_within(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|c| matches!(c, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ident;

    fn customer(code: &str) -> Customer {
        Customer {
            name: Ident::parse("agency_a").unwrap(),
            files: std::collections::BTreeMap::new(),
            fields: [("code".to_owned(), code.to_owned())].into(),
            position: 0,
        }
    }

    #[test]
    fn date_and_customer_are_filled_in_literally() {
        let date = NaiveDate::from_ymd_opt(2025, 5, 13).unwrap();
        assert_eq!(
            render("in/{customer}/%Y%m%d {customer.code}*.csv", &customer("A%d*"), date).unwrap(),
            "in/agency_a/20250513 A%d[*]*.csv"
        );
    }

    #[test]
    fn a_hidden_name_is_meant_only_by_a_pattern_with_a_dot() {
        let meant = |path: &str, wanted: &str| is_meant(Path::new(path), wanted);
        assert!(meant("in/a.csv", "*/*.csv"));
        assert!(!meant("in/.a.csv", "in/*.csv"));
        assert!(!meant(".in/a.csv", "*/a.csv"));
        assert!(meant("in/.a.csv", "in/.*.csv"));
        assert!(!meant("in/.b.csv", "in/.a*.csv"));
        assert!(!is_meant(Path::new(std::ffi::OsStr::from_bytes(b".\xFF")), "*"));
    }

    #[test]
    fn a_pattern_that_leaves_the_inbox_is_a_problem() {
        for bad in [
            "../x.csv",
            "/etc/passwd",
            "",
            "a/%Q.csv",
            "{customer.town}.csv",
            "{client}.csv",
            "%H.csv",
            "{customer.csv",
        ] {
            let mut problems = Problems::default();
            check_pattern(&Source::of("x.toml", ""), &At::key("file"), bad, &[&customer("A")], &mut problems);
            assert!(!problems.is_empty(), "{bad}");
        }
    }
}
