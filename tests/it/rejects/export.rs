//! What is written out is what was delivered.

use super::{export, ids, three_rejects};
use crate::laws::packed::{PACKINGS, pack};
use crate::support::World;
use bursar::rows::encoding::Encoding;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_the_original_header_and_bytes_and_tells_each_reject_by_its_number() {
    let world = three_rejects().await;
    let ids = ids(&world);
    let ran = export(&world, &["--reasons", "why.csv"]).code(0);
    let expected = format!(
        "reject_id,customer_number,customer_rating,customer_rating_limit,customer_status\r\n\
         {},x\u{1b}[31m,10,20,low\r\n{},2,,9,low\r\n{},7,8,9,low\"value\r\n",
        ids[0], ids[1], ids[2]
    );
    assert_eq!(ran.stdout, expected);
    let reasons = std::fs::read_to_string(world.path("why.csv")).expect("the reasons");
    assert!(
        reasons
            .starts_with(&format!("reject_id,line,column,code,message\n{},3,customer_number,not_an_integer,", ids[0])),
        "{reasons}"
    );
    assert!(
        reasons.contains(&format!("{},4,customer_rating,null,there is no value\n{},8,,stray_quote,", ids[1], ids[2])),
        "{reasons}"
    );
    let some = export(&world, &["--code", "null", "--file", "some.csv"]).code(0);
    assert!(some.stdout.is_empty() && some.stderr.contains("1 rejects of load "), "{}", some.stderr);
    let written = std::fs::read_to_string(world.path("some.csv")).expect("the export");
    assert_eq!(written.lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_of_one_load_that_has_rejects() {
    let world = three_rejects().await;
    for (arguments, said) in [
        (vec!["--customer", "agency_b"], " has no rejects"),
        (vec!["--date", super::DATE], "several loads are meant"),
        (
            vec!["--customer", "agency_a", "--date", "2025-01-01"],
            "no load counts for that dataset, customer and run date",
        ),
    ] {
        let ran = world.bursar(&[&["rejects", "export", "--file", "never.csv"], &arguments[..]].concat()).code(65);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    assert!(!world.path("never.csv").exists());
    world.scalar::<i64>("with gone as (delete from bursar.layouts returning 1) select count(*) from gone").await;
    let ran = export(&world, &[]).code(65);
    assert!(ran.stderr.contains("an earlier version, which did not keep the file's header"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_which_only_the_beginning_is_kept_is_not_written_but_named() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[gate]", "[dialect]\nmax_record_bytes = 1024\n\n[gate]")
    });
    world.deliver_all();
    let long = "y".repeat(2000);
    world.deliver(
        "A",
        crate::support::ratings(&["1,2,3,low", "2,2,3,low", "3,2,3,low", &format!("1,2,3,{long}"), "x,2,3,low"]),
    );
    world.run_job(super::DATE, &[]).code(0);
    let ran = export(&world, &[]).code(0);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    let long = ids(&world)[0];
    let said = format!(
        "1 more are longer than dialect.max_record_bytes; only their beginning is kept, so they were not written: {long} "
    );
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    let shown = world.bursar(&["rejects", "show", &long.to_string()]).code(0).stdout;
    assert!(shown.contains("(1024 of 2008 bytes; 1024 are kept)"), "{shown}");
}

/// Bytes of a file in an encoding: a header, good rows, and what may be anything.
fn file() -> impl Strategy<Value = Vec<String>> {
    let row = prop_oneof![
        Just("1,2,3,low\n".to_owned()),
        Just("4,,6,\"a \"\"word\"\"\"\r\n".to_owned()),
        Just("7,8,9,\"two\nlines\"\n".to_owned()),
        Just("x,8,9,\"two\r\nlines\"\r\n".to_owned()),
        Just("=cmd|' /C calc'!A0,8,9,é\n".to_owned()),
        Just("1,2,3,l\u{0}w\n".to_owned()),
        Just("1,2\r".to_owned()),
        Just("\n".to_owned()),
        Just("1,2,3,\"open\n".to_owned()),
        Just("1,2,3,st\"ray\n".to_owned()),
        Just("1,2,3,4,5\r\n".to_owned()),
    ];
    proptest::collection::vec(row, 1..30)
}

fn encoded(encoding: Encoding, text: &str) -> Vec<u8> {
    encoding.delivered(text.as_bytes()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_and_rejected_bytes_and_skips_give_back_the_file_in_every_encoding_and_packing() {
    let mut runner = TestRunner::deterministic();
    let header = "customer_number,customer_rating,customer_rating_limit,customer_status\n";
    for (i, (encoding, mark, declared)) in [
        (Encoding::Utf8, "", "utf-8"),
        (Encoding::Utf8, "\u{FEFF}", "latin-1"),
        (Encoding::Utf16Little, "\u{FEFF}", "utf-8"),
        (Encoding::Utf16Big, "", "utf-16"),
        (Encoding::Latin1, "", "latin-1"),
        (Encoding::Windows1252, "", "windows-1252"),
    ]
    .into_iter()
    .enumerate()
    {
        let world = World::new().await;
        world.edit("datasets/customer_rating.toml", |text| {
            let gate = "allow_empty = true\nmax_reject_percent = 100";
            text.replace("max_reject_percent = 50", gate)
                .replace("[gate]", &format!("[dialect]\nencoding = \"{declared}\"\n\n[gate]"))
        });
        world.deliver_all();
        for round in 0..2 {
            let mut rows = file().new_tree(&mut runner).expect("a file").current();
            rows.push("y,2,3,4".to_owned());
            let mut bytes = encoded(encoding, mark);
            bytes.extend(encoded(encoding, header));
            for row in &rows {
                bytes.extend(encoded(encoding, row));
            }
            if encoding == Encoding::Utf8 {
                bytes.extend(b"\n\xFF\xFE,1,2,3\n1,2,3,\xC3\n");
            }
            let delivered = if round == 0 { bytes.clone() } else { pack(PACKINGS[i % 4], &bytes) };
            world.deliver("A", &delivered);
            world.run_job(super::DATE, &["--customer", "agency_a"]).code(0);
            check(&world, encoding, mark, header, &bytes).await;
        }
    }
}

async fn check(world: &World, encoding: Encoding, mark: &str, header: &str, bytes: &[u8]) {
    let places: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "select r.byte_offset, r.byte_length, r.raw from bursar.file_invalid_rows as r
           join bursar.loads as l on l.id = r.load_id where l.customer = 'agency_a' and r.status = 'open' order by r.id",
    )
    .fetch_all(&world.pool().await)
    .await
    .expect("the rejects");
    export(world, &["--bare", "--file", "bare.csv"]).code(0);
    let bare = std::fs::read(world.path("bare.csv")).expect("the export");
    let size = |n: i64| usize::try_from(n).expect("a size");
    let mut expected = encoded(encoding, &format!("{mark}{header}"));
    let (mut rest, mut from) = (Vec::new(), 0);
    for (offset, length, raw) in &places {
        let span = size(*offset)..size(*offset + *length);
        assert_eq!(&bytes[span.clone()], raw, "the bytes kept are those at their place");
        expected.extend(raw);
        rest.extend(&bytes[from..span.start]);
        from = span.end;
    }
    rest.extend(&bytes[from..]);
    assert_eq!(bare, expected, "the header and the rejected bytes, no more and no less");
    let (whole, good) = (world.write("whole.csv", bytes), world.write("good.csv", rest));
    let valid = |path: &std::path::Path| {
        let path = path.display().to_string();
        let parsed =
            world.bursar(&["parse", "customer_rating", &path, "--valid", "valid.csv", "--json"]).code(0).json();
        let rows = std::fs::read(world.path("valid.csv")).expect("the valid rows");
        (parsed["certificate"]["rejected"].as_u64().expect("a count"), rows)
    };
    let ((rejected, rows), (none, same)) = (valid(&whole), valid(&good));
    assert_eq!((rejected, none), (places.len() as u64, 0), "what is left of the file is good as a whole");
    assert_eq!(rows, same);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_reader_goes_away_ends_quietly() {
    let world = three_rejects().await;
    let arguments = ["rejects", "export", "--customer", "agency_a", "--date", super::DATE];
    let mut command = world.command(&arguments);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ran = crate::support::Ran::of(command.stdout(writer).output().expect("start bursar")).code(0);
    assert_eq!(ran.messages(), "");
}
