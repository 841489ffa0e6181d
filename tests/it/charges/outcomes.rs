//! Whatever becomes of a request, there is one invoice or none, and nobody guesses which.

use super::*;

/// The charge's row: state, attempt, whether it needs an operator.
async fn row(world: &World, charge: &str) -> String {
    let query = format!(
        "select concat_ws(' ', state, attempt, case when needs_operator then 'operator' end)
           from charges.outbox where charge_id = '{charge}'"
    );
    world.scalar(&query).await
}

#[tokio::test]
async fn whatever_happens_to_a_request_there_is_one_invoice_in_the_end() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let happenings = [
        Happening::Async(0),
        Happening::Async(3),
        Happening::JobForgotten,
        Happening::Busy,
        Happening::Refuse(500),
        Happening::Refuse(503),
        Happening::Refuse(408),
        Happening::ErrorAfter(500),
        Happening::ErrorAfter(504),
        Happening::CutBefore,
        Happening::CutAfter,
        Happening::CutWithin,
        Happening::Babble,
    ];
    let each = happenings.map(|happening| {
        let (charge, daemon) = (new_charge(), &daemon);
        fake.change(|scenario| drop(scenario.plan_of.insert(number(&charge), [happening].into())));
        async move { (charge.clone(), happening, daemon.post(&charge).await) }
    });
    for (charge, happening, told) in futures_util::future::join_all(each).await {
        assert!([201, 202].contains(&told.status), "{happening:?}: {told:?}");
        daemon.becomes(&charge, "succeeded").await;
        assert_one_invoice(&world, &fake, &charge).await;
        assert_eq!(row(&world, &charge).await, "succeeded 1", "{happening:?}: the first key sufficed");
    }
    assert_eq!(fake.keys(), happenings.len());
}

#[tokio::test]
async fn a_failure_that_was_accepted_needs_a_new_key_and_an_operator() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    for happening in [Happening::FailAccepted(400), Happening::FailAccepted(450), Happening::JobFails] {
        let charge = new_charge();
        fake.plan([happening]);
        let told = daemon.post(&charge).await;
        assert_eq!(told.refusal(), (502, "INVOICE_CREATION_FAILED"), "{happening:?}");
        assert_eq!(row(&world, &charge).await, "failed 1");
        let keys = fake.keys();
        assert_eq!(
            daemon.post(&charge).await.refusal(),
            (502, "INVOICE_CREATION_FAILED"),
            "asking again changes nothing"
        );
        assert_eq!(daemon.post_with(&charge, "?retry=uncertain", None, &json!(null)).await.status, 502);
        assert_eq!((fake.keys(), fake.invoices_of(&number(&charge))), (keys, 0));
        daemon.post_with(&charge, "?retry=failed", None, &json!(null)).await.status(201);
        assert_eq!((fake.keys(), row(&world, &charge).await.as_str()), (keys + 1, "succeeded 2"));
        assert_one_invoice(&world, &fake, &charge).await;
        daemon.post_with(&charge, "?retry=failed", None, &json!(null)).await.status(200);
        assert_one_invoice(&world, &fake, &charge).await;
    }
}

#[tokio::test]
async fn what_was_refused_and_never_accepted_is_asked_again_with_the_same_key() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    for status in [400, 450, 422] {
        let charge = new_charge();
        fake.plan([Happening::Refuse(status)]);
        let keys = fake.keys();
        assert_eq!(daemon.post(&charge).await.refusal(), (502, "INVOICE_CREATION_FAILED"));
        assert_eq!(row(&world, &charge).await, "failed 1");
        daemon.post(&charge).await.status(201);
        assert_eq!((fake.keys(), row(&world, &charge).await.as_str()), (keys + 1, "succeeded 1"));
        assert_one_invoice(&world, &fake, &charge).await;
    }
    // A charge that was mended is another request, and the key was never accepted.
    let charge = new_charge();
    fake.plan([Happening::Refuse(400)]);
    daemon.post(&charge).await.status(502);
    let mut mended = fake::charge(&charge);
    mended["currency_code"] = json!("EUR");
    fake.change(|scenario| drop(scenario.charges.insert(charge.clone(), mended.to_string())));
    daemon.post(&charge).await.status(201);
    assert_eq!(row(&world, &charge).await, "succeeded 2");
    assert_one_invoice(&world, &fake, &charge).await;
    // Where a request with the key was lost, nobody takes another key without a person.
    let charge = new_charge();
    fake.plan([Happening::CutBefore, Happening::Refuse(400)]);
    daemon.post(&charge).await.status(502);
    let mut mended = fake::charge(&charge);
    mended["currency_code"] = json!("EUR");
    fake.change(|scenario| drop(scenario.charges.insert(charge.clone(), mended.to_string())));
    let told = daemon.post(&charge).await.status(502);
    assert!(told["detail"].as_str().expect("a detail").contains("retry=failed"), "{told:#}");
    assert_eq!((fake.invoices_of(&number(&charge)), row(&world, &charge).await.as_str()), (0, "failed 1"));
    daemon.post_with(&charge, "?retry=failed", None, &json!(null)).await.status(201);
    assert_one_invoice(&world, &fake, &charge).await;
}

#[tokio::test]
async fn what_an_operator_must_mend_is_told_and_changes_no_key() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    for status in [401, 403, 404, 410, 307] {
        let charge = new_charge();
        fake.plan([Happening::Refuse(status)]);
        let told = daemon.post(&charge).await;
        assert_eq!(told.refusal(), (502, "INVOICE_CREATION_FAILED"), "{status}");
        assert_eq!(row(&world, &charge).await, "pending 1");
        world.sql("update charges.outbox set next_at = now() where state = 'pending'").await;
        daemon.becomes(&charge, "succeeded").await;
        assert_eq!(row(&world, &charge).await, "succeeded 1");
        assert_one_invoice(&world, &fake, &charge).await;
    }
}

#[tokio::test]
async fn what_the_key_will_not_tell_stops_until_an_operator_has_looked() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    for happening in [Happening::Conflict, Happening::JobBreaks] {
        let charge = new_charge();
        fake.plan([happening]);
        let told = daemon.post(&charge).await.status(202);
        assert_eq!((told["state"].clone(), told["needs_operator"].clone()), (json!("uncertain"), json!(true)));
        assert_eq!(row(&world, &charge).await, "uncertain 1 operator");
        let (keys, asked) = (fake.keys(), fake.asked());
        for query in ["", "?retry=failed"] {
            daemon.post_with(&charge, query, None, &json!(null)).await.status(202);
        }
        assert_eq!((fake.keys(), fake.asked()), (keys, asked), "no new key, and nothing is sent");
        daemon.post_with(&charge, "?retry=uncertain", None, &json!(null)).await.status(201);
        assert_eq!(row(&world, &charge).await, "succeeded 2");
        assert_one_invoice(&world, &fake, &charge).await;
    }
}

#[tokio::test]
async fn a_key_that_may_be_forgotten_is_not_sent_again() {
    let (world, fake) =
        (World::new().await, serve(Scenario { usual: Happening::CutAfter, ..Scenario::default() }).await);
    let daemon = Daemon::start(&world, &fake, &[("BURSAR__CHARGES__WAIT_S", "0")]).await;
    let charge = new_charge();
    daemon.post(&charge).await.status(202);
    daemon.becomes(&charge, "uncertain").await;
    world.sql("update charges.outbox set first_sent_at = now() - interval '25 hours', next_at = now()").await;
    until("it stops", || async { row(&world, &charge).await == "uncertain 1 operator" }).await;
    let asked = fake.asked();
    fake.change(|scenario| scenario.usual = Happening::Sync);
    daemon.post(&charge).await.status(202);
    assert_eq!(fake.asked(), asked);
}

#[tokio::test]
async fn a_rule_may_take_a_new_key_so_often() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let rule =
        [("BURSAR__CHARGES__RUTTER__NEW_KEY_FOR", "INVALID_REQUEST"), ("BURSAR__CHARGES__RUTTER__ATTEMPTS", "2")];
    let daemon = Daemon::start(&world, &fake, &rule).await;
    let charge = new_charge();
    fake.plan([Happening::FailAccepted(400)]);
    daemon.post(&charge).await.status(201);
    assert_eq!(row(&world, &charge).await, "succeeded 2");
    let charge = new_charge();
    fake.plan([Happening::FailAccepted(400), Happening::JobFails]);
    daemon.post(&charge).await.status(502);
    assert_eq!(row(&world, &charge).await, "failed 2");
}

#[tokio::test]
async fn trouble_while_a_job_is_asked_for_loses_nothing() {
    let scenario = Scenario { usual: Happening::Async(1), polls: [500, 0, 429].into(), ..Scenario::default() };
    let (world, fake) = (World::new().await, serve(scenario).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let charge = new_charge();
    daemon.post(&charge).await;
    daemon.becomes(&charge, "succeeded").await;
    assert_one_invoice(&world, &fake, &charge).await;
    assert_eq!((fake.asked(), fake.polled()), (1, 5));
}

#[tokio::test]
async fn what_happened_can_not_be_changed_or_forgotten() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    daemon.post(&new_charge()).await.status(201);
    let mut connection = world.connect().await;
    for statement in [
        "update charges.history set state = 'failed'",
        "delete from charges.history",
        "truncate charges.history",
        "delete from charges.outbox",
        "truncate charges.outbox cascade",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut connection).await.expect_err(statement);
        assert!(refused.to_string().contains("are only added"), "{statement}: {refused}");
    }
}
