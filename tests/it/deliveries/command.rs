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
    assert_eq!(all[0]["deadline"], "2025-05-13T10:30:00Z");
    assert_eq!(all[0]["arrived_at"], "2025-05-13T10:00:00Z");
    assert_eq!(all[0]["timezone"], "America/New_York");
    let table = watched.world.bursar(&["deliveries", "--from", "2025-05-13", "--customer", "agency_a"]).code(0).stdout;
    for part in ["2025-05-13", "agency_a", "arrived", "2025-05-13T06:30:00-04:00", "2025-05-13T06:00:00-04:00"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(!table.contains("agency_b"));
    let missing = ["deliveries", "--to", "2025-05-13", "--state", "missing", "--dataset", "customer_rating", "--json"];
    assert_eq!(watched.world.bursar(&missing).code(0).json().as_array().unwrap().len(), 3);
    let today = watched.world.bursar(&["deliveries"]).code(0).stdout;
    assert!(today.starts_with("no deliveries"), "{today}");
}

#[tokio::test(flavor = "multi_thread")]
async fn held_refused_and_failed_loads_are_shown_and_can_be_asked_for() {
    let mut watched = Watched::new(DUE_BY).await;
    watched.world.deliver("A", file(1));
    watched.world.deliver("B", crate::support::ratings(&["x,1,1,low", "y,1,1,low"]));
    watched.world.deliver("C", "no header at all\r\n");
    watched.world.deliver("D", file(4));
    watched.look("2025-05-13T10:00:00Z").await;
    watched.world.sql("alter table customer_rating_agency_d drop column customer_status cascade").await;
    watched.world.run_job("2025-05-13", &[]).code(78);
    let bursar = |more: &[&str]| {
        let arguments = [&["deliveries", "--date", "2025-05-13", "--json"][..], more].concat();
        watched.world.bursar(&arguments).code(0).json()
    };
    let all = bursar(&[]);
    let outcomes: Vec<&str> = all.as_array().unwrap().iter().map(|d| d["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["published", "held", "refused", "failed"]);
    let refused = bursar(&["--outcome", "refused"]);
    assert_eq!((&refused[0]["customer"], &refused[0]["state"]), (&"agency_c".into(), &"arrived".into()));
    assert!(refused[0]["note"].as_str().unwrap().starts_with("refused: "), "{refused}");
    assert!(bursar(&["--outcome", "failed"])[0]["failure"].as_str().unwrap().contains("customer_status"));
    let loads = watched.world.bursar(&["loads", "list", "--state", "refused", "--json"]).code(0).json();
    assert_eq!((&loads[0]["file_bytes"], &loads[0]["id"]), (&18.into(), &refused[0]["refused_id"]));
    let id = loads[0]["id"].to_string();
    let shown = watched.world.bursar(&["loads", "show", &id, "--json"]).code(0).json();
    assert_eq!((&shown["state"], &shown["file_sha256"]), (&"refused".into(), &loads[0]["file_sha256"]));
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
