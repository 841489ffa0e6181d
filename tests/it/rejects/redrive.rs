//! Corrected rows come into the table once, and only while readers see the load they belong to.

use super::{DATE, export, ids, three_rejects};
use crate::running::{Running, until};
use crate::support::{Ran, World, ratings};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::Connection;
use std::io::Write;
use std::process::Stdio;

const OF_A: [&str; 6] = ["--dataset", "customer_rating", "--customer", "agency_a", "--date", DATE];

fn redrive(world: &World, more: &[&str]) -> Ran {
    world.bursar(&[&["rejects", "redrive", "corrected.csv", "--json"], &OF_A[..], more].concat())
}

/// Writes the export out as it was corrected.
fn correct(world: &World, change: impl FnOnce(String) -> String) {
    let exported = export(world, &[]).code(0).stdout;
    world.write("corrected.csv", change(exported));
}

fn all(text: &str) -> String {
    text.replace("x\u{1b}[31m,", "555,").replace("2,,9,low", "2,30,9,low").replace("low\"value", "low-value")
}

async fn current(world: &World) -> Value {
    world.scalar("select to_jsonb(l) from bursar.loads as l where customer = 'agency_a' and is_current").await
}

/// Everything that a redrive may change.
async fn state(world: &World) -> (Vec<String>, Value) {
    let books = world
        .scalar(
            "select jsonb_build_array(
                    (select jsonb_agg(to_jsonb(l) order by id) from bursar.loads as l),
                    (select jsonb_agg(jsonb_build_array(id, status, closed_by_load) order by id) from bursar.file_invalid_rows))",
        )
        .await;
    (world.rows("agency_a").await, books)
}

#[tokio::test(flavor = "multi_thread")]
async fn corrected_rows_are_added_once_and_ledger_measures_and_rejects_tell_of_it() {
    let world = three_rejects().await;
    let (before, rejects) = (current(&world).await, ids(&world));
    correct(&world, |text| all(&text));
    let done = redrive(&world, &[]).code(0).json();
    assert_eq!((&done["loaded"], &done["still_wrong"], &done["open"]), (&json!(3), &json!(0), &json!(0)));
    let rows = world.rows("agency_a").await;
    assert_eq!(rows.len(), 7);
    for row in ["(555,10,20,low)", "(2,30,9,low)", "(7,8,9,low-value)"] {
        assert!(rows.iter().any(|r| r == row), "{rows:?}");
    }
    let load = current(&world).await;
    assert_eq!(load["id"], done["load_id"]);
    assert_eq!(load["redrive_of"], before["id"]);
    assert_eq!((&load["records"], &load["loaded"], &load["rejected"]), (&before["records"], &json!(7), &json!(0)));
    let certificate = &load["certificate"];
    assert_eq!((&certificate["copied_rows"], &certificate["copied_rejects"]), (&json!(7), &json!(0)));
    assert_eq!(certificate["redrive"]["rows"], 3);
    assert_eq!((&load["file_sha256"], &load["run_date"]), (&before["file_sha256"], &before["run_date"]));
    assert_eq!(load["measures"]["count_customer_number"], "7");
    assert_eq!(load["measures"]["sum_customer_rating"], "61");
    let reported: i64 =
        world.scalar("select loaded from bursar.load_measures_customer_rating where customer = 'agency_a'").await;
    assert_eq!(reported, 7, "reports see the redriven rows");
    let resolved: Vec<i64> = world
        .scalar("select array_agg(id order by id) from bursar.file_invalid_rows where status = 'resolved' and closed_by_load = (select id from bursar.loads where customer = 'agency_a' and is_current)")
        .await;
    assert_eq!(resolved, rejects);
    let after = state(&world).await;
    let again = redrive(&world, &[]).code(0).json();
    assert_eq!((&again["loaded"], &again["resolved_before"], &again["load_id"]), (&json!(0), &json!(3), &Value::Null));
    assert_eq!(state(&world).await, after, "the same redrive again changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_wrong_stays_open_and_a_later_redrive_goes_on_from_there() {
    let world = three_rejects().await;
    let rejects = ids(&world);
    correct(&world, |text| text.replace("2,,9,low", "2,30,9,low").replace("low\"value", "low-value"));
    let done = redrive(&world, &[]).code(65).json();
    assert_eq!((&done["loaded"], &done["still_wrong"], &done["open"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(done["wrong"][0]["reject_id"], rejects[0].to_string());
    assert_eq!(done["wrong"][0]["errors"][0]["code"], "not_an_integer");
    assert_eq!(ids(&world), &rejects[..1]);
    correct(&world, |text| text.replace("x\u{1b}[31m,", "+0555,"));
    let (first, of) = (done["load_id"].to_string(), done["redrive_of"].clone());
    let done = world.bursar(&["rejects", "redrive", "corrected.csv", "--json", "--load", &first]).code(0).json();
    assert_eq!((&done["loaded"], &done["redrive_of"], &done["open"]), (&json!(1), &of, &json!(0)));
    let load = current(&world).await;
    assert_eq!((&load["loaded"], &load["rejected"], &load["redrive_of"]), (&json!(7), &json!(0), &of));
    assert_eq!(world.rows("agency_a").await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_known_by_their_number_however_they_are_ordered_edited_or_left_out() {
    let world = three_rejects().await;
    let rejects = ids(&world);
    correct(&world, |_| {
        format!(
            "\u{FEFF}customer_status,Customer Number,Reject ID,customer_rating,customer_rating_limit\n\
             \"low, value\",999,{},1,1\n\n\"medium\",888,\"{}\",2,2",
            rejects[2], rejects[0]
        )
    });
    let done = redrive(&world, &[]).code(0).json();
    assert_eq!((&done["loaded"], &done["open"]), (&json!(2), &json!(1)));
    assert_eq!(ids(&world), [rejects[1]], "what is left out stays open");
    let rows = world.rows("agency_a").await;
    assert!(rows.contains(&"(999,1,1,\"low, value\")".to_owned()), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_an_export_of_that_load_changes_nothing() {
    let world = three_rejects().await;
    let rejects = ids(&world);
    world.deliver("B", ratings(&["1,2,3,low", "2,2,3,low", "x,2,3,low"]));
    world.run_job(DATE, &["--customer", "agency_b"]).code(0);
    let foreign: i64 = world.scalar("select max(id) from bursar.file_invalid_rows").await;
    let before = state(&world).await;
    let load = current(&world).await["id"].clone();
    let header = "reject_id,customer_number,customer_rating,customer_rating_limit,customer_status\n";
    let id = rejects[0];
    for (text, said) in [
        (
            format!("{header}{foreign},1,2,3,low\n"),
            format!("rows of reject_id {foreign}, which load {load} has no rejects of"),
        ),
        (
            format!("{header}{foreign},x,2,3,low\n"),
            format!("rows of reject_id {foreign}, which load {load} has no rejects of"),
        ),
        (format!("{header}{id},1,2,3,low\n{id},1,2,3,low\n"), format!("several rows of reject_id {id}")),
        (format!("{header}{id},1,2,3,low\n{id},x,2,3,low\n"), format!("several rows of reject_id {id}")),
        (
            format!("{header}{id},1,2,3,\"low\n{},2,2,3,low\"\n", rejects[1]),
            format!("the row of reject_id {id} runs over the row of {}", rejects[1]),
        ),
        (ratings(&["1,2,3,low"]), "the column \"reject_id\" is missing".to_owned()),
        (String::new(), "is empty (0 bytes)".to_owned()),
        ("\u{0}\u{0}\u{0}".to_owned(), "this is not text".to_owned()),
    ] {
        world.write("corrected.csv", &text);
        let ran = redrive(&world, &[]).code(65);
        assert!(ran.stderr.contains(&said), "{said}: {}", ran.stderr);
    }
    for (text, code) in
        [(format!("{header},1,2,3,low\n"), "null"), (format!("{header}x,1,2,3,low\n"), "not_an_integer")]
    {
        world.write("corrected.csv", &text);
        let done = redrive(&world, &[]).code(65).json();
        assert_eq!((&done["loaded"], &done["wrong"][0]["errors"][0]["code"]), (&json!(0), &json!(code)));
    }
    std::fs::remove_file(world.path("corrected.csv")).expect("remove the file");
    redrive(&world, &[]).code(65);
    assert_eq!(state(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_never_touches_a_newer_load() {
    let world = three_rejects().await;
    correct(&world, |text| all(&text));
    let old = current(&world).await["id"].to_string();
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
    let before = state(&world).await;
    let ran = redrive(&world, &[]).code(65);
    assert!(
        ran.stderr.contains(&format!("of 2025-05-14 has taken the place of load {old} of 2025-05-13")),
        "{}",
        ran.stderr
    );
    world.run_job(DATE, &["--customer", "agency_a", "--publish"]).code(0);
    let ran = redrive(&world, &[]).code(65);
    assert!(ran.stderr.contains(" has no rejects of; nothing was changed"), "{}", ran.stderr);
    let ran = world.bursar(&["rejects", "redrive", "corrected.csv", "--load", &old]).code(65);
    assert!(ran.stderr.contains(&format!("has taken the place of load {old}")), "{}", ran.stderr);
    assert_eq!(world.rows("agency_a").await, before.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_of_a_held_or_measured_load_are_not_redriven() {
    let world = World::new().await;
    world.deliver_all();
    world.deliver("A", ratings(&["1,2,3,low", "x,2,3,low", "y,2,3,low"]));
    world.run_job(DATE, &[]).code(65);
    let held: i64 = world.scalar("select id from bursar.loads where state = 'held'").await;
    let held = held.to_string();
    let exported = world.bursar(&["rejects", "export", "--load", &held]).code(0).stdout;
    world.write("corrected.csv", exported.replace(",x,", ",5,"));
    let ran = world.bursar(&["rejects", "redrive", "corrected.csv", "--load", &held]).code(65);
    assert!(
        ran.stderr.contains(&format!(
            "load {held} is held, its rows are not in the table: accept it first (bursar loads accept {held})"
        )),
        "{}",
        ran.stderr
    );
    world.deliver("B", ratings(&["1,2,3,low", "2,2,3,low", "x,2,3,low"]));
    world.run_job("2025-05-12", &["--customer", "agency_b"]).code(0);
    let measured: i64 = world.scalar("select id from bursar.loads where state = 'measured'").await;
    let ran = world.bursar(&["rejects", "redrive", "corrected.csv", "--load", &measured.to_string()]).code(65);
    assert!(ran.stderr.contains("is measured, its rows are not in the table"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_load_after_a_redrive_leaves_the_open_rejects_of_what_readers_see() {
    let world = three_rejects().await;
    correct(&world, |text| text.replace("2,,9,low", "2,30,9,low"));
    redrive(&world, &[]).code(65);
    let open = ids(&world);
    world.deliver("A", ratings(&["x,2,3,low"]));
    world.run_job(DATE, &["--customer", "agency_a"]).code(65);
    let still: Vec<i64> = ids(&world).into_iter().filter(|id| open.contains(id)).collect();
    assert_eq!(still, open);
    world.deliver("A", ratings(&["1,2,3,low"]));
    world.run_job(DATE, &["--customer", "agency_a"]).code(0);
    assert_eq!(ids(&world), Vec::<i64>::new(), "a load that replaces the rows supersedes what is open");
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_happen_and_stdin_is_as_good_as_a_file() {
    let world = three_rejects().await;
    correct(&world, |text| all(&text));
    let before = state(&world).await;
    let said = redrive(&world, &["--dry-run"]).code(0).json();
    assert_eq!((&said["loaded"], &said["load_id"]), (&json!(3), &Value::Null));
    assert_eq!(said["measures"]["count_customer_number"], "7");
    assert_eq!(state(&world).await, before);
    let mut command = world.command(&[&["rejects", "redrive", "-"], &OF_A[..]].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bursar");
    let corrected = std::fs::read(world.path("corrected.csv")).expect("the corrections");
    child.stdin.take().expect("stdin").write_all(&corrected).expect("write");
    let ran = Ran::of(child.wait_with_output().expect("bursar")).code(0);
    assert!(ran.stdout.contains("3 rows added to public.customer_rating_agency_a; 0 still wrong"), "{}", ran.stdout);
    assert_eq!(std::fs::read_dir(world.path("state/spool")).expect("the folder").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_reject_is_not_redriven_and_a_row_the_table_refuses_changes_nothing() {
    let world = three_rejects().await;
    let rejects = ids(&world);
    correct(&world, |text| all(&text));
    world.bursar(&["rejects", "discard", &rejects[0].to_string(), "--reason", "no", "--yes"]).code(0);
    let pool = world.pool().await;
    sqlx::query("create unique index on customer_rating_agency_a (customer_number, customer_rating)")
        .execute(&pool)
        .await
        .expect_err("there are duplicates");
    sqlx::query("alter table customer_rating_agency_a add constraint small check (customer_rating < 25)")
        .execute(&pool)
        .await
        .expect("a constraint");
    let before = state(&world).await;
    let ran = redrive(&world, &[]).code(65);
    assert!(ran.stderr.contains("violates check constraint \"small\""), "{}", ran.stderr);
    assert_eq!(state(&world).await, before);
    sqlx::query("alter table customer_rating_agency_a drop constraint small")
        .execute(&pool)
        .await
        .expect("no constraint");
    let done = redrive(&world, &[]).code(0).json();
    assert_eq!((&done["loaded"], &done["discarded_before"]), (&json!(2), &json!(1)));
    let load = current(&world).await;
    assert_eq!((&load["loaded"], &load["rejected"]), (&json!(6), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_table_has_already_stays_a_reject() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replacen("consolidated", "unique = [[\"customer_number\"]]\nconsolidated", 1)
    });
    world.deliver_all();
    world.deliver("A", ratings(&["1,2,3,low", "2,2,3,low", "3,2,3,low", "01,2,3,high", "4,x,3,low"]));
    world.run_job(DATE, &[]).code(0);
    let rejects = ids(&world);
    let listed = world.bursar(&["rejects", "list", "--code", "duplicate_key", "--json"]).code(0).json();
    assert_eq!(
        listed[0]["errors"][0]["message"],
        "lines 2 and 5 have the same customer_number (unique); the first is kept"
    );
    assert_eq!(listed[0]["error_class"], "duplicate");
    correct(&world, |text| text.replace(",x,", ",5,"));
    let done = redrive(&world, &[]).code(65).json();
    assert_eq!((&done["loaded"], &done["still_wrong"]), (&json!(1), &json!(1)));
    assert_eq!(done["wrong"][0]["reject_id"], rejects[0].to_string());
    assert_eq!(done["wrong"][0]["errors"][0]["message"], "the table has a row of the same customer_number (unique)");
    let again = redrive(&world, &[]).code(65).json();
    assert_eq!((&again["loaded"], &again["resolved_before"], &again["still_wrong"]), (&json!(0), &json!(1), &json!(1)));
    assert_eq!(ids(&world), &rejects[..1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_changes_nothing_and_the_same_redrive_then_adds_each_row_once() {
    let world = three_rejects().await;
    correct(&world, |text| all(&text));
    let before = state(&world).await;
    let mut other = world.connect().await;
    let mut locked = other.begin().await.expect("a transaction");
    sqlx::query("lock table bursar.loads in share mode").execute(&mut *locked).await.expect("lock the ledger");
    let running = Running::start(&world, &[&["rejects", "redrive", "corrected.csv"], &OF_A[..]].concat());
    let waiting =
        "select coalesce(max(pid), 0) from pg_locks where relation = 'bursar.loads'::regclass and not granted";
    until("the redrive has added its rows", async || world.scalar::<i32>(waiting).await > 0).await;
    let backend: i32 = world.scalar(waiting).await;
    running.signal(Signal::SIGKILL);
    assert_eq!(running.ended().await.code, -1);
    locked.commit().await.expect("unlock");
    until("the server has cleared the redrive away", async || {
        world.scalar::<bool>(&format!("select not exists (select from pg_stat_activity where pid = {backend})")).await
    })
    .await;
    assert_eq!(state(&world).await, before);
    redrive(&world, &[]).code(0);
    assert_eq!(world.rows("agency_a").await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_redrives_at_the_same_time_add_each_row_once() {
    let world = three_rejects().await;
    correct(&world, |text| all(&text));
    let arguments = [&["rejects", "redrive", "corrected.csv"], &OF_A[..]].concat();
    let running: Vec<Running> = (0..3).map(|_| Running::start(&world, &arguments)).collect();
    for one in running {
        one.ended().await.code(0);
    }
    assert_eq!(world.rows("agency_a").await.len(), 7);
    let loads: i64 = world.scalar("select count(*) from bursar.loads where redrive_of is not null").await;
    assert_eq!(loads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_of_any_form_is_exported_and_redriven_as_it_is() {
    for (dialect, file, exported) in [
        (
            "delimiter = \"||\"\nheader_lines = 2\nskip_lines = 1\nfooter_lines = 1\ncomment = \"1\"\nescape = \"\\\\\"",
            "made by hand\r\ncustomer||customer||customer_rating||customer_status\r\nnumber||rating||limit||\r\n\
             3||2||3||low\r\n# 3||2||3||low\r\n4||2||3||low\r\n5||2||3||low\r\n1 is a comment\r\nx||2||3||\"a\\\"||b\"\r\nthe end",
            "reject_id||customer||customer||customer_rating||customer_status\r\n||number||rating||limit||\r\n\
             ID||# 3||2||3||low\r\nID||x||2||3||\"a\\\"||b\"\r\n",
        ),
        (
            "header = \"none\"\nencoding = \"utf-16\"\ndelimiter = \"¦\"\ntrailer = \"# end\"\nquote = \"\"",
            "3¦2¦3¦low\n4¦2¦3¦l\u{F6}w\n# 3¦2¦3¦low\n5¦2¦3¦low\nx¦2¦3¦l\u{1F600}\"w\n# end",
            "ID¦# 3¦2¦3¦low\nID¦x¦2¦3¦l\u{1F600}\"w\n",
        ),
    ] {
        let world = World::new().await;
        world.edit("datasets/customer_rating.toml", |text| {
            text.replace("[gate]", &format!("[dialect]\n{dialect}\n\n[gate]"))
        });
        let is_utf16 = dialect.contains("utf-16");
        let encoded = |text: &str| -> Vec<u8> {
            if is_utf16 { text.encode_utf16().flat_map(u16::to_be_bytes).collect() } else { text.as_bytes().to_vec() }
        };
        world.deliver("A", encoded(file));
        world.run_job(DATE, &["--customer", "agency_a"]).code(0);
        let rejects = ids(&world);
        export(&world, &["--file", "corrected.csv"]).code(0);
        let written = std::fs::read(world.path("corrected.csv")).expect("the export");
        let expected = rejects.iter().fold(exported.to_owned(), |text, id| text.replacen("ID", &id.to_string(), 1));
        assert_eq!(written, encoded(&expected), "{}", String::from_utf8_lossy(&written));
        world.write("corrected.csv", encoded(&expected.replace("# 3", "1").replace('x', "22")));
        let done = redrive(&world, &[]).code(0).json();
        assert_eq!((&done["loaded"], &done["open"]), (&json!(2), &json!(0)), "{done}");
        assert_eq!(world.rows("agency_a").await.len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redriven_rows_are_measured_with_those_of_their_run_date_and_survive_every_way_of_publishing() {
    let rows = ["1,2,3,low", "2,2,3,low", "3,2,3,low", "x,5,3,low"];
    for mode in ["publish = \"swap\"", "publish = \"segments\"", "mode = \"append\"\nrun_date_column = \"run_date\""] {
        let world = World::new().await;
        world.edit("datasets/customer_rating.toml", |text| {
            text.replacen("consolidated", &format!("{mode}\nconsolidated"), 1)
        });
        for day in [DATE, "2025-05-14"] {
            world.deliver("A", ratings(&rows));
            world.run_job(day, &["--customer", "agency_a"]).code(0);
        }
        let of = if mode.contains("append") { DATE } else { "2025-05-14" };
        let which = ["--dataset", "customer_rating", "--customer", "agency_a", "--date", of];
        let exported = world.bursar(&[&["rejects", "export"], &which[..]].concat()).code(0).stdout;
        world.write("corrected.csv", exported.replace("x,", "4,"));
        let done =
            world.bursar(&[&["rejects", "redrive", "corrected.csv", "--json"], &which[..]].concat()).code(0).json();
        assert_eq!(done["measures"]["sum_customer_rating"], "11", "{mode}");
        let all = world.rows("agency_a").await;
        assert_eq!(all.len(), if mode.contains("append") { 7 } else { 4 }, "{mode}: {all:?}");
        world.deliver("A", ratings(&rows));
        world.run_job("2025-05-15", &["--customer", "agency_a"]).code(0);
        let all = world.rows("agency_a").await;
        assert_eq!(all.len(), if mode.contains("append") { 10 } else { 3 }, "{mode}: {all:?}");
    }
}
