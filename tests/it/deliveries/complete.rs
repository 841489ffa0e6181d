//! When a file is complete.

use super::{Watched, day};
use crate::support::Folder;
use bursar::rows::complete::{Complete, modified_at};
use bursar::rows::inbox::{Found, Inbox, find};
use bursar::rows::source::Places;
use chrono::{DateTime, TimeDelta, Utc};
use std::fs::File;
use std::path::Path;

/// Now by the file's own clock: that of its last change.
fn changed(path: &Path) -> DateTime<Utc> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).expect("a file");
    DateTime::from_timestamp(file.ctime(), u32::try_from(file.ctime_nsec()).unwrap()).expect("a time")
}

fn judge(complete: &Complete, path: &Path, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    complete.judge(path, &std::fs::metadata(path).expect("a file"), now).expect("a verdict")
}

#[test]
fn a_settled_file_has_not_been_touched_for_so_long() {
    let folder = Folder::new();
    let path = folder.write("x.csv", "1");
    let (settled, touched) = (Complete::Settled(TimeDelta::seconds(30)), changed(&path));
    let why = judge(&settled, &path, touched + TimeDelta::seconds(10)).unwrap_err();
    assert_eq!(why, "it changed 10 s ago, and counts when it is unchanged for 30 s");
    let since = judge(&settled, &path, touched + TimeDelta::seconds(31)).expect("settled");
    assert!((since - touched - TimeDelta::seconds(30)).abs() < TimeDelta::milliseconds(1), "{since} {touched}");
}

#[test]
fn an_old_time_that_a_file_was_given_does_not_make_it_settled_and_a_future_one_not_unsettled() {
    let folder = Folder::new();
    let settled = Complete::Settled(TimeDelta::seconds(30));
    for years in [-10, 10] {
        let path = folder.write("x.csv", "1");
        let given = changed(&path) + TimeDelta::days(365 * years);
        File::options().append(true).open(&path).unwrap().set_modified(given.into()).expect("set its time");
        let touched = changed(&path);
        assert!(judge(&settled, &path, touched + TimeDelta::seconds(1)).is_err(), "{years}");
        assert!(judge(&settled, &path, touched + TimeDelta::seconds(31)).is_ok(), "{years}");
        let kept = modified_at(&std::fs::metadata(&path).unwrap());
        assert_eq!(kept.timestamp_micros(), given.timestamp_micros(), "in whole microseconds");
    }
}

#[test]
fn a_marker_may_come_first_and_completes_only_its_own_file() {
    let folder = Folder::new();
    let marker = Complete::Marker(".{file}.ok".to_owned());
    folder.write(".x.csv.ok", "");
    let (x, y) = (folder.write("x.csv", "1"), folder.write("y.csv", "1"));
    let now = changed(&y) + TimeDelta::seconds(1);
    assert!(judge(&marker, &x, now).is_ok());
    assert_eq!(judge(&marker, &y, now).unwrap_err(), ".y.csv.ok is not beside it yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_files_the_complete_one_is_found() {
    let watched = Watched::alone("complete = { when = \"marker\", marker = \"{file}.done\" }\n").await;
    let catalog = Watched::catalog(&watched.world);
    let (dataset, customer) = (catalog.dataset("customer_rating").unwrap(), catalog.customer("agency_a").unwrap());
    let (root, date) = (watched.world.path("inbox"), day("2025-05-13"));
    let name = |n: u32| format!("inbox/ratings/Customer Rating Agency A Inc {n}.csv");
    let one = watched.world.write(&name(1), "1");
    watched.world.write(&name(2), "2");
    let now = changed(&one);
    let places = Places::from(&root);
    let look = || Inbox::of(&places).look(dataset, customer, date, now).unwrap();
    assert!(matches!(look(), Found::Partial(_, _)));
    watched.world.write(&format!("{}.done", name(1)), "");
    assert_eq!(find(&places, dataset, customer, date, now).await.unwrap().path, one);
    watched.world.write(&format!("{}.done", name(2)), "");
    assert!(matches!(look(), Found::Several(paths) if paths.len() == 2));
}
