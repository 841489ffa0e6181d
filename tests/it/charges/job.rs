//! The job `invoice-charges`: the backlog of the table, with the same code, and its report.

use super::*;
use crate::support::Ran;

/// A charge of the table; `change` is SQL that spoils it.
async fn charge(world: &World, n: u32, change: &str) -> String {
    let id = format!("10000000-0000-4000-8000-{n:012}");
    let uuid = |kind: &str| format!("{kind}0000000-0000-4000-8000-{n:012}");
    let statements = format!(
        "insert into uac.uac_customer values ('{c}', 'rutter-customer-{n}', 'USD', null);
         insert into uac.customer values ('{s}', 'Acme', null, '{c}');
         insert into uac.uac_item values ('{t}', 'rutter-item-{n}');
         insert into uac.product values ('{p}', '{t}');
         insert into uac.uac_invoice values ('{id}', null, 'INV-{n}', '2025-06-01Z', '2025-07-01Z', 'USD', 150, 30, '{s}');
         insert into uac.uac_line_item values ('{l}', '{id}', 'Seats', 3, 50.0000000000000000001, 150.00, false, '{p}');
         {change}",
        c = uuid("2"),
        s = uuid("3"),
        t = uuid("4"),
        p = uuid("5"),
        l = uuid("6"),
    );
    world.sql(&statements.replace("{id}", &id).replace("{s}", &uuid("3"))).await;
    id
}

fn from_the_table(world: &World, fake: &Fake, arguments: &[&str]) -> Command {
    let mut command = command(world, fake, arguments);
    command.env_remove("STREAMOS_BASE_URL").env("BURSAR__CHARGES__SOURCE", "table").env("BURSAR__CHARGES__BATCH", "2");
    command
}

fn run(world: &World, fake: &Fake, date: &str) -> Ran {
    let arguments = ["run-job", "invoice-charges", "--date", date, "--force"];
    let run = from_the_table(world, fake, &arguments).env("BURSAR__CHARGES__WAIT_S", "5").output();
    Ran::of(run.expect("start bursar"))
}

fn report(world: &World, date: &str) -> Vec<String> {
    let path = world.path(&format!("output/charges_{}.csv", date.replace('-', "")));
    let text = std::fs::read_to_string(path).expect("the report");
    text.lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_charge_of_the_table_gets_its_invoice_or_its_reason() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    world.bursar(&["migrate"]).code(0);
    let mut good = Vec::new();
    for n in 1..=5 {
        good.push(charge(&world, n, "").await);
    }
    charge(&world, 6, "update uac.customer set uac_customer_id = null where customer_id = '{s}';").await;
    charge(&world, 7, "update uac.uac_line_item set suppress_line_item = null where uac_invoice_id = '{id}';").await;
    charge(&world, 8, "update uac.uac_invoice set document_number = 'INV-1' where id = '{id}';").await;
    let failing = charge(&world, 9, "").await;
    let stuck = charge(&world, 10, "").await;
    fake.change(|scenario| {
        scenario.plan_of.insert("INV-9".to_owned(), [Happening::FailAccepted(450)].into());
        scenario.plan_of.insert("INV-10".to_owned(), [Happening::Conflict].into());
    });
    // Of one only an operator can tell whether it has an invoice: the run says so until he has looked.
    let waits = "it is not known of 1 charges whether they have an invoice";
    let said = run(&world, &fake, "2026-02-03").code(65);
    assert!((said.stdout.clone() + &said.stderr).contains(waits), "{}\n{}", said.stdout, said.stderr);
    let lines = report(&world, "2026-02-03");
    let results: Vec<String> =
        lines.iter().map(|line| line.split(',').skip(1).take(3).collect::<Vec<_>>().join(",")).collect();
    let expected = [
        "INV-10,uncertain,",
        "INV-9,failed,INVALID_REQUEST",
        ",refused,UNRECONCILED_CUSTOMER",
        ",refused,NO_LINE_ITEMS",
        ",refused,DUPLICATE_DOCUMENT_NUMBER",
        "INV-1,created,",
        "INV-2,created,",
        "INV-3,created,",
        "INV-4,created,",
        "INV-5,created,",
    ];
    assert_eq!(results, expected, "{lines:#?}");
    for id in &good {
        let rows = format!("select count(*) from charges.acc_uac_invoice where pricer_invoice_id = '{id}'");
        assert_eq!(world.scalar::<i64>(&rows).await, 1);
    }
    let unit = "select distinct unit_amount::text from charges.acc_uac_invoice_line";
    assert_eq!(world.column(unit).await, ["50.0000000000000000001"]);
    // The list has what needs somebody first; what was refused has no row in the outbox.
    let listed = world.bursar(&["charges", "list", "--json"]).code(0).json();
    let listed = listed.as_array().expect("a list");
    let brief = |charge: &Value| ["document_number", "state", "amount", "currency_code"].map(|key| charge[key].clone());
    assert_eq!(listed.len(), 7);
    assert_eq!(brief(&listed[0]), ["INV-10", "uncertain", "150.00", "USD"]);
    assert_eq!(brief(&listed[1]), ["INV-9", "failed", "150.00", "USD"]);
    assert_eq!((&listed[0]["needs_operator"], &listed[2]["state"]), (&true.into(), &"succeeded".into()));
    for (filter, count) in [
        (&["--state", "succeeded", "--limit", "3"][..], 3),
        (&["--needs-operator"], 1),
        (&["--customer", "nobody"], 0),
        (&["--to", "2020-01-01"], 0),
        (&["--from", "2020-01-01"], 7),
    ] {
        let found = world.bursar(&[&["charges", "list", "--json"][..], filter].concat()).code(0).json();
        assert_eq!(found.as_array().map(Vec::len), Some(count), "{filter:?}");
    }
    let table = world.bursar(&["charges", "list"]).code(0).stdout;
    assert!(table.contains("uncertain, needs an operator"), "{table}");
    // Running it again is the same as once; what was mended is taken up.
    world.sql("update uac.customer set uac_customer_id = (select id::text from uac.uac_customer limit 1)").await;
    let asked = fake.asked();
    run(&world, &fake, "2026-02-04").code(65);
    assert_eq!((fake.asked(), fake.invoices()), (asked + 1, 6));
    let lines = report(&world, "2026-02-04");
    let of = |id: &str| lines.iter().any(|line| line.starts_with(id));
    assert!(of(&stuck) && !of(&failing) && !of(&good[0]), "what is settled is no news: {lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_gone_on_with_and_mail_is_tried_again() {
    let scenario = Scenario { plan: [Happening::CutAfter].into(), mail: [500].into(), ..Scenario::default() };
    let (world, fake) = (World::new().await, serve(scenario).await);
    world.bursar(&["migrate"]).code(0);
    let id = charge(&world, 1, "").await;
    let mailed = |date: &str| {
        let arguments = ["run-job", "invoice-charges", "--date", date];
        let mut command = from_the_table(&world, &fake, &arguments);
        command
            .env("BURSAR__CHARGES__WAIT_S", "0")
            .env("BURSAR__CHARGES__MAIL__VIA", "http")
            .env("BURSAR__CHARGES__MAIL__BY_DEFAULT", "true")
            .env("EMAIL_SERVICE_URL", fake.mail_url())
            .env("RECIPIENT_EMAIL", "billing@example.com");
        Ran::of(command.output().expect("start bursar")).code(0)
    };
    mailed("2026-02-03");
    assert!(report(&world, "2026-02-03")[0].contains(",uncertain,"));
    world.sql("update charges.outbox set next_at = now()").await;
    mailed("2026-02-04");
    assert!(report(&world, "2026-02-04")[0].contains(",created,"), "{:?}", report(&world, "2026-02-04"));
    assert!(report(&world, "2026-02-04")[0].ends_with(",FAILED_TO_SEND"));
    world.sql("update charges.mails set next_at = now()").await;
    mailed("2026-02-05");
    assert!(report(&world, "2026-02-05")[0].ends_with(",SENT"));
    assert_eq!((fake.invoices(), fake.mails().len()), (1, 1));
    drop(id);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_the_job_says_which_are_missing_and_does_nothing() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    world.bursar(&["migrate"]).code(0);
    charge(&world, 1, "").await;
    let mut command = from_the_table(&world, &fake, &["run-job", "invoice-charges", "--date", "2026-02-03"]);
    let run = Ran::of(command.env_remove("RUTTER_CLIENT_SECRET").output().expect("start bursar")).code(78);
    assert!((run.stdout.clone() + &run.stderr).contains("RUTTER_CLIENT_SECRET"), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(world.scalar::<i64>("select count(*) from charges.outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_schema_can_hold_the_tables() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    world.bursar(&["migrate"]).code(0);
    let id = charge(&world, 1, "").await;
    world.sql("alter schema uac rename to theirs").await;
    let mut command = from_the_table(&world, &fake, &["serve"]);
    let daemon = Daemon::of(command.env("BURSAR__CHARGES__TABLE_SCHEMA", "theirs")).await;
    daemon.post(&id).await.status(201);
    assert_eq!(fake.invoices_of("INV-1"), 1);
    assert_eq!(daemon.post(&new_charge()).await.refusal(), (404, "NOT_FOUND"));
}
