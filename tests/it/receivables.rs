//! Invoice files: what becomes of customers and invoices from load to load.

mod history;
mod names;

use crate::support::{World, real_data};
use serde_json::Value;

/// The header of the feed as it was first, and of its newer version.
pub const HEADER: &str = "CustomerName,InvoiceNumber,InvoiceDate,CustomerPoNumber,BillTotal,Applied,Status,Currency,\
                          ContactName,ContactPhone,ContactEmail,CustomerTerms,DueDate";

/// Delivers a file of these rows in the place of the one before.
pub fn deliver(world: &World, rows: &[&str]) {
    let lines = [&[HEADER], rows].concat();
    world.write("inbox/receivables/feed.csv", lines.join("\r\n") + "\r\n");
}

/// Loads what was delivered, for a date; returns what the load came to.
pub fn load(world: &World, date: &str) -> Value {
    let run = world.bursar(&["run-job", "receivables", "--date", date, "--json"]).code(0).json();
    run["tasks"][0]["outcome"].clone()
}

/// Inserted, updated, unchanged.
pub fn counts(outcome: &Value) -> [i64; 3] {
    ["inserted", "updated", "unchanged"].map(|key| outcome["publication"][key].as_i64().expect(key))
}

/// An invoice of nobody special: its number, total, applied and status.
pub fn row(number: &str, total: &str, applied: &str, status: &str) -> String {
    format!("Acme,{number},1/5/25,PO-1,{total},{applied},{status},USD,Ann,555,ann@acme.example,Net 30,2/4/25 00:00")
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(bursar_real_data), ignore = "needs the real files: set BURSAR_REAL_DATA")]
async fn the_real_file_comes_to_its_golden_numbers_and_a_second_time_to_nothing() {
    let file = real_data().expect("BURSAR_REAL_DATA").join("invoices/unicorn_inc.csv");
    let world = World::new().await;
    world.write("inbox/receivables/unicorn_inc.csv", std::fs::read(file).expect("the real file"));
    let first = load(&world, "2025-03-01");
    assert_eq!((counts(&first), first["certificate"]["rejected"].as_i64()), ([3107, 0, 0], Some(0)));
    let all = "select string_agg(t, ' ') from (
        select count(*) || ' customers' as t from receivables.customers
        union all select status || ' ' || count(*) from receivables.invoices group by status
        union all select currency || ' ' || count(*) from receivables.invoices group by currency
        union all select count(*) || ' by terms' from receivables.invoices where due_date = invoice_date + terms_days
        union all select count(*) || ' past due ' || sum(outstanding) from receivables.invoices
                   where outstanding > 0 and due_date < '2025-03-01'
        order by 1) as all_of";
    let golden: String = world.scalar(all).await;
    assert!(golden.contains("135 customers"), "{golden}");
    assert!(golden.contains("Closed 2400") && golden.contains("Pending 707"), "{golden}");
    assert!(golden.contains("USD 3083") && golden.contains("CAD 24"), "{golden}");
    assert!(golden.contains("28 past due 39442.94"), "{golden}");
    for date in ["2025-03-01", "2025-03-02"] {
        assert_eq!(counts(&load(&world, date)), [0, 0, 3107], "{date}");
    }
    assert_eq!(world.scalar::<String>(all).await, golden);
    assert_eq!(world.scalar::<i64>("select count(*) from receivables.invoice_history").await, 0);
    assert_eq!(world.scalar::<i64>("select count(*) from receivables.invoices where load_id <> 1").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_sample_loads_and_its_bad_rows_are_kept_with_their_reasons() {
    let world = World::new().await;
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/data/receivables/harbour_invoices.csv");
    world.write("inbox/receivables/harbour_invoices.csv", std::fs::read(sample).expect("the sample"));
    let loaded = load(&world, "2026-02-02");
    assert_eq!((counts(&loaded), loaded["certificate"]["rejected"].as_i64()), ([117, 0, 0], Some(3)));
    let reasons = "select string_agg(e ->> 'column', ' ' order by line, e ->> 'column')
                     from bursar.file_invalid_rows, jsonb_array_elements(errors) as e";
    assert_eq!(world.scalar::<String>(reasons).await, "invoice_date status currency due_date");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_file_changes_just_the_invoices_that_differ() {
    let world = World::new().await;
    let (a, b, c) = (row("A1", "10", "0", "Pending"), row("B1", "20.5", "", "Pending"), row("C1", "5", "5", "Closed"));
    deliver(&world, &[&a, &b, &c]);
    assert_eq!(counts(&load(&world, "2025-03-01")), [3, 0, 0]);
    let paid = row("B1", "20.5", "20.5", "Closed");
    deliver(&world, &[&c, &paid, &a]);
    assert_eq!(counts(&load(&world, "2025-03-01")), [0, 1, 2]);
    let of = "select string_agg(invoice_number || ' ' || outstanding || ' ' || load_id, ', ' order by invoice_number)
                from receivables.invoices";
    assert_eq!(world.scalar::<String>(of).await, "A1 10.00 1, B1 0.00 2, C1 0.00 1");
    let was =
        "select invoice_number || ' ' || outstanding || ' ' || status || ' by ' || load_id || ' until ' || replaced_by
                 from receivables.invoice_history";
    assert_eq!(world.column(was).await, ["B1 20.50 Pending by 1 until 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_note_is_a_kind_of_its_own_of_which_nothing_is_outstanding() {
    let world = World::new().await;
    let (invoice, whole) = (row("A1", "10", "4", "Pending"), row("N1", "-7.50", "0", "Pending"));
    let (used, beyond) = (row("N2", "-7.50", "-2", "Pending"), row("N3", "-1", "-3", "Closed"));
    let (other, wrong) = (row("X1", "-5", "5", "Closed"), row("X2", "5", "-5", "Closed"));
    deliver(&world, &[&invoice, &whole, &used, &beyond, &other, &wrong]);
    let loaded = load(&world, "2025-03-01");
    assert_eq!((counts(&loaded), loaded["certificate"]["rejected"].as_i64()), ([4, 0, 0], Some(2)));
    let reasons = "select distinct e ->> 'code' from bursar.file_invalid_rows, jsonb_array_elements(errors) as e";
    assert_eq!(world.column(reasons).await, ["other_sign"]);
    let all =
        "select concat_ws(' ', invoice_number, kind, outstanding, open_credit) from receivables.invoices order by 1";
    let expected =
        ["A1 invoice 6.00 0.00", "N1 credit_note 0.00 7.50", "N2 credit_note 0.00 5.50", "N3 credit_note 0.00 0.00"];
    assert_eq!(world.column(all).await, expected);
    let sums =
        "select concat_ws(' ', invoices, bill_total, credit_notes, credit_total) from receivables.billed_by_month";
    assert_eq!(world.column(sums).await, ["1 10.00 3 -16.00"]);
    // What was a credit note can become an invoice.
    deliver(&world, &[&invoice, &row("N1", "7.50", "0", "Pending"), &used, &beyond]);
    assert_eq!(counts(&load(&world, "2025-03-02")), [0, 1, 3]);
    let was = "select concat_ws(' ', invoice_number, kind, bill_total, open_credit) from receivables.invoice_history";
    assert_eq!(world.column(was).await, ["N1 credit_note -7.50 7.50"]);
    assert_eq!(world.column(sums).await, ["2 17.50 2 -8.50"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_is_not_in_the_latest_file_stays_and_is_said_to_be_missing_until_it_is_back() {
    let world = World::new().await;
    let (a, b) = (row("A1", "10", "0", "Pending"), row("B1", "20", "0", "Pending"));
    let missing =
        "select invoice_number || ' since ' || missing_since from receivables.invoices where missing_since is not null";
    deliver(&world, &[&a, &b]);
    load(&world, "2025-03-01");
    deliver(&world, &[&a]);
    assert_eq!(counts(&load(&world, "2025-03-02")), [0, 0, 1]);
    assert_eq!(world.column(missing).await, ["B1 since 2025-03-02"]);
    deliver(&world, &[&row("A1", "11", "0", "Pending")]);
    assert_eq!(counts(&load(&world, "2025-03-03")), [0, 1, 0]);
    assert_eq!(world.column(missing).await, ["B1 since 2025-03-02"]);
    deliver(&world, &[&b, &a]);
    assert_eq!(counts(&load(&world, "2025-03-04")), [0, 1, 1]);
    assert!(world.column(missing).await.is_empty());
    assert_eq!(world.scalar::<i64>("select count(*) from receivables.invoices").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_whose_row_was_rejected_is_not_missing() {
    let world = World::new().await;
    deliver(
        &world,
        &[&row("A1", "10", "0", "Pending"), &row("B1", "20", "0", "Pending"), &row("C1", "1", "0", "Pending")],
    );
    load(&world, "2025-03-01");
    deliver(&world, &[&row("A1", "10", "0", "Pending"), &row(" B1 ", "2x", "0", "Pending")]);
    assert_eq!(load(&world, "2025-03-02")["certificate"]["rejected"], 1);
    assert_eq!(
        world.column("select invoice_number from receivables.invoices where missing_since is not null").await,
        ["C1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_date_follows_from_the_terms_only_where_the_file_leaves_it_blank() {
    let world = World::new().await;
    let with =
        |number: &str, terms: &str, due: &str| format!("Acme,{number},12/20/68,,1,0,Pending,USD,,,,{terms},{due}");
    let (given, blank, both) = (with("A1", "Net 30", "1/1/69 00:00"), with("A2", "Net 15", ""), with("A3", "", ""));
    deliver(&world, &[&given, &blank, &both]);
    let loaded = load(&world, "2025-03-01");
    assert_eq!(loaded["certificate"]["rejected"], 1, "{loaded}");
    let of = "select invoice_number || ' ' || invoice_date || ' ' || due_date || ' ' || terms_days from receivables.invoices order by 1";
    // 68 is in this century, 69 in the last one.
    assert_eq!(world.column(of).await, ["A1 2068-12-20 1969-01-01 30", "A2 2068-12-20 2069-01-04 15"]);
    let why = "select errors -> 0 ->> 'column' from bursar.file_invalid_rows";
    assert_eq!(world.scalar::<String>(why).await, "due_date");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rows_with_one_number_the_last_is_loaded_and_the_earlier_reported() {
    let world = World::new().await;
    let (first, last) = (row("A1", "10", "0", "Pending"), row("A1", "12", "2", "Pending"));
    deliver(&world, &[&first, &row("B1", "1", "0", "Pending"), &last, &row("A1", "x", "0", "Pending")]);
    let loaded = load(&world, "2025-03-01");
    assert_eq!((counts(&loaded), loaded["certificate"]["rejected"].as_i64()), ([2, 0, 0], Some(2)));
    assert_eq!(
        world.column("select invoice_number || ' ' || bill_total from receivables.invoices order by 1").await,
        ["A1 12.00", "B1 1.00"]
    );
    let why = "select line || ' ' || (errors -> 0 ->> 'code') from bursar.file_invalid_rows order by line";
    assert_eq!(world.column(why).await, ["2 duplicate_key", "5 not_a_number"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_is_measured_and_changes_nothing() {
    let world = World::new().await;
    deliver(&world, &[&row("A1", "10", "0", "Pending")]);
    load(&world, "2025-03-02");
    deliver(&world, &[&row("A1", "99", "0", "Pending"), &row("B1", "1", "0", "Pending")]);
    assert_eq!(load(&world, "2025-03-01")["state"], "measured");
    // What was known on which day could not be told any more.
    world.bursar(&["run-job", "receivables", "--date", "2025-03-01", "--publish"]).code(0);
    assert_eq!(
        world.column("select invoice_number || ' ' || bill_total from receivables.invoices").await,
        ["A1 10.00"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_file_changes_nothing_until_it_is_accepted() {
    let world = World::new().await;
    let bad = |number: &str| row(number, "x", "0", "Pending");
    deliver(&world, &[&row("A1", "10", "0", "Pending"), &bad("B1"), &bad("B2")]);
    world.bursar(&["run-job", "receivables", "--date", "2025-03-01"]).code(65);
    assert_eq!(world.scalar::<i64>("select count(*) from receivables.invoices").await, 0);
    world.bursar(&["loads", "accept", "1", "--reason", "two are known to be wrong"]).code(0);
    assert_eq!(
        world.column("select invoice_number || ' ' || load_id || ' ' || known_since from receivables.invoices").await,
        ["A1 1 2025-03-01"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn corrected_rejects_are_merged_and_say_nothing_of_other_invoices() {
    let world = World::new().await;
    deliver(
        &world,
        &[&row("A1", "10", "0", "Pending"), &row("B1", "2x", "0", "Pending"), &row("C1", "5", "5", "Closed")],
    );
    load(&world, "2025-03-01");
    let export = world.bursar(&["rejects", "export", "--load", "1"]).code(0).stdout;
    let corrected = export.replace("2x", "20").replace("Ann,555,ann@acme.example", "Zoe,556,zoe@acme.example");
    let file = world.write("corrected.csv", corrected);
    let redriven =
        world.bursar(&["rejects", "redrive", "--load", "1", "--json", &file.display().to_string()]).code(0).json();
    assert_eq!((&redriven["loaded"], &redriven["open"]), (&1.into(), &0.into()), "{redriven}");
    assert_eq!(
        world.column("select invoice_number || ' ' || bill_total || ' ' || coalesce(missing_since::text, 'there') from receivables.invoices order by 1").await,
        ["A1 10.00 there", "B1 20.00 there", "C1 5.00 there"]
    );
    assert_eq!(world.column("select contact_name from receivables.customers").await, ["Ann"]);
}
