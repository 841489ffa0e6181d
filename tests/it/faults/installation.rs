//! What an operator set up wrongly: folders, tables, reports, arguments.

use super::{TODAY, TODAYS, assert_says, assert_today, assert_yesterday, delivered, error_of, states};
use crate::running::Running;
use crate::support::World;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn an_output_folder_that_cannot_be_written_stops_the_run_before_anything_is_loaded() {
    let world = delivered().await;
    let report = world.report("20250513");
    std::fs::rename(world.path("output"), world.path("kept")).expect("move it");
    world.write("output", "a file in its place");
    let ran = world.bursar(&TODAY).code(78);
    assert_says(&ran, &["the output folder", "can't be written to", "BURSAR_OUTPUT_DIR"]);
    assert_yesterday(&world).await;
    assert_eq!(states(&world).await, Vec::<String>::new());
    std::fs::remove_file(world.path("output")).expect("remove it");
    std::fs::rename(world.path("kept"), world.path("output")).expect("move it back");
    assert_eq!(world.report("20250513"), report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_place_is_taken_by_a_folder_is_a_configuration_fault_and_leaves_no_draft() {
    let world = delivered().await;
    std::fs::create_dir(world.path("output/Customer_Rating_Aggregate_Report_20250514.csv")).expect("a folder");
    let ran = world.bursar(&TODAY).code(78);
    assert_says(&ran, &["can't put", "Customer_Rating_Aggregate_Report_20250514.csv in place"]);
    let names: Vec<String> = std::fs::read_dir(world.path("output"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains(".part"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
    let recorded: i64 = world.scalar("select count(*) from bursar.artifacts where run_date = '2025-05-14'").await;
    assert_eq!(recorded, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_folder_that_cannot_be_made_changes_nothing() {
    let world = delivered().await;
    std::fs::remove_dir_all(world.path("state")).expect("remove it");
    world.write("state", "a file in its place");
    let ran = world.bursar(&[&TODAY[..], &["--customer", "agency_a"]].concat()).code(78);
    assert_says(&ran, &["load[agency_a] failed (config)", "can't make the spool's folder"]);
    assert_yesterday(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_drifted_from_its_dataset_is_a_configuration_fault_that_names_the_column() {
    let world = delivered().await;
    let drifts = [
        ("alter table customer_rating_agency_a add column town text", "does not know its column town"),
        (
            "drop view customer_rating; alter table customer_rating_agency_a drop column town, alter column customer_rating type bigint",
            "customer_rating is bigint, the dataset says integer",
        ),
        (
            "drop view customer_rating; alter table customer_rating_agency_a
                alter column customer_rating type integer, alter column customer_status type varchar(10)",
            "customer_status is character varying(10), the dataset says character varying(25)",
        ),
        (
            "drop view customer_rating; alter table customer_rating_agency_a rename column customer_status to status",
            "it lacks customer_status character varying(25); the dataset does not know its column status",
        ),
    ];
    for (drift, words) in drifts {
        sqlx::raw_sql(drift).execute(&mut world.connect().await).await.expect("a change");
        let ran = world.bursar(&[&TODAY[..], &["--customer", "agency_a"]].concat()).code(78);
        assert_says(&ran, &["the table public.customer_rating_agency_a is not what its dataset describes", words]);
        let number: i32 = world.scalar("select customer_number from customer_rating_agency_a").await;
        assert_eq!(number, 100, "yesterday's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_gained_a_column_names_the_tables_that_lack_it() {
    let world = delivered().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[measures]", "[[column]]\nname = \"town\"\ntype = \"text\"\n\n[measures]")
    });
    let ran = world.bursar(&TODAY).code(78);
    let messages = ran.messages();
    assert!(messages.contains("town"), "{messages}");
    assert_yesterday(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_taken_by_something_else_is_a_configuration_fault() {
    let world = World::bare().await;
    world.deliver_all();
    let views = "create view customer_rating_agency_a as select 1 as customer_number, 1 as customer_rating, 1 as customer_rating_limit, 'x'::varchar(25) as customer_status";
    sqlx::raw_sql(views).execute(&mut world.connect().await).await.expect("a view");
    let of_one = [&TODAY[..], &["--customer", "agency_a"]].concat();
    assert_says(
        &world.bursar(&of_one).code(78),
        &["table public.customer_rating_agency_a", "it is a view, and a load needs"],
    );
    let partitioned = "drop view public.customer_rating_agency_a cascade; create table public.customer_rating_agency_a (customer_number bigint not null, \
         customer_rating integer not null, customer_rating_limit integer not null, customer_status varchar(25) not null) \
         partition by list (customer_status)";
    sqlx::raw_sql(partitioned).execute(&mut world.connect().await).await.expect("a table");
    assert_says(
        &world.bursar(&of_one).code(78),
        &["table public.customer_rating_agency_a", "it is a partitioned table, and a load needs"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_told_apart_and_touches_nothing() {
    let world = World::bare().await;
    for (arguments, words) in [
        (&["run-job", "customer-rating"][..], "there is no job \"customer-rating\"; did you mean \"customer-ratings\""),
        (&["run-job", "customer-ratings", "--customer", "agency_x"], "there is no customer \"agency_x\""),
        (&["run-job", "customer-ratings", "--frobnicate"], "unexpected argument '--frobnicate'"),
        (&["run-job", "customer-ratings", "--date", "2025-02-30"], "invalid value '2025-02-30' for '--date <DATE>'"),
        (&["run-job", "customer-ratings", "--date", "13.05.2025"], "invalid value '13.05.2025'"),
        (&["run-job"], "required"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&[], "Usage"),
    ] {
        let ran = world.bursar(arguments).code(64);
        assert!(ran.stderr.contains(words), "{words:?} is missing: {}", ran.stderr);
    }
    let made: bool = world.scalar("select to_regnamespace('bursar') is not null").await;
    assert!(!made);
    world.bursar(&["--help"]).code(0);
    world.bursar(&["--version"]).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_broken_configuration_is_a_configuration_fault_before_anything_is_touched() {
    let world = World::bare().await;
    let ran = world.bursar(&["run-job", "customer-ratings", "--config", "nowhere"]).code(78);
    assert!(ran.messages().contains("nowhere"), "{}", ran.stderr);
    world.edit("customers.toml", |text| text + "[[customer");
    let ran = world.bursar(&TODAY).code(78);
    assert!(ran.messages().contains("customers.toml"), "{}", ran.stderr);
    let made: bool = world.scalar("select to_regnamespace('bursar') is not null").await;
    assert!(!made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_sql_fails_says_what_the_server_says_once_and_the_loads_stay() {
    let world = delivered().await;
    world.edit("reports/customer_rating_aggregate.sql", |text| {
        text.replace("high_value_count,", "1 / (records - records) as high_value_count,")
    });
    let ran = world.bursar(&TODAY).code(65);
    assert_says(&ran, &["report failed (data): write the report customer_rating_aggregate: run "]);
    assert!(error_of(&ran).ends_with(".sql: division by zero"), "{}", ran.messages());
    assert_eq!(world.rows("agency_a").await, TODAYS);
    assert_eq!(world.report("20250514"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_sql_would_write_is_refused_and_writes_nothing() {
    let world = delivered().await;
    let function = "create table touched (n integer);
        create function touch() returns bigint language sql as 'insert into touched values (1) returning n'";
    sqlx::raw_sql(function).execute(&mut world.connect().await).await.expect("a function");
    world.edit("reports/customer_rating_aggregate.sql", |text| {
        text.replace("high_value_count,", "touch() as high_value_count,")
    });
    let ran = world.bursar(&TODAY).code(78);
    assert_says(&ran, &["report failed (config)", "cannot execute INSERT in a read-only transaction"]);
    assert_eq!(world.scalar::<i64>("select count(*) from touched").await, 0);
    assert_eq!(world.report("20250514"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_the_output_folder_is_followed() {
    let world = delivered().await;
    std::fs::rename(world.path("output"), world.path("elsewhere")).expect("move it");
    symlink(world.path("elsewhere"), world.path("output")).expect("a link");
    world.bursar(&TODAY).code(0);
    assert_today(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_or_folder_that_may_not_be_used_is_a_configuration_fault() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let world = delivered().await;
    let permit = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("permissions");
    let file = world.path("inbox/ratings/Customer Rating Agency A Inc.csv");
    permit(&world.path(""), 0o755);
    permit(&file, 0o600);
    let as_nobody = |arguments: &[&str]| Running::of(world.command(arguments).uid(65534).gid(65534)).ended();
    let ran = as_nobody(&["parse", "customer_rating", &file.to_string_lossy()]).await.code(78);
    assert_says(&ran, &["can't open", "Customer Rating Agency A Inc.csv", "Permission denied"]);
    let ran = as_nobody(&TODAY).await.code(78);
    assert_says(&ran, &["the output folder", "can't be written to", "Permission denied"]);
    assert_yesterday(&world).await;
}
