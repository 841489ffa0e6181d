//! Carries rejects into quarantine: beside the good rows where these go over connections of their own, else after them.
//!
//! They are written at once as binary COPY of `bursar.file_invalid_rows`. Those that wait lie in memory while they are
//! few, then in a nameless file: a million of them cost no more memory than a handful, and nothing is left behind when
//! the program is killed.

use super::copy::{Batch, send};
use super::reject::Reject;
use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use postgres_types::{Json, ToSql, Type};
use std::io::{Read, Seek, Write};
use std::path::Path;
use tempfile::SpooledTempFile;
use tokio::sync::mpsc::Sender;

/// What a binary COPY begins with: signature, flags, length of the header's extension.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What a binary COPY ends with.
pub const COPY_TRAILER: &[u8] = &[0xFF, 0xFF];

const IN_MEMORY: usize = 1 << 20;
const BATCH: usize = 256 * 1024;

/// The columns of `bursar.file_invalid_rows` that a spool fills, in its order.
pub const COLUMNS: &str =
    "load_id, file, table_name, line, byte_offset, byte_length, raw, payload, error_class, errors";

/// What all rejects of a load have in common.
#[derive(Clone, Debug)]
pub struct RejectOrigin {
    /// The load's id in the ledger.
    pub load_id: i64,
    /// The file's name.
    pub file: String,
    /// The table they were meant for.
    pub table: String,
}

/// Rejects of one load, as binary COPY.
#[derive(Debug)]
pub struct RejectSpool {
    origin: RejectOrigin,
    buffer: BytesMut,
    outlet: Outlet,
}

/// Where encoded rejects go.
#[derive(Debug)]
enum Outlet {
    File(SpooledTempFile),
    Connection(Sender<Batch>),
}

/// What became of the rejects once the file was read.
#[derive(Debug)]
pub enum Spooled {
    /// They wait.
    Waiting(SpooledBatches),
    /// A connection was given them.
    Sent,
}

impl RejectSpool {
    /// An empty spool; `folder` takes the file, should one be needed.
    #[must_use]
    pub fn new(origin: RejectOrigin, folder: &Path) -> Self {
        let mut buffer = BytesMut::with_capacity(BATCH);
        buffer.put_slice(COPY_HEADER);
        Self { origin, buffer, outlet: Outlet::File(tempfile::spooled_tempfile_in(IN_MEMORY, folder)) }
    }

    /// One that passes rejects on to a connection as they come.
    #[must_use]
    pub fn onto(origin: RejectOrigin, sender: Sender<Batch>) -> Self {
        let mut buffer = BytesMut::with_capacity(BATCH);
        buffer.put_slice(COPY_HEADER);
        Self { origin, buffer, outlet: Outlet::Connection(sender) }
    }

    /// Adds a reject.
    ///
    /// # Errors
    /// When the spool's disk is full.
    pub fn push(&mut self, reject: &Reject<'_>) -> anyhow::Result<()> {
        self.encode(reject).map_err(anyhow::Error::from_boxed).context("encode a reject")?;
        if self.buffer.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn encode(&mut self, reject: &Reject<'_>) -> Result<(), Box<dyn std::error::Error + Sync + Send>> {
        let out = &mut self.buffer;
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        out.put_i16(10);
        put(&self.origin.load_id, &Type::INT8, out)?;
        put(&self.origin.file, &Type::TEXT, out)?;
        put(&self.origin.table, &Type::TEXT, out)?;
        put(&signed(reject.line), &Type::INT8, out)?;
        put(&signed(reject.byte_offset), &Type::INT8, out)?;
        put(&signed(reject.byte_length), &Type::INT8, out)?;
        put(&reject.raw.as_ref(), &Type::BYTEA, out)?;
        put(&Json(&reject.payload), &Type::JSONB, out)?;
        put(&reject.error_class.as_str(), &Type::TEXT, out)?;
        put(&Json(&reject.errors), &Type::JSONB, out)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.outlet {
            Outlet::File(file) => {
                file.write_all(&self.buffer).context("write a reject to the spool")?;
                self.buffer.clear();
                Ok(())
            }
            Outlet::Connection(sender) => {
                let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(BATCH + 4096));
                send(sender, Batch::Bytes(full.freeze()))
            }
        }
    }

    /// Ends the spool; gives its bytes back in batches, from the first, where they wait.
    ///
    /// # Errors
    /// When the spool can't be written or read, or the connection is gone.
    pub fn finish(mut self) -> anyhow::Result<Spooled> {
        self.buffer.put_slice(COPY_TRAILER);
        self.flush()?;
        match self.outlet {
            Outlet::File(mut file) => {
                file.rewind().context("rewind the spool of rejects")?;
                Ok(Spooled::Waiting(SpooledBatches { file }))
            }
            Outlet::Connection(sender) => send(&sender, Batch::End).map(|()| Spooled::Sent),
        }
    }
}

/// The batches of a finished spool.
#[derive(Debug)]
pub struct SpooledBatches {
    file: SpooledTempFile,
}

impl SpooledBatches {
    /// The next batch; none at the end.
    ///
    /// # Errors
    /// When the spool can't be read.
    pub fn next_batch(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut batch = vec![0; BATCH];
        let count = self.file.read(&mut batch).context("read the spool of rejects")?;
        batch.truncate(count);
        Ok((count > 0).then(|| Bytes::from(batch)))
    }
}

fn put<T: ToSql>(value: &T, kind: &Type, out: &mut BytesMut) -> Result<(), Box<dyn std::error::Error + Sync + Send>> {
    let start = out.len();
    out.put_i32(0);
    value.to_sql(kind, out)?;
    let length = i32::try_from(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}
