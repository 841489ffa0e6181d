//! A webhook's address and a mail server's password are told nobody.

use super::servers::{Mood, PASSWORD, PATH, Web};
use super::{Post, alert, start};
use chrono::TimeDelta;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// What the program writes to its log, whatever level it is asked for.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Takes what this thread logs.
    fn take(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("the log")).into_owned()
    }
}

/// As it is said to the mail server: base64 of `\0bursar\0pass/phrase`, and of the password alone.
const SAID: [&str; 2] = ["AGJ1cnNhcgBwYXNzL3BocmFzZQ==", "cGFzcy9waHJhc2U="];

#[tokio::test]
async fn no_failure_shows_a_secret_in_the_log_or_in_a_table() {
    let post = Post::new().await;
    let log = Log::default();
    let guard = log.take();
    let page = format!("<h1>Not found</h1> {PATH} was not found, token whisper, hushhush");
    let word = |text: &str| Web::Answer(403, "", text.to_owned());
    let webs = [Web::Answer(404, "", page), word("hushhush"), word("whisper"), word("ushh"), Web::Cut];
    let mails = [
        Mood::Echo("535 no:"),
        Mood::Echo("454 no:"),
        Mood::Echo("550 no:"),
        Mood::Refuse(format!("550 5.7.1 no, {}", PASSWORD.1)),
        Mood::Cut,
    ];
    for (i, (web, mail)) in webs.into_iter().zip(mails).enumerate() {
        post.web.does(web);
        post.mail.does(mail);
        post.raise(&alert(&format!("job{i}"))).await;
        assert_eq!(post.send(start()).await, 0);
    }
    drop(guard);
    let tables: String = post
        .world
        .scalar(
            "select concat((select jsonb_agg(a) from bursar.alerts as a),
                           (select jsonb_agg(n) from bursar.notices as n),
                           (select jsonb_agg(c) from bursar.notice_channels as c))",
        )
        .await;
    let log = log.text();
    let said = "127.0.0.1 answered 404 Not Found";
    assert!(log.contains(said) && tables.contains(said), "{tables}");
    let said = "the mail server refused with 550 5.7.1";
    assert!(log.contains(said) && tables.contains(said), "{tables}");
    for secret in ["T0secret", "hushhush", "whisper", "/services", PASSWORD.0, PASSWORD.1].iter().chain(&SAID) {
        assert!(!tables.contains(secret), "{secret}: {tables}");
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret}: {line:?}");
    }
}

#[tokio::test]
async fn a_failing_channel_is_logged_once_an_hour_and_when_it_is_given_up() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    post.web.does(Web::status(500));
    let now = start();
    let log = Log::default();
    let guard = log.take();
    let warnings = || log.text().lines().filter(|line| line.contains(" WARN ")).count();
    for minutes in 0..59 {
        post.send(now + TimeDelta::minutes(minutes)).await;
    }
    assert_eq!(warnings(), 1);
    for minutes in 60..119 {
        post.send(now + TimeDelta::minutes(minutes)).await;
    }
    assert_eq!(warnings(), 2);
    post.send(now + TimeDelta::days(2)).await;
    assert_eq!(warnings(), 3);
    drop(guard);
    let told = log.text();
    assert!(
        told.contains("alert 1 can't be told by webhook, which is tried again for a day: 127.0.0.1 answered 500"),
        "{told}"
    );
    assert!(
        told.contains("alert 1 (nightly failed) is not told by webhook any more: it was not taken for a day"),
        "{told}"
    );
    assert!(told.contains("alert 1 is told by mail (raised)"), "{told}");
}

#[tokio::test]
async fn an_address_shows_its_host_only() {
    let post = Post::new().await;
    let shown = format!("{:?}", post.settings());
    for secret in ["T0secret", "hushhush", "whisper", PASSWORD.0, PASSWORD.1] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let address = bursar::outbound::Address::parse(&"https://me:pw@hooks.example.com/a/b?c=d".to_owned().into());
    let address = address.expect("an address");
    assert_eq!(
        (address.to_string().as_str(), format!("{address:?}").as_str()),
        ("hooks.example.com", "Address(hooks.example.com)")
    );
    let wrong = bursar::outbound::Address::parse(&"ftp://hush.example.com/".to_owned().into()).expect_err("no HTTP");
    assert!(!format!("{wrong:?}").contains("hush"));
}
