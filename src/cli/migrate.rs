//! `bursar migrate`

use super::{Context, show, signals};
use crate::app::App;
use std::process::ExitCode;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let stop = signals::stop_token()?;
    let settings = context.settings()?;
    let catalog = signals::unless_stopped(&stop, Box::pin(App::migrate(&settings))).await?;
    let tables = catalog.customers.len() * catalog.datasets.len();
    show::line(&format!(
        "the database is up to date: schema bursar, {tables} tables of customers, the views over them"
    ))?;
    Ok(ExitCode::SUCCESS)
}
