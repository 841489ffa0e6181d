//! The splitter finds the records that the csv crate finds, in windows of any size.

use super::line_ends;
use bursar::rows::line_end::LineEnd;
use bursar::rows::split::{Form, Marks, Split, Splitter, text};
use proptest::prelude::*;

type Record = Vec<Vec<u8>>;

/// A well-formed file and the marks it was written with.
#[derive(Clone, Debug)]
struct Written {
    bytes: Vec<u8>,
    delimiter: u8,
}

fn field() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let plain = "[a-z0-9 ]{0,4}".prop_map(String::into_bytes);
    let telling = proptest::collection::vec(
        proptest::sample::select(vec![
            &b"\""[..],
            b"\n",
            b"\r",
            b"\r\n",
            b",",
            b";",
            b"\t",
            b"|",
            b" ",
            b"x",
            "é".as_bytes(),
            "☃".as_bytes(),
            b"\0",
            b"\xFF",
        ]),
        0..6,
    )
    .prop_map(|pieces| pieces.concat());
    (prop_oneof![plain, telling], any::<bool>())
}

fn written() -> impl Strategy<Value = Written> {
    let delimiter = proptest::sample::select(b",;\t|".to_vec());
    let ends = proptest::sample::select(vec![vec!["\n"], vec!["\r\n"], vec!["\r"], vec!["\n", "\r\n", "\r"]]);
    let record = (proptest::collection::vec(field(), 1..5), any::<usize>(), 0..8u8);
    (delimiter, ends, proptest::collection::vec(record, 0..8), any::<bool>()).prop_map(
        |(delimiter, ends, records, closed)| {
            let mut bytes = Vec::new();
            let last = records.len().saturating_sub(1);
            for (i, (fields, pick, blank)) in records.iter().enumerate() {
                write_record(&mut bytes, fields, delimiter);
                let end = ends[pick % ends.len()];
                let times = usize::from(i < last || closed) + usize::from(*blank == 0);
                bytes.extend_from_slice(end.repeat(times).as_bytes());
            }
            Written { bytes, delimiter }
        },
    )
}

fn write_record(bytes: &mut Vec<u8>, fields: &[(Vec<u8>, bool)], delimiter: u8) {
    let alone = fields.len() == 1;
    for (i, (field, quoted)) in fields.iter().enumerate() {
        if i > 0 {
            bytes.push(delimiter);
        }
        let telling = |b: &u8| [delimiter, b'"', b'\n', b'\r'].contains(b);
        if *quoted || field.iter().any(telling) || (alone && field.is_empty()) {
            bytes.push(b'"');
            for byte in field {
                bytes.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) });
            }
            bytes.push(b'"');
        } else {
            bytes.extend_from_slice(field);
        }
    }
}

/// All records but blank lines, found in windows that grow by `step` bytes.
fn ours(written: &Written, step: usize) -> Vec<Record> {
    let bytes = &written.bytes;
    let marks = Marks {
        delimiter: vec![written.delimiter],
        quote: Some(b'"'),
        escape: None,
        line_end: LineEnd::Any,
        trim: false,
    };
    let mut splitter = Splitter::new(marks.clone());
    let (mut start, mut end, mut at_end) = (0, 0, false);
    let (mut records, mut lines) = (Vec::new(), 0);
    let mut scratch = Vec::new();
    loop {
        match splitter.split(&bytes[start..end], at_end, false) {
            Split::More if end < bytes.len() => end = bytes.len().min(end + step),
            Split::More => at_end = true,
            Split::End => break,
            Split::Record(record) => {
                assert_eq!(record.broken, None, "a well-formed record at {start}");
                lines += record.lines;
                let window = &bytes[start..start + record.length];
                if record.content > 0 {
                    records.push(
                        splitter.fields().iter().map(|f| text(window, *f, &marks, &mut scratch).to_vec()).collect(),
                    );
                }
                start += record.length;
            }
        }
    }
    assert_eq!(start, bytes.len(), "the records tile the file");
    assert_eq!(usize::try_from(lines).expect("a count"), line_ends(bytes), "every line end is counted once");
    records
}

fn theirs(written: &Written) -> Vec<Record> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(written.delimiter)
        .from_reader(&written.bytes[..]);
    reader.byte_records().map(|record| record.expect("a record").iter().map(<[u8]>::to_vec).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_splitter_finds_the_records_that_the_csv_crate_finds(written in written()) {
        prop_assert_eq!(ours(&written, usize::MAX / 2), theirs(&written));
    }

    #[test]
    fn the_size_of_the_windows_changes_nothing(written in written(), step in 1..9usize) {
        prop_assert_eq!(ours(&written, step), ours(&written, usize::MAX / 2));
    }

    #[test]
    fn any_bytes_are_split_into_records_that_tile_them(
        bytes in proptest::collection::vec(proptest::sample::select(b"\"\",,\n\r\na \xFF".to_vec()), 0..60),
        quote in proptest::option::weighted(0.8, Just(b'"')),
    ) {
        let mut splitter = Splitter::new(Marks { delimiter: vec![b','], quote, escape: None, line_end: LineEnd::Any, trim: false });
        let (mut start, mut lines) = (0, 0);
        while let Split::Record(record) = splitter.split(&bytes[start..], true, false) {
            prop_assert!(record.content <= record.length && record.length > 0);
            prop_assert!(record.broken.is_none() || record.lines <= 1, "a broken quote costs one line");
            prop_assert!(splitter.fields().iter().all(|f| f.start <= f.end && f.end <= record.content));
            prop_assert!(quote.is_some() || splitter.fields().iter().all(|f| f.form == Form::Bare));
            lines += record.lines;
            start += record.length;
        }
        prop_assert_eq!(start, bytes.len());
        prop_assert_eq!(usize::try_from(lines).expect("a count"), line_ends(&bytes));
    }
}

#[test]
fn a_forgotten_quote_costs_one_line_and_not_the_rows_behind_it() {
    let bytes = b"1,\"open\n2,fine\n3,\"fine too\"\n";
    let mut splitter = Splitter::new(Marks {
        delimiter: vec![b','],
        quote: Some(b'"'),
        escape: None,
        line_end: LineEnd::Any,
        trim: false,
    });
    let (mut start, mut broken) = (0, Vec::new());
    while let Split::Record(record) = splitter.split(&bytes[start..], true, false) {
        broken.push(record.broken.is_some());
        start += record.length;
    }
    assert_eq!(broken, [true, false, false]);
}
