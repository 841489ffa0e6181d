//! `bursar serve`

use super::{Context, signals};
use crate::app::App;
use crate::clock::Clock;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    context.log(LevelFilter::INFO);
    let stop = signals::stop_token()?;
    let app = App::build(context.settings()?, Clock::system()).await?;
    let served = app.serve(stop, |_| ()).await;
    app.close().await?;
    served?;
    Ok(ExitCode::SUCCESS)
}
