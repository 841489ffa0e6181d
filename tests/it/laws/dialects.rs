//! Lines that are no records, and files without a header: what the csv crate reads, and every byte accounted for.

use super::packed::{PACKINGS, pack};
use super::{Taken, dataset, line_ends, take_apart};
use crate::support::Folder;
use bursar::rows::dataset::Dataset;
use proptest::prelude::*;

fn two_texts(dialect: &str) -> Dataset {
    dataset(&format!(
        "[dialect]\n{dialect}\n[[column]]\nname = \"a\"\ntype = \"text\"\nnullable = true\n\
         [[column]]\nname = \"b\"\ntype = \"text\"\nnullable = true\n"
    ))
}

fn line() -> impl Strategy<Value = String> {
    let lines = [
        "x,y",
        "1,\"a,b\"",
        "\"#2\",#",
        " #3,z",
        "\"two\nlines\",\"\n#no comment\"",
        "#comment",
        "#\"open",
        "#,",
        "#",
        "",
        "END 3",
        "\"END\",4",
        "END",
        "é,☃",
    ];
    proptest::sample::select(lines.to_vec()).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    // The csv crate ends a comment at LF alone.
    let end = proptest::sample::select(vec!["\n", "\r\n"]);
    (proptest::collection::vec((line(), end), 0..12), any::<bool>()).prop_map(|(lines, closed)| {
        let text = lines.iter().map(|(line, end)| [line.as_str(), end].concat()).collect::<Vec<_>>().concat();
        if closed { text } else { text.trim_end_matches(['\r', '\n']).to_owned() }
    })
}

fn records(bytes: &[u8], comment: Option<u8>, has_header: bool) -> Vec<Vec<String>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(has_header).comment(comment).flexible(true).from_reader(bytes);
    reader.records().map(|record| record.expect("a record").iter().map(str::to_owned).collect()).collect()
}

fn ours(taken: &Taken) -> Vec<Vec<String>> {
    records(&taken.valid, None, true)
}

/// The csv crate rejects nothing and knows no trailers: in these texts both are what has one field.
fn of_two_fields(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.into_iter().filter(|row| row.len() == 2).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn comments_are_those_of_the_csv_crate(text in text()) {
        let folder = Folder::new();
        let text = format!("a,b\n{text}");
        let taken = take_apart(&folder.path(""), text.as_bytes(), &two_texts("line_end = \"any\"\ncomment = \"#\"\ntrailer = \"END\"")).expect("a file");
        let theirs = of_two_fields(records(text.as_bytes(), Some(b'#'), true));
        prop_assert_eq!(ours(&taken), theirs);
        prop_assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
        let ends = records(text.as_bytes(), Some(b'#'), true).iter().filter(|row| row.len() == 1 && row[0].starts_with("END")).count();
        prop_assert_eq!(taken.rejects.len() as u64 + taken.parsed.certificate.tally.skipped.trailer, ends as u64);
    }

    #[test]
    fn a_file_without_a_header_is_read_by_position(text in text()) {
        let folder = Folder::new();
        prop_assume!(!text.is_empty());
        let dialect = "line_end = \"any\"\ncomment = \"#\"\ntrailer = \"END\"\nheader = \"none\"";
        let taken = take_apart(&folder.path(""), text.as_bytes(), &two_texts(dialect)).expect("a file");
        prop_assert_eq!(ours(&taken), of_two_fields(records(text.as_bytes(), Some(b'#'), false)));
        prop_assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
        prop_assert_eq!(taken.parsed.certificate.tally.skipped.header, 0);
    }

    #[test]
    fn skipped_lines_are_lines_whatever_stands_on_them(
        preamble in proptest::collection::vec("[a-z\",# \u{e9}]{0,20}", 0..6),
        text in text(),
        end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
        packing in proptest::option::of(proptest::sample::select(PACKINGS.to_vec())),
    ) {
        let folder = Folder::new();
        let head = preamble.iter().map(|line| [line.as_str(), end].concat()).collect::<Vec<_>>().concat();
        let (plain, whole) = (format!("a,b\n{text}"), format!("{head}a,b\n{text}"));
        let dialect = |n: usize| two_texts(&format!("line_end = \"any\"\ncomment = \"#\"\ntrailer = \"END\"\nskip_lines = {n}"));
        let expected = take_apart(&folder.path(""), plain.as_bytes(), &dialect(0)).expect("a file");
        let delivered = packing.map_or_else(|| whole.clone().into_bytes(), |packing| pack(packing, whole.as_bytes()));
        let taken = take_apart(&folder.path(""), &delivered, &dialect(preamble.len())).expect("a file");
        prop_assert_eq!(ours(&taken), ours(&expected));
        let tally = &taken.parsed.certificate.tally;
        prop_assert_eq!(tally.skipped.preamble, preamble.len() as u64);
        prop_assert_eq!(tally.skipped.comment, expected.parsed.certificate.tally.skipped.comment);
        prop_assert_eq!(tally.bytes_covered, whole.len() as u64);
        prop_assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
    }
}

#[test]
fn skipped_lines_count_by_kind_and_rejects_keep_their_lines() {
    let folder = Folder::new();
    let text = "Report of May\n\"open, 5 rows\r\n\r\n# made by X\na,b\n1,2\n#\n3\nEND 2\n\n";
    let dialect = "skip_lines = 3\ncomment = \"#\"\ntrailer = \"END\"";
    let taken = take_apart(&folder.path(""), text.as_bytes(), &two_texts(dialect)).expect("a file");
    let skipped = &taken.parsed.certificate.tally.skipped;
    assert_eq!((skipped.preamble, skipped.comment, skipped.trailer), (3, 2, 1));
    assert_eq!((skipped.header, skipped.blank, skipped.total()), (1, 1, 8));
    assert_eq!(taken.rejects[0]["line"], 1 + line_ends(&text.as_bytes()[..text.find("3\nEND").expect("it")]));
    assert_eq!(taken.rejects[0]["raw"], "3\n");
}

#[test]
fn a_skipped_line_may_be_longer_than_any_record_and_end_the_file() {
    let folder = Folder::new();
    let long = "x".repeat(3_000_000);
    let text = format!("{long}\r\n#{long}\na,b\n1,2\n#{long}");
    let dialect = "skip_lines = 1\ncomment = \"#\"\nmax_record_bytes = 1024";
    let taken = take_apart(&folder.path(""), text.as_bytes(), &two_texts(dialect)).expect("a file");
    assert_eq!((taken.parsed.certificate.tally.loaded, taken.parsed.certificate.tally.skipped.total()), (1, 4));
    assert_eq!(taken.parsed.certificate.tally.bytes_covered, text.len() as u64);
}

#[test]
fn more_lines_to_skip_than_there_are_leave_no_header() {
    let folder = Folder::new();
    let error = take_apart(&folder.path(""), b"a,b\n1,2\n", &two_texts("skip_lines = 9")).err().expect("no header");
    assert!(format!("{error:#}").contains("holds no header"), "{error:#}");
}

#[test]
fn a_file_without_a_header_has_as_many_fields_as_the_dataset_has_columns() {
    let folder = Folder::new();
    let taken = take_apart(&folder.path(""), b"1,2\n1\n1,2,3\n", &two_texts("header = \"none\"")).expect("a file");
    let told: Vec<(String, String)> = taken
        .rejects
        .iter()
        .map(|r| {
            let word = |key: &str| r["errors"][0][key].as_str().expect("a word").to_owned();
            (word("code"), word("message"))
        })
        .collect();
    let pair = |code: &str, message: &str| (code.to_owned(), message.to_owned());
    assert_eq!(
        told,
        [
            pair("missing_field", "the record has 1 fields, the dataset 2"),
            pair("extra_field", "the record has 3 fields, the dataset 2")
        ]
    );
    assert_eq!(taken.rejects[0]["payload"]["a"], "1");
}
