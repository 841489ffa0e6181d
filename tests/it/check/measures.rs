//! Measures and reports: what can't be right is named at its line without a database; the server is asked about the rest.

use super::said_of;
use crate::offline::Offline;
use crate::support::World;

const DATASET: &str = "datasets/customer_rating.toml";

/// The dataset with these measures in front.
fn with(text: &str, measures: &str) -> String {
    text.replace("[measures]", &format!("[measures]\n{measures}"))
}

#[test]
fn a_measure_that_can_not_be_taken_is_named_with_its_line() {
    let measures = "a = \"sum(custmer_rating)\"\nb = \"count(*) filter (where customer_status == 'x')\"\nc = \"\"\"\nsum(\n  customer_numbr)\"\"\"\nd = { sql = \"max(customer_status)\", type = \"date\" }\ne = \"count(*) filter (where customer_status = \\\"x\\\")\"\nf = \"customer_rating\"\ng = \"max(seen)\"";
    let said = said_of(DATASET, |text| {
        with(&text, measures).replace("[measures]", "[[column]]\nname = \"seen\"\ntype = \"timestamp\"\n\n[measures]")
    });
    insta::assert_snapshot!(said, @r#"
    config/datasets/customer_rating.toml:36: measures.a: the dataset has no column "custmer_rating"; did you mean "customer_rating"?
    config/datasets/customer_rating.toml:37: measures.b: PostgreSQL has no operator ==; equality is written =
    config/datasets/customer_rating.toml:40: measures.c: the dataset has no column "customer_numbr"; did you mean "customer_number"?
    config/datasets/customer_rating.toml:42: measures.e: the dataset has no column "x"; double quotes are for names, a text is written in single quotes: 'x'
    config/datasets/customer_rating.toml:43: measures.f: is no aggregate: a measure is one value over all rows of a load, such as count(*)
    config/datasets/customer_rating.toml:44: measures.g: max(seen) is a timestamp, and the measure is declared as numeric: write { sql = "…", type = "timestamp" }
    error: 6 problems in config
    "#);
}

#[test]
fn a_function_that_is_not_postgresqls_is_a_warning() {
    let folder = Offline::configured();
    let path = format!("config/{DATASET}");
    folder.write(&path, with(&folder.read(&path), "a = \"summe(customer_rating)\""));
    let ran = folder.bursar(&["check"]).code(0);
    let warning =
        "config/datasets/customer_rating.toml:32: measures.a: PostgreSQL has no function summe; did you mean \"sum\"?";
    assert!(ran.stderr.starts_with(&format!("warning: {warning}")), "{}", ran.stderr);
    let found = folder.bursar(&["check", "--json"]).code(0).json();
    assert_eq!(found["warnings"][0]["line"], 32, "{found:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_about_each_measure_and_report_and_nothing_is_run() {
    let world = World::bare().await;
    world.bursar(&["check", "--database"]).code(0);
    world.edit(DATASET, |text| {
        with(&text, "wrong = \"\"\"\nsum(\n  summe(customer_rating))\"\"\"\nright = \"max(customer_rating) -- all\"")
    });
    world.edit("reports/customer_rating_aggregate.sql", |text| {
        text.replace("    sum_customer_rating", "    summe(sum_customer_rating) as sum_customer_rating")
    });
    world.edit("reports/invoice_lines.toml", |text| text.replace("lower(:customer)", "lwer(:customer)"));
    world.edit("reports/billings_by_plan.toml", |text| text.replace("columns = [\"plan\",", "columns = [\"plans\","));
    let said = world.bursar(&["check", "--database"]).code(78).messages();
    for words in [
        "datasets/customer_rating.toml:34: measures.wrong: the server refuses the measure: function summe(integer) does not exist",
        "reports/customer_rating_aggregate.sql:6: the server refuses the report: function summe(numeric) does not exist",
    ] {
        assert!(said.contains(words), "{words:?} is missing: {said}");
    }
    assert!(!said.contains("measures.right") && !said.contains("DATABASE_URL"), "{said}");
    world.edit(DATASET, |text| text.replace("summe(customer_rating)", "customer_rating"));
    world.bursar(&["migrate"]).code(0);
    let said = world.bursar(&["check", "--database"]).code(78).messages();
    for words in [
        "reports/invoice_lines.toml:12: parameter[0].must_exist: the server refuses the query: function lwer(text) does not exist",
        "reports/billings_by_plan.toml:5: columns: ",
    ] {
        assert!(said.contains(words), "{words:?} is missing: {said}");
    }
}
