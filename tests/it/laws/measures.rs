//! A measure says the same however it is taken: while rows pass, or by the server over the rows that it has.

use super::dataset;
use super::values::{COLUMNS, DATASET, file, rows};
use crate::support::World;
use bursar::rows::measure::KEYWORDS;
use serde_json::Value;
use sqlx::AssertSqlSafe;

/// Measures that need no second pass over the rows.
fn plain() -> Vec<String> {
    let mut all = vec!["count(*)".to_owned(), "coalesce(count(*), 0)".to_owned()];
    all.extend(COLUMNS.map(|(name, _)| format!("count(\"{name}\")")));
    for number in ["small", "big", "whole", "part", "money", "\"order\""] {
        all.push(format!("sum({number})"));
        all.push(format!("COALESCE( Sum ( {number} ), 12 ) -- all of it"));
        all.push(format!("sum({number}) filter (where words = 'NULL')"));
        all.push(format!("coalesce(sum({number}) filter (where short = 'there is none such'), 0)"));
    }
    all.extend(["NULL", "null", " ", "", "it''s"].map(|text| format!("count(*) filter (where words = '{text}')")));
    all
}

fn text(measures: &[String]) -> String {
    let columns = COLUMNS.map(|(name, rules)| format!("\n[[column]]\nname = \"{name}\"\nnullable = true\n{rules}\n"));
    let measures = measures.iter().enumerate().map(|(n, sql)| format!("m{n} = {}\n", Value::from(sql.as_str())));
    format!("{}\n[measures]\n{}", columns.concat(), measures.collect::<String>())
}

async fn world(measures: &[String]) -> World {
    let world = World::new().await;
    world.write("config/datasets/everything.toml", format!("{DATASET}{}", text(measures)));
    world.write(
        "config/jobs/everything.toml",
        "name = \"everything\"\n[[task]]\nname = \"load\"\nkind = \"load\"\ndataset = \"everything\"\nfor_each = \"customer\"\n",
    );
    world
}

fn load(world: &World, date: &str) {
    world.bursar(&["run-job", "everything", "--date", date, "--customer", "agency_a"]).code(0);
}

/// What the ledger says, and what the server says of the table.
async fn both(world: &World, measures: &[String]) -> (Value, Value) {
    let kept = world.scalar("select measures from bursar.loads order by id desc limit 1").await;
    let each = measures.iter().enumerate().map(|(n, sql)| format!("(({sql}\n)::numeric)::text as m{n}"));
    let query = format!(
        "select to_jsonb(m) from (select {} from everything_agency_a) as m",
        each.collect::<Vec<_>>().join(", ")
    );
    let asked = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&world.pool().await).await.expect("the measures");
    (kept, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measure_is_the_same_while_rows_pass_and_over_the_table() {
    let measures = plain();
    assert!(dataset(&text(&measures)).passing.is_some(), "all of them are taken as rows pass");
    let world = world(&measures).await;
    let all = rows();
    for (date, rows) in [("2025-05-13", &all[..]), ("2025-05-14", &all[..7]), ("2025-05-15", &all[..300])] {
        world.write("inbox/everything_agency_a.csv", file(rows));
        load(&world, date);
        let (kept, asked) = both(&world, &measures).await;
        for (n, sql) in measures.iter().enumerate() {
            let name = format!("m{n}");
            assert_eq!(kept[&name], asked[&name], "{sql} on {date}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_measure_that_is_asked_for_has_all_asked_for() {
    let measures = ["count(*)", "max(small)", "sum(money)"].map(str::to_owned);
    assert!(dataset(&text(&measures)).passing.is_none());
    let world = world(&measures).await;
    world.write("inbox/everything_agency_a.csv", file(&rows()));
    load(&world, "2025-05-13");
    let (kept, asked) = both(&world, &measures).await;
    assert_eq!(kept, asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_its_rows_or_compares_in_its_own_way_is_asked() {
    let measures = ["sum(small)", "count(*) filter (where words = 'null')"].map(str::to_owned);
    let world = world(&measures).await;
    let pool = world.pool().await;
    world.write("inbox/everything_agency_a.csv", file(&rows()));
    load(&world, "2025-05-13");
    let (before, _) = both(&world, &measures).await;
    for change in [
        "create function half() returns trigger language plpgsql as $$ begin new.small := new.small / 2; return new; end $$;
         create trigger half before insert on everything_agency_a for each row execute function half();",
        "drop trigger half on everything_agency_a;
         create collation careless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         alter table everything_agency_a alter column words type text collate careless;",
    ] {
        sqlx::raw_sql(change).execute(&pool).await.expect("change the table");
        world.bursar(&["run-job", "everything", "--date", "2025-05-13", "--customer", "agency_a", "--force"]).code(0);
        let (kept, asked) = both(&world, &measures).await;
        assert_eq!(kept, asked, "{change}");
        assert_ne!(kept, before, "it matters: {change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_takes_for_no_column_is_known() {
    let world = World::new().await;
    let words: Vec<String> = sqlx::query_scalar("select word from pg_get_keywords() where catcode in ('R', 'T')")
        .fetch_all(&world.pool().await)
        .await
        .expect("the server's words");
    let unknown: Vec<&String> = words.iter().filter(|word| !KEYWORDS.split(' ').any(|known| known == *word)).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}
