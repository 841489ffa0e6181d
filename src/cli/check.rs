//! `bursar check`

use super::{Context, show};
use crate::catalog::Catalog;
use crate::config::{ALLOW_HTTP, Ident, Problem, Problems, Settings, SettingsFile};
use crate::db::{Database, check};
use crate::fault::Fault;
use crate::rows::measure;
use crate::rows::source::Places;
use crate::rows::source::address::shown;
use crate::systems;
use serde_json::json;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Look at the database, too: its version, its encoding, whether the role may make what is needed, and whether the
    /// server understands each measure. Changes nothing there.
    #[arg(long)]
    database: bool,
    /// Print the problems as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut problems = Problems::default();
    let settings = Settings::compile(&context.config, &context.environment, &mut problems);
    let schema = settings.as_ref().map(|settings| settings.file.database.schema.clone());
    let schema = Ident::parse(&schema.unwrap_or_else(|| SettingsFile::default().database.schema))?;
    let (catalog, others) = Catalog::compile(&context.config, &schema, &systems::parts());
    problems.extend(others);
    if let (Some(settings), true) = (&settings, arguments.database) {
        for message in of_database(settings, &catalog).await? {
            problems.push(Problem::of_environment("DATABASE_URL", &message));
        }
    }
    let places = settings.as_ref().map(Places::new);
    if let Some(places) = places {
        problems.extend(of_sources(&places, &catalog));
    }
    let problems = problems.sorted();
    if arguments.json {
        show::json(&json!({"problems": problems}))?;
    } else if problems.is_empty() {
        let declared = [
            counted(catalog.customers.len(), "customer"),
            counted(catalog.datasets.len(), "dataset"),
            counted(catalog.reports.len(), "report"),
            counted(catalog.jobs.len(), "job"),
        ];
        show::line(&format!("{}: {}; no problems", context.config.display(), declared.join(", ")))?;
    }
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.json {
        for problem in &problems {
            eprintln!("{problem}");
        }
        eprintln!("error: {} in {}", counted(problems.len(), "problem"), context.config.display());
    }
    Ok(ExitCode::from(Fault::Config.exit_code()))
}

/// What the environment lacks for the places that files are to come from, each variable once.
fn of_sources(places: &Places, catalog: &Catalog) -> Problems {
    let mut found = BTreeMap::new();
    for dataset in catalog.datasets.values() {
        let deliverers = catalog.deliverers(dataset);
        let own = deliverers.iter().map(|customer| dataset.pattern_of(customer));
        for pattern in own.chain([dataset.file.as_str()]) {
            if let Some((variable, why)) = places.problem(pattern) {
                let shown = shown(pattern);
                found.entry((variable.unwrap_or(ALLOW_HTTP), why)).or_insert((dataset.name.clone(), shown));
            }
        }
    }
    let mut problems = Problems::default();
    for ((variable, why), (dataset, pattern)) in found {
        let message = format!("{why} (the dataset {dataset} reads {pattern})");
        problems.push(Problem::of_environment(variable, message));
    }
    problems
}

/// What is in the way in the database, and what it does not understand.
async fn of_database(settings: &Settings, catalog: &Catalog) -> anyhow::Result<Vec<String>> {
    let database = Database::open(settings).await?;
    let problems = ask(&database.pool, catalog).await;
    database.close().await?;
    problems
}

async fn ask(pool: &PgPool, catalog: &Catalog) -> anyhow::Result<Vec<String>> {
    let mut problems = check::problems(pool).await?;
    for dataset in catalog.datasets.values() {
        problems.append(&mut measure::check::problems(pool, dataset).await?);
    }
    Ok(problems)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
