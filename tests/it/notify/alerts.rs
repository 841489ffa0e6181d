//! Raising and resolving: one open alert for each condition, one notice for each change.

use super::{Post, alert, day, start};
use bursar::notify::alert::{Kind, Subject, Which, list, raise, resolve};
use futures_util::future::join_all;
use proptest::prelude::*;
use sqlx::{Connection, Row};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_raised_a_thousand_times_at_once_is_one_notice() {
    let post = Post::new().await;
    let raising = (0..4).map(|_| async {
        let mut newly = 0;
        for _ in 0..250 {
            newly += i32::from(post.raise(&alert("nightly")).await);
        }
        newly
    });
    assert_eq!(join_all(raising).await.iter().sum::<i32>(), 1);
    assert_eq!((post.count("alerts").await, post.count("notices").await), (1, 1));
    assert_eq!(post.world.scalar::<i64>("select raised_count from bursar.alerts").await, 1000);
    assert_eq!(post.send(start()).await, 2);
    assert_eq!((post.web.got().len(), post.mail.got().len()), (1, 1));
    assert_eq!(post.web.got()[0].json()["count"], 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_resolve_at_once_resolve_one_time() {
    let post = Post::new().await;
    post.raise(&alert("nightly")).await;
    let resolving = (0..8).map(|_| async { i32::from(post.resolve(&alert("nightly")).await) });
    assert_eq!(join_all(resolving).await.iter().sum::<i32>(), 1);
    assert_eq!(post.count("notices where event = 'resolved'").await, 1);
    assert!(!post.resolve(&alert("other")).await, "there is no such alert");
}

#[tokio::test]
async fn what_is_raised_in_a_transaction_that_is_rolled_back_is_no_alert() {
    let post = Post::new().await;
    let mut connection = post.world.connect().await;
    let mut transaction = connection.begin().await.expect("begin");
    assert!(raise(&mut transaction, &alert("nightly")).await.expect("raise"));
    transaction.rollback().await.expect("roll back");
    assert_eq!((post.count("alerts").await, post.count("notices").await), (0, 0));
    post.raise(&alert("nightly")).await;
    let mut transaction = connection.begin().await.expect("begin");
    assert!(resolve(&mut transaction, &alert("nightly").key(), "over").await.expect("resolve"));
    drop(transaction);
    assert_eq!(post.count("alerts where state = 'open'").await, 1);
    assert_eq!(post.count("notices").await, 1);
}

#[tokio::test]
async fn one_who_waits_for_another_transaction_raises_after_it_whatever_becomes_of_it() {
    let post = Post::new().await;
    for (rolled_back, newly) in [(true, true), (false, false)] {
        let alert = alert(if rolled_back { "back" } else { "forth" });
        let mut first = post.world.connect().await;
        let mut transaction = first.begin().await.expect("begin");
        assert!(raise(&mut transaction, &alert).await.expect("raise"));
        let (raised, ()) = tokio::join!(post.raise(&alert), async {
            if rolled_back {
                transaction.rollback().await.expect("roll back");
            } else {
                transaction.commit().await.expect("commit");
            }
        });
        assert_eq!(raised, newly, "rolled back: {rolled_back}");
    }
    assert_eq!(post.count("notices").await, 2);
}

#[tokio::test]
async fn an_open_alert_that_is_raised_again_tells_what_is_true_now() {
    let post = Post::new().await;
    let mut again = alert("nightly");
    assert!(post.raise(&again).await);
    (again.title, again.text, again.next_step) = ("worse".to_owned(), "than before".to_owned(), "run".to_owned());
    assert!(!post.raise(&again).await);
    let mut connection = post.pool.acquire().await.expect("a connection");
    let kept = &list(&mut connection, Which::Open, 10).await.expect("alerts")[0];
    assert_eq!((kept.title.as_str(), kept.text.as_str(), kept.next_step.as_str()), ("worse", "than before", "run"));
    assert!(kept.last_raised_at > kept.raised_at);
    assert_eq!((kept.raised_count, kept.kind.as_str(), kept.run_date), (2, "run_failed", Some(day(13))));
}

#[tokio::test]
async fn a_condition_that_comes_back_is_a_new_alert() {
    let post = Post::new().await;
    assert!(post.raise(&alert("nightly")).await);
    assert!(post.resolve(&alert("nightly")).await);
    assert!(post.raise(&alert("nightly")).await);
    let mut connection = post.pool.acquire().await.expect("a connection");
    let states =
        |kept: Vec<bursar::notify::alert::Kept>| -> Vec<String> { kept.into_iter().map(|k| k.state).collect() };
    assert_eq!(states(list(&mut connection, Which::All, 10).await.expect("alerts")), ["open", "resolved"]);
    assert_eq!(states(list(&mut connection, Which::Open, 10).await.expect("alerts")), ["open"]);
    assert_eq!(states(list(&mut connection, Which::All, 1).await.expect("alerts")), ["open"]);
}

#[tokio::test]
async fn words_that_postgresql_does_not_take_do_not_undo_what_they_tell_of() {
    let post = Post::new().await;
    let mut odd = alert("nightly");
    odd.text = "a NUL\0, a quote ' and \u{1F4A5}".to_owned();
    assert!(post.raise(&odd).await);
    let mut connection = post.pool.acquire().await.expect("a connection");
    assert!(resolve(&mut connection, &odd.key(), "\0").await.expect("resolve"));
    let text: String = post.world.scalar("select text from bursar.alerts").await;
    assert_eq!(text, "a NUL\u{fffd}, a quote ' and \u{1F4A5}");
}

#[tokio::test]
async fn every_kind_has_its_word_in_the_table() {
    let post = Post::new().await;
    for kind in Kind::ALL {
        assert!(post.raise(&bursar::notify::alert::Alert { kind, ..alert("nightly") }).await, "{kind}");
        assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
    }
    assert_eq!(post.count("alerts").await, i64::try_from(Kind::ALL.len()).expect("a number"));
}

#[test]
fn the_key_tells_one_condition_from_another() {
    let file = Subject::file("nightly", "ratings", "agency_a", day(13));
    assert_eq!(file.key(Kind::FileMissing), "file_missing nightly/ratings/agency_a/2025-05-13");
    assert_eq!(Subject::run("nightly", day(13)).key(Kind::RunFailed), "run_failed nightly/2025-05-13");
    let others = [
        Subject::file("nightly", "ratings", "agency_b", day(13)),
        Subject::file("nightly", "sales", "agency_a", day(13)),
        Subject::file("daily", "ratings", "agency_a", day(13)),
        Subject::file("nightly", "ratings", "agency_a", day(14)),
    ];
    for other in others {
        assert_ne!(other.key(Kind::FileMissing), file.key(Kind::FileMissing));
    }
    assert_ne!(file.key(Kind::FileLate), file.key(Kind::FileMissing));
}

/// What is open, how often each was opened and closed, after these steps.
fn expected(steps: &[(usize, bool)]) -> (BTreeMap<usize, i64>, i64, i64) {
    let (mut open, mut raised, mut resolved) = (BTreeMap::new(), 0, 0);
    for (which, is_raised) in steps {
        if *is_raised {
            raised += i64::from(!open.contains_key(which));
            *open.entry(*which).or_insert(0) += 1;
        } else {
            resolved += i64::from(open.remove(which).is_some());
        }
    }
    (open, raised, resolved)
}

#[test]
fn whatever_is_raised_and_resolved_each_change_is_one_notice() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let post = runtime.block_on(Post::new());
    let steps = prop::collection::vec((0_usize..3, any::<bool>()), 0..25);
    proptest!(ProptestConfig::with_cases(24), |(steps in steps)| {
        let (open, raised, resolved) = expected(&steps);
        runtime.block_on(async {
            sqlx::query("truncate bursar.alerts cascade").execute(&post.pool).await.expect("truncate");
            for (which, is_raised) in &steps {
                let alert = alert(&format!("job{which}"));
                if *is_raised { post.raise(&alert).await } else { post.resolve(&alert).await };
            }
        });
        let found = runtime.block_on(async {
            let query = "select job, raised_count from bursar.alerts where state = 'open'";
            let rows = sqlx::query(query).fetch_all(&post.pool).await.expect("alerts");
            let open: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            (open, post.count("notices where event = 'raised'").await, post.count("notices where event = 'resolved'").await)
        });
        let open: BTreeMap<String, i64> = open.into_iter().map(|(which, n)| (format!("job{which}"), n)).collect();
        prop_assert_eq!(found, (open, raised, resolved));
    });
    drop(runtime.enter());
}
