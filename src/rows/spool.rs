//! Carries rejects into quarantine: beside the good rows where these go over connections of their own, else after them.
//!
//! They are written at once as binary COPY of `bursar.rejects`. Those that wait lie in memory while they are
//! few, then in a nameless file: a million of them cost no more memory than a handful, and nothing is left behind when
//! the program is killed.

use super::copy::{Batch, send};
use super::reject::Reject;
use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem::Finder;
use postgres_types::{ToSql, Type};
use serde::Serialize;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::LazyLock;
use tempfile::SpooledTempFile;
use tokio::sync::mpsc::Sender;

/// What a binary COPY begins with: signature, flags, length of the header's extension.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What a binary COPY ends with.
pub const COPY_TRAILER: &[u8] = &[0xFF, 0xFF];

const IN_MEMORY: usize = 1 << 20;
const BATCH: usize = 256 * 1024;
/// Room for the reject that fills a batch.
const SLACK: usize = 4096;

/// Where rejects are kept; `bursar.file_invalid_rows` reads them.
pub const QUARANTINE: &str = "bursar.rejects";

/// The columns of `bursar.rejects` that a spool fills, in its order.
pub const COLUMNS: &str = "load_id, line, byte_offset, byte_length, raw, payload, error_class, errors";

/// Rejects of one load, as binary COPY.
#[derive(Debug)]
pub struct RejectSpool {
    load_id: i64,
    buffer: BytesMut,
    json: Vec<u8>,
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
    /// An empty spool for a load of this number; `folder` takes the file, should one be needed.
    #[must_use]
    pub fn new(load_id: i64, folder: &Path) -> Self {
        Self::with(load_id, Outlet::File(tempfile::spooled_tempfile_in(IN_MEMORY, folder)))
    }

    /// One that passes rejects on to a connection as they come.
    #[must_use]
    pub fn onto(load_id: i64, sender: Sender<Batch>) -> Self {
        Self::with(load_id, Outlet::Connection(sender))
    }

    fn with(load_id: i64, outlet: Outlet) -> Self {
        let mut buffer = BytesMut::with_capacity(BATCH + SLACK);
        buffer.put_slice(COPY_HEADER);
        Self { load_id, buffer, json: Vec::new(), outlet }
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
        let (out, json) = (&mut self.buffer, &mut self.json);
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        out.put_i16(8);
        put(&self.load_id, &Type::INT8, out)?;
        put(&signed(reject.line), &Type::INT8, out)?;
        put(&signed(reject.byte_offset), &Type::INT8, out)?;
        put(&signed(reject.byte_length), &Type::INT8, out)?;
        put(&reject.raw.as_ref(), &Type::BYTEA, out)?;
        put_json(&reject.payload, json, out)?;
        put(&reject.error_class.as_str(), &Type::TEXT, out)?;
        put_json(&reject.errors, json, out)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.outlet {
            Outlet::File(file) => {
                file.write_all(&self.buffer).context("write a reject to the spool")?;
                self.buffer.clear();
                Ok(())
            }
            Outlet::Connection(sender) => {
                let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(BATCH + SLACK));
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

/// A value as the text of its JSON; `json` is room for it.
fn put_json(
    value: &impl Serialize,
    json: &mut Vec<u8>,
    out: &mut BytesMut,
) -> Result<(), Box<dyn std::error::Error + Sync + Send>> {
    json.clear();
    serde_json::to_writer(&mut *json, value)?;
    if has_nul(json) {
        return Err("what is told of a reject has a NUL, which jsonb can't hold".into());
    }
    out.put_i32(i32::try_from(json.len())?);
    out.put_slice(json);
    Ok(())
}

/// Whether a text of the JSON has a NUL: everything that reads the reject as `jsonb` would fail.
fn has_nul(json: &[u8]) -> bool {
    static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u0000"));
    let is_escape = |at: usize| json[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0;
    ESCAPE.find_iter(json).any(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_told_from_the_text_that_looks_like_its_escape() {
        for (text, expected) in
            [("a\0", true), ("\\u0000", false), ("\\\\u0000", false), ("\\\0", true), ("u0000", false)]
        {
            let json = serde_json::to_vec(text).expect("JSON");
            assert_eq!(has_nul(&json), expected, "{text:?}");
        }
    }
}
