//! Value → COPY → SELECT gives the value back, for every type; and loading twice is loading once.

use crate::support::World;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::AssertSqlSafe;

const ROWS: usize = 600;

pub(super) const DATASET: &str = r#"
name = "everything"
file = "everything_{customer}.csv"
table = "everything_{customer}"

[dialect]
null = ["", "NULL"]

[[column]]
name = "id"
type = "integer"
"#;

/// The columns beside `id`, all nullable.
pub(super) const COLUMNS: [(&str, &str); 14] = [
    ("small", "type = \"integer\""),
    ("big", "type = \"bigint\""),
    ("whole", "type = \"numeric(28,0)\""),
    ("part", "type = \"numeric(28,28)\""),
    ("money", "type = \"numeric(12,2)\""),
    ("words", "type = \"text\""),
    ("short", "type = \"text\"\nmax_length = 10"),
    ("day", "type = \"date\""),
    ("instant", "type = \"timestamp\""),
    ("flag", "type = \"boolean\""),
    ("key", "type = \"uuid\""),
    ("document", "type = \"json\""),
    ("pairs", "type = \"map\""),
    ("order", "type = \"integer\""),
];

/// A cell as it stands in the file (quotes included), and as the server shows it; none for null.
pub(super) type Cell = (String, Option<String>);

fn cell(written: impl Into<String>, shown: impl Into<String>) -> Cell {
    (written.into(), Some(shown.into()))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn null() -> impl Strategy<Value = Cell> {
    proptest::sample::select(vec![(String::new(), None), ("NULL".to_owned(), None)])
}

/// A whole number with signs and zeros before it that mean nothing.
fn dressed(n: impl std::fmt::Display, zeros: usize) -> String {
    let text = n.to_string();
    match text.strip_prefix('-') {
        Some(digits) => format!("-{}{digits}", "0".repeat(zeros)),
        None => format!("{}{}{text}", if zeros.is_multiple_of(2) { "" } else { "+" }, "0".repeat(zeros)),
    }
}

fn small() -> impl Strategy<Value = Cell> {
    let n = prop_oneof![any::<i32>(), proptest::sample::select(vec![i32::MIN, i32::MAX, 0, -1])];
    let decimals = proptest::sample::select(vec!["", "", ".0", ".00", ".0000"]);
    (n, 0..4usize, decimals)
        .prop_map(|(n, zeros, decimals)| cell(format!("{}{decimals}", dressed(n, zeros)), n.to_string()))
}

fn big() -> impl Strategy<Value = Cell> {
    let n = prop_oneof![any::<i64>(), proptest::sample::select(vec![i64::MIN, i64::MAX, 0, -1])];
    (n, 0..4usize).prop_map(|(n, zeros)| cell(dressed(n, zeros), n.to_string()))
}

/// A decimal of up to `precision` digits, `scale` of them behind the point.
fn decimal(precision: u32, scale: usize) -> impl Strategy<Value = Cell> {
    let greatest = 10i128.pow(precision) - 1;
    let n = prop_oneof![
        -greatest..=greatest,
        -1000..1000i128,
        proptest::sample::select(vec![greatest, -greatest, 0, 1, -1]),
    ];
    (n, any::<bool>(), 0..3usize, 0..4usize).prop_map(move |(n, cut, zeros, padding)| {
        let digits = format!("{:0>width$}", n.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if n < 0 { "-" } else { "" };
        let shown = if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
        let fraction =
            if cut { fraction.trim_end_matches('0').to_owned() } else { fraction.to_owned() + &"0".repeat(padding) };
        let point = if fraction.is_empty() { "" } else { "." };
        cell(format!("{sign}{}{whole}{point}{fraction}", "0".repeat(zeros)), shown)
    })
}

fn letters(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let letter =
        prop_oneof![any::<char>(), proptest::sample::select("\"\n\r,\\ \tNé☃🂡\u{feff}".chars().collect::<Vec<_>>())];
    proptest::collection::vec(letter.prop_filter("PostgreSQL's text can't hold it", |c| *c != '\0'), length)
        .prop_map(|letters| letters.into_iter().collect())
}

fn words(length: std::ops::Range<usize>) -> impl Strategy<Value = Cell> {
    let special = proptest::sample::select(vec!["", "NULL", " ", "null", "\\N", "\\."]).prop_map(str::to_owned);
    prop_oneof![9 => letters(length), 1 => special].prop_map(|text| cell(quoted(&text), text))
}

fn day() -> impl Strategy<Value = String> {
    let any = (1..=9999i32, 1..=366u32)
        .prop_filter_map("a day that is", |(year, day)| chrono::NaiveDate::from_yo_opt(year, day));
    let known = proptest::sample::select(vec!["0001-01-01", "9999-12-31", "2000-01-01", "1999-12-31", "2024-02-29"]);
    prop_oneof![any.prop_map(|d| d.to_string()), known.prop_map(str::to_owned)]
}

fn instant() -> impl Strategy<Value = Cell> {
    let micros = prop_oneof![0..1_000_000u32, proptest::sample::select(vec![0, 1, 999_999, 500_000])];
    (day(), 0..24u32, 0..60u32, 0..60u32, micros, 0..4usize, any::<bool>()).prop_map(
        |(day, h, m, s, micros, zeros, t)| {
            let time = format!("{h:02}:{m:02}:{s:02}");
            let fraction = format!(".{micros:06}");
            let shown = fraction.trim_end_matches('0').trim_end_matches('.');
            let zeros = "0".repeat(zeros);
            cell(format!("{day}{}{time}{fraction}{zeros}", if t { "T" } else { " " }), format!("{day} {time}{shown}"))
        },
    )
}

fn flag() -> impl Strategy<Value = Cell> {
    proptest::sample::select(vec!["true", "T", "Yes", "1", "FALSE", "f", "no", "0"])
        .prop_map(|word| cell(word, if "tTY1".contains(&word[..1]) { "true" } else { "false" }))
}

fn key() -> impl Strategy<Value = Cell> {
    any::<(u128, bool)>().prop_map(|(n, upper)| {
        let id = uuid::Uuid::from_u128(n).to_string();
        cell(if upper { id.to_uppercase() } else { id.clone() }, id)
    })
}

/// A document with one key, so that the server's order of keys is ours.
fn document() -> impl Strategy<Value = Cell> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        decimal(28, 10).prop_map(|(_, shown)| shown.unwrap_or_default()),
        letters(0..6).prop_map(|text| serde_json::to_string(&text).expect("JSON")),
    ];
    let value = leaf.prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(", "))),
            (letters(0..4), inner)
                .prop_map(|(key, value)| format!("{{{}: {value}}}", serde_json::to_string(&key).expect("JSON"))),
        ]
    });
    value.prop_map(|text| cell(quoted(&text), text))
}

/// A map with one pair, so that the server's order of keys is ours.
fn pairs() -> impl Strategy<Value = Cell> {
    let plain = |text: String| text.replace(['=', '{', '}'], "").replace(", ", ",");
    (letters(1..6), letters(0..8)).prop_filter_map("a key", move |(key, value)| {
        let (key, value) = (plain(key), plain(value));
        let shown =
            serde_json::to_string(&serde_json::json!({&key: &value})).expect("JSON").replacen("\":\"", "\": \"", 1);
        let is_plain = !key.is_empty() && key.trim() == key && !key.contains(['"', '\\', ',', ':']);
        is_plain.then(|| cell(quoted(&format!("{{{key}={value}}}")), shown))
    })
}

fn row() -> impl Strategy<Value = Vec<Cell>> {
    let columns: Vec<BoxedStrategy<Cell>> = vec![
        small().boxed(),
        big().boxed(),
        decimal(28, 0).boxed(),
        decimal(28, 28).boxed(),
        decimal(12, 2).boxed(),
        words(0..20).boxed(),
        words(10..11).boxed(),
        day().prop_map(|d| cell(d.clone(), d)).boxed(),
        instant().boxed(),
        flag().boxed(),
        key().boxed(),
        document().boxed(),
        pairs().boxed(),
        small().boxed(),
    ];
    columns.into_iter().map(|column| prop_oneof![8 => column, 1 => null()].boxed()).collect::<Vec<_>>()
}

pub(super) fn rows() -> Vec<Vec<Cell>> {
    let mut runner = TestRunner::deterministic();
    let strategy = row();
    (0..ROWS).map(|_| strategy.new_tree(&mut runner).expect("a row").current()).collect()
}

pub(super) fn file(rows: &[Vec<Cell>]) -> String {
    let header: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let lines = rows.iter().enumerate().map(|(id, row)| {
        let cells: Vec<&str> = row.iter().map(|(written, _)| written.as_str()).collect();
        format!("{id},{}\r\n", cells.join(","))
    });
    format!("id,{}\r\n{}", header.join(","), lines.collect::<String>())
}

/// A world with a dataset of every type, and a job that loads it.
async fn world() -> World {
    let world = World::new().await;
    let columns = COLUMNS.map(|(name, rules)| format!("\n[[column]]\nname = \"{name}\"\nnullable = true\n{rules}\n"));
    let measures = "\n[measures]\ntotal = \"sum(money) -- all of it\"\nlatest = { sql = \"max(instant)\", type = \"timestamp\" }\n";
    world.write("config/datasets/everything.toml", format!("{DATASET}{}{measures}", columns.concat()));
    world.write(
        "config/jobs/everything.toml",
        "name = \"everything\"\n[[task]]\nname = \"load\"\nkind = \"load\"\ndataset = \"everything\"\nfor_each = \"customer\"\n",
    );
    world
}

async fn table(world: &World) -> Vec<Vec<Option<String>>> {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, _)| format!("\"{name}\"::text")).collect();
    let query = format!("select array[{}] from everything_agency_a order by id", columns.join(", "));
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&world.pool().await).await.expect("the table")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_comes_back_from_the_server_as_it_went_in() {
    let world = world().await;
    let rows = rows();
    world.write("inbox/everything_agency_a.csv", file(&rows));
    let load = || {
        world
            .bursar(&["run-job", "everything", "--date", "2025-05-13", "--customer", "agency_a", "--json"])
            .code(0)
            .json()
    };
    let run = load();
    assert_eq!(run["tasks"][0]["outcome"]["certificate"]["loaded"], ROWS, "{run:#}");
    let found = table(&world).await;
    assert_eq!(found.len(), ROWS);
    for (id, (row, found)) in rows.iter().zip(&found).enumerate() {
        for ((name, _), ((written, shown), found)) in COLUMNS.iter().zip(row.iter().zip(found)) {
            assert_eq!(shown, found, "{name} of row {id}, written {written:?}");
        }
    }
    load();
    assert_eq!(table(&world).await, found, "loading twice is loading once");
    let measured = "select total = (select sum(money) from everything_agency_a) and latest = (select max(instant) from everything_agency_a)
                      from bursar.load_measures_everything";
    assert!(world.scalar::<bool>(measured).await, "a measure keeps its value and type through the ledger");
}

/// Cells at the edge of what the server takes, by column.
fn edges() -> Vec<(&'static str, String)> {
    let long = |n: usize| "9".repeat(n);
    let documents = [
        "1e-20000".to_owned(),
        "1e20000".to_owned(),
        "1e308".to_owned(),
        "-1e-308".to_owned(),
        "1e-16384".to_owned(),
        "1e-16383".to_owned(),
        format!("1.{}", long(16383)),
        format!("1.{}", long(16384)),
        long(300),
        long(20000),
        "\"\\u0000\"".to_owned(),
        "{\"\\u0000\": 1}".to_owned(),
        "\"\\ud800\"".to_owned(),
        "\"\\udc00\\ud800\"".to_owned(),
        "\"\\ud83d\\ude00\"".to_owned(),
        format!("{}{}", "[".repeat(100), "]".repeat(100)),
        format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
        format!("{}{}", "[".repeat(1001), "]".repeat(1001)),
        format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000)),
        format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)),
        "{\"a\":1,\"a\":2}".to_owned(),
        "\u{feff}1".to_owned(),
        " 1 ".to_owned(),
        "-0".to_owned(),
        "-0.0e-5".to_owned(),
        "01".to_owned(),
        "\"\t\"".to_owned(),
        "nul".to_owned(),
        "\u{a0}1".to_owned(),
        "\u{c}1".to_owned(),
        "0e-99999999999".to_owned(),
        "0e99999999999".to_owned(),
        "{\"a\": [0e-16384]}".to_owned(),
        format!("{{{}: 1}}", quoted(&long(70000))),
    ];
    let numbers = [
        "-0",
        "-0.00",
        "0000000000000000000000000000000000001",
        "9999999999.99",
        "-9999999999.99",
        "0.001",
        "0.0100",
        "10000000000",
        "1.10",
    ];
    let words = ["\u{feff}", "\u{fffe}\u{ffff}", "\u{10ffff}", "\\", "\\.", "\u{1}", "\u{7f}", "\u{85}"];
    let days = ["0001-01-01", "9999-12-31", "10000-01-01", "0000-12-31", "1582-10-10", "infinity", "today"];
    let known =
        |column: &'static str, all: &[&str]| all.iter().map(|text| (column, (*text).to_owned())).collect::<Vec<_>>();
    [
        documents.into_iter().map(|text| ("document", text)).collect(),
        known("money", &numbers),
        known("part", &["0.9999999999999999999999999999", "-0.0000000000000000000000000001", "1"]),
        known("words", &words),
        known("short", &["☃☃☃☃☃☃☃☃☃☃", "☃☃☃☃☃☃☃☃☃☃☃", "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}"]),
        known("day", &days),
        known(
            "instant",
            &[
                "0001-01-01 00:00:00",
                "9999-12-31 23:59:59.999999",
                "9999-12-31 23:59:59.999999001",
                "2016-12-31 23:59:60",
            ],
        ),
        known(
            "key",
            &[
                "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}",
                "6ba7b8109dad11d180b400c04fd430c8",
                "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
            ],
        ),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_column_takes_the_server_takes() {
    let world = world().await;
    let edges = edges();
    let lines = edges.iter().enumerate().map(|(id, (column, text))| {
        let cells = COLUMNS.map(|(name, _)| if name == *column { quoted(text) } else { String::new() });
        format!("{id},{}\n", cells.join(","))
    });
    let header = COLUMNS.map(|(name, _)| name).join(",");
    world.write("inbox/everything_agency_a.csv", format!("id,{header}\n{}", lines.collect::<String>()));
    let run = world
        .bursar(&["run-job", "everything", "--date", "2025-05-13", "--customer", "agency_a", "--json"])
        .code(0)
        .json();
    let certificate = &run["tasks"][0]["outcome"]["certificate"];
    assert_eq!(
        certificate["loaded"].as_u64().expect("rows") + certificate["rejected"].as_u64().expect("rejects"),
        edges.len() as u64
    );
    let refused: Vec<String> = sqlx::query_scalar(
        "select (errors #>> '{0,column}') || '.' || (errors #>> '{0,code}') || ' ' || count(*)
           from bursar.file_invalid_rows group by errors #>> '{0,column}', errors #>> '{0,code}' order by 1",
    )
    .fetch_all(&world.pool().await)
    .await
    .expect("the quarantine");
    assert_eq!(
        refused,
        [
            "day.not_a_date 4",
            "document.not_json 8",
            "document.nul_byte 2",
            "document.out_of_range 8",
            "document.too_deep 2",
            "instant.not_a_timestamp 1",
            "instant.too_many_decimals 1",
            "key.not_a_uuid 2",
            "money.out_of_range 1",
            "money.too_many_decimals 1",
            "part.out_of_range 1",
            "short.too_long 1",
        ]
    );
}
