//! Webhooks: signed, repeated, late, of jobs that nobody knows.

use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;

/// A charge whose job goes on for long, and the webhook that would end it.
struct Accepted {
    world: World,
    fake: Fake,
    daemon: Daemon,
    charge: String,
    body: String,
    signature: String,
}

impl Accepted {
    async fn new() -> Self {
        let scenario = Scenario { usual: Happening::Async(1000), ..Scenario::default() };
        let (world, fake) = (World::new().await, serve(scenario).await);
        let daemon = Daemon::start(&world, &fake, &[("BURSAR__CHARGES__WAIT_S", "0")]).await;
        let charge = new_charge();
        daemon.post(&charge).await;
        daemon.becomes(&charge, "accepted").await;
        let (body, signature) = fake.webhook_of(&fake.jobs()[0]);
        Self { world, fake, daemon, charge, body, signature }
    }
}

impl Daemon {
    async fn hook(&self, body: &str, signature: Option<&str>) -> Told {
        let mut request = self.client.post(format!("http://{}/webhooks/rutter", self.address));
        if let Some(signature) = signature {
            request = request.header("x-rutter-signature", signature);
        }
        self.send(request.header("content-type", "application/json").body(body.to_owned())).await.expect("an answer")
    }

    /// What is answered to a body of so many bytes before any of it is sent.
    fn announce(&self, bytes: usize) -> String {
        let mut stream = TcpStream::connect(self.address).expect("connect");
        let head = format!("POST /webhooks/rutter HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        write!(stream, "{head}content-length: {bytes}\r\n\r\n").expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

#[tokio::test]
async fn a_webhook_completes_a_charge_once_and_however_often_it_comes() {
    let Accepted { world, fake, daemon, charge, body, signature } = Accepted::new().await;
    let hooks = (0..5).map(|_| daemon.hook(&body, Some(&signature)));
    for told in futures_util::future::join_all(hooks).await {
        assert!(
            ["applied", "known"].contains(&told.clone().status(200)["result"].as_str().expect("a word")),
            "{told:?}"
        );
    }
    assert_eq!(daemon.get(&charge).await.body["state"], "succeeded");
    assert_one_invoice(&world, &fake, &charge).await;
    // One that says that the job failed comes late.
    let failed = body.replace("\"success\"", "\"failure\"").replace("\"http_status\":200", "\"http_status\":400");
    let told = daemon.hook(&failed, Some(&fake::signature(failed.as_bytes()))).await;
    assert_eq!(told.status(200)["result"], "known");
    assert_eq!(daemon.get(&charge).await.body["state"], "succeeded");
}

#[tokio::test]
async fn what_is_not_signed_changes_nothing() {
    let Accepted { daemon, charge, body, signature, .. } = &Accepted::new().await;
    let other = fake::signature(b"another body");
    let bare = signature.trim_start_matches("sha256=");
    for wrong in [None, Some(""), Some("sha256="), Some("sha256=!"), Some(bare), Some(&other)] {
        let told = daemon.hook(body, wrong).await;
        assert!([400, 401].contains(&told.status), "{wrong:?}: {told:?}");
    }
    assert_eq!(daemon.hook(&format!("{body} "), Some(signature)).await.status, 401, "every byte counts");
    assert_eq!(daemon.get(charge).await.body["state"], "accepted");
    assert!(daemon.announce(2 << 20).starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn what_is_of_no_job_that_is_known_is_harmless() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    for body in [
        r#"{"type":"JOB","code":"JOB_COMPLETED","job":{"id":"unknown","status":"success"}}"#,
        r#"{"type":"JOB","code":"JOB_COMPLETED","job":{"status":"success"}}"#,
        r#"{"type":"JOB","code":"JOB_COMPLETED"}"#,
        r#"{"type":"CONNECTION","code":"CONNECTION_DELETED","connection":{"id":"x"}}"#,
    ] {
        assert_eq!(daemon.hook(body, Some(&fake::signature(body.as_bytes()))).await.status(200)["result"], "ignored");
    }
    let nul = r#"{"type":"JOB","job":{"id":"a\u0000b","status":"success"}}"#;
    for body in ["", "{", "[]", r#"{"job":{}}"#, nul] {
        assert_eq!(daemon.hook(body, Some(&fake::signature(body.as_bytes()))).await.status, 400, "{body}");
    }
    drop(world);
}

#[tokio::test]
async fn webhooks_need_no_token_and_nothing_else_goes_without_one() {
    let scenario = Scenario { usual: Happening::Async(1000), ..Scenario::default() };
    let (world, fake) = (World::new().await, serve(scenario).await);
    let made = world.bursar(&["tokens", "new", "reader", "--role", "read"]).code(0).stdout;
    let lines = made.split_once("\n\n[[").map(|(_, lines)| format!("\n[[{lines}\n")).expect("lines to paste");
    world.edit("bursar.toml", |text| text + &lines);
    let daemon = Daemon::start(&world, &fake, &[("BURSAR__CHARGES__WAIT_S", "0")]).await;
    let charge = new_charge();
    assert_eq!(daemon.post(&charge).await.status, 401);
    let token = made.lines().next().expect("a token");
    let request = daemon.client.post(daemon.url(&charge, "")).bearer_auth(token);
    assert_eq!(daemon.send(request).await.expect("an answer").status, 403, "who may only read makes no invoice");
    let body = r#"{"type":"JOB","code":"JOB_COMPLETED","job":{"id":"unknown","status":"success"}}"#;
    daemon.hook(body, Some(&fake::signature(body.as_bytes()))).await.status(200);
    assert_eq!(fake.asked(), 0);
}

#[tokio::test]
async fn a_webhook_comes_sooner_than_the_next_question() {
    let (world, fake) =
        (World::new().await, serve(Scenario { usual: Happening::Async(4), ..Scenario::default() }).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    fake.change(|scenario| scenario.webhook = Some(format!("http://{}/webhooks/rutter", daemon.address)));
    let charges: Vec<String> = (0..20).map(|_| new_charge()).collect();
    let asked = charges.iter().map(|charge| daemon.post(charge));
    futures_util::future::join_all(asked).await;
    for charge in &charges {
        daemon.becomes(charge, "succeeded").await;
        assert_one_invoice(&world, &fake, charge).await;
    }
}
