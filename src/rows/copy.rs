//! Carries batches from the reading thread to the server: parsing and copying overlap on two cores.

use super::reader::{Row, Sink};
use super::reject::Reject;
use super::spool::{COPY_HEADER, COPY_TRAILER, RejectSpool, SpooledBatches};
use bytes::{BufMut, Bytes, BytesMut};
use sqlx::PgConnection;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

const BATCH: usize = 256 * 1024;

/// What travels to the server.
#[derive(Debug)]
pub enum Batch {
    /// Bytes of the COPY.
    Bytes(Bytes),
    /// Nothing more comes, and all that came was right.
    End,
}

/// How a COPY ended.
#[derive(Debug)]
pub enum Copied {
    /// The server took this many rows (its command tag).
    All(u64),
    /// It was cancelled; the transaction must be rolled back.
    Cancelled,
    /// The batches broke off before their end; the transaction must be rolled back.
    SourceFailed,
}

/// Good rows to the server, bad ones to the spool.
#[derive(Debug)]
pub struct CopySink {
    buffer: BytesMut,
    sender: Sender<Batch>,
    spool: RejectSpool,
}

impl CopySink {
    /// A sink whose batches go to `sender`.
    #[must_use]
    pub fn new(sender: Sender<Batch>, spool: RejectSpool) -> Self {
        let mut buffer = BytesMut::with_capacity(BATCH + 4096);
        buffer.put_slice(COPY_HEADER);
        Self { buffer, sender, spool }
    }

    /// Sends what is left and the end; gives the rejects back.
    ///
    /// # Errors
    /// When the receiver is gone or the spool can't be written.
    pub fn finish(mut self) -> anyhow::Result<SpooledBatches> {
        self.buffer.put_slice(COPY_TRAILER);
        send(&self.sender, Batch::Bytes(self.buffer.freeze()))?;
        send(&self.sender, Batch::End)?;
        self.spool.finish()
    }
}

impl Sink for CopySink {
    #[inline]
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    #[inline]
    fn accepted(&mut self, _row: &Row<'_>) -> anyhow::Result<()> {
        if self.buffer.len() < BATCH {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(BATCH + 4096));
        send(&self.sender, Batch::Bytes(full.freeze()))
    }

    fn rejected(&mut self, reject: &Reject<'_>) -> anyhow::Result<()> {
        self.spool.push(reject)
    }
}

fn send(sender: &Sender<Batch>, batch: Batch) -> anyhow::Result<()> {
    sender.blocking_send(batch).map_err(|_| anyhow::anyhow!("nobody takes the rows any more"))
}

/// Sends batches to the end, from a thread that may block.
///
/// # Errors
/// What `next` says, or that the receiver is gone.
pub fn feed(sender: &Sender<Batch>, mut next: impl FnMut() -> anyhow::Result<Option<Bytes>>) -> anyhow::Result<()> {
    while let Some(bytes) = next()? {
        send(sender, Batch::Bytes(bytes))?;
    }
    send(sender, Batch::End)
}

/// Runs `statement` (a COPY FROM STDIN) with the batches that come.
///
/// # Errors
/// What the server or the connection says.
pub async fn copy_in(
    connection: &mut PgConnection,
    statement: &str,
    mut batches: Receiver<Batch>,
    cancel: &CancellationToken,
) -> sqlx::Result<Copied> {
    let mut copy = connection.copy_in_raw(statement).await?;
    loop {
        let batch = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                copy.abort("cancelled").await?;
                return Ok(Copied::Cancelled);
            }
            batch = batches.recv() => batch,
        };
        match batch {
            Some(Batch::Bytes(bytes)) => {
                copy.send(bytes).await?;
            }
            Some(Batch::End) => return copy.finish().await.map(Copied::All),
            None => {
                copy.abort("the file could not be read to its end").await?;
                return Ok(Copied::SourceFailed);
            }
        }
    }
}
