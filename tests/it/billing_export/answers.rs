//! What the reports answer: of the vendor's own sample what is known of it, and of ours what it was made with.

use super::{ask, deliver_sample_with, lines, load, real, sample};
use crate::support::World;
use std::fmt::Write;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(bursar_real_data), ignore = "needs the real files: set BURSAR_REAL_DATA")]
async fn the_known_answers_of_the_real_export() {
    let world = real().await;
    let images = lines(&world, "images_by_size", &["from=2024-03-10", "to=2024-03-25"]);
    assert_eq!(images, ["256x256,1411", "512x512,1308", "1024x1024,1328"]);

    let invoice = lines(&world, "invoice_lines", &["customer=A1 Company", "month=2024-03"]);
    assert_eq!(invoice.len(), 20);
    let id = "c5aa6605-348a-461a-a615-87220a4c620b,A1 Company";
    assert!(invoice.iter().all(|line| line.starts_with(id)), "{invoice:#?}");
    assert!(invoice.contains(&format!("{id},CPU Hours,CPU hours (m5.12xlarge),2937,25,73425,USD (cents)")));
    assert!(
        invoice.contains(&format!("{id},Storage,Storage GB-Hours (us-east-2),1011415.5,0.11,111255.705,USD (cents)"))
    );
    let by_id = lines(&world, "invoice_lines", &["customer=9CA4743F-5c9e-46e3-a2db-1d484405d5ad", "month=2024-03"]);
    assert_eq!(by_id, invoice);
    let stub = lines(&world, "invoice_lines", &["customer=A1 Company", "month=2024-02"]);
    assert!(!stub.is_empty() && stub.iter().all(|line| line.starts_with("f3094297")), "{stub:#?}");

    let plans = ["Free Plan,1,1,295411.62,USD (cents)", "Infra SaaS Paygo,1,1,810127.205,USD (cents)"];
    assert_eq!(lines(&world, "billings_by_plan", &["month=2024-03"]), plans);
    let products = [
        "CPU Hours,1,1,222215.3,USD (cents)",
        "Fine tuning,1,1,32868.72,USD (cents)",
        "Images modeled,1,1,227669,USD (cents)",
        "Language models,1,1,34873.9,USD (cents)",
        "Storage,1,1,587911.905,USD (cents)",
    ];
    assert_eq!(lines(&world, "revenue_by_product", &["month=2024-03"]), products);
    assert!(lines(&world, "invoices_off", &[]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(bursar_real_data), ignore = "needs the real files: set BURSAR_REAL_DATA")]
async fn all_that_the_real_invoices_of_march_charge_for_is_what_their_events_add_up_to() {
    let world = real().await;
    let found = lines(&world, "billing_reconciliation", &["month=2024-03"]);
    let count = |finding: &str| found.iter().filter(|line| line.starts_with(finding)).count();
    let of_invoices = ["A1 Company", "B1 Company"].map(|customer| {
        found.iter().filter(|line| line.contains(customer) && !line.starts_with("not invoiced")).count()
    });
    assert_eq!((count("agrees"), count("differs"), count("not metered"), count("no meter")), (31, 0, 0, 0));
    assert_eq!(of_invoices.iter().sum::<usize>(), 31);
    let day = "A1 Company,CPU hours (m5.12xlarge),2024-03-01,2024-03-31,2937,2937,0";
    assert!(found.contains(&format!("agrees,{day}")), "{found:#?}");
    // So is what the one-day invoices before charge for.
    let stubs = lines(&world, "billing_reconciliation", &["month=2024-02"]);
    let count = |finding: &str| stubs.iter().filter(|line| line.starts_with(finding)).count();
    assert_eq!((count("agrees"), count("agrees") + count("not invoiced")), (20, stubs.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_answers_what_it_was_made_with() {
    let world = sample().await;
    let month = ["month=2026-01"];
    let reports: [(&str, &[&str]); 9] = [
        ("images_by_size", &["from=2026-01-10", "to=2026-01-25"]),
        ("invoice_lines", &["customer=Northpier Studio", "month=2026-01"]),
        ("billings_by_plan", &month),
        ("revenue_by_product", &month),
        ("revenue_by_customer", &month),
        ("billing_change", &month),
        ("billing_reconciliation", &month),
        ("invoices_off", &[]),
        ("usage_by_day", &["from=2026-01-17", "to=2026-01-17"]),
    ];
    let mut answers = String::new();
    for (report, parameters) in reports {
        let answer = ask(&world, report, parameters).code(0).stdout;
        let _ = write!(answers, "{report} {}\n{answer}\n", parameters.join(" "));
    }
    insta::assert_snapshot!("billing_export_sample", answers);
}

/// The sum of a sample's images over all days, told by the events themselves.
const BY_HAND: &str = "select string_agg(size || ' ' || images, ', ' order by length(size)) from (
    select replace(properties ->> 'image_size', '×', 'x') as size, sum((properties ->> 'num_images')::int) as images
      from billing_events where event_type = 'image_modeler' group by 1) as by_size";

async fn images(world: &World) -> (String, String) {
    let all = lines(world, "images_by_size", &["from=0001-01-01", "to=9999-12-31"]);
    (all.join(", ").replace("256,", "256 ").replace("1024,", "1024 "), world.scalar(BY_HAND).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_days_count_to_their_last_microsecond() {
    let world = World::new().await;
    let events = |rows: &[&str]| {
        let row = |(i, at): (usize, &&str)| {
            format!("t{i},harbour,{at} UTC,image_modeler,\"{{num_images=1, image_size=8x8}}\",\r\n")
        };
        let rows: String = rows.iter().enumerate().map(row).collect();
        format!("transaction_id,customer_id,timestamp,event_type,properties,environment_type\r\n{rows}")
    };
    let at = [
        "2026-01-09 23:59:59.999999",
        "2026-01-10 00:00:00.000000",
        "2026-01-11 23:59:59.999999",
        "2026-01-12 00:00:00",
    ];
    deliver_sample_with(&world, "events", |_| events(&at));
    load(&world, "2026-02-02");
    assert_eq!(lines(&world, "images_by_size", &["from=2026-01-10", "to=2026-01-11"]), ["8x8,2"]);
    assert!(lines(&world, "images_by_size", &["from=2026-01-11", "to=2026-01-10"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_never_comes_from_sums_of_other_events() {
    let world = sample().await;
    let (told, by_hand) = images(&world).await;
    assert_eq!(told, by_hand);
    // Another day's events are published, and the check does not get to run.
    deliver_sample_with(&world, "events", |text| text.replace("num_images=3", "num_images=4000"));
    std::fs::remove_file(world.path("inbox/billing_export/plan.csv")).expect("remove it");
    world.bursar(&["run-job", "billing-export", "--date", "2026-02-03"]).code(65);
    let (told, now_by_hand) = images(&world).await;
    assert_eq!(told, now_by_hand);
    assert_ne!(told, by_hand);
    // What is summed up later answers the same.
    deliver_sample_with(&world, "events", |text| text.replace("num_images=3", "num_images=4000"));
    load(&world, "2026-02-03");
    assert_eq!(images(&world).await, (told.clone(), told));
    world.sql("update billing_export.meters set quantity_key = 'image_size' where metric = 'Images'").await;
    assert_ne!(images(&world).await.0, now_by_hand, "sums by other meters are old");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_differ_are_not_added_up_and_void_invoices_do_not_count() {
    let world = World::new().await;
    let other = |text: String| {
        let last =
            text.lines().find(|line| line.contains("FINALIZED") && line.contains("2026-01-01 0:00:00,2026-02-01"));
        let line = last.expect("an invoice of January");
        let (id, rest) = line.split_at(36);
        let other = rest.replace("USD (cents)", "credits").replace(&credit_type(line), &id.replace(&id[..4], "0000"));
        format!("{text}{}{other}\r\n", id.replace(&id[..8], "00000000"))
    };
    deliver_sample_with(&world, "invoice", other);
    load(&world, "2026-02-02");
    let plans = lines(&world, "billings_by_plan", &["month=2026-01"]);
    assert_eq!(
        plans.iter().filter(|line| line.starts_with("Metered") && line.ends_with("credits")).count(),
        1,
        "{plans:#?}"
    );
    assert_eq!(plans.len(), 3, "{plans:#?}");
    assert_eq!(lines(&world, "revenue_by_customer", &["month=2026-01"]).len(), 4);
}

fn credit_type(line: &str) -> String {
    line.split(',').nth(3).expect("a credit type").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_lacks_something_is_told_what() {
    let world = sample().await;
    for (report, parameters, said) in [
        (
            "images_by_size",
            &["from=2026-01-10"][..],
            "to is missing, a date as YYYY-MM-DD: the last day (UTC), which counts too",
        ),
        ("billings_by_plan", &["month=2026-13"], "month is \"2026-13\", expected a month as YYYY-MM"),
        ("invoice_lines", &["customer=x", "month=2026-01", "plan=y"], "has no parameter \"plan\""),
        ("invoice_lines", &["customer=nobody", "month=2026-01"], "there is no customer \"nobody\""),
    ] {
        let ran = ask(&world, report, parameters).code(64);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}
