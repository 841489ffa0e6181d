//! No file is read for two customers, or two datasets: `bursar check` refuses patterns that can match the same name.

use super::said_of;
use crate::offline::Offline;
use bursar::config::{Customer, Ident};
use bursar::rows::pattern::{Language, overlaps};
use glob::{MatchOptions, Pattern};
use proptest::prelude::*;

const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

fn named(name: &str) -> Customer {
    Customer { name: Ident::parse(name).expect("a name"), ..Customer::house() }
}

/// A name that the patterns of `acme` and `acme_west` both match.
fn common(one: &str, other: &str) -> Option<String> {
    let language = |pattern, customer| Language::new(pattern, &named(customer)).expect("a pattern");
    language(one, "acme").common_name(&language(other, "acme_west"))
}

#[test]
fn a_customer_whose_name_begins_another_ones_is_told_apart_only_by_what_follows() {
    for (pattern, example) in [
        ("{customer}_*.csv", Some("acme_west_.csv")),
        ("in/{customer}*", Some("in/acme_west")),
        ("{customer}_%Y%m%d.csv", None),
        ("{customer}_[0-9]*.csv", None),
        ("{customer}_[!w]*.csv", None),
        ("{customer}/*.csv", None),
        ("{customer}_????.csv", None),
        ("*{customer}.csv", None),
        ("{customer}_%B.csv", None),
        ("%Y/{customer}?west*_%-d", Some("2000/acme_westxwest_1")),
    ] {
        let found = common(pattern, pattern);
        assert_eq!(found.as_deref(), example, "{pattern}");
    }
}

#[test]
fn a_date_overlaps_with_the_text_of_any_date_and_with_no_other() {
    for (one, other) in [
        ("a_%Y%m%d.csv", "a_20260229.csv"),
        ("a_%Y%m%d.csv", "a_%d%m*.csv"),
        ("a_%d%m%y", "a_%Y%m"),
        ("%b.csv", "[A-J]a?.csv"),
        ("%-m-%-d", "1?-*"),
        ("%e", " 7"),
        ("%j", "366"),
        ("%A.csv", "*sday.csv"),
        ("%F", "2026-*"),
        ("%D", "*/*/??"),
    ] {
        assert!(common(one, other).is_some(), "{one} {other}");
        assert!(common(other, one).is_some(), "{other} {one}");
    }
    for (one, other) in [
        ("a_%Y%m%d.csv", "a_20261301.csv"),
        ("a_%Y%m%d.csv", "a_west*.csv"),
        ("%b", "%B.csv"),
        ("%b", "Mar?"),
        ("%-d", "0?"),
        ("%e", "07"),
        ("%y", "???"),
        ("*.csv", ".hidden.csv"),
        ("*", "a/b"),
        ("[a-z].csv", "A.csv"),
        ("x/?.csv", "x/.csv"),
        ("[[]*", "a*"),
        ("100%%", "100"),
    ] {
        assert_eq!(common(one, other), None, "{one} {other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn patterns_overlap_where_a_name_matches_both(
        one in "([ab.*?]|\\[ab\\]|\\[!a\\]|/a){1,5}".prop_filter("no **", |p| !p.contains("**")),
        other in "([ab.*?]|\\[ab\\]|\\[!a\\]|/a){1,5}".prop_filter("no **", |p| !p.contains("**")),
        names in prop::collection::vec("[ab.]{0,2}(/?[ab.]{1,2})?", 8),
    ) {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).unwrap().matches_with(name, MATCH);
        match common(&one, &other) {
            Some(name) => prop_assert!(matches(&one, &name) && matches(&other, &name), "{name}"),
            None => for name in names {
                prop_assert!(!(matches(&one, &name) && matches(&other, &name)), "{name}");
            },
        }
    }
}

#[test]
fn every_overlapping_pair_of_thousands_of_patterns_is_found() {
    let patterns: Vec<String> = (0..1500).map(|n| format!("in/%Y/agency_{n:04}_%Y%m%d.csv")).collect();
    let compile = |pattern: &String| Language::new(pattern, &named("a")).expect("a pattern");
    let mut languages: Vec<Language> = patterns.iter().map(compile).collect();
    assert_eq!(overlaps(&languages.iter().collect::<Vec<_>>(), 10), []);
    languages.push(compile(&"in/2026/agency_07?[05]_*.csv".to_owned()));
    let found = overlaps(&languages.iter().collect::<Vec<_>>(), 100);
    let with_last: Vec<usize> = found.iter().filter(|overlap| overlap.second == 1500).map(|o| o.first).collect();
    assert_eq!((found.len(), with_last.len()), (20, 20));
    assert!(with_last.iter().all(|n| (700..800).contains(n) && n % 5 == 0), "{with_last:?}");
}

#[test]
fn customers_that_would_read_one_file_are_named_with_what_to_write() {
    let folder = Offline::configured();
    let customers = ["acme", "acme_west", "west"].map(|name| format!("[[customer]]\nname = \"{name}\"\n"));
    folder.write("config/customers.toml", customers.concat());
    let dataset = folder.read("config/datasets/customer_rating.toml");
    let with = |pattern: &str| {
        let shipped = "ratings/Customer Rating Agency {customer.code} Inc*.csv";
        folder.write("config/datasets/customer_rating.toml", dataset.replace(shipped, pattern));
        folder.bursar(&["check"])
    };
    let same_dataset = with("ratings/{customer}_*.csv").code(78).stderr;
    with("ratings/{customer}_%Y%m%d.csv").code(0);
    with("ratings/{customer}/*.csv").code(0);
    let own = "[[customer]]\nname = \"east\"\ndataset.customer_rating.file = \"ratings/*_2026*.csv\"\n";
    folder.write("config/customers.toml", customers.concat() + own);
    let own_pattern = with("ratings/{customer}_%Y%m%d.csv").code(78).stderr;
    let other_dataset = with("receivables/{customer}.csv").code(78).stderr;
    let same_fields = said_of("customers.toml", |text| text.replace("code = \"C\"", "code = \"A\""));
    let no_field = said_of("datasets/customer_rating.toml", |text| text.replace(" {customer.code}", ""));
    let all = [same_dataset, own_pattern, other_dataset, same_fields, no_field];
    insta::assert_snapshot!("patterns_that_overlap", all.join("\n"));
}
