//! One load: a customer's file into its table, in one transaction, proven by its certificate.

use super::certificate::Certificate;
use super::copy::{Copied, CopySink, copy_in, feed};
use super::dataset::Dataset;
use super::ledger;
pub use super::loaded::{Loaded, Stages, State};
use super::reader::{self, Reading};
use super::source::{Places, SourceFile};
use super::spool::{COLUMNS, RejectOrigin, RejectSpool, SpooledBatches};
use super::{inbox, measure, table};
use crate::clock::Stopwatch;
use crate::config::{Customer, Ident, Table};
use crate::db::fence::{Fence, Finish};
use crate::db::interrupt::Backend;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What is to be loaded, and for whom.
#[derive(Clone, Debug)]
pub struct Request {
    /// The kind of file.
    pub dataset: Arc<Dataset>,
    /// Who delivers it.
    pub customer: Arc<Customer>,
    /// The attempt that loads it.
    pub fence: Fence,
    /// The day it is for.
    pub run_date: NaiveDate,
    /// Whether a run date older than the published one may replace the table.
    pub older: Older,
    /// Where files are delivered.
    pub inbox: Places,
    /// Where rejects are spooled.
    pub spool: PathBuf,
    /// What time it is.
    pub now: DateTime<Utc>,
    /// How long to wait for other users of the table, in seconds.
    pub lock_timeout_s: u64,
}

/// What to do with a run date older than the one whose rows readers see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Older {
    /// Measure it beside the table; the table stays.
    #[default]
    Measure,
    /// Put it in place of the newer rows.
    Publish,
}

/// Told how many bytes of how many were read.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Loads a file. Whatever fails, the table and the ledger are as before.
///
/// # Errors
/// A data fault for the file, configuration for the table, transient for the connection and for `cancel`.
pub async fn load(
    pool: &PgPool,
    request: &Request,
    finish: &dyn Finish<Loaded>,
    progress: Progress,
    cancel: &CancellationToken,
) -> anyhow::Result<Loaded> {
    let stopwatch = Stopwatch::start();
    let file = inbox::find(&request.inbox, &request.dataset, &request.customer, request.run_date, request.now).await?;
    let source = request.inbox.open(&file, cancel).await?;
    let mut connection = pool.acquire().await.context("take a connection for the load")?;
    let mut transaction = connection.begin().await.context("begin the load's transaction")?;
    let mut loading = Loading {
        request,
        table: request.dataset.table_of(&request.customer)?,
        path: file.path,
        load_id: 0,
        stopwatch,
    };
    let backend = Backend::of(&mut transaction).await?;
    let running = loading.run(&mut transaction, source, finish, progress, cancel);
    let loaded = match backend.until_cancelled(pool, cancel, running).await {
        Err(_) if cancel.is_cancelled() => {
            drop(transaction);
            // A word to break off may still be on its way to this server process: nobody else may get it.
            connection.close_on_drop();
            return Err(cancelled(&loading.table));
        }
        loaded => loaded?,
    };
    transaction.commit().await.context("commit the load")?;
    Ok(loaded)
}

struct Loading<'a> {
    request: &'a Request,
    table: Table,
    path: PathBuf,
    load_id: i64,
    stopwatch: Stopwatch,
}

/// Where the rows go, and why not to the table.
struct Target {
    table: Table,
    state: State,
    reasons: Vec<String>,
}

impl Loading<'_> {
    async fn run(
        &mut self,
        connection: &mut PgConnection,
        source: SourceFile,
        finish: &dyn Finish<Loaded>,
        progress: Progress,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Loaded> {
        self.request.fence.hold(connection).await?;
        self.lock(connection).await?;
        self.load_id = ledger::next_id(connection).await?;
        table::check_columns(connection, &self.table, &self.request.dataset.columns).await?;
        let (dataset, customer) = (self.request.dataset.name.as_str(), self.request.customer.name.as_str());
        let published = ledger::published_date(connection, dataset, customer, &self.table).await?;
        let rows_before = ledger::rows_before(connection, dataset, customer, self.request.run_date).await?;
        let mut target = self.target(published)?;
        execute(connection, "savepoint before_rows".to_owned()).await?;
        self.empty(connection, &target).await?;
        let before_rows_ms = self.stopwatch.elapsed_ms();
        let (reading, rejects, copied_rows) = self.copy_rows(connection, &target, source, progress, cancel).await?;
        let rows_ms = self.stopwatch.elapsed_ms();
        let measures = measure::take(connection, &target.table, &self.request.dataset.measures).await?;
        let measures_ms = self.stopwatch.elapsed_ms();
        self.pass_gates(connection, &mut target, &reading, rows_before).await?;
        let mut certificate = Certificate {
            bytes: reading.identity.bytes,
            unpacked_bytes: reading.unpacked_bytes,
            sha256: reading.identity.sha256.clone(),
            tally: reading.tally.clone(),
            copied_rows: Some(copied_rows),
            copied_rejects: None,
        };
        certificate.copied_rejects = Some(match reading.tally.rejected {
            0 => 0,
            _ => copy_rejects(connection, rejects, cancel).await?,
        });
        let rejects_ms = self.stopwatch.elapsed_ms();
        certificate.check()?;
        self.enter(connection, &target, &reading, &certificate, &measures).await?;
        let stages = Stages {
            rows_ms: rows_ms - before_rows_ms,
            measures_ms: measures_ms - rows_ms,
            rejects_ms: rejects_ms - measures_ms,
        };
        let loaded = self.loaded(target, reading.identity.modified_at, certificate, measures, stages);
        finish.finish(connection, &loaded).await?;
        Ok(loaded)
    }

    /// One load of a table at a time, whoever asks for it; readers are not kept out by this lock.
    async fn lock(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let seconds = self.request.lock_timeout_s;
        execute(connection, format!("set local lock_timeout = '{seconds}s'")).await?;
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("bursar load {}", self.table))
            .execute(connection)
            .await
            .map_err(|error| self.waited(error, "being loaded by somebody else"))?;
        Ok(())
    }

    /// What it means that a lock was not to be had in time (SQLSTATE 55P03).
    fn waited(&self, error: sqlx::Error, why: &str) -> anyhow::Error {
        let timed_out = error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55P03"));
        if timed_out {
            let seconds = self.request.lock_timeout_s;
            let waited = format!("{} was {why} for {seconds} s (database.lock_timeout_s)", self.table);
            return fault::transient(format!("{waited}; nothing was changed, try again"));
        }
        anyhow::Error::new(error).context(format!("lock {}", self.table))
    }

    fn target(&self, published: Option<NaiveDate>) -> anyhow::Result<Target> {
        let newer = published.filter(|date| *date > self.request.run_date && self.request.older == Older::Measure);
        let Some(date) = newer else {
            return Ok(Target { table: self.table.clone(), state: State::Published, reasons: Vec::new() });
        };
        let table = Table { schema: Ident::parse("pg_temp")?, name: Ident::parse("bursar_measured")? };
        let reason =
            format!("the table holds the rows of {date}, which is newer; --publish puts this date in their place");
        Ok(Target { table, state: State::Measured, reasons: vec![reason] })
    }

    async fn empty(&self, connection: &mut PgConnection, target: &Target) -> anyhow::Result<()> {
        if target.state == State::Published {
            let truncate = AssertSqlSafe(format!("truncate {}", target.table.quoted()));
            let truncated = sqlx::raw_sql(truncate).execute(connection).await;
            return truncated.map(drop).map_err(|error| self.waited(error, "in use by others"));
        }
        let statement = format!(
            "create temporary table {} (like {}) on commit drop",
            target.table.name.quoted(),
            self.table.quoted()
        );
        execute(connection, statement).await
    }

    async fn copy_rows(
        &self,
        connection: &mut PgConnection,
        target: &Target,
        source: SourceFile,
        progress: Progress,
        cancel: &CancellationToken,
    ) -> anyhow::Result<(Reading, SpooledBatches, u64)> {
        let origin = RejectOrigin { load_id: self.load_id, file: file_name(&self.path), table: self.table.to_string() };
        std::fs::create_dir_all(&self.request.spool).map_err(|error| {
            fault::config(format!("can't make the spool's folder {}: {error}", self.request.spool.display()))
        })?;
        let spool = RejectSpool::new(origin, &self.request.spool);
        let (sender, receiver) = mpsc::channel(4);
        let dataset = Arc::clone(&self.request.dataset);
        let reading = tokio::task::spawn_blocking(move || {
            let size = source.size();
            let mut sink = CopySink::new(sender, spool);
            let reading = reader::read(source, &dataset, &mut sink, &|read| progress(read, size))?;
            Ok::<_, anyhow::Error>((reading, sink.finish()?))
        });
        let statement = table::copy_statement(&target.table.quoted(), &self.request.dataset.columns);
        let copied = copy_in(connection, &statement, receiver, cancel)
            .await
            .with_context(|| format!("copy the rows of {} into {}", self.path.display(), self.table))?;
        if let Copied::Cancelled = copied {
            // Without waiting for the reading thread: its disk may hang.
            return Err(cancelled(&self.table));
        }
        let read = reading.await.context("the reading thread broke off")?;
        match copied {
            Copied::All(count) => read.map(|(reading, rejects)| (reading, rejects, count)),
            _ => Err(read.err().unwrap_or_else(|| fault::bug("the rows ended without a reason"))),
        }
    }

    async fn pass_gates(
        &self,
        connection: &mut PgConnection,
        target: &mut Target,
        reading: &Reading,
        rows_before: Option<u64>,
    ) -> anyhow::Result<()> {
        let gate = &self.request.dataset.gate;
        let mut reasons = gate.reasons_to_hold(&reading.tally, rows_before);
        if !gate.allow_duplicate {
            reasons.extend(self.duplicate(connection, &reading.identity.sha256).await?);
        }
        if reasons.is_empty() {
            return Ok(());
        }
        target.state = State::Held;
        target.reasons = reasons;
        execute(connection, "rollback to savepoint before_rows".to_owned()).await
    }

    async fn duplicate(&self, connection: &mut PgConnection, sha256: &str) -> anyhow::Result<Option<String>> {
        let (dataset, customer) = (self.request.dataset.name.as_str(), self.request.customer.name.as_str());
        let earlier = ledger::same_bytes_before(connection, dataset, customer, self.request.run_date, sha256).await?;
        Ok(earlier.map(|(load, date)| {
            format!("its bytes are those of load {load} of {date} (gate.allow_duplicate is false)")
        }))
    }

    async fn enter(
        &self,
        connection: &mut PgConnection,
        target: &Target,
        reading: &Reading,
        certificate: &Certificate,
        measures: &Value,
    ) -> anyhow::Result<()> {
        let entry = ledger::Entry {
            id: self.load_id,
            run_id: self.request.fence.run,
            dataset: self.request.dataset.name.as_str(),
            customer: self.request.customer.name.as_str(),
            run_date: self.request.run_date,
            table: &self.table,
            state: target.state,
            reasons: &target.reasons,
            file_path: &self.path.to_string_lossy(),
            file_name: &file_name(&self.path),
            file_modified_at: reading.identity.modified_at,
            certificate,
            ignored_columns: &reading.ignored_columns,
            measures,
            elapsed_ms: self.stopwatch.elapsed_ms(),
        };
        ledger::enter(connection, &entry).await
    }

    fn loaded(
        &self,
        target: Target,
        file_modified_at: DateTime<Utc>,
        certificate: Certificate,
        measures: Value,
        stages: Stages,
    ) -> Loaded {
        Loaded {
            load_id: self.load_id,
            dataset: self.request.dataset.name.to_string(),
            customer: self.request.customer.name.to_string(),
            table: self.table.to_string(),
            state: target.state,
            reasons: target.reasons,
            file: self.path.clone(),
            file_modified_at,
            certificate,
            measures,
            stages,
            elapsed_ms: self.stopwatch.elapsed_ms(),
        }
    }
}

async fn copy_rejects(
    connection: &mut PgConnection,
    mut rejects: SpooledBatches,
    cancel: &CancellationToken,
) -> anyhow::Result<u64> {
    let (sender, receiver) = mpsc::channel(4);
    let feeding = tokio::task::spawn_blocking(move || feed(&sender, || rejects.next_batch()));
    let statement = format!("copy bursar.file_invalid_rows ({COLUMNS}) from stdin (format binary)");
    let copied = copy_in(connection, &statement, receiver, cancel).await.context("copy the rejects into quarantine")?;
    let fed = feeding.await.context("the thread that reads the spool broke off")?;
    match copied {
        Copied::All(count) => Ok(count),
        Copied::Cancelled => Err(fault::transient("the load was cancelled; nothing was changed")),
        Copied::SourceFailed => Err(fed.err().unwrap_or_else(|| fault::bug("the rejects ended without a reason"))),
    }
}

fn cancelled(table: &Table) -> anyhow::Error {
    fault::transient(format!("the load of {table} was cancelled; nothing was changed"))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

async fn execute(connection: &mut PgConnection, statement: String) -> anyhow::Result<()> {
    let shown = statement.clone();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.with_context(|| shown)?;
    Ok(())
}
