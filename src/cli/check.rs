//! `bursar check`

use super::{Context, show};
use crate::catalog::Catalog;
use crate::config::{Ident, Problem, Problems, Settings};
use crate::db::{Database, check};
use crate::fault::Fault;
use crate::systems;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Look at the database, too: its version, its encoding, and whether the role may make what is needed. Changes
    /// nothing there.
    #[arg(long)]
    database: bool,
    /// Print the problems as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut problems = Problems::default();
    let settings = Settings::compile(&context.config, &context.environment, &mut problems);
    if let (Some(settings), true) = (&settings, arguments.database) {
        for message in of_database(settings).await? {
            problems.push(Problem::of_environment("DATABASE_URL", &message));
        }
    }
    let file = settings.map(|settings| settings.file).unwrap_or_default();
    let (catalog, others) =
        Catalog::compile(&context.config, &Ident::parse(&file.database.schema)?, &systems::kind_specs());
    problems.extend(others);
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

/// What is in the way in the database.
async fn of_database(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let database = Database::open(settings).await?;
    let problems = check::problems(&database.pool).await;
    database.close().await?;
    problems
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
