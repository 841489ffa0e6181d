//! `bursar schema`

use super::{Context, show};
use crate::catalog;
use crate::fault;
use crate::systems;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder to write them to, where it is not `schema` in the folder of configuration files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = &arguments.dir.clone().unwrap_or_else(|| context.config.join("schema"));
    let unwritable = |error: std::io::Error| fault::config(format!("can't write to {}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(unwritable)?;
    for (name, schema) in catalog::schemas(&systems::parts()) {
        let text = serde_json::to_string_pretty(&schema)? + "\n";
        std::fs::write(dir.join(name), text).map_err(unwritable)?;
        show::line(&dir.join(name).display())?;
    }
    Ok(ExitCode::SUCCESS)
}
