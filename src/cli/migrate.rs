//! `bursar migrate`

use super::{Context, show, signals};
use crate::app::App;
use std::process::ExitCode;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let stop = signals::stop_token()?;
    let settings = context.settings()?;
    let catalog = signals::unless_stopped(&stop, Box::pin(App::migrate(&settings))).await?;
    let own = catalog.datasets.values().filter(|dataset| dataset.into.is_none());
    let tables: usize = own.map(|dataset| catalog.deliverers(dataset).len()).sum();
    show::line(&format!(
        "the database is up to date: schema bursar, {tables} tables of datasets, the views over them"
    ))?;
    Ok(ExitCode::SUCCESS)
}
