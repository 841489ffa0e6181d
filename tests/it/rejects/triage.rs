//! One cause is one finding, with a suggestion.

use super::DATE;
use crate::support::World;
use serde_json::Value;

const HEADER: &str = "customer_number,customer_rating,customer_rating_limit,customer_status,seen\n";

/// Loads a file of agency A whose columns are an integer, a numeric, an integer, a text and a date.
fn triaged(world: &World, bytes: &[u8]) -> Vec<Value> {
    world.edit("datasets/customer_rating.toml", |text| {
        if text.contains("seen") {
            return text;
        }
        let numeric = "name = \"customer_rating\"\ntype = \"numeric(9,2)\"";
        text.replace("name = \"customer_rating\"\ntype = \"integer\"", numeric)
            .replace("max_reject_percent = 50", "max_reject_percent = 100\nallow_empty = true")
            .replace("max_length = 25\n", "max_length = 25\nallowed = [\"low\", \"high\", \"a, b\"]\n\n[[column]]\nname = \"seen\"\ntype = \"date\"\n")
    });
    world.deliver("A", [HEADER.as_bytes(), bytes].concat());
    world.run_job(DATE, &["--customer", "agency_a"]).code(0);
    let ran = world.bursar(&["rejects", "triage", "--customer", "agency_a", "--date", DATE, "--json"]).code(0);
    ran.json().as_array().expect("findings").clone()
}

/// The column, code, count, first and last line of a finding.
fn place(finding: &Value) -> (String, String, i64, i64, i64) {
    let text = |key: &str| finding[key].as_str().unwrap_or("-").to_owned();
    let number = |key: &str| finding[key].as_i64().expect("a number");
    (text("column"), text("code"), number("count"), number("first_line"), number("last_line"))
}

fn found(column: &str, code: &str, count: i64, first: i64, last: i64) -> (String, String, i64, i64, i64) {
    (column.to_owned(), code.to_owned(), count, first, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_has_its_suggestion() {
    let world = World::new().await;
    for (row, column, code, suggestion) in [
        (&b"1,2.5,3,a, b,2025-01-31\n"[..], "-", "extra_field", "an unquoted delimiter in field 4 (customer_status)?"),
        (b"1,2,50,3,low,2025-01-31\n", "-", "extra_field", "in field 2 (customer_rating)"),
        (b"1,2.5,3,low,2025-01-31,\n", "-", "extra_field", "dialect.extra_fields = \"empty\""),
        (b"1,2.5,3,low\n", "-", "missing_field", "the record ends early"),
        (b"1;2.5;3;low;2025-01-31\n", "-", "missing_field", "records with another delimiter, ';'"),
        (
            b"1,\"2,5\",3,low,2025-01-31\n",
            "customer_rating",
            "not_a_number",
            "the values have a decimal comma: dialect.decimal = \",\"",
        ),
        (b"\"1,000\",2.5,3,low,2025-01-31\n", "customer_number", "not_an_integer", "separators between thousands"),
        (b"1.5,2.5,3,low,2025-01-31\n", "customer_number", "not_an_integer", "the values have decimals"),
        (
            b"1 ,2.5,3,low,2025-01-31\n",
            "customer_number",
            "not_an_integer",
            "blanks around the values: dialect.trim = true",
        ),
        (
            b"N/A,2.5,3,low,2025-01-31\n",
            "customer_number",
            "not_an_integer",
            "words that stand for nothing: dialect.null",
        ),
        (b",2.5,3,low,2025-01-31\n", "customer_number", "null", "blank in a column that must have a value"),
        (
            b"1,2.5,3,low,31/01/2025\n",
            "seen",
            "not_a_date",
            "the dates look like DD/MM/YYYY: format = \"%d/%m/%Y\" in the column",
        ),
        (b"1,2.5,3,low,01/02/2025\n", "seen", "not_a_date", "the dates look like DD/MM/YYYY or MM/DD/YYYY"),
        (b"1,2.5,3,low,20250131\n", "seen", "not_a_date", "the dates look like YYYYMMDD"),
        (
            b"1,2.5,3,l\xF6w,2025-01-31\n",
            "customer_status",
            "invalid_utf8",
            "look like windows-1252: dialect.encoding = \"windows-1252\"",
        ),
        (b"1,2.5,3,LOW,2025-01-31\n", "customer_status", "not_allowed", "in upper and lower case only"),
        (b"1,2.5,3,l\"w,2025-01-31\n", "-", "stray_quote", "a quote within a value"),
        (HEADER.as_bytes(), "-", "repeated_header", "the header stands among the rows"),
        (b"x,7,2.5,3,low\n", "-", "not_an_integer", "one column too far to the right"),
        (b"2.5,3,low,2025-01-31,x\n", "-", "not_an_integer", "one column too far to the left"),
    ] {
        let findings = triaged(&world, &row.repeat(3));
        let shown = String::from_utf8_lossy(row);
        assert_eq!(findings.len(), 1, "{shown}: {findings:#?}");
        assert_eq!(place(&findings[0]), found(column, code, 3, 2, 4), "{shown}");
        let said = findings[0]["suggestion"].as_str().expect("a suggestion");
        assert!(said.contains(suggestion), "{shown}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_rejects_of_one_cause_are_one_finding_and_far_runs_are_two() {
    let world = World::new().await;
    let good = "1,2.5,3,low,2025-01-31\n";
    let mut text = good.repeat(810);
    text.push_str(&"1,2.5,3,a, b,2025-01-31\n".repeat(8630));
    text.push_str(&good.repeat(2000));
    text.push_str(&"1,2.5,3,a, b,2025-01-31\n".repeat(10));
    text.push_str("1,2.5,3,low,31/01/2025\n");
    let findings = triaged(&world, text.as_bytes());
    assert_eq!(
        findings.iter().map(place).collect::<Vec<_>>(),
        [
            found("-", "extra_field", 8630, 812, 9441),
            found("-", "extra_field", 10, 11442, 11451),
            found("seen", "not_a_date", 1, 11452, 11452),
        ]
    );
    let shown = world.bursar(&["rejects", "triage", "--limit", "2"]).code(0).stdout;
    assert!(shown.contains("812 to 9441") && shown.contains("and 1 more: --limit"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_strewn_over_a_file_is_one_finding_and_a_vote_that_is_not_all_says_so() {
    let world = World::new().await;
    let mut text = String::new();
    for i in 0..8 {
        text.push_str(&"1,2.5,3,low,2025-01-31\n".repeat(1500));
        text.push_str(if i < 6 { "1 ,2.5,3,low,2025-01-31\n" } else { "one,2.5,3,low,2025-01-31\n" });
    }
    let findings = triaged(&world, text.as_bytes());
    assert_eq!(
        findings.iter().map(place).collect::<Vec<_>>(),
        [found("customer_number", "not_an_integer", 8, 1502, 12009)]
    );
    assert_eq!(findings[0]["scattered"], true);
    assert_eq!(findings[0]["suggestion"], "blanks around the values: dialect.trim = true (so are 6 of 8)");
    let halves = "1 ,2.5,3,low,2025-01-31\n1.5,2.5,3,low,2025-01-31\n".repeat(5);
    assert_eq!(
        triaged(&world, halves.as_bytes())[0]["suggestion"],
        "blanks around the values: dialect.trim = true (so are 5 of 10); the values have decimals: type = \"numeric(p,s)\"? \
         (so are 5 of 10)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn triage_of_nothing_says_so() {
    let world = World::new().await;
    world.deliver_all();
    world.run_job(DATE, &[]).code(0);
    assert_eq!(world.bursar(&["rejects", "triage"]).code(0).stdout, "no rejects of that kind\n");
    assert_eq!(triaged(&World::new().await, b"x,2.5,3,low,2025-01-31\n").len(), 1);
}
