//! Texts that want to be more than texts.

use super::{Api, Invoice, encoded, members};
use crate::support::World;
use serde_json::Value;

const SQL: [&str; 7] = [
    "'; drop table receivables.invoices cascade; --",
    "' or '1'='1",
    "\"; delete from receivables.customers; --",
    "1; truncate bursar.loads",
    "$1",
    "\\'; select pg_sleep(60); --",
    "2025-01-01' union select null --",
];

/// Every operation of the document with its parameters.
fn operations(document: &Value) -> Vec<(String, Vec<Value>)> {
    let paths = document["paths"].as_object().expect("paths");
    let parameters = |item: &Value| item["get"]["parameters"].as_array().cloned().unwrap_or_default();
    paths.iter().map(|(path, item)| (path.clone(), parameters(item))).collect()
}

/// A request in which one parameter holds a text; the others hold what they must.
fn target(path: &str, parameters: &[Value], hostile: &Value, text: &str) -> String {
    let (mut target, mut query) = (path.to_owned(), Vec::new());
    for parameter in parameters {
        let name = parameter["name"].as_str().expect("a name");
        let is_hostile = parameter == hostile;
        if !is_hostile && parameter["required"] != true {
            continue;
        }
        let example = &parameter["example"];
        let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        let value = encoded(if is_hostile { text } else { &example });
        if parameter["in"] == "path" {
            target = target.replace(&format!("{{{name}}}"), &value);
        } else {
            query.push(format!("{name}={value}"));
        }
    }
    format!("{target}?{}", query.join("&"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_in_a_parameter_is_a_text_like_any_other() {
    let world = World::new().await;
    let api = Api::of(&world, &[Invoice::new("1", "Ada"), Invoice::new("2", SQL[0])]).await;
    let books = "select md5(string_agg(t::text, '|' order by t::text)) from (
        select i::text as t from receivables.invoices as i union all select c::text from receivables.customers as c
        union all select l.id::text from bursar.loads as l) as all_of_it";
    let before: String = world.scalar(books).await;
    let mut asked = 0;
    for (path, parameters) in operations(&api.get("/openapi.json")) {
        for parameter in &parameters {
            for text in SQL {
                let target = target(&path, &parameters, parameter, text);
                let answer = api.ask(&target, "");
                assert!([200, 400, 404].contains(&answer.status), "{target}: {} {}", answer.status, answer.body);
                asked += 1;
            }
        }
    }
    assert!(asked > 250, "{asked}");
    let after: String = world.scalar(books).await;
    assert_eq!(after, before);
    let found = api.get(&format!("/customers/contact?name={}", encoded(SQL[0])));
    assert_eq!(found["customer_name"], SQL[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formula_comes_out_of_csv_as_a_harmless_text() {
    let world = World::new().await;
    let formulas = ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "=\"a\",b", "plain"];
    let invoice = |(n, formula): (usize, &&str)| Invoice {
        po_number: "=1+1",
        contact: ["=2", "+3", "@4"],
        ..Invoice::new(&format!("={n}"), formula)
    };
    let invoices: Vec<Invoice> = formulas.iter().enumerate().map(invoice).collect();
    let api = Api::of(&world, &invoices).await;
    let id = &members(&api.get("/customers?name=plain")["items"], "id")[0];
    let mut cells = 0;
    for target in [
        "/invoices/past-due?as_of=2025-03-01".to_owned(),
        format!("/invoices?customer_id={id}"),
        "/invoices".to_owned(),
        "/customers".to_owned(),
        "/customers/open-ar".to_owned(),
        "/invoices/aging?as_of=2025-03-01&by=customer".to_owned(),
    ] {
        let text = api.csv(&target);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        for record in reader.records().map(|record| record.expect("a record")) {
            for cell in &record {
                assert!(!cell.starts_with(['=', '+', '-', '@']), "{target}: {cell}");
                cells += 1;
            }
        }
    }
    assert!(cells > 200, "{cells}");
    let json = api.get("/customers");
    let mut names = members(&json["items"], "customer_name");
    names.sort();
    let mut expected = formulas.map(str::to_owned);
    expected.sort();
    assert_eq!(names, expected, "JSON tells names as they are");
}
