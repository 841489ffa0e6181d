//! `bursar alerts`: what an operator sees, and whether the channels work.

use super::servers::{Mood, PATH, Web};
use super::{Post, alert, day};
use crate::support::{Ran, World};
use bursar::notify::alert::{Kind, Subject};
use serde_json::json;
use std::time::{Duration, Instant};

impl Post {
    fn bursar(&self, arguments: &[&str]) -> Ran {
        let mut command = self.world.command(arguments);
        Ran::of(command.envs(self.variables()).output().expect("start bursar"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_alerts_are_listed_newest_first_and_the_others_when_asked_for() {
    let post = Post::new().await;
    for job in ["first", "second", "third"] {
        post.raise(&alert(job)).await;
    }
    post.raise(&alert("third")).await;
    post.resolve(&alert("second")).await;
    let jobs = |ran: &Ran| -> Vec<String> {
        let list = ran.json();
        list.as_array().expect("a list").iter().map(|a| a["job"].as_str().expect("a job").to_owned()).collect()
    };
    assert_eq!(jobs(&post.bursar(&["alerts", "--json"]).code(0)), ["third", "first"]);
    assert_eq!(jobs(&post.bursar(&["alerts", "--all", "--json"]).code(0)), ["third", "second", "first"]);
    assert_eq!(jobs(&post.bursar(&["alerts", "--all", "--limit", "2", "--json"]).code(0)), ["third", "second"]);
    let list = post.bursar(&["alerts", "--all", "--json"]).json();
    assert_eq!(
        (&list[0]["raised_count"], &list[0]["state"], &list[0]["resolution"]),
        (&json!(2), &json!("open"), &json!(null))
    );
    assert_eq!((&list[1]["state"], &list[1]["resolution"]), (&json!("resolved"), &json!("it ran well since")));
    assert_eq!(list[2]["next_step"], "bursar runs show 1");
    let table = post.bursar(&["alerts"]).code(0).stdout;
    for word in ["third failed", "first failed", "run_failed", "bursar runs show 1"] {
        assert!(table.contains(word), "{table}");
    }
    assert!(!table.contains("second"), "{table}");
    assert!(post.bursar(&["alerts", "--all"]).code(0).stdout.contains("it ran well since"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_alert_it_says_so_on_a_fresh_database_too() {
    let world = World::new().await;
    assert_eq!(world.bursar(&["alerts"]).code(0).stdout, "no open alerts\n");
    assert_eq!(world.bursar(&["alerts", "--all"]).code(0).stdout, "no alerts\n");
    assert_eq!(world.bursar(&["alerts", "--json"]).code(0).json(), json!([]));
    world.bursar(&["alerts", "--limit", "0"]).code(64);
    world.bursar(&["alerts", "tset"]).code(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_through_every_channel_and_needs_no_database() {
    let post = Post::new().await;
    let mut command = post.world.command(&["alerts", "test"]);
    command.envs(post.variables()).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere");
    let ran = Ran::of(command.output().expect("start bursar")).code(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("webhook: sent\nmail: sent\n", ""));
    let posted = post.web.taken()[0].json();
    assert_eq!(
        (&posted["event"], &posted["title"]),
        (&json!("test"), &json!("[testing] Test of Bursar's notifications"))
    );
    assert!(post.mail.got()[0].body().contains("Nothing is wrong"));
    let ran = post.bursar(&["alerts", "test", "--json"]).code(0);
    let sent = |channel: &str| json!({"channel": channel, "sent": true, "fault": null, "error": null});
    assert_eq!(ran.json(), json!([sent("webhook"), sent("mail")]));
    assert_eq!(post.count("alerts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_does_not_arrive_says_where_and_why_and_exits_by_it() {
    let post = Post::new().await;
    for (mood, code, why) in [
        (Web::status(503), 75, "webhook (transient): 127.0.0.1 answered 503 Service Unavailable"),
        (Web::status(429), 75, "webhook (transient): 127.0.0.1 answered 429 Too Many Requests"),
        (Web::status(408), 75, "webhook (transient): 127.0.0.1 answered 408 Request Timeout"),
        (
            Web::Answer(403, "", "channel_is_archived\n".to_owned()),
            78,
            "webhook (config): 127.0.0.1 answered 403 Forbidden: channel_is_archived",
        ),
        (
            Web::Answer(301, "location: http://127.0.0.1:1/\r\n", String::new()),
            78,
            "webhook (config): 127.0.0.1 answered 301 Moved Permanently; redirects are not followed, so the final address is needed",
        ),
        (Web::Cut, 75, "webhook (transient): 127.0.0.1 does not answer: error sending request: "),
    ] {
        post.web.does(mood);
        let ran = post.bursar(&["alerts", "test"]).code(code);
        assert_eq!(ran.stdout, "mail: sent\n");
        assert!(ran.stderr.starts_with(&format!("error: {why}")), "{}", ran.stderr);
    }
    post.web.does(Web::status(200));
    for (mood, code, why) in [
        (Mood::Echo("535 no:"), 78, "mail (config): the mail server refused with 535"),
        (Mood::Echo("454 later:"), 75, "mail (transient): the mail server refused with 454"),
        (
            Mood::Refuse("550 5.1.1 nobody of that name".to_owned()),
            78,
            "mail (config): the mail server refused with 550 5.1.1\n",
        ),
        (Mood::Cut, 75, "mail (transient): what answers is no mail server, or it broke off"),
    ] {
        post.mail.does(mood);
        let ran = post.bursar(&["alerts", "test"]).code(code);
        assert_eq!(ran.stdout, "webhook: sent\n");
        assert!(ran.stderr.starts_with(&format!("error: {why}")), "{}", ran.stderr);
    }
    let ran = post.bursar(&["alerts", "test", "--json"]).code(75).json();
    assert_eq!(
        (&ran[0]["sent"], &ran[1]["sent"], &ran[1]["fault"]),
        (&json!(true), &json!(false), &json!("transient"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_or_too_much_is_not_listened_to_for_long() {
    let post = Post::new().await;
    let since = Instant::now();
    post.web.does(Web::Flood);
    let ran = post.bursar(&["alerts", "test"]).code(75);
    assert_eq!(ran.stderr, "error: webhook (transient): 127.0.0.1 answered 500 Internal Server Error\n");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    post.web.does(Web::Hang);
    post.mail.does(Mood::Hang);
    let ran = post.bursar(&["alerts", "test"]).code(75);
    for said in [
        "webhook (transient): 127.0.0.1 does not answer: ",
        "mail (transient): the mail server did not take it within 20 s",
    ] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_named_by_its_host_only() {
    let post = Post::new().await;
    let mut command = post.world.command(&["alerts", "test"]);
    command.envs(post.variables());
    command.env("BURSAR_WEBHOOK_URL", format!("http://me:pw@127.0.0.1:1{PATH}"));
    command.env("BURSAR_SMTP_URL", "smtp://someone:hush@127.0.0.1:1");
    let ran = Ran::of(command.output().expect("start bursar")).code(75);
    assert!(ran.stderr.contains("error: webhook (transient): 127.0.0.1 does not answer: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: mail (transient): the mail server: "), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("Connection refused").count(), 2, "{}", ran.stderr);
    for secret in ["secret", "whisper", "me:", "pw", "someone", "hush"] {
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_without_a_channel_says_what_to_configure() {
    let world = World::new().await;
    let ran = world.bursar(&["alerts", "test"]).code(78);
    assert!(ran.stderr.starts_with("error: no channel is configured; write [notify.webhook]"), "{}", ran.stderr);
    assert_eq!(world.bursar(&["alerts", "test", "--json"]).code(78).json()["error"]["fault"], "config");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_shows_what_an_alert_of_a_file_concerns() {
    let post = Post::new().await;
    let subject = Subject::file("nightly", "ratings", "agency_a", day(13));
    post.raise(&bursar::notify::alert::Alert { kind: Kind::FileMissing, subject, ..alert("nightly") }).await;
    let list = post.bursar(&["alerts", "--json"]).code(0).json();
    let told = ["key", "kind", "job", "dataset", "customer", "run_date"]
        .map(|key| list[0][key].as_str().expect("a text").to_owned());
    assert_eq!(
        told,
        [
            "file_missing nightly/ratings/agency_a/2025-05-13",
            "file_missing",
            "nightly",
            "ratings",
            "agency_a",
            "2025-05-13"
        ]
    );
}
