//! Loaded files are moved out of the way, and never over another one.

use crate::control::{DAY, declare, rows};
use crate::deliveries::at;
use crate::known::{load, outcome, run, state};
use crate::support::{World, ratings};
use bursar::app::App;
use bursar::clock::Clock;
use bursar::deliveries::Lookout;
use bursar::deliveries::act::look_and_act;
use serde_json::Value;
use std::path::Path;

const FILE: &str = "inbox/ratings/Customer Rating Agency A Inc.csv";
const ARCHIVED: &str = "inbox/archive/2025/05/Customer Rating Agency A Inc.csv";

/// A world whose dataset archives its files, in which `agency_a` has delivered one.
async fn world() -> World {
    let world = World::new().await;
    archive(&world, "archive/%Y/%m/{file}");
    world.deliver("A", rows());
    world
}

fn archive(world: &World, path: &str) {
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("table = ", &format!("processed = {{ archive = \"{path}\" }}\ntable = "))
    });
}

fn read(world: &World, path: &str) -> Option<String> {
    std::fs::read_to_string(world.path(path)).ok()
}

/// What the ledger says of the move of the latest load's file.
async fn moved(world: &World) -> (Option<String>, Value) {
    let state = world.scalar("select archive_state from bursar.loads order by id desc limit 1").await;
    (state, world.scalar("select coalesce(archive, 'null') from bursar.loads order by id desc limit 1").await)
}

/// A look of a daemon; what it says of troubles.
async fn look(world: &World) -> Vec<String> {
    let now = at("2025-05-13T12:00:00Z");
    let app = Box::pin(App::build(world.settings(), Clock::starting_at(now))).await.expect("build the program");
    let mut lookout = Lookout::new(app.catalog(), &world.path("inbox"));
    let problems = look_and_act(app.engine(), &app.catalog(), &mut lookout, now).await.expect("a look");
    app.close().await.expect("close");
    problems.iter().map(|error| format!("{error:#}")).collect()
}

#[tokio::test]
async fn a_loaded_file_is_moved_and_the_ledger_says_where() {
    let world = world().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!((read(&world, FILE), read(&world, ARCHIVED)), (None, Some(rows())));
    let (state, archive) = moved(&world).await;
    assert_eq!(state.as_deref(), Some("archived"));
    assert_eq!(Some(archive["to"].as_str().expect("a path")), ARCHIVED.strip_prefix("inbox/"));
}

#[tokio::test]
async fn a_file_is_left_where_nothing_else_is_said() {
    let world = World::new().await;
    world.deliver("A", rows());
    load(&world, DAY, "agency_a", &[]);
    assert!(read(&world, FILE).is_some());
    assert_eq!(moved(&world).await, (None, Value::Null));
}

#[tokio::test]
async fn the_file_of_a_held_load_stays_and_that_of_a_measured_one_goes() {
    let world = world().await;
    world.deliver("A", ratings(&[]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "held");
    assert!(read(&world, FILE).is_some());
    world.deliver("A", rows());
    assert_eq!(state(&world, "2025-06-01", "agency_a", &[]), "published");
    world.deliver("A", ratings(&["5,5,5,x"]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "measured");
    assert_eq!(read(&world, ARCHIVED), Some(ratings(&["5,5,5,x"])));
}

#[tokio::test]
async fn the_file_of_a_held_load_goes_once_it_is_accepted() {
    let world = world().await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("[gate]", "[gate]\nmin_rows = 3"));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "held");
    assert_eq!(look(&world).await, [""; 0]);
    assert!(read(&world, FILE).is_some());
    world.bursar(&["loads", "accept", "1", "--reason", "a quiet day"]).code(0);
    assert_eq!(look(&world).await, [""; 0]);
    assert_eq!((read(&world, FILE), read(&world, ARCHIVED)), (None, Some(rows())));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged", "it is what readers see");
}

#[tokio::test]
async fn nothing_is_overwritten_whatever_names_are_taken() {
    let world = world().await;
    world.write(ARCHIVED, "precious");
    let taken = ARCHIVED.replace(".csv", ".load-1.csv");
    world.write(&taken, "precious too");
    assert_eq!(load(&world, DAY, "agency_a", &[])["load_id"], 1);
    assert_eq!(read(&world, ARCHIVED).as_deref(), Some("precious"));
    assert_eq!(read(&world, &taken).as_deref(), Some("precious too"));
    assert_eq!(read(&world, &ARCHIVED.replace(".csv", ".load-1-2.csv")), Some(rows()));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged", "and it is found there");
}

#[tokio::test]
async fn the_same_run_date_again_reads_the_archived_file_and_says_so() {
    let world = world().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    let again = run(&world, DAY, "agency_a", &["--force"]).code(0);
    assert_eq!(outcome(&again, "agency_a")["state"], "published");
    assert!(again.stderr.contains("is read from the archive, where load 1 left it"), "{}", again.stderr);
    assert_eq!(read(&world, ARCHIVED), Some(rows()));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged");
    let name: String = world.scalar("select file_name from bursar.loads order by id desc limit 1").await;
    assert!(FILE.ends_with(&name));
    let other = run(&world, "2025-05-14", "agency_a", &[]).code(65);
    assert!(other.messages().contains("nothing matches"), "{}", other.stderr);
}

#[tokio::test]
async fn a_file_in_the_inbox_comes_before_the_archived_one() {
    let world = world().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    world.deliver("A", ratings(&["9,9,9,x"]));
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert_eq!(world.rows("agency_a").await, ["(9,9,9,x)"]);
    assert_eq!(read(&world, ARCHIVED), Some(rows()));
    assert_eq!(read(&world, &ARCHIVED.replace(".csv", ".load-2.csv")), Some(ratings(&["9,9,9,x"])));
}

#[tokio::test]
async fn the_same_bytes_delivered_again_are_moved_too() {
    let world = world().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    world.deliver("A", rows());
    assert_eq!(state(&world, DAY, "agency_a", &[]), "unchanged");
    assert_eq!(read(&world, FILE), None);
    assert_eq!(read(&world, &ARCHIVED.replace(".csv", ".load-1.csv")), Some(rows()));
}

#[tokio::test]
async fn an_archived_file_that_was_changed_is_refused() {
    let world = world().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    world.write(ARCHIVED, ratings(&["1,1,1,x"]));
    let said = run(&world, DAY, "agency_a", &["--force"]).code(65).messages();
    assert!(said.contains("is not what load 1 took in any more"), "{said}");
}

#[tokio::test]
async fn a_marker_and_a_sidecar_go_along() {
    let world = world().await;
    declare(&world, "", "from = \"sidecar\"\nfile = \"{file}.ctl\"\npattern = 'rows=(?<rows>\\d+)'");
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[gate]", "[complete]\nwhen = \"marker\"\nmarker = \"{file}.done\"\n\n[gate]")
    });
    world.write(ARCHIVED, "taken");
    world.write(&format!("{FILE}.ctl"), "rows=2");
    world.write(&format!("{FILE}.done"), "");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    let archived = ARCHIVED.replace(".csv", ".load-1.csv");
    for extension in ["", ".ctl", ".done"] {
        assert_eq!(read(&world, &format!("{FILE}{extension}")), None, "{extension}");
        assert!(read(&world, &format!("{archived}{extension}")).is_some(), "{extension}");
    }
    assert_eq!(state(&world, DAY, "agency_a", &["--force"]), "published", "its sidecar is found beside it");
}

#[tokio::test]
async fn a_load_is_not_undone_for_its_archive_and_the_next_look_moves_the_file() {
    let world = world().await;
    let obstacle = world.write("inbox/archive", "no folder");
    let ran = run(&world, DAY, "agency_a", &[]).code(0);
    assert!(ran.stderr.contains("can't make the archive's folder"), "{}", ran.stderr);
    assert!(read(&world, FILE).is_some());
    assert_eq!(moved(&world).await.0.as_deref(), Some("pending"));
    let problems = look(&world).await;
    assert!(problems[0].contains("the file of load 1 is not archived yet"), "{problems:?}");
    std::fs::remove_file(obstacle).expect("remove it");
    assert_eq!(look(&world).await, [""; 0]);
    assert_eq!((read(&world, FILE), read(&world, ARCHIVED)), (None, Some(rows())));
    assert_eq!(moved(&world).await.0.as_deref(), Some("archived"));
}

#[tokio::test]
async fn a_move_that_a_crash_left_unrecorded_is_recorded_by_the_next_look() {
    let world = world().await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    crate::known::by_hand(&world, "update bursar.loads set archive_state = 'pending'").await;
    assert_eq!(look(&world).await, [""; 0]);
    let (state, archive) = moved(&world).await;
    assert_eq!((state.as_deref(), &archive["note"]), (Some("archived"), &Value::Null));
    assert_eq!(read(&world, ARCHIVED), Some(rows()));
}

#[tokio::test]
async fn a_file_that_is_not_the_loaded_one_is_left() {
    let world = world().await;
    let obstacle = world.write("inbox/archive", "no folder");
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    std::fs::remove_file(obstacle).expect("remove it");
    world.deliver("A", ratings(&["9,9,9,x"]));
    assert_eq!(look(&world).await, [""; 0]);
    assert_eq!((read(&world, FILE), read(&world, ARCHIVED)), (Some(ratings(&["9,9,9,x"])), None));
    let (state, archive) = moved(&world).await;
    assert_eq!(state.as_deref(), Some("left"));
    assert_eq!(archive["note"], "what was loaded does not lie there any more");
}

#[tokio::test]
async fn an_archived_file_has_arrived_and_is_neither_gone_nor_changed() {
    let world = world().await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("table = ", "arrive_by = \"23:30\"\ntable = "));
    world.bursar(&["migrate"]).code(0);
    crate::known::by_hand(
        &world,
        "insert into bursar.schedules (job, schedule, watched_since)
         values ('customer-ratings', '0 0 5 * * * America/New_York', '2025-05-12T12:00:00Z')",
    )
    .await;
    look(&world).await;
    assert_eq!(state(&world, DAY, "agency_a", &[]), "published");
    assert!(!Path::new(&world.path(FILE)).exists());
    assert_eq!(look(&world).await, [""; 0]);
    let delivery: String = world
        .scalar("select state from bursar.deliveries where customer = 'agency_a' and run_date = '2025-05-13'")
        .await;
    assert!(["arrived", "late"].contains(&delivery.as_str()), "{delivery}");
}

#[tokio::test]
async fn an_archive_that_leaves_the_inbox_or_would_be_loaded_again_is_refused() {
    for (path, problem) in [
        ("../archive/{file}", "must be a path within the inbox"),
        ("/archive/{file}", "must be a path within the inbox"),
        ("archive/%Y/x.csv", "must end in a name that holds {file}"),
        ("archive/{file}/x.csv", "must end in a name that holds {file}"),
        ("archive/*/{file}", "no wildcards"),
        ("archive/%H/{file}", "has a specifier that is none of a date"),
        ("archive/{client}/{file}", "{client} is unknown"),
        ("ratings/{file}", "is matched by the pattern"),
        ("ratings/Customer Rating Agency {customer.code} Inc %Y {file}", "is matched by the pattern"),
    ] {
        let world = World::new().await;
        archive(&world, path);
        let said = world.bursar(&["check"]).code(78).stderr;
        assert!(said.contains("processed.archive: ") && said.contains(problem), "{path}: {said}");
    }
    let world = World::new().await;
    archive(&world, "ratings/old {file}");
    world.bursar(&["check"]).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_beside_a_file_is_only_for_files_in_the_inbox() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        let file = text.lines().find(|line| line.starts_with("file = ")).expect("a pattern").to_owned();
        text.replace(&file, "file = \"s3://bucket/{customer.code}.csv\"\nprocessed = { archive = \"old/{file}\" }")
            + "\n[control]\nfrom = \"sidecar\"\nfile = \"{file}.sha256\"\n"
    });
    let ran = world.bursar(&["check"]).code(78);
    assert!(ran.messages().contains("processed: is for files in the inbox, and s3://bucket"), "{}", ran.messages());
    assert!(ran.messages().contains("control.from: is for files in the inbox"), "{}", ran.messages());
}
