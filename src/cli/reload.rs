//! `bursar reload`: every daemon reads its configuration again, and says whether it took it.

use super::{Context, runs, show};
use crate::catalog::Catalog;
use crate::clock::Stopwatch;
use crate::config::short_hash;
use crate::engine::configurations::differences;
use crate::engine::list::{WorkerRow, list_workers, request_reload};
use crate::engine::stranded::differing;
use crate::fault::Fault;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use std::process::ExitCode;
use std::time::Duration;

/// How long the daemons' answers are waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// So many workers that have gone are looked at: one may be a daemon that stopped meanwhile.
const OTHERS: i64 = 100;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let settings = context.settings()?;
    // What is wrong here is wrong for them too: nobody is asked.
    let catalog = crate::app::compile(&settings)?;
    let database = runs::open(&settings).await?;
    let reloaded = async {
        let Some((requested_at, daemons)) = ask(&database.pool).await? else {
            show::line(&"no daemon is up; one that starts reads the configuration anyway")?;
            return Ok(ExitCode::SUCCESS);
        };
        let mut gravest = None;
        for daemon in &daemons {
            let (said, fault) = said(&database.pool, daemon, requested_at, &catalog).await?;
            gravest = gravest.max(fault);
            show::line(&format!("{} {}: {said}", daemon.host, daemon.pid))?;
        }
        // The code is that of the gravest answer.
        Ok(gravest.map_or(ExitCode::SUCCESS, |fault| ExitCode::from(fault.exit_code())))
    };
    let reloaded = reloaded.await;
    database.close().await?;
    reloaded
}

/// What a daemon's answer is told as, and the class of its fault.
async fn said(
    pool: &PgPool,
    daemon: &WorkerRow,
    requested_at: DateTime<Utc>,
    catalog: &Catalog,
) -> anyhow::Result<(String, Option<Fault>)> {
    Ok(match answer(daemon, requested_at) {
        Answer::Taken if daemon.config_hash == catalog.hash => ("ok".to_owned(), None),
        Answer::Taken => {
            let parts = differences(pool, &daemon.config_hash, &catalog.fingerprint).await?;
            let (theirs, ours) = (short_hash(&daemon.config_hash), short_hash(&catalog.hash));
            let hint = if parts.iter().any(|part| part == "settings") {
                "; settings in bursar.toml and the environment are read when a daemon is started: restart it"
            } else {
                "; are its files the same?"
            };
            let differing = differing(&parts);
            (
                format!("took a configuration ({theirs}) that is not this one ({ours}){differing}{hint}"),
                Some(Fault::Config),
            )
        }
        Answer::Kept(error) => (format!("kept the configuration it had: {error}"), Some(Fault::Config)),
        Answer::Stopped => ("has stopped meanwhile".to_owned(), None),
        Answer::None => (format!("did not answer within {} s", PATIENCE.as_secs()), Some(Fault::Transient)),
    })
}

/// The instant of the request, and the daemons with their answers as far as they came in time.
async fn ask(pool: &PgPool) -> anyhow::Result<Option<(DateTime<Utc>, Vec<WorkerRow>)>> {
    let up = list_workers(pool, 0).await?;
    let ids: Vec<String> = up.into_iter().filter(|w| w.role == "serve").map(|w| w.id).collect();
    if ids.is_empty() {
        return Ok(None);
    }
    let requested_at = request_reload(pool, &ids).await?;
    let waiting = Stopwatch::start();
    loop {
        let workers = list_workers(pool, OTHERS).await?;
        let daemons: Vec<WorkerRow> = workers.into_iter().filter(|w| ids.contains(&w.id)).collect();
        let is_settled = |daemon: &WorkerRow| !matches!(answer(daemon, requested_at), Answer::None);
        if daemons.iter().all(is_settled) || waiting.elapsed() > PATIENCE {
            return Ok(Some((requested_at, daemons)));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

enum Answer<'a> {
    /// The configuration is in force.
    Taken,
    /// It kept the one it had, for this reason.
    Kept(&'a str),
    /// It has stopped: its successor reads the configuration when it starts.
    Stopped,
    /// It has not answered.
    None,
}

fn answer(daemon: &WorkerRow, requested_at: DateTime<Utc>) -> Answer<'_> {
    match &daemon.config_error {
        _ if daemon.config_loaded_at <= requested_at && daemon.stopped_at.is_some() => Answer::Stopped,
        _ if daemon.config_loaded_at <= requested_at => Answer::None,
        Some(error) => Answer::Kept(error),
        None => Answer::Taken,
    }
}
