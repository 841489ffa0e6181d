//! Tables and views that are made from the configuration: what others have open, made or granted is left to them.

use crate::running::{Running, until};
use crate::support::{Ran, World, ratings};
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::{Duration, Instant};

const NEW: [&str; 6] = ["run-job", "customer-ratings", "--date", "2025-05-14", "--customer", "agency_e"];

/// Tables and views are there.
async fn made() -> World {
    let world = World::new().await;
    world.bursar(&["migrate"]).code(0);
    world
}

/// A fifth customer, who has delivered.
fn onboard(world: &World) {
    world.edit("customers.toml", |text| text + "\n[[customer]]\nname = \"agency_e\"\ncode = \"E\"\n");
    world.deliver("E", ratings(&["1,10,20,high-value"]));
}

/// Puts a column before another one of the dataset.
fn insert_column(world: &World, before: &str) {
    let column = "[[column]]\nname = \"town\"\ntype = \"text\"\nnullable = true\n\n";
    let mark = format!("[[column]]\nname = \"{before}\"");
    world.edit("datasets/customer_rating.toml", |text| text.replace(&mark, &format!("{column}{mark}")));
}

async fn execute(world: &World, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut world.connect().await).await.expect(statements);
}

/// Somebody who has the consolidated view open in a transaction.
async fn reader(world: &World) -> PgConnection {
    let mut reader = world.connect().await;
    let reading = "set application_name = 'analyst'; begin; select count(*) from public.customer_rating";
    sqlx::raw_sql(reading).execute(&mut reader).await.expect("read the view");
    reader
}

#[track_caller]
fn assert_says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is missing: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_customer_is_loaded_while_somebody_reads_the_view_which_follows_at_the_next_start() {
    let world = made().await;
    onboard(&world);
    let reader = reader(&world).await;
    let since = Instant::now();
    let ran = world.bursar(&NEW).code(0);
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    let words = ["the view public.customer_rating is left as it is", "in use by analyst (process "];
    assert_says(&ran, &words);
    assert_eq!(world.rows("agency_e").await, ["(1,10,20,high-value)"]);
    let ran = world.bursar(&["migrate"]).code(75);
    assert_says(&ran, &words);
    assert!(!has_agency_e(&world).await);
    reader.close().await.expect("stop reading");
    world.bursar(&["migrate"]).code(0);
    assert!(has_agency_e(&world).await);
}

async fn has_agency_e(world: &World) -> bool {
    world.scalar("select pg_get_viewdef('customer_rating'::regclass) like '%agency_e%'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_reports_need_and_that_is_in_use_stops_the_start() {
    let world = made().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("[measures]", "[measures]\nlowest = \"min(customer_rating)\"")
    });
    let mut reader = world.connect().await;
    let reading = "begin; select count(*) from bursar.load_measures_customer_rating";
    sqlx::raw_sql(reading).execute(&mut reader).await.expect("read the view");
    let mut quick = world.command(&["run-job", "customer-ratings"]);
    let ran = Ran::of(quick.env("BURSAR__DATABASE__LOCK_TIMEOUT_S", "1").output().expect("start bursar")).code(75);
    assert_says(&ran, &["the view bursar.load_measures_customer_rating", "is in use by ", "waited 1 s, try again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_lacking_nothing_is_locked_and_nothing_changed() {
    let world = made().await;
    let versions =
        "select string_agg(relname || xmin, ',' order by relname) from pg_class where relname like '%customer_rating%'";
    let before: String = world.scalar(versions).await;
    let mut other = world.connect().await;
    let locks =
        "begin; lock table public.customer_rating in access exclusive mode; lock table bursar.loads in share mode;
        select pg_advisory_xact_lock(hashtextextended('bursar prepare', 0))";
    sqlx::raw_sql(locks).execute(&mut other).await.expect("lock");
    world.bursar(&["migrate"]).code(0);
    other.close().await.expect("let go");
    assert_eq!(world.scalar::<String>(versions).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_and_load_can_start_where_nothing_is_lacking() {
    let world = made().await;
    execute(
        &world,
        "create function refuse() returns event_trigger language plpgsql as $$ begin raise 'no DDL'; end $$;
        create event trigger refuse on ddl_command_start execute function refuse()",
    )
    .await;
    world.deliver_all();
    world.bursar(&["migrate"]).code(0);
    onboard(&world);
    assert_says(&world.bursar(&["migrate"]), &["no DDL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_another_is_ended_by_a_signal_or_its_patience() {
    let world = made().await;
    onboard(&world);
    let mut other = world.connect().await;
    let lock = "begin; select pg_advisory_xact_lock(hashtextextended('bursar prepare', 0))";
    sqlx::raw_sql(lock).execute(&mut other).await.expect("lock");
    let running = Running::start(&world, &["migrate"]);
    until("it waits", async || {
        world.scalar::<bool>("select exists (select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database()))").await
    })
    .await;
    running.signal(Signal::SIGTERM);
    assert_says(&running.ended().await.code(75), &["told to stop"]);
    let mut quick = world.command(&["migrate"]);
    let ran = Ran::of(quick.env("BURSAR__DATABASE__LOCK_TIMEOUT_S", "1").output().expect("start bursar")).code(75);
    assert_says(&ran, &["another bursar is making tables and views; waited 1 s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_made_under_a_views_name_is_never_dropped() {
    for (taken, words) in [
        ("create view public.customer_rating as select 1 as mine", "by a view that bursar does not know for its own"),
        ("create table public.customer_rating as select 1 as mine", "by something that bursar did not make"),
    ] {
        let world = World::new().await;
        execute(&world, taken).await;
        let ran = world.bursar(&["migrate"]).code(78);
        assert_says(&ran, &[&format!("the name public.customer_rating is taken {words}")]);
        assert_eq!(world.scalar::<i32>("select mine from public.customer_rating").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_made_anew_keeps_what_was_granted_and_no_more() {
    let world = made().await;
    let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
    let admin = format!("create role {role}");
    execute(&world, &admin).await;
    execute(
        &world,
        &format!(
            "grant select on customer_rating to {role} with grant option; grant update (customer_status) on customer_rating to {role};
             grant select on customer_rating to public;
             alter default privileges grant delete on tables to {role};"
        ),
    )
    .await;
    let grants =
        "select c.relacl::text || a.attacl::text from pg_class as c join pg_attribute as a on a.attrelid = c.oid
        where c.oid = 'customer_rating'::regclass and a.attname = 'customer_status'";
    let before: String = world.scalar(grants).await;
    insert_column(&world, "customer_rating");
    for customer in ["a", "b", "c", "d"] {
        execute(&world, &format!("alter table customer_rating_agency_{customer} add column town text")).await;
    }
    world.bursar(&["migrate"]).code(0);
    let after: String = world.scalar(grants).await;
    let columns: String = world.scalar("select string_agg(attname, ',' order by attnum) from pg_attribute where attrelid = 'customer_rating'::regclass").await;
    execute(&world, &format!("drop owned by {role}; drop role {role}")).await;
    assert_eq!(columns, "customer,customer_number,town,customer_rating,customer_rating_limit,customer_status");
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_stands_on_ours_is_named_and_not_dropped() {
    let world = made().await;
    execute(&world, "create view public.mine as select customer, customer_status from customer_rating").await;
    insert_column(&world, "customer_rating");
    for customer in ["a", "b", "c", "d"] {
        execute(&world, &format!("alter table customer_rating_agency_{customer} add column town text")).await;
    }
    let ran = world.bursar(&["migrate"]).code(78);
    assert_says(&ran, &["public.mine stands on it", "drop view public.mine; run bursar migrate; then make it again"]);
    assert!(!ran.stderr.to_lowercase().contains("cascade"), "{}", ran.stderr);
    assert_eq!(world.scalar::<i64>("select count(*) from public.mine").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_names_every_table_that_differs_and_the_sql_it_prints_mends_them() {
    let world = made().await;
    execute(
        &world,
        "alter table customer_rating_agency_b add column extra text; create view public.mine as select * from customer_rating",
    )
    .await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("max_length = 25", "max_length = 30"));
    insert_column(&world, "customer_status");
    let ran = world.bursar(&["migrate"]).code(78);
    let messages = ran.messages();
    for customer in ["a", "b", "c", "d"] {
        let words = format!(
            "the table public.customer_rating_agency_{customer} is not what its dataset describes: it lacks town text; \
             customer_status is character varying(25), the dataset says character varying(30)"
        );
        assert!(messages.contains(&words), "{words:?} is missing: {messages}");
    }
    assert_says(&ran, &["the dataset does not know its column extra", "public.mine is not ours"]);
    let (_, sql) = messages.split_once("or run: ").expect("SQL");
    assert!(sql.starts_with("drop view public.customer_rating, public.mine; alter table \"public\""), "{sql}");
    execute(&world, sql).await;
    world.bursar(&["migrate"]).code(0);
    assert_eq!(world.scalar::<i64>("select count(town) from customer_rating").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_differs_fails_its_own_load_alone() {
    let world = made().await;
    world.deliver_all();
    execute(&world, "alter table customer_rating_agency_b add column extra text").await;
    let ran = world.run_job("2025-05-14", &[]).code(78);
    assert_says(
        &ran,
        &[
            "load[agency_b] failed (config)",
            "alter table \"public\".\"customer_rating_agency_b\" drop column \"extra\";",
        ],
    );
    assert_eq!(world.rows("agency_a").await, ["(100,10,20,high-value)"]);
    onboard(&world);
    world.bursar(&NEW).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_does_not_exist_is_made() {
    let world = World::new().await;
    world.deliver_all();
    let job = ["run-job", "customer-ratings", "--date", "2025-05-14"];
    let output = world.command(&job).env("BURSAR__DATABASE__SCHEMA", "ratings").output().expect("start bursar");
    Ran::of(output).code(0);
    assert_eq!(world.scalar::<i64>("select count(*) from ratings.customer_rating").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_the_role_may_not_make_is_a_configuration_fault() {
    let world = made().await;
    let role = format!("poor_{}", uuid::Uuid::new_v4().simple());
    execute(&world, &format!("create role {role} login; grant usage on schema bursar, apalis to {role}; grant select on all tables in schema bursar, apalis to {role}")).await;
    let url = world.database_url().replace("user=bursar", &format!("user={role}"));
    let output = world
        .command(&["migrate"])
        .env("DATABASE_URL", url)
        .env("BURSAR__DATABASE__SCHEMA", "ratings")
        .output()
        .expect("start bursar");
    execute(&world, &format!("drop owned by {role}; drop role {role}")).await;
    assert_says(
        &Ran::of(output).code(78),
        &["the schema ratings (database.schema) does not exist and can't be made: permission denied"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_hold_every_character_is_a_configuration_fault() {
    let world = World::new().await;
    let name = format!("{}_latin", world.database);
    let mut admin = world.admin().await;
    let create = format!("create database {name} encoding 'LATIN1' locale 'C' template template0");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.expect("make a database");
    let url = world.database_url().replace(&world.database, &name);
    let output = world.command(&["migrate"]).env("DATABASE_URL", url).output().expect("start bursar");
    let drop = format!("drop database {name} with (force)");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.expect("drop it");
    assert_says(&Ran::of(output).code(78), &["has the encoding LATIN1, and Bursar needs UTF8"]);
}

/// Whoever opens the private database finds the customers' tables first, also when the schema changes.
#[tokio::test(flavor = "multi_thread")]
async fn the_private_databases_search_path_follows_the_schema() {
    let world = World::new().await;
    let migrate = |schema: &str| {
        let mut command = world.command(&["migrate"]);
        command.env_remove("DATABASE_URL").env("BURSAR__DATABASE__SCHEMA", schema);
        Ran::of(command.output().expect("start bursar")).code(0)
    };
    for schema in ["public", "ratings"] {
        migrate(schema);
        let mut psql = world.command(&["psql", "-Atc", "show search_path"]);
        psql.env_remove("DATABASE_URL").env("BURSAR__DATABASE__SCHEMA", schema);
        let shown = Ran::of(psql.output().expect("start bursar")).code(0).stdout;
        assert_eq!(shown.trim(), format!("{schema}, bursar"));
    }
}

/// As docker-compose.yml sets it, for a role that is called bursar: what people see first does not matter to the program.
#[tokio::test(flavor = "multi_thread")]
async fn the_databases_own_search_path_does_not_matter_to_the_program() {
    for path in ["public, bursar", "\"$user\", public", "pg_catalog"] {
        let world = World::new().await;
        execute(&world, &format!("alter database {} set search_path = {path}", world.database)).await;
        world.deliver_all();
        world.run_job("2025-05-14", &[]).code(0);
        let tables = "select string_agg(distinct n.nspname, ',') from pg_class as c join pg_namespace as n on n.oid = c.relnamespace where relname like 'customer_rating%'";
        assert_eq!(world.scalar::<String>(tables).await, "public");
        assert_eq!(world.report("20250514").expect("a report").lines().count(), 5);
    }
}
