//! Records: what is read of them, what is rejected, and in how much memory.

use super::{HEADER, Today};
use crate::support::{World, ratings};
use serde_json::Value;
use std::io::Write;

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_passed_over() {
    let today = Today::new().await;
    today.loads(format!("\u{FEFF}{}", ratings(&["1,2,3,low-value"])), &["(1,2,3,low-value)"]).await;
    let account: Value = self_account(&today.world).await;
    assert_eq!(account["bytes"], account["bytes_covered"]);
}

async fn self_account(world: &World) -> Value {
    world.scalar("select certificate from bursar.loads where run_date = '2025-05-14' and is_current").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_end_and_a_mix_of_them_give_the_same_rows() {
    let today = Today::new().await;
    let rows = ["(1,2,3,low-value)", "(2,2,3,low-value)", "(3,2,3,high-value)"];
    let text = |ends: [&str; 4]| {
        let [a, b, c, d] = ends;
        format!("{HEADER}{a}1,2,3,low-value{b}2,2,3,low-value{c}3,2,3,high-value{d}")
    };
    let each = [["\n"; 4], ["\r"; 4], ["\r\n"; 4], ["\n", "\n", "\n", ""], ["\r", "\r", "\r", ""]];
    for ends in each {
        today.loads(text(ends), &rows).await;
    }
    today.world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[gate]", "[dialect]\nline_end = \"any\"\n\n[gate]")
    });
    for ends in [["\r", "\n", "\r\n", "\r"], ["\n\n", "\r\r", "\r\n\r\n", ""]] {
        today.loads(text(ends), &rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quoted_fields_keep_their_line_ends_delimiters_and_quotes() {
    let today = Today::new().await;
    let file = format!(
        "{HEADER}\r\n1,2,3,\"two\r\nlines\"\r\n\"2\",2,3,\"a \"\"b\"\", c\"\r\n3,2,3,\"\"\"\"\r\nx,2,3,low-value\r\n"
    );
    today.world.deliver("A", file);
    today.run().code(0);
    let statuses: Vec<String> = serde_json::from_value(
        today
            .world
            .scalar("select jsonb_agg(customer_status order by customer_number) from customer_rating_agency_a")
            .await,
    )
    .expect("texts");
    assert_eq!(statuses, ["two\r\nlines", "a \"b\", c", "\""]);
    assert_eq!(today.rejects().await, ["6 not_an_integer"], "lines are counted within quotes, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_100_mb_is_rejected_in_bounded_memory_and_the_rows_around_it_load() {
    let today = Today::new().await;
    let path = today.world.deliver("A", format!("{HEADER}\n1,2,3,low-value\n2,2,3,"));
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("the file");
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        file.write_all(&chunk).expect("a long line");
    }
    file.write_all(b"\n3,2,3,low-value\n").expect("a good row");
    let run = today.world.run_job("2025-05-14", &["--customer", "agency_a", "--json"]).code(0).json();
    assert_eq!(today.world.rows("agency_a").await, ["(1,2,3,low-value)", "(3,2,3,low-value)"]);
    assert_eq!(today.rejects().await, ["3 record_too_long"]);
    let kept: Value = today
        .world
        .scalar("select jsonb_build_object('length', byte_length, 'raw', length(raw), 'end', byte_offset + byte_length) from bursar.file_invalid_rows where line = 3 and byte_length > 1000")
        .await;
    assert_eq!(kept["raw"], 1 << 20);
    assert_eq!(kept["length"], (100 << 20) + "2,2,3,\n".len());
    let peak = run["peak_memory_bytes"].as_u64().expect("a number");
    assert!(peak < 100 << 20, "peak memory {peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_that_10_mb_do_not_close_costs_one_line_in_bounded_memory() {
    let today = Today::new().await;
    let path = today.world.deliver("A", format!("{HEADER}\n1,2,3,\"low-value\n"));
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("the file");
    let chunk = vec![b'\n'; 1 << 20];
    for _ in 0..10 {
        file.write_all(&chunk).expect("blank lines");
    }
    file.write_all(b"3,2,3,low-value\n").expect("a good row");
    let run = today.world.run_job("2025-05-14", &["--customer", "agency_a", "--json"]).code(0).json();
    assert_eq!(today.world.rows("agency_a").await, ["(3,2,3,low-value)"]);
    assert_eq!(today.rejects().await, ["2 unclosed_quote"]);
    let peak = run["peak_memory_bytes"].as_u64().expect("a number");
    assert!(peak < 100 << 20, "peak memory {peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_half_a_million_fields_is_rejected_in_bounded_memory() {
    let today = Today::new().await;
    let wide = "1,".repeat(500_000);
    today.world.deliver("A", format!("{HEADER}\n1,2,3,low-value\n{wide}\n3,2,3,low-value\n"));
    let run = today.world.run_job("2025-05-14", &["--customer", "agency_a", "--json"]).code(0).json();
    assert_eq!(today.world.rows("agency_a").await, ["(1,2,3,low-value)", "(3,2,3,low-value)"]);
    assert_eq!(today.rejects().await, ["3 extra_field"]);
    let raw: i32 = today.world.scalar("select length(raw) from bursar.file_invalid_rows where line = 3").await;
    assert_eq!(raw, 1_000_001);
    let peak = run["peak_memory_bytes"].as_u64().expect("a number");
    assert!(peak < 100 << 20, "peak memory {peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_a_record_is_configurable_and_exact() {
    let today = Today::new().await;
    today.world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[gate]", "[dialect]\nmax_record_bytes = 1024\n\n[gate]")
    });
    let row = |number: u32, length: usize| format!("{number},2,3,{}\n", "x".repeat(length - "1,2,3,\n".len()));
    today.world.deliver("A", format!("{HEADER}\n1,2,3,low-value\n4,2,3,low-value\n{}{}", row(2, 1024), row(3, 1025)));
    today.run().code(0);
    assert_eq!(today.rejects().await, ["4 too_long", "5 record_too_long"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_bytes_and_invalid_utf_8_are_rejected_with_their_bytes() {
    let today = Today::new().await;
    let mut file = format!("{HEADER}\n1,2,3,low-value\n").into_bytes();
    file.extend_from_slice(b"2,2,3,low\0value\n3,2,3,low\xFFvalue\n4,2\0,3,low-value\n\xC3,2,3,low-value\n5,2,3,high-value\n6,2,3,low-value\n7,2,3,low-value\n");
    today.loads(file, &["(1,2,3,low-value)", "(5,2,3,high-value)", "(6,2,3,low-value)", "(7,2,3,low-value)"]).await;
    assert_eq!(today.rejects().await, ["3 nul_byte", "4 invalid_utf8", "5 not_an_integer", "6 invalid_utf8"]);
    let raw: Vec<u8> = today
        .world
        .scalar("select raw from bursar.file_invalid_rows where line = 4 and error_class = 'encoding'")
        .await;
    assert_eq!(raw, b"3,2,3,low\xFFvalue\n");
    let payload: String = today.world.scalar("select payload ->> 'customer_status' from bursar.file_invalid_rows where line = 3 and error_class = 'encoding'").await;
    assert_eq!(payload, "low\u{FFFD}value");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclosed_quote_costs_its_line_and_the_rows_after_it_load() {
    let today = Today::new().await;
    let file = format!("{HEADER}\n1,2,3,low-value\n2,2,3,\"low-value\n3,2,3,low-value\n4,2,3,high-value\n");
    today.loads(file, &["(1,2,3,low-value)", "(3,2,3,low-value)", "(4,2,3,high-value)"]).await;
    assert_eq!(today.rejects().await, ["3 unclosed_quote"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_extra_fields_are_rejected_row_by_row() {
    let today = Today::new().await;
    let file =
        ratings(&["1,2,3,low-value", "2,2,3", "3,2,3,low-value,more", "4,2,3,low-value", ",,,", "5,2,3,low-value"]);
    today.loads(file, &["(1,2,3,low-value)", "(4,2,3,low-value)", "(5,2,3,low-value)"]).await;
    assert_eq!(today.rejects().await, ["3 missing_field", "4 extra_field", "6 empty_row"]);
}
