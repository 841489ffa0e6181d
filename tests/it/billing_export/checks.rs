//! What the check after the loads finds, and what it leaves alone.

use super::{deliver, deliver_sample_with, load, outcome, sample};
use crate::offline::project;
use crate::support::World;

fn report(world: &World, date: &str) -> Option<String> {
    std::fs::read_to_string(world.path(&format!("output/billing_export_orphans_{date}.csv"))).ok()
}

const HEADER: &str = "table,column,value,rows,refers_to\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_nobody_is_loaded_and_told() {
    let world = sample().await;
    let told = report(&world, "20260202").expect("the report");
    assert_eq!(told, format!("{HEADER}billing_events,customer_id,gannet,1,billing_customer.ingest_aliases\n"));
    assert_eq!(world.scalar::<i64>("select count(*) from billing_events where customer_id = 'gannet'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_that_points_somewhere_is_followed() {
    let world = World::new().await;
    deliver(&world, &project("data/billing_export"));
    // What everything points to is not there.
    for table in ["customer", "plan", "product", "billable_metric", "plan_charge", "invoice", "line_item"] {
        let path = world.path(&format!("inbox/billing_export/{table}.csv"));
        let text = std::fs::read_to_string(&path).expect("the sample");
        let changed: Vec<String> = text.lines().map(without_its_keys).collect();
        std::fs::write(&path, changed.join("\r\n") + "\r\n").expect("the sample");
    }
    let run = load(&world, "2026-02-02");
    assert!(outcome(&run, "check")["orphans"].as_i64().expect("a count") > 20, "{run:#}");
    let columns = world
        .column("select distinct table_name || '.' || column_name || ' ' || refers_to from billing_export.orphans order by 1")
        .await;
    assert_eq!(
        columns,
        [
            "billing_events.customer_id billing_customer.ingest_aliases",
            "billing_invoice.customer_id billing_customer.id",
            "billing_invoice.plan_id billing_plan.id",
            "billing_line_item.invoice_id billing_invoice.id",
            "billing_line_item.product_id billing_product.id",
            "billing_plan_charge.billable_metric_id billing_billable_metric.id",
            "billing_plan_charge.plan_id billing_plan.id",
            "billing_plan_charge.product_id billing_product.id",
            "billing_sub_line_item.billable_metric_id billing_billable_metric.id",
            "billing_sub_line_item.charge_id billing_plan_charge.charge_id",
            "billing_sub_line_item.line_item_id billing_line_item.id",
        ]
    );
    let rows: i64 = world.scalar("select count(*) from billing_sub_line_item").await;
    assert_eq!(rows, 21, "nothing is dropped");
}

/// A line with another id, another charge and other aliases.
fn without_its_keys(line: &str) -> String {
    let turned = |cell: &str| {
        let digits: String = cell.chars().filter(|c| *c != '-').rev().collect();
        uuid::Uuid::parse_str(&digits).map_or_else(|_| cell.to_owned(), |id| id.to_string())
    };
    let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
    cells[0] = turned(&cells[0]);
    // Only a plan's charge has another id in its second column that something points to.
    if cells.len() == 16 && cells[2].contains('(') {
        cells[1] = turned(&cells[1]);
    }
    cells.join(",").replace("\"[\"\"", "\"[\"\"not-")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_of_two_customers_is_told_and_counts_once() {
    let world = World::new().await;
    deliver_sample_with(&world, "customer", |text| {
        text.replace("\"[\"\"tern\"\"]\"", "\"[\"\"tern\"\",\"\"harbour\"\"]\"")
    });
    load(&world, "2026-02-02");
    let told = report(&world, "20260202").expect("the report");
    assert!(told.contains("billing_customer,ingest_aliases,harbour,2,billing_customer.id\n"), "{told}");
    let aliases = "select count(*) = count(distinct alias) from billing_export.aliases()";
    assert!(world.scalar::<bool>(aliases).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_made_again_finds_the_same_and_an_older_day_changes_nothing() {
    let world = sample().await;
    let all = "select (select string_agg(o::text, ' ') from billing_export.orphans as o)
                   || (select string_agg(u::text, ' ' order by u::text) from billing_export.usage as u)";
    let before: String = world.scalar(all).await;
    let run = world.bursar(&["run-job", "billing-export", "--date", "2026-02-02", "--force", "--json"]).code(0).json();
    assert_eq!(outcome(&run, "check")["orphans"], 1);
    assert_eq!(world.scalar::<String>(all).await, before);
    deliver_sample_with(&world, "events", |text| text.replace("gannet", "heron"));
    let older = load(&world, "2026-02-01");
    let check = older["tasks"].as_array().expect("tasks").iter().find(|task| task["task"] == "check").expect("it");
    assert_eq!(check["state"], "skipped");
    let why = check["error"].as_str().expect("why");
    assert!(
        why.starts_with("the tables are not those of 2026-02-01: billing_billable_metric shows 2026-02-02"),
        "{why}"
    );
    assert_eq!(world.scalar::<String>(all).await, before);
    assert_eq!(report(&world, "20260201"), None);
}
