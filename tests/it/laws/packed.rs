//! A compressed file is the file that it unpacks to; an archive that is not sound is a data fault.

use super::bytes::file;
use super::{Taken, dataset, take_apart};
use crate::support::Folder;
use bursar::fault::{Fault, judge};
use bursar::rows::dataset::Dataset;
use bursar::rows::dialect::Dialect;
use bursar::rows::input::Input;
use bursar::rows::source::SourceFile;
use bursar::rows::unpack::Packing;
use proptest::prelude::*;
use std::io::{Read, Write};

pub const PACKINGS: [Packing; 4] = [Packing::Gzip, Packing::Zstd, Packing::Bzip2, Packing::Xz];

/// One member, with every checksum its form has.
pub fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    match packing {
        Packing::Gzip => {
            flate2::bufread::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut packed).map(drop)
        }
        Packing::Zstd => zstd::Encoder::new(&mut packed, 1).and_then(|mut encoder| {
            encoder.include_checksum(true)?;
            encoder.write_all(bytes)?;
            encoder.finish().map(drop)
        }),
        Packing::Bzip2 => {
            bzip2::bufread::BzEncoder::new(bytes, bzip2::Compression::fast()).read_to_end(&mut packed).map(drop)
        }
        Packing::Xz => liblzma::bufread::XzEncoder::new(bytes, 0).read_to_end(&mut packed).map(drop),
    }
    .expect("pack into memory");
    packed
}

fn two_columns() -> Dataset {
    dataset(
        "[dialect]\nmax_record_bytes = 1024\nextra_columns = \"ignore\"\n[[column]]\nname = \"id\"\ntype = \"integer\"\n\
         [[column]]\nname = \"word\"\ntype = \"text\"\nnullable = true\nmax_length = 5\n",
    )
}

fn rows(count: usize) -> Vec<u8> {
    let rows: Vec<String> = (0..count).map(|i| format!("{i},{}\n", i * 7919 % 99991)).collect();
    format!("id,word\n{}", rows.concat()).into_bytes()
}

/// Everything that was found, but for what the file is as delivered.
fn findings(taken: &Taken) -> impl PartialEq + std::fmt::Debug {
    let certificate = &taken.parsed.certificate;
    (certificate.tally.clone(), taken.parsed.errors.clone(), taken.valid.clone(), taken.rejects.clone())
}

fn fault_of(folder: &Folder, bytes: &[u8]) -> String {
    let error = take_apart(&folder.path(""), bytes, &two_columns()).err().expect("a fault");
    assert_eq!(judge(&error), Fault::Data, "{error:#}");
    format!("{error:#}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_compressed_file_is_the_file_it_unpacks_to_however_many_members_it_has(
        bytes in file(),
        packing in proptest::sample::select(PACKINGS.to_vec()),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let folder = Folder::new();
        let plain = take_apart(&folder.path(""), &bytes, &two_columns());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let packed: Vec<u8> = cuts.windows(2).flat_map(|cut| pack(packing, &bytes[cut[0]..cut[1]])).collect();
        match (plain, take_apart(&folder.path(""), &packed, &two_columns())) {
            (Ok(plain), Ok(taken)) => {
                prop_assert_eq!(findings(&plain), findings(&taken));
                let certificate = &taken.parsed.certificate;
                prop_assert_eq!((certificate.bytes, certificate.unpacked_bytes), (packed.len() as u64, Some(bytes.len() as u64)));
                prop_assert_eq!(plain.parsed.certificate.unpacked_bytes, None);
                prop_assert_eq!(certificate.imbalances(), Vec::<String>::new());
            }
            (Err(plain), Err(packed)) => {
                prop_assert_eq!(judge(&packed), Fault::Data);
                prop_assert!(bytes.is_empty() || format!("{plain:#}") == format!("{packed:#}"), "{plain:#}\n{packed:#}");
            }
            (plain, packed) => prop_assert!(false, "{:?} {:?}", plain.is_ok(), packed.is_ok()),
        }
    }

    #[test]
    fn a_damaged_archive_is_a_data_fault_or_nothing_was_lost(
        packing in proptest::sample::select(PACKINGS.to_vec()),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (folder, bytes) = (Folder::new(), rows(300));
        let mut packed = pack(packing, &bytes);
        let at = at.index(packed.len());
        packed[at] = byte;
        match take_apart(&folder.path(""), &packed, &two_columns()) {
            Ok(taken) => prop_assert_eq!(taken.parsed.certificate.unpacked_bytes, Some(bytes.len() as u64)),
            Err(error) => prop_assert_eq!(judge(&error), Fault::Data, "{:#}", error),
        }
    }
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_never_taken_for_a_whole_one() {
    let (folder, bytes) = (Folder::new(), rows(40));
    for packing in PACKINGS {
        let packed = pack(packing, &bytes);
        for length in 1..packed.len() {
            let message = fault_of(&folder, &packed[..length]);
            assert!(length < 16 || message.contains("breaks off"), "{packing:?}, {length} bytes: {message}");
        }
    }
}

#[test]
fn a_broken_archive_says_how_far_it_could_be_read() {
    let (folder, bytes) = (Folder::new(), rows(100_000));
    for packing in PACKINGS {
        let packed = [pack(packing, &bytes), pack(packing, &bytes)].concat();
        let cut = &packed[..packed.len() - 20];
        let message = fault_of(&folder, cut);
        let begin = format!("the {} archive breaks off: its {} bytes were read to the end", packing.name(), cut.len());
        assert!(message.contains(&begin), "{message}");
        let mut corrupt = packed.clone();
        let middle = packed.len() * 3 / 4;
        corrupt[middle..middle + 64].fill(0xA5);
        let message = fault_of(&folder, &corrupt);
        assert!(message.contains(&format!("the {} archive is corrupt near byte", packing.name())), "{message}");
        assert!(message.contains(&format!("of {} (", packed.len())), "{message}");
    }
}

#[test]
fn what_stands_behind_an_archive_is_a_data_fault_that_says_where() {
    let (folder, bytes) = (Folder::new(), rows(3));
    for packing in PACKINGS {
        let packed = pack(packing, &bytes);
        for behind in [&b"4,more\n"[..], b"\0", b"\0\0\0\0\0"] {
            let message = fault_of(&folder, &[&packed, behind].concat());
            let begin = format!("something else stands behind the {} archive, from byte ", packing.name());
            assert!(message.contains(&begin), "{message}");
        }
    }
    let padded = [pack(Packing::Xz, &bytes), vec![0; 8], pack(Packing::Xz, b"9,9\n"), vec![0; 4]].concat();
    let taken = take_apart(&folder.path(""), &padded, &two_columns()).expect("the format allows zeros in fours");
    assert_eq!(taken.parsed.certificate.tally.loaded, 4);
}

#[test]
fn a_zstd_frame_that_is_to_be_skipped_is_skipped() {
    let folder = Folder::new();
    let skipped = b"\x53\x2A\x4D\x18\x05\0\0\0hello";
    let packed = [&skipped[..], &pack(Packing::Zstd, &rows(3)), skipped].concat();
    let taken = take_apart(&folder.path(""), &packed, &two_columns()).expect("a file");
    assert_eq!(taken.parsed.certificate.tally.loaded, 3);
}

#[test]
fn nothing_is_read_beyond_the_bound_and_the_fault_names_both_figures() {
    let (folder, bytes) = (Folder::new(), rows(100_000));
    let with_bound = |bound: usize| {
        dataset(&format!(
            "[dialect]\nmax_unpacked_bytes = {bound}\n[[column]]\nname = \"id\"\ntype = \"integer\"\n\
             [[column]]\nname = \"word\"\ntype = \"text\"\n"
        ))
    };
    for packing in PACKINGS {
        let packed = pack(packing, &bytes);
        let exact = take_apart(&folder.path(""), &packed, &with_bound(bytes.len())).expect("as many as fit");
        assert_eq!(exact.parsed.certificate.tally.loaded, 100_000);
        for bound in [bytes.len() - 1, 300_000, 1024] {
            let error = take_apart(&folder.path(""), &packed, &with_bound(bound)).err().expect("more than the bound");
            assert_eq!(judge(&error), Fault::Data);
            let (message, name) = (format!("{error:#}"), packing.name());
            let words = format!(
                "the file's {} bytes (packed with {name}) unpack to more than {bound}, which is \
                 dialect.max_unpacked_bytes",
                packed.len()
            );
            assert!(message.contains(&words), "{message}");
        }
    }
}

#[test]
fn a_window_that_no_common_program_would_take_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(28).expect("a window of 256 MiB");
    encoder.write_all(&rows(100_000)).expect("pack into memory");
    let message = fault_of(&Folder::new(), &encoder.finish().expect("pack into memory"));
    assert!(message.contains("the zstd archive is corrupt near byte"), "{message}");
    assert!(message.contains("memory"), "{message}");
}

#[test]
fn a_file_packed_twice_or_a_zip_within_is_called_what_it_is() {
    let folder = Folder::new();
    let twice = pack(Packing::Gzip, &pack(Packing::Xz, &rows(3)));
    assert!(fault_of(&folder, &twice).contains("the file is packed twice, with gzip and within with xz"));
    assert!(fault_of(&folder, &pack(Packing::Zstd, b"PK\x03\x04rest")).contains("a zip archive or a spreadsheet"));
}

#[test]
fn what_a_file_is_packed_with_is_told_by_its_bytes_and_never_guessed() {
    let folder = Folder::new();
    let taken = take_apart(&folder.path(""), b"BZh1,id,word\n1,2,3\n", &two_columns()).expect("a plain file");
    assert_eq!((taken.parsed.certificate.tally.loaded, taken.parsed.certificate.unpacked_bytes), (1, None));
    for packing in PACKINGS {
        assert_eq!(Packing::of(&pack(packing, b"")), Some(packing));
        assert!(fault_of(&folder, &pack(packing, b"")).contains("archive is empty; a header and rows were expected"));
    }
}

#[test]
fn a_wrong_header_ends_the_unpacking_of_a_file_of_many_blocks() {
    let (folder, bytes) = (Folder::new(), [b"wrong_", &rows(500_000)[..]].concat());
    assert!(fault_of(&folder, &pack(Packing::Gzip, &bytes)).contains("the header does not fit"));
}

#[test]
fn an_archive_that_is_still_being_delivered_is_transient() {
    let folder = Folder::new();
    let packed = pack(Packing::Zstd, &rows(10_000));
    let path = folder.write("in.csv", &packed[..packed.len() / 2]);
    let source = SourceFile::open(&path).expect("a file");
    let mut more = std::fs::OpenOptions::new().append(true).open(&path).expect("the file");
    let first: Vec<u8> = packed[packed.len() / 2..packed.len() - 10].to_vec();
    more.write_all(&first).expect("more of it");
    let error = read_to_end(source).expect_err("a file that changed");
    assert_eq!(judge(&error), Fault::Transient, "{error:#}");
    assert!(format!("{error:#}").contains("the file changed while it was read"), "{error:#}");
}

fn read_to_end(source: SourceFile) -> anyhow::Result<u64> {
    let mut input = Input::open(source, &Dialect::default())?;
    let mut block = vec![0; 1000];
    while input.read(&mut block)? > 0 {}
    Ok(input.finish()?.0.bytes)
}

#[test]
fn progress_counts_the_bytes_of_the_delivered_file() {
    let folder = Folder::new();
    let packed = pack(Packing::Gzip, &rows(200_000));
    let source = SourceFile::open(&folder.write("in.csv.gz", &packed)).expect("a file");
    let mut input = Input::open(source, &Dialect::default()).expect("an archive");
    let (mut block, mut last) = (vec![0; 100_000], 0);
    while input.read(&mut block).expect("bytes") > 0 {
        assert!((last..=packed.len() as u64).contains(&input.delivered()), "{}", input.delivered());
        last = input.delivered();
    }
    assert_eq!(input.delivered(), packed.len() as u64);
}
