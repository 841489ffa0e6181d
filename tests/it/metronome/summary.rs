//! What the summary says.

use super::fake::{Customer, EUROPE, Scenario, USD_CENTS};
use super::{DAY, ask, command, run, serve, summaries, summary};
use crate::support::{Ran, World};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::str::FromStr;

/// A customer of each kind that the vendor's documentation has traps for.
fn everyone() -> Vec<Customer> {
    vec![
        Customer::new("c-1", "Ärger, \"Ltd\"")
            .invoiced(0, "FINALIZED", USD_CENTS, "7163.1875")
            .invoiced(1, "FINALIZED", USD_CENTS, "0.0001")
            .invoiced(2, "VOID", USD_CENTS, "99999")
            .invoiced(3, "DRAFT", USD_CENTS, "250.5")
            .invoiced(4, "WRITTEN_OFF", USD_CENTS, "1")
            .ledger(USD_CENTS, &[("5000", "5000"), ("-1250.5", "3749.5")], &[("-49.5", "3700")]),
        Customer::new("c-2", "Two credit types")
            .invoiced(0, "FINALIZED", USD_CENTS, "100")
            .invoiced(1, "FINALIZED", EUROPE, "12.5")
            .ledger(USD_CENTS, &[("100", "100")], &[])
            .ledger(EUROPE, &[("100", "100"), ("-30.25", "69.75")], &[]),
        Customer::new("c-3", "No ledger").invoiced(0, "FINALIZED", USD_CENTS, "100"),
        Customer::new("c-4", "Positive deduction").ledger(USD_CENTS, &[("1000", "1000"), ("200", "800")], &[]),
        Customer::new("c-5", "New words")
            .with("current_billable_status", json!({"value": "paused_for_now", "effective_at": null}))
            .with("a_new_field", json!([1.5, {"of": "something"}]))
            .ledger(USD_CENTS, &[("1", "1")], &[])
            .invoiced(0, "FINALIZED", USD_CENTS, "1")
            .altered(|invoice| invoice.replacen('{', "{\"a_new_field\":{\"of\":[1e400]},", 1).replace("1e400", "1.0")),
        Customer::new("c-6", "Nothing at all"),
        Customer::new("c-7", "Another unit alone").invoiced(0, "FINALIZED", USD_CENTS, "5").ledger(
            EUROPE,
            &[("7", "7")],
            &[],
        ),
    ]
}

const HEADER: &str = "Customer ID,Customer Name,Invoice Balance,Credit Balance,Notes,Credit Type,Draft Total,\
    Finalized Invoices,Latest Invoice Date,Latest Invoice Total,Credit Granted,Credit Used,Credit Pending,Customer State";

#[tokio::test(flavor = "multi_thread")]
async fn each_customer_and_credit_type_has_its_line_with_exact_amounts() {
    let world = World::new().await;
    let fake = serve(Scenario { page: 2, ..Scenario::given(everyone()) }).await;
    run(&world, &fake, DAY, &[]).code(0);
    let expected = [
        HEADER,
        "c-7,Another unit alone,0,7,,Credits (Europe),0,0,,,7,0,0,",
        "c-7,Another unit alone,0.05,0.00,No credit ledger of this credit type,USD (cents),0.00,1,2024-02-01,0.05,,,,",
        "c-5,New words,0.01,0.01,,USD (cents),0.00,1,2024-02-01,0.01,0.01,0.00,0.00,paused_for_now",
        "c-3,No ledger,1.00,0.00,No credit ledger,USD (cents),0.00,1,2024-02-01,1.00,,,,",
        "c-6,Nothing at all,0,0,No credit ledger,,0,0,,,,,,",
        "c-4,Positive deduction,0.00,8.00,Ledger entries add up to 12.00; the ending balance is reported,\
            USD (cents),0.00,0,,,10.00,2.00,0.00,",
        "c-2,Two credit types,12.5,69.75,,Credits (Europe),0,1,2024-03-01,12.5,100,30.25,0,",
        "c-2,Two credit types,1.00,1.00,,USD (cents),0.00,1,2024-02-01,1.00,1.00,0.00,0.00,",
        "c-1,\"Ärger, \"\"Ltd\"\"\",71.631876,37.495,,USD (cents),2.505,2,2024-03-01,0.000001,50.00,12.505,-0.495,",
    ];
    let written = summary(&world, DAY);
    assert_eq!(written.lines().collect::<Vec<_>>(), expected);
    let asked = ask(&world, &["metronome_customer_summary", "--date", DAY, "--format", "csv"]).code(0);
    assert_eq!(asked.stdout, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_every_list_is_fetched_and_no_digit_is_lost() {
    let world = World::new().await;
    let fake = serve(Scenario { page: 3, ..Scenario::generated(30, 7) }).await;
    run(&world, &fake, DAY, &[]).code(0);
    let counts: String = world
        .scalar(
            "select (select count(*) from metronome.customers where state = 'fetched') || ' '
                 || (select count(*) from metronome.invoices) || ' ' || (select count(*) from metronome.ledgers) || ' '
                 || (select count(*) from metronome.ledger_entries)",
        )
        .await;
    // Of six kinds in turn: one without ledgers and one without any, one with two.
    assert_eq!(counts, "30 210 25 50");
    let (mut total, rows) = (Decimal::ZERO, summary(&world, DAY));
    for row in csv::Reader::from_reader(rows.as_bytes()).records().map(|row| row.expect("a row")) {
        total += Decimal::from_str(&row[2]).expect("an invoice balance") + Decimal::from_str(&row[6]).expect("a draft");
    }
    // Each invoice has 1000 · (index % 97) + month, and every sixth customer 0.1875 more on each; some of it is no cents.
    let of_europe: Decimal = (0..30)
        .filter(|i| i % 6 == 1)
        .flat_map(|i| (0..7).filter(|month| month % 2 == 1).map(move |month| Decimal::from(1000 * i + month)))
        .sum();
    let all: Decimal = (0..30).flat_map(|i| (0..7).map(move |month| Decimal::from(1000 * i + month))).sum();
    let quarters = Decimal::from(5 * 7) * Decimal::new(1875, 4);
    assert_eq!(total, (all - of_europe + quarters) / Decimal::from(100) + of_europe);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_modelled_is_kept_as_the_vendor_said_it() {
    let world = World::new().await;
    let fake = serve(Scenario::given(everyone())).await;
    run(&world, &fake, DAY, &[]).code(0);
    let kept: Value = world.scalar("select more from metronome.customers where id = 'c-5'").await;
    assert_eq!(kept["a_new_field"], json!([1.5, {"of": "something"}]));
    assert_eq!(kept.get("name"), None);
    let kept: String =
        world.scalar("select more::text from metronome.invoices where customer_id = 'c-1' and status = 'FINALIZED' order by id limit 1").await;
    assert!(kept.contains("\"total\": 7163.1875"), "{kept}");
    let types: Vec<String> = world.column("select distinct status from metronome.invoices order by 1").await;
    assert_eq!(types, ["DRAFT", "FINALIZED", "VOID", "WRITTEN_OFF"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_written_again_from_the_tables_under_the_same_name_without_asking_the_vendor() {
    let world = World::new().await;
    let fake = serve(Scenario::given(everyone())).await;
    run(&world, &fake, DAY, &[]).code(0);
    let (before, asked) = (summaries(&world, DAY), fake.answered());
    std::fs::remove_file(world.path("output").join(&before[0].0)).expect("remove the summary");
    // Neither a token nor the vendor is needed.
    world.bursar(&["run-job", "metronome-summary", "--date", DAY]).code(0);
    assert_eq!(summaries(&world, DAY), before);
    assert_eq!(fake.answered(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_fetched_again_when_that_is_said_and_leaves_nothing_of_the_first_fetch() {
    let world = World::new().await;
    let fake = serve(Scenario::given(everyone())).await;
    run(&world, &fake, DAY, &[]).code(0);
    let name = summaries(&world, DAY)[0].0.clone();
    fake.change(|s| *s = Scenario::given(vec![Customer::new("c-6", "Nothing at all")]));
    let mut again = command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY, "--force"]);
    Ran::of(again.env("BURSAR__METRONOME__MAX_DROP_PERCENT", "100").output().expect("start bursar")).code(0);
    let rows = "c-6,Nothing at all,0,0,No credit ledger,,0,0,,,,,,";
    assert_eq!(summaries(&world, DAY), [(name, format!("{HEADER}\n{rows}\n"))]);
    let left: i64 = world.scalar("select count(*) from metronome.customers").await;
    assert_eq!(left, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_says_which_snapshot_the_summary_was_made_from() {
    let world = World::new().await;
    let fake = serve(Scenario::given(everyone())).await;
    run(&world, &fake, DAY, &[]).code(0);
    let path = world.path("output").join(format!("{}.json", summaries(&world, DAY)[0].0));
    let sidecar: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a sidecar")).expect("JSON");
    let source = &sidecar["sources"][0];
    assert_eq!(source["relation"], "metronome.current_snapshots");
    assert_eq!(source["rows"][0]["customers"], 7);
    assert_eq!(source["rows"][0]["run_id"], sidecar["run"]["id"]);
    assert_eq!(source["rows"][0]["base_url"], super::url(&fake));
    assert_eq!(sidecar["file"]["rows"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_customers_are_there_when_that_is_said() {
    let world = World::new().await;
    let archived = Customer::new("c-9", "Archived").with("archived_at", json!("2025-05-01T00:00:00Z"));
    let customers = vec![Customer::new("c-1", "Active"), Customer { is_archived: true, ..archived }];
    let fake = serve(Scenario { page: 1, ..Scenario::given(customers) }).await;
    run(&world, &fake, DAY, &[]).code(0);
    assert!(!summary(&world, DAY).contains("Archived"));
    let mut command = super::command(&world, &fake, &["run-job", "metronome-summary", "--date", "2026-02-04"]);
    command.env("BURSAR__METRONOME__INCLUDE_ARCHIVED", "true");
    assert!(command.status().expect("start bursar").success());
    assert!(summary(&world, "2026-02-04").contains("c-9,Archived,0,0,No credit ledger,,0,0,,,,,,archived"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_own_net_balance_takes_the_ledgers_place_when_that_is_said() {
    let world = World::new().await;
    let with_net = Customer { net: "1234.5678".to_owned(), ..Customer::new("c-1", "On contracts") };
    let customers = vec![with_net.invoiced(0, "FINALIZED", EUROPE, "3")];
    let fake = serve(Scenario::given(customers)).await;
    let mut command = super::command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY]);
    command.env("BURSAR__METRONOME__BALANCE_SOURCE", "net_balance");
    assert!(command.status().expect("start bursar").success());
    let written = summary(&world, DAY);
    let lines: Vec<&str> = written.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "c-1,On contracts,3,0,,Credits (Europe),0,1,2024-02-01,3,,,,",
            "c-1,On contracts,0.00,12.345678,,USD (cents),0.00,0,,,,,,",
        ]
    );
    assert_eq!(fake.answered_at("listEntries"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_invoice_or_customer_on_two_pages_the_newer_state_counts() {
    // The vendor's pages hold 100 items: the same invoice first as a draft, then finalized on the next page or on its own.
    let same_id =
        |text: &str| text.replace("invoice-0-DRAFT", "invoice-0").replace("invoice-200-FINALIZED", "invoice-0");
    let invoiced = |id: &str, between: usize| {
        let first = Customer::new(id, id).invoiced(0, "DRAFT", USD_CENTS, "100");
        let filled = (1..=between).fold(first, |customer, month| customer.invoiced(month, "VOID", USD_CENTS, "1"));
        filled.invoiced(200, "FINALIZED", USD_CENTS, "150").altered(same_id)
    };
    let renamed = Customer::new("c-3", "Old name").with("name", "New name".into());
    let customers = vec![
        invoiced("c-1", 0),
        invoiced("c-2", 120),
        renamed.with("updated_at", "2024-02-02T00:00:00+00:00".into()),
        Customer::new("c-3", "Old name"),
    ];
    let world = World::new().await;
    let fake = serve(Scenario::given(customers)).await;
    run(&world, &fake, DAY, &[]).code(0);
    let written = summary(&world, DAY);
    for line in ["c-1,c-1,1.50,", "c-2,c-2,1.50,", "c-3,New name,"] {
        assert!(written.contains(line), "{line}: {written}");
    }
}
