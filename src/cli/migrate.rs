//! `bursar migrate`

use super::{Context, show};
use crate::app::App;
use crate::clock::Clock;
use std::process::ExitCode;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    // Building the program makes whatever the database lacks.
    let app = App::build(context.settings()?, Clock::system()).await?;
    let tables = app.catalog().customers.len() * app.catalog().datasets.len();
    app.close().await?;
    show::line(&format!(
        "the database is up to date: schema bursar, {tables} tables of customers, the views over them"
    ))?;
    Ok(ExitCode::SUCCESS)
}
