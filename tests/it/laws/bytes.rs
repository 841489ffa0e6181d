//! Any bytes at all: nothing panics, nothing is lost, and what is refused lies where it is said to lie.

use super::{Taken, dataset, line_ends, take_apart};
use bursar::fault::{Fault, judge};
use bursar::rows::dataset::Dataset;
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;

const MAX_RECORD: usize = 1024;

fn two_columns() -> Dataset {
    dataset(&format!(
        "[dialect]\nmax_record_bytes = {MAX_RECORD}\nextra_columns = \"ignore\"\n\
         [[column]]\nname = \"id\"\ntype = \"integer\"\n[[column]]\nname = \"word\"\ntype = \"text\"\nnullable = true\nmax_length = 5\n"
    ))
}

/// Pieces that files are made of, good and bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"1,ab\n",
        b"2,\"a,b\"\r\n",
        b"3,\"a\r\nb\"\n",
        b"4,\"x\"\"y\"\r",
        b"5,\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"6\n",
        b"7,a,b\n",
        b"x,ab\n",
        b"8,abcdef\n",
        b"9,\"open\n",
        b"10,a\"b\n",
        b"11,\"a\"b\n",
        b"\"",
        b",",
        b"\0",
        b"\xFF\xFE",
        b"\xEF\xBB\xBF",
        "12,äöüéß\n".as_bytes(),
        "13,☃☃☃☃☃☃\n".as_bytes(),
        b"14,\xE4\n",
    ];
    let long = (MAX_RECORD - 6..MAX_RECORD + 6).prop_map(|n| [&b"20,"[..], &vec![b'z'; n - 4], b"\n"].concat());
    let long_quoted =
        (MAX_RECORD - 6..MAX_RECORD + 6).prop_map(|n| [&b"21,\""[..], &vec![b'\n'; n - 6], b"\"\n"].concat());
    prop_oneof![
        20 => proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => long,
        1 => long_quoted,
        2 => proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

pub fn file() -> impl Strategy<Value = Vec<u8>> {
    let header = proptest::sample::select(vec![
        &b"id,word\n"[..],
        b"word,id\r\n",
        b"id,word,more\r",
        b"\xEF\xBB\xBFid,word\n",
        b"\n\nid,word\n",
        b"",
    ]);
    (header, proptest::collection::vec(piece(), 0..20))
        .prop_map(|(header, pieces)| [header.to_vec(), pieces.concat()].concat())
}

fn check_rejects(bytes: &[u8], taken: &Taken) {
    let mut last = 0;
    for reject in &taken.rejects {
        let number = |key: &str| usize::try_from(reject[key].as_u64().expect("a number")).expect("a size");
        let (offset, length) = (number("byte_offset"), number("byte_length"));
        assert!(offset >= last && length > 0, "rejects lie one behind the other: {reject}");
        last = offset + length;
        let kept = if reject["errors"][0]["code"] == "record_too_long" { MAX_RECORD } else { length };
        assert_eq!(
            reject["raw"],
            Value::from(String::from_utf8_lossy(&bytes[offset..offset + kept])),
            "its bytes lie there"
        );
        assert_eq!(number("line"), 1 + line_ends(&bytes[..offset]), "its line: {reject}");
        assert!(!reject["errors"].as_array().expect("errors").is_empty());
    }
}

/// The valid rows of a file, taken apart again, are all valid and the same.
fn check_again(folder: &Path, taken: &Taken, dataset: &Dataset) {
    let again = take_apart(folder, &taken.valid, dataset).expect("valid rows");
    assert_eq!(String::from_utf8_lossy(&again.valid), String::from_utf8_lossy(&taken.valid));
    assert_eq!(again.parsed.certificate.tally.loaded, taken.parsed.certificate.tally.loaded);
}

/// Everything that is to be true of a file that could be read at all.
fn check(bytes: &[u8], taken: &Taken) {
    let certificate = &taken.parsed.certificate;
    assert_eq!(certificate.imbalances(), Vec::<String>::new());
    assert_eq!(certificate.bytes, bytes.len() as u64);
    assert_eq!(certificate.tally.rejected, taken.rejects.len() as u64);
    let rows = csv::Reader::from_reader(&taken.valid[..]).byte_records().flatten().count();
    assert_eq!(certificate.tally.loaded, rows as u64);
    check_rejects(bytes, taken);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_file_is_accounted_for_to_the_last_byte(bytes in file()) {
        let folder = tempfile::tempdir().expect("a folder");
        let dataset = two_columns();
        match take_apart(folder.path(), &bytes, &dataset) {
            Ok(taken) => {
                check(&bytes, &taken);
                check_again(folder.path(), &taken, &dataset);
            }
            Err(error) => prop_assert_eq!(judge(&error), Fault::Data, "{:#}", error),
        }
    }

    #[test]
    fn rubbish_is_a_data_fault_or_accounted_for(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let folder = tempfile::tempdir().expect("a folder");
        match take_apart(folder.path(), &bytes, &two_columns()) {
            Ok(taken) => check(&bytes, &taken),
            Err(error) => prop_assert_eq!(judge(&error), Fault::Data, "{:#}", error),
        }
    }
}

#[test]
fn a_record_of_exactly_the_greatest_size_fits_and_one_byte_more_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset =
        dataset(&format!("[dialect]\nmax_record_bytes = {MAX_RECORD}\n[[column]]\nname = \"word\"\ntype = \"text\"\n"));
    for (end, header_end) in [("\n", "\n"), ("\r\n", "\r\n"), ("\r", "\r"), ("", "\n")] {
        for (length, fits) in [(MAX_RECORD, true), (MAX_RECORD + 1, false)] {
            for more in ["", "more"].iter().filter(|more| more.is_empty() || !end.is_empty()) {
                let bytes = format!("word{header_end}{}{end}{more}", "x".repeat(length - end.len()));
                let taken = take_apart(folder.path(), bytes.as_bytes(), &dataset).expect("a file");
                check(bytes.as_bytes(), &taken);
                assert_eq!(
                    taken.rejects.is_empty(),
                    fits,
                    "{length} bytes ending in {end:?} before {more:?}: {:?}",
                    taken.rejects
                );
            }
        }
    }
}
