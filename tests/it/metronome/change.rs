//! Two days compared, and reports that are asked.

use super::fake::{Customer, EUROPE, Scenario, USD_CENTS};
use super::{DAY, ask, run, serve};
use crate::support::World;

const NEXT: &str = "2026-02-04";

async fn two_days() -> World {
    let world = World::new().await;
    let same = Customer::new("c-1", "Same").invoiced(0, "FINALIZED", USD_CENTS, "100");
    let changed = Customer::new("c-2", "Changed").invoiced(0, "FINALIZED", USD_CENTS, "100.5");
    let before = vec![same.clone(), changed.clone(), Customer::new("c-3", "Gone"), Customer::new("c-5", "Failing")];
    let fake = serve(Scenario::given(before)).await;
    run(&world, &fake, DAY, &[]).code(0);
    let changed = changed.invoiced(1, "FINALIZED", USD_CENTS, "0.25").ledger(USD_CENTS, &[("10", "10")], &[]);
    let new = Customer::new("c-4", "New").invoiced(0, "FINALIZED", EUROPE, "2");
    let mut after = Scenario::given(vec![same, changed, new, Customer::new("c-5", "Failing")]);
    after.refused.insert("c-5/invoices".to_owned(), 404);
    fake.change(|scenario| *scenario = after);
    run(&world, &fake, NEXT, &[]).code(65);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn two_days_are_compared_line_by_line() {
    let world = two_days().await;
    let asked = ask(&world, &["metronome_change", "--date", NEXT, "--against", DAY]).code(0);
    let lines: Vec<&str> = asked.stdout.lines().skip(1).collect();
    assert_eq!(lines[0], "changed,c-2,Changed,USD (cents),1.005,1.0075,0.0025,0.00,0.10,0.10,");
    assert_eq!(lines[1], "gone,c-3,Gone,,0,,0,0,,0,");
    assert_eq!(lines[2], "new,c-4,New,Credits (Europe),,2,2,,0,0,");
    assert!(
        lines[3].starts_with("unknown,c-5,Failing,,,,,,,,GET /customers/c-5/invoices answered 404"),
        "{}",
        lines[3]
    );
    assert_eq!(lines.len(), 4);
    // The other way round, what was new is gone.
    let back = ask(&world, &["metronome_change", "--date", DAY, "--param", &format!("against={NEXT}")]).code(0);
    assert!(back.stdout.contains("\ngone,c-4,New,"), "{}", back.stdout);
    let same = ask(&world, &["metronome_change", "--date", DAY, "--against", DAY]).code(0);
    assert_eq!(same.stdout.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_as_json_has_decimals_as_texts() {
    let world = two_days().await;
    let asked = ask(&world, &["metronome_customer_summary", "--date", DAY, "--format", "json"]).code(0).json();
    assert_eq!(asked[0]["customer_name"], "Changed");
    assert_eq!(asked[0]["draft_total"], "0.00");
    assert_eq!(asked[0]["finalized_invoices"], 1);
    assert_eq!(asked[0]["credit_granted"], serde_json::Value::Null);
    let table = ask(&world, &["metronome_customer_summary", "--date", DAY, "--format", "table"]).code(0);
    assert!(table.stdout.contains("Customer Name"), "{}", table.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_which_there_is_nothing_is_a_data_fault_and_no_empty_answer() {
    let world = World::new().await;
    world.bursar(&["migrate"]).code(0);
    let asked = ask(&world, &["metronome_change", "--date", NEXT, "--against", DAY]).code(65);
    assert!(
        asked.messages().contains("metronome.current_snapshots holds nothing of 2026-02-04; metronome.current_snapshots holds nothing of 2026-02-03"),
        "{}",
        asked.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_parameters_is_told_at_once() {
    let world = World::new().await;
    let asked = ask(&world, &["metronome_change", "--param", "agianst=2026-02-30", "--param", "x=1"]).code(64);
    let said = asked.messages();
    for part in [
        "no parameter \"agianst\"; did you mean \"against\"?",
        "no parameter \"x\"",
        "against is missing, a date as YYYY-MM-DD",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let asked = ask(&world, &["metronome_change", "--against", "2026-02-30' or true --"]).code(64);
    assert!(asked.messages().contains("expected a date as YYYY-MM-DD"), "{}", asked.stderr);
    let asked = ask(&world, &["metronome_chang"]).code(64);
    assert!(asked.messages().contains("did you mean \"metronome_change\"?"), "{}", asked.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_every_type_are_bound_and_never_spliced() {
    let world = World::new().await;
    world.bursar(&["migrate"]).code(0);
    let parameters = ["date", "month", "text", "integer", "decimal", "boolean"]
        .map(|kind| format!("[[parameter]]\nname = \"a_{kind}\"\ntype = \"{kind}\"\nabout = \"A value.\"\n"))
        .concat();
    let columns = "columns = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"]\n";
    world.write("config/reports/mirror.toml", format!("name = \"mirror\"\n{columns}{parameters}"));
    world.write(
        "config/reports/mirror.sql",
        "select :a_date as a, :a_month as b, :a_text as c, :a_integer as d, :a_decimal as e, :a_boolean as f",
    );
    let given = [
        "a_date=2026-02-28",
        "a_month=2026-02",
        "a_text='; drop table x --",
        "a_integer=7",
        "a_decimal=0.10",
        "a_boolean=true",
    ];
    let given: Vec<&str> = given.iter().flat_map(|text| ["--param", text]).collect();
    let asked = ask(&world, &[&["mirror", "--format", "json"], &given[..]].concat()).code(0).json();
    let expected = serde_json::json!([{
        "a": "2026-02-28", "b": "2026-02-01", "c": "'; drop table x --", "d": 7, "e": "0.10", "f": true
    }]);
    assert_eq!(asked, expected);
    let nulls = ask(&world, &["mirror"]).code(0);
    assert_eq!(nulls.stdout, "a,b,c,d,e,f\n,,,,,\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_reports_parameters_is_named_by_check() {
    let world = World::new().await;
    world.write(
        "config/reports/wrong.toml",
        "name = \"wrong\"\ncolumns = [\"a\"]\nheaders = [\"A\", \"A\"]\n\
         [[parameter]]\nname = \"run_date\"\ntype = \"date\"\nabout = \"x\"\n\
         [[parameter]]\nname = \"unused\"\ntype = \"integer\"\ndefault = \"one\"\nabout = \"x\"\n\
         [[parameter]]\nname = \"given\"\ntype = \"text\"\nrequired = true\ndefault = \"a\"\nabout = \"x\"\n\
         [[source]]\nrelation = \"nowhere\"\ndate = \"given\"\n",
    );
    world.write("config/reports/wrong.sql", "select :given as a, :gone as b");
    world.edit("jobs/metronome-summary.toml", |job| job.replace("metronome_customer_summary", "metronome_change"));
    let said = world.bursar(&["check"]).code(78).messages();
    for part in [
        "wrong.toml:3: headers: names 2 columns; there are 1",
        "wrong.toml:3: headers[1]: the header A is there twice",
        "wrong.toml:5: parameter[0].name: run_date is there without being declared",
        "wrong.toml:11: parameter[1].default: is \"one\", expected a whole number",
        "wrong.toml:9: parameter[1].name: the SQL does not name :unused",
        "wrong.toml:17: parameter[2].default: means nothing for a parameter that must be given",
        "wrong.toml:20: source[0].relation: \"nowhere\" is no relation; write schema.name",
        "wrong.toml:21: source[0].date: there is no parameter \"given\" that is a date",
        "wrong.sql:1: the parameter :gone is unknown",
        "report: the report metronome_change names no file: it can only be asked",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
