//! Sending: each notice once on each channel, through failures, stops, deaths and company.

use super::servers::{Mood, Web};
use super::{Post, alert, start};
use crate::running::until;
use bursar::notify::Channels;
use bursar::notify::send::send_due;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

/// When a channel is asked again.
async fn next_at(post: &Post, channel: &str) -> DateTime<Utc> {
    post.world
        .scalar(&format!(
            "select max(next_at) from bursar.notice_channels where channel = '{channel}' and state = 'pending'"
        ))
        .await
}

#[tokio::test]
async fn a_notice_is_told_once_on_each_channel() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    let now = start();
    assert_eq!(post.send(now).await, 2);
    assert_eq!(post.send(now + TimeDelta::days(2)).await, 0);
    assert_eq!((post.web.got().len(), post.mail.got().len()), (1, 1));
    assert_eq!(post.count("notice_channels where state = 'sent' and claimed_until is null").await, 2);
}

#[tokio::test]
async fn that_it_is_over_is_told_once_and_after_that_it_began() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    // However short the pause were that is drawn for it, it would not be over while this is tried.
    post.web.does(Web::Answer(503, "retry-after: 30\r\n", String::new()));
    post.send(start()).await;
    post.resolve(&alert("nightly")).await;
    post.web.does(Web::status(200));
    assert_eq!(post.send(start()).await, 1, "the mail; the webhook has not been told that it began");
    let later = start() + TimeDelta::minutes(1);
    assert_eq!(post.send(later).await, 2);
    assert_eq!(post.send(later).await, 0);
    assert_eq!(post.posted(), ["[testing] nightly failed", "[testing] Resolved: nightly failed"]);
    assert_eq!(post.mail.got()[1].header("subject"), "[testing] Resolved: nightly failed");
    assert_eq!(post.web.taken()[1].json()["text"], "it ran well since");
}

#[tokio::test]
async fn a_channel_that_is_down_keeps_no_other_waiting_and_is_told_when_it_is_back() {
    let post = Post::new().await;
    for down in [Web::status(500), Web::status(403), Web::Cut, Web::Answer(302, "location: /x\r\n", String::new())] {
        let (mails, posts) = (post.mail.got().len(), post.web.taken().len());
        post.web.does(down);
        let name = format!("job{mails}");
        post.raise(&alert(&name)).await;
        let now = start();
        assert_eq!(post.send(now).await, 1, "the mail");
        assert_eq!((post.mail.got().len(), post.web.taken().len()), (mails + 1, posts));
        post.web.does(Web::status(200));
        assert_eq!(post.send(now + TimeDelta::minutes(1)).await, 1);
        assert_eq!(post.posted().last(), Some(&format!("[testing] {name} failed")));
    }
}

#[tokio::test]
async fn mail_that_is_down_keeps_no_webhook_waiting_and_is_told_when_it_is_back() {
    let post = Post::new().await;
    let moods = [
        Mood::Cut,
        Mood::CutLate,
        Mood::Refuse("550 nobody here".to_owned()),
        Mood::Echo("535 no"),
        Mood::Echo("454 later"),
    ];
    for (i, down) in moods.into_iter().enumerate() {
        post.mail.does(down);
        post.raise(&alert(&format!("job{i}"))).await;
        let now = start();
        assert_eq!(post.send(now).await, 1, "the webhook");
        post.mail.does(Mood::Take);
        assert_eq!(post.send(now + TimeDelta::minutes(1)).await, 1);
        assert_eq!(post.mail.got().len(), i + 1);
    }
}

#[tokio::test]
async fn a_webhook_is_left_alone_as_long_as_it_asks() {
    let post = Post::new().await;
    let tomorrow =
        Box::leak(format!("retry-after: {}\r\n", (Utc::now() + TimeDelta::days(1)).to_rfc2822()).into_boxed_str());
    for (i, (headers, asked_s)) in [("retry-after: 120\r\n", 120), (tomorrow, 3600)].into_iter().enumerate() {
        post.web.does(Web::Answer(429, headers, String::new()));
        for job in ["a", "b"] {
            post.raise(&alert(&format!("{job}{i}"))).await;
        }
        let (now, tried) = (start(), post.web.got().len());
        post.send(now).await;
        assert_eq!(post.web.got().len(), tried + 1, "one is enough to know that it takes none");
        post.web.does(Web::status(200));
        assert_eq!(post.send(now + TimeDelta::seconds(asked_s - 1)).await, 0);
        assert_eq!(post.send(now + TimeDelta::seconds(asked_s + 10)).await, 2);
    }
}

#[tokio::test]
async fn the_pauses_grow_to_a_quarter_of_an_hour_and_after_a_day_it_is_given_up() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    post.web.does(Web::status(503));
    let began = start();
    let (mut now, mut attempts) = (began, 0);
    while now - began < TimeDelta::hours(24) {
        post.send(now).await;
        attempts += 1;
        assert_eq!(post.web.got().len(), attempts);
        let next = next_at(&post, "webhook").await;
        let most = (10 << (attempts - 1).min(10)).min(900);
        // The attempt itself takes a moment, in which the clock runs on.
        assert!(next >= now && next <= now + TimeDelta::seconds(most + 5), "{attempts}: {}", next - now);
        now = next.max(now + TimeDelta::minutes(10));
    }
    assert_eq!(post.send(now).await, 0);
    assert_eq!(post.web.got().len(), attempts, "it is not tried again");
    let query = "select last_error from bursar.notice_channels where state = 'given_up' and channel = 'webhook'";
    assert_eq!(post.world.scalar::<String>(query).await, "127.0.0.1 answered 503 Service Unavailable");
    assert_eq!(post.mail.got().len(), 1);
    post.web.does(Web::status(200));
    post.resolve(&alert("nightly")).await;
    let only_now = "update bursar.notices set created_at = $1 where event = 'resolved'";
    sqlx::query(only_now).bind(now).execute(&post.pool).await.expect("set the time");
    assert_eq!(post.send(now + TimeDelta::minutes(1)).await, 2, "that it is over is told all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_daemons_tell_each_notice_once() {
    let post = Post::new().await;
    for i in 0..40 {
        post.raise(&alert(&format!("job{i}"))).await;
    }
    let now = start();
    let sent: usize = join_all((0..4).map(|_| post.send(now))).await.into_iter().sum();
    assert_eq!(sent, 80);
    let posted: BTreeSet<String> = post.posted().into_iter().collect();
    let mailed: BTreeSet<String> = post.mail.got().iter().map(|letter| letter.header("subject")).collect();
    assert_eq!((posted.len(), post.web.got().len()), (40, 40));
    assert_eq!((mailed.len(), post.mail.got().len()), (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_daemon_had_claimed_is_told_when_its_claim_lapses() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    post.web.does(Web::Hang);
    let (pool, channels, now) = (post.pool.clone(), post.channels(), start());
    let killed = tokio::spawn(async move { send_due(&pool, &channels, now, &CancellationToken::new()).await });
    until("it is posted", async || post.web.got().len() == 1).await;
    until("the mail is recorded", async || post.count("notice_channels where state = 'sent'").await == 1).await;
    killed.abort();
    assert!(killed.await.expect_err("it was killed").is_cancelled());
    post.web.does(Web::status(200));
    assert_eq!(post.send(now + TimeDelta::seconds(50)).await, 0);
    assert_eq!(post.send(now + TimeDelta::seconds(70)).await, 1);
    let [first, second] = &post.web.got()[..] else { panic!("{:?}", post.web.got()) };
    assert!(first.header("idempotency-key").is_some());
    assert_eq!(first.header("idempotency-key"), second.header("idempotency-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stops_waits_for_no_channel_and_lets_go_of_what_it_had_claimed() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    post.web.does(Web::Hang);
    let (pool, channels, now, stop) = (post.pool.clone(), post.channels(), start(), CancellationToken::new());
    let stopped = stop.clone();
    let sending = tokio::spawn(async move { send_due(&pool, &channels, now, &stopped).await });
    until("it is posted", async || post.web.got().len() == 1 && post.mail.got().len() == 1).await;
    until("the mail is recorded", async || post.count("notice_channels where state = 'sent'").await == 1).await;
    stop.cancel();
    assert_eq!(sending.await.expect("an end").expect("the database"), 1);
    post.web.does(Web::status(200));
    assert_eq!(post.send(now).await, 1);
}

#[tokio::test]
async fn a_stopped_daemon_begins_nothing() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(send_due(&post.pool, &post.channels(), start(), &stop).await.expect("the database"), 0);
    assert_eq!((post.web.got().len(), post.mail.got().len()), (0, 0));
    assert_eq!(post.send(start()).await, 2);
}

#[tokio::test]
async fn without_a_channel_notices_wait_for_a_week_and_alerts_stay() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    let send = async |now| {
        send_due(&post.pool, &Channels::default(), now, &CancellationToken::new()).await.expect("the database")
    };
    assert_eq!(send(start() + TimeDelta::days(6)).await, 0);
    assert_eq!(post.count("notices").await, 1);
    assert_eq!(send(start() + TimeDelta::days(8)).await, 0);
    assert_eq!((post.count("notices").await, post.count("alerts").await), (0, 1));
}

#[tokio::test]
async fn a_channel_that_is_new_is_told_what_is_still_open_and_not_what_is_long_over() {
    let post = Post::new().await;
    for job in ["over", "open"] {
        post.raise(&alert(job)).await;
    }
    post.resolve(&alert("over")).await;
    assert_eq!(post.send(start() + TimeDelta::days(3)).await, 2);
    assert_eq!(post.posted(), ["[testing] open failed"]);
}

#[tokio::test]
async fn with_nothing_to_send_a_look_is_one_query_that_reads_only_indexes() {
    let post = Post::new().await;
    sqlx::raw_sql(
        "insert into bursar.alerts (key, kind, title, text, next_step)
              select n::text, 'run_failed', '', '', '' from generate_series(1, 5000) as n;
         insert into bursar.notices (alert_id, event, addressed_at)
              select id, 'raised', now() from bursar.alerts;
         insert into bursar.notice_channels (notice_id, channel, state, next_at, sent_at)
              select id, 'webhook', 'sent', now(), now() from bursar.notices;
         analyze bursar.notices, bursar.notice_channels",
    )
    .execute(&post.pool)
    .await
    .expect("a history");
    let queries = [
        "select from bursar.notices where addressed_at is null",
        "select from bursar.notice_channels where channel = any (array['webhook', 'mail']) and state = 'pending' and next_at <= now()",
    ];
    for query in queries {
        let explain = sqlx::AssertSqlSafe(format!("explain {query}"));
        let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&post.pool).await.expect("a plan");
        let plan = plan.join("\n");
        assert!(plan.contains("notices_unaddressed") || plan.contains("notice_channels_pending"), "{plan}");
    }
    assert_eq!(post.send(start()).await, 0);
}

#[tokio::test]
async fn a_database_that_is_away_is_the_only_failure() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    let channels = post.channels();
    post.pool.close().await;
    let error = send_due(&post.pool, &channels, start(), &CancellationToken::new()).await.expect_err("no database");
    assert_eq!(bursar::fault::judge(&error), bursar::fault::Fault::Transient);
}
