//! What is found in a file doesn't depend on how its bytes are read.

use super::{Taken, dataset, take_apart};
use bursar::rows::dataset::Dataset;
use bursar::rows::reader::BLOCK;
use serde_json::Value;

/// Every form a record can have, one behind the other.
const TELLING: &[u8] = b"1,plain\r\n2,\"quoted, \"\"twice\"\"\"\n3,\"two\r\nlines\"\r4,\xC3\xA9\xE2\x98\x83\r\n\r\n\n5,\"open\n6,stray\"quote\r\n7\n8,a,b\nx,bad\r\r\n9,\xFFlatin\n10,\"\"\n11,\0\n12,last";

fn id_and_word(line_end: &str) -> Dataset {
    dataset(&format!(
        "[dialect]\nline_end = \"{line_end}\"\nmax_record_bytes = 1024\n[[column]]\nname = \"id\"\ntype = \"integer\"\n[[column]]\nname = \"word\"\ntype = \"text\"\n",
    ))
}

/// A header and good rows of `size` bytes in all.
fn padding(size: usize) -> Vec<u8> {
    let mut bytes = b"id,word\n".to_vec();
    while bytes.len() < size {
        let left = size - bytes.len();
        let length = if left > 2000 {
            1000
        } else if left > 1000 {
            500
        } else {
            left
        };
        bytes.extend_from_slice(format!("0,\"{}\"\n", "p".repeat(length - 5)).as_bytes());
    }
    assert_eq!(bytes.len(), size);
    bytes
}

/// What a file came to, with offsets and lines counted from `offset` and `lines`.
fn findings(taken: &Taken, offset: u64, rows: u64) -> (Vec<Value>, u64, u64, Vec<Vec<String>>) {
    let rejects = taken.rejects.iter().cloned().map(|mut reject| {
        reject["byte_offset"] = (reject["byte_offset"].as_u64().expect("an offset") - offset).into();
        reject["line"] = (reject["line"].as_u64().expect("a line") - rows).into();
        reject
    });
    let tally = &taken.parsed.certificate.tally;
    let skip = usize::try_from(rows).expect("a count");
    let valid = csv::Reader::from_reader(&taken.valid[..])
        .records()
        .skip(skip)
        .map(|record| record.expect("a row").iter().map(str::to_owned).collect())
        .collect();
    (rejects.collect(), tally.loaded - rows, tally.skipped.blank, valid)
}

fn check_everywhere(telling: &[u8], dataset: &Dataset, around: usize, positions: impl Iterator<Item = usize>) {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = take_apart(folder.path(), &[b"id,word\n", telling].concat(), dataset).expect("a file");
    let expected = findings(&alone, 8, 0);
    for position in positions {
        let pad = padding(around - position);
        let rows = memchr::memchr_iter(b'\n', &pad).count() as u64 - 1;
        let taken = take_apart(folder.path(), &[&pad[..], telling].concat(), dataset).expect("a file");
        assert_eq!(findings(&taken, pad.len() as u64, rows), expected, "{} bytes before the telling ones", pad.len());
    }
}

#[test]
fn a_block_that_ends_anywhere_in_a_record_changes_nothing() {
    let any = id_and_word("any");
    check_everywhere(TELLING, &any, BLOCK, 0..TELLING.len() + 3);
    check_everywhere(TELLING, &any, 2 * BLOCK, (0..TELLING.len() + 3).step_by(11));
    check_everywhere(TELLING, &id_and_word("auto"), BLOCK, (0..TELLING.len() + 3).step_by(3));
}

#[test]
fn a_record_over_the_size_bound_is_the_same_reject_wherever_the_block_ends() {
    let long = [b"1,ab\n2,", &vec![b'z'; 1500][..], b"\r\n3,cd\n4,\"", &vec![b'z'; 1500][..], b"\"\r5,ef\n"].concat();
    let any = id_and_word("any");
    check_everywhere(&long, &any, BLOCK, (0..long.len() + 3).step_by(13));
    check_everywhere(&long, &any, BLOCK, 1500..1530);
    check_everywhere(&long, &any, BLOCK, long.len() - 12..long.len());
}
