//! Of rows with the same declared key the first is kept and every later one is a reject that names both lines.

use super::{dataset, take_apart};
use crate::support::Folder;
use bursar::config::{Ident, Problems, Source};
use bursar::fault::{Fault, judge};
use bursar::rows::dataset::{LooseDataset, compile_dataset};
use proptest::prelude::*;
use std::collections::HashMap;

const COLUMNS: &str = "
[[column]]
name = \"number\"
type = \"integer\"
[[column]]
name = \"amount\"
type = \"numeric(9,3)\"
nullable = true
[[column]]
name = \"word\"
type = \"text\"
nullable = true
";

/// A value, and a way it is written.
fn spelt(values: &[(&'static str, &[&'static str])]) -> impl Strategy<Value = (&'static str, &'static str)> {
    let all: Vec<(&str, &str)> =
        values.iter().flat_map(|(value, spellings)| spellings.iter().map(move |s| (*value, *s))).collect();
    proptest::sample::select(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_later_row_of_a_key_is_a_reject_however_it_is_spelt_and_nulls_equal_nothing(
        rows in proptest::collection::vec((
            spelt(&[("7", &["7", "007", "+7", "\"7\""]), ("-7", &["-7", "-07"]), ("70", &["70"]), ("0", &["0", "-0", "+00"])]),
            spelt(&[("1", &["1", "1.0", "01.000", "\"1.00\""]), ("10000", &["10000", "10000.0"]), ("0", &["0", "-0", "0.000"]), ("", &[""]), ("-1", &["-1.0"]), ("0.1", &["0.1", "0.100"])]),
            spelt(&[("a", &["a", "\"a\""]), ("A", &["A"]), ("a ", &["a "]), ("", &[""]), ("empty", &["\"\""]), ("q", &["\"a\"\"b\""])]),
        ), 0..40)
    ) {
        let folder = Folder::new();
        let dataset = dataset(&format!("unique = [[\"number\", \"amount\"], [\"word\"]]\n{COLUMNS}"));
        let lines: Vec<String> = rows.iter().map(|(n, a, w)| format!("{},{},{}\n", n.1, a.1, w.1)).collect();
        let taken = take_apart(&folder.path(""), format!("number,amount,word\n{}", lines.concat()).as_bytes(), &dataset).expect("a file");
        let (mut pairs, mut words) = (HashMap::new(), HashMap::new());
        let mut expected = Vec::new();
        for (line, (n, a, w)) in (2..).zip(&rows) {
            let pair = (!a.0.is_empty()).then_some((n.0, a.0));
            let word = (!w.0.is_empty()).then_some(w.0);
            let firsts: Vec<i32> = [pair.and_then(|p| pairs.get(&p)), word.and_then(|w| words.get(&w))].into_iter().flatten().copied().collect();
            if firsts.is_empty() {
                pair.map(|p| pairs.insert(p, line));
                word.map(|w| words.insert(w, line));
            } else {
                expected.push((line, firsts));
            }
        }
        let found: Vec<(i32, Vec<i32>)> = taken.rejects.iter().map(|reject| {
            assert_eq!((&reject["error_class"], &reject["errors"][0]["code"]), (&"duplicate".into(), &"duplicate_key".into()));
            let firsts = reject["errors"].as_array().expect("errors").iter().map(|error| {
                let message = error["message"].as_str().expect("a message");
                message.strip_prefix("lines ").and_then(|rest| rest.split(' ').next()).expect("a line").parse().expect("a number")
            });
            (i32::try_from(reject["line"].as_i64().expect("a line")).expect("a line"), firsts.collect())
        }).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
    }
}

#[test]
fn a_duplicate_names_both_lines_and_its_column() {
    let (folder, dataset) = (Folder::new(), dataset(&format!("unique = [[\"number\"]]\n{COLUMNS}")));
    let taken = take_apart(&folder.path(""), b"number,amount,word\n1,,\"two\nlines\"\n2,,\nx,,\n01,,\n", &dataset)
        .expect("a file");
    let error = &taken.rejects[1]["errors"][0];
    assert_eq!((&error["column"], &error["code"]), (&"number".into(), &"duplicate_key".into()));
    assert_eq!(error["message"], "lines 2 and 6 have the same number (unique); the first is kept");
}

#[test]
fn a_row_that_is_rejected_takes_no_key() {
    let (folder, dataset) = (Folder::new(), dataset(&format!("unique = [[\"number\"], [\"word\"]]\n{COLUMNS}")));
    let taken =
        take_apart(&folder.path(""), b"number,amount,word\n1,x,a\n1,,b\n2,,b\n2,,c\n", &dataset).expect("a file");
    let lines: Vec<i64> = taken.rejects.iter().filter_map(|r| r["line"].as_i64()).collect();
    assert_eq!(lines, [2, 4], "line 3 may have the key of line 2, line 5 that of line 4");
}

#[test]
fn a_file_of_more_rows_than_the_bound_fails_and_says_what_to_do() {
    let (folder, dataset) =
        (Folder::new(), dataset(&format!("unique = [[\"number\"]]\nunique_max_rows = 3\n{COLUMNS}")));
    let fits = take_apart(&folder.path(""), b"number,amount,word\n1,,\n2,,\n3,,\n3,,\n", &dataset).expect("three rows");
    assert_eq!(fits.parsed.certificate.tally.loaded, 3);
    let error =
        take_apart(&folder.path(""), b"number,amount,word\n1,,\n2,,\n3,,\n4,,\n", &dataset).err().expect("four");
    assert_eq!(judge(&error), Fault::Config);
    assert!(
        format!("{error:#}")
            .contains("line 5: the file has more than 3 good rows, which is the dataset's unique_max_rows"),
        "{error:#}"
    );
}

#[test]
fn every_wrong_key_is_told_with_its_place() {
    let text = format!(
        "name = \"laws\"\nfile = \"x.csv\"\ntable = \"laws_{{customer}}\"\n\
         unique = [[], [\"nobody\"], [\"number\", \"number\"], [\"word\", \"number\"], [\"number\", \"word\"], [\"doc\"]]\n\
         {COLUMNS}[[column]]\nname = \"doc\"\ntype = \"json\"\n"
    );
    let (mut problems, source) = (Problems::default(), Source::of("laws.toml", text));
    let loose = source.typed::<LooseDataset>(&mut problems).expect("the shape is right");
    let schema = Ident::parse("public").expect("a name");
    assert!(compile_dataset(&source, loose, &schema, &[], &[], &mut problems).is_none());
    let told: Vec<String> = problems.sorted().iter().map(|p| format!("{}: {}", p.key, p.message)).collect();
    for expected in [
        "unique[0]: names no column: every row would be the same",
        "unique[1][0]: \"nobody\" is not a column of the dataset",
        "unique[2][1]: number is there twice",
        "unique[4]: is there twice",
        "unique[5][0]: doc is json, which can be the same in many spellings",
    ] {
        assert!(told.iter().any(|t| t == expected), "{expected}: {told:#?}");
    }
}
