//! Files that are refused as a whole, or found where nobody would look.

use super::{HEADER, Today};
use crate::laws::packed::pack;
use crate::support::ratings;
use bursar::rows::unpack::Packing;
use serde_json::Value;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

/// UTF-16 with a byte order mark.
fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes_of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_named_with_the_pattern_that_nothing_matches() {
    let today = Today::new().await;
    std::fs::remove_file(today.world.path("inbox/ratings/Customer Rating Agency A Inc.csv")).expect("remove it");
    today.is_refused(&["no file of agency_a for 2025-05-14", "inbox/ratings/Customer Rating Agency A Inc*.csv"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_cannot_be_searched_is_no_missing_delivery() {
    let today = Today::new().await;
    std::fs::remove_dir_all(today.world.path("inbox")).expect("remove it");
    today.fails(78, &["load[agency_a] failed (config)", "/inbox can't be searched", "BURSAR_INBOX_DIR"]).await;
    today.world.write("inbox", "a file in its place");
    today.fails(78, &["/inbox can't be searched", "BURSAR_INBOX_DIR"]).await;
    std::fs::remove_file(today.world.path("inbox")).expect("remove it");
    today.world.write("inbox/ratings", "a file in place of its folder");
    today.fails(78, &["can't look for", "Not a directory"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_no_text_or_hidden_are_passed_over() {
    let today = Today::new().await;
    today.world.write("inbox/ratings/.Customer Rating Agency A Inc.csv", "half delivered");
    let name = std::ffi::OsStr::from_bytes(b"Customer Rating Agency A Inc M\xFCller.csv");
    std::fs::write(today.world.path("inbox/ratings").join(name), "x").expect("write a file");
    today.loads(ratings(&["9,9,9,low-value"]), &["(9,9,9,low-value)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_refused() {
    let today = Today::new().await;
    today.world.deliver("A", "");
    today.is_refused(&["Customer Rating Agency A Inc.csv is empty (0 bytes)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_blank_lines_or_of_a_mark_alone_has_no_header() {
    let today = Today::new().await;
    for nothing in ["\r\n\r\n", "\n", "\u{FEFF}", "\u{FEFF}\r\r"] {
        today.world.deliver("A", nothing);
        today.is_refused(&["Customer Rating Agency A Inc.csv holds no header"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_header_names_each_column_that_is_missing_double_or_unknown() {
    let today = Today::new().await;
    let header = "customer_number,customer_number,customer_rating,town";
    today.world.deliver("A", format!("{header}\r\n1,2,3,Rome\r\n"));
    today
        .is_refused(&[
            "Customer Rating Agency A Inc.csv: line 1",
            "the column \"customer_number\" is there 2 times",
            "the column \"customer_rating_limit\" is missing",
            "the column \"customer_status\" is missing",
            "the column \"town\" is not expected",
            "found \"customer_number\", \"customer_number\", \"customer_rating\", \"town\"",
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_header_is_refused_and_its_first_row_not_taken_for_one() {
    let today = Today::new().await;
    today.world.deliver("A", "1,2,3,low-value\r\n2,2,3,low-value\r\n");
    today.is_refused(&["the column \"customer_number\" is missing", "found \"1\", \"2\", \"3\", \"low-value\""]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_with_an_unclosed_quote_is_refused() {
    let today = Today::new().await;
    today.world.deliver("A", format!("\"{HEADER}\r\n1,2,3,low-value\r\n"));
    today.is_refused(&["line 1: the header's quotes are broken"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_in_another_order_case_and_with_blanks_are_found() {
    let today = Today::new().await;
    let file =
        "\r\n CUSTOMER STATUS ,\"Customer_Rating_Limit\",customer_number\t,Customer  Rating\r\nlow-value,3,1,2\r\n";
    today.loads(file, &["(1,2,3,low-value)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_place_of_a_file_is_refused() {
    let today = Today::new().await;
    let file = today.world.path("inbox/ratings/Customer Rating Agency A Inc.csv");
    std::fs::remove_file(&file).expect("remove it");
    std::fs::create_dir(&file).expect("a folder");
    today.is_refused(&["Customer Rating Agency A Inc.csv is a directory"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_or_a_socket_in_place_of_a_file_is_refused_and_not_waited_for() {
    let today = Today::new().await;
    let file = today.world.path("inbox/ratings/Customer Rating Agency A Inc.csv");
    std::fs::remove_file(&file).expect("remove it");
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    today.is_refused(&["Customer Rating Agency A Inc.csv is not a regular file"]).await;
    std::fs::remove_file(&file).expect("remove it");
    let _socket = UnixListener::bind(&file).expect("a socket");
    today.is_refused(&["Customer Rating Agency A Inc.csv is not a regular file"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_nothing_is_a_data_fault() {
    let today = Today::new().await;
    let file = today.world.path("inbox/ratings/Customer Rating Agency A Inc.csv");
    std::fs::remove_file(&file).expect("remove it");
    std::os::unix::fs::symlink("nowhere.csv", &file).expect("a link");
    today.is_refused(&["Customer Rating Agency A Inc"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_rubbish_is_refused() {
    let today = Today::new().await;
    let mut seed = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = std::iter::repeat_with(|| seed.u8(..)).take(100_000).collect();
    today.world.deliver("A", &noise);
    today.is_refused(&["Customer Rating Agency A Inc.csv: line"]).await;
    let no_line_end: Vec<u8> =
        noise.iter().copied().filter(|b| !matches!(b, b'\n' | b'\r' | b'"')).cycle().take(3_000_000).collect();
    today.world.deliver("A", no_line_end);
    today.is_refused(&["no line end within 1048576 bytes: this is no header"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheet_or_an_archive_that_is_not_sound_is_called_what_it_is() {
    let today = Today::new().await;
    today.world.deliver("A", b"PK\x03\x04rest");
    today.is_refused(&["the file is a zip archive or a spreadsheet", "deliver CSV"]).await;
    let packed = pack(Packing::Gzip, ratings(&["1,2,3,low-value"]).as_bytes());
    today.world.deliver("A", &packed[..packed.len() - 4]);
    today.is_refused(&["Customer Rating Agency A Inc.csv: the gzip archive breaks off"]).await;
    today.world.deliver("A", [packed, b"rest".to_vec()].concat());
    today.is_refused(&["something else stands behind the gzip archive"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_file_is_loaded_like_the_file_it_unpacks_to_in_bounded_memory() {
    let today = Today::new().await;
    let long = "x".repeat(100 << 20);
    let text = ratings(&["1,2,3,low-value", "x,2,3,low-value", &long, "4,5,6,high-value", "7,5,6,high-value"]);
    let packed = pack(Packing::Zstd, text.as_bytes());
    today.world.deliver("A", &packed);
    let run = today.world.run_job("2025-05-14", &["--customer", "agency_a", "--json"]).code(0).json();
    assert_eq!(today.world.rows("agency_a").await, ["(1,2,3,low-value)", "(4,5,6,high-value)", "(7,5,6,high-value)"]);
    assert_eq!(today.rejects().await, ["3 not_an_integer", "4 record_too_long"]);
    let peak = run["peak_memory_bytes"].as_u64().expect("a number");
    assert!(peak < 100 << 20, "peak memory {peak}");
    let kept = "select jsonb_build_array(file_bytes, certificate -> 'bytes', certificate -> 'unpacked_bytes', certificate -> 'bytes_covered')
                  from bursar.loads where run_date = '2025-05-14'";
    let whole = text.len();
    assert_eq!(today.world.scalar::<Value>(kept).await, serde_json::json!([packed.len(), packed.len(), whole, whole]));
}

#[tokio::test(flavor = "multi_thread")]
async fn utf_16_with_its_mark_is_loaded_and_rejects_lie_where_they_were_delivered() {
    let today = Today::new().await;
    let text = ratings(&["1,2,3,low-value", "x,2,3,low-value"]);
    for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
        today.loads(utf16(&text, bytes_of), &["(1,2,3,low-value)"]).await;
        let place =
            "select jsonb_build_array(byte_offset, byte_length, encode(raw, 'hex')) from bursar.file_invalid_rows
                      where status = 'open' and line = 3 and load_id = (select max(id) from bursar.loads)";
        let raw = &utf16("x,2,3,low-value\r\n", bytes_of)[2..];
        let offset = utf16(&text, bytes_of).len() - raw.len();
        let expected = serde_json::json!([offset, raw.len(), bursar::rows::source::hex(raw)]);
        assert_eq!(today.world.scalar::<Value>(place).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_neither_utf_8_nor_marked_is_refused_until_the_dataset_names_its_encoding() {
    let today = Today::new().await;
    let without_mark = utf16(&ratings(&["1,2,3,low-value"]), u16::to_le_bytes)[2..].to_vec();
    today.world.deliver("A", &without_mark);
    today
        .is_refused(&["the file is UTF-16 text (little endian) without a byte order mark; set dialect.encoding"])
        .await;
    today.world.deliver("A", b"\xFF\xFE\0\0c\0\0\0");
    today.is_refused(&["the file is UTF-32 text"]).await;
    today.world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[gate]", "[dialect]\nencoding = \"utf-16\"\n\n[gate]")
    });
    today.loads(without_mark, &["(1,2,3,low-value)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_100_mb_is_refused() {
    let today = Today::new().await;
    let path = today.world.deliver("A", HEADER);
    std::fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(100 << 20)).expect("a long line");
    today.is_refused(&["no line end within 1048576 bytes: this is no header"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_half_a_million_columns_is_refused_in_one_short_message() {
    let today = Today::new().await;
    today.world.deliver("A", format!("{HEADER}{}\n1,2,3,low-value\n", ",x".repeat(500_000)));
    let ran = today.run().code(65);
    assert!(ran.messages().len() < 5_000, "{} bytes", ran.messages().len());
    today.is_refused(&["the column \"x\" is not expected", "and 499990 more; expected", "and 499994 more"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_bytes_in_the_header_are_shown_and_refused() {
    let today = Today::new().await;
    today.world.deliver("A", format!("{}\n1,2,3,low-value\n", HEADER.replace("_number", "_num\0ber")));
    today
        .is_refused(&["the column \"customer_number\" is missing", "\"customer_num\u{FFFD}ber\" is not expected"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_that_match_one_pattern_are_both_named() {
    let today = Today::new().await;
    today.world.write("inbox/ratings/Customer Rating Agency A Inc (1).csv", ratings(&["9,9,9,low-value"]));
    today
        .is_refused(&[
            "2 files of agency_a for 2025-05-14",
            "Customer Rating Agency A Inc (1).csv",
            "Customer Rating Agency A Inc.csv",
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_file_matches_near_misses_are_named() {
    let today = Today::new().await;
    today.world.edit("datasets/customer_rating.toml", |text| text.replace("Inc*.csv", "Inc %Y%m%d.csv"));
    let folder = today.world.path("inbox/ratings");
    std::fs::remove_dir_all(&folder).expect("remove it");
    today.is_refused(&["; near misses: there is no folder ratings"]).await;
    let name = |n: u32, end: &str| format!("inbox/ratings/Customer Rating Agency A Inc 202505{n}{end}");
    for file in [name(14, ".CSV"), name(12, ".csv"), name(13, ".csv")] {
        today.world.write(&file, ratings(&["9,9,9,low-value"]));
    }
    std::os::unix::fs::symlink("nowhere", today.world.path(&name(14, ".csv"))).expect("a link");
    let words = [
        "near misses: Customer Rating Agency A Inc 20250514.CSV (upper and lower case differ)",
        "Customer Rating Agency A Inc 20250514.csv (it is a symbolic link to nowhere, which does not exist)",
        "ratings/Customer Rating Agency A Inc 20250513.csv (it is the file of 2025-05-13)",
    ];
    today.is_refused(&words).await;
    let forecast = today.world.bursar(&["run-job", "customer-ratings", "--date", "2025-05-14", "--dry-run", "--json"]);
    assert!(forecast.code(0).stdout.contains("upper and lower case differ"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_control_characters_is_refused_and_reaches_no_terminal() {
    let today = Today::new().await;
    let name = "inbox/ratings/Customer Rating Agency A Inc \u{1b}[31mred\nerror: forged \u{9b}\u{202e}.csv";
    std::fs::remove_file(today.world.path("inbox/ratings/Customer Rating Agency A Inc.csv")).expect("remove it");
    let file = today.world.write(name, "wrong,header\n1,x\n");
    let spelt = "Customer Rating Agency A Inc \\u{1b}[31mred\\nerror: forged \\u{9b}\\u{202e}.csv";
    today.is_refused(&[format!("{spelt} has control characters: it is not read").as_str()]).await;
    let ran = today.run();
    let forecast = today.world.bursar(&["run-job", "customer-ratings", "--date", "2025-05-14", "--dry-run"]);
    let parsed = today.world.bursar(&["parse", "customer_rating", file.to_str().expect("a path")]).code(65);
    assert!(parsed.stderr.contains(spelt), "{}", parsed.stderr);
    for ran in [ran, forecast, parsed] {
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']) && !text.contains("\nerror: forged"), "{text:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_with_a_date_serves_only_that_date() {
    let today = Today::new().await;
    today.world.edit("datasets/customer_rating.toml", |text| text.replace("Inc*.csv", "Inc %Y%m%d.csv"));
    today.world.write("inbox/ratings/Customer Rating Agency A Inc 20250515.csv", ratings(&["9,9,9,low-value"]));
    today.is_refused(&["nothing matches", "Customer Rating Agency A Inc 20250514.csv"]).await;
    today.world.run_job("2025-05-15", &["--customer", "agency_a"]).code(0);
    assert_eq!(today.world.rows("agency_a").await, ["(9,9,9,low-value)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_whose_name_looks_like_a_pattern_is_taken_literally() {
    let today = Today::new().await;
    std::fs::rename(today.world.path("inbox"), today.world.path("in[b]ox*")).expect("rename it");
    let mut command = today.world.command(&["run-job", "customer-ratings", "--date", "2025-05-14"]);
    let output = command.env("BURSAR_INBOX_DIR", today.world.path("in[b]ox*")).output().expect("start bursar");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn parse_refuses_what_a_load_refuses() {
    let today = Today::new().await;
    let file = today.world.deliver("A", "");
    let file = file.to_str().expect("a path");
    let message = today.world.bursar(&["parse", "customer_rating", file]).code(65).messages();
    assert!(message.contains("is empty (0 bytes)"), "{message}");
    let message = today.world.bursar(&["parse", "customer_rating", "nowhere.csv"]).code(65).messages();
    assert!(message.contains("can't open nowhere.csv"), "{message}");
    today.world.deliver("A", b"PK\x03\x04rest");
    let message = today.world.bursar(&["parse", "customer_rating", file]).code(65).messages();
    assert!(message.contains("a spreadsheet"), "{message}");
    today.world.bursar(&["parse", "customer_ratings", file]).code(64);
}
