//! Reports over HTTP: the same answers, with the parameters that each declares.

use super::{ask, lines, sample};
use crate::offline::Offline;
use crate::receivables_api::{Api, encoded};
use crate::support::World;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_http_is_that_of_the_command() {
    let world = sample().await;
    let api = Api::start(&world).await;
    let month = format!("customer={}&month=2026-01", encoded("Northpier Studio"));
    for (report, query, parameters) in [
        ("images_by_size", "from=2026-01-10&to=2026-01-25", &["from=2026-01-10", "to=2026-01-25"][..]),
        ("invoice_lines", &month, &["customer=Northpier Studio", "month=2026-01"]),
        ("billing_reconciliation", "month=2026-01", &["month=2026-01"]),
        ("invoices_off", "", &[]),
    ] {
        let target = format!("/reports/{report}?{query}");
        let asked =
            world.bursar(&[&["report", report, "--format", "json"][..], &given(parameters)].concat()).code(0).json();
        let answer = api.get(&target);
        assert_eq!(answer["items"], asked, "{report}");
        assert_eq!((&answer["total"], &answer["offset"]), (&json!(asked.as_array().map(Vec::len)), &json!(0)));
        let csv = api.csv(&target);
        assert_eq!(csv.replace("\r\n", "\n"), ask(&world, report, parameters).code(0).stdout, "{report}");
    }
}

fn given<'a>(parameters: &[&'a str]) -> Vec<&'a str> {
    parameters.iter().flat_map(|p| ["--param", *p]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_report_put_together_are_the_report() {
    let world = sample().await;
    let api = Api::start(&world).await;
    let all = lines(&world, "usage_by_day", &["from=2026-01-01", "to=2026-01-31"]).len();
    let mut found = Vec::new();
    for offset in (0..=all).step_by(37) {
        let page = api.get(&format!("/reports/usage_by_day?from=2026-01-01&to=2026-01-31&limit=37&offset={offset}"));
        assert_eq!((&page["total"], &page["limit"]), (&json!(all), &json!(37)));
        found.extend(page["items"].as_array().expect("rows").iter().cloned());
    }
    let whole = api.get("/reports/usage_by_day?from=2026-01-01&to=2026-01-31");
    assert_eq!((found.len(), &Value::Array(found)), (all, &whole["items"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_missing_and_unknown_parameters_are_all_told() {
    let world = World::new().await;
    let api = Api::start(&world).await;
    let answer = api.ask("/reports/images_by_size?from=2026-02-30&plan=x", "");
    assert_eq!(answer.status, 400, "{}", answer.body);
    let mut wrong = answer.wrong();
    wrong.sort();
    assert_eq!(wrong, ["from", "plan", "to"]);
    for month in ["2026-13", "26-01", "2026-01-01", "", "%00"] {
        assert_eq!(api.ask(&format!("/reports/billings_by_plan?month={month}"), "").wrong(), ["month"], "{month}");
    }
    let said = api.refused("/reports/invoice_lines?customer=Nobody&month=2026-01", 404);
    assert!(said["detail"].as_str().expect("a text").starts_with("There is no customer \"Nobody\""), "{said}");
    ask(&world, "invoice_lines", &["customer=Nobody", "month=2026-01"]).code(64);
    ask(&world, "usage_by_day", &["from=2026-01-01", "to=2026-01-31", "customer=Nobody"]).code(64);
    api.refused("/reports/images", 404);
    // It writes a file: its answers lie in the output folder.
    api.refused("/reports/billing_export_orphans", 404);
    let said = api.refused("/reports/metronome_change?against=2026-01-01&run_date=2026-01-02", 404);
    let detail =
        "The report metronome_change has nothing to say: metronome.current_snapshots holds nothing of 2026-01-02";
    assert!(said["detail"].as_str().expect("a text").starts_with(detail), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_each_report_with_its_parameters_and_columns() {
    let world = World::new().await;
    let document = Api::start(&world).await.get("/openapi.json");
    let paths = document["paths"].as_object().expect("paths");
    let reports: Vec<&str> = paths.keys().filter_map(|path| path.strip_prefix("/reports/")).collect();
    assert_eq!(
        reports,
        [
            "billing_change",
            "billing_reconciliation",
            "billings_by_plan",
            "images_by_size",
            "invoice_lines",
            "invoices_off",
            "metronome_change",
            "revenue_by_customer",
            "revenue_by_product",
            "usage_by_day",
        ]
    );
    let operation = &document["paths"]["/reports/invoice_lines"]["get"];
    let parameters: Vec<String> = operation["parameters"]
        .as_array()
        .expect("parameters")
        .iter()
        .map(|p| format!("{} {} {}", p["name"].as_str().expect("a name"), p["required"], p["schema"]["type"]))
        .collect();
    let paging = ["limit false \"integer\"", "offset false \"integer\""];
    assert_eq!(parameters, [&["customer true \"string\"", "month true \"string\""][..], &paging].concat());
    let row = &operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["items"]["items"];
    assert_eq!(row["required"].as_array().expect("columns").len(), 8);
    assert!(row["properties"]["unit_price"].is_object(), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_was_changed_since_says_so() {
    let world = sample().await;
    let api = Api::start(&world).await;
    world.edit("reports/billings_by_plan.toml", |text| text.replace("name = \"month\"", "name = \"of\""));
    world.edit("reports/billings_by_plan.sql", |text| text.replace(":month", ":of"));
    world.bursar(&["reload"]).code(0);
    let said = api.refused("/reports/billings_by_plan?month=2026-01", 404);
    let detail = said["detail"].as_str().expect("a text");
    assert!(detail.starts_with("The report billings_by_plan was changed: "), "{detail}");
}

#[test]
fn a_parameter_that_pages_would_need_is_refused() {
    let folder = Offline::configured();
    let (toml, sql) = ("config/reports/billings_by_plan.toml", "config/reports/billings_by_plan.sql");
    folder.write(toml, folder.read(toml).replace("name = \"month\"", "name = \"limit\""));
    folder.write(sql, folder.read(sql).replace(":month", ":limit"));
    let said = folder.bursar(&["check"]).code(78).stderr;
    let expected = "billings_by_plan.toml:8: parameter[0].name: limit tells over HTTP which rows are wanted; call it something else";
    assert!(said.contains(expected), "{said}");
}
