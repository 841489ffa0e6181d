//! `bursar serve`

use super::{Context, EVERYTHING, signals};
use crate::app::App;
use crate::clock::Clock;
use std::process::ExitCode;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    context.log(EVERYTHING);
    let stop = signals::stop_token()?;
    let building = Box::pin(App::build(context.settings()?, Clock::system()));
    let Some(app) = stop.run_until_cancelled(building).await.transpose()? else { return Ok(ExitCode::SUCCESS) };
    let served = app.serve(stop, |_| ()).await;
    app.close().await?;
    served?;
    Ok(ExitCode::SUCCESS)
}
