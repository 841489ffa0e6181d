//! `bursar psql`: a way into the embedded PostgreSQL, which listens nowhere else.

use super::Context;
use crate::db::{DATABASE, Database};
use crate::fault;
use anyhow::Context as _;
use std::process::ExitCode;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Further arguments of psql, such as `-c 'select …'`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let database = Database::open(&context.settings()?).await?;
    let Some(embedded) = database.embedded() else {
        return Err(fault::config("DATABASE_URL is set: there is no embedded PostgreSQL; run psql \"$DATABASE_URL\""));
    };
    let psql = embedded.binaries().join("psql");
    // Ctrl-C is psql's to answer; this process waits for it and then stops the server.
    let _interrupts = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let _quits = signal(SignalKind::quit()).context("listen for SIGQUIT")?;
    let status = Command::new(&psql)
        .arg("--host")
        .arg(embedded.socket_dir())
        .args(["--username", "bursar", "--dbname", DATABASE])
        .args(&arguments.rest)
        .status()
        .await
        .map_err(|error| fault::config(format!("can't start {}: {error}", psql.display())));
    database.close().await?;
    Ok(ExitCode::from(u8::try_from(status?.code().unwrap_or(1)).unwrap_or(1)))
}
