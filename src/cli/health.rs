//! `bursar health`

use super::{Context, show};
use crate::http;
use std::process::ExitCode;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    http::ask_health(context.settings()?.file.http.bind).await?;
    show::line(&"ok")?;
    Ok(ExitCode::SUCCESS)
}
