//! Random dialects and random bytes, held to the laws that the fuzz target holds, and sound files to what was written.

#[path = "../../../fuzz/laws.rs"]
mod any;

use super::{dataset, take_apart};
use crate::offline::project;
use crate::support::Folder;
use proptest::prelude::*;

/// Pieces of files that mean something in one dialect or the other.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"1,2.50,ab,J\n",
        b"2;3,5;cd;N\r\n",
        b"3||4||\"x||y\"||\r",
        b"4\xC2\xA6-1\xC2\xA6'q'\xC2\xA6J\n",
        b"id,amount,word,sent\n",
        b"id;amount;word;sent\r\n",
        b"5,\"1.234,5\",\"a\\\"b\",J\n",
        b"6,1.234.567,\"\"\"\",N\n",
        b"7,,NULL,\n",
        b"8\n",
        b"9,1,abcdef,J,more\n",
        b"#comment\n",
        b"END 9\n",
        b"10,1,a\rb,J\r\n",
        b"11,1,a~\nb,N~\n",
        b"\"open\n",
        b"\\",
        b"\"",
        b"'",
        b"|",
        b"||",
        b",",
        b";",
        b"\r",
        b"\n",
        b"\r\n",
        b"\0",
        b"\xC2",
        b"\xFF\xFE",
        b"\xEF\xBB\xBF",
        b" ",
        b"-",
    ];
    prop_oneof![
        12 => proptest::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => (1015usize..1035).prop_map(|n| vec![b'z'; n]),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

#[test]
fn every_file_of_the_fuzz_targets_corpus_keeps_the_laws() {
    let files = std::fs::read_dir(project("fuzz/corpus/rows")).expect("the corpus");
    let files: Vec<Vec<u8>> =
        files.map(|file| std::fs::read(file.expect("a file").path()).expect("its bytes")).collect();
    assert!(files.len() > 20, "the corpus is there");
    for file in files {
        let (pick, bytes) = file.split_first_chunk().expect("two bytes that pick a dialect");
        any::check(u16::from_be_bytes(*pick), bytes);
    }
}

fn quoted(field: &str, doubled: bool, escapes: bool) -> String {
    match (escapes, doubled) {
        (true, false) => format!("\"{}\"", field.replace('\\', "\\\\").replace('"', "\\\"")),
        (true, true) => format!("\"{}\"", field.replace('\\', "\\\\").replace('"', "\"\"")),
        (false, _) => format!("\"{}\"", field.replace('"', "\"\"")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_bytes_in_any_dialect_are_accounted_for(pick in any::<u16>(), pieces in proptest::collection::vec(piece(), 0..14)) {
        any::check(pick, &pieces.concat());
    }

    #[test]
    fn any_bytes_at_all_in_any_dialect_are_accounted_for(pick in any::<u16>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        any::check(pick, &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_was_written_in_a_dialect_is_read_in_it(
        delimiter in proptest::sample::select(vec![",", ";", "\t", "|", "||", "¦", "§§", "=>", ":::", " "]),
        escapes in any::<bool>(),
        end in proptest::sample::select(vec!["\n", "\r", "\r\n"]),
        footer in 0..3usize,
        rows in proptest::collection::vec(proptest::collection::vec(("[a-c,;|=>: \t¦§\"\\\\\r\né]{0,6}", any::<bool>()), 2), 0..8),
    ) {
        let mut text = format!("a{delimiter}b{end}");
        for row in &rows {
            let cells: Vec<String> = row.iter().map(|(field, doubled)| quoted(field, *doubled, escapes)).collect();
            text.push_str(&(cells.join(delimiter) + end));
        }
        text.push_str(&format!("\"footer{end}").repeat(footer));
        let escape = if escapes { "escape = '\\'\n" } else { "" };
        let columns = "[[column]]\nname = \"a\"\ntype = \"text\"\n[[column]]\nname = \"b\"\ntype = \"text\"\n";
        let dataset = dataset(&format!("[dialect]\ndelimiter = '{delimiter}'\n{escape}footer_lines = {footer}\nrepeated_header = 'load'\n{columns}"));
        let folder = Folder::new();
        let taken = take_apart(&folder.path(""), text.as_bytes(), &dataset).expect("a file");
        prop_assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
        prop_assert!(taken.rejects.is_empty(), "{:?}", taken.rejects);
        let read: Vec<Vec<String>> = csv::Reader::from_reader(&taken.valid[..])
            .records()
            .map(|record| record.expect("a row").iter().map(str::to_owned).collect())
            .collect();
        let written: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|(field, _)| field.clone()).collect()).collect();
        prop_assert_eq!(read, written);
    }
}
