//! Drift: a table that is not what its dataset describes is reported before its loads, with the SQL that repairs it. No
//! table is ever altered.

use crate::support::{World, ratings};

const DATASET: &str = "datasets/customer_rating.toml";

/// Yesterday's rows of all agencies.
async fn loaded() -> World {
    let world = World::new().await;
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    world
}

/// The statements that a message offers.
fn offered(messages: &str) -> &str {
    messages.split_once("or run: ").unwrap_or_else(|| panic!("no SQL: {messages}")).1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_the_dataset_made_nullable_is_reported_with_the_sql_that_repairs_it() {
    let world = loaded().await;
    world.sql("alter table customer_rating_agency_c alter customer_status drop not null").await;
    world.edit(DATASET, |text| text.replace("max_length = 25", "max_length = 25\nnullable = true"));
    let difference = "customer_status is NOT NULL, the dataset allows nulls (nullable = true)";
    let repair = "alter table \"public\".\"customer_rating_agency_a\" alter column \"customer_status\" drop not null;";

    let migrated = world.bursar(&["migrate"]).code(78).messages();
    let words = format!("the table public.customer_rating_agency_a is not what its dataset describes: {difference}");
    assert!(migrated.contains(&words) && migrated.contains(repair), "{migrated}");
    assert!(!migrated.contains("agency_c"), "{migrated}");

    let checked = world.bursar(&["check", "--database"]).code(78).messages();
    let words = format!(
        "datasets/customer_rating.toml:6: table: 3 tables (public.customer_rating_agency_a, \
         public.customer_rating_agency_b, public.customer_rating_agency_d) are not what the dataset describes: {difference}"
    );
    assert!(checked.contains(&words) && checked.contains(repair), "{checked}");

    world.deliver("A", ratings(&["1,10,20,high-value", "2,10,20,"]));
    let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]).code(78);
    assert!(ran.stderr.contains(difference), "{}", ran.stderr);
    assert_eq!(world.rows("agency_a").await, ["(100,10,20,high-value)"], "nothing was changed");

    let sql = world.bursar(&["check", "--database", "--sql"]).code(0).stdout;
    assert_eq!(sql.matches("drop not null;").count(), 3, "{sql}");
    world.sql(&sql).await;
    world.bursar(&["check", "--database"]).code(0);
    assert_eq!(world.bursar(&["check", "--database", "--sql"]).code(0).stdout, "");
    world.bursar(&["migrate"]).code(0);
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
    assert_eq!(world.rows("agency_a").await, ["(1,10,20,high-value)", "(2,10,20,)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_values_out_of_a_column_is_drift_and_what_operators_add_is_not() {
    let world = loaded().await;
    let repaired = [
        (
            "drop column customer_rating; alter table TABLE add customer_rating integer generated always as (1) stored",
            "customer_rating is a generated column",
        ),
        (
            "alter customer_rating drop not null, alter customer_rating type text using 'x', alter customer_rating set default 'x'",
            "customer_rating is text, the dataset says integer",
        ),
        (
            "add constraint filled check (customer_status is not null) not valid",
            "the check filled forbids nulls in customer_status",
        ),
        (
            "alter customer_status drop not null, add primary key (customer_number, customer_status)",
            "customer_status is NOT NULL, the dataset allows nulls",
        ),
    ];
    world.edit(DATASET, |text| text.replace("max_length = 25", "max_length = 25\nnullable = true"));
    world.sql(&world.bursar(&["check", "--database", "--sql"]).code(0).stdout).await;
    for (customer, (change, difference)) in ["a", "b", "c", "d"].iter().zip(repaired) {
        let table = format!("customer_rating_agency_{customer}");
        world
            .sql(&format!(
                "drop view customer_rating; truncate {table}; alter table {table} {}",
                change.replace("TABLE", &table)
            ))
            .await;
        let messages = world.bursar(&["migrate"]).code(78).messages();
        assert!(messages.contains(difference), "{difference:?} is missing: {messages}");
        world.sql(offered(&messages)).await;
        world.bursar(&["migrate"]).code(0);
    }
    world
        .sql(
            "create index on customer_rating_agency_a (customer_rating);
             create unique index on customer_rating_agency_a (customer_number) where customer_rating > 0;
             alter table customer_rating_agency_a add check (customer_rating > 0) not valid, alter customer_status set default 'x';
             comment on table customer_rating_agency_a is 'ours'; grant select on customer_rating_agency_a to pg_monitor;
             alter table customer_rating_agency_b alter customer_number drop not null",
        )
        .await;
    let ran = world.bursar(&["check", "--database"]).code(0);
    assert!(
        ran.stderr.contains("customer_number may be null in the table, and the dataset requires a value"),
        "{}",
        ran.stderr
    );
    world.bursar(&["migrate"]).code(0);
    world.run_job("2025-05-14", &[]).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_needs_its_key_to_be_unique() {
    let world = World::new().await;
    let key = |columns: &str| format!("\nmode = \"merge\"\nkey = [{columns}]\n[gate]");
    world.edit(DATASET, |text| text.replace("\n[gate]", &key("\"customer_number\"")));
    world.bursar(&["migrate"]).code(0);
    world.edit(DATASET, |text| {
        text.replace("key = [\"customer_number\"]", "key = [\"customer_rating\", \"customer_number\"]")
    });
    world
        .sql(
            "alter table customer_rating_agency_b drop constraint customer_rating_agency_b_pkey,
                 alter customer_number add generated always as identity;
             alter table customer_rating_agency_c drop constraint customer_rating_agency_c_pkey,
                 add constraint late unique (customer_number, customer_rating) deferrable;
             create unique index theirs on customer_rating_agency_d (customer_number, customer_rating) include (customer_status);
             insert into customer_rating_agency_d values (1, 2, 3, 'x')",
        )
        .await;
    let messages = world.bursar(&["migrate"]).code(78).messages();
    for words in [
        "agency_a is not what its dataset describes: its primary key is (customer_number), the dataset's key is (customer_rating, customer_number)",
        "it has no unique index on the dataset's key (customer_rating, customer_number)",
        "customer_number is generated always as identity",
        "its constraint late on the key (customer_rating, customer_number) is deferrable",
    ] {
        assert!(messages.contains(words), "{words:?} is missing: {messages}");
    }
    assert!(!messages.contains("agency_d is"), "{messages}");
    world.sql(offered(&messages)).await;
    world.bursar(&["migrate"]).code(0);
    world.sql("alter table customer_rating_agency_d drop constraint customer_rating_agency_d_pkey").await;
    world.deliver_all();
    world.run_job("2025-05-14", &[]).code(0);
    world.sql("update pg_index set indisvalid = false where indexrelid = 'theirs'::regclass").await;
    let messages = world.bursar(&["migrate"]).code(78).messages();
    assert!(
        messages.contains("its unique index theirs on the key (customer_rating, customer_number) is not valid"),
        "{messages}"
    );
    assert_eq!(offered(&messages).trim(), "reindex index \"public\".\"theirs\";");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tables_that_differ_are_summed_up() {
    let world = World::new().await;
    let more: Vec<String> =
        (0..20).map(|i| format!("\n[[customer]]\nname = \"more_{i}\"\ncode = \"more_{i}\"\n")).collect();
    world.edit("customers.toml", |text| text + &more.concat());
    world.bursar(&["migrate"]).code(0);
    world.edit(DATASET, |text| text.replace("max_length = 25", "max_length = 25\nnullable = true"));
    let messages = world.bursar(&["migrate"]).code(78).messages();
    for words in [
        "24 tables (public.customer_rating_agency_a, public.customer_rating_agency_b, public.customer_rating_agency_c and 21 more)",
        "-- and so on for 21 more tables: bursar check --database --sql prints all statements",
    ] {
        assert!(messages.contains(words), "{words:?} is missing: {messages}");
    }
    assert_eq!(messages.matches("drop not null;").count(), 3, "{messages}");
    let checked = world.bursar(&["check", "--database", "--json"]).code(78).json();
    assert_eq!(checked["problems"].as_array().map(Vec::len), Some(1), "{checked:#}");
    world.sql(&world.bursar(&["check", "--database", "--sql"]).code(0).stdout).await;
    world.bursar(&["migrate"]).code(0);
}
