//! From the file to the server: one thread reads, checks and encodes, one or several connections copy.
//!
//! The server's process is the limit of a load, and a second one helps where there is a core for it. Whole rows go to
//! whatever connection is ready for them, so the file itself is read once, from its beginning to its end.

use super::copy::{Batch, Copied, CopySink, copy_in, feed};
use super::dataset::Dataset;
use super::measure::Passing;
use super::publish::twin;
use super::reader::{self, Reading};
use super::source::SourceFile;
use super::spool::{COLUMNS, QUARANTINE, RejectSpool, Spooled, SpooledBatches};
use super::unique::{Superseded, look};
use super::{statement, table};
use crate::config::Table;
use crate::db::fence::Fence;
use crate::db::room::MIN_FOR_STREAMS;
use crate::fault;
use anyhow::Context;
use futures_util::future::join_all;
use serde_json::Value;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Told how many bytes of how many were read.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Batches that may wait for a connection.
const WAITING: usize = 16;
/// How long a connection more is waited for.
const MORE: Duration = Duration::from_millis(200);

/// A file that is being read in a thread of its own.
pub struct FileReading {
    dataset: Arc<Dataset>,
    batches: Vec<Receiver<Batch>>,
    thread: JoinHandle<anyhow::Result<(Reading, Spooled, Option<Value>)>>,
}

/// A file whose good rows the server took.
pub struct Copy {
    /// What the file came to.
    pub reading: Reading,
    /// Rows, by the server's count.
    pub rows: u64,
    /// Its rejects.
    pub rejects: Rejects,
    /// Its measures, where they were taken as rows passed.
    pub measures: Option<Value>,
}

/// Rejects on their way into quarantine.
pub enum Rejects {
    /// There are none.
    None,
    /// They are to be copied yet.
    Waiting(SpooledBatches),
    /// They are there; so many, by the server's count.
    Copied(u64),
}

impl Rejects {
    /// Copies those that wait into `table`, which has the columns of the quarantine; returns how many there are, by the
    /// server's count.
    ///
    /// # Errors
    /// What the spool or the server says; a transient fault for `cancel`.
    pub async fn copy_into(
        self,
        connection: &mut PgConnection,
        table: &str,
        cancel: &CancellationToken,
    ) -> anyhow::Result<u64> {
        let mut waiting = match self {
            Self::Copied(count) => return Ok(count),
            Self::None => return Ok(0),
            Self::Waiting(waiting) => waiting,
        };
        let (sender, receiver) = mpsc::channel(WAITING);
        let feeding = tokio::task::spawn_blocking(move || feed(&sender, || waiting.next_batch()));
        let copied = copy_in(connection, &reject_statement(table), receiver, cancel).await;
        let fed = feeding.await.context("the thread that reads the spool broke off")?;
        match copied.context("copy the rejects into quarantine")? {
            Copied::All(count) => Ok(count),
            Copied::Cancelled => Err(cancelled()),
            Copied::SourceFailed => Err(fed.err().unwrap_or_else(|| fault::bug("the rejects ended without a reason"))),
        }
    }
}

fn reject_statement(table: &str) -> String {
    format!("copy {table} ({COLUMNS}) from stdin (format binary)")
}

/// Finds the rows of a file that a later one supersedes, in a thread of its own.
///
/// # Errors
/// What reading the file says; a transient fault for `cancel`.
pub async fn find_superseded(
    source: SourceFile,
    dataset: &Arc<Dataset>,
    cancel: &CancellationToken,
) -> anyhow::Result<Arc<Superseded>> {
    let (dataset, cancel) = (Arc::clone(dataset), cancel.clone());
    let looking = tokio::task::spawn_blocking(move || look::superseded(source, &dataset, &cancel));
    looking.await.context("the thread that looks for superseded rows broke off")?.map(Arc::new)
}

impl FileReading {
    /// Begins to read; good rows come out of so many streams, and are measured as they pass where `passing` says so.
    #[must_use]
    pub fn start(
        source: SourceFile,
        dataset: &Arc<Dataset>,
        superseded: &Arc<Superseded>,
        rejects: RejectSpool,
        (streams, passing): (usize, Option<Passing>),
        progress: Progress,
    ) -> Self {
        let (senders, batches) = (0..streams).map(|_| mpsc::channel(WAITING)).unzip();
        let (shape, superseded) = (Arc::clone(dataset), Arc::clone(superseded));
        let thread = tokio::task::spawn_blocking(move || {
            let size = source.size();
            let mut sink = CopySink::new(senders, rejects, passing)?;
            let reading = reader::read(source, &shape, &superseded, &mut sink, &|read| progress(read, size))?;
            let (spooled, measures) = sink.finish()?;
            Ok::<_, anyhow::Error>((reading, spooled, measures))
        });
        Self { dataset: Arc::clone(dataset), batches, thread }
    }

    /// Copies all rows into `table` over this connection, whose transaction must have made or emptied it; the rejects
    /// wait.
    ///
    /// # Errors
    /// What the file, the server or `cancel` says.
    pub async fn copy_into(
        mut self,
        connection: &mut PgConnection,
        table: &Table,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Copy> {
        let statement = table::copy_statement(&table.quoted(), &self.dataset.columns);
        let batches = self.batches.pop().ok_or_else(|| fault::bug("a file without a stream"))?;
        let copied = copy_in(connection, &statement, batches, cancel).await;
        let copied = copied.with_context(|| format!("copy rows into {table}"))?;
        if let Copied::Cancelled = copied {
            // Without waiting for the reading thread: its disk may hang.
            return Err(cancelled());
        }
        let (reading, rejects, measures) = self.thread.await.context("the reading thread broke off")??;
        match (copied, rejects) {
            (Copied::All(rows), Spooled::Waiting(rejects)) => {
                let are_none = reading.tally.rejected == 0;
                let rejects = if are_none { Rejects::None } else { Rejects::Waiting(rejects) };
                Ok(Copy { reading, rows, rejects, measures })
            }
            _ => Err(fault::bug("the rows ended without a reason")),
        }
    }

    /// Copies the rows into tables like `table`, each made, filled and committed over a connection of its own, and the
    /// rejects over this one.
    ///
    /// # Errors
    /// As [`Self::copy_into`]; some of the tables may be there then.
    pub async fn copy_beside(
        self,
        connection: &mut PgConnection,
        rejects: Receiver<Batch>,
        beside: Beside<'_>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Copy> {
        let streams = beside.start(&self.dataset, self.batches, cancel);
        let statement = reject_statement(QUARANTINE);
        let (quarantined, copied) = tokio::join!(copy_in(connection, &statement, rejects, cancel), join_all(streams));
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        // What a stream says comes first: the thread that reads only notices that nobody takes its rows any more.
        let copied = copied.into_iter().map(|copied| copied.context("a stream broke off")?);
        let copied = copied.collect::<anyhow::Result<Vec<Option<u64>>>>()?;
        let quarantined = quarantined.context("copy the rejects into quarantine")?;
        let (reading, _, measures) = self.thread.await.context("the reading thread broke off")??;
        match (copied.into_iter().sum(), quarantined) {
            (Some(rows), Copied::All(count)) => Ok(Copy { reading, rows, rejects: Rejects::Copied(count), measures }),
            _ => Err(fault::bug("the rows ended without a reason")),
        }
    }
}

/// A channel for rejects that go over a connection while the file is read.
#[must_use]
pub fn reject_channel() -> (Sender<Batch>, Receiver<Batch>) {
    mpsc::channel(WAITING)
}

/// Connections beside that of the load's transaction, as many as there are to be had and at least one; none if the pool is
/// so small that they would leave nothing to others: the rows go over the transaction's own connection then.
///
/// # Errors
/// A transient fault if no connection is free in time.
pub async fn connections(pool: &PgPool, wanted: usize) -> anyhow::Result<Vec<PoolConnection<Postgres>>> {
    if pool.options().get_max_connections() < MIN_FOR_STREAMS {
        return Ok(Vec::new());
    }
    let mut connections = vec![pool.acquire().await.context("take a connection for the rows")?];
    while connections.len() < wanted {
        // Other loads may have them: this one does with fewer.
        match tokio::time::timeout(MORE, pool.acquire()).await {
            Ok(Ok(connection)) => connections.push(connection),
            _ => break,
        }
    }
    Ok(connections)
}

/// Where rows go beside the load's transaction.
pub struct Beside<'a> {
    /// One for each segment.
    pub connections: Vec<PoolConnection<Postgres>>,
    /// The attempt: whoever takes it over can end these transactions too.
    pub fence: &'a Fence,
    /// The customer's table.
    pub table: &'a Table,
    /// Made like it, each with a part of the rows.
    pub segments: &'a [Table],
}

impl Beside<'_> {
    fn start(
        self,
        dataset: &Dataset,
        batches: Vec<Receiver<Batch>>,
        cancel: &CancellationToken,
    ) -> Vec<JoinHandle<anyhow::Result<Option<u64>>>> {
        let each = self.connections.into_iter().zip(self.segments).zip(batches);
        let start = |((connection, segment), batches): ((_, &Table), _)| {
            let statement = table::copy_statement(&segment.quoted(), &dataset.columns);
            let (fence, table, segment) = (self.fence.clone(), self.table.clone(), segment.clone());
            let stream = Stream { connection, fence, table, segment, statement };
            tokio::spawn(stream.copy(batches, cancel.clone()))
        };
        each.map(start).collect()
    }
}

/// One connection beside that of the load's transaction.
struct Stream {
    connection: PoolConnection<Postgres>,
    fence: Fence,
    table: Table,
    segment: Table,
    statement: String,
}

impl Stream {
    /// How many rows the server took; none where the rows broke off.
    async fn copy(mut self, batches: Receiver<Batch>, cancel: CancellationToken) -> anyhow::Result<Option<u64>> {
        let context = || format!("copy rows of {}", self.table);
        let mut transaction = self.connection.begin().await.with_context(context)?;
        self.fence.hold(&mut transaction).await?;
        // The load's own commit, which comes later, brings the log to the disk up to itself, and this one with it.
        statement::run(&mut transaction, "set local synchronous_commit = off").await.with_context(context)?;
        twin::make(&mut transaction, &self.table, &self.segment).await?;
        let copied = copy_in(&mut transaction, &self.statement, batches, &cancel).await;
        let violation = |error| twin::violation(error, &self.table, &self.segment, &[]);
        let copied = copied.map_err(violation).with_context(context)?;
        let Copied::All(rows) = copied else { return Ok(None) };
        transaction.commit().await.with_context(context)?;
        Ok(Some(rows))
    }
}

fn cancelled() -> anyhow::Error {
    fault::transient("the load was cancelled; nothing was changed")
}
