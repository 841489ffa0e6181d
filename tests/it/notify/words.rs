//! The words of the program's own alerts: each names what it is about, and a command that exists to go on with.

use super::day;
use bursar::engine::stranded::Stranded;
use bursar::fault::Fault;
use bursar::notify::alert::{Alert, Kind};
use bursar::notify::wording::{self, File, Skipped};
use chrono::{DateTime, TimeZone};
use chrono_tz::America::New_York;
use chrono_tz::Tz;
use uuid::Uuid;

fn file() -> File<'static> {
    File { job: "nightly", dataset: "ratings", customer: "agency_a", run_date: day(13) }
}

fn at(hour: u32, minute: u32) -> DateTime<Tz> {
    New_York.with_ymd_and_hms(2025, 5, 13, hour, minute, 0).single().expect("an instant")
}

fn stranded() -> Stranded {
    Stranded {
        run: Uuid::nil(),
        job: "nightly".to_owned(),
        run_date: day(13),
        config_hash: "0123456789abcdef".to_owned(),
        is_alone: false,
        lacks_configuration: true,
        tasks: Vec::new(),
        items: Vec::new(),
        needs: Vec::new(),
    }
}

fn all() -> Vec<Alert> {
    let reasons = ["too many rejects".to_owned(), "no rows".to_owned()];
    let run = stranded();
    vec![
        wording::run_failed("nightly", day(13), Uuid::nil(), Fault::Data, "load agency_a: no file"),
        wording::run_stranded(&run.job, run.run_date, &run.to_string(), run.next_step()),
        wording::schedule_conflict("nightly", "It is due by the latest configuration: a. host 1 has b.".to_owned()),
        wording::occurrence_skipped(
            "nightly",
            day(13),
            &Skipped { count: 1, due_at: at(1, 0).to_utc(), state: "skipped", reason: "a reason" },
        ),
        wording::clock_skew("host-1", 3600.2),
        wording::load_held(&file(), 7, &reasons),
        wording::load_measured(&file(), 7, &["the table holds the rows of 2062-11-30, which is newer".to_owned()]),
        wording::file_missing(&file(), "nothing matches in/a*.csv", at(6, 30), at(23, 0)),
        wording::file_late(&file(), "in/a.csv", at(6, 30), at(7, 5)),
        wording::file_changed(&file(), "in/a.csv", 7),
        wording::file_duplicate(&file(), "in/a.csv", day(12)),
        wording::file_refused(&file(), "in/a.csv has no header", Some(at(23, 0))),
    ]
}

#[test]
fn every_alert_reads_like_this() {
    let told = all()
        .into_iter()
        .map(|Alert { kind, title, text, next_step, .. }| format!("{kind}\n  {title}\n  {text}\n  {next_step}\n"));
    insta::assert_snapshot!(told.collect::<String>(), @r#"
    run_failed
      nightly for 2025-05-13 failed (data)
      load agency_a: no file
      See its tasks: bursar runs show 00000000-0000-0000-0000-000000000000. Once corrected files are there: bursar runs retry 00000000-0000-0000-0000-000000000000
    run_stranded
      nightly for 2025-05-13 stands still
      The run is open, and no worker that is up has the configuration 0123456789ab, under which the run was opened.
      If the configuration files are those of the run: bursar reload. Else go on with it under the present configuration: bursar runs retry 00000000-0000-0000-0000-000000000000; or end it: bursar runs cancel 00000000-0000-0000-0000-000000000000
    schedule_conflict
      daemons schedule nightly differently
      It is due by the latest configuration: a. host 1 has b.
      Give the daemons that are named the same configuration (bursar check there), then: bursar reload
    occurrence_skipped
      nightly for 2025-05-13 was not run when it was due
      It was due at 2025-05-13T05:00:00Z and was skipped: a reason.
      Run it: bursar run-job nightly --date 2025-05-13. The alert ends when a run for that date has succeeded
    clock_skew
      the clock of host-1 is wrong
      It is 3600 s ahead of the database's. A daemon there dispatches nothing until it is set; others go on.
      Set the clock of host-1 (NTP), or that of the database's machine, then: bursar workers
    load_held
      ratings of agency_a for 2025-05-13: the load is held, the table was not changed
      Load 7 was not published: too many rejects; no rows
      Publish it as it is: bursar loads accept 7 --reason "…". Drop it: bursar loads discard 7 --reason "…". Or load a corrected file: bursar run-job nightly --date 2025-05-13 --customer agency_a
    load_measured
      ratings of agency_a for 2025-05-13: the load was not published
      Load 7 was counted, and the table was not changed: the table holds the rows of 2062-11-30, which is newer.
      If the newer run date is a mistake: bursar run-job nightly --date 2025-05-13 --customer agency_a --publish. Otherwise nothing needs to be done: the alert ends when a load of agency_a is published
    file_missing
      ratings of agency_a for 2025-05-13: the file is missing
      It was due by 2025-05-13T06:30:00-04:00: nothing matches in/a*.csv.
      Ask agency_a for it. Delivered by 2025-05-13T23:00:00-04:00 it is loaded automatically; after that: bursar run-job nightly --date 2025-05-13 --customer agency_a
    file_late
      ratings of agency_a for 2025-05-13: the file is late
      It was due by 2025-05-13T06:30:00-04:00 and was delivered at 2025-05-13T07:05:00-04:00, as in/a.csv. Its load follows automatically.
      If this alert stays open: bursar run-job nightly --date 2025-05-13 --customer agency_a
    file_changed
      ratings of agency_a for 2025-05-13: the file was changed after it was loaded
      in/a.csv is no longer the file that load 7 read. The table keeps that load's rows.
      Ask agency_a whether it is a correction. If it is: bursar run-job nightly --date 2025-05-13 --customer agency_a
    file_duplicate
      ratings of agency_a for 2025-05-13: the file is an old one
      in/a.csv has the same bytes as the file that was loaded for 2025-05-12.
      Ask agency_a for the file of 2025-05-13. Once it is there: bursar run-job nightly --date 2025-05-13 --customer agency_a
    file_refused
      ratings of agency_a for 2025-05-13: the file was refused
      in/a.csv has no header. Nothing was loaded; the table was not changed.
      Ask agency_a for a corrected file. Delivered by 2025-05-13T23:00:00-04:00 it is loaded automatically; after that: bursar run-job nightly --date 2025-05-13 --customer agency_a
    "#);
}

#[test]
fn every_kind_is_worded_and_each_has_a_key_of_its_own() {
    let mut kinds: Vec<Kind> = all().iter().map(|alert| alert.kind).collect();
    kinds.sort_unstable();
    let mut known = Kind::ALL.to_vec();
    known.sort_unstable();
    assert_eq!(kinds, known);
    let mut keys: Vec<String> = all().iter().map(Alert::key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), known.len());
}

#[test]
fn every_next_step_holds_a_command_for_just_this() {
    for alert in all() {
        let (command, subject) = match alert.kind {
            Kind::RunFailed | Kind::RunStranded => {
                ("bursar runs retry 00000000-0000-0000-0000-000000000000", "nightly for 2025-05-13")
            }
            Kind::ScheduleConflict => ("bursar reload", "nightly"),
            Kind::OccurrenceSkipped => ("bursar run-job nightly --date 2025-05-13", "nightly for 2025-05-13"),
            Kind::ClockSkew => ("bursar workers", "host-1"),
            _ => ("bursar run-job nightly --date 2025-05-13 --customer agency_a", "2025-05-13"),
        };
        assert!(alert.next_step.contains(command), "{}", alert.next_step);
        assert!(!alert.title.contains('\n') && alert.title.contains(subject), "{}", alert.title);
    }
}

#[test]
fn the_advice_goes_by_the_fault() {
    let advice = |fault| wording::run_failed("nightly", day(13), Uuid::nil(), fault, "why").next_step;
    assert!(advice(Fault::Config).contains("bursar check"));
    assert!(advice(Fault::Transient).contains("may succeed"));
    assert!(advice(Fault::Data).contains("corrected files"));
    assert!(advice(Fault::Bug).contains("bug of Bursar"));
}
