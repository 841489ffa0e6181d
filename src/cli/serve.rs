//! `bursar serve`

use super::{Context, signals};
use crate::app::{App, Orders};
use crate::clock::Clock;
use std::process::ExitCode;
use std::time::Duration;

/// How long a daemon may take to stop beyond the grace time of its tasks.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let log = context.log_daemon();
    log.report_drops();
    let settings = context.settings()?;
    let limit = Duration::from_secs(settings.file.engine.grace_s) + STOP_TIMEOUT;
    let orders = Orders { stop: signals::stop_token_within(limit)?, reload: signals::on_hangup()? };
    let building = Box::pin(App::build(settings, Clock::system()));
    let Some(app) = orders.stop.run_until_cancelled(building).await.transpose()? else { return Ok(ExitCode::SUCCESS) };
    let served = app.serve(orders, |_| ()).await;
    app.close().await?;
    served?;
    Ok(ExitCode::SUCCESS)
}
