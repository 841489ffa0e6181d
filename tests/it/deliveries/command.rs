//! `bursar deliveries`

use super::{DUE_BY, Watched, file};

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lists_what_was_to_come_with_its_deadline_in_the_jobs_zone() {
    let mut watched = Watched::new(DUE_BY).await;
    watched.world.deliver("A", file(1));
    watched.look("2025-05-13T10:00:00Z").await;
    watched.look("2025-05-13T11:00:00Z").await;
    let all = watched.world.bursar(&["deliveries", "--date", "2025-05-13", "--json"]).code(0).json();
    let states: Vec<&str> = all.as_array().unwrap().iter().map(|d| d["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["arrived", "missing", "missing", "missing"]);
    assert_eq!(all[0]["deadline"], "2025-05-13T06:30:00-04:00");
    assert_eq!(all[0]["arrived_at"], "2025-05-13T06:00:00-04:00");
    assert_eq!(all[0]["timezone"], "America/New_York");
    let table = watched.world.bursar(&["deliveries", "--from", "2025-05-13", "--customer", "agency_a"]).code(0).stdout;
    for part in ["2025-05-13", "agency_a", "arrived", "06:30 EDT", "06:00 EDT"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(!table.contains("agency_b"));
    let missing = ["deliveries", "--to", "2025-05-13", "--state", "missing", "--dataset", "customer_rating", "--json"];
    assert_eq!(watched.world.bursar(&missing).code(0).json().as_array().unwrap().len(), 3);
    let today = watched.world.bursar(&["deliveries"]).code(0).stdout;
    assert!(today.starts_with("no deliveries"), "{today}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_wrong_usage_and_a_database_without_tables_a_wrong_installation() {
    let world = crate::support::World::bare().await;
    for (arguments, hint) in [
        (["--customer", "agency_x"], "there is no customer \"agency_x\"; did you mean"),
        (["--dataset", "customer_ratings"], "did you mean \"customer_rating\"?"),
        (["--state", "lost"], "no state of a delivery; "),
        (["--date", "13.05.2025"], "invalid value '13.05.2025'"),
    ] {
        let said = world.bursar(&[&["deliveries"][..], &arguments].concat()).code(64).stderr;
        assert!(said.contains(hint), "{said}");
    }
    let said = world.bursar(&["deliveries"]).code(78).messages();
    assert!(said.contains("make it with `bursar migrate`"), "{said}");
}
