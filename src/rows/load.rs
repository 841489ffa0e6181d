//! One load: a customer's file into its table, in one transaction, proven by its certificate.

use super::archive::{self, Archived, Processed};
use super::certificate::Certificate;
use super::control::{Of, Stated};
use super::dataset::Dataset;
use super::known::{self, Candidate, Repeat, Verdict};
use super::ledger;
pub use super::loaded::{LoadOutcome, Loaded, Older, Stages, State};
use super::opening::{Facts, Held};
use super::parts::{self, Assembled};
use super::place::Place;
use super::publish::Publication;
use super::refused::Refused;
use super::source::{Located, Places, SourceFile};
use super::spool::{QUARANTINE, RejectSpool};
pub use super::streams::Progress;
use super::streams::{Copy, FileReading, find_superseded};
use super::unique::{Superseded, look};
use super::{inbox, measure, staged};
use crate::clock::Stopwatch;
use crate::config::{Customer, Table};
use crate::db::fence::{Fence, Finish};
use crate::escape;
use crate::fault::{self, Fault};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection, PgPool};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// What is to be loaded, and for whom.
#[derive(Clone, Debug)]
pub struct Request {
    /// The kind of file.
    pub dataset: Arc<Dataset>,
    /// Who delivers it.
    pub customer: Arc<Customer>,
    /// All who deliver it: the consolidated view is over their tables.
    pub customers: Vec<Arc<Customer>>,
    /// The attempt that loads it.
    pub fence: Fence,
    /// The day it is for.
    pub run_date: NaiveDate,
    /// Whether a run date older than the published one may replace the table.
    pub older: Older,
    /// Whether a file is loaded again of which nothing has changed.
    pub repeat: Repeat,
    /// Where files are delivered.
    pub inbox: Places,
    /// Where rejects are spooled.
    pub spool: PathBuf,
    /// What time it is.
    pub now: DateTime<Utc>,
    /// How long to wait for other users of the table, in seconds.
    pub lock_timeout_s: u64,
}

/// Loads a file. Whatever fails, the table and the ledger are as before.
///
/// # Errors
/// A data fault if there is no file to load, configuration for the table, transient for the connection and for `cancel`.
pub async fn load(
    pool: &PgPool,
    request: &Request,
    finish: &dyn Finish<Loaded>,
    progress: Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<LoadOutcome> {
    let stopwatch = Stopwatch::start();
    let parts = match &request.dataset.parts {
        Some(_) => Some(parts::assemble(request, cancel).await?),
        None => None,
    };
    let (file, name, is_archived) = match &parts {
        Some(parts) => (parts.located(), file_name(&parts.shown), false),
        None => find(pool, request).await?,
    };
    let table = request.dataset.table_of(&request.customer)?;
    let mut loading = Loading {
        pool,
        request,
        table,
        path: parts.as_ref().map_or_else(|| file.path.clone(), |parts| parts.shown.clone()),
        file,
        name,
        is_archived,
        parts,
        stated: None,
        load_id: 0,
        shape: Arc::clone(&request.dataset),
        opened: None,
        superseded: Arc::default(),
        stopwatch,
        progress,
        cancel,
    };
    match load_file(&mut loading, finish).await {
        Ok(loaded) => Ok(LoadOutcome::Loaded(Box::new(loaded))),
        Err(error) if fault::judge(&error) != Fault::Data => Err(error),
        Err(error) => Ok(LoadOutcome::Refused(Refused::identify(&loading, error).await)),
    }
}

async fn load_file(loading: &mut Loading<'_>, finish: &dyn Finish<Loaded>) -> anyhow::Result<Loaded> {
    let Loading { pool, request, cancel, .. } = *loading;
    let source = request.inbox.open(&loading.file, cancel).await?;
    loading.opened = Some((source.size(), source.modified_at()));
    let mut connection = pool.acquire().await.context("take a connection for the load")?;
    let mut transaction = connection.begin().await.context("begin the load's transaction")?;
    let held = Held::take(&mut transaction, request, &loading.table).await?;
    let open = request.fence.open_transaction();
    let running = Box::pin(loading.run(&mut transaction, held, source, finish));
    let loaded = match held.backend().until_cancelled(pool, cancel, running).await {
        Err(_) if cancel.is_cancelled() => {
            drop(transaction);
            // A word to break off may still be on its way to this server process: nobody else may get it.
            connection.close_on_drop();
            let table = &loading.table;
            return Err(fault::transient(format!("the load of {table} was cancelled; nothing was changed")));
        }
        Err(error) => {
            // The transaction may have read what is to be dropped.
            if transaction.rollback().await.is_ok() {
                staged::clear(pool, loading.load_id).await;
            }
            return Err(error);
        }
        Ok(loaded) => loaded,
    };
    transaction.commit().await.context("commit the load")?;
    drop(open);
    archive::settle_or_tell(pool, request, loaded.load_id).await;
    Ok(loaded)
}

/// The file that is to be loaded, the name it was delivered with, and whether it lies in the archive.
async fn find(pool: &PgPool, request: &Request) -> anyhow::Result<(Located, String, bool)> {
    let Request { inbox, dataset, customer, run_date, now, .. } = request;
    if dataset.processed != Processed::Leave {
        archive::catch_up(pool, inbox.inbox(), Some((dataset, customer)))
            .await?
            .iter()
            .for_each(|problem| warn!("{}", fault::told(problem)));
    }
    if let Some(archived) = archive::find(pool, inbox, (dataset, customer), *run_date, *now).await? {
        let Archived { path, name, load } = archived;
        info!(
            "{} of {customer} for {run_date} is read from the archive, where load {load} left it: {}",
            dataset.name,
            escape::path(&path),
            customer = customer.name
        );
        return Ok((Located::in_folder(path), name, true));
    }
    let file = inbox::find(inbox, dataset, customer, *run_date, *now).await?;
    let name = file_name(&file.path);
    Ok((file, name, false))
}

pub(super) struct Loading<'a> {
    pub(super) pool: &'a PgPool,
    pub(super) request: &'a Request,
    pub(super) table: Table,
    pub(super) path: PathBuf,
    pub(super) file: Located,
    /// The name it was delivered with.
    pub(super) name: String,
    /// Whether it lies in the archive already.
    pub(super) is_archived: bool,
    /// What the file was put together from, where it was delivered in parts.
    parts: Option<Assembled>,
    /// What control totals state, where they are not the file's own trailer lines.
    pub(super) stated: Option<Stated>,
    pub(super) load_id: i64,
    /// The dataset by which the file is read: it knows the indexes of the table.
    shape: Arc<Dataset>,
    /// The file's size (0 if unknown) and time when it was opened.
    pub(super) opened: Option<(u64, DateTime<Utc>)>,
    /// The rows that a later one of the same key supersedes, where the dataset keeps the last.
    superseded: Arc<Superseded>,
    stopwatch: Stopwatch,
    progress: Progress,
    pub(super) cancel: &'a CancellationToken,
}

impl Loading<'_> {
    async fn run(
        &mut self,
        connection: &mut PgConnection,
        held: Held,
        source: SourceFile,
        finish: &dyn Finish<Loaded>,
    ) -> anyhow::Result<Loaded> {
        self.load_id = held.number(connection, &self.table, self.request.lock_timeout_s).await?;
        let facts = Facts::find(connection, self.request, &self.table).await?;
        self.shape = facts.with_indexes(&self.request.dataset);
        let mut place = Place::choose(self, connection, &facts, source.size()).await?;
        self.stated = self.read_control().await?;
        if facts.is_repeated {
            let tables = place.seen(&self.table);
            let candidate = Candidate { loading: self, size: source.size(), target: place.state, tables };
            if let Some(unchanged) = candidate.unchanged(connection).await? {
                let (kept, modified_at) = ((unchanged.load_id, unchanged.state), unchanged.file_modified_at);
                archive::enter(self, connection, kept, modified_at).await?;
                finish.finish(connection, &unchanged).await?;
                return Ok(unchanged);
            }
        }
        let source = self.look_for_superseded(source).await?;
        self.through(connection, source, &mut place, &facts, finish).await
    }

    /// Looks through the file for rows that a later one supersedes, where the dataset keeps the last of a key, before
    /// anything is locked or copied; gives the file to be read.
    async fn look_for_superseded(&mut self, source: SourceFile) -> anyhow::Result<SourceFile> {
        if !look::is_needed(&self.shape) {
            return Ok(source);
        }
        self.superseded = find_superseded(source, &self.shape, self.cancel).await?;
        self.request.inbox.open(&self.file, self.cancel).await
    }

    async fn through(
        &self,
        connection: &mut PgConnection,
        source: SourceFile,
        place: &mut Place,
        facts: &Facts,
        finish: &dyn Finish<Loaded>,
    ) -> anyhow::Result<Loaded> {
        place.open(self, connection).await?;
        let before_rows_ms = self.stopwatch.elapsed_ms();
        let Copy { reading, rows, rejects, measures } = place
            .copy(self, connection, source)
            .await
            .with_context(|| format!("copy the rows of {} into {}", escape::path(&self.path), self.table))?;
        let rows_ms = self.stopwatch.elapsed_ms();
        debug!("the measures of {} were taken as its rows passed: {}", self.table, measures.is_some());
        let measures = match measures {
            Some(measures) => measures,
            None => measure::take(connection, &place.tables, &self.request.dataset).await?,
        };
        let measures_ms = self.stopwatch.elapsed_ms();
        let mut verdict = known::judge(self, connection, &reading, &measures).await?;
        verdict.warnings.extend_from_slice(&reading.notes);
        let mut reasons = self.request.dataset.gate.reasons_to_hold(&reading.tally, facts.rows_before());
        reasons.append(&mut verdict.reasons);
        if !reasons.is_empty() {
            place.hold(self, connection, &reading, reasons).await?;
        }
        let mut certificate = reading.certificate(Some(rows), Some(0));
        if reading.tally.rejected > 0 {
            reading.layout.keep(connection, self.load_id).await?;
        }
        let quarantined = rejects.copy_into(connection, QUARANTINE, self.cancel).await?;
        certificate.copied_rejects = Some(quarantined);
        certificate.parts = self.parts.as_ref().map(|parts| parts.account.clone());
        let rejects_ms = self.stopwatch.elapsed_ms();
        certificate.check()?;
        let stages = Stages {
            rows_ms: rows_ms - before_rows_ms,
            measures_ms: measures_ms - rows_ms,
            rejects_ms: rejects_ms - measures_ms,
        };
        if facts.is_repeated {
            let Request { dataset, customer, run_date, .. } = self.request;
            let of = (dataset.name.as_str(), customer.name.as_str(), *run_date);
            ledger::make_way(connection, of, self.load_id, place.state).await?;
        }
        place.publish(self, connection).await?;
        let misdelivery_of = verdict.misdelivery_of;
        let mut loaded = self.loaded(place, reading.identity.modified_at, certificate, measures, stages, verdict);
        finish.finish(connection, &loaded).await?;
        let Publication { lock_waited_ms, lock_held_ms, .. } = &mut loaded.publication;
        (*lock_waited_ms, *lock_held_ms) = place.lock_ms().unzip();
        self.enter(connection, &loaded, &reading.ignored_columns, misdelivery_of).await?;
        archive::enter(self, connection, (loaded.load_id, loaded.state), loaded.file_modified_at).await?;
        Ok(loaded)
    }

    /// Reads the file again: the same bytes come to the same rows.
    pub(super) async fn read_again(&self, bytes: u64) -> anyhow::Result<FileReading> {
        let source = self.request.inbox.open(&self.file, self.cancel).await?;
        if source.size() != bytes {
            return Err(fault::transient(format!("{} changed while it was read; run again", escape::path(&self.path))));
        }
        self.read(source, false)
    }

    /// Begins to read the file for one connection, over which its rejects follow its rows; says whether measures are taken.
    pub(super) fn read(&self, source: SourceFile, measuring: bool) -> anyhow::Result<FileReading> {
        std::fs::create_dir_all(&self.request.spool).map_err(|error| {
            fault::config(format!("can't make the spool's folder {}: {error}", escape::path(&self.request.spool)))
        })?;
        Ok(self.read_into(source, RejectSpool::new(self.load_id, &self.request.spool), (1, measuring)))
    }

    /// Begins to read the file for so many connections; says whether measures are taken.
    pub(super) fn read_into(
        &self,
        source: SourceFile,
        rejects: RejectSpool,
        (streams, measuring): (usize, bool),
    ) -> FileReading {
        FileReading::start(
            source,
            &self.shape,
            &self.superseded,
            rejects,
            (streams, self.request.dataset.passing.clone().filter(|_| measuring)),
            Arc::clone(&self.progress),
        )
    }

    /// Reads the sidecar or the manifest, where the dataset's control totals stand there.
    async fn read_control(&self) -> anyhow::Result<Option<Stated>> {
        let request = self.request;
        let Some(control) = request.dataset.control.clone() else { return Ok(None) };
        let (inbox, path, customer) =
            (request.inbox.inbox().to_owned(), self.path.clone(), Arc::clone(&request.customer));
        let (run_date, name, is_in_place) = (request.run_date, self.name.clone(), !self.is_archived);
        let reading = tokio::task::spawn_blocking(move || {
            control.read(&Of { inbox: &inbox, path: &path, name: &name, is_in_place, customer: &customer, run_date })
        });
        reading.await.context("the thread that reads control totals broke off")?
    }

    async fn enter(
        &self,
        connection: &mut PgConnection,
        loaded: &Loaded,
        ignored_columns: &[String],
        misdelivery_of: Option<i64>,
    ) -> anyhow::Result<()> {
        let entry = ledger::Entry {
            id: loaded.load_id,
            run_id: self.request.fence.run,
            dataset: &loaded.dataset,
            customer: &loaded.customer,
            run_date: self.request.run_date,
            table: &self.table,
            state: loaded.state,
            reasons: &loaded.reasons,
            file_path: &self.path.to_string_lossy(),
            file_name: &self.name,
            file_modified_at: loaded.file_modified_at,
            certificate: &loaded.certificate,
            ignored_columns,
            measures: &loaded.measures,
            elapsed_ms: self.stopwatch.elapsed_ms(),
            publication: &loaded.publication,
            definition: &self.request.dataset.definition,
            misdelivery_of,
            warnings: &loaded.warnings,
            control: loaded.control.as_ref(),
        };
        ledger::enter(connection, &entry).await
    }

    fn loaded(
        &self,
        place: &Place,
        file_modified_at: DateTime<Utc>,
        certificate: Certificate,
        measures: Value,
        stages: Stages,
        verdict: Verdict,
    ) -> Loaded {
        Loaded {
            load_id: self.load_id,
            dataset: self.request.dataset.name.to_string(),
            customer: self.request.customer.name.to_string(),
            table: self.table.to_string(),
            state: place.state,
            reasons: place.reasons.clone(),
            publication: place.publication.clone(),
            warnings: verdict.warnings,
            control: verdict.control,
            file: self.path.clone(),
            file_modified_at,
            certificate,
            measures,
            earlier: verdict.earlier,
            stages,
            elapsed_ms: self.stopwatch.elapsed_ms(),
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
