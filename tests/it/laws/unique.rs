//! Of rows with the same declared key one is kept, the first or the last, and every other is a reject that names both
//! lines.

use super::{Taken, dataset, problems, take_apart};
use crate::support::Folder;
use bursar::config::{Ident, Problems, Source};
use bursar::fault::{Fault, judge};
use bursar::rows::dataset::{LooseDataset, compile_dataset};
use bursar::rows::parse::parse_file;
use bursar::rows::source::SourceFile;
use proptest::prelude::*;
use serde_json::Value;
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

type Spelt = (&'static str, &'static str);

fn rows() -> impl Strategy<Value = Vec<(Spelt, Spelt, Spelt)>> {
    let number = || {
        spelt(&[
            ("7", &["7", "007", "+7", "\"7\""]),
            ("-7", &["-7", "-07"]),
            ("70", &["70"]),
            ("0", &["0", "-0", "+00"]),
        ])
    };
    let amount = || {
        spelt(&[
            ("1", &["1", "1.0", "01.000", "\"1.00\""]),
            ("10000", &["10000", "10000.0"]),
            ("0", &["0", "-0", "0.000"]),
            ("", &[""]),
            ("-1", &["-1.0"]),
            ("0.1", &["0.1", "0.100"]),
        ])
    };
    let word = || {
        spelt(&[
            ("a", &["a", "\"a\""]),
            ("A", &["A"]),
            ("a ", &["a "]),
            ("", &[""]),
            ("empty", &["\"\""]),
            ("q", &["\"a\"\"b\""]),
        ])
    };
    proptest::collection::vec((number(), amount(), word()), 0..40)
}

/// What should become of the rows, in the order in which they may take a key: the lines that are rejected, each with
/// the lines that are kept in its place.
fn rejected<'a>(rows: impl Iterator<Item = (i32, &'a (Spelt, Spelt, Spelt))>) -> Vec<(i32, Vec<i32>)> {
    let (mut pairs, mut words) = (HashMap::new(), HashMap::new());
    let mut rejected = Vec::new();
    for (line, (n, a, w)) in rows {
        let pair = (!a.0.is_empty()).then_some((n.0, a.0));
        let word = (!w.0.is_empty()).then_some(w.0);
        let kept: Vec<i32> = [pair.and_then(|p| pairs.get(&p)), word.and_then(|w| words.get(&w))]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        if kept.is_empty() {
            pair.map(|p| pairs.insert(p, line));
            word.map(|w| words.insert(w, line));
        } else {
            rejected.push((line, kept));
        }
    }
    rejected.sort_unstable();
    rejected
}

/// The rejects of a file, each with the other line of each of its errors.
fn found(taken: &Taken) -> Vec<(i32, Vec<i32>)> {
    let number = |text: &str| text.parse::<i32>().expect("a line");
    let of = |reject: &Value| {
        assert_eq!(
            (&reject["error_class"], &reject["errors"][0]["code"]),
            (&"duplicate".into(), &"duplicate_key".into())
        );
        let line = number(&reject["line"].to_string());
        let others = reject["errors"].as_array().expect("errors").iter().map(|error| {
            let words: Vec<&str> = error["message"].as_str().expect("a message").split(' ').collect();
            let (one, other) = (number(words[1]), number(words[3]));
            assert!(one < other && (one == line || other == line), "{words:?}");
            if one == line { other } else { one }
        });
        (line, others.collect())
    };
    taken.rejects.iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_row_of_a_key_is_kept_however_it_is_spelt_and_nulls_equal_nothing(
        rows in rows(), keeps_last in any::<bool>()
    ) {
        let folder = Folder::new();
        let keep = if keeps_last { "unique_keep = \"last\"\n" } else { "" };
        let dataset = dataset(&format!("unique = [[\"number\", \"amount\"], [\"word\"]]\n{keep}{COLUMNS}"));
        let lines: Vec<String> = rows.iter().map(|(n, a, w)| format!("{},{},{}\n", n.1, a.1, w.1)).collect();
        let taken = take_apart(&folder.path(""), format!("number,amount,word\n{}", lines.concat()).as_bytes(), &dataset).expect("a file");
        // To keep the last is to keep the first of the file read from its end to its beginning.
        let in_order = (2..).zip(&rows);
        let expected = if keeps_last { rejected(in_order.collect::<Vec<_>>().into_iter().rev()) } else { rejected(in_order) };
        prop_assert_eq!(found(&taken), expected);
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
        "unique[5][0]: doc is json or a map, which can be the same in many spellings",
    ] {
        assert!(told.iter().any(|t| t == expected), "{expected}: {told:#?}");
    }
}

const LAST: &str = "unique_keep = \"last\"\n";

#[test]
fn the_last_row_of_a_key_is_kept_and_each_earlier_one_names_it() {
    let (folder, dataset) = (Folder::new(), dataset(&format!("unique = [[\"number\"]]\n{LAST}{COLUMNS}")));
    let file = b"number,amount,word\n1,,\"two\nlines\"\n2,,b\n01,,c\nx,,\n1,x,wrong\n+1,,d\n2,,e\n";
    let taken = take_apart(&folder.path(""), file, &dataset).expect("a file");
    assert_eq!(String::from_utf8_lossy(&taken.valid), "number,amount,word\n+1,,d\n2,,e\n");
    let told: Vec<String> = taken
        .rejects
        .iter()
        .map(|r| format!("{}: {}", r["line"], r["errors"][0]["message"].as_str().expect("why")))
        .collect();
    assert_eq!(
        told,
        [
            "2: lines 2 and 8 have the same number (unique); the last is kept",
            "4: lines 4 and 9 have the same number (unique); the last is kept",
            "5: lines 5 and 8 have the same number (unique); the last is kept",
            "6: \"x\" is not a whole number",
            "7: \"x\" is not a decimal number (1.234)",
        ]
        .map(|line| line.replace(" (1.234)", "")),
        "a row that is rejected for another reason supersedes nothing and is not superseded"
    );
    assert_eq!(taken.rejects[0]["raw"], "1,,\"two\nlines\"\n");
    assert_eq!((taken.parsed.certificate.tally.loaded, taken.parsed.certificate.tally.rejected), (2, 5));
}

#[test]
fn a_row_that_is_superseded_by_one_key_supersedes_none_by_another() {
    let (folder, dataset) = (Folder::new(), dataset(&format!("unique = [[\"number\"], [\"word\"]]\n{LAST}{COLUMNS}")));
    let taken =
        take_apart(&folder.path(""), b"number,amount,word\n1,,a\n2,,a\n2,,b\n3,,b\n3,,c\n", &dataset).expect("a file");
    let lines: Vec<i64> = taken.rejects.iter().filter_map(|r| r["line"].as_i64()).collect();
    assert_eq!(lines, [3, 5], "line 6 supersedes 5, which leaves 4; that supersedes 3, which leaves 2");
}

#[test]
fn a_file_that_is_another_one_at_its_second_reading_is_a_transient_fault() {
    let (folder, dataset) = (Folder::new(), dataset(&format!("unique = [[\"number\"]]\n{LAST}{COLUMNS}")));
    let mut opened = 0;
    let mut open = || {
        opened += 1;
        SourceFile::open(&folder.write("in.csv", format!("number,amount,word\n1,,a\n1,,{opened}\n")))
    };
    let error = parse_file(&mut open, &dataset, None, None).expect_err("another file");
    assert_eq!((judge(&error), opened), (Fault::Transient, 2));
    assert!(format!("{error:#}").contains("changed between its two readings (29 bytes, then 29;"), "{error:#}");
}

#[test]
fn what_is_superseded_counts_among_the_rows_a_file_may_have() {
    let text = |rows: u32| format!("unique = [[\"number\"]]\nunique_max_rows = {rows}\n{LAST}{COLUMNS}");
    let file = b"number,amount,word\n1,,\n1,,\n1,,\n";
    let folder = Folder::new();
    assert_eq!(take_apart(&folder.path(""), file, &dataset(&text(3))).expect("three").rejects.len(), 2);
    let error = take_apart(&folder.path(""), file, &dataset(&text(2))).err().expect("three");
    assert_eq!(judge(&error), Fault::Config);
    assert_eq!(problems(&format!("{LAST}{COLUMNS}")), ["unique_keep: is only for a dataset with unique"]);
}
