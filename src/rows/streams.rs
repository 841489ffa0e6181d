//! From the file to the server: one thread reads, checks and encodes, one or several connections copy.
//!
//! The server's process is the limit of a load, and a second one helps where there is a core for it. Whole rows go to
//! whatever connection is ready for them, so the file itself is read once, from its beginning to its end.

use super::copy::{Copied, CopySink, copy_in};
use super::dataset::Dataset;
use super::publish::twin;
use super::reader::{self, Reading};
use super::source::SourceFile;
use super::spool::{RejectSpool, SpooledBatches};
use super::table;
use crate::config::Table;
use crate::db::fence::Fence;
use crate::fault;
use anyhow::Context;
use futures_util::future::join_all;
use sqlx::{Connection, PgConnection, PgPool};
use std::sync::Arc;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Told how many bytes of how many were read.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Batches that may wait for a connection.
const WAITING: usize = 4;

/// A file that is being read in a thread of its own.
pub struct FileReading {
    dataset: Arc<Dataset>,
    batches: Vec<Receiver<super::copy::Batch>>,
    thread: JoinHandle<anyhow::Result<(Reading, SpooledBatches)>>,
}

/// A file whose good rows the server took, and its rejects.
pub struct Copy {
    /// What the file came to.
    pub reading: Reading,
    /// What is to be copied into quarantine.
    pub rejects: SpooledBatches,
    /// Rows, by the server's count.
    pub rows: u64,
}

impl FileReading {
    /// Begins to read.
    #[must_use]
    pub fn start(
        source: SourceFile,
        dataset: &Arc<Dataset>,
        spool: RejectSpool,
        streams: usize,
        progress: Progress,
    ) -> Self {
        let (senders, batches) = (0..streams).map(|_| mpsc::channel(WAITING)).unzip();
        let shape = Arc::clone(dataset);
        let thread = tokio::task::spawn_blocking(move || {
            let size = source.size();
            let mut sink = CopySink::new(senders, spool)?;
            let reading = reader::read(source, &shape, &mut sink, &|read| progress(read, size))?;
            Ok::<_, anyhow::Error>((reading, sink.finish()?))
        });
        Self { dataset: Arc::clone(dataset), batches, thread }
    }

    /// Copies all rows into `table` over this connection, whose transaction must have made or emptied it.
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
        let read = self.thread.await.context("the reading thread broke off")?;
        match copied {
            Copied::All(rows) => read.map(|(reading, rejects)| Copy { reading, rejects, rows }),
            _ => Err(read.err().unwrap_or_else(|| fault::bug("the rows ended without a reason"))),
        }
    }

    /// Copies the rows into tables like `table`, each made, filled and committed over a connection of its own.
    ///
    /// # Errors
    /// As [`Self::copy_into`]; some of the tables may be there then.
    pub async fn copy_into_segments(
        self,
        pool: &PgPool,
        fence: &Fence,
        table: &Table,
        segments: &[Table],
        cancel: &CancellationToken,
    ) -> anyhow::Result<Copy> {
        let statement = |segment: &Table| table::copy_statement(&segment.quoted(), &self.dataset.columns);
        let streams: Vec<_> = segments
            .iter()
            .zip(self.batches)
            .map(|(segment, batches)| {
                let stream = Stream {
                    pool: pool.clone(),
                    fence: fence.clone(),
                    table: table.clone(),
                    segment: segment.clone(),
                    statement: statement(segment),
                };
                tokio::spawn(stream.copy(batches, cancel.clone()))
            })
            .collect();
        let copied = join_all(streams).await;
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        // What a stream says comes first: the thread that reads only notices that nobody takes its rows any more.
        let copied = copied.into_iter().map(|copied| copied.context("a stream broke off")?);
        let copied = copied.collect::<anyhow::Result<Vec<Option<u64>>>>()?;
        let (reading, rejects) = self.thread.await.context("the reading thread broke off")??;
        let rows = copied.into_iter().sum::<Option<u64>>();
        let rows = rows.ok_or_else(|| fault::bug("the rows ended without a reason"))?;
        Ok(Copy { reading, rejects, rows })
    }
}

/// One of several connections.
struct Stream {
    pool: PgPool,
    fence: Fence,
    table: Table,
    segment: Table,
    statement: String,
}

impl Stream {
    /// How many rows the server took; none where the rows broke off.
    async fn copy(
        self,
        batches: Receiver<super::copy::Batch>,
        cancel: CancellationToken,
    ) -> anyhow::Result<Option<u64>> {
        let context = || format!("copy rows into a segment of {}", self.table);
        let mut connection = self.pool.acquire().await.with_context(context)?;
        let mut transaction = connection.begin().await.with_context(context)?;
        self.fence.hold(&mut transaction).await?;
        twin::make(&mut transaction, &self.table, &self.segment).await?;
        let copied = copy_in(&mut transaction, &self.statement, batches, &cancel).await.with_context(context)?;
        let Copied::All(rows) = copied else { return Ok(None) };
        twin::complete(&mut transaction, &self.table, &self.segment).await?;
        transaction.commit().await.with_context(context)?;
        Ok(Some(rows))
    }
}

fn cancelled() -> anyhow::Error {
    fault::transient("the load was cancelled; nothing was changed")
}
