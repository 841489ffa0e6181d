//! What a table holds its rows to holds for every way, and is told in its own words.

use super::{NEXT, ROWS, load, world_with};
use crate::support::{World, ratings};

/// Loads a file that breaks something; what was said.
fn refused(world: &World, rows: &[&str]) -> String {
    world.deliver("A", ratings(rows));
    let told = world.run_job("2025-05-15", &["--customer", "agency_a"]).code(65).messages();
    assert!(!told.contains("load_"), "nobody knows what the new rows are called: {told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_is_not_validated_holds_new_rows_and_is_in_nobodys_way() {
    for way in ["swap", "segments", "truncate"] {
        let world = world_with(&format!("publish = \"{way}\"")).await;
        load(&world, "2025-05-13", &ROWS);
        world
            .sql(
                "create table statuses (name varchar(25) primary key); insert into statuses values ('low-value');
                 alter table customer_rating_agency_a add constraint more check (customer_rating > 2) not valid;
                 alter table customer_rating_agency_a add constraint known foreign key (customer_status) references statuses not valid",
            )
            .await;
        let outcome = load(&world, "2025-05-14", &NEXT);
        assert_eq!(outcome["publication"]["way"], way, "{outcome}");
        let there = world
            .column("select conname || ' ' || convalidated from pg_constraint where conrelid = 'customer_rating_agency_a'::regclass order by 1")
            .await;
        let valid = way == "swap";
        assert_eq!(there, [format!("known {valid}"), format!("more {valid}")], "{way}: all rows were held to them");
        let told = refused(&world, &["1,2,3,low-value"]);
        assert!(told.contains("violates check constraint \"more\""), "{way}: {told}");
        let told = refused(&world, &["1,3,3,high-value"]);
        assert!(told.contains("violates foreign key constraint \"known\""), "{way}: {told}");
        assert_eq!(world.rows("agency_a").await, ["(7,8,9,low-value)"], "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trigger_refuses_is_a_fault_of_the_data_and_its_function_is_named() {
    let world = world_with("publish = \"truncate\"").await;
    load(&world, "2025-05-13", &ROWS);
    for (body, words) in [
        ("raise exception 'no branch %', new.customer_number", "no branch 1"),
        ("raise exception using errcode = 'Q0001', message = 'not today'", "not today"),
        ("perform 1 / (new.customer_number - 1)", "division by zero"),
    ] {
        world
            .sql(&format!(
                "create or replace function only_branches() returns trigger language plpgsql as
                    $$ begin {body}; return new; end $$;
                 create or replace trigger branches before insert on customer_rating_agency_a
                    for each row execute function only_branches()"
            ))
            .await;
        let told = refused(&world, &["1,2,3,low-value"]);
        assert!(told.contains(words) && told.contains("PL/pgSQL function only_branches() line 1"), "{told}");
        assert_eq!(world.rows("agency_a").await.len(), 2, "the rows of the day before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_violation_names_the_table_and_its_own_index() {
    for index in [
        "create unique index one_number on customer_rating_agency_a (customer_number)",
        "alter table customer_rating_agency_a add constraint one_number primary key (customer_number)",
        "alter table customer_rating_agency_a add constraint one_number exclude (customer_number with =)",
    ] {
        let world = world_with("publish = \"swap\"").await;
        load(&world, "2025-05-13", &ROWS);
        world.sql(index).await;
        let told = refused(&world, &["1,2,3,low-value", "1,3,3,low-value"]);
        assert!(told.contains("\"one_number\"") && told.contains("customer_rating_agency_a"), "{index}: {told}");
        assert!(told.contains("(customer_number)=(1)"), "{index}: {told}");
    }
    let world = world_with("publish = \"swap\"").await;
    load(&world, "2025-05-13", &ROWS);
    world.sql("alter table customer_rating_agency_a add constraint less check (customer_rating < 9)").await;
    let told = refused(&world, &["1,9,3,low-value"]);
    assert!(told.contains("\"customer_rating_agency_a\" violates check constraint \"less\""), "{told}");
}
