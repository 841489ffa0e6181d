//! What arrives: every field as JSON, Slack's escapes, a mail whose headers are its own.

use super::{Post, alert, day, start};
use bursar::notify::alert::{Alert, Kind, Subject};
use proptest::prelude::*;
use serde_json::json;

/// An alert about a file, with these words.
fn told(title: &str, text: &str, next_step: &str) -> Alert {
    Alert {
        kind: Kind::FileMissing,
        subject: Subject::file("nightly", "ratings", "agency_a", day(13)),
        title: title.to_owned(),
        text: text.to_owned(),
        next_step: next_step.to_owned(),
    }
}

#[tokio::test]
async fn the_json_of_a_webhook_has_every_field() {
    let post = Post::new().await;
    post.raise(&told("No file", "It was due at 6.", "Ask for it")).await;
    post.send(start()).await;
    let posted = &post.web.got()[0];
    let mut body = posted.json();
    let raised_at = body["raised_at"].take();
    assert!(chrono::DateTime::parse_from_rfc3339(raised_at.as_str().expect("an instant")).is_ok());
    assert_eq!(posted.header("idempotency-key"), body["notice"].as_str());
    body["notice"].take();
    assert_eq!(
        body,
        json!({
            "notice": null,
            "alert": 1,
            "event": "raised",
            "kind": "file_missing",
            "title": "[testing] No file",
            "text": "It was due at 6.",
            "next_step": "Ask for it",
            "job": "nightly",
            "run_date": "2025-05-13",
            "dataset": "ratings",
            "customer": "agency_a",
            "raised_at": null,
            "count": 1,
        })
    );
    assert_eq!(posted.header("content-type"), Some("application/json"));
    assert!(posted.header("user-agent").is_some_and(|agent| agent.starts_with("bursar/")));
    assert!(posted.head.starts_with("POST /services/"));
}

#[tokio::test]
async fn what_slack_reads_as_markup_is_escaped() {
    let post = Post::with("format = \"slack\"").await;
    post.raise(&told("a<b", "1 & 2 > 0, <!channel> <https://evil|click>", "bursar run-job x & <y>")).await;
    post.send(start()).await;
    let text = "*[testing] a&lt;b*\n1 &amp; 2 &gt; 0, &lt;!channel&gt; &lt;https://evil|click&gt;\n_bursar run-job x &amp; &lt;y&gt;_";
    assert_eq!(post.web.got()[0].json(), json!({"text": text}));
    post.resolve(&told("", "", "")).await;
    post.send(start()).await;
    assert_eq!(post.web.got()[1].json(), json!({"text": "*[testing] Resolved: a&lt;b*\nit ran well since"}));
}

#[tokio::test]
async fn a_mail_is_plain_and_to_everybody_with_an_identity_of_its_own() {
    let post = Post::new().await;
    post.raise(&told("No file", "It was due at 6.\nIt is an important one: ümläüts €.", "Ask for it")).await;
    let now = start();
    post.send(now).await;
    let letter = &post.mail.got()[0];
    assert_eq!(letter.recipients, ["RCPT TO:<ops@example.com>", "RCPT TO:<b@example.org>"]);
    assert_eq!(letter.header("from"), "Bursar <bursar@example.com>");
    assert_eq!(letter.header("to"), "ops@example.com, b@example.org");
    assert_eq!(letter.header("subject"), "[testing] No file");
    assert_eq!(letter.header("auto-submitted"), "auto-generated");
    assert_eq!(letter.header("content-type"), "text/plain; charset=utf-8");
    let notice: String = post.world.scalar("select id::text from bursar.notices").await;
    assert_eq!(letter.header("message-id"), format!("<{notice}@example.com>"));
    let sent = chrono::DateTime::parse_from_rfc2822(&letter.header("date")).expect("a date");
    assert!((sent.to_utc() - now).num_seconds().abs() < 60);
    for line in [
        "It was due at 6.",
        "Next: Ask for it",
        "job: nightly",
        "run date: 2025-05-13",
        "customer: agency_a",
        "raised once since",
    ] {
        assert!(letter.body().contains(line), "{line}: {}", letter.text);
    }
}

#[tokio::test]
async fn no_name_makes_a_header_of_a_mail_or_ends_one() {
    let post = Post::new().await;
    let breaks = ["\r\n", "\n", "\r", "\n\n", "\r\n\r\n", "\u{2028}", "\u{b}", "\0", "\r\n "];
    for (i, line_end) in breaks.iter().enumerate() {
        let mut alert = told(&format!("bad{line_end}Bcc: evil@example.net{line_end}"), "text", "next");
        alert.subject.customer = Some(format!("c{i}{line_end}.{line_end}Bcc: evil@example.net").replace('\0', ""));
        post.raise(&alert).await;
    }
    post.send(start()).await;
    let letters = post.mail.got();
    assert_eq!(letters.len(), breaks.len());
    for letter in letters {
        assert_eq!(letter.recipients.len(), 2);
        assert!(letter.header("subject").starts_with("[testing] "), "{}", letter.text);
        let names: Vec<String> = letter
            .headers()
            .iter()
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().expect("a name").to_lowercase())
            .collect();
        let own = [
            "from",
            "to",
            "subject",
            "message-id",
            "date",
            "auto-submitted",
            "content-type",
            "content-transfer-encoding",
        ];
        assert!(names.iter().all(|name| own.contains(&name.as_str())), "{names:?}");
        assert_eq!(names.len(), own.len(), "{names:?}");
        assert!(letter.body().contains("raised once"), "{}", letter.text);
    }
}

#[tokio::test]
async fn a_text_without_end_is_cut_for_the_channels_and_kept_whole() {
    let post = Post::new().await;
    post.raise(&told(&"tität ".repeat(1000), &"é".repeat(100_000), "")).await;
    post.send(start()).await;
    let body = post.web.got()[0].json();
    let length = |key: &str| body[key].as_str().expect("a text").chars().count();
    assert_eq!((length("title"), length("text")), (201, 3001));
    assert_eq!(body["next_step"], json!(null));
    assert_eq!(post.world.scalar::<i32>("select length(text) from bursar.alerts").await, 100_000);
}

/// What Slack shows of an escaped text.
fn shown(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[test]
fn any_words_arrive_as_they_are_and_steer_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let post = runtime.block_on(Post::with("format = \"slack\""));
    proptest!(ProptestConfig::with_cases(24), |(title in "\\PC{1,60}", text in "\\PC{0,200}")| {
        runtime.block_on(async {
            sqlx::query("truncate bursar.alerts cascade").execute(&post.pool).await.expect("truncate");
            post.raise(&told(&title, &text, "")).await;
            post.send(start()).await;
        });
        let posted = post.web.got().last().expect("a request").json();
        let posted = posted["text"].as_str().expect("a text");
        prop_assert!(!posted.contains(['<', '>']));
        let plain = |text: &str| text.replace(['\u{2028}', '\u{2029}'], " ").trim().to_owned();
        prop_assert_eq!(shown(posted), format!("*{}*\n{}", plain(&format!("[testing] {title}")), text.trim()));
        let letter = post.mail.got().pop().expect("a mail");
        prop_assert_eq!(letter.recipients.len(), 2);
    });
}

#[tokio::test]
async fn an_installation_without_a_name_tells_the_bare_title() {
    let post = Post::new().await;
    post.world.edit("bursar.toml", |text| text.replace("environment = \"testing\"\n", ""));
    post.raise(&alert("nightly")).await;
    let stop = tokio_util::sync::CancellationToken::new();
    bursar::notify::send::send_due(&post.pool, &post.channels(), start(), &stop).await.expect("the database");
    assert_eq!(post.posted(), ["nightly failed"]);
}
