//! Parts that can't be read, that are not there, and rules that can't be.

use super::{Records, S3, part, put_sample, read_from_bucket, run, table};
use crate::offline::Offline;
use crate::support::World;
use parquet::basic::Compression;

const CUSTOMER: &str = "export/customer/dt=2026-02-02/9_20260202T090000.parquet";

async fn refused(bytes: &[u8]) -> String {
    let (world, s3) = (World::new().await, S3::start().await);
    read_from_bucket(&world);
    put_sample(&s3);
    s3.put(CUSTOMER, bytes);
    let ran = run(&world, &s3, "2026-02-02").code(65).json();
    let rows: i64 = world.scalar("select count(*) from billing_customer").await;
    assert_eq!(rows, 0, "nothing was changed");
    let tasks = ran["tasks"].as_array().expect("tasks");
    let failed = tasks.iter().find(|task| task["task"] == "customer").expect("the task");
    failed["error"].as_str().expect("why").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_no_sound_parquet_is_named() {
    let (columns, records) = table("customer");
    let whole = part(&columns, &records, Compression::SNAPPY);
    let mut flipped = whole.clone();
    flipped[20..200].iter_mut().for_each(|byte| *byte ^= 0x5A);
    for bytes in [&b"id,name\n1,2\n"[..], &whole[..whole.len() / 2], &whole[..whole.len() - 1]] {
        let said = refused(bytes).await;
        assert!(said.contains(&format!("s3://bucket/{CUSTOMER} is no sound Parquet file: ")), "{said}");
    }
    let said = refused(&flipped).await;
    assert!(said.contains("no sound Parquet file"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_lacks_what_tells_its_rows_apart_is_refused_and_any_other_column_is_null() {
    let records: Records = vec![vec![Some("x".to_owned())]];
    let said = refused(&part(&["name".to_owned()], &records, Compression::SNAPPY)).await;
    let expected =
        format!("s3://bucket/{CUSTOMER} lacks \"id\", \"updated_at\", by which its rows are told apart; found name");
    assert!(said.contains(&expected), "{said}");

    let (world, s3) = (World::new().await, S3::start().await);
    read_from_bucket(&world);
    put_sample(&s3);
    let columns = ["ID", "Updated_At", "more"].map(str::to_owned);
    let id = "00000000-0000-4000-8000-000000000001";
    let records = vec![vec![Some(id.to_owned()), Some("2026-02-02 1:00:00".to_owned()), Some("?".to_owned())]];
    s3.put(CUSTOMER, part(&columns, &records, Compression::UNCOMPRESSED));
    run(&world, &s3, "2026-02-02").code(0);
    let name = format!("select coalesce(name, 'none') || ' ' || updated_at from billing_customer where id = '{id}'");
    assert_eq!(world.scalar::<String>(&name).await, "none 2026-02-02 01:00:00");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_up_to_the_run_date_is_a_data_fault_and_a_row_without_a_key_a_reject() {
    let (world, s3) = (World::new().await, S3::start().await);
    read_from_bucket(&world);
    put_sample(&s3);
    let ran = run(&world, &s3, "2026-01-30").code(65).json().to_string();
    let expected = "no part of house up to 2026-01-30: nothing matches s3://bucket/export/customer/dt=*/*.parquet";
    assert!(ran.contains(expected), "{ran}");
    let (columns, mut records) = table("events");
    records.truncate(3);
    records[0][0] = None;
    records[1][0] = None;
    s3.put("export/events/dt=2026-02-02/2_20260202T040000.parquet", part(&columns, &records, Compression::SNAPPY));
    run(&world, &s3, "2026-02-02").code(0);
    let rejects = "select count(*) from bursar.file_invalid_rows where errors #>> '{0,column}' = 'transaction_id'";
    assert_eq!(world.scalar::<i64>(rejects).await, 2, "each of them is kept");
}

#[test]
fn rules_that_cannot_be_are_all_told() {
    let folder = Offline::configured();
    let file = "config/datasets/billing_plan.toml";
    let text = folder.read(file).replace("extra_columns = \"ignore\"", "delimiter = \";\"");
    folder.write(file, text + "[parts]\nkey = [\"id\", \"nr\"]\nnewest = \"name\"\n");
    let said = folder.bursar(&["check"]).code(78).stderr;
    for expected in [
        "billing_plan.toml:5: file: \"billing_export/plan.csv\" must end like …/dt=*/*.parquet: a folder for each day",
        "parts: need no dialect: of [dialect] only extra_columns, ragged, trim and the bounds can be set",
        "parts.key[1]: \"nr\" is not a column of the dataset",
        "parts.newest: must be a column of type timestamp",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}
