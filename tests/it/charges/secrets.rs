//! No secret is written anywhere: not into the log, the database, an answer or a page.

use super::*;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Every form in which a secret could stand somewhere.
fn forms(secret: &str) -> Vec<String> {
    let in_query: String =
        reqwest::Url::parse_with_params("http://h/", [("s", secret)]).expect("an address").query().expect("a query")
            [2..]
            .to_owned();
    let digits = secret.bytes().map(|byte| format!("{byte:02x}"));
    let hex = digits.collect::<Vec<_>>().concat();
    vec![secret.to_owned(), in_query, hex, secret.replace('/', "\\/"), BASE64_STANDARD.encode(secret)]
}

/// Everything the database holds, as text.
async fn dump(world: &World) -> String {
    let tables = "select format('%I.%I', schemaname, tablename) from pg_tables
                   where schemaname not in ('pg_catalog', 'information_schema')";
    let mut dump = String::new();
    for table in world.column(tables).await {
        let rows = world.column(&format!("select t::text from {table} as t")).await;
        dump.push_str(&rows.join("\n"));
    }
    dump
}

#[tokio::test]
async fn nothing_that_is_written_holds_a_secret() {
    let scenario = Scenario { mail: [500, 0].into(), ..Scenario::default() };
    let (world, fake) = (World::new().await, serve(scenario).await);
    let made = world.bursar(&["tokens", "new", "clerk", "--role", "operate"]).code(0).stdout;
    let lines = made.split_once("\n\n[[").map(|(_, lines)| format!("\n[[{lines}\n")).expect("lines to paste");
    world.edit("bursar.toml", |text| text + &lines);
    let token = made.lines().next().expect("a token").to_owned();
    let environment = [
        ("RUST_LOG", "trace".to_owned()),
        ("BURSAR__CHARGES__MAIL__VIA", "http".to_owned()),
        ("EMAIL_SERVICE_URL", fake.mail_url()),
        ("RECIPIENT_EMAIL", "billing@example.com".to_owned()),
    ];
    let mut written = String::new();
    let others = [("RUTTER_ACCESS_TOKEN", "another-secret/token"), ("STREAMOS_API_TOKEN", "another-stream-secret")];
    let wrong = |which: usize| others.get(which).map(|(name, value)| (*name, (*value).to_owned()));
    for round in 0..3 {
        let mut start = command(&world, &fake, &["serve"]);
        start.envs(environment.clone()).envs(wrong(round));
        let daemon = Daemon::of(&mut start).await;
        let happenings =
            [Happening::Sync, Happening::Async(0), Happening::Refuse(500), Happening::CutAfter, Happening::Refuse(400)];
        for happening in happenings {
            fake.plan([happening]);
            let charge = new_charge();
            let request = daemon.client.post(daemon.url(&charge, "")).bearer_auth(&token);
            let request = request.json(&json!({"send_email": true}));
            written += &request.send().await.expect("an answer").text().await.expect("a text");
            let look = daemon.client.get(daemon.url(&charge, "")).bearer_auth(&token).send().await.expect("an answer");
            written += &look.text().await.expect("a text");
        }
        for page in ["docs", "redoc", "openapi.json"] {
            let url = format!("http://{}/{page}", daemon.address);
            let page = daemon.client.get(url).bearer_auth(&token).send().await.expect("a page");
            written += &page.text().await.expect("a text");
        }
        fake.change(|scenario| scenario.plan.clear());
        written += &daemon.running.said();
    }
    written += &dump(&world).await;
    assert!(written.contains("has its invoice") && written.contains("INVALID_CREDENTIALS"), "it did something");
    let basic = BASE64_STANDARD.encode(format!("{}:{}", fake::CLIENT_ID, fake::CLIENT_SECRET));
    let secrets = [
        fake::CLIENT_SECRET,
        fake::ACCESS_TOKEN,
        fake::STREAM_TOKEN,
        "another-secret/token",
        "another-stream-secret",
        "fake-mail-key",
        &token,
        &basic,
    ];
    for secret in secrets {
        for form in forms(secret) {
            if let Some(at) = written.find(&form) {
                let from = written.floor_char_boundary(at.saturating_sub(300));
                let to = written.ceil_char_boundary((at + 100).min(written.len()));
                panic!("{secret} is written: {}", &written[from..to]);
            }
        }
    }
}
