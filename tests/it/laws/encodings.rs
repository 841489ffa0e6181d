//! A file in another encoding is the file that it would be in UTF-8; what is kept of it is what was delivered.

use super::bytes::file;
use super::packed::{PACKINGS, pack};
use super::{Taken, dataset, take_apart};
use crate::support::Folder;
use bursar::rows::dataset::Dataset;
use bursar::rows::encoding::{Decoding, Encoding};
use bursar::rows::reader::{Row, Sink, read};
use bursar::rows::reject::Reject;
use bursar::rows::source::SourceFile;
use bytes::BytesMut;
use proptest::prelude::*;

const ENCODINGS: [Encoding; 4] = [Encoding::Utf16Little, Encoding::Utf16Big, Encoding::Latin1, Encoding::Windows1252];

fn declared(encoding: &str) -> Dataset {
    dataset(&format!(
        "[dialect]\nencoding = \"{encoding}\"\nmax_record_bytes = 1024\nextra_columns = \"ignore\"\n\
         [[column]]\nname = \"id\"\ntype = \"integer\"\n\
         [[column]]\nname = \"word\"\ntype = \"text\"\nnullable = true\nmax_length = 5\n"
    ))
}

fn named(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Utf16Little | Encoding::Utf16Big => "utf-16",
        Encoding::Latin1 => "latin-1",
        Encoding::Windows1252 => "windows-1252",
    }
}

fn decoded(encoding: Encoding, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut decoding, mut text) = (Decoding::new(encoding), Vec::new());
    pieces.iter().filter(|piece| !piece.is_empty()).for_each(|piece| decoding.decode(piece, &mut text));
    decoding.decode(b"", &mut text);
    text
}

fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes_of).collect()
}

/// Keeps where each reject lies and the bytes that are kept of it.
#[derive(Default)]
struct Places {
    buffer: BytesMut,
    rejects: Vec<(usize, usize, Vec<u8>, bool)>,
}

impl Sink for Places {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    fn accepted(&mut self, _: &Row<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    fn rejected(&mut self, reject: &Reject<'_>) -> anyhow::Result<()> {
        let size = |n: u64| usize::try_from(n).expect("a size");
        let is_whole = reject.errors[0].code != bursar::rows::reject::Code::RecordTooLong;
        self.rejects.push((size(reject.byte_offset), size(reject.byte_length), reject.raw.to_vec(), is_whole));
        Ok(())
    }
}

/// The bytes kept of each reject are those that stand at its place in the file as delivered.
fn check_places(folder: &Folder, bytes: &[u8], dataset: &Dataset) {
    let source = SourceFile::open(&folder.write("places.csv", bytes)).expect("a file");
    let mut places = Places::default();
    if read(source, dataset, &bursar::rows::unique::Superseded::default(), &mut places, &|_| ()).is_err() {
        return;
    }
    for (offset, length, raw, is_whole) in places.rejects {
        assert!(bytes[offset..offset + length].starts_with(&raw), "{offset} + {length}: {raw:?}");
        assert!(!is_whole || raw.len() == length);
    }
}

fn rows_of(taken: &Taken) -> (String, Vec<serde_json::Value>) {
    let without_places = taken.rejects.iter().cloned().map(|mut reject| {
        for place in ["byte_offset", "byte_length"] {
            reject[place] = 0.into();
        }
        if reject["errors"][0]["code"] == "record_too_long" {
            reject["errors"][0]["message"] = "tells its length as delivered".into();
        }
        reject
    });
    (String::from_utf8(taken.valid.clone()).expect("text"), without_places.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn decoding_loses_nothing_wherever_the_pieces_end(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"\xD8\xDC\xDF\0\n,".to_vec())], 0..60),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        for encoding in ENCODINGS {
            let whole = decoded(encoding, &[&bytes]);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(&decoded(encoding, &pieces), &whole);
            prop_assert_eq!(&encoding.delivered(&whole)[..], &bytes[..], "{:?}", encoding);
            prop_assert_eq!(encoding.delivered_length(&whole), bytes.len() as u64);
            for cut in at {
                let (head, tail) = whole.split_at(cut.min(whole.len()));
                let lengths = encoding.delivered_length(head) + encoding.delivered_length(tail);
                prop_assert_eq!(lengths, bytes.len() as u64, "lengths add up");
                prop_assert!(bytes.starts_with(&encoding.delivered(head)), "a cut-off character is left out");
            }
        }
    }

    #[test]
    fn a_decoded_file_is_the_file_it_would_be_in_utf_8(bytes in file(), mark in any::<bool>(), packing in proptest::option::of(proptest::sample::select(PACKINGS.to_vec()))) {
        let folder = Folder::new();
        let text = String::from_utf8_lossy(&bytes).trim_start_matches('\u{FEFF}').to_owned();
        prop_assume!(mark || text.starts_with(|c: char| matches!(c, '\u{1}'..='\u{7F}')));
        let plain = take_apart(&folder.path(""), text.as_bytes(), &declared("utf-8"));
        let text = if mark { format!("\u{FEFF}{text}") } else { text };
        for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
            let delivered = utf16(&text, bytes_of);
            let dataset = if mark { declared("windows-1252") } else { declared("utf-16") };
            check_places(&folder, &delivered, &dataset);
            let packed = packing.map_or_else(|| delivered.clone(), |packing| pack(packing, &delivered));
            match (&plain, take_apart(&folder.path(""), &packed, &dataset)) {
                (Ok(plain), Ok(taken)) => {
                    prop_assert_eq!(rows_of(plain), rows_of(&taken));
                    let certificate = &taken.parsed.certificate;
                    prop_assert_eq!(certificate.imbalances(), Vec::<String>::new());
                    prop_assert_eq!(certificate.tally.bytes_covered, delivered.len() as u64);
                }
                (Err(_), Err(_)) => {}
                (plain, taken) => prop_assert!(false, "{:?} {:?}", plain.is_ok(), taken.is_ok()),
            }
        }
    }

    #[test]
    fn any_bytes_in_any_encoding_are_accounted_for_to_the_last_one(
        rest in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"\xD8\xDC\0\n,\"1".to_vec())], 0..300),
    ) {
        let folder = Folder::new();
        for encoding in ENCODINGS {
            let mut bytes = encoding.delivered(b"id,word\n").into_owned();
            bytes.extend_from_slice(&rest);
            let dataset = declared(named(encoding));
            let taken = take_apart(&folder.path(""), &bytes, &dataset).expect("a file with a header");
            prop_assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
            prop_assert_eq!(taken.parsed.certificate.tally.bytes_covered, bytes.len() as u64);
            check_places(&folder, &bytes, &dataset);
        }
    }
}

#[test]
fn every_byte_of_latin_1_and_windows_1252_has_its_character() {
    let folder = Folder::new();
    let word = |encoding: &str, bytes: &[u8]| {
        let taken =
            take_apart(&folder.path(""), &[b"id,word\n1,", bytes].concat(), &declared(encoding)).expect("a file");
        String::from_utf8(taken.valid).expect("text").trim_end().rsplit(',').next().expect("a word").to_owned()
    };
    assert_eq!(word("latin-1", b"M\xFCll"), "Müll");
    assert_eq!(word("windows-1252", b"\x80 \xA3"), "€ £");
    assert_eq!(word("latin-1", b"\x80"), "\u{80}");
    assert_eq!(word("windows-1252", b"\x81"), "\u{81}");
}

#[test]
fn half_a_surrogate_pair_costs_its_row_and_no_other() {
    let folder = Folder::new();
    for (encoding, bytes_of) in
        [(Encoding::Utf16Little, u16::to_le_bytes as fn(u16) -> [u8; 2]), (Encoding::Utf16Big, u16::to_be_bytes)]
    {
        let half: Vec<u8> = [0xD83D_u16].into_iter().flat_map(bytes_of).collect();
        let row = [utf16("2,a", bytes_of), half, utf16("b\n", bytes_of)].concat();
        let head = utf16("\u{FEFF}id,word\n1,😀\n", bytes_of);
        let bytes = [&head, &row, &utf16("3,é\n", bytes_of)[..], b"4"].concat();
        let taken = take_apart(&folder.path(""), &bytes, &declared("utf-8")).expect("a file");
        assert_eq!(String::from_utf8(taken.valid).expect("text"), "id,word\n1,😀\n3,é\n");
        let told = |i: usize, key: &str| taken.rejects[i][key].clone();
        assert_eq!(told(0, "errors")[0]["code"], "invalid_utf16");
        let message = "\"a\u{FFFD}\u{FFFD}\u{FFFD}b\" is not UTF-16: half of a character stands alone";
        assert_eq!(told(0, "errors")[0]["message"], message);
        assert_eq!(told(0, "error_class"), "encoding");
        assert_eq!((told(0, "byte_offset"), told(0, "byte_length")), (head.len().into(), row.len().into()));
        assert_eq!((told(1, "byte_length"), taken.rejects.len()), (1.into(), 2), "half a unit at the end is a row");
        check_places(&folder, &bytes, &declared(named(encoding)));
    }
}

#[test]
fn a_byte_order_mark_says_more_than_the_dataset() {
    let folder = Folder::new();
    let text = "\u{FEFF}id,word\n1,é\n";
    let files = [text.as_bytes().to_vec(), utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes)];
    for (bytes, encoding) in files.iter().flat_map(|f| ["utf-8", "utf-16", "latin-1", "windows-1252"].map(|e| (f, e))) {
        let taken = take_apart(&folder.path(""), bytes, &declared(encoding)).expect("a file");
        assert_eq!(String::from_utf8_lossy(&taken.valid), "id,word\n1,é\n", "declared {encoding}");
        assert_eq!(taken.parsed.certificate.tally.bytes_covered, bytes.len() as u64);
    }
}

#[test]
fn a_record_that_is_too_long_keeps_whole_characters_of_what_was_delivered() {
    let folder = Folder::new();
    let text = format!("id,word\n1,{}\n2,ab\n", "é☃".repeat(400));
    for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes = utf16(&text, bytes_of);
        check_places(&folder, &bytes, &declared("utf-16"));
        let taken = take_apart(&folder.path(""), &bytes, &declared("utf-16")).expect("a file");
        assert_eq!(taken.rejects[0]["errors"][0]["code"], "record_too_long");
        assert_eq!(taken.rejects[0]["byte_length"], (2 + 800 + 1) * 2);
        assert_eq!(taken.parsed.certificate.tally.loaded, 1);
    }
}
