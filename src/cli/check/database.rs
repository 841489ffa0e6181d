//! What `bursar check --database` asks the server. Nothing is changed there.

use super::super::Context;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{At, Customer, Ident, Problem, Problems, Settings, Source};
use crate::db::migrations::Migrations;
use crate::db::room::{MIN_OF_COMMAND, MIN_OF_DAEMON};
use crate::db::{Database, check};
use crate::engine::queue;
use crate::engine::watermarks::Watermarks;
use crate::report::check::{self as report_check, Tables};
use crate::rows::dataset::Dataset;
use crate::rows::{drift, measure, privileges};
use anyhow::Context as _;
use sqlx::{PgConnection, PgPool};
use std::sync::Arc;

/// The variable that sets the schema of the customers' tables.
const SCHEMA_VARIABLE: &str = "BURSAR__DATABASE__SCHEMA";

/// What `--database` found.
pub(super) struct DatabaseCheck {
    /// What is in the way, at the place where it is declared.
    pub(super) problems: Problems,
    /// What an operator should know and nothing fails by.
    pub(super) notes: Vec<String>,
}

/// Checks the database against the configuration.
pub(super) async fn check(context: &Context, settings: &Settings, catalog: &Catalog) -> anyhow::Result<DatabaseCheck> {
    let database = Database::open(settings).await?;
    let found = async {
        let problems = ask(context, settings, catalog, &database).await?;
        Ok(DatabaseCheck { problems, notes: notes(settings, catalog, &database).await? })
    };
    let found: anyhow::Result<DatabaseCheck> = found.await;
    database.close().await?;
    found
}

async fn notes(settings: &Settings, catalog: &Catalog, database: &Database) -> anyhow::Result<Vec<String>> {
    let mut notes = check::overridden_settings(&database.pool).await?;
    notes.extend(schedules_ahead(catalog, &database.pool).await?);
    if let Some(note) = database.room.note(settings.file.engine.parallel_tasks) {
        let needs = format!("a command needs {MIN_OF_COMMAND} connections, a daemon {MIN_OF_DAEMON}");
        notes.push(format!("{note}; {needs}, and more let it load faster"));
    }
    Ok(notes)
}

/// Warns about jobs whose occurrences are recorded ahead of the clock.
async fn schedules_ahead(catalog: &Catalog, pool: &PgPool) -> anyhow::Result<Vec<String>> {
    // What a role may not read is among the problems.
    let is_readable: bool = sqlx::query_scalar(
        "select count(*) = 3
           from pg_class as c
           join pg_namespace as n on n.oid = c.relnamespace
          where n.nspname = 'bursar' and c.relname in ('schedules', 'occurrences', 'paused_jobs')
            and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')",
    )
    .fetch_one(pool)
    .await
    .context("look for the tables")?;
    if !is_readable {
        return Ok(Vec::new());
    }
    let known = Watermarks::read(pool, Clock::system().now()).await?;
    Ok(catalog.jobs.values().filter_map(|job| known.warning(job)).collect())
}

/// The statements that repair all tables that differ from their datasets.
pub(super) async fn repair_sql(settings: &Settings, catalog: &Catalog) -> anyhow::Result<Option<String>> {
    let database = Database::open(settings).await?;
    let sql = async {
        let mut connection = database.pool.acquire().await.context("compare the customers' tables")?;
        let drifts = find_drifts(&mut connection, catalog).await?;
        drift::repair_sql(&mut connection, &drifts.iter().filter(|d| d.is_blocking()).collect::<Vec<_>>()).await
    };
    let sql = sql.await;
    database.close().await?;
    sql
}

async fn ask(
    context: &Context,
    settings: &Settings,
    catalog: &Catalog,
    database: &Database,
) -> anyhow::Result<Problems> {
    let (own, queues) = (Migrations::own(), queue::migrations());
    let mut problems = Problems::default();
    for message in check::problems(&database.pool, &[&own, &queues]).await? {
        problems.push(Problem::of_environment("DATABASE_URL", message));
    }
    let mut connection = database.pool.acquire().await.context("check the customers' tables")?;
    let schema = Ident::parse(&settings.file.database.schema)?;
    for lack in privileges::lacks(&mut connection, &schema, &datasets(catalog), &customers(catalog)).await? {
        problems.push(match lack.dataset {
            Some((name, key)) => dataset_source(context, &name).problem(&At::key(key), lack.message),
            None => schema_problem(context, lack.message),
        });
    }
    let is_usable = problems.is_empty()
        && own.are_applied(&mut connection).await.context("look for the tables")?
        && drift::all_exist(&mut connection, &datasets(catalog), &customers(catalog)).await?;
    if problems.is_empty() {
        problems.extend(of_tables(context, catalog, &mut connection).await?);
    }
    drop(connection);
    for dataset in catalog.datasets.values() {
        let source = dataset_source(context, &dataset.name);
        problems.extend(measure::check::problems(&database.pool, dataset, &source).await?);
    }
    let datasets: Vec<Arc<Dataset>> = catalog.datasets.values().cloned().collect();
    let tables = if is_usable { Tables::Made } else { Tables::Lacking };
    for report in catalog.reports.values() {
        let source = source(context, "reports", &report.name);
        problems.extend(report_check::problems(&database.pool, report, &source, &datasets, tables).await?);
    }
    Ok(problems)
}

/// Tables that differ from their datasets, each way at the dataset's key `table`.
async fn of_tables(context: &Context, catalog: &Catalog, connection: &mut PgConnection) -> anyhow::Result<Problems> {
    let drifts = find_drifts(connection, catalog).await?;
    let mut problems = Problems::default();
    for name in catalog.datasets.values().map(|dataset| &dataset.name) {
        let own: Vec<_> = drifts.iter().filter(|drift| drift.dataset() == name).collect();
        let source = dataset_source(context, name);
        for message in drift::messages(connection, &own).await? {
            problems.push(source.problem(&At::key("table"), message));
        }
        for note in drift::notes(&own) {
            problems.warn(source.problem(&At::key("table"), note));
        }
    }
    Ok(problems)
}

async fn find_drifts<'a>(connection: &mut PgConnection, catalog: &'a Catalog) -> anyhow::Result<Vec<drift::Drift<'a>>> {
    drift::find_all(connection, &datasets(catalog), &customers(catalog)).await
}

fn datasets(catalog: &Catalog) -> Vec<&Dataset> {
    catalog.datasets.values().map(AsRef::as_ref).collect()
}

fn customers(catalog: &Catalog) -> Vec<Arc<Customer>> {
    catalog.customers.values().cloned().collect()
}

fn dataset_source(context: &Context, name: &Ident) -> Source {
    source(context, "datasets", name)
}

/// The file that declares something; it was read before, when the configuration was compiled.
fn source(context: &Context, folder: &str, name: &Ident) -> Source {
    let path = context.config.join(folder).join(format!("{name}.toml"));
    Source::read(&path, &mut Problems::default()).unwrap_or_else(|| Source::of(path, ""))
}

/// A problem of the schema of the customers' tables, where it is set.
fn schema_problem(context: &Context, message: String) -> Problem {
    let path = context.config.join("bursar.toml");
    let at = At::key("database").then("schema");
    if context.environment.var(SCHEMA_VARIABLE).is_some() {
        return Problem::of_environment(SCHEMA_VARIABLE, message);
    }
    match Source::read(&path, &mut Problems::default()).filter(|source| source.has(&at)) {
        Some(source) => source.problem(&at, message),
        None => Problem::of_environment("DATABASE_URL", message),
    }
}
