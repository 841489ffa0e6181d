//! `bursar serve`

use super::{Context, DAEMON_LOG, signals};
use crate::app::{App, Orders};
use crate::clock::Clock;
use std::process::ExitCode;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    context.log(DAEMON_LOG);
    let orders = Orders { stop: signals::stop_token()?, reload: signals::on_hangup()? };
    let building = Box::pin(App::build(context.settings()?, Clock::system()));
    let Some(app) = orders.stop.run_until_cancelled(building).await.transpose()? else { return Ok(ExitCode::SUCCESS) };
    let served = app.serve(orders, |_| ()).await;
    app.close().await?;
    served?;
    Ok(ExitCode::SUCCESS)
}
