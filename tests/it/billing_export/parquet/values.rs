//! Values of Parquet's own types come to the table as they are.

use super::S3;
use crate::sources::run_with;
use crate::support::World;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::sync::Arc;

const SCHEMA: &str = "message part {
    required fixed_len_byte_array(16) id (uuid);
    required int64 at_millis (timestamp(millis,true));
    required int64 at_micros (timestamp(micros,true));
    required int64 at_nanos (timestamp(nanos,true));
    required int32 day (date);
    required int64 total (decimal(18,4));
    required fixed_len_byte_array(16) long_total (decimal(28,8));
    required int32 small;
    required double rate;
    required boolean flag;
    required binary words (utf8);
    required group properties (map) {
        repeated group key_value {
            required binary key (utf8);
            required binary value (utf8);
        }
    }
}";

const DATASET: &str = r#"
name = "typed"
file = "s3://bucket/typed/dt=*/*.parquet"
table = "typed"
[parts]
key = ["id"]
newest = "at_micros"
"#;

const COLUMNS: [(&str, &str); 13] = [
    ("id", "uuid"),
    ("at_millis", "timestamp"),
    ("at_micros", "timestamp\"\nformat = \"%Y-%m-%d %-H:%M:%S.%6f UTC"),
    ("at_nanos", "timestamp"),
    ("day", "date\"\nformat = \"%d.%m.%Y"),
    ("total", "numeric(18,4)"),
    ("long_total", "numeric(28,8)"),
    ("small", "integer"),
    ("rate", "numeric(12,6)"),
    ("flag", "boolean"),
    ("words", "text"),
    ("properties", "map"),
    ("missing", "text\"\nnullable = true\n# \""),
];

fn column<T: parquet::data_type::DataType>(rows: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>, value: T::T) {
    let mut column = rows.next_column().expect("a column").expect("a column");
    column.typed::<T>().write_batch(&[value], None, None).expect("write");
    column.close().expect("close");
}

fn strings(rows: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>, values: &[&str]) {
    let mut column = rows.next_column().expect("a column").expect("a column");
    let values: Vec<ByteArray> = values.iter().map(|value| ByteArray::from(*value)).collect();
    let repeated: Vec<i16> = (0..values.len()).map(|i| i16::from(i > 0)).collect();
    let defined = vec![1; values.len()];
    column.typed::<ByteArrayType>().write_batch(&values, Some(&defined), Some(&repeated)).expect("write");
    column.close().expect("close");
}

fn typed_part() -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).expect("a schema"));
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::default())).expect("a writer");
    let mut rows = writer.next_row_group().expect("a group");
    let fixed = |bytes: Vec<u8>| FixedLenByteArray::from(ByteArray::from(bytes));
    column::<FixedLenByteArrayType>(&mut rows, fixed((0..16).collect()));
    // 2024-02-29 23:59:59, and what is behind its point.
    let second = 1_709_251_199_i64;
    column::<Int64Type>(&mut rows, second * 1_000 + 250);
    column::<Int64Type>(&mut rows, second * 1_000_000 + 123_456);
    column::<Int64Type>(&mut rows, second * 1_000_000_000 + 123_456_000);
    column::<Int32Type>(&mut rows, 19_782);
    column::<Int64Type>(&mut rows, -71_631_875);
    column::<FixedLenByteArrayType>(
        &mut rows,
        fixed((-9_999_999_999_999_999_999_999_999_999_i128).to_be_bytes().to_vec()),
    );
    column::<Int32Type>(&mut rows, i32::MIN);
    column::<DoubleType>(&mut rows, 0.1);
    column::<BoolType>(&mut rows, true);
    column::<ByteArrayType>(&mut rows, ByteArray::from("a \"b\", ×\r\nc"));
    strings(&mut rows, &["size", "count"]);
    strings(&mut rows, &["256×256", "3"]);
    rows.close().expect("close");
    writer.close().expect("close");
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_to_the_table_as_it_is() {
    let (world, s3) = (World::new().await, S3::start().await);
    let columns = COLUMNS.map(|(name, kind)| format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n")).concat();
    world.write("config/datasets/typed.toml", format!("{DATASET}{columns}"));
    world.write(
        "config/jobs/typed.toml",
        "name = \"typed\"\n[[task]]\nname = \"load\"\nkind = \"load\"\ndataset = \"typed\"\n",
    );
    s3.put("typed/dt=2026-02-02/a.parquet", typed_part());
    let ran = run_with(&world, &["run-job", "typed", "--date", "2026-02-02", "--json"], &s3.variables()).code(0).json();
    assert_eq!(ran["tasks"][0]["outcome"]["certificate"]["rejected"], 0, "{ran:#}");
    let row: String = world.scalar("select t::text from typed as t").await;
    assert_eq!(
        row,
        "(00010203-0405-0607-0809-0a0b0c0d0e0f,\"2024-02-29 23:59:59.25\",\"2024-02-29 23:59:59.123456\",\
         \"2024-02-29 23:59:59.123456\",2024-02-29,-7163.1875,-99999999999999999999.99999999,-2147483648,0.100000,t,\
         \"a \"\"b\"\", ×\r\nc\",\"{\"\"size\"\": \"\"256×256\"\", \"\"count\"\": \"\"3\"\"}\",)"
    );
}
