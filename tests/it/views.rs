//! The consolidated view and the measures' views: what an administrator says of them or sets for them stops no load and
//! is not lost.

use crate::support::{World, ratings};

/// Yesterday's rows of all agencies.
async fn loaded() -> World {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    world
}

/// A fifth customer, who has delivered.
fn onboard(world: &World) {
    world.edit("customers.toml", |text| text + "\n[[customer]]\nname = \"agency_e\"\ncode = \"E\"\n");
    world.deliver("E", ratings(&["1,10,20,high-value"]));
}

const VIEW: &str = "public.customer_rating";

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_on_the_consolidated_view_fails_no_load_and_migrate_says_how_its_mark_is_given_back() {
    for comment in ["'all ratings'", "null"] {
        let world = loaded().await;
        world.sql(&format!("comment on view {VIEW} is {comment}")).await;
        onboard(&world);
        let ran = world.run_job("2025-05-14", &[]).code(0);
        assert!(ran.stderr.contains("is left as it is until the next start"), "{}", ran.stderr);
        assert_eq!(world.rows("agency_e").await, ["(1,10,20,high-value)"]);
        let said = world.bursar(&["migrate"]).code(78).messages();
        let found = if comment == "null" { "this one has none" } else { "this one has \"all ratings\"" };
        assert!(said.contains(found), "{said}");
        let (_, sql) = said.split_once("give it the mark back: ").expect("SQL");
        let (sql, _) = sql.split_once(';').expect("a statement");
        assert_eq!(world.scalar::<i64>(&format!("select count(*) from {VIEW}")).await, 4, "it is left alone");
        world.sql(sql).await;
        world.bursar(&["migrate"]).code(0);
        assert_eq!(world.scalar::<i64>(&format!("select count(*) from {VIEW}")).await, 5, "it is made anew");
        world.bursar(&["migrate"]).code(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measures_view_is_ours_whatever_is_said_of_it() {
    let world = loaded().await;
    let view = "bursar.load_measures_customer_rating";
    world.sql(&format!("comment on view {view} is 'measures'; grant select on {view} to pg_monitor")).await;
    world.run_job("2025-05-14", &[]).code(0);
    assert!(world.report("20250514").is_some());
    let comment: String = world.scalar(&format!("select obj_description('{view}'::regclass)")).await;
    assert!(comment.starts_with("made by bursar from "), "{comment}");
    assert!(world.scalar::<bool>(&format!("select has_table_privilege('pg_monitor', '{view}', 'select')")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_can_not_be_made_anew_fails_no_load() {
    let world = loaded().await;
    world.sql(&format!("create view mine as select customer_status from {VIEW}")).await;
    let town = "[[column]]\nname = \"town\"\ntype = \"text\"\nnullable = true\noptional = true\n\n[[column]]\nname = \"customer_rating\"";
    world.edit("datasets/customer_rating.toml", |text| text.replace("[[column]]\nname = \"customer_rating\"", town));
    for customer in ["a", "b", "c", "d"] {
        world.sql(&format!("alter table customer_rating_agency_{customer} add column town text")).await;
    }
    let ran = world.run_job("2025-05-14", &[]).code(0);
    assert!(ran.stderr.contains("mine stands on it"), "{}", ran.stderr);
    world.bursar(&["migrate"]).code(78);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_made_anew_keeps_its_options_and_its_owner() {
    let world = loaded().await;
    let role = format!("owner_{}", uuid::Uuid::new_v4().simple());
    let owner = format!("select pg_get_userbyid(relowner)::text from pg_class where oid = '{VIEW}'::regclass");
    world
        .sql(&format!("create role {role}; alter view {VIEW} owner to {role}; grant select on {VIEW} to bursar"))
        .await;
    let grants = format!("select relacl::text from pg_class where oid = '{VIEW}'::regclass");
    let granted: String = world.scalar(&grants).await;
    let options = format!("select array_to_string(reloptions, ',') from pg_class where oid = '{VIEW}'::regclass");
    let set = ["security_invoker=true", "security_barrier=true"];
    world.sql(&format!("alter view {VIEW} set ({})", set.join(", "))).await;
    onboard(&world);
    world.bursar(&["migrate"]).code(0);
    assert_eq!(world.scalar::<String>(&options).await, set.join(","), "replaced");
    let first =
        "[[column]]\nname = \"town\"\ntype = \"text\"\nnullable = true\n\n[[column]]\nname = \"customer_number\"";
    world.edit("datasets/customer_rating.toml", |text| text.replace("[[column]]\nname = \"customer_number\"", first));
    for customer in ["a", "b", "c", "d", "e"] {
        world.sql(&format!("alter table customer_rating_agency_{customer} add column town text")).await;
    }
    world.bursar(&["migrate"]).code(0);
    let (owned_by, grants) = (world.scalar::<String>(&owner).await, world.scalar::<String>(&grants).await);
    world.sql(&format!("alter view {VIEW} owner to current_user; drop owned by {role}; drop role {role}")).await;
    assert_eq!((owned_by, grants), (role, granted));
    assert_eq!(world.scalar::<i64>(&format!("select count(*) - count(town) from {VIEW}")).await, 4);
    assert_eq!(world.scalar::<String>(&options).await, set.join(","), "dropped and made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consolidated_view_over_appended_rows_tells_their_run_dates() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("\n[gate]", "\nmode = \"append\"\nrun_date_column = \"day\"\n[gate]")
    });
    world.bursar(&["migrate"]).code(0);
    // As it was made before, and granted.
    let tables = ["a", "b", "c", "d"].map(|c| format!("select 'agency_{c}'::text as customer, customer_number, customer_rating, customer_rating_limit, customer_status from public.customer_rating_agency_{c}"));
    world
        .sql(&format!(
            "drop view {VIEW}; create view {VIEW} as {}; comment on view {VIEW} is 'made by bursar from before';
             create view mine as select customer, customer_status from {VIEW}; grant select on {VIEW} to pg_monitor",
            tables.join(" union all ")
        ))
        .await;
    for (date, row) in [("2025-05-13", "1,2,3,low-value"), ("2025-05-14", "4,5,6,low-value")] {
        world.deliver("A", ratings(&[row]));
        world.run_job(date, &["--customer", "agency_a"]).code(0);
    }
    let rows = world.column(&format!("select v::text from {VIEW} as v order by 1")).await;
    assert_eq!(rows, ["(agency_a,1,2,3,low-value,2025-05-13)", "(agency_a,4,5,6,low-value,2025-05-14)"]);
    assert!(world.scalar::<bool>(&format!("select has_table_privilege('pg_monitor', '{VIEW}', 'select')")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_column_of_run_dates_can_not_have_the_name_of_the_views_own_column() {
    let world = World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("\n[gate]", "\nmode = \"append\"\nrun_date_column = \"customer\"\n[gate]")
    });
    let said = world.bursar(&["check"]).code(78).messages();
    assert!(said.contains("run_date_column: the view customer_rating has a column customer of its own"), "{said}");
}
