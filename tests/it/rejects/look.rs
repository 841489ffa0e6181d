//! Listed, shown and let go.

use super::{DATE, ids, three_rejects};
use crate::support::{World, ratings};
use bursar::rows::quarantine::{Filter, discard};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn rejects_are_listed_by_what_is_asked_for_and_page_by_page() {
    let world = three_rejects().await;
    let count = |arguments: &[&str]| {
        let ran = world.bursar(&[&["rejects", "list", "--json"], arguments].concat()).code(0);
        ran.json().as_array().expect("a list").len()
    };
    let ids = ids(&world);
    assert_eq!(ids.len(), 3);
    let load: i64 = world.scalar("select id from bursar.loads where customer = 'agency_a'").await;
    for (arguments, expected) in [
        (vec!["--load", &load.to_string()], 3),
        (vec!["--dataset", "customer_rating", "--date", DATE], 3),
        (vec!["--customer", "agency_b"], 0),
        (vec!["--from", "2025-05-14"], 0),
        (vec!["--to", "2025-05-12"], 0),
        (vec!["--code", "not_an_integer"], 1),
        (vec!["--code", "null"], 1),
        (vec!["--column", "customer_number"], 1),
        (vec!["--column", "customer_number", "--code", "stray_quote"], 0),
        (vec!["--column", "", "--code", "stray_quote"], 1),
        (vec!["--status", "resolved"], 0),
        (vec!["--status", "all"], 3),
        (vec!["--limit", "2"], 2),
        (vec!["--after", &ids[1].to_string()], 1),
    ] {
        assert_eq!(count(&arguments), expected, "{arguments:?}");
    }
    world.bursar(&["rejects", "list", "--load", "999"]).code(64);
    let page = world.bursar(&["rejects", "list", "--limit", "2"]).code(0);
    assert!(page.stdout.contains(&format!("there may be more: --after {}", ids[1])), "{}", page.stdout);
    assert!(!page.stdout.contains('\u{1b}'), "what was delivered does nothing to the terminal: {}", page.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reject_is_shown_with_its_bytes_place_and_errors_and_nothing_that_moves_the_cursor() {
    let world = three_rejects().await;
    let id = ids(&world)[0];
    let shown = world.bursar(&["rejects", "show", &id.to_string()]).code(0).stdout;
    for said in [
        "x\\u{1b}[31m,10,20,low\\r\\n",
        "line 3, bytes 93 to 111",
        "not_an_integer",
        "agency_a",
        "open",
        "customer_rating_limit",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let kept = world.bursar(&["rejects", "show", &id.to_string(), "--json"]).code(0).json();
    assert_eq!(kept["raw"], "781b5b33316d2c31302c32302c6c6f770d0a");
    assert_eq!((&kept["line"], &kept["byte_offset"], &kept["byte_length"]), (&json!(3), &json!(93), &json!(18)));
    assert_eq!(kept["payload"]["customer_status"], "low");
    let ran = world.bursar(&["rejects", "show", "999999"]).code(64);
    assert!(ran.stderr.contains("there is no reject 999999; `bursar rejects list` lists them"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_asked_for_is_let_go_and_who_and_why_is_kept() {
    let world = three_rejects().await;
    let ids = ids(&world);
    let first = ids[0].to_string();
    for (arguments, said) in [
        (vec!["--reason", "x", "--yes"], "say which: numbers, --all-of-load, or a filter"),
        (vec!["--reason", "x", "--load", "1", "--yes"], "say so with --all-of-load"),
        (vec!["--reason", " ", &first, "--yes"], "--reason is blank"),
        (vec!["--reason", "x", &first], "there is no terminal to ask on; say --yes"),
    ] {
        let ran = world.bursar(&[&["rejects", "discard"], &arguments[..]].concat()).code(64);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    assert_eq!(super::ids(&world), ids);
    let discard = |arguments: &[&str]| {
        let ran =
            world.bursar(&[&["rejects", "discard", "--reason", "a test row", "--yes", "--json"], arguments].concat());
        ran.code(0).json()["discarded"].clone()
    };
    assert_eq!(discard(&[&first]), 1);
    assert_eq!(discard(&[&first]), 0, "what is closed stays closed");
    let shown = world.bursar(&["rejects", "show", &first]).code(0).stdout;
    assert!(shown.contains("discarded") && shown.contains("a test row") && shown.contains("by "), "{shown}");
    assert_eq!(discard(&["--code", "null", "--customer", "agency_a"]), 1);
    let load: i64 = world.scalar("select id from bursar.loads where customer = 'agency_a'").await;
    assert_eq!(discard(&["--all-of-load", &load.to_string()]), 1);
    assert_eq!(super::ids(&world), Vec::<i64>::new());
    let kept: i64 = world
        .scalar("select count(*) from bursar.file_invalid_rows where status = 'discarded' and closed_by like '%@%'")
        .await;
    assert_eq!(kept, 3, "nothing is deleted");
}

/// `jsonb` can't hold one, and the reasons are read as that.
#[tokio::test(flavor = "multi_thread")]
async fn a_nul_in_the_configuration_makes_no_reject_unreadable() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("name = \"customer_status\"", "name = \"customer_status\"\npattern = \"[^\\u0000]?\"")
    });
    world.deliver_all();
    world.deliver("A", ratings(&["1,2,3,low-value"]));
    world.run_job(DATE, &[]);
    let listed = world.bursar(&["rejects", "list", "--customer", "agency_a", "--json"]).code(0).json();
    assert_eq!(listed[0]["errors"][0]["message"], "\"low-value\" does not match ^(?:[^\u{fffd}]?)$");
}

/// Somebody is asked about what was counted; meanwhile another load brings more of the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_counted_is_not_discarded() {
    let world = three_rejects().await;
    let mut connection = world.connect().await;
    let filter = Filter { dataset: Some("customer_rating".to_owned()), ..Filter::default() };
    let found = discard::count(&mut connection, &filter).await.expect("a count");
    world.run_job("2025-05-12", &["--force"]).code(0);
    let gone = discard::discard(&mut connection, &filter, &found, "who@where", "why").await.expect("discarded");
    assert_eq!(i64::try_from(gone).expect("a count"), found.count);
    let open: Vec<String> = world
        .column("select distinct l.run_date::text from bursar.rejects as r join bursar.loads as l on l.id = r.load_id where r.status = 'open'")
        .await;
    assert_eq!(open, ["2025-05-12"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_codes_and_numbers_that_nobody_knows_are_wrong_usage() {
    let world = three_rejects().await;
    for (arguments, hint) in [
        (
            &["rejects", "list", "--dataset", "customer_ratings"][..],
            "no dataset \"customer_ratings\"; did you mean \"customer_rating\"?",
        ),
        (&["rejects", "list", "--customer", "agency_x"], "there is no customer \"agency_x\"; did you mean"),
        (&["rejects", "triage", "--customer", "nobody"], "there is no customer \"nobody\"; known are agency_a, "),
        (&["rejects", "export", "--customer", "nobody"], "there is no customer \"nobody\""),
        (&["rejects", "discard", "--dataset", "zz", "--reason", "x", "--yes"], "there is no dataset \"zz\""),
        (
            &["rejects", "discard", "5", "--reason", "x", "--yes"],
            "there is no reject 5; `bursar rejects list` lists them",
        ),
        (
            &["rejects", "list", "--code", "nonsense"],
            "no code of an error; known are record_too_long, unclosed_quote, ",
        ),
        (&["loads", "list", "--dataset", "zz"], "there is no dataset \"zz\""),
        (&["loads", "list", "--customer", "nobody"], "there is no customer \"nobody\""),
    ] {
        let ran = world.bursar(arguments).code(64);
        assert!(ran.stderr.contains(hint), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_loaded_of_a_former_customer_is_still_listed() {
    let world = three_rejects().await;
    world.edit("customers.toml", |text| text.replace("\"agency_a\"", "\"agency_e\""));
    assert_eq!(ids(&world).len(), 3);
    let loads = world.bursar(&["loads", "list", "--customer", "agency_a", "--json"]).code(0).json();
    assert_eq!(loads.as_array().expect("a list").len(), 1);
    assert_eq!(world.bursar(&["deliveries", "--customer", "agency_a", "--json"]).code(0).json(), json!([]));
    assert_eq!(world.bursar(&["rejects", "list", "--customer", "agency_e", "--json"]).code(0).json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discard_that_is_said_again_is_no_fault() {
    let world = three_rejects().await;
    let id = ids(&world)[0].to_string();
    for expected in [1, 0] {
        let ran = world.bursar(&["rejects", "discard", &id, "--reason", "test", "--yes", "--json"]).code(0);
        assert_eq!(ran.json(), json!({"discarded": expected}));
    }
}
