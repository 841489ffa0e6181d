//! Rejects that an earlier version kept, in one table and as JSON.

use crate::support::World;
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use std::path::Path;

/// The last migration in which they were kept so.
const LAST: i64 = 15;

/// A load and its reject; analysts may read it.
const KEPT: &str = r#"
insert into bursar.loads (
    id, run_id, dataset, customer, run_date, table_name, state, is_current, reasons, file_path, file_name, file_bytes,
    file_sha256, records, loaded, rejected, skipped, certificate, ignored_columns, measures, elapsed_ms, program_version)
values (
    7, gen_random_uuid(), 'customer_rating', 'agency_a', '2025-05-13', 'public.customer_rating_agency_a', 'measured', true,
    '[]', '/in/a.csv', 'a.csv', 30, 'ab', 3, 1, 1, 1, '{}', '[]', '{}', 1, '0.0.9');
insert into bursar.file_invalid_rows (
    load_id, file, table_name, line, byte_offset, byte_length, raw, payload, error_class, errors, status, closed_by)
values (
    7, 'a.csv', 'public.customer_rating_agency_a', 3, 20, 10, 'x,1', '{"b": "1", "a": "x"}', 'type',
    '[{"column": "a", "code": "not_an_integer", "message": "x"}]', 'discarded', 'who@where');
grant select on bursar.file_invalid_rows to "Analysts of {name}" with grant option;
grant select (id, line) on bursar.file_invalid_rows to public;
create view public.latest as select line from bursar.file_invalid_rows;
"#;

#[tokio::test(flavor = "multi_thread")]
async fn rejects_of_an_earlier_version_are_told_as_before_to_whoever_might_read_them() {
    let world = World::bare().await;
    let reader = format!("\"Analysts of {}\"", world.database);
    world.sql(&format!("create role {reader}")).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ddl");
    let mut migrator = Migrator::new(folder).await.expect("the migrations");
    migrator.migrations = migrator.migrations.iter().filter(|m| m.version <= LAST).cloned().collect();
    migrator.create_schema("bursar");
    migrator.dangerous_set_table_name("bursar.migrations");
    migrator.run(&mut world.connect().await).await.expect("an earlier version");
    world.sql(&KEPT.replace("{name}", &world.database)).await;
    let told = "select to_jsonb(r) from bursar.file_invalid_rows as r";
    let before: Value = world.scalar(told).await;

    let refused = world.bursar(&["migrate"]).code(78);
    let said = "(schema bursar): bursar.file_invalid_rows becomes a view, and latest depends on the table: drop it, migrate, \
                and make it again over the view, which has the same columns\n";
    assert!(refused.stderr.ends_with(said), "{}", refused.stderr);
    assert_eq!(world.scalar::<Value>(told).await, before);
    world.sql("drop view public.latest").await;
    world.bursar(&["migrate"]).code(0);
    let mut now: Value = world.scalar(told).await;
    let number = std::mem::replace(&mut now["id"], before["id"].clone());
    assert_eq!((now, &number), (before, &json!(70_000_000_003_i64)));
    let shown = world.bursar(&["rejects", "show", &number.to_string(), "--json"]).code(0).json();
    assert_eq!((&shown["line"], &shown["payload"]["b"]), (&json!(3), &json!("1")));
    let may = format!(
        "select has_table_privilege('{}', 'bursar.file_invalid_rows', 'select with grant option')",
        reader.replace('"', "")
    );
    assert!(world.scalar::<bool>(&may).await);
    let everybody = "select string_agg(attname, ',' order by attnum) from pg_attribute, aclexplode(attacl) as a
                      where attrelid = 'bursar.file_invalid_rows'::regclass and a.grantee = 0";
    assert_eq!(world.scalar::<String>(everybody).await, "id,line");
    world.sql(&format!("revoke all on bursar.file_invalid_rows from {reader}; drop role {reader}")).await;
}
