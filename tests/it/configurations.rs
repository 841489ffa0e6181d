//! One configuration per run, whatever processes work on it and whatever becomes of their configuration files.

use crate::running::{Running, Stall, until};
use crate::support::{World, copy_dir, ratings};
use bursar::app::compile;
use nix::sys::signal::Signal;
use std::process::Command;

const A: &str = "[[customer]]\nname = \"agency_a\"\ncode = \"A\"\n";
const B: &str = "[[customer]]\nname = \"agency_b\"\ncode = \"B\"\n";

/// Agencies A and B, of which A has the row that loads can be held at, and a job with this schedule.
async fn world(customers: String, schedule: &str) -> World {
    let world = World::new().await;
    world.edit("customers.toml", |_| customers);
    world.deliver("A", ratings(&["1,10,20,high-value"]));
    world.deliver("B", ratings(&["2,10,20,high-value"]));
    world.edit("jobs/customer-ratings.toml", |text| {
        text.replace("0 5 * * *", schedule).replace("America/New_York", "UTC")
    });
    world.bursar(&["migrate"]).code(0);
    world
}

async fn serve(world: &World) -> Running {
    let daemon = Running::of(world.command(&["serve"]).env("BURSAR__ENGINE__PARALLEL_TASKS", "1"));
    daemon.says("answering on http://").await;
    daemon
}

#[tokio::test]
async fn the_hash_is_of_what_a_configuration_means_and_not_of_how_it_is_written() {
    let world = World::new().await;
    let hash = || compile(&world.settings()).expect("a catalog").hash;
    let before = hash();
    let job = "jobs/customer-ratings.toml";
    world.edit("customers.toml", |text| format!("# the agencies\n{text}\n"));
    world.edit("customers.toml", |text| {
        let entries: Vec<&str> = text.split("[[customer]]").skip(1).collect();
        let entries: Vec<&str> = entries.into_iter().rev().collect();
        format!("[[customer]]{}", entries.join("\n[[customer]]"))
    });
    world.edit(job, |text| {
        text.replace("\"0 5 * * *\"", "\"0  0  5 * * *\"")
            .replace("name = \"load\"\nkind = \"load\"", "kind = \"load\" # by\nname = \"load\"")
    });
    world.edit("reports/customer_rating_aggregate.sql", |text| format!("-- A remark.\n{}", text.replace("    ", "  ")));
    world.edit("bursar.toml", |text| text.replace("parallel_tasks = 4", "parallel_tasks = 7"));
    assert_eq!(hash(), before);
    let changes: [(&str, &str, &str); 6] = [
        ("customers.toml", "code = \"A\"", "code = \"X\""),
        ("datasets/customer_rating.toml", "max_length = 25", "max_length = 26"),
        (job, "catchup = \"latest\"", "catchup = \"none\""),
        (job, "5 * * *", "6 * * *"),
        ("reports/customer_rating_aggregate.sql", "100.0", "10.0"),
        ("bursar.toml", "include_archived = false", "include_archived = true"),
    ];
    let mut known = vec![before];
    for (file, from, to) in changes {
        world.edit(file, |text| {
            assert!(text.contains(from), "{file} does not have {from}");
            text.replacen(from, to, 1)
        });
        let after = hash();
        assert!(!known.contains(&after), "{file}: {to}");
        known.push(after);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_open_at_a_reload_is_finished_under_the_configuration_it_was_opened_under() {
    let world = world(A.to_owned() + B, "* * * * * *").await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let daemon = serve(&world).await;
    stall.reached().await;
    let run: String = world.scalar("select id::text from bursar.runs where state = 'running'").await;
    world.edit("customers.toml", |_| A.to_owned());
    world.bursar(&["reload"]).code(0);
    let kept = "select cardinality(kept_hashes) from bursar.workers";
    assert_eq!(world.scalar::<i32>(kept).await, 1);
    stall.release().await;
    let state = format!("select state from bursar.runs where id = '{run}'");
    until("the run is over", async || world.scalar::<String>(&state).await != "running").await;
    let tasks = format!("select item || ' ' || state from bursar.task_runs where run_id = '{run}' order by position");
    assert_eq!(world.column(&tasks).await, ["agency_a succeeded", "agency_b succeeded", " succeeded"]);
    until("the next run has the new configuration", async || {
        world.scalar::<i64>("select count(distinct config_hash) from bursar.runs where state = 'succeeded'").await == 2
    })
    .await;
    until("the old one is dropped", async || world.scalar::<i32>(kept).await == 0).await;
    let mixed = "select count(*) from bursar.attempts as a join bursar.runs as r on r.id = a.run_id where a.config_hash <> r.config_hash";
    assert_eq!(world.scalar::<i64>(mixed).await, 0);
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_left_by_a_daemon_with_another_configuration_stands_still_until_an_operator_decides() {
    let world = world(A.to_owned() + B, "* * * * * *").await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let first = serve(&world).await;
    stall.reached().await;
    let run: String = world.scalar("select id::text from bursar.runs where state = 'running'").await;
    first.signal(Signal::SIGKILL);
    first.ended().await;
    stall.release().await;
    world.edit("jobs/customer-ratings.toml", |text| text.replace("catchup = \"latest\"", "catchup = \"none\""));
    let second = serve(&world).await;
    second.says(&format!("run {run} of customer-ratings for ")).await;
    let said = second.said();
    assert!(
        said.contains("was opened under another configuration") && said.contains("they differ in job customer-ratings"),
        "{said}"
    );
    assert!(world.bursar(&["runs", "list", "--state", "running"]).code(0).stdout.contains("running (stands still)"));
    let shown = world.bursar(&["runs", "show", &run]).code(0).stdout;
    assert!(shown.contains("stands still: no worker that is up has the configuration"), "{shown}");
    assert!(
        shown.contains(&format!("bursar runs retry {run}")) && shown.contains(&format!("bursar runs cancel {run}")),
        "{shown}"
    );
    let date: String = world.scalar("select run_date::text from bursar.runs where state = 'running'").await;
    let refused = world.run_job(&date, &[]).code(75).messages();
    assert!(
        refused.contains("opened under the configuration") && refused.contains(&format!("bursar runs retry {run}")),
        "{refused}"
    );
    let retried = world.bursar(&["runs", "retry", &run, "--json"]).code(0).json();
    assert_eq!(retried["state"], "succeeded");
    let hashes = format!(
        "select (config_hash = '{}')::text from bursar.runs where id = '{run}'",
        compile(&world.settings()).expect("a catalog").hash
    );
    assert_eq!(world.column(&hashes).await, ["true"]);
    second.signal(Signal::SIGTERM);
    second.ended().await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_with_another_configuration_does_its_run_alone_and_names_the_daemon_and_the_remedy() {
    let world = world(A.to_owned(), "0 5 1 1 *").await;
    let daemon = serve(&world).await;
    world.edit("customers.toml", |text| text + B);
    let ran = world.run_job("2025-05-13", &[]).code(0);
    let name = format!("{} has another configuration", daemon.pid());
    assert!(ran.stderr.contains(&name), "{}", ran.stderr);
    assert!(ran.stderr.contains("they differ in customers") && ran.stderr.contains("bursar reload"), "{}", ran.stderr);
    assert_eq!((world.rows("agency_a").await.len(), world.rows("agency_b").await.len()), (1, 1));
    let by_daemon =
        "select count(*) from bursar.attempts as a join bursar.workers as w on w.id = a.worker where w.role = 'serve'";
    assert_eq!(world.scalar::<i64>(by_daemon).await, 0);
    // Its files are not those of another command.
    copy_dir(&world.path("config"), &world.path("other"));
    std::fs::write(world.path("other/customers.toml"), A).expect("the customers");
    let other = world.path("other").display().to_string();
    let said = world.bursar(&["--config", &other, "reload"]).code(78).stdout;
    assert!(said.contains("that is not this one") && said.contains("they differ in customers"), "{said}");
    let other = |setting: &'static str| -> Command {
        let mut command = world.command(&["reload"]);
        command.env(setting, "true");
        command
    };
    let said = Running::of(&mut other("BURSAR__METRONOME__INCLUDE_ARCHIVED")).ended().await.code(78).stdout;
    assert!(said.contains("they differ in settings") && said.contains("restart it"), "{said}");
    world.bursar(&["reload"]).code(0);
    let ran = world.run_job("2025-05-14", &[]).code(0);
    assert!(!ran.stderr.contains("has another configuration"), "{}", ran.stderr);
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);
}
