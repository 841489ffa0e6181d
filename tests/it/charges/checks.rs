//! What is no invoice: every path that is wrong, and the codes.

use super::*;
use std::collections::BTreeMap;

/// A charge that is told with these changes.
fn changed(fake: &Fake, spoil: impl FnOnce(&mut Value)) -> String {
    let id = new_charge();
    let mut charge = fake::charge(&id);
    spoil(&mut charge);
    fake.change(|scenario| drop(scenario.charges.insert(id.clone(), charge.to_string())));
    id
}

fn errors(told: &Told) -> BTreeMap<String, String> {
    serde_json::from_value(told.body["errors"].clone()).unwrap_or_default()
}

fn paths(told: &Told) -> Vec<String> {
    errors(told).into_keys().collect()
}

/// A line like the first, with another id.
fn line(charge: &Value, spoil: impl FnOnce(&mut Value)) -> Value {
    let mut line = charge["line_items"][0].clone();
    spoil(&mut line);
    line
}

#[tokio::test]
async fn every_path_that_is_wrong_is_named_at_once() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let charge = changed(&fake, |charge| {
        charge["id"] = json!("10000000-0000-4000-8000-00000000000f");
        charge["issue_date"] = json!("yesterday");
        charge["due_date"] = json!(null);
        charge["currency_code"] = json!(7);
        charge["payment_terms"] = json!("30 days");
        charge["stream_customer"]["customer_id"] = json!({});
        let second = line(charge, |line| {
            line["quantity"] = json!("three");
            line["unit_amount"] = json!(null);
            line["suppress_line_item"] = json!("no");
        });
        charge["line_items"][0]["total_amount"] = json!("1,50");
        charge["line_items"].as_array_mut().expect("lines").extend([second, json!("a line")]);
    });
    let told = daemon.post(&charge).await;
    assert_eq!(told.refusal(), (422, "INVALID_CHARGE"));
    let expected = [
        "currency_code",
        "due_date",
        "id",
        "issue_date",
        "line_items[0].total_amount",
        "line_items[1].quantity",
        "line_items[1].suppress_line_item",
        "line_items[2]",
        "payment_terms",
        "stream_customer.customer_id",
    ];
    assert_eq!(paths(&told), expected, "{:#}", told.body);
    let said = errors(&told);
    assert_eq!(said["due_date"], "is missing");
    assert_eq!(said["line_items[0].total_amount"], "must be a number of up to 28 digits, found \"\\\"1,50\\\"\"");
    let bounds = changed(&fake, |charge| {
        charge["currency_code"] = json!("usd");
        charge["document_number"] = json!("9".repeat(201));
        let second = line(charge, |line| line["description"] = json!("x".repeat(4001)));
        charge["line_items"][0]["suppress_line_item"] = json!(true);
        charge["line_items"].as_array_mut().expect("lines").push(second);
    });
    let told = daemon.post(&bounds).await;
    assert_eq!(paths(&told), ["currency_code", "document_number", "line_items[1].description"]);
    assert_eq!((fake.asked(), world.scalar::<i64>("select count(*) from charges.outbox").await), (0, 0));
}

#[tokio::test]
async fn what_is_not_reconciled_is_refused_with_every_path() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    for (id, why) in [
        (json!(null), "is missing or null"),
        (json!(""), "is empty"),
        (json!("none"), "is no UUID: \"none\""),
        (json!(12), "is no UUID: \"12\""),
    ] {
        let charge = changed(&fake, |charge| {
            charge["stream_customer"]["uac_customer_id"] = id.clone();
            charge["line_items"][0]["product"]["uac_item_id"] = id.clone();
        });
        let told = daemon.post(&charge).await;
        assert_eq!(told.refusal(), (409, "UNRECONCILED_CUSTOMER"));
        let expected = ["line_items[0].product.uac_item_id", "stream_customer.uac_customer_id"];
        assert_eq!(paths(&told), expected);
        assert!(errors(&told).values().all(|said| said == why), "{:#}", told.body);
    }
    // A line that is not sent is checked, too, if it has a product.
    let charge = changed(&fake, |charge| {
        let second = line(charge, |line| {
            line["suppress_line_item"] = json!(true);
            line["product"]["uac_item_id"] = json!(null);
        });
        charge["line_items"].as_array_mut().expect("lines").push(second);
    });
    let told = daemon.post(&charge).await;
    assert_eq!(told.refusal(), (409, "UNRECONCILED_ITEM"));
    assert_eq!(paths(&told), ["line_items[1].product.uac_item_id"]);
    let charge = changed(&fake, |charge| {
        charge["stream_customer"]["uac_customer"] = json!(null);
        charge["line_items"][0]["product"]["uac_item"]["provider_entity_id"] = json!(" ");
    });
    let told = daemon.post(&charge).await;
    let expected =
        ["line_items[0].product.uac_item.provider_entity_id", "stream_customer.uac_customer.provider_entity_id"];
    assert_eq!(paths(&told), expected);
}

#[tokio::test]
async fn only_lines_that_are_exactly_not_suppressed_and_have_a_product_are_sent() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let charge = changed(&fake, |charge| {
        let lines: Vec<Value> = [
            ("kept", json!(false), json!("p")),
            ("suppressed", json!(true), json!("p")),
            ("null is not false", json!(null), json!("p")),
            ("without a product", json!(false), json!(null)),
            ("kept, too", json!(false), json!("p")),
        ]
        .into_iter()
        .map(|(description, suppressed, product)| {
            line(charge, |line| {
                line["description"] = json!(description);
                line["suppress_line_item"] = suppressed;
                line["product_id"] = product;
            })
        })
        .collect();
        charge["line_items"] = json!(lines);
    });
    daemon.post(&charge).await.status(201);
    let request: Value = serde_json::from_str(&fake.request_of(&number(&charge)).expect("a request")).expect("JSON");
    let lines = request["invoice"]["line_items"].as_array().expect("lines").clone();
    let sent: Vec<&str> = lines.iter().filter_map(|line| line["description"].as_str()).collect();
    assert_eq!(sent, ["kept", "kept, too"]);
    let none = changed(&fake, |charge| charge["line_items"][0]["suppress_line_item"] = json!(null));
    assert_eq!(daemon.post(&none).await.refusal(), (422, "NO_LINE_ITEMS"));
    let none = changed(&fake, |charge| charge["line_items"] = json!([]));
    assert_eq!(daemon.post(&none).await.refusal(), (422, "NO_LINE_ITEMS"));
}

#[tokio::test]
async fn each_reason_has_its_code() {
    let (world, fake) = (World::new().await, serve(Scenario { is_strict: true, ..Scenario::default() }).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    assert_eq!(daemon.post(&new_charge()).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(daemon.post("not-a-uuid").await.status, 400);
    for none in [json!(null), json!(""), json!("  ")] {
        let charge = changed(&fake, |charge| charge["document_number"] = none);
        assert_eq!(daemon.post(&charge).await.refusal(), (400, "DOCUMENT_NUMBER_REQUIRED"));
    }
    let first = changed(&fake, |charge| charge["document_number"] = json!("INV-1"));
    let second = changed(&fake, |charge| charge["document_number"] = json!("INV-1"));
    daemon.post(&first).await.status(201);
    assert_eq!(daemon.post(&second).await.refusal(), (409, "DUPLICATE_DOCUMENT_NUMBER"));
    assert_eq!(fake.invoices_of("INV-1"), 1);
    fake.change(|scenario| scenario.stream_status = Some(403));
    assert_eq!(daemon.post(&new_charge()).await.refusal(), (502, "STREAM_UNAVAILABLE"));
    let charge = new_charge();
    fake.change(|scenario| {
        scenario.stream_status = None;
        scenario.charges.insert(charge.clone(), "[1".to_owned());
    });
    assert_eq!(daemon.post(&charge).await.refusal(), (422, "INVALID_CHARGE"));
}

#[tokio::test]
async fn a_setting_that_is_missing_is_named() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    for (variable, status, code) in [
        ("STREAMOS_BASE_URL", 404, "NOT_CONFIGURED"),
        ("RUTTER_CLIENT_ID", 404, "NOT_CONFIGURED"),
        ("RUTTER_CLIENT_SECRET", 404, "NOT_CONFIGURED"),
        ("RUTTER_ACCESS_TOKEN", 400, "NO_ACCESS_TOKEN"),
    ] {
        let daemon = Daemon::of(command(&world, &fake, &["serve"]).env_remove(variable)).await;
        let told = daemon.post(&new_charge()).await;
        assert_eq!(told.refusal(), (status, code), "{variable}");
        assert!(told.body["detail"].as_str().expect("a detail").contains(variable), "{:#}", told.body);
    }
    assert_eq!(world.scalar::<i64>("select count(*) from charges.outbox").await, 0);
}

#[test]
fn everything_that_is_wrong_with_the_settings_is_named_at_once() {
    let folder = crate::offline::Offline::configured();
    folder.write(
        "config/bursar.toml",
        "[charges]\nbase_url = \"ftp://x\"\npath = \"/charges\"\ntable_schema = \"bursar\"\nbatch = 0\n\
         [charges.mail]\nrecipient = \"nobody\"\nallowed_recipients = [\"@example.com\", \"x y\"]\n",
    );
    let said = folder.bursar(&["check"]).code(78).stderr;
    for (line, key) in [
        (2, "charges.base_url"),
        (3, "charges.path"),
        (4, "charges.table_schema"),
        (5, "charges.batch"),
        (7, "charges.mail.recipient"),
        (8, "charges.mail.allowed_recipients[1]"),
    ] {
        assert!(said.contains(&format!("config/bursar.toml:{line}: {key}: ")), "{key}:\n{said}");
    }
    folder.write("config/bursar.toml", "[charges.mail]\nvia = \"smtp\"\nby_default = true\n");
    let said = folder.bursar(&["check"]).code(78).stderr;
    for (line, key, word) in [
        (2, "charges.mail.via", "EMAIL_SMTP_URL"),
        (1, "charges.mail.from", "is missing"),
        (1, "charges.mail.recipient", "is missing"),
    ] {
        let lines: Vec<&str> = said.lines().filter(|said| said.contains(key)).collect();
        let place = format!("config/bursar.toml:{line}: {key}: ");
        assert!(lines.len() == 1 && lines[0].starts_with(&place) && lines[0].contains(word), "{key}:\n{said}");
    }
}
