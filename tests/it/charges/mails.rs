//! The mail with an invoice's PDF: it loses no invoice, and repeats none.

use super::*;
use crate::notify::servers::{MailServer, Mood};

fn by_service(fake: &Fake) -> Vec<(&'static str, String)> {
    vec![
        ("BURSAR__CHARGES__MAIL__VIA", "http".to_owned()),
        ("EMAIL_SERVICE_URL", fake.mail_url()),
        ("RECEPIENT_EMAIL", "billing@example.com".to_owned()),
        ("BURSAR__CHARGES__MAIL__ALLOWED_RECIPIENTS", "@example.org, one@example.net".to_owned()),
    ]
}

async fn start(world: &World, fake: &Fake, environment: Vec<(&'static str, String)>) -> Daemon {
    Daemon::of(command(world, fake, &["serve"]).envs(environment)).await
}

#[tokio::test]
async fn an_invoice_is_mailed_once_with_its_pdf() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = start(&world, &fake, by_service(&fake)).await;
    let charge = new_charge();
    let told = daemon.post_with(&charge, "", None, &json!({"send_email": true})).await.status(201);
    assert_eq!(told["email"]["state"], "sent");
    assert_eq!((told["invoice"]["email_status"].clone(), told["warnings"].clone()), (json!("SENT"), json!([])));
    for _ in 0..2 {
        daemon.post_with(&charge, "", None, &json!({"send_email": true})).await.status(200);
    }
    let mails = fake.mails();
    assert_eq!(mails.len(), 1);
    let id = told["invoice"]["provider_entity_id"].as_str().expect("an id");
    let link = format!("{}/pdf/{id}.pdf", fake.url());
    let expected = json!({
        "to": "billing@example.com",
        "subject": format!("Invoice INV-{charge}"),
        "text": format!("Attached is the invoice INV-{charge}."),
        "attachments": [{"filename": format!("Invoice-INV-{charge}.pdf"), "path": link}],
    });
    assert_eq!(mails[0].body, expected);
    assert_one_invoice(&world, &fake, &charge).await;
    let silent = new_charge();
    assert_eq!(daemon.post(&silent).await.status(201)["email"], json!(null));
    daemon.post_with(&silent, "", None, &json!({"send_email": true})).await.status(200);
    assert_eq!(fake.mails().len(), 2, "an invoice that is there can be mailed later");
}

#[tokio::test]
async fn a_number_with_a_slash_makes_no_path_of_the_files_name() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = start(&world, &fake, by_service(&fake)).await;
    let charge = new_charge();
    let mut told = fake::charge(&charge);
    told["document_number"] = json!("../2025/06\\7\r\nx");
    fake.change(|scenario| drop(scenario.charges.insert(charge.clone(), told.to_string())));
    daemon.post_with(&charge, "", None, &json!({"send_email": true})).await.status(201);
    assert_eq!(fake.mails()[0].body["attachments"][0]["filename"], "Invoice-..-2025-06-7--x.pdf");
    drop(world);
}

#[tokio::test]
async fn a_mail_that_fails_is_a_warning_and_is_tried_again() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = start(&world, &fake, by_service(&fake)).await;
    for status in [500, 400, 0] {
        let charge = new_charge();
        fake.change(|scenario| scenario.mail = [status].into());
        let told = daemon.post_with(&charge, "", None, &json!({"send_email": true})).await.status(201);
        assert_eq!(told["state"], "succeeded");
        assert_eq!(told["invoice"]["email_status"], "FAILED_TO_SEND", "{status}");
        assert_eq!(told["warnings"][0]["code"], "FAILED_TO_SEND_EMAIL");
        world.sql("update charges.mails set next_at = now() where state = 'failed'").await;
        until("it is mailed", || async { daemon.get(&charge).await.body["invoice"]["email_status"] == "SENT" }).await;
        assert_eq!(daemon.get(&charge).await.body["warnings"], json!([]));
        assert_one_invoice(&world, &fake, &charge).await;
    }
    assert_eq!((fake.mails().len(), fake.asked()), (3, 3));
}

#[tokio::test]
async fn only_who_is_allowed_gets_mail() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = start(&world, &fake, by_service(&fake)).await;
    for (recipient, status) in [
        ("two@example.org", 201),
        ("ONE@example.net", 201),
        ("billing@example.com", 201),
        ("two@example.net", 403),
        ("x@evil.example", 403),
        ("x@evil.example,two@example.org", 403),
        ("x@evil.example <two@example.org>", 403),
        ("two@example.org\r\nBcc: x@evil.example", 403),
        ("", 400),
    ] {
        let body = json!({"send_email": true, "recipient": recipient});
        let told = daemon.post_with(&new_charge(), "", None, &body).await;
        assert_eq!(told.status, status, "{recipient:?}: {told:?}");
        if status == 403 {
            assert_eq!(told.refusal().1, "RECIPIENT_NOT_ALLOWED");
        }
    }
    assert_eq!((fake.mails().len(), fake.invoices()), (3, 3), "who is refused gets no invoice either");
    let off = Daemon::start(&world, &fake, &[]).await;
    let told = off.post_with(&new_charge(), "", None, &json!({"send_email": true})).await;
    assert_eq!(told.refusal(), (404, "NOT_CONFIGURED"));
}

#[tokio::test]
async fn a_mail_that_broke_off_is_sent_again_under_the_same_id() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = start(&world, &fake, by_service(&fake)).await;
    let charge = new_charge();
    daemon.post_with(&charge, "", None, &json!({"send_email": true})).await.status(201);
    // As a program leaves it that was killed after the mail was taken.
    world.sql("update charges.mails set state = 'sending', next_at = now(), sent_at = null").await;
    until("it is mailed", || async { daemon.get(&charge).await.body["email"]["state"] == "sent" }).await;
    assert_eq!(daemon.get(&charge).await.body["email"]["attempts"], 2);
    assert_eq!(fake.mails().len(), 1, "the service knows it again");
}

#[tokio::test]
async fn a_mail_server_gets_the_pdf_itself() {
    let (world, fake, server) = (World::new().await, serve(Scenario::default()).await, MailServer::start());
    let environment = vec![
        ("BURSAR__CHARGES__MAIL__VIA", "smtp".to_owned()),
        ("BURSAR__CHARGES__MAIL__BY_DEFAULT", "true".to_owned()),
        ("BURSAR__CHARGES__MAIL__FROM", "Bursar <bursar@example.com>".to_owned()),
        ("EMAIL_SMTP_URL", server.url()),
        ("RECIPIENT_EMAIL", "billing@example.com".to_owned()),
    ];
    let daemon = start(&world, &fake, environment).await;
    server.does(Mood::Refuse("451 later".to_owned()));
    let charge = new_charge();
    let told = daemon.post(&charge).await.status(201);
    assert_eq!(told["invoice"]["email_status"], "FAILED_TO_SEND");
    server.does(Mood::Take);
    world.sql("update charges.mails set next_at = now()").await;
    until("it is mailed", || async { daemon.get(&charge).await.body["invoice"]["email_status"] == "SENT" }).await;
    let letters = server.got();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].header("subject"), format!("Invoice INV-{charge}"));
    assert!(letters[0].recipients[0].contains("<billing@example.com>"), "{letters:?}");
    assert!(letters[0].text.contains("application/pdf") && letters[0].text.contains(".pdf"), "{}", letters[0].text);
    assert_one_invoice(&world, &fake, &charge).await;
    let silent = daemon.post_with(&new_charge(), "", None, &json!({"send_email": false})).await.status(201);
    assert_eq!(silent["email"], json!(null));
}
