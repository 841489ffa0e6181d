//! `bursar health`

use super::{Context, show};
use crate::config::Settings;
use crate::http;
use std::process::ExitCode;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    // A daemon that runs is healthy, also where its files have been spoilt since it read them.
    http::ask_health(Settings::bind(&context.config, &context.environment)?).await?;
    show::line(&"ok")?;
    Ok(ExitCode::SUCCESS)
}
