//! Charges into invoices, each once, against a server that follows the vendors' documentation.

mod checks;
#[path = "../../examples/fake/rutter/mod.rs"]
mod fake;
mod job;
mod keys;
mod kills;
mod mails;
mod outcomes;
mod secrets;
mod webhooks;

use crate::running::{Running, until};
use crate::support::World;
use fake::{Fake, Happening, Scenario};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

async fn serve(scenario: Scenario) -> Fake {
    fake::start(scenario, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a server")
}

/// Another charge each time.
fn new_charge() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The program beside the fake services, which it may ask as fast as it can.
fn command(world: &World, fake: &Fake, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command
        .envs(fake.environment())
        .env("BURSAR__CHARGES__RUTTER__REQUESTS_PER_SECOND", "1000")
        .env("BURSAR__HTTP__REQUESTS_PER_SECOND", "100000")
        .env("BURSAR__CHARGES__WAIT_S", "15");
    command
}

/// A daemon and where it answers.
struct Daemon {
    running: Running,
    address: SocketAddr,
    client: reqwest::Client,
}

/// An answer.
#[derive(Clone, Debug)]
struct Told {
    status: u16,
    body: Value,
    location: String,
}

impl Told {
    #[track_caller]
    fn status(self, expected: u16) -> Value {
        assert_eq!(self.status, expected, "{:#}", self.body);
        self.body
    }

    /// The status and the code of a refusal.
    fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

impl Daemon {
    async fn start(world: &World, fake: &Fake, more: &[(&str, &str)]) -> Self {
        Self::of(command(world, fake, &["serve"]).envs(more.iter().copied())).await
    }

    async fn of(command: &mut Command) -> Self {
        let running = Running::of(command);
        running.says("answering on http://").await;
        let said = running.said();
        let line = said.lines().find(|line| line.contains("http.address")).expect("the line that tells the address");
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let address = line["http.address"].as_str().expect("an address").parse().expect("an address");
        bursar::outbound::use_ring();
        Self { running, address, client: reqwest::Client::new() }
    }

    fn url(&self, charge: &str, query: &str) -> String {
        format!("http://{}/charges/{charge}/invoice{query}", self.address)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Option<Told> {
        let answer = request.send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = serde_json::from_str(&answer.text().await.ok()?).unwrap_or_default();
        let location = headers.get("location").map_or("", |value| value.to_str().expect("a path")).to_owned();
        Some(Told { status, body, location })
    }

    async fn post(&self, charge: &str) -> Told {
        self.post_with(charge, "", None, &json!(null)).await
    }

    async fn post_with(&self, charge: &str, query: &str, key: Option<&str>, body: &Value) -> Told {
        let mut request = self.client.post(self.url(charge, query));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        self.send(request).await.expect("an answer")
    }

    async fn get(&self, charge: &str) -> Told {
        self.send(self.client.get(self.url(charge, ""))).await.expect("an answer")
    }

    /// Waits until a charge is in a state.
    async fn becomes(&self, charge: &str, state: &str) -> Value {
        until(&format!("{charge} is {state}"), || async { self.get(charge).await.body["state"] == state }).await;
        self.get(charge).await.status(200)
    }
}

fn number(charge: &str) -> String {
    format!("INV-{charge}")
}

/// At the fake and in the database there is exactly one invoice of a charge.
async fn assert_one_invoice(world: &World, fake: &Fake, charge: &str) {
    assert_eq!(fake.invoices_of(&number(charge)), 1, "invoices at the fake");
    let rows = format!("select count(*) from charges.acc_uac_invoice where pricer_invoice_id = '{charge}'");
    assert_eq!(world.scalar::<i64>(&rows).await, 1, "invoices in the database");
}

#[tokio::test]
async fn a_charge_becomes_one_invoice_however_often_it_is_asked_for() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let charge = new_charge();
    assert_eq!(daemon.get(&charge).await.refusal(), (404, "NOT_FOUND"));
    let asked = (0..8).map(|_| daemon.post(&charge));
    let told = futures_util::future::join_all(asked).await;
    for told in &told {
        assert!([200, 201].contains(&told.status), "{told:?}");
        assert_eq!(told.body["state"], "succeeded");
    }
    let again = daemon.post(&charge).await.status(200);
    assert_eq!(again["invoice"]["total_amount"], "150.00");
    assert_eq!(again["invoice"]["status"], "open");
    assert_eq!((again["attempt"].clone(), again["email"].clone()), (json!(1), json!(null)));
    assert_eq!(fake.asked(), 1, "nothing was sent twice");
    assert_one_invoice(&world, &fake, &charge).await;
    let line = "select concat_ws('|', position, item_id, quantity, unit_amount, total_amount, description)
                  from charges.acc_uac_invoice_line";
    let item = format!("9{}", &charge[1..]);
    assert_eq!(world.column(line).await, [format!("1|{item}|3|50|150.00|Seats")]);
    let states = daemon.get(&charge).await.status(200);
    let states: Vec<&str> =
        states["history"].as_array().expect("a list").iter().filter_map(|h| h["state"].as_str()).collect();
    assert_eq!(states, ["pending", "sent", "succeeded"]);
}

#[tokio::test]
async fn what_is_sent_is_written_down_to_the_digit_and_a_dry_run_sends_nothing() {
    let (world, fake) = (World::new().await, serve(Scenario::default()).await);
    let charge = new_charge();
    let text = fake::charge(&charge)
        .to_string()
        .replace("\"unit_amount\":50", "\"unit_amount\":0.1000000000000000055511151231")
        .replace("\"quantity\":3", "\"quantity\":\"1.50\"")
        .replace("\"description\":\"Seats\",\"quantity\"", "\"description\":null,\"quantity\"");
    fake.change(|scenario| drop(scenario.charges.insert(charge.clone(), text)));
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let url = daemon.url(&charge, "?dry_run=true");
    let told = daemon.client.post(url).send().await.expect("an answer").text().await.expect("a text");
    let uuid = |digit: char| format!("{digit}{}", &charge[1..]);
    let expected = format!(
        "{{\"charge_id\":\"{charge}\",\"dry_run\":true,\"payload\":{{\"response_mode\":\"prefer_sync\",\"invoice\":{{\
         \"customer_id\":\"{}\",\"issue_date\":\"2025-06-01T00:00:00.000Z\",\"due_date\":\"2025-07-01T00:00:00.000Z\",\
         \"currency_code\":\"USD\",\"document_number\":\"INV-{charge}\",\"line_items\":[{{\"item\":{{\"id\":\"{}\",\
         \"quantity\":1.50,\"unit_amount\":0.1000000000000000055511151231}},\"total_amount\":150.00}}]}}}}}}",
        uuid('5'),
        uuid('9'),
    );
    assert_eq!(told, expected);
    assert_eq!(fake.asked(), 0);
    assert_eq!(world.scalar::<i64>("select count(*) from charges.outbox").await, 0);
    daemon.post(&charge).await.status(201);
    let payload = expected.split_once("\"payload\":").expect("a payload").1;
    assert_eq!(fake.request_of(&number(&charge)).expect("a request"), payload[..payload.len() - 1]);
}

#[tokio::test]
async fn who_does_not_wait_is_told_where_to_look() {
    let scenario = Scenario { usual: Happening::Async(1), ..Scenario::default() };
    let (world, fake) = (World::new().await, serve(scenario).await);
    let daemon = Daemon::start(&world, &fake, &[]).await;
    let charge = new_charge();
    let told = daemon.post_with(&charge, "?response_mode=async", None, &json!({})).await;
    assert_eq!(told.location, format!("/charges/{charge}/invoice"));
    assert_ne!(told.status(202)["state"], "succeeded");
    daemon.becomes(&charge, "succeeded").await;
    assert_one_invoice(&world, &fake, &charge).await;
}
