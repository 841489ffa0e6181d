//! Who a row is about: customers, their numbers and their contacts.

use super::{HEADER, counts, deliver, load};
use crate::support::World;

fn of(name: &str, number: &str, contact: &str) -> String {
    format!("{name},{number},1/5/25,,10,0,Pending,USD,{contact},Net 30,")
}

#[tokio::test(flavor = "multi_thread")]
async fn spellings_that_differ_in_case_blanks_or_composition_only_are_one_customer() {
    let world = World::new().await;
    let names = [
        "Café Lumière",
        "CAFÉ LUMIÈRE",
        "  café   lumière ",
        "Cafe\u{301} Lumie\u{300}re",
        "Café\u{a0}Lumière\u{a0}",
        "Cafe Lumiere",
        "O'Neill & Sons",
    ];
    let rows: Vec<String> = names.iter().enumerate().map(|(i, name)| of(name, &format!("N{i}"), ",,")).collect();
    deliver(&world, &rows.iter().map(String::as_str).collect::<Vec<_>>());
    load(&world, "2025-03-01");
    assert_eq!(
        world.column("select name || ' ' || (select count(*) from receivables.invoices where customer_id = c.id) from receivables.customers as c order by id").await,
        ["Café Lumière 5", "Cafe Lumiere 1", "O'Neill & Sons 1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_keep_their_ids_whatever_stands_before_them() {
    let world = World::new().await;
    deliver(&world, &[&of("Beta", "1", ",,"), &of("Alpha", "2", ",,")]);
    load(&world, "2025-03-01");
    let ids = "select name || ' ' || id from receivables.customers where name in ('Alpha', 'Beta') order by 1";
    let before = world.column(ids).await;
    deliver(&world, &[&of("Aaron", "0", ",,"), &of("alpha", "2", ",,"), &of("Beta", "1", ",,")]);
    assert_eq!(counts(&load(&world, "2025-03-02")), [1, 0, 2]);
    assert_eq!(world.column(ids).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_contact_that_is_not_blank_is_the_customers_and_all_are_kept() {
    let world = World::new().await;
    deliver(
        &world,
        &[
            &of("Acme", "1", ",,"),
            &of("Acme", "2", ",555-1,ann@acme.example").replace("1/5/25", "1/6/25"),
            &of("Acme", "3", "Bob,555-2,bob@acme.example").replace("1/5/25", "2/7/25"),
        ],
    );
    load(&world, "2025-03-01");
    let main =
        "select coalesce(contact_name, '-') || ' ' || contact_phone || ' ' || contact_email from receivables.customers";
    assert_eq!(world.column(main).await, ["- 555-1 ann@acme.example"]);
    let all = "select contact_email || ' ' || last_seen_invoice_date from receivables.contacts order by 1";
    assert_eq!(world.column(all).await, ["ann@acme.example 2025-01-06", "bob@acme.example 2025-02-07"]);
    // A file that names none says nothing of it; one that names another says so.
    deliver(&world, &[&of("Acme", "1", ",,")]);
    load(&world, "2025-03-02");
    assert_eq!(world.column(main).await, ["- 555-1 ann@acme.example"]);
    deliver(&world, &[&of("Acme", "1", "Cleo,555-3,cleo@acme.example")]);
    load(&world, "2025-03-03");
    assert_eq!(world.column(main).await, ["Cleo 555-3 cleo@acme.example"]);
    assert_eq!(world.column(all).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_feed_is_read_in_any_order_and_an_older_one_says_nothing_of_numbers() {
    let world = World::new().await;
    world.write(
        "inbox/receivables/feed.csv",
        "region,parent customer,customer number,InvoiceNumber,CustomerName,InvoiceDate,BillTotal,Applied,Status,Currency,\
         ContactName,ContactPhone,ContactEmail,CustomerTerms,DueDate,CustomerPoNumber\n\
         west,C1,C2,A1,Child,1/5/25,1,0,Pending,USD,,,,Net 7,,\n\
         west,,C1,B1,Parent,1/5/25,1,0,Pending,USD,,,,Net 7,,\n",
    );
    let loaded = load(&world, "2025-03-01");
    assert_eq!(counts(&loaded), [2, 0, 0], "{loaded}");
    let numbers = "select name || ' ' || coalesce(customer_number, '-') || ' ' || coalesce(parent_number, '-') from receivables.customers order by 1";
    assert_eq!(world.column(numbers).await, ["Child C2 C1", "Parent C1 -"]);
    let row = "Child,A1,1/5/25,,1,0,Pending,USD,,,,Net 7,";
    world.write("inbox/receivables/feed.csv", format!("{HEADER}\n{row}\n"));
    assert_eq!(counts(&load(&world, "2025-03-02")), [0, 0, 1]);
    assert_eq!(world.column(numbers).await, ["Child C2 C1", "Parent C1 -"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_bad_cell_is_a_reject_and_sql_in_a_cell_is_text() {
    let world = World::new().await;
    world.edit("datasets/receivables_invoice.toml", |text| {
        text.replace("max_reject_percent = 50", "max_reject_percent = 100")
    });
    let long = "x".repeat(10_000);
    let bad = [
        format!("{long},L1,1/5/25,,1,0,Pending,USD,,,,Net 7,"),
        format!("Acme,{long},1/5/25,,1,0,Pending,USD,,,,Net 7,"),
        ",N1,1/5/25,,1,0,Pending,USD,,,,Net 7,".to_owned(),
        "   ,N2,1/5/25,,1,0,Pending,USD,,,,Net 7,".to_owned(),
        "Acme,,1/5/25,,1,0,Pending,USD,,,,Net 7,".to_owned(),
        "Acme,N3,13/5/25,,1,0,Pending,USD,,,,Net 7,".to_owned(),
        "Acme,N4,2025-01-05,,1,0,Pending,USD,,,,Net 7,".to_owned(),
        "Acme,N5,1/5/25,,1e3,0,Pending,USD,,,,Net 7,".to_owned(),
        "Acme,N6,1/5/25,,1.005,0,Pending,USD,,,,Net 7,".to_owned(),
        "Acme,N7,1/5/25,,1,-0.01,Pending,USD,,,,Net 7,".to_owned(),
        "Acme,N8,1/5/25,,1,0,pending,USD,,,,Net 7,".to_owned(),
        "Acme,N9,1/5/25,,1,0,Pending,US,,,,Net 7,".to_owned(),
        "Acme,N10,1/5/25,,1,0,Pending,USD,,,,Net 99999,".to_owned(),
        "Acme,N11,1/5/25,,1,0,Pending,USD,,,,Net 7,2/30/25 00:00".to_owned(),
        "Acme,N12,1/5/25,,1,0,Pending,USD".to_owned(),
    ];
    let good = "\"'; drop table receivables.invoices; --\",=cmd|' /C calc'!A0,1/5/25,,1,0,Pending,USD,,,,Net 7,";
    let rows: Vec<&str> = bad.iter().map(String::as_str).chain([good]).collect();
    deliver(&world, &rows);
    let loaded = load(&world, "2025-03-01");
    assert_eq!((counts(&loaded), loaded["certificate"]["rejected"].as_i64()), ([1, 0, 0], Some(15)), "{loaded}");
    assert_eq!(
        world.column("select name || ' ' || invoice_number from receivables.invoices join receivables.customers as c on c.id = customer_id").await,
        ["'; drop table receivables.invoices; -- =cmd|' /C calc'!A0"]
    );
}
