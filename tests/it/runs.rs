//! What an operator sees of runs, and does to them.

use crate::running::{Running, Stall, until};
use crate::support::{World, ratings};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Two agencies; the file of the second is none.
async fn failed() -> (World, String) {
    let world = World::new().await;
    let customer = |code: &str| format!("[[customer]]\nname = \"agency_{}\"\ncode = {code:?}\n", code.to_lowercase());
    world.edit("customers.toml", |_| customer("A") + &customer("B"));
    world.deliver("A", ratings(&["1,10,20,high-value"]));
    world.deliver("B", "nonsense\n");
    let run = world.run_job("2025-05-13", &["--json"]).code(65).json();
    let id = run["run"]["id"].as_str().expect("an id").to_owned();
    (world, id)
}

/// State and attempts of a task.
async fn task(world: &World, name: &str) -> String {
    world
        .scalar(&format!("select state || ' ' || attempt from bursar.task_runs where task || '/' || item = '{name}'"))
        .await
}

async fn open_run(world: &World) -> String {
    world.scalar("select id::text from bursar.runs where state = 'running'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_runs_what_failed_and_what_is_downstream_and_nothing_else() {
    let (world, id) = failed().await;
    assert_eq!(task(&world, "report/").await, "skipped 0");
    world.deliver("B", ratings(&["2,10,20,high-value"]));
    let run = world.bursar(&["runs", "retry", &id, "--json"]).code(0).json();
    assert_eq!((&run["state"], &run["run"]["id"]), (&"succeeded".into(), &id.as_str().into()));
    assert_eq!(task(&world, "load/agency_a").await, "succeeded 1");
    assert_eq!(task(&world, "load/agency_b").await, "succeeded 2");
    assert_eq!(task(&world, "report/").await, "succeeded 1");
    assert!(world.report("20250513").is_some());
    let said = world.bursar(&["runs", "retry", &id]).code(65).messages();
    assert_eq!(said, format!("error: run {id} is succeeded and nothing in it failed: there is nothing to repeat"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_fails_again_has_the_exit_code_of_the_fault() {
    let (world, id) = failed().await;
    let ran = world.bursar(&["runs", "retry", &id]).code(65);
    assert!(ran.messages().contains("error: load[agency_b] failed (data)"), "{}", ran.messages());
    assert_eq!(task(&world, "load/agency_b").await, "failed 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_task_can_be_retried_whatever_became_of_it() {
    let (world, id) = failed().await;
    world.deliver("A", ratings(&["5,10,20,high-value"]));
    world.bursar(&["runs", "retry", &id, "--task", "load", "--item", "agency_a"]).code(65);
    assert_eq!(world.rows("agency_a").await, ["(5,10,20,high-value)"]);
    assert_eq!(task(&world, "load/agency_a").await, "succeeded 2");
    assert_eq!(task(&world, "load/agency_b").await, "failed 1");
    let said = |arguments: &[&str]| world.bursar(&[&["runs", "retry", &id], arguments].concat()).code(64).messages();
    assert!(said(&["--task", "load"]).contains("has no task load; did you mean"), "{}", said(&["--task", "load"]));
    assert!(said(&["--task", "load", "--item", "agency_c"]).contains("has no task load[agency_c]"));
    assert!(said(&["--item", "agency_a"]).contains("--task"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_can_be_left_to_the_daemons() {
    let (world, id) = failed().await;
    world.deliver("B", ratings(&["2,10,20,high-value"]));
    let said = world.bursar(&["runs", "retry", &id, "--no-wait"]).code(0).stdout;
    assert_eq!(said, format!("run {id} is open again for the daemons: load[agency_b], report\n"));
    assert_eq!(open_run(&world).await, id);
    let _daemon = Running::start(&world, &["serve"]);
    let state = "select state = 'succeeded' from bursar.runs";
    until("the daemon has done it", async || world.scalar::<bool>(state).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_without_effect_and_can_be_retried() {
    let (world, _) = failed().await;
    world.deliver("B", ratings(&["2,10,20,high-value"]));
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &["run-job", "customer-ratings", "--date", "2025-05-14"]);
    stall.reached().await;
    let id = open_run(&world).await;
    let said = world.bursar(&["runs", "cancel", &id]).code(0).stdout;
    assert!(said.starts_with(&format!("run {id} of customer-ratings for 2025-05-14 is cancelled; ")), "{said}");
    assert!(said.contains("load[agency_a]") && said.contains("what they did is rolled back"), "{said}");
    let ran = running.ended().await.code(75);
    assert!(ran.messages().contains("the run was cancelled by an operator"), "{}", ran.messages());
    stall.release().await;
    assert_eq!(
        world
            .scalar::<i64>("select count(*) from bursar.loads where run_date = '2025-05-14' and customer = 'agency_a'")
            .await,
        0
    );
    let said = world.bursar(&["runs", "cancel", &id]).code(65).messages();
    assert_eq!(said, format!("error: run {id} is cancelled: there is nothing to cancel"));
    world.bursar(&["runs", "retry", &id]).code(0);
    assert!(world.report("20250514").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_run_is_cancelled_goes_on() {
    let world = World::new().await;
    world.edit("customers.toml", |_| "[[customer]]\nname = \"agency_a\"\ncode = \"A\"\n".to_owned());
    world.edit("jobs/customer-ratings.toml", |t| {
        t.replace("0 5 * * *", "* * * * * *").replace("America/New_York", "UTC")
    });
    world.deliver("A", ratings(&["1,10,20,high-value"]));
    world.bursar(&["migrate"]).code(0);
    let mut stall = Stall::of(&world, "agency_a").await;
    let daemon = Running::start(&world, &["serve"]);
    stall.reached().await;
    let id = open_run(&world).await;
    world.bursar(&["runs", "cancel", &id]).code(0);
    let gone = format!("select state = 'cancelled' from bursar.runs where id = '{id}'");
    assert!(world.scalar::<bool>(&gone).await);
    assert_eq!(world.rows("agency_a").await, Vec::<String>::new());
    stall.release().await;
    let done = "select exists (select from bursar.runs where state = 'succeeded')";
    until("the daemon does the next one", async || world.scalar::<bool>(done).await).await;
    let none = format!("select count(*) from bursar.loads where run_id = '{id}'");
    assert_eq!(world.scalar::<i64>(&none).await, 0);
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_shown_with_its_tasks_and_attempts_by_a_beginning_of_its_id() {
    let (world, id) = failed().await;
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
    world.bursar(&["runs", "retry", &id]).code(65);
    let shown = world.bursar(&["runs", "show", &id[..20], "--json"]).code(0).json();
    assert_eq!(
        (&shown["id"], &shown["state"], &shown["fault"]),
        (&id.as_str().into(), &"failed".into(), &"data".into())
    );
    let tasks = shown["task_runs"].as_array().expect("tasks");
    assert_eq!(
        tasks.iter().map(|t| t["task"].as_str().expect("a name")).collect::<Vec<_>>(),
        ["load", "load", "report"]
    );
    assert_eq!(tasks[0]["attempts"], Value::Array(vec![]), "one attempt is the task itself");
    let attempts = tasks[1]["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.iter().map(|a| &a["state"]).collect::<Vec<_>>(), ["failed", "failed"]);
    assert_eq!(tasks[0]["outcome"]["certificate"]["loaded"], 1);
    let text = world.bursar(&["runs", "show", &id]).code(0).stdout;
    assert!(text.starts_with(&format!("run {id} of customer-ratings for 2025-05-13: failed\n")), "{text}");
    assert!(text.contains("attempts at") && text.contains("load[agency_b]"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_way_shows_who_works_on_what_and_what_waits() {
    let (world, _) = failed().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let running = Running::start(&world, &["run-job", "customer-ratings", "--date", "2025-05-14"]);
    stall.reached().await;
    let text = world.bursar(&["runs", "show", &open_run(&world).await]).code(0).stdout;
    assert!(text.contains("waits for its upstreams"), "{text}");
    let workers = world.bursar(&["workers", "--json"]).code(0).json();
    assert_eq!((&workers[0]["role"], &workers[0]["pid"]), (&"run-job".into(), &running.pid().into()));
    assert!(workers[0]["busy"].as_i64() >= Some(1), "{workers}");
    stall.release().await;
    running.ended().await.code(65);
    assert_eq!(world.bursar(&["workers"]).code(0).stdout, "no worker is up\n");
    let all = world.bursar(&["workers", "--all", "--json"]).code(0).json();
    assert_eq!(all.as_array().expect("a list").iter().map(|w| &w["is_alive"]).collect::<Vec<_>>(), [false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_nobodys_or_several_runs_is_usage() {
    let (world, id) = failed().await;
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
    let said = |command: &str, id: &str| world.bursar(&["runs", command, id]).code(64).messages();
    for command in ["show", "retry", "cancel"] {
        for unknown in ["ffffffff", "what", "0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0-0", "%"] {
            assert!(said(command, unknown).starts_with(&format!("error: there is no run {unknown:?}")), "{unknown}");
        }
        assert!(said(command, &id[..4]).contains("begins the ids of several runs"), "{}", said(command, &id[..4]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_newest_first_and_narrowed() {
    let (world, _) = failed().await;
    world.deliver("B", ratings(&["2,10,20,high-value"]));
    for date in ["2025-05-15", "2025-05-14"] {
        world.run_job(date, &[]).code(0);
    }
    let list = |arguments: &[&str]| {
        let runs = world.bursar(&[&["runs", "list", "--json"], arguments].concat()).code(0).json();
        let days =
            runs.as_array().expect("a list").iter().map(|r| r["run_date"].as_str().expect("a date")[8..].to_owned());
        days.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(&[]), "14 15 13");
    assert_eq!(list(&["--state", "failed"]), "13");
    assert_eq!(list(&["--limit", "1"]), "14");
    assert_eq!(list(&["--from", "2025-05-14", "--to", "2025-05-14"]), "14");
    assert_eq!(list(&["--job", "customer-ratings", "--state", "succeeded"]), "14 15");
    let text = world.bursar(&["runs", "list"]).code(0).stdout;
    assert!(text.contains("failed (data)") && text.contains("3/3"), "{text}");
    let said = world.bursar(&["runs", "list", "--job", "customer-rating"]).code(64).messages();
    assert!(said.contains("did you mean \"customer-ratings\"?"), "{said}");
    assert_eq!(world.bursar(&["runs", "list", "--state", "running"]).code(0).stdout, "no runs\n");
}
