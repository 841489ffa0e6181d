//! The export as parts in Parquet, in a bucket: what counts of them, and what is said of parts that can't be read.

mod faults;
mod values;

use super::{TABLES, lines, load, outcome};
use crate::offline::project;
use crate::sources::{S3, run_with};
use crate::support::World;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;
use std::sync::Arc;

/// Records as texts; none is a null.
pub type Records = Vec<Vec<Option<String>>>;

/// A table of the sample: its columns, and its records.
pub fn table(name: &str) -> (Vec<String>, Records) {
    let path = project("data/billing_export").join(format!("{name}.csv"));
    let mut reader = csv::Reader::from_path(path).expect("the sample");
    let columns = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let cell = |cell: &str| (!cell.is_empty()).then(|| cell.to_owned());
    let records = reader.records().map(|record| record.expect("a record").iter().map(cell).collect()).collect();
    (columns, records)
}

/// A part with columns of text, in groups of 50 rows.
pub fn part(columns: &[String], records: &[Vec<Option<String>>], compression: Compression) -> Vec<u8> {
    let fields: Vec<String> = columns.iter().map(|name| format!("optional binary {name} (utf8);")).collect();
    let schema = Arc::new(parse_message_type(&format!("message part {{ {} }}", fields.join(" "))).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).expect("a writer");
    for group in records.chunks(50) {
        let mut rows = writer.next_row_group().expect("a group");
        let mut at = 0;
        while let Some(mut column) = rows.next_column().expect("a column") {
            let values: Vec<ByteArray> =
                group.iter().filter_map(|record| record[at].as_deref()).map(ByteArray::from).collect();
            let levels: Vec<i16> = group.iter().map(|record| i16::from(record[at].is_some())).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).expect("write");
            column.close().expect("close a column");
            at += 1;
        }
        rows.close().expect("close a group");
    }
    writer.close().expect("close the part");
    bytes
}

/// Has the export come from a bucket.
pub fn read_from_bucket(world: &World) {
    for table in TABLES {
        let rule = match table {
            "events" => "[parts]\nkey = [\"transaction_id\"]\n",
            _ => "[parts]\nkey = [\"id\"]\nnewest = \"updated_at\"\n",
        };
        world.edit(&format!("datasets/billing_{table}.toml"), |text| {
            let file = format!("\"billing_export/{table}.csv\"");
            text.replace(&file, &format!("\"s3://bucket/export/{table}/dt=*/*.parquet\"")) + rule
        });
    }
}

pub fn run(world: &World, s3: &S3, date: &str) -> crate::support::Ran {
    run_with(world, &["run-job", "billing-export", "--date", date, "--json"], &s3.variables())
}

fn place<'r>(columns: &[String], record: &'r mut [Option<String>], name: &str) -> &'r mut Option<String> {
    let at = columns.iter().position(|column| column == name).expect("the column");
    &mut record[at]
}

/// Puts the sample there as an append-only export would: half of the rows on a day before, all again on the day itself,
/// older versions of them on both, and what must not count yet on the day after.
fn put_sample(s3: &S3) {
    for (n, name) in TABLES.into_iter().enumerate() {
        let (columns, records) = table(name);
        let packings = [Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default()), Compression::UNCOMPRESSED];
        let put = |key: &str, records: &[Vec<Option<String>>]| {
            s3.put(&format!("export/{name}/{key}"), part(&columns, records, packings[n % 3]));
        };
        let mut older = records.clone();
        let mut later = records.clone();
        if name != "events" {
            for record in &mut older {
                *place(&columns, record, "updated_at") = Some("2020-01-01 0:00:00".to_owned());
                record
                    .iter_mut()
                    .skip(1)
                    .filter(|cell| cell.as_deref() == Some("SANDBOX"))
                    .for_each(|cell| *cell = None);
            }
            older.iter_mut().step_by(2).for_each(|record| *place(&columns, record, "updated_at") = None);
            for record in &mut later {
                *place(&columns, record, "updated_at") = Some("2030-01-01 0:00:00".to_owned());
            }
        }
        put("dt=2026-01-31/0_20260131T030000.parquet", &records[..records.len() / 2]);
        put("dt=2026-02-02/0_20260202T030000.parquet", &records);
        put("dt=2026-02-02/1_20260202T030000.parquet", &older);
        put("dt=2026-02-03/0_20260203T030000.parquet", &later[..1]);
        s3.put(&format!("export/{name}/dt=2026-02-02/_SUCCESS"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_row_of_each_id_counts_and_every_record_is_accounted_for() {
    let (world, s3) = (World::new().await, S3::start().await);
    read_from_bucket(&world);
    put_sample(&s3);
    let from_bucket = run(&world, &s3, "2026-02-02").code(0).json();
    let mut accounts = Vec::new();
    for (name, rows) in TABLES.iter().zip([7, 4, 259, 7, 12, 2, 7, 4, 21_u64]) {
        let certificate = &outcome(&from_bucket, name)["certificate"];
        let count = |key: &str| certificate[key].as_u64().expect("a count");
        let parts = &certificate["parts"];
        assert_eq!(count("loaded") + count("rejected"), rows, "{name}");
        assert_eq!(parts["records"], rows / 2 + 2 * rows, "{name}");
        assert_eq!(parts["superseded"], rows / 2 + rows, "{name}");
        assert_eq!(parts["parts"].as_array().expect("parts").len(), 3, "{name}");
        accounts.push(parts.clone());
    }
    let first = accounts[0]["parts"][0].clone();
    assert_eq!(first["path"], "s3://bucket/export/billable_metric/dt=2026-01-31/0_20260131T030000.parquet");
    assert_eq!(first["sha256"].as_str().map(str::len), Some(64));

    let other = super::sample().await;
    for name in TABLES {
        let all = format!("select string_agg(t::text, E'\\n' order by t::text) from billing_{name} as t");
        assert_eq!(world.scalar::<String>(&all).await, other.scalar::<String>(&all).await, "{name}");
    }
    let month = ["month=2026-01"];
    assert_eq!(lines(&world, "billing_reconciliation", &month), lines(&other, "billing_reconciliation", &month));
    // A reject tells which part it came in, and as which record there.
    let origin: String = world.scalar("select payload ->> '_part_record' from bursar.file_invalid_rows").await;
    assert!(origin.starts_with("2:") || origin.starts_with("3:"), "{origin}");
    // Nothing is left behind in the spool.
    assert_eq!(std::fs::read_dir(world.path("state/spool")).map_or(0, Iterator::count), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_parts_come_to_the_same_and_a_part_more_to_what_is_new() {
    let (world, s3) = (World::new().await, S3::start().await);
    read_from_bucket(&world);
    put_sample(&s3);
    run(&world, &s3, "2026-02-02").code(0);
    let again = run(&world, &s3, "2026-02-02").code(0).json();
    assert_eq!(outcome(&again, "invoice")["state"], "unchanged", "{again:#}");
    let (columns, records) = table("customer");
    let mut record = records[0].clone();
    *place(&columns, &mut record, "name") = Some("Another name".to_owned());
    s3.put("export/customer/dt=2026-02-02/2_20260202T040000.parquet", part(&columns, &[record], Compression::SNAPPY));
    run(&world, &s3, "2026-02-02").code(0);
    let named = "select count(*) filter (where name = 'Another name') || ' of ' || count(*) from billing_customer";
    assert_eq!(world.scalar::<String>(named).await, "1 of 4", "among equals the one delivered last counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_in_the_inbox_are_read_like_those_in_a_bucket() {
    let world = World::new().await;
    super::deliver(&world, &project("data/billing_export"));
    world.edit("datasets/billing_plan.toml", |text| {
        text.replace("billing_export/plan.csv", "plan/dt=*/*.parquet")
            + "[parts]\nkey = [\"id\"]\nnewest = \"updated_at\"\n"
    });
    let (columns, records) = table("plan");
    let bytes = part(&columns, &records, Compression::SNAPPY);
    world.write("inbox/plan/dt=2026-02-01/a.parquet", &bytes);
    world.write("inbox/plan/dt=2026-02-02/a.parquet", &bytes);
    let run: Value = load(&world, "2026-02-02");
    let parts = &outcome(&run, "plan")["certificate"]["parts"];
    assert_eq!((&parts["records"], &parts["superseded"]), (&Value::from(4), &Value::from(2)));
}
