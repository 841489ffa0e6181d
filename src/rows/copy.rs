//! Carries batches from the reading thread to the server: parsing and copying overlap on two cores.

use super::measure::Passing;
use super::reader::{Row, Sink};
use super::reject::Reject;
use super::spool::{COPY_HEADER, COPY_TRAILER, RejectSpool, Spooled};
use crate::fault;
use bytes::{Bytes, BytesMut};
use serde_json::Value;
use sqlx::PgConnection;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

/// Small enough to be taken from memory that was used before.
const BATCH: usize = 64 * 1024;

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

/// Good rows to the server, over one connection or several, bad ones to the spool.
#[derive(Debug)]
pub struct CopySink {
    buffer: BytesMut,
    senders: Vec<Sender<Batch>>,
    /// Which sender is to be tried first.
    turn: usize,
    spool: RejectSpool,
    /// Measures, where they are taken as rows pass, and where the row begins that they are to take in next.
    passing: Option<Passing>,
    row: usize,
}

impl CopySink {
    /// A sink whose batches go to whichever of `senders` is ready; `passing` are the measures that it takes.
    ///
    /// # Errors
    /// When a receiver is gone.
    pub fn new(senders: Vec<Sender<Batch>>, spool: RejectSpool, passing: Option<Passing>) -> anyhow::Result<Self> {
        for sender in &senders {
            send(sender, Batch::Bytes(Bytes::from_static(COPY_HEADER)))?;
        }
        Ok(Self { buffer: BytesMut::with_capacity(BATCH + 4096), senders, turn: 0, spool, passing, row: 0 })
    }

    /// Sends what is left and the end; gives back the rejects, and the measures if it took them.
    ///
    /// # Errors
    /// When a receiver is gone or the spool can't be written.
    pub fn finish(mut self) -> anyhow::Result<(Spooled, Option<Value>)> {
        let rest = std::mem::take(&mut self.buffer);
        self.pass_on(rest.freeze())?;
        for sender in &self.senders {
            send(sender, Batch::Bytes(Bytes::from_static(COPY_TRAILER)))?;
            send(sender, Batch::End)?;
        }
        Ok((self.spool.finish()?, self.passing.map(Passing::finish)))
    }

    /// Gives whole rows to a connection that has room for them, else to the one whose turn it is.
    fn pass_on(&mut self, mut rows: Bytes) -> anyhow::Result<()> {
        let count = self.senders.len();
        let turn = self.turn;
        self.turn = (turn + 1) % count;
        if count > 1 {
            for i in 0..count {
                match self.senders[(turn + i) % count].try_send(Batch::Bytes(rows)) {
                    Ok(()) => return Ok(()),
                    Err(TrySendError::Full(Batch::Bytes(back))) => rows = back,
                    Err(_) => return Err(gone()),
                }
            }
        }
        send(&self.senders[turn], Batch::Bytes(rows))
    }
}

impl Sink for CopySink {
    #[inline]
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    #[inline]
    fn accepted(&mut self, _row: &Row<'_>) -> anyhow::Result<()> {
        if let Some(passing) = &mut self.passing {
            let row = self.buffer.get(self.row..).and_then(|row| passing.take_in(row));
            row.ok_or_else(|| fault::bug("a row of the COPY is not whole, or a sum has no bounds"))?;
            self.row = self.buffer.len();
        }
        if self.buffer.len() < BATCH {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(BATCH + 4096));
        self.row = 0;
        self.pass_on(full.freeze())
    }

    fn rejected(&mut self, reject: &Reject<'_>) -> anyhow::Result<()> {
        self.spool.push(reject)
    }
}

/// Sends a batch, from a thread that may block.
///
/// # Errors
/// That the receiver is gone.
pub(super) fn send(sender: &Sender<Batch>, batch: Batch) -> anyhow::Result<()> {
    sender.blocking_send(batch).map_err(|_| gone())
}

fn gone() -> anyhow::Error {
    anyhow::anyhow!("nobody takes the rows any more")
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
