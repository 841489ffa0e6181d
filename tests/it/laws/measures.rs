//! A measure says the same however it is taken: while rows pass, or by the server over the rows that it has.

use super::dataset;
use super::values::{COLUMNS, Cell, DATASET, file, rows};
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
    publish(&world, measures, "");
    world.write(
        "config/jobs/everything.toml",
        "name = \"everything\"\n[[task]]\nname = \"load\"\nkind = \"load\"\ndataset = \"everything\"\nfor_each = \"customer\"\n",
    );
    world
}

fn publish(world: &World, measures: &[String], how: &str) {
    world.write("config/datasets/everything.toml", format!("{how}\n{DATASET}{}", text(measures)));
}

/// Loads, and says whether the measures were taken as rows passed.
fn load(world: &World, date: &str) -> bool {
    let mut command = world.command(&["run-job", "everything", "--date", date, "--customer", "agency_a", "--force"]);
    let output = command.env("RUST_LOG", "bursar::rows=debug").output().expect("start bursar");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let answer = told.split("were taken as its rows passed: ").nth(1).expect("it is told");
    answer.starts_with("true")
}

/// Rows of every type, one of a known text, and some that are refused: at the first column, at the last, as a whole.
fn delivered(rows: &[Vec<Cell>]) -> String {
    let mut more: Vec<Vec<Cell>> = vec![vec![(String::new(), None); COLUMNS.len()]; 3];
    more[0][5] = ("\"it's\"".to_owned(), None);
    more[1][0] = ("x".to_owned(), None);
    more[2][13] = ("x".to_owned(), None);
    let more = file(&more);
    let more: Vec<String> = more.lines().skip(1).map(|line| format!("9999{line}")).collect();
    format!("{}{}\r\n1,2\r\n", file(rows), more.join("\r\n"))
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
    for (date, rows, how) in [
        ("2025-05-13", &all[..], ""),
        ("2025-05-14", &all[..7], "publish = \"swap\""),
        ("2025-05-15", &all[..300], "publish = \"segments\""),
        ("2025-05-16", &all[..], "publish = \"truncate\""),
        ("2025-05-17", &all[..300], "mode = \"merge\"\nkey = [\"id\"]"),
    ] {
        world.write("inbox/everything_agency_a.csv", delivered(rows));
        publish(&world, &measures, how);
        if how.contains("merge") {
            // What is merged stands beside other rows; and it needs a key.
            let prepare = "truncate everything_agency_a; alter table everything_agency_a add primary key (id)";
            sqlx::raw_sql(prepare).execute(&world.pool().await).await.expect("prepare the table");
        }
        assert!(load(&world, date), "taken as rows pass: {how}");
        let (kept, asked) = both(&world, &measures).await;
        for (n, sql) in measures.iter().enumerate() {
            let name = format!("m{n}");
            assert_eq!(kept[&name], asked[&name], "{sql} with {how}");
        }
        assert_eq!(asked[&format!("m{}", measures.len() - 1)], "1", "{}", measures[measures.len() - 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_measure_that_is_asked_for_has_all_asked_for() {
    let measures = ["count(*)", "max(small)", "sum(money)"].map(str::to_owned);
    assert!(dataset(&text(&measures)).passing.is_none());
    let world = world(&measures).await;
    world.write("inbox/everything_agency_a.csv", file(&rows()));
    assert!(!load(&world, "2025-05-13"));
    let (kept, asked) = both(&world, &measures).await;
    assert_eq!(kept, asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_its_rows_or_compares_in_its_own_way_is_asked() {
    let measures = ["sum(small)", "count(*) filter (where words = 'null')"].map(str::to_owned);
    let world = world(&measures).await;
    let pool = world.pool().await;
    world.write("inbox/everything_agency_a.csv", file(&rows()));
    assert!(load(&world, "2025-05-13"));
    let (before, _) = both(&world, &measures).await;
    for change in [
        "create function half() returns trigger language plpgsql as $$ begin new.small := new.small / 2; return new; end $$;
         create trigger half before insert on everything_agency_a for each row execute function half();",
        "drop trigger half on everything_agency_a;
         create collation careless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         alter table everything_agency_a alter column words type text collate careless;",
    ] {
        sqlx::raw_sql(change).execute(&pool).await.expect("change the table");
        assert!(!load(&world, "2025-05-13"), "{change}");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_measure_that_the_server_refuses_is_named_with_its_dataset() {
    let world = World::new().await;
    world.deliver_all();
    for (sql, publish, said) in [
        ("sum(customer_rating / (customer_rating - 10))", "swap", "division by zero"),
        ("sum(no_such_function(customer_rating))", "truncate", "function no_such_function(integer) does not exist"),
        ("min(customer_status)", "segments", "invalid input syntax for type numeric"),
    ] {
        world.edit("datasets/customer_rating.toml", |text| {
            let stays = |line: &&str| !line.starts_with("odd = ") && !line.starts_with("publish = ");
            let text: Vec<&str> = text.lines().filter(stays).collect();
            format!("publish = \"{publish}\"\n{}\nodd = \"{sql}\"\n", text.join("\n"))
        });
        let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]).code(78).messages();
        let named = "take the measure odd of the dataset customer_rating (measures.odd)";
        assert!(ran.contains(named) && ran.contains(said), "{sql}: {ran}");
        assert_eq!(world.scalar::<i64>("select count(*) from bursar.loads").await, 0, "{sql}");
        assert_eq!(world.rows("agency_a").await, Vec::<String>::new(), "{sql}");
    }
}
