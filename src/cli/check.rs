//! `bursar check`

use super::{Context, show};
use crate::catalog::Catalog;
use crate::config::{ALLOW_HTTP, Ident, Problem, Problems, Settings, SettingsFile};
use crate::db::room::{MIN_OF_COMMAND, MIN_OF_DAEMON};
use crate::db::{Database, check};
use crate::fault::Fault;
use crate::rows::measure;
use crate::rows::source::Places;
use crate::rows::source::address::shown;
use crate::systems;
use serde_json::json;
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
    let mut notes = Vec::new();
    if let (Some(settings), true) = (&settings, arguments.database) {
        let found = of_database(settings, &catalog).await?;
        for message in found.problems {
            problems.push(Problem::of_environment("DATABASE_URL", &message));
        }
        notes = found.notes;
    }
    let places = settings.as_ref().map(Places::new);
    if let Some(places) = places {
        problems.extend(of_sources(&places, &catalog));
    }
    let problems = problems.sorted();
    if arguments.json {
        show::json(&json!({"problems": problems, "notes": notes}))?;
    } else if problems.is_empty() {
        let declared = [
            counted(catalog.customers.len(), "customer"),
            counted(catalog.datasets.len(), "dataset"),
            counted(catalog.reports.len(), "report"),
            counted(catalog.jobs.len(), "job"),
        ];
        show::line(&format!("{}: {}; no problems", context.config.display(), declared.join(", ")))?;
    }
    if !arguments.json {
        for note in &notes {
            eprintln!("note: {note}");
        }
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

/// What `--database` found.
struct Found {
    /// What is in the way, and what the server does not understand.
    problems: Vec<String>,
    /// What an operator should know and nothing fails by.
    notes: Vec<String>,
}

async fn of_database(settings: &Settings, catalog: &Catalog) -> anyhow::Result<Found> {
    let database = Database::open(settings).await?;
    let found = ask(&database, settings, catalog).await;
    database.close().await?;
    found
}

async fn ask(database: &Database, settings: &Settings, catalog: &Catalog) -> anyhow::Result<Found> {
    let pool = &database.pool;
    let mut problems = check::problems(pool).await?;
    for dataset in catalog.datasets.values() {
        problems.append(&mut measure::check::problems(pool, dataset).await?);
    }
    let mut notes = check::overridden_settings(pool).await?;
    if let Some(note) = database.room.note(settings.file.engine.parallel_tasks) {
        let needs = format!("a command needs {MIN_OF_COMMAND} connections, a daemon {MIN_OF_DAEMON}");
        notes.push(format!("{note}; {needs}, and more let it load faster"));
    }
    Ok(Found { problems, notes })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
