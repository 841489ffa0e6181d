//! Has a file's bytes made ready by a thread of its own: read and hashed, or unpacked as well.

use super::source::{FileIdentity, SourceFile};
use crate::fault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes of a block; it never changes a result.
pub(super) const BLOCK: usize = 256 * 1024;

/// Blocks that may wait for the reader: enough to keep both threads busy, few enough to keep memory flat.
const WAITING: usize = 4;

/// A file of which a thread of its own makes blocks ready.
#[derive(Debug)]
pub struct Ahead {
    blocks: Receiver<Vec<u8>>,
    /// Takes blocks back that were read, to be filled again.
    read: SyncSender<Vec<u8>>,
    block: Vec<u8>,
    taken: usize,
    given: u64,
    delivered: Arc<AtomicU64>,
    thread: Option<JoinHandle<anyhow::Result<SourceFile>>>,
    source: Option<SourceFile>,
}

impl Ahead {
    /// Reads on in a file, and hashes it.
    ///
    /// # Errors
    /// A transient fault when the system gives no thread.
    pub(super) fn read_on(mut source: SourceFile) -> anyhow::Result<Self> {
        Self::begin("read", source.read_so_far(), move |blocks, delivered| {
            let (mut block, mut filled) = (vec![0; BLOCK], 0);
            loop {
                let count = source.read(&mut block[filled..])?;
                filled += count;
                delivered.fetch_add(count as u64, Ordering::Relaxed);
                if filled < block.len() && count > 0 {
                    continue;
                }
                // Nobody reads on where the load was given up.
                let is_wanted = blocks.pass_on(&mut block, filled);
                if count == 0 || !is_wanted {
                    return Ok(source);
                }
                filled = 0;
            }
        })
    }

    /// Begins a thread that makes blocks ready; `delivered` bytes of the file were read before, and it is told of more.
    ///
    /// # Errors
    /// A transient fault when the system gives no thread.
    pub(super) fn begin(
        name: &str,
        delivered: u64,
        work: impl FnOnce(Blocks, Arc<AtomicU64>) -> anyhow::Result<SourceFile> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let delivered = Arc::new(AtomicU64::new(delivered));
        let (full, blocks) = sync_channel(WAITING);
        let (read, empty) = sync_channel(WAITING);
        let told = Arc::clone(&delivered);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(Blocks { full, empty }, told))
            .map_err(|error| fault::transient(format!("no thread to {name} the file on: {error}")))?;
        let (block, thread) = (Vec::new(), Some(thread));
        Ok(Self { blocks, read, block, taken: 0, given: 0, delivered, thread, source: None })
    }

    /// Reads bytes that were made ready into `into`; 0 at the end of the file.
    ///
    /// # Errors
    /// What the thread says.
    pub(super) fn read(&mut self, into: &mut [u8]) -> anyhow::Result<usize> {
        while self.taken == self.block.len() {
            match self.blocks.recv() {
                Ok(block) => {
                    self.taken = 0;
                    // Nobody takes it where the file is at its end.
                    let _ = self.read.try_send(std::mem::replace(&mut self.block, block));
                }
                Err(_) => return self.end(),
            }
        }
        let count = into.len().min(self.block.len() - self.taken);
        into[..count].copy_from_slice(&self.block[self.taken..self.taken + count]);
        self.taken += count;
        self.given += count as u64;
        Ok(count)
    }

    /// No more blocks come: looks why.
    fn end(&mut self) -> anyhow::Result<usize> {
        if let Some(thread) = self.thread.take() {
            let source = thread.join().map_err(|_| fault::bug("the thread that reads the file broke off"))?;
            self.source = Some(source?);
        }
        Ok(0)
    }

    /// Bytes of the delivered file that were read so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Closes the file after its last byte; gives what it is, and how many bytes were made of it.
    ///
    /// # Errors
    /// See [`SourceFile::finish`].
    pub(super) fn finish(mut self) -> anyhow::Result<(FileIdentity, u64)> {
        let source = self.source.take().ok_or_else(|| fault::bug("the file was not read to its end"))?;
        Ok((source.finish()?, self.given))
    }
}

/// The thread's side: blocks go out full and come back to be filled again.
pub(super) struct Blocks {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

impl Blocks {
    /// Hands over the first `filled` bytes of a block and puts another in its place. False where nobody wants them.
    pub(super) fn pass_on(&self, block: &mut Vec<u8>, filled: usize) -> bool {
        let empty = self.empty.try_recv().ok().filter(|block| block.len() == BLOCK);
        let mut full = std::mem::replace(block, empty.unwrap_or_else(|| vec![0; BLOCK]));
        full.truncate(filled);
        self.full.send(full).is_ok()
    }
}
