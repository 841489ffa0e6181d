//! A twin takes the table's place, and nobody can tell it from the table.

use super::{NEXT, ROWS, STATUSES, load, staged, world_with};
use crate::support::{Ran, World, ratings};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Everything a table can have beside its rows that a twin must have too.
const DRESS: &str = "
    create table above (customer_number integer);
    create table statuses (name varchar(25) primary key);
    insert into statuses values ('low-value'), ('high-value');
    alter table customer_rating_agency_a inherit above;
    alter table customer_rating_agency_a alter column customer_rating set default 7;
    alter table customer_rating_agency_a alter column customer_rating set statistics 321;
    alter table customer_rating_agency_a alter column customer_rating_limit set (n_distinct = 5);
    alter table customer_rating_agency_a alter column customer_status set storage external;
    alter table customer_rating_agency_a set (fillfactor = 90, autovacuum_enabled = false);
    alter table customer_rating_agency_a add constraint positive check (customer_rating > 0);
    alter table customer_rating_agency_a add constraint one_number primary key (customer_number) with (fillfactor = 70);
    alter table customer_rating_agency_a add constraint known foreign key (customer_status) references statuses;
    create index by_status on customer_rating_agency_a (lower(customer_status), customer_rating desc) where customer_rating > 1;
    create unique index \"Odd USING name\" on customer_rating_agency_a (customer_number, customer_rating);
    alter index by_status alter column 1 set statistics 333;
    alter table customer_rating_agency_a cluster on by_number_fill;
    alter table customer_rating_agency_a replica identity using index one_number;
    comment on table customer_rating_agency_a is 'the agency''s table';
    comment on column customer_rating_agency_a.customer_rating is 'what it thinks';
    comment on index by_status is 'for the analysts';
    comment on constraint positive on customer_rating_agency_a is 'never less';
    grant select, update (customer_rating) on customer_rating_agency_a to pg_monitor;
    grant select on customer_rating_agency_a to public;
    grant insert on customer_rating_agency_a to pg_read_all_stats with grant option;
    alter default privileges grant delete on tables to pg_signal_backend;
    create publication told for table customer_rating_agency_a;
    alter table customer_rating_agency_a owner to pg_checkpoint;
    grant create on schema public to pg_checkpoint;
    revoke truncate, select on customer_rating_agency_a from pg_checkpoint;
    grant select (customer_number) on customer_rating_agency_a to pg_checkpoint;
";

/// What the catalog says of the table, without the numbers of its parts.
const DESCRIBED: &str = "
    select line from (
        select 'owner ' || pg_get_userbyid(relowner) || ' options ' || coalesce(reloptions::text, '') || relpersistence::text || relreplident::text || relrowsecurity as line
          from pg_class where oid = 'customer_rating_agency_a'::regclass
        union all select 'table grants ' || string_agg(a::text, ', ' order by a::text) from pg_class, unnest(relacl) as a where oid = 'customer_rating_agency_a'::regclass
        union all select 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || attnotnull || attstattarget || attstorage::text || coalesce(attoptions::text, '') || coalesce(attacl::text, '')
                         || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || coalesce(col_description(attrelid, attnum), '')
          from pg_attribute left join pg_attrdef as d on d.adrelid = attrelid and d.adnum = attnum
         where attrelid = 'customer_rating_agency_a'::regclass and attnum > 0 and not attisdropped
        union all select 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) || coalesce(obj_description(oid, 'pg_constraint'), '') from pg_constraint where conrelid = 'customer_rating_agency_a'::regclass
        union all select 'index ' || pg_get_indexdef(indexrelid) || indisclustered || indisreplident || indisvalid || coalesce(obj_description(indexrelid, 'pg_class'), '') from pg_index where indrelid = 'customer_rating_agency_a'::regclass
        union all select 'index column ' || indexrelid::regclass || attnum || ' ' || attstattarget from pg_index join pg_attribute on attrelid = indexrelid where indrelid = 'customer_rating_agency_a'::regclass
        union all select 'above ' || inhparent::regclass from pg_inherits where inhrelid = 'customer_rating_agency_a'::regclass
        union all select 'published by ' || pubname from pg_publication_tables where tablename = 'customer_rating_agency_a'
        union all select 'comment ' || obj_description('customer_rating_agency_a'::regclass, 'pg_class')
    ) as lines order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_keeps_all_that_the_table_has_beside_its_rows() {
    let world = world_with("publish = \"swap\"").await;
    load(&world, "2025-05-13", &ROWS);
    world.sql(&DRESS.replace("by_number_fill", "one_number")).await;
    let (before, oid) = (world.column(DESCRIBED).await, oid(&world).await);
    assert!(before.len() > 12, "{before:#?}");
    let outcome = load(&world, "2025-05-14", &NEXT);
    assert_eq!(outcome["publication"]["way"], "swap", "{outcome}");
    assert_ne!(oid, self::oid(&world).await, "it is another table");
    assert_eq!(before, world.column(DESCRIBED).await);
    assert_eq!(world.column("select customer_number::text from above").await, ["7"]);
    load(&world, "2025-05-15", &ROWS);
    assert_eq!(before, world.column(DESCRIBED).await, "and once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_stays_in_its_tablespace() {
    let world = world_with("publish = \"swap\"").await;
    load(&world, "2025-05-13", &ROWS);
    let tablespace = format!("of_{}", world.database);
    // Each by itself: several in one message are a transaction.
    let mut connection = world.connect().await;
    for statement in [
        "set allow_in_place_tablespaces = on".to_owned(),
        format!("create tablespace {tablespace} location ''"),
        format!("create index by_status on customer_rating_agency_a (customer_status) tablespace {tablespace}"),
        "create index by_rating on customer_rating_agency_a (customer_rating)".to_owned(),
        format!(
            "alter table customer_rating_agency_a add primary key (customer_number) using index tablespace {tablespace}"
        ),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect("dress the table");
    }
    assert_eq!(load(&world, "2025-05-14", &NEXT)["publication"]["way"], "swap");
    let lie = world
        .column(
            "select c.relname || ' ' || (t.oid is not null)
               from pg_class as c join pg_index as i on i.indexrelid = c.oid
               left join pg_tablespace as t on t.oid = c.reltablespace
              where i.indrelid = 'customer_rating_agency_a'::regclass order by 1",
        )
        .await;
    assert_eq!(lie, ["by_rating false", "by_status true", "customer_rating_agency_a_pkey true"]);
    world.sql("drop table customer_rating_agency_a cascade").await;
    world.sql(&format!("drop tablespace {tablespace}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_role_may_not_make_anew_is_left_where_it_is() {
    let world = world_with("publish = \"swap\"").await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("consolidated = ", "# consolidated = "));
    load(&world, "2025-05-13", &ROWS);
    let role = format!("owner_{}", world.database);
    world
        .sql(&format!(
            "create role {role} login;
             grant all on schema bursar, bursar_staged, apalis, public to {role};
             grant all on all tables in schema bursar, apalis to {role};
             grant all on all sequences in schema bursar, apalis to {role};
             alter table customer_rating_agency_a owner to {role};
             create table statuses (name varchar(25) primary key);
             insert into statuses values ('low-value'), ('high-value');
             alter table customer_rating_agency_a add foreign key (customer_status) references statuses"
        ))
        .await;
    let url = world.database_url().replace("user=bursar", &format!("user={role}"));
    for (date, way, reason) in [
        ("2025-05-14", "truncate", Some(format!("the role {role} may not make foreign keys to statuses"))),
        ("2025-05-15", "swap", None),
    ] {
        world.deliver("A", ratings(&NEXT));
        let mut command = world.command(&["run-job", "customer-ratings", "--date", date, "--customer", "agency_a"]);
        Ran::of(command.env("DATABASE_URL", &url).output().expect("start")).code(0);
        assert_eq!(world.scalar::<String>("select way from bursar.loads order by id desc limit 1").await, way);
        let told: Option<String> = world.scalar("select way_reason from bursar.loads order by id desc limit 1").await;
        assert_eq!(told, reason);
        world.sql(&format!("grant references on statuses to {role}")).await;
    }
    world.sql(&format!("drop owned by {role} cascade; drop role {role}")).await;
}

async fn oid(world: &World) -> String {
    world.scalar("select 'customer_rating_agency_a'::regclass::oid::text").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_a_table_is_never_torn_off() {
    let hanging = [
        ("create view mine as select * from customer_rating_agency_a", "rule _RETURN on view mine depends on it"),
        ("create materialized view mine as select * from customer_rating_agency_a", "materialized view mine"),
        ("create rule mine as on delete to customer_rating_agency_a do also notify gone", "rule mine"),
        (
            "create unique index on customer_rating_agency_a (customer_number); create table mine (n integer references customer_rating_agency_a (customer_number))",
            "is not",
        ),
        (
            "create function mine() returns bigint language sql begin atomic select count(*) from customer_rating_agency_a; end",
            "function mine()",
        ),
        ("create table mine (r customer_rating_agency_a)", "table mine"),
        (
            "create function f() returns trigger language plpgsql as 'begin return new; end'; create trigger mine before insert on customer_rating_agency_a for each row execute function f()",
            "trigger mine",
        ),
        ("create policy mine on customer_rating_agency_a", "policy mine"),
        ("alter table customer_rating_agency_a enable row level security", "row security is on"),
        ("create table mine () inherits (customer_rating_agency_a)", "table mine"),
        ("create publication mine for table customer_rating_agency_a (customer_number)", "publication"),
        (
            "create statistics mine on customer_number, customer_rating from customer_rating_agency_a",
            "statistics object mine",
        ),
    ];
    for (statement, reason) in hanging {
        let world = world_with("publish = \"swap\"").await;
        load(&world, "2025-05-13", &ROWS);
        world.sql(statement).await;
        let before = oid(&world).await;
        if statement.contains("references") {
            // TRUNCATE can't either: the server says so, and nothing changes.
            world.deliver("A", ratings(&NEXT));
            let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]).code(78);
            assert!(
                ran.messages().contains("cannot truncate a table referenced in a foreign key"),
                "{}",
                ran.messages()
            );
            assert_eq!(world.rows("agency_a").await.len(), 2);
            continue;
        }
        let outcome = load(&world, "2025-05-14", &NEXT);
        assert_eq!(outcome["publication"]["way"], "truncate", "{statement}: {outcome}");
        let told = outcome["publication"]["reason"].as_str().expect("a reason");
        assert!(told.contains(reason), "{statement}: {told}");
        assert_eq!(before, oid(&world).await, "{statement}");
        assert_eq!(world.scalar::<String>("select way_reason from bursar.loads order by id desc limit 1").await, told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn views_over_the_consolidated_view_and_grants_on_it_outlive_a_swap() {
    let world = world_with("publish = \"swap\"").await;
    load(&world, "2025-05-13", &ROWS);
    world.sql("create view mine as select customer, count(*) from customer_rating group by customer; grant select on customer_rating to pg_monitor").await;
    for (date, rows) in [("2025-05-14", &NEXT[..]), ("2025-05-15", &ROWS[..])] {
        assert_eq!(load(&world, date, rows)["publication"]["way"], "swap");
    }
    assert_eq!(world.column("select m::text from mine as m").await, ["(agency_a,2)"]);
    assert!(world.scalar::<bool>("select has_table_privilege('pg_monitor', 'customer_rating', 'select')").await);
    world.bursar(&["migrate"]).code(0);
    assert_eq!(
        world.column("select m::text from mine as m").await,
        ["(agency_a,2)"],
        "a start finds the view as it is"
    );
}

/// Asks again and again until it is told to stop; gives every answer there was.
async fn poll(mut connection: PgConnection, mut stop: tokio::sync::oneshot::Receiver<()>) -> Vec<(i64, i64)> {
    let mut seen = Vec::new();
    while stop.try_recv().is_err() {
        let counts = sqlx::query_as(
            "select (select count(*) from customer_rating_agency_a), (select count(*) from customer_rating where customer = 'agency_a')",
        );
        seen.push(counts.fetch_one(&mut connection).await.expect("a reader is never refused"));
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_rows_or_the_new_ones_and_never_neither() {
    for publish in ["truncate", "swap", "segments"] {
        let world = world_with(&format!("publish = \"{publish}\"")).await;
        load(&world, "2025-05-01", &["1,2,3,low-value"]);
        let readers: Vec<_> = {
            let mut readers = Vec::new();
            for _ in 0..3 {
                let (stop, stopped) = tokio::sync::oneshot::channel();
                readers.push((stop, tokio::spawn(poll(world.connect().await, stopped))));
            }
            readers
        };
        for day in 2..8 {
            let rows: Vec<String> = (0..day).map(|n| format!("{n},2,3,low-value")).collect();
            load(&world, &format!("2025-05-0{day}"), &rows.iter().map(String::as_str).collect::<Vec<_>>());
        }
        for (stop, reader) in readers {
            stop.send(()).expect("it reads");
            let seen = reader.await.expect("it reads");
            assert!(!seen.is_empty());
            assert!(
                seen.iter().all(|(table, view)| (1..8).contains(table) && (1..8).contains(view)),
                "{publish}: {seen:?}"
            );
            assert!(
                seen.windows(2).all(|two| two[0].0 <= two[1].0 && two[0].1 <= two[1].1),
                "{publish} went back: {seen:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_from_before_a_publication_finds_rows_after_it() {
    for publish in ["truncate", "swap", "segments"] {
        let world = world_with(&format!("publish = \"{publish}\"")).await;
        load(&world, "2025-05-13", &ROWS);
        // As a backup does: the snapshot first, the tables later.
        let mut backup = world.connect().await;
        let mut transaction = backup.begin().await.expect("begin");
        sqlx::raw_sql("set transaction isolation level repeatable read; select count(*) from bursar.loads")
            .execute(&mut *transaction)
            .await
            .expect("a snapshot");
        load(&world, "2025-05-14", &["1,2,3,low-value", "4,5,6,low-value", "7,8,9,low-value"]);
        let rows: i64 = sqlx::query_scalar("select count(*) from customer_rating_agency_a")
            .fetch_one(&mut *transaction)
            .await
            .expect("read");
        assert_eq!(rows, 3, "{publish}: neither would be a backup without the table's rows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_is_not_let_through_ends_and_leaves_nothing() {
    for publish in ["swap", "segments"] {
        let world = world_with(&format!("publish = \"{publish}\"")).await;
        load(&world, "2025-05-13", &ROWS);
        let mut reader = world.connect().await;
        let mut reading = reader.begin().await.expect("begin");
        sqlx::query("select from customer_rating_agency_a").execute(&mut *reading).await.expect("read");
        world.deliver("A", ratings(&NEXT));
        let mut command =
            world.command(&["run-job", "customer-ratings", "--date", "2025-05-14", "--customer", "agency_a"]);
        let ran = Ran::of(command.env("BURSAR__DATABASE__LOCK_TIMEOUT_S", "1").output().expect("start")).code(75);
        assert!(ran.messages().contains("was in use by"), "{publish}: {}", ran.messages());
        reading.commit().await.expect("commit");
        assert_eq!(world.rows("agency_a").await.len(), 2, "{publish}: yesterday's rows");
        assert_eq!(staged(&world).await, i64::from(publish == "segments"), "{publish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_is_not_let_through_names_who_uses_a_table_that_it_needs_too() {
    let world = world_with("publish = \"swap\"").await;
    load(&world, "2025-05-13", &ROWS);
    world.sql(STATUSES).await;
    let mut reader = world.connect().await;
    let mut reading = reader.begin().await.expect("begin");
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid() from statuses limit 1")
        .fetch_one(&mut *reading)
        .await
        .expect("read");
    world.deliver("A", ratings(&NEXT));
    let mut command = world.command(&["run-job", "customer-ratings", "--date", "2025-05-14", "--customer", "agency_a"]);
    let ran = Ran::of(command.env("BURSAR__DATABASE__LOCK_TIMEOUT_S", "1").output().expect("start")).code(75);
    let who = format!("(process {pid}, which uses statuses)");
    assert!(ran.messages().contains(&who), "{who}: {}", ran.messages());
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_side_by_side_wait_for_a_reader_of_the_view_and_not_for_each_other() {
    let world = world_with("publish = \"swap\"").await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    let mut reader = world.connect().await;
    let mut reading = reader.begin().await.expect("begin");
    sqlx::query("select from customer_rating").execute(&mut *reading).await.expect("read");
    for (n, code) in ["A", "B", "C", "D"].into_iter().enumerate() {
        world.deliver(code, ratings(&[&format!("{n},5,6,low-value")]));
    }
    let mut running = world.command(&["run-job", "customer-ratings", "--date", "2025-05-14"]).spawn().expect("start");
    crate::running::until("all four wait for the reader", async || {
        world
            .scalar::<bool>("select count(distinct split_part(mode, 'x', 1) || relation::text) >= 4 from pg_locks where mode = 'ShareUpdateExclusiveLock' and granted")
            .await
    })
    .await;
    reading.commit().await.expect("commit");
    let ended = tokio::task::spawn_blocking(move || running.wait()).await.expect("wait").expect("wait");
    assert!(ended.success());
    let rows = world.column("select customer || customer_number from customer_rating order by 1").await;
    assert_eq!(rows, ["agency_a0", "agency_b1", "agency_c2", "agency_d3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_set_for_the_consolidated_view_outlives_a_swap() {
    let world = world_with("publish = \"swap\"").await;
    load(&world, "2025-05-13", &ROWS);
    world.sql("alter view customer_rating set (security_barrier = true)").await;
    assert_eq!(load(&world, "2025-05-14", &NEXT)["publication"]["way"], "swap");
    let options: String = world
        .scalar("select array_to_string(reloptions, ',') from pg_class where oid = 'customer_rating'::regclass")
        .await;
    assert_eq!(options, "security_barrier=true");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whom_default_privileges_name_keeps_what_is_his() {
    let world = world_with("publish = \"swap\"").await;
    load(&world, "2025-05-13", &ROWS);
    let role = format!("owner_{}", world.database);
    world
        .sql(&format!(
            "create role {role};
             alter table customer_rating_agency_a owner to {role};
             alter default privileges grant select on tables to {role};
             alter default privileges in schema bursar_staged grant select on tables to {role}"
        ))
        .await;
    load(&world, "2025-05-14", &NEXT);
    assert_eq!(world.scalar::<String>("select way from bursar.loads order by id desc limit 1").await, "swap");
    let may = format!("select has_table_privilege('{role}', 'customer_rating_agency_a', 'select, insert')");
    assert!(world.scalar::<bool>(&may).await);
    world.sql(&format!("drop owned by {role} cascade; drop role {role}")).await;
}
