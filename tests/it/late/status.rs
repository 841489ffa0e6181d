//! `bursar status`: is everything all right?

use super::{EVE, Installation};
use crate::support::ratings;

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_what_needs_a_person_with_the_next_command_and_exits_with_0_when_nothing_does() {
    let installation = Installation::new("").await;
    let world = &installation.world;
    installation.deliver("ABC", 1);
    world.deliver("D", ratings(&["9,1,1,low-value", "x,1,1,low", "y,1,1,low"]));
    let follow = async {
        installation.until_run("2025-05-13", "failed").await;
        let held: i64 = world.scalar("select id from bursar.loads where state = 'held'").await;
        let shown = installation.bursar(&["status"]).code(1).stdout;
        for part in [
            "1 condition needs attention",
            "customer_rating of agency_d for 2025-05-13: the load is held",
            &format!("next: Publish it as it is: bursar loads accept {held} --reason "),
            "no run is open",
            "customer-ratings",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let json = installation.bursar(&["status", "--json"]).code(1).json();
        let condition = &json["attention"][0];
        assert_eq!((&condition["kind"], &condition["customer"]), (&"load_held".into(), &"agency_d".into()));
        installation.bursar(&["loads", "accept", &held.to_string(), "--reason", "known"]).code(0);
        installation.bursar(&["run-job", "customer-ratings", "--date", "2025-05-13"]).code(0);
        let right = installation.bursar(&["status"]).code(0).stdout;
        assert!(right.starts_with("all right ("), "{right}");
        let json = installation.bursar(&["status", "--json"]).code(0).json();
        let jobs = json["jobs"].as_array().expect("jobs");
        let job = jobs.iter().find(|job| job["job"] == "customer-ratings").expect("the job");
        assert_eq!(
            (&job["last_run"]["state"], &job["last_run"]["run_date"]),
            (&"succeeded".into(), &"2025-05-13".into())
        );
        assert!(job["next_due"].as_str().is_some_and(|due| due.ends_with('Z')), "{job}");
    };
    installation.serve(EVE, follow).await;
    // An operator's run that fails raises no alert, and the daemon has stopped.
    world.deliver("A", "no header at all\r\n");
    installation.bursar(&["run-job", "customer-ratings", "--date", "2025-05-14", "--customer", "agency_a"]).code(65);
    let json = installation.bursar(&["status", "--json"]).code(1).json();
    let kinds: Vec<&str> = json["attention"].as_array().unwrap().iter().map(|c| c["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["no_daemon", "run_failed"]);
    assert!(json["attention"][1]["next_step"].as_str().unwrap().contains("bursar runs retry "), "{json}");
}
