//! The pattern of a dataset's files: `*` and `?`, the run date, and what tells customers apart.

mod dates;
mod overlap;
mod prefixes;
mod set;

pub use overlap::{Language, Overlap, overlaps};

use super::source::address;
use crate::config::{At, Customer, Problems, Source, suggest};
use crate::fault;
use chrono::NaiveDate;
use glob::Pattern;
use std::fmt::Write;
use std::path::{Component, Path};

/// The pattern with run date and customer filled in; what they bring is taken literally.
pub(super) fn render(pattern: &str, customer: &Customer, run_date: NaiveDate) -> anyhow::Result<String> {
    let mut dated = String::new();
    write!(dated, "{}", run_date.format(pattern)).map_err(|_| {
        fault::config(format!("the file pattern {:?} has an unknown date specifier", address::shown(pattern)))
    })?;
    let mut text = String::new();
    for part in parts(&dated) {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Field(name) => text.push_str(&Pattern::escape(customer.field(name).ok_or_else(|| {
                fault::config(format!(
                    "the customer {} has no field {name:?} for the file pattern {:?}",
                    customer.name,
                    address::shown(pattern)
                ))
            })?)),
            Part::Unknown(text) => {
                let shown = address::shown(pattern);
                return Err(fault::config(format!("{{{text}}} in the file pattern {shown:?} is unknown")));
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

/// The pattern with the customer's fields filled in, and the date as it is written, for messages.
#[must_use]
pub fn with_fields(pattern: &str, customer: &Customer) -> String {
    let text = |part| match part {
        Part::Text(text) => text.to_owned(),
        Part::Field(name) => customer.field(name).map_or_else(|| format!("{{customer.{name}}}"), str::to_owned),
        Part::Unknown(inner) => format!("{{{inner}}}"),
    };
    parts(pattern).into_iter().map(text).collect()
}

/// Whether a pattern tells customers apart at all.
#[must_use]
pub fn names_customer(pattern: &str) -> bool {
    parts(pattern).iter().any(|part| matches!(part, Part::Field(_)))
}

/// Whether a pattern tells run dates apart: without a date in it the same name serves every day.
#[must_use]
pub fn is_dated(pattern: &str) -> bool {
    let on = |days: i64| {
        let mut text = String::new();
        let day = NaiveDate::default() + chrono::TimeDelta::days(days);
        write!(text, "{}", day.format(pattern)).map(|()| text)
    };
    // Another day, weekday, week, month and year.
    on(0) != on(397)
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
    // The query of an address can be a secret.
    let (is_path, shown) = (!pattern.contains("://"), address::shown(pattern));
    if let Some(why) = address::why_not(pattern) {
        problem(format!("{shown:?} {why}"));
    } else if is_path && !is_within(pattern) {
        problem(format!("{shown:?} must be a path within the inbox: relative, without `..`"));
    }
    let mut dated = String::new();
    if write!(dated, "{}", NaiveDate::default().format(pattern)).is_err() {
        problem(format!("{shown:?} has a specifier that is none of a date; write %% for a percent sign"));
    }
    if pattern.contains("**") {
        problem(format!("{shown:?}: a `*` stands for a part of one name, and `**` for nothing more"));
    }
    if let Err(error) = Pattern::new(pattern) {
        problem(format!("{shown:?}: {error}"));
    }
    for part in parts(pattern) {
        match part {
            Part::Text(text) if text.contains(['{', '}']) => problem(format!("{shown:?} holds half a pair of braces")),
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
    let leaves = |path: String| if is_path { !is_within(&path) } else { address::why_not(&path).is_some() };
    let is_sound = if is_path { is_within(pattern) } else { address::why_not(pattern).is_none() };
    if let Some(customer) = customers.iter().find(|c| is_sound && sample(pattern, c).is_some_and(leaves)) {
        let name = &customer.name;
        problem(if is_path {
            format!("{shown:?} leaves the inbox for the customer {name}: its fields must not hold `..`")
        } else {
            format!("{shown:?} is no address for the customer {name}: its fields hold `..`, `//` or a wildcard")
        });
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
            fields: [("code".to_owned(), code.to_owned())].into(),
            ..Customer::house()
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

    #[test]
    fn no_problem_shows_the_query_of_an_address() {
        let bad = "https://host/{customer.code.csv**?token=hush&at=%Q";
        let mut problems = Problems::default();
        check_pattern(&Source::of("x.toml", ""), &At::key("file"), bad, &[&customer("A")], &mut problems);
        let said = format!("{problems:?}");
        assert!(said.contains("https://host/") && !said.contains("hush"), "{said}");
    }

    #[test]
    fn a_pattern_is_dated_when_another_day_has_another_name() {
        for dated in ["%Y%m%d.csv", "in/%d/x.csv", "%a.csv", "%Y/x.csv"] {
            assert!(is_dated(dated), "{dated}");
        }
        for undated in ["x.csv", "100%% of {customer}*.csv"] {
            assert!(!is_dated(undated), "{undated}");
        }
    }
}
