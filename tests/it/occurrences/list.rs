//! `bursar occurrences`, and what `bursar jobs` says of a job's settings.

use crate::offline::Offline;
use crate::support::{Ran, World};
use bursar::app::App;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// The shipped job (05:00 in New York), watched since noon on 2025-03-07, of which the 8th to the 11th are recorded
/// but for the 10th: the clocks changed on the 9th.
async fn watched() -> World {
    let world = World::new().await;
    App::migrate(&world.settings()).await.expect("the tables");
    let rows = "insert into bursar.schedules (job, schedule, watched_since)
            values ('customer-ratings', '0 0 5 * * * America/New_York', '2025-03-07 12:00+00');
        insert into bursar.occurrences (job, due_at, run_date, state, reason)
            values ('customer-ratings', '2025-03-08 10:00+00', '2025-03-08', 'coalesced', 'the one of the 9th'),
                   ('customer-ratings', '2025-03-09 09:00+00', '2025-03-09', 'queued', null),
                   ('customer-ratings', '2025-03-11 09:00+00', '2025-03-11', 'skipped', 'a run was going on'),
                   ('gone', '2025-03-09 09:30+00', '2025-03-09', 'queued', null)";
    sqlx::raw_sql(rows).execute(&mut world.connect().await).await.expect("rows");
    world
}

fn list(world: &World, arguments: &[&str]) -> Vec<Value> {
    let run = world.bursar(&[&["occurrences", "--json"], arguments].concat()).code(0);
    run.json().as_array().expect("a list").clone()
}

/// Run date and state of each.
fn brief(found: &[Value]) -> Vec<(&str, &str)> {
    found.iter().map(|o| (o["run_date"].as_str().expect("a date"), o["state"].as_str().expect("a state"))).collect()
}

const MARCH: [&str; 4] = ["--job", "customer-ratings", "--to", "2025-03-12"];

#[tokio::test(flavor = "multi_thread")]
async fn occurrences_are_listed_in_the_jobs_zone_newest_last_with_the_gaps() {
    let world = watched().await;
    let found = list(&world, &MARCH);
    let expected = [
        ("2025-03-08", "coalesced"),
        ("2025-03-09", "queued"),
        ("2025-03-10", "missing"),
        ("2025-03-11", "skipped"),
        ("2025-03-12", "missing"),
    ];
    assert_eq!(brief(&found), expected);
    let due: Vec<_> = found.iter().map(|o| o["due_at"].as_str().expect("an instant")).collect();
    assert_eq!(due[0], "2025-03-08T10:00:00Z");
    assert_eq!(due[1], "2025-03-09T09:00:00Z");
    assert_eq!(found[0]["reason"], "the one of the 9th");
    let reasons = [&found[2]["reason"], &found[4]["reason"]].map(|r| r.as_str().expect("a reason"));
    assert!(reasons[0].starts_with("it was passed over"), "{reasons:?}");
    assert!(reasons[1].starts_with("no daemon has looked since"), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_a_state_and_a_limit_narrow_the_list() {
    let world = watched().await;
    let narrowed = |more: &[&str]| {
        let found = list(&world, &[&MARCH[..], more].concat());
        brief(&found).into_iter().map(|(date, state)| format!("{date} {state}")).collect::<Vec<_>>()
    };
    assert_eq!(narrowed(&["--from", "2025-03-11"]), ["2025-03-11 skipped", "2025-03-12 missing"]);
    assert_eq!(narrowed(&["--state", "missing"]), ["2025-03-10 missing", "2025-03-12 missing"]);
    assert_eq!(narrowed(&["--state", "queued"]), ["2025-03-09 queued"]);
    assert_eq!(narrowed(&["--limit", "2"]), ["2025-03-11 skipped", "2025-03-12 missing"]);
    assert_eq!(narrowed(&["--state", "missing", "--limit", "1"]), ["2025-03-12 missing"]);
    assert_eq!(narrowed(&["--from", "2025-03-13"]), Vec::<String>::new());
    assert_eq!(narrowed(&["--from", "+262142-12-31"]), Vec::<String>::new());
    assert_eq!(narrowed(&["--from", "0001-01-01"]).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_job_all_jobs_are_listed_and_no_gaps() {
    let world = watched().await;
    let found = list(&world, &[]);
    let jobs: Vec<_> = found.iter().map(|o| (o["job"].as_str().expect("a job"), &o["due_at"])).collect();
    assert_eq!(jobs.len(), 4);
    assert_eq!(jobs[2], ("gone", &json!("2025-03-09T09:30:00Z")), "JSON has UTC");
    assert!(found.iter().all(|o| o["state"] != "missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_shown_a_table_and_told_how_many_have_no_row() {
    let world = watched().await;
    let run = world.bursar(&[&["occurrences"], &MARCH[..]].concat()).code(0);
    assert_eq!(run.stdout.matches("missing").count(), 2, "{}", run.stdout);
    assert_eq!(run.messages(), "note: 2 due instants have no row");
    let run = world.bursar(&["occurrences", "--job", "customer-ratings", "--to", "2025-03-09"]).code(0);
    assert_eq!(run.messages(), "");
    let run = world.bursar(&["occurrences", "--from", "2030-01-01"]).code(0);
    assert_eq!((run.stdout.as_str(), run.messages().as_str()), ("no occurrences\n", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_no_daemon_has_watched_has_no_gaps() {
    let world = watched().await;
    world.edit("jobs/customer-ratings.toml", |text| text.replace("0 5 * * *", "0 6 * * *"));
    assert_eq!(list(&world, &[&MARCH[..], &["--state", "missing"]].concat()), Vec::<Value>::new());
    world.edit("jobs/customer-ratings.toml", |text| text.replace("schedule =", "# schedule ="));
    assert_eq!(list(&world, &MARCH).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_due_within_the_last_minute_is_no_gap() {
    let world = watched().await;
    world.edit("jobs/customer-ratings.toml", |text| {
        text.replace("0 5 * * *", "* * * * * *").replace("America/New_York", "UTC")
    });
    let change = format!(
        "update bursar.schedules set schedule = '* * * * * * UTC', watched_since = '{}'",
        Utc::now() - TimeDelta::seconds(90)
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&mut world.connect().await).await.expect("watch it");
    let found = list(&world, &["--job", "customer-ratings", "--state", "missing", "--limit", "1000"]);
    let newest: DateTime<Utc> = found.last().expect("a gap")["due_at"].as_str().expect("text").parse().expect("time");
    assert!(Utc::now() - newest >= TimeDelta::seconds(60), "{newest}");
    assert!((25..90).contains(&found.len()), "{}", found.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_instants_the_latest_are_looked_at_and_it_is_said() {
    let world = watched().await;
    world.edit("jobs/customer-ratings.toml", |text| {
        text.replace("0 5 * * *", "* * * * * *").replace("America/New_York", "UTC")
    });
    let change = "update bursar.schedules set schedule = '* * * * * * UTC', watched_since = now() - interval '2 days'";
    sqlx::raw_sql(change).execute(&mut world.connect().await).await.expect("watch it");
    let run = world.bursar(&["occurrences", "--job", "customer-ratings"]).code(0);
    let said = run.messages();
    assert!(said.starts_with("note: 20000 due instants have no row\nnote: gaps were looked for after 20"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tables_is_left_so_and_the_command_that_makes_them_is_named() {
    let world = World::bare().await;
    let run = world.bursar(&["occurrences"]).code(78);
    assert_eq!(
        run.messages(),
        "error: the database has no tables of Bursar's (schema bursar) yet; `bursar migrate` makes them"
    );
    assert!(!world.scalar::<bool>("select to_regnamespace('bursar') is not null").await);
    world.bursar(&["migrate"]).code(0);
    assert_eq!(list(&world, &[]), Vec::<Value>::new());
}

#[test]
fn what_cannot_be_asked_is_usage() {
    let said =
        |arguments: &[&str]| -> Ran { Offline::configured().bursar(&[&["occurrences"], arguments].concat()).code(64) };
    let unknown = said(&["--job", "customer-rating"]);
    assert_eq!(unknown.stderr, "error: there is no job \"customer-rating\"; did you mean \"customer-ratings\"?\n");
    let gaps = said(&["--state", "missing"]);
    assert_eq!(gaps.stderr, "error: --state missing needs --job: the gaps are those of one job's schedule\n");
    for wrong in [["--from", "yesterday"], ["--state", "late"], ["--limit", "0"]] {
        assert!(said(&wrong).stderr.contains(wrong[0]), "{wrong:?}");
    }
    assert_eq!(said(&["--job", "x", "--json"]).json()["error"]["fault"], "usage");
}

#[test]
fn jobs_are_shown_with_their_offset_and_limits_where_they_have_them() {
    let folder = Offline::configured();
    let ratings = |folder: &Offline| {
        let jobs = folder.bursar(&["jobs", "--json"]).code(0).json();
        let mut jobs = jobs.as_array().expect("jobs").iter();
        jobs.find(|job| job["job"] == "customer-ratings").expect("the job").clone()
    };
    let shown = ratings(&folder);
    assert_eq!(shown["run_date_offset_days"], 0);
    assert_eq!((&shown["catchup_limit"], &shown["max_parallel_tasks"]), (&Value::Null, &Value::Null));
    let text = folder.read("config/jobs/customer-ratings.toml");
    let all = "catchup = \"all\"\nrun_date_offset_days = -1\nmax_parallel_tasks = 10";
    folder.write("config/jobs/customer-ratings.toml", text.replace("catchup = \"latest\"", all));
    let shown = ratings(&folder);
    assert_eq!(shown["run_date_offset_days"], -1);
    assert_eq!((&shown["catchup_limit"], &shown["max_parallel_tasks"]), (&json!(31), &json!(10)));
    let table = folder.bursar(&["jobs"]).code(0).stdout;
    assert!(table.contains("run date -1 d, catches up 31, 10 tasks at a time"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_paused_and_resumed_by_commands_and_every_list_shows_it() {
    let world = World::new().await;
    App::migrate(&world.settings()).await.expect("the tables");
    let pause = ["jobs", "pause", "customer-ratings", "--reason", "they move"];
    assert!(world.bursar(&pause).code(0).stdout.starts_with("customer-ratings is paused; "));
    assert_eq!(world.bursar(&pause).code(0).stdout, "customer-ratings was paused already\n");
    let jobs = world.bursar(&["jobs", "--json"]).code(0).json();
    let job = jobs.as_array().unwrap().iter().find(|job| job["job"] == "customer-ratings").unwrap();
    assert_eq!((&job["paused"]["reason"], &job["next_due"]), (&json!("they move"), &Value::Null));
    assert!(world.bursar(&["status"]).stdout.contains("paused"));
    assert_eq!(world.bursar(&["jobs", "resume", "customer-ratings"]).code(0).stdout, "customer-ratings is resumed\n");
    assert_eq!(
        world.bursar(&["jobs", "resume", "customer-ratings"]).code(0).stdout,
        "customer-ratings is not paused\n"
    );
    assert!(world.bursar(&["jobs", "pause", "nightly"]).code(64).stderr.contains("there is no job \"nightly\""));
    world.edit("jobs/customer-ratings.toml", |text| text.replace("catchup = ", "enabled = false\ncatchup = "));
    let jobs = world.bursar(&["jobs", "--json"]).code(0).json();
    let job = jobs.as_array().unwrap().iter().find(|job| job["job"] == "customer-ratings").unwrap();
    assert_eq!((&job["enabled"], &job["next_due"]), (&json!(false), &Value::Null));
}
