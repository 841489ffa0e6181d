//! `bursar rejects redrive`

use super::super::{show, signals, usage};
use super::{operator, short};
use crate::catalog::Deliverer;
use crate::config::Settings;
use crate::escape;
use crate::fault;
use crate::rows::quarantine::{Filter, Met};
use crate::rows::redrive::{Redriven, Rehearsal, Request, redrive};
use anyhow::Context;
use chrono::NaiveDate;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::NamedTempFile;

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    /// The corrected export; `-` for stdin.
    file: PathBuf,
    /// The load whose rejects they are.
    #[arg(long, value_name = "ID", conflicts_with_all = ["dataset", "customer", "date"], required_unless_present_all = ["dataset", "customer", "date"])]
    load: Option<i64>,
    /// The load that counts for this dataset …
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// … this customer …
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// … and this run date, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    date: Option<NaiveDate>,
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_token()?;
    let catalog = crate::app::compile(settings)?;
    let spool = settings.file.paths.data.join("spool");
    let from_stdin = if arguments.file == Path::new("-") { Some(read_stdin(&spool)?) } else { None };
    let request = Request {
        file: from_stdin.as_ref().map_or_else(|| arguments.file.clone(), |file| file.path().to_owned()),
        name: arguments.file.display().to_string(),
        filter: Filter {
            load: arguments.load,
            dataset: arguments.dataset.clone(),
            customer: arguments.customer.clone(),
            from: arguments.date,
            to: arguments.date,
            ..Filter::default()
        },
        by: operator(),
        rehearsal: if arguments.dry_run { Rehearsal::Yes } else { Rehearsal::No },
        spool,
        lock_timeout_s: settings.file.database.lock_timeout_s,
    };
    let database = signals::unless_stopped(&stop, Box::pin(super::open(settings))).await?;
    let known = |met: &Met| {
        let Deliverer { dataset, customer } = catalog.deliverer(catalog.dataset(&met.dataset)?, &met.customer)?;
        Ok((dataset, customer))
    };
    let redriven = redrive(&database.pool, &request, known, &stop).await;
    database.close().await?;
    let redriven = redriven?;
    if arguments.json {
        show::json(&redriven)?;
    } else {
        print(&redriven, arguments.dry_run)?;
    }
    let is_done = redriven.still_wrong == 0;
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(fault::Fault::Data.exit_code()) })
}

/// A file is read twice at most and looked at after: stdin is kept in one for as long.
fn read_stdin(folder: &Path) -> anyhow::Result<NamedTempFile> {
    let kept = std::fs::create_dir_all(folder).and_then(|()| NamedTempFile::with_prefix_in("redrive-", folder));
    let mut kept = kept.map_err(|error| fault::config(format!("can't write below {}: {error}", folder.display())))?;
    let bytes = std::io::copy(&mut std::io::stdin().lock(), kept.as_file_mut()).context("read stdin")?;
    if bytes == 0 { Err(usage("stdin is empty; a corrected export was expected".to_owned())) } else { Ok(kept) }
}

fn print(redriven: &Redriven, is_rehearsal: bool) -> anyhow::Result<()> {
    if !redriven.wrong.is_empty() {
        let mut table = show::table(&["reject", "line", "errors", "first of them"], &[0, 1]);
        for wrong in &redriven.wrong {
            table.add_row([
                wrong.reject_id.as_deref().map_or_else(|| "-".to_owned(), escape::line),
                wrong.line.map_or_else(|| "-".to_owned(), |line| line.to_string()),
                short(&wrong.errors),
                escape::line(wrong.errors[0]["message"].as_str().unwrap_or_default()),
            ]);
        }
        show::line(&table)?;
    }
    let Redriven { loaded, still_wrong, resolved_before, discarded_before, open, redrive_of, .. } = redriven;
    let how = redriven.merged.map_or_else(
        || "added to".to_owned(),
        |m| format!("merged ({} inserted, {} updated, {} unchanged) into", m.inserted, m.updated, m.unchanged),
    );
    let done = match (redriven.load_id, is_rehearsal) {
        (Some(id), _) => format!("load {id}: {loaded} rows {how} {}", redriven.table),
        (None, true) => format!("{loaded} rows would be {how} {}; nothing was changed", redriven.table),
        (None, false) => "no row was added".to_owned(),
    };
    show::line(&format!(
        "{done}; {still_wrong} still wrong, {resolved_before} resolved before, {discarded_before} discarded before; \
         load {redrive_of} has {open} open rejects"
    ))?;
    if redriven.merged.is_some() && *loaded > 0 {
        show::line(&"the measures stay those of the load: which rows of a merged table are its own is not known")?;
    }
    Ok(())
}
