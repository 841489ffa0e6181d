//! `bursar alerts`

use super::zones::Zones;
use super::{Context, show};
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Database;
use crate::escape;
use crate::fault::{self, Fault};
use crate::notify::Channels;
use crate::notify::alert::{self, Kept, Which};
use anyhow::Context as _;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    /// Those that are over, too.
    #[arg(long)]
    all: bool,
    /// How many at most, the newest first.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print them as JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Command {
    /// Send a test through every channel, now.
    Test,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = context.settings()?;
    match arguments.command {
        Some(Command::Test) => test(&settings, arguments.json).await,
        None => list(&settings, arguments).await,
    }
}

async fn list(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings).await?;
    let alerts = read(&database, arguments).await;
    database.close().await?;
    let alerts = alerts?;
    if arguments.json {
        show::json(&alerts)?;
    } else if alerts.is_empty() {
        show::line(&if arguments.all { "no alerts" } else { "no open alerts" })?;
    } else {
        let zones = Zones::of_settings(settings);
        let shown: Vec<String> = alerts.iter().map(|alert| describe(&zones, alert)).collect();
        show::line(&shown.join("\n\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(database: &Database, arguments: &Arguments) -> anyhow::Result<Vec<Kept>> {
    database.migrate().await?;
    let mut connection = database.pool.acquire().await.context("list the alerts")?;
    alert::list(&mut connection, if arguments.all { Which::All } else { Which::Open }, arguments.limit).await
}

/// Lines and no table: a command that is wrapped in a cell can't be copied.
fn describe(zones: &Zones, alert: &Kept) -> String {
    let job = alert.job.as_deref().unwrap_or_default();
    let times = if alert.raised_count == 1 { String::new() } else { format!(", {} times", alert.raised_count) };
    let raised = zones.show(job, alert.raised_at);
    let state = match alert.resolved_at {
        None => "open".to_owned(),
        Some(at) => format!("resolved {}", zones.show(job, at)),
    };
    let (what, how) = match &alert.resolution {
        None => ("next", &alert.next_step),
        Some(resolution) => ("resolved", resolution),
    };
    let Kept { id, kind, .. } = alert;
    let [title, text, how] = [&alert.title, &alert.text, how].map(|text| escape::value(text.as_bytes()));
    format!("{id}  {kind}, {state}, raised {raised}{times}\n    {title}\n    {text}\n    {what}: {how}")
}

async fn test(settings: &Settings, is_json: bool) -> anyhow::Result<ExitCode> {
    let channels = Channels::from_settings(settings)?;
    if channels.names().is_empty() {
        return Err(fault::config(
            "no channel is configured; write [notify.webhook] or [notify.mail] in bursar.toml, and set \
             BURSAR_WEBHOOK_URL or BURSAR_SMTP_URL",
        ));
    }
    let tested = channels.test(Clock::system().now()).await;
    if is_json {
        let each = |(channel, result): &(&str, anyhow::Result<()>)| {
            let error = result.as_ref().err();
            json!({
                "channel": channel,
                "sent": error.is_none(),
                "fault": error.map(fault::judge),
                "error": error.map(fault::told),
            })
        };
        show::json(&tested.iter().map(each).collect::<Vec<_>>())?;
    }
    for (channel, result) in &tested {
        match result {
            Ok(()) if !is_json => show::line(&format!("{channel}: sent"))?,
            Ok(()) => {}
            Err(error) => eprintln!("error: {channel} ({}): {}", fault::judge(error), fault::told(error)),
        }
    }
    let gravest = tested.iter().filter_map(|(_, result)| Some(fault::judge(result.as_ref().err()?))).max();
    Ok(gravest.map_or(ExitCode::SUCCESS, |fault: Fault| ExitCode::from(fault.exit_code())))
}
