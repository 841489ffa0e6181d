//! Our own clients' keys.

use super::*;

#[tokio::test]
async fn a_request_that_is_repeated_gets_the_same_answer() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let charge = new_charge();
    let first = daemon.post_with(&charge, "", Some("key-1"), &json!(null)).await.status(201);
    assert_eq!(daemon.post_with(&charge, "", Some("key-1"), &json!(null)).await.status(201), first);
    assert_eq!(daemon.post_with(&charge, "", Some("key-2"), &json!(null)).await.status, 200);
    assert_one_invoice(&world, &fake, &charge).await;
}

#[tokio::test]
async fn a_key_is_for_one_request_only() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let (charge, other) = (new_charge(), new_charge());
    daemon.post_with(&charge, "", Some("key"), &json!(null)).await.status(201);
    let told = daemon.post_with(&other, "", Some("key"), &json!(null)).await;
    assert_eq!(told.refusal(), (409, "IDEMPOTENCY_KEY_REUSED"));
    let told = daemon.post_with(&charge, "?retry=failed", Some("key"), &json!(null)).await;
    assert_eq!(told.refusal(), (409, "IDEMPOTENCY_KEY_REUSED"));
    let told = daemon.post_with(&charge, "", Some("a key"), &json!(null)).await.status(400);
    assert!(told["errors"]["Idempotency-Key"].is_string(), "{told:#}");
    assert_eq!(fake.invoices(), 1);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_month_and_the_invoice_is_not() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let (charge, other) = (new_charge(), new_charge());
    daemon.post_with(&charge, "", Some("key"), &json!(null)).await.status(201);
    world.sql("update charges.requests set created_at = created_at - interval '29 days'").await;
    assert_eq!(daemon.post_with(&other, "", Some("key"), &json!(null)).await.status, 409);
    world.sql("update charges.requests set created_at = created_at - interval '1 day'").await;
    daemon.post_with(&other, "", Some("key"), &json!(null)).await.status(201);
    assert_eq!(world.scalar::<i64>("select count(*) from charges.requests").await, 1);
    daemon.post_with(&charge, "", Some("another"), &json!(null)).await.status(200);
    assert_one_invoice(&world, &fake, &charge).await;
}

#[tokio::test]
async fn a_repeated_request_makes_no_new_attempt_of_one_that_failed() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let charge = new_charge();
    fake.plan([Happening::Refuse(400)]);
    for _ in 0..3 {
        let told = daemon.post_with(&charge, "", Some("key"), &json!(null)).await;
        assert_eq!(told.refusal(), (502, "INVOICE_CREATION_FAILED"));
    }
    assert_eq!(fake.asked(), 1);
    daemon.post_with(&charge, "", Some("another"), &json!(null)).await.status(201);
    drop(world);
}

#[tokio::test]
async fn a_body_that_is_wrong_is_refused_by_its_member() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    for (body, member) in [
        (json!({"send_email": "yes"}), "body.send_email"),
        (json!({"sendEmail": true}), "body.sendEmail"),
        (json!([1, 2, 3, 4]), "body"),
    ] {
        let told = daemon.post_with(&new_charge(), "", None, &body).await.status(400);
        let errors: Vec<&String> = told["errors"].as_object().expect("errors").keys().collect();
        assert!(errors.iter().any(|key| key.starts_with(member)), "{told:#}");
    }
    let url = daemon.url(&new_charge(), "");
    let half = daemon.client.post(&url).header("content-type", "application/json").body("{bad");
    let told = daemon.send(half).await.expect("an answer").status(400);
    assert!(told["errors"]["body"].is_string(), "{told:#}");
    let sent = daemon.client.post(&url).header("content-type", "text/plain").body("{}").send().await;
    assert_eq!(sent.expect("an answer").status(), 415);
    let elsewhere = daemon.client.post(&url).header("origin", "https://evil.example").send().await;
    assert_eq!(elsewhere.expect("an answer").status(), 403, "a page from elsewhere makes no invoice");
    let here = daemon.client.post(&url).header("origin", format!("http://{}", daemon.address)).send().await;
    assert_eq!(here.expect("an answer").status(), 201);
    drop(world);
}
