//! `bursar parse`: the loader's own code on one file, without a database.

use crate::offline::{Offline, project};
use crate::support::{ratings, real_data};
use serde_json::Value;

fn sample(code: &str) -> String {
    project(&format!("data/ratings/Customer Rating Agency {code} Inc.csv")).display().to_string()
}

/// Parses a file of the shipped dataset; gives the summary, the valid rows and the rejects.
fn parse(folder: &Offline, file: &str) -> (Value, String, Vec<Value>) {
    let run = folder
        .bursar(&["parse", "customer_rating", file, "--valid", "valid.csv", "--rejects", "rejects.jsonl", "--json"])
        .code(0);
    let rejects =
        folder.read("rejects.jsonl").lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    (run.json(), folder.read("valid.csv"), rejects)
}

/// Adds a dataset with these columns to the folder's configuration.
fn dataset(folder: &Offline, text: &str) {
    let head = "name = \"d\"\nfile = \"d_{customer}.csv\"\ntable = \"d_{customer}\"\n";
    folder.write("config/datasets/d.toml", format!("{head}{text}"));
}

fn parse_own(folder: &Offline, file: &str) -> String {
    folder.bursar(&["parse", "d", file, "--valid", "valid.csv"]).code(0);
    folder.read("valid.csv")
}

#[test]
fn every_record_of_the_samples_is_valid_rejected_or_skipped() {
    let folder = Offline::new();
    for code in ["A", "B", "C", "D"] {
        let file = sample(code);
        let bytes = std::fs::read(&file).expect("a sample");
        let (summary, valid, rejects) = parse(&folder, &file);
        let certificate = &summary["certificate"];
        let count = |key: &str| certificate[key].as_u64().expect("a count");
        let skipped = certificate["skipped"]["header"].as_u64().expect("a count")
            + certificate["skipped"]["blank"].as_u64().expect("a count");
        assert_eq!(count("records"), count("loaded") + count("rejected") + skipped);
        assert_eq!(
            (count("bytes"), count("bytes_covered"), count("gaps")),
            (bytes.len() as u64, bytes.len() as u64, 0)
        );
        assert_eq!((valid.lines().count() as u64, rejects.len() as u64), (count("loaded") + 1, count("rejected")));
        let mut kept: Vec<String> = valid.lines().skip(1).map(str::to_owned).collect();
        kept.extend(
            rejects.iter().map(|r| r["raw"].as_str().expect("bytes").trim_end_matches(['\r', '\n']).to_owned()),
        );
        let mut lines: Vec<String> =
            String::from_utf8_lossy(&bytes).lines().skip(1).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        kept.sort();
        lines.sort();
        assert_eq!(kept, lines, "agency {code}: valid rows and rejects are the file");
    }
}

#[test]
fn a_reject_says_where_it_is_and_everything_that_is_wrong_with_it() {
    let folder = Offline::new();
    let file =
        folder.write("in.csv", ratings(&["1,2,3,low-value", "x,9999999999,,far too long a status for a column"]));
    let (summary, _, rejects) = parse(&folder, file.to_str().expect("a path"));
    assert_eq!(summary["rejects_by_class"], serde_json::json!({"type": 1}));
    assert_eq!(
        summary["errors"],
        serde_json::json!({
            "customer_number.not_an_integer": 1, "customer_rating.out_of_range": 1, "customer_rating_limit.null": 1, "customer_status.too_long": 1
        })
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&rejects[0]).expect("JSON"), @r#"
    {
      "line": 3,
      "byte_offset": 88,
      "byte_length": 50,
      "raw": "x,9999999999,,far too long a status for a column\r\n",
      "payload": {
        "customer_number": "x",
        "customer_rating": "9999999999",
        "customer_rating_limit": "",
        "customer_status": "far too long a status for a column"
      },
      "error_class": "type",
      "errors": [
        {
          "column": "customer_number",
          "code": "not_an_integer",
          "message": "\"x\" is not a whole number"
        },
        {
          "column": "customer_rating",
          "code": "out_of_range",
          "message": "9999999999 is not between -2147483648 and 2147483647"
        },
        {
          "column": "customer_rating_limit",
          "code": "null",
          "message": "there is no value"
        },
        {
          "column": "customer_status",
          "code": "too_long",
          "message": "\"far too long a status for a column\" has 34 characters; at most 25 fit"
        }
      ]
    }
    "#);
}

#[test]
fn the_summary_for_people_shows_the_certificate_and_the_errors() {
    let folder = Offline::new();
    folder.write("in.csv", ratings(&["1,2,3,low-value", "x,2,3,low-value", "", "x,2", "4,5,6,high-value"]));
    let run = folder.bursar(&["parse", "customer_rating", "in.csv"]).code(0);
    insta::assert_snapshot!(run.stdout, @r#"
    ┌───────────────┬─────┐
    │ certificate   ┆     │
    ╞═══════════════╪═════╡
    │ records       ┆   6 │
    │ valid         ┆   2 │
    │ rejected      ┆   2 │
    │ header        ┆   1 │
    │ blank lines   ┆   1 │
    │ bytes         ┆ 130 │
    │ bytes covered ┆ 130 │
    └───────────────┴─────┘
    sha256 133ee583264a570aab0eff85f42d7801699b48a84b8f60567d5a9c5811b06123
    ┌─────────────────────────────────────┬──────┐
    │ error                               ┆ rows │
    ╞═════════════════════════════════════╪══════╡
    │ customer_number.not_an_integer      ┆    2 │
    │ customer_rating_limit.missing_field ┆    1 │
    │ customer_status.missing_field       ┆    1 │
    └─────────────────────────────────────┴──────┘
    "#);
}

#[test]
fn valid_rows_have_the_datasets_columns_whatever_the_files_order() {
    let folder = Offline::new();
    folder
        .write("in.csv", "Customer Status,CUSTOMER_RATING_LIMIT,customer rating, customer_number \nlow-value,3,2,1\n");
    let (_, valid, rejects) = parse(&folder, "in.csv");
    assert_eq!(valid, "customer_number,customer_rating,customer_rating_limit,customer_status\n1,2,3,low-value\n");
    assert!(rejects.is_empty());
}

#[test]
fn a_null_is_nothing_and_an_empty_text_is_two_quotes() {
    let folder = Offline::configured();
    let rules = "[[column]]\nname = \"a\"\ntype = \"text\"\nnullable = true\n[[column]]\nname = \"b\"\ntype = \"text\"\nnullable = true\n";
    dataset(&folder, &format!("[dialect]\nnull = [\"NULL\", \"-\"]\ntrim = true\ndelimiter = \";\"\n{rules}"));
    folder.write("in.csv", "a;b\nNULL;\"NULL\"\n - ;  x  \n;\"\"\n\" y \";\"q\"\"q\"\na,b;\"line\r\nend\"\n");
    let valid = parse_own(&folder, "in.csv");
    assert_eq!(valid, "a,b\n,NULL\n,x\n\"\",\"\"\n y ,\"q\"\"q\"\n\"a,b\",\"line\r\nend\"\n");
}

#[test]
fn valid_rows_parsed_again_are_all_valid_and_the_same() {
    let folder = Offline::new();
    let (_, valid, _) = parse(&folder, &sample("B"));
    folder.write("again.csv", &valid);
    let (summary, again, rejects) = parse(&folder, "again.csv");
    assert_eq!((again, rejects.len()), (valid, 0));
    assert_eq!(summary["certificate"]["rejected"], 0);
}

#[test]
fn a_file_that_is_not_there_is_a_data_fault_and_costs_no_earlier_result() {
    let folder = Offline::new();
    folder.write("valid.csv", "kept");
    let run = folder.bursar(&["parse", "customer_rating", "none.csv", "--valid", "valid.csv"]).code(65);
    assert_eq!(run.stderr, "error: can't open none.csv: No such file or directory (os error 2)\n");
    assert_eq!(folder.read("valid.csv"), "kept");
}

#[test]
fn an_unknown_dataset_is_a_usage_error_that_names_the_near_one() {
    let folder = Offline::new();
    let run = folder.bursar(&["parse", "customer_ratings", &sample("A")]).code(64);
    assert_eq!(run.stderr, "error: there is no dataset \"customer_ratings\"; did you mean \"customer_rating\"?\n");
    folder.bursar(&["parse", "customer_rating"]).code(64);
}

#[test]
fn an_output_that_cannot_be_written_is_a_configuration_fault() {
    let folder = Offline::new();
    for option in ["--valid", "--rejects"] {
        let run = folder.bursar(&["parse", "customer_rating", &sample("A"), option, "no/such/folder.csv"]).code(78);
        assert_eq!(run.stderr, "error: can't write no/such/folder.csv: No such file or directory (os error 2)\n");
    }
}

#[test]
fn an_output_that_is_the_input_is_a_usage_error() {
    let folder = Offline::new();
    let text = ratings(&["1,2,3,low-value"]);
    folder.write("in.csv", &text);
    let run = folder.bursar(&["parse", "customer_rating", "in.csv", "--valid", "./in.csv"]).code(64);
    assert_eq!(run.stderr, "error: --valid and FILE are the same file: ./in.csv\n");
    folder.bursar(&["parse", "customer_rating", "in.csv", "--valid", "out", "--rejects", "out"]).code(64);
    assert_eq!(folder.read("in.csv"), text);
}

#[test]
fn a_header_that_does_not_fit_is_a_data_fault_that_says_how() {
    let folder = Offline::new();
    folder.write("in.csv", "customer_number,customer_rating,customer_number,status\n1,2,3,low-value\n");
    let run = folder.bursar(&["parse", "customer_rating", "in.csv"]).code(65);
    insta::assert_snapshot!(run.stderr, @r#"error: in.csv: line 1: the header does not fit: the column "customer_number" is there 2 times (the column's key position chooses one); the column "customer_rating_limit" is missing; the column "customer_status" is missing; the column "status" is not expected; expected customer_number, customer_rating, customer_rating_limit, customer_status (in any order), found "customer_number", "customer_rating", "customer_number", "status""#);
}

#[test]
fn an_earlier_result_stays_until_the_next_is_whole() {
    let folder = Offline::new();
    folder.write("valid.csv", "kept");
    folder.write("rejects.jsonl", "kept");
    folder.write("in.csv", "wrong,header\n1,2\n");
    let outputs = ["--valid", "valid.csv", "--rejects", "rejects.jsonl"];
    folder.bursar(&[&["parse", "customer_rating", "in.csv"], &outputs[..]].concat()).code(65);
    assert_eq!((folder.read("valid.csv"), folder.read("rejects.jsonl")), ("kept".to_owned(), "kept".to_owned()));
    std::os::unix::fs::symlink("valid.csv", folder.path("link.csv")).expect("a link");
    folder.write("in.csv", ratings(&["1,2,3,low-value"]));
    folder.bursar(&["parse", "customer_rating", "in.csv", "--valid", "link.csv"]).code(0);
    assert!(folder.path("link.csv").is_symlink());
    assert!(folder.read("valid.csv").ends_with("\n1,2,3,low-value\n"));
    let drafts = std::fs::read_dir(folder.path("")).expect("the folder").flatten();
    assert_eq!(drafts.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count(), 0);
}

#[test]
fn what_fails_before_a_result_is_told_to_programs_too() {
    let folder = Offline::configured();
    let told = |arguments: &[&str], code: i32| {
        let run = folder.bursar(&[arguments, &["--json"]].concat()).code(code);
        let error = run.json()["error"].clone();
        assert_eq!(run.messages(), format!("error: {}", error["message"].as_str().expect("a message")));
        error["fault"].as_str().expect("a fault").to_owned()
    };
    assert_eq!(told(&["parse", "customer_rating", "none.csv"], 65), "data");
    assert_eq!(told(&["parse", "customer_ratings", "none.csv"], 64), "usage");
    assert_eq!(told(&["run-job", "nothing"], 64), "usage");
    folder.write("config/customers.toml", "[[customer");
    assert_eq!(told(&["jobs"], 78), "config");
    assert_eq!(told(&["run-job", "customer-ratings"], 78), "config");
}

#[test]
fn rows_go_to_standard_output_where_it_is_named() {
    let folder = Offline::new();
    folder.write("in.csv", ratings(&["1,2,3,low-value"]));
    let run = folder.bursar(&["parse", "customer_rating", "in.csv", "--valid", "/dev/stderr"]).code(0);
    assert_eq!(run.stderr, "customer_number,customer_rating,customer_rating_limit,customer_status\n1,2,3,low-value\n");
}

#[test]
fn a_reject_tells_columns_of_one_name_apart_by_their_position() {
    let folder = Offline::configured();
    dataset(&folder, "[dialect]\nextra_columns = \"ignore\"\n[[column]]\nname = \"id\"\ntype = \"integer\"\n");
    folder.write("in.csv", "note,id,note\na,x,b\na,x\n");
    folder.bursar(&["parse", "d", "in.csv", "--rejects", "rejects.jsonl"]).code(0);
    let rejects = folder.read("rejects.jsonl");
    assert!(rejects.contains(r#""payload":{"note":"a","id":"x","note#3":"b"}"#), "{rejects}");
    assert!(rejects.contains(r#""payload":{"note":"a","id":"x"}"#), "a record that ends before it: {rejects}");
}

const INVOICES: &str = r#"unique = [["invoice_number"]]
unique_keep = "last"
count_distinct = ["customer_name", "invoice_number", "applied"]
[dialect]
extra_columns = "ignore"
[[column]]
name = "customer_name"
header = "CustomerName"
type = "text"
[[column]]
name = "invoice_number"
header = "InvoiceNumber"
type = "text"
[[column]]
name = "invoice_date"
header = "InvoiceDate"
type = "date"
format = "%-m/%-d/%y"
[[column]]
name = "due_date"
header = "DueDate"
type = "date"
nullable = true
format = ["%-m/%-d/%y 00:00", "%-m/%-d/%y"]
required_unless = { column = "terms", matches = "Net [0-9]{1,4}" }
[[column]]
name = "terms"
header = "CustomerTerms"
type = "text"
[[column]]
name = "applied"
header = "Applied"
type = "numeric(18,2)"
blank = "0"
[[column]]
name = "customer_number"
header = "customer number"
type = "text"
nullable = true
optional = true
"#;

#[test]
fn the_summary_tells_duplicates_and_how_many_values_there_are() {
    let folder = Offline::configured();
    dataset(&folder, INVOICES);
    let head = "DueDate,CustomerTerms,Applied,InvoiceDate,InvoiceNumber,CustomerName\n";
    let rows =
        "3/9/25 00:00,COD,1.50,2/7/25,I1,Ann\n,Net 30,,2/7/25,I2,ann\n,COD,0,2/7/25,I3,Bob\n,Net 7,1.5,2/7/25,I1,Ann\n";
    folder.write("in.csv", format!("{head}{rows}"));
    let run = folder.bursar(&["parse", "d", "in.csv"]).code(0);
    for line in [
        "│ rejected           ┆",
        "│ of them duplicates ┆   1 │",
        "\n2 distinct customer_name\n2 distinct invoice_number\n2 distinct applied\n",
        "optional columns that are not there: customer_number\n",
        "due_date.required",
    ] {
        assert!(run.stdout.contains(line), "{line}:\n{}", run.stdout);
    }
    let summary = folder.bursar(&["parse", "d", "in.csv", "--json"]).code(0).json();
    assert_eq!(summary["distinct"], serde_json::json!({"customer_name": 2, "invoice_number": 2, "applied": 2}));
    assert_eq!(
        (&summary["duplicates"], &summary["absent_columns"]),
        (&1.into(), &serde_json::json!(["customer_number"]))
    );
    dataset(&folder, &INVOICES.replace("\"applied\"]", "\"terms\", \"terms\", \"nobody\"]"));
    let said = folder.bursar(&["check"]).code(78).stderr;
    assert!(said.contains("count_distinct[3]: terms is there twice"), "{said}");
    assert!(said.contains("count_distinct[4]: \"nobody\" is not a column of the dataset"), "{said}");
}

#[test]
fn a_real_file_of_invoices_is_all_good() {
    let Some(file) = real_data().map(|folder| folder.join("invoices/unicorn_inc.csv")).filter(|file| file.exists())
    else {
        return;
    };
    let folder = Offline::configured();
    dataset(&folder, INVOICES);
    let summary = folder.bursar(&["parse", "d", file.to_str().expect("a path"), "--json"]).code(0).json();
    let certificate = &summary["certificate"];
    assert_eq!((&certificate["loaded"], &certificate["rejected"]), (&3107.into(), &0.into()), "{summary}");
    assert_eq!(
        (&summary["distinct"]["customer_name"], &summary["distinct"]["invoice_number"]),
        (&135.into(), &3107.into())
    );
}
