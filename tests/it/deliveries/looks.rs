//! What a look at the inbox makes of what is expected.

use super::{DEADLINE, DUE_BY, Watched, at, file, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_by_its_deadline_has_arrived_and_that_is_told_once() {
    let mut watched = Watched::new(DUE_BY).await;
    watched.nothing_at("2025-05-13T09:00:00Z").await;
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "expected");
    watched.world.deliver("A", file(1));
    assert_eq!(watched.look(DEADLINE).await, ["arrived agency_a 2025-05-13"]);
    watched.nothing_at(DEADLINE).await;
    let delivery = watched.get("agency_a", "2025-05-13").await;
    assert_eq!(delivery.arrived_at, Some(at(DEADLINE)), "never later than it was seen");
    assert_eq!(delivery.file_path.as_deref(), Some("ratings/Customer Rating Agency A Inc.csv"));
    assert_eq!(delivery.file_bytes, Some(file(1).len().try_into().unwrap()));
    assert_eq!((delivery.load_id, delivery.file_sha256), (None, None), "nobody has loaded it yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_is_told_once_and_a_file_in_the_window_is_late() {
    let mut watched = Watched::alone(DUE_BY).await;
    watched.nothing_at(DEADLINE).await;
    assert_eq!(watched.look("2025-05-13T10:30:01Z").await, ["missing agency_a 2025-05-13"]);
    watched.nothing_at("2025-05-13T10:30:02Z").await;
    assert!(watched.note("agency_a", "2025-05-13").await.starts_with("nothing matches "));
    watched.world.deliver("A", file(1));
    assert_eq!(watched.look("2025-05-13T12:00:00Z").await, ["late agency_a 2025-05-13"]);
    watched.nothing_at("2025-05-13T12:00:01Z").await;
    let delivery = watched.get("agency_a", "2025-05-13").await;
    assert_eq!((delivery.arrived_at, delivery.note), (Some(at("2025-05-13T12:00:00Z")), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_after_the_window_stays_missing() {
    let mut watched = Watched::alone(&format!("{DUE_BY}late_window_h = 2\n")).await;
    watched.look("2025-05-13T11:00:00Z").await;
    watched.world.deliver("A", file(1));
    watched.nothing_at("2025-05-13T12:30:01Z").await;
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_date_in_its_name_is_the_newest_days_and_one_with_a_date_its_own_days() {
    let mut watched = Watched::alone(DUE_BY).await;
    watched.look("2025-05-13T11:00:00Z").await;
    watched.world.deliver("A", file(1));
    assert_eq!(watched.look("2025-05-14T05:00:00Z").await, ["arrived agency_a 2025-05-14"]);
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "missing", "in New York the next day has begun");
    let mut watched = Watched::alone(DUE_BY).await;
    watched.world.edit("datasets/customer_rating.toml", |text| text.replace("Inc*.csv", "%Y%m%d.csv"));
    watched.restart();
    watched.look("2025-05-13T11:00:00Z").await;
    watched.world.write("inbox/ratings/Customer Rating Agency A 20250513.csv", file(1));
    assert_eq!(watched.look("2025-05-14T05:00:00Z").await, ["late agency_a 2025-05-13"]);
    assert_eq!(watched.state("agency_a", "2025-05-14").await, "expected");
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_that_passed_while_no_daemon_was_up_are_found_at_the_next_look() {
    let mut watched = Watched::alone(DUE_BY).await;
    assert_eq!(
        watched.look("2025-05-15T12:00:00Z").await,
        ["missing agency_a 2025-05-13", "missing agency_a 2025-05-14", "missing agency_a 2025-05-15"]
    );
    assert!(watched.find("agency_a", "2025-05-12").await.is_none(), "it was due before the job was watched");
    watched.restart();
    watched.nothing_at("2025-05-15T12:00:01Z").await;
    let found = watched.look("2025-06-01T12:00:00Z").await;
    assert_eq!(found.len(), 7, "{found:?}");
    assert_eq!(found[0], "missing agency_a 2025-05-26");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_expected_before_a_long_stop_is_still_missed() {
    let mut watched = Watched::alone(DUE_BY).await;
    watched.nothing_at("2025-05-13T10:00:00Z").await;
    watched.restart();
    assert!(watched.look("2025-06-13T12:00:00Z").await.contains(&"missing agency_a 2025-05-13".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_came_late_while_nobody_looked_is_late_and_not_missing_first() {
    let mut watched = Watched::alone(DUE_BY).await;
    watched.nothing_at("2025-05-13T10:00:00Z").await;
    watched.world.deliver("A", file(1));
    assert_eq!(watched.look("2025-05-13T11:00:00Z").await, ["late agency_a 2025-05-13"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_watches_yet_or_with_another_schedule_expects_nothing() {
    let mut watched = Watched::alone(DUE_BY).await;
    sqlx::query("update bursar.schedules set schedule = '0 6 * * * UTC'").execute(&watched.pool).await.unwrap();
    watched.nothing_at("2025-05-13T12:00:00Z").await;
    sqlx::query("delete from bursar.schedules").execute(&watched.pool).await.unwrap();
    watched.nothing_at("2025-05-13T12:00:00Z").await;
    assert!(watched.find("agency_a", "2025-05-13").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_calendar_expects_nothing_and_says_why() {
    let mut watched = Watched::configured(DUE_BY, |world| {
        world.edit("customers.toml", |text| {
            let text = text.replace("code = \"A\"", "code = \"A\"\ncalendar = \"tuesdays_off\"");
            text + "\n[[calendar]]\nname = \"tuesdays_off\"\nclosed_weekdays = [\"tue\"]\nclosed_dates = [\"2025-05-14\"]\n"
        });
    })
    .await;
    assert_eq!(watched.look("2025-05-13T12:00:00Z").await.len(), 3, "the others are missing");
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "not_expected");
    assert_eq!(watched.note("agency_a", "2025-05-13").await, "the calendar tuesdays_off is closed on Tuesdays");
    watched.look("2025-05-14T12:00:00Z").await;
    assert_eq!(watched.note("agency_a", "2025-05-14").await, "the calendar tuesdays_off is closed on 2025-05-14");
    watched.world.deliver("A", file(1));
    watched.look("2025-05-14T12:00:01Z").await;
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "not_expected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_still_being_delivered_is_not_there_and_the_note_says_so() {
    let complete = "complete = { when = \"marker\", marker = \"{file}.done\" }\n";
    let mut watched = Watched::alone(&format!("{DUE_BY}{complete}")).await;
    watched.world.deliver("A", file(1));
    watched.nothing_at("2025-05-13T10:00:00Z").await;
    let said = watched.world.run_job("2025-05-13", &["--customer", "agency_a"]).code(75).messages();
    assert!(said.contains("is still being delivered: "), "{said}");
    assert!(said.contains("Customer Rating Agency A Inc.csv.done is not beside it yet"), "{said}");
    assert_eq!(watched.look("2025-05-13T11:00:00Z").await, ["missing agency_a 2025-05-13"]);
    assert!(watched.note("agency_a", "2025-05-13").await.contains(" is still being delivered: "));
    watched.world.write("inbox/ratings/Customer Rating Agency A Inc.csv.done", "");
    assert_eq!(watched.look("2025-05-13T12:00:00Z").await, ["late agency_a 2025-05-13"]);
    watched.world.run_job("2025-05-13", &["--customer", "agency_a"]).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_files_none_has_arrived_and_both_are_named() {
    let mut watched = Watched::alone(DUE_BY).await;
    watched.world.deliver("A", file(1));
    watched.world.write("inbox/ratings/Customer Rating Agency A Inc (1).csv", file(2));
    watched.nothing_at("2025-05-13T10:00:00Z").await;
    assert_eq!(watched.look("2025-05-13T11:00:00Z").await, ["missing agency_a 2025-05-13"]);
    let note = watched.note("agency_a", "2025-05-13").await;
    assert!(note.starts_with("2 files match: ") && note.contains("Inc (1).csv") && note.contains("Inc.csv"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_read_is_said_once_and_nothing_is_concluded_from_it() {
    let mut watched = Watched::new(DUE_BY).await;
    watched.nothing_at("2025-05-13T10:00:00Z").await;
    std::fs::remove_dir(watched.world.path("inbox/ratings")).expect("remove it");
    watched.world.write("inbox/ratings", "a file in place of its folder");
    let seen = watched.see("2025-05-13T12:00:00Z").await;
    let problems: Vec<String> = seen.problems.iter().map(|error| format!("{error:#}")).collect();
    assert_eq!((problems.len(), seen.moves.len()), (1, 0), "{problems:?}");
    assert!(problems[0].contains("can't look for files in ") && problems[0].contains("Not a directory"));
    std::fs::rename(watched.world.path("inbox"), watched.world.path("away")).expect("move it");
    let seen = watched.see("2025-05-13T12:00:00Z").await;
    assert!(seen.problems[0].to_string().contains("can't be searched") && seen.moves.is_empty());
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "expected");
    std::fs::rename(watched.world.path("away"), watched.world.path("inbox")).expect("move it");
    std::fs::remove_file(watched.world.path("inbox/ratings")).expect("remove it");
    assert_eq!(watched.look("2025-05-13T12:00:00Z").await.len(), 4, "a folder that is not there holds no files");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_look_at_once_one_is_told() {
    let mut watched = Watched::new(DUE_BY).await;
    let mut other = Watched::lookout(&watched.world);
    watched.world.deliver_all();
    for (now, expected) in [("2025-05-13T10:00:00Z", 4), ("2025-05-14T10:00:00Z", 4), ("2025-05-15T10:00:00Z", 4)] {
        let one = watched.see(now).await;
        let two = other.look(&watched.pool, at(now)).await.expect("a look");
        assert_eq!((one.moves.len(), two.moves.len()), (expected, expected), "both see the same");
        let enter = async |seen: &bursar::deliveries::Seen| {
            let mut transaction = watched.pool.begin().await.unwrap();
            let events = seen.enter(&mut transaction, at(now)).await.expect("enter what was seen");
            transaction.commit().await.unwrap();
            told(&events)
        };
        let (one, two) = tokio::join!(enter(&one), enter(&two));
        let mut both = [one, two].concat();
        both.sort();
        both.dedup();
        assert_eq!(both.len(), expected, "{both:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acted_upon_is_told_again() {
    let mut watched = Watched::alone(DUE_BY).await;
    watched.world.deliver("A", file(1));
    let seen = watched.see("2025-05-13T10:00:00Z").await;
    let mut transaction = watched.pool.begin().await.unwrap();
    assert_eq!(seen.enter(&mut transaction, at("2025-05-13T10:00:00Z")).await.unwrap().len(), 1);
    transaction.rollback().await.unwrap();
    assert_eq!(watched.look("2025-05-13T10:00:05Z").await, ["arrived agency_a 2025-05-13"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_is_not_missed_for_the_days_before() {
    let mut watched = Watched::alone(DUE_BY).await;
    assert_eq!(watched.look("2025-05-13T12:00:00Z").await, ["missing agency_a 2025-05-13"]);
    watched.nothing_at("2025-05-14T10:00:00Z").await;
    watched.nothing_at("2025-05-14T10:29:00Z").await;
    watched.world.edit("customers.toml", |text| text + "\n[[customer]]\nname = \"agency_b\"\ncode = \"B\"\n");
    watched.restart();
    let both = ["missing agency_a 2025-05-14", "missing agency_b 2025-05-14"];
    assert_eq!(watched.look("2025-05-14T10:31:00Z").await, both);
    assert!(watched.find("agency_b", "2025-05-13").await.is_none());
    watched.world.edit("customers.toml", |text| text + "\n[[customer]]\nname = \"agency_c\"\ncode = \"C\"\n");
    watched.nothing_at("2025-05-14T11:00:00Z").await;
    watched.restart();
    watched.nothing_at("2025-05-14T11:01:00Z").await;
    assert!(watched.find("agency_c", "2025-05-14").await.is_none(), "its time had passed when it came");
    assert_eq!(watched.look("2025-05-15T11:00:00Z").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_has_a_deadline_of_its_own_and_without_any_nobody_waits() {
    let mut watched = Watched::configured("", |world| {
        world.edit("customers.toml", |text| {
            text.replace("code = \"A\"", "code = \"A\"\ndataset.customer_rating.arrive_by = \"08:00\"")
        });
    })
    .await;
    watched.nothing_at("2025-05-13T12:00:00Z").await;
    assert_eq!(watched.look("2025-05-13T12:00:01Z").await, ["missing agency_a 2025-05-13"]);
    assert!(watched.find("agency_b", "2025-05-13").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_customer_is_expected_after_a_restart_and_one_that_is_gone_stays_as_it_was() {
    let mut watched = Watched::alone(DUE_BY).await;
    watched.nothing_at("2025-05-13T10:00:00Z").await;
    watched.world.edit("customers.toml", |text| text.replace("agency_a", "agency_b").replace("\"A\"", "\"B\""));
    watched.restart();
    assert_eq!(watched.look("2025-05-13T11:00:00Z").await, ["missing agency_b 2025-05-13"]);
    assert_eq!(watched.state("agency_a", "2025-05-13").await, "expected");
}
