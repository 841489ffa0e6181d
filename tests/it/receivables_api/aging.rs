//! Agings of random invoices, against a plain count of the same.

use super::{Api, Invoice};
use crate::support::World;
use chrono::{Days, NaiveDate};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;

/// An invoice in cents.
#[derive(Clone, Debug)]
struct Random {
    customer: u8,
    currency: &'static str,
    due_in: u64,
    billed: i64,
    applied: i64,
}

const START: NaiveDate = NaiveDate::from_ymd_opt(2024, 6, 1).unwrap();

fn invoices() -> impl Strategy<Value = Vec<Random>> {
    let invoice =
        (0..6_u8, prop::sample::select(vec!["USD", "CAD", "EUR"]), 0..400_u64, 0..100_000_i64, 0..120_000_i64);
    let invoice = invoice.prop_map(|(customer, currency, due_in, billed, applied)| Random {
        customer,
        currency,
        due_in,
        billed,
        applied,
    });
    prop::collection::vec(invoice, 300)
}

fn day(random: &Random) -> NaiveDate {
    START + Days::new(random.due_in)
}

fn row((n, random): (usize, &Random)) -> Invoice {
    let money = |cents: i64| Decimal::new(cents, 2).to_string();
    Invoice {
        currency: random.currency,
        ..Invoice::new(&format!("R{n}"), &format!("C{}", random.customer))
            .due(&day(random).format("%-m/%-d/%y").to_string())
            .amounts(&money(random.billed), &money(random.applied))
    }
}

/// Who, in which currency, from which day on.
type Key = (Option<String>, String, Option<i64>);

/// What the answer's buckets hold.
fn answered(page: &Value) -> BTreeMap<Key, (i64, Decimal)> {
    let items = page["items"].as_array().expect("items");
    let item = |item: &Value| {
        let key = (
            item["customer_name"].as_str().map(str::to_owned),
            item["currency"].as_str().expect("a currency").to_owned(),
            item["from_days"].as_i64(),
        );
        let outstanding = item["outstanding"].as_str().expect("a text").parse().expect("money");
        (key, (item["invoices"].as_i64().expect("a count"), outstanding))
    };
    let found: BTreeMap<_, _> = items.iter().map(item).filter(|(_, (invoices, _))| *invoices > 0).collect();
    assert_eq!(found.len(), items.iter().filter(|item| item["invoices"] != 0).count(), "no bucket comes twice");
    found
}

/// The same, counted plainly.
fn counted(randoms: &[Random], as_of: NaiveDate, edges: &[i64], by_customer: bool) -> BTreeMap<Key, (i64, Decimal)> {
    let mut counted = BTreeMap::new();
    for random in randoms.iter().filter(|r| r.billed > r.applied) {
        let late = (as_of - day(random)).num_days();
        let below = edges.iter().filter(|edge| **edge < late).max().copied().unwrap_or(0);
        let from = (late > 0).then_some(below + 1);
        let customer = by_customer.then(|| format!("C{}", random.customer));
        let bucket = counted.entry((customer, random.currency.to_owned(), from)).or_insert((0, Decimal::ZERO));
        bucket.0 += 1;
        bucket.1 += Decimal::new(random.billed - random.applied, 2);
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buckets_hold_exactly_what_is_outstanding_whatever_the_edges_and_the_day() {
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let randoms = invoices().new_tree(&mut runner).expect("invoices").current();
    let world = World::new().await;
    let api = Api::of(&world, &randoms.iter().enumerate().map(row).collect::<Vec<_>>()).await;
    let edges = prop::collection::vec(1..450_i64, 1..=10);
    let asked = (0..600_u64, edges, any::<bool>());
    let held = runner.run(&asked, |(as_of, edges, by_customer)| {
        let as_of = START + Days::new(as_of);
        let text = edges.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let by = if by_customer { "customer" } else { "currency" };
        let page = api.get(&format!("/invoices/aging?as_of={as_of}&edges={text}&by={by}&limit=200"));
        prop_assert_eq!(&page["total"], &Value::from(page["items"].as_array().expect("items").len()));
        prop_assert_eq!(answered(&page), counted(&randoms, as_of, &edges, by_customer));
        Ok(())
    });
    held.expect("the buckets");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_on_an_edge_is_the_last_of_its_bucket() {
    let world = World::new().await;
    let due = [
        ("0", "3/1/25"),
        ("1", "2/28/25"),
        ("30", "1/30/25"),
        ("31", "1/29/25"),
        ("90", "12/1/24"),
        ("91", "11/30/24"),
    ];
    let api = Api::of(&world, &due.map(|(number, due)| Invoice::new(number, "Ada").due(due))).await;
    let buckets = |query: &str| -> Vec<String> {
        let page = api.get(&format!("/invoices/aging?as_of=2025-03-01{query}"));
        let bucket = |item: &Value| format!("{} {}", item["bucket"], item["invoices"]).replace('"', "");
        page["items"].as_array().expect("items").iter().map(bucket).collect()
    };
    assert_eq!(buckets(""), ["current 1", "1-30 2", "31-60 1", "61-90 1", "over 90 1"]);
    assert_eq!(buckets("&edges=90,30,60,30"), buckets(""));
    assert_eq!(buckets("&edges=91"), ["current 1", "1-91 5", "over 91 0"]);
    assert_eq!(buckets("&by=customer&edges=91"), ["current 1", "1-91 5"]);
    assert_eq!(buckets("&currency=CAD"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_that_differ_from_what_is_outstanding_are_never_answered() {
    let world = World::new().await;
    let api = Api::of(&world, &[Invoice::new("1", "Ada")]).await;
    api.get("/invoices/aging");
    world.sql("update receivables.open_by_due_date set outstanding = outstanding + 0.01").await;
    let problem = api.refused("/invoices/aging", 500);
    assert!(!problem.to_string().contains("100.01"), "{problem}");
    api.get("/invoices/aging?by=customer");
}
