//! Held loads: their rows are kept, and an operator publishes them as they are or lets them go.

use crate::support::{Ran, World, ratings};

/// Yesterday's rows in the table, today's load held for its rejects.
async fn held(publish: &str) -> World {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("\n[gate]", &format!("\n{publish}\n[gate]\nmax_rejects = 1"))
    });
    world.deliver_all();
    world.deliver("A", ratings(&["1,2,3,low-value"]));
    world.run_job("2025-05-13", &["--customer", "agency_a"]).code(0);
    world.deliver("A", ratings(&["4,5,6,low-value", "x,1,1,low-value", "y,1,1,low-value", "7,8,9,high-value"]));
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(65);
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)"]);
    world
}

fn decide(world: &World, verdict: &str, more: &[&str]) -> Ran {
    world.bursar(&[&["loads", verdict, "2", "--reason", "they told us on the phone"], more].concat())
}

const ACCEPTED: [&str; 2] = ["(4,5,6,low-value)", "(7,8,9,high-value)"];

#[tokio::test(flavor = "multi_thread")]
async fn a_held_load_is_published_without_its_file_and_the_reason_is_kept() {
    for publish in ["publish = \"truncate\"", "publish = \"swap\"", "publish = \"segments\"", "publish = \"auto\""] {
        let world = held(publish).await;
        std::fs::remove_file(world.path("inbox/ratings/Customer Rating Agency A Inc.csv")).expect("the file");
        let accepted = decide(&world, "accept", &["--json"]).code(0).json();
        assert_eq!(accepted[0]["state"], "published", "{publish}");
        assert_eq!(world.rows("agency_a").await, ACCEPTED, "{publish}");
        let kept: String = world.scalar("select concat_ws('/', state, is_current, decision, decision_reason, decided_by <> '', publication > id, jsonb_array_length(reasons)) from bursar.loads where id = 2").await;
        assert_eq!(kept, "published/t/accepted/they told us on the phone/t/t/1", "{publish}");
        let measures: String = world.scalar("select count_customer_number::text from bursar.load_measures_customer_rating where customer = 'agency_a' and run_date = '2025-05-14'").await;
        assert_eq!(measures, "2", "{publish}: reports count it");
        let open: i64 =
            world.scalar("select count(*) from bursar.file_invalid_rows where status = 'open' and load_id = 2").await;
        assert_eq!(open, 2, "{publish}: its rejects stay");
        assert_eq!(world.scalar::<i64>("select count(*) from bursar.alerts where state = 'open'").await, 0);
        let left: i64 = world
            .scalar(
                "select count(*) from pg_class where relnamespace = 'bursar_staged'::regnamespace and relkind = 'r'",
            )
            .await;
        assert_eq!(left, i64::from(publish.contains("segments")), "{publish}");
        let again = decide(&world, "accept", &[]).code(65);
        assert!(again.messages().contains("load 2 is published"), "{}", again.messages());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_views_takes_a_held_load_too() {
    let world = held("publish = \"swap\"").await;
    world.sql("create view mine as select * from customer_rating_agency_a").await;
    decide(&world, "accept", &[]).code(0);
    assert_eq!(world.column("select m::text from mine as m order by 1").await, ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_load_leaves_its_counts_and_no_rows() {
    let world = held("publish = \"truncate\"").await;
    decide(&world, "discard", &[]).code(0);
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)"]);
    assert_eq!(
        world
            .scalar::<String>(
                "select concat_ws('/', state, is_current, rejected, decision) from bursar.loads where id = 2"
            )
            .await,
        "discarded/f/2/discarded"
    );
    assert_eq!(
        world.scalar::<i64>("select count(*) from pg_class where relnamespace = 'bursar_staged'::regnamespace").await,
        0
    );
    decide(&world, "accept", &[]).code(65);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_load_never_takes_the_place_of_what_came_after_it() {
    let world = held("publish = \"swap\"").await;
    world.deliver("A", ratings(&["9,9,9,low-value"]));
    world.run_job("2025-05-15", &["--customer", "agency_a"]).code(0);
    let older = decide(&world, "accept", &[]).code(65);
    assert!(older.messages().contains("holds the rows of 2025-05-15"), "{}", older.messages());
    assert_eq!(world.rows("agency_a").await, ["(9,9,9,low-value)"]);
    world.deliver("A", ratings(&["8,8,8,low-value"]));
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
    let superseded = decide(&world, "accept", &["--publish"]).code(65);
    let told = "load 4 of the same run date came after load 2: that one is measured, so that nothing is left to decide";
    assert!(superseded.messages().contains(told), "{}", superseded.messages());
    world.bursar(&["migrate"]).code(0);
    let left: i64 = world
        .scalar("select count(*) from pg_class where relnamespace = 'bursar_staged'::regnamespace and relkind = 'r'")
        .await;
    assert_eq!(left, 0, "nobody can accept it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_held_load_takes_the_table_only_when_told_and_the_next_day_knows_it() {
    let world = held("publish = \"swap\"").await;
    world.deliver("A", ratings(&["9,9,9,low-value"]));
    world.run_job("2025-05-15", &["--customer", "agency_a"]).code(0);
    decide(&world, "accept", &["--publish"]).code(0);
    assert_eq!(world.rows("agency_a").await, ACCEPTED);
    // The table now holds the 14th: the 15th is newer again.
    world.deliver("A", ratings(&["9,9,9,low-value", "9,9,8,low-value"]));
    world.run_job("2025-05-15", &["--customer", "agency_a"]).code(0);
    assert_eq!(world.rows("agency_a").await.len(), 2);
    assert_eq!(world.scalar::<String>("select state from bursar.loads order by id desc limit 1").await, "published");
}

#[tokio::test(flavor = "multi_thread")]
async fn held_loads_are_decided_about_together_and_one_that_cannot_be_is_reported_by_itself() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("\n[gate]", "\n[gate]\nmax_rejects = 0"));
    for (code, date) in [("A", "2025-05-14"), ("B", "2025-05-14"), ("C", "2025-05-15")] {
        world.deliver(code, ratings(&[&format!("{},5,6,low-value", date.len()), "x,1,1,low-value"]));
        let customer = format!("agency_{}", code.to_lowercase());
        world.run_job(date, &["--customer", &customer]).code(65);
    }
    let bursar = |arguments: &[&str]| world.bursar(&[arguments, &["--reason", "known", "--json"]].concat());
    for (arguments, hint) in [
        (&["loads", "accept", "--all-held", "--reason", "known"][..], "--all-held needs --job, --dataset"),
        (&["loads", "accept", "1", "--date", "2025-05-14", "--reason", "known"], "which is not given"),
        (&["loads", "accept", "--reason", "known"], "required"),
        (&["loads", "accept", "--all-held", "--job", "customer-rating", "--reason", "known"], "did you mean"),
    ] {
        let said = world.bursar(arguments).code(64).stderr;
        assert!(said.contains(hint), "{said}");
    }
    let none = bursar(&["loads", "discard", "--all-held", "--job", "receivables"]).code(0).json();
    assert_eq!(none, serde_json::json!([]));
    // The columns of agency_a have changed since: it is reported, and the other one is published.
    world.sql("alter table customer_rating_agency_a drop column customer_status cascade").await;
    let ran = bursar(&["loads", "accept", "--all-held", "--date", "2025-05-14", "--job", "customer-ratings"]).code(78);
    let results = ran.json();
    assert_eq!((&results[0]["load"], &results[0]["fault"]), (&1.into(), &"config".into()));
    assert_eq!((&results[1]["load"], &results[1]["state"]), (&2.into(), &"published".into()));
    let discarded = bursar(&["loads", "discard", "1", "2", "3"]).code(65).json();
    let states: Vec<&str> = discarded.as_array().unwrap().iter().filter_map(|r| r["state"].as_str()).collect();
    assert_eq!(states, ["discarded", "discarded"]);
    assert!(discarded[1]["error"].as_str().unwrap().contains("load 2 is published"), "{discarded}");
    assert_eq!(world.scalar::<i64>("select count(*) from bursar.alerts where state = 'open'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_are_listed_and_shown() {
    let world = held("publish = \"swap\"").await;
    let listed = world.bursar(&["loads", "list", "--state", "held", "--json"]).code(0).json();
    assert_eq!(listed.as_array().expect("a list").len(), 1);
    assert_eq!((&listed[0]["id"], &listed[0]["rejected"]), (&2.into(), &2.into()));
    let shown = world.bursar(&["loads", "show", "1", "--json"]).code(0).json();
    assert_eq!(shown["state"], "published");
    assert_eq!(shown["certificate"]["loaded"], 1);
    for command in [
        &["loads", "show", "99"][..],
        &["loads", "accept", "99", "--reason", "they told us"],
        &["loads", "discard", "99", "--reason", "they told us"],
        &["rejects", "list", "--load", "99"],
        &["rejects", "triage", "--load", "99"],
        &["rejects", "export", "--load", "99"],
        &["rejects", "discard", "--load", "99", "--code", "null", "--reason", "old", "--yes"],
        &["rejects", "discard", "--all-of-load", "99", "--reason", "old", "--yes"],
        &["rejects", "show", "99"],
        &["runs", "show", "99"],
    ] {
        let ran = world.bursar(command).code(64);
        assert!(ran.stderr.contains("there is no "), "{command:?}: {}", ran.stderr);
    }
    world.write("corrected.csv", "reject_id\n");
    world.bursar(&["rejects", "redrive", "corrected.csv", "--load", "99"]).code(64);
    world.bursar(&["loads", "list", "--state", "hold"]).code(64);
    world.bursar(&["loads", "accept", "2", "--reason", " "]).code(64);
    assert!(world.bursar(&["loads", "list"]).code(0).stdout.contains("max_rejects"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_load_is_in_nobodys_way_and_is_dressed_when_it_is_published() {
    for publish in ["swap", "truncate"] {
        let world = World::new().await;
        world.edit("datasets/customer_rating.toml", |text| {
            text.replace("\n[gate]", &format!("\npublish = \"{publish}\"\n[gate]\nmax_rejects = 1"))
        });
        world.deliver("A", ratings(&["1,2,3,low-value"]));
        world.run_job("2025-05-13", &["--customer", "agency_a"]).code(0);
        world.sql("alter table customer_rating_agency_a add primary key (customer_number); create index by_status on customer_rating_agency_a (customer_status)").await;
        world.deliver("A", ratings(&["4,5,6,low-value", "x,1,1,low-value", "y,1,1,low-value"]));
        world.run_job("2025-05-14", &["--customer", "agency_a"]).code(65);
        world.deliver("A", ratings(&["5,5,5,low-value"]));
        world.run_job("2025-05-15", &["--customer", "agency_a"]).code(0);
        world.sql("grant select on customer_rating_agency_a to pg_monitor").await;
        decide(&world, "accept", &["--publish"]).code(0);
        assert_eq!(world.rows("agency_a").await, ["(4,5,6,low-value)"], "{publish}");
        let indexes = world.column("select indexrelid::regclass::text from pg_index where indrelid = 'customer_rating_agency_a'::regclass order by 1").await;
        assert_eq!(indexes, ["by_status", "customer_rating_agency_a_pkey"], "{publish}");
        assert!(
            world
                .scalar::<bool>("select has_table_privilege('pg_monitor', 'customer_rating_agency_a', 'select')")
                .await,
            "{publish}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changed_since_takes_the_rows_of_a_held_load_as_it_is_now() {
    let world = held("publish = \"swap\"").await;
    world.sql("alter table customer_rating_agency_a add constraint positive check (customer_number > 0)").await;
    decide(&world, "accept", &[]).code(0);
    assert_eq!(world.rows("agency_a").await, ACCEPTED);
    assert_eq!(
        world
            .column("select conname::text from pg_constraint where conrelid = 'customer_rating_agency_a'::regclass")
            .await,
        ["positive"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_load_takes_the_way_that_its_dataset_says_and_the_ledger_says_why_where_it_does_not() {
    const HANGS: &str = "create view mine as select * from customer_rating_agency_a";
    const CHANGES: &str = "alter table customer_rating_agency_a add check (customer_number > 0)";
    const UNIQUE: &str = "create unique index one_number on customer_rating_agency_a (customer_number)";
    for (held_for, accepted_for, meanwhile, way, why) in [
        ("truncate", "truncate", "", "truncate", None),
        ("truncate", "truncate", HANGS, "truncate", None),
        ("auto", "auto", "", "truncate", None),
        ("swap", "swap", "", "swap", None),
        ("swap", "swap", HANGS, "truncate", Some("view mine depends on it")),
        ("swap", "swap", CHANGES, "truncate", Some("its columns, defaults, checks or storage are others")),
        (
            "swap",
            "swap",
            "alter table customer_rating_agency_a set (fillfactor = 70)",
            "truncate",
            Some("storage are others"),
        ),
        ("swap", "truncate", "", "truncate", None),
        ("truncate", "swap", "", "swap", None),
        ("swap", "segments", "", "truncate", Some("held for another way")),
        ("segments", "segments", "", "segments", None),
        ("segments", "segments", UNIQUE, "truncate", Some("one_number is unique")),
        ("segments", "swap", "", "truncate", Some("held for another way")),
    ] {
        let case = format!("held for {held_for}, accepted for {accepted_for}, {meanwhile}");
        let world = held(&format!("publish = \"{held_for}\"")).await;
        world.sql(meanwhile).await;
        world.edit("datasets/customer_rating.toml", |text| {
            text.replace(&format!("publish = \"{held_for}\""), &format!("publish = \"{accepted_for}\""))
        });
        let oid = "select 'customer_rating_agency_a'::regclass::oid::text";
        let before: String = world.scalar(oid).await;
        decide(&world, "accept", &[]).code(0);
        assert_eq!(world.rows("agency_a").await, ACCEPTED, "{case}");
        assert_eq!(before != world.scalar::<String>(oid).await, way == "swap", "{case}");
        assert_eq!(world.scalar::<String>("select way from bursar.loads where id = 2").await, way, "{case}");
        let told: Option<String> = world.scalar("select way_reason from bursar.loads where id = 2").await;
        match why {
            None => assert_eq!(told, None, "{case}"),
            Some(why) => assert!(told.as_deref().is_some_and(|told| told.contains(why)), "{case}: {told:?}"),
        }
    }
}

/// Two agencies whose report waits for both; the load of the first is held. Gives its run.
async fn held_before_the_report() -> (World, String) {
    let world = World::new().await;
    let customer = |code: &str| format!("[[customer]]\nname = \"agency_{}\"\ncode = {code:?}\n", code.to_lowercase());
    world.edit("customers.toml", |_| customer("A") + &customer("B"));
    world.edit("datasets/customer_rating.toml", |text| text.replace("\n[gate]", "\n[gate]\nmax_rejects = 1"));
    world.deliver("A", ratings(&["4,5,6,low-value", "x,1,1,low-value", "y,1,1,low-value"]));
    world.deliver("B", ratings(&["7,8,9,high-value"]));
    let run = world.run_job("2025-05-14", &["--json"]).code(65).json();
    assert_eq!(world.report("20250514"), None);
    (world, run["run"]["id"].as_str().expect("an id").to_owned())
}

/// Accepts the load that is held; gives what is left of its run.
async fn accept(world: &World) -> serde_json::Value {
    let id: i64 = world.scalar("select max(id) from bursar.loads where state = 'held'").await;
    let reason = ["--reason", "they told us on the phone", "--json"];
    world.bursar(&[&["loads", "accept", &id.to_string()][..], &reason].concat()).code(0).json()[0]["left"].clone()
}

const TASKS: &str = "select task || '/' || item || ' ' || state || ' ' || attempt from bursar.task_runs order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_an_accepted_load_goes_on_with_what_waited_and_reads_no_file_again() {
    for next_day in [None, Some(ratings(&["9,9,9,low-value"]))] {
        let (world, run) = held_before_the_report().await;
        assert_eq!(accept(&world).await, serde_json::json!(["report"]));
        let tasks = world.column(TASKS).await;
        assert_eq!(tasks, ["load/agency_a succeeded 1", "load/agency_b succeeded 1", "report/ skipped 0"]);
        std::fs::remove_file(world.path("inbox/ratings/Customer Rating Agency A Inc.csv")).expect("the file");
        if let Some(bytes) = &next_day {
            world.deliver("A", bytes);
        }
        let retried = world.bursar(&["runs", "retry", &run, "--json"]).code(0).json();
        assert_eq!(retried["state"], "succeeded");
        let of_a = retried["tasks"].as_array().into_iter().flatten().find(|task| task["item"] == "agency_a");
        let of_a = &of_a.expect("the load")["outcome"];
        assert_eq!((&of_a["state"], &of_a["certificate"]["loaded"]), (&"published".into(), &1.into()));
        assert_eq!(world.rows("agency_a").await, ["(4,5,6,low-value)"]);
        assert_eq!(world.scalar::<i64>("select count(*) from bursar.loads where is_current").await, 2);
        assert_eq!(world.report("20250514").expect("a report").lines().count(), 3);
        let again = world.bursar(&["runs", "retry", &run]).code(65).messages();
        assert!(again.contains("nothing in it failed"), "{again}");
        if next_day.is_some() {
            world.run_job("2025-05-14", &[]).code(0);
            assert_eq!(world.rows("agency_a").await, ["(9,9,9,low-value)"], "whoever asks for it has it loaded");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_makes_a_report_again_that_was_written_without_the_accepted_load() {
    let (world, _) = held_before_the_report().await;
    world.edit("jobs/customer-ratings.toml", |text| {
        text.replace("after = [\"load\"]", "after = [\"load\"]\nafter_any_outcome = true")
    });
    let run = world.run_job("2025-05-14", &["--json"]).code(65).json();
    let run = run["run"]["id"].as_str().expect("an id");
    assert_eq!(world.report("20250514").expect("a report").lines().count(), 2);
    assert_eq!(accept(&world).await, serde_json::json!(["report"]));
    world.bursar(&["runs", "retry", run]).code(0);
    assert_eq!(world.report("20250514").expect("a report").lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_over_when_nothing_waited_for_its_accepted_load() {
    let world = World::new().await;
    world.edit("jobs/customer-ratings.toml", |text| text.rsplit_once("[[task]]").expect("tasks").0.to_owned());
    world.edit("datasets/customer_rating.toml", |text| text.replace("\n[gate]", "\n[gate]\nmax_rejects = 0"));
    world.deliver("A", ratings(&["4,5,6,low-value", "x,1,1,low-value"]));
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(65);
    assert_eq!(accept(&world).await, serde_json::json!([]));
    let ended: String = world
        .scalar("select concat_ws('/', state, fault, error, (select state from bursar.task_runs)) from bursar.runs")
        .await;
    assert_eq!(ended, "succeeded/succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_accepted_after_a_vain_retry_counts_too() {
    let (world, run) = held_before_the_report().await;
    std::fs::remove_file(world.path("inbox/ratings/Customer Rating Agency A Inc.csv")).expect("the file");
    world.bursar(&["runs", "retry", &run]).code(65);
    assert_eq!(accept(&world).await, serde_json::json!(["report"]));
    world.bursar(&["runs", "retry", &run]).code(0);
    assert_eq!(world.rows("agency_a").await, ["(4,5,6,low-value)"]);
    assert!(world.report("20250514").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_load_that_was_overtaken_is_not_listed_among_those_to_be_decided_about() {
    let world = held("publish = \"swap\"").await;
    let list = |state: &str| world.bursar(&["loads", "list", "--state", state, "--json"]).code(0).json();
    let ids = |listed: &serde_json::Value| {
        listed.as_array().into_iter().flatten().map(|load| load["id"].clone()).collect::<Vec<_>>()
    };
    world.deliver("A", ratings(&["4,5,6,low-value", "x,1,1,low-value", "z,1,1,low-value"]));
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(65);
    assert_eq!((ids(&list("held")), ids(&list("overtaken"))), (vec![3.into()], vec![2.into()]));
    let earlier = decide(&world, "accept", &[]).code(65).messages();
    assert!(earlier.contains("load 3 of the same run date came after load 2: decide about that one"), "{earlier}");
    world.deliver("A", ratings(&["8,8,8,low-value"]));
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
    assert_eq!(list("held"), serde_json::json!([]));
    let overtaken = list("overtaken");
    assert_eq!((&overtaken[0]["state"], &overtaken[1]["overtaken_by"]), (&"held".into(), &4.into()));
    let earlier = decide(&world, "accept", &[]).code(65).messages();
    assert!(earlier.contains("that one is published, so that nothing is left to decide about this one"), "{earlier}");
    let table = world.bursar(&["loads", "list"]).code(0).stdout;
    assert!(table.contains("(overtaken"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn padded_rows_and_skipped_rows_are_reported_on_the_load_and_padded_ones_bounded_by_a_gate() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[gate]", "[dialect]\nragged = \"pad\"\nfooter_lines = 1\n\n[gate]\nmax_padded = 2")
            .replace("max_length = 25", "max_length = 25\nnullable = true")
    });
    world.deliver("A", ratings(&["1,2,3,low-value", "12,3,4", "5,6,7", "8,9,10,high-value"]));
    let loaded = crate::known::load(&world, "2025-05-13", "agency_a", &[]);
    assert_eq!((&loaded["state"], &loaded["certificate"]["padded"]), (&"published".into(), &2.into()));
    let told = [
        "2 of 3 loaded rows have fewer fields than the header and were padded with nulls",
        "1 of 1 lines that dialect.footer_lines = 1 skipped read as rows, the first on line 5",
    ];
    let shown = world.bursar(&["loads", "show", "1", "--json"]).code(0).json();
    for (i, note) in told.into_iter().enumerate() {
        for notes in [&loaded["warnings"], &shown["warnings"], &shown["certificate"]["notes"]] {
            assert!(notes[i].as_str().is_some_and(|n| n.starts_with(note)), "{notes}");
        }
    }
    world.deliver("A", ratings(&["1,2,3", "12,3,4", "5,6,7", "end"]));
    let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]).code(65);
    assert!(ran.messages().contains("3 padded rows are more than gate.max_padded = 2"), "{}", ran.messages());
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)", "(12,3,4,)", "(5,6,7,)"]);
}
