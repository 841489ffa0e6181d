//! `bursar check`

use super::{Context, show};
use crate::catalog::Catalog;
use crate::config::Ident;
use crate::fault::Fault;
use crate::systems;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print the problems as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = context.settings()?;
    let schema = Ident::parse(&settings.file.database.schema)?;
    let (catalog, problems) = Catalog::compile(&settings.config_dir, &schema, &systems::kind_specs());
    let problems = problems.sorted();
    if arguments.json {
        show::json(&json!({"problems": problems}))?;
    } else if problems.is_empty() {
        show::line(&format!(
            "{}: {} customers, {} datasets, {} reports, {} jobs; no problems",
            settings.config_dir.display(),
            catalog.customers.len(),
            catalog.datasets.len(),
            catalog.reports.len(),
            catalog.jobs.len()
        ))?;
    }
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.json {
        for problem in &problems {
            eprintln!("{problem}");
        }
        eprintln!(
            "error: {} problem{} in {}",
            problems.len(),
            if problems.len() == 1 { "" } else { "s" },
            settings.config_dir.display()
        );
    }
    Ok(ExitCode::from(Fault::Config.exit_code()))
}
