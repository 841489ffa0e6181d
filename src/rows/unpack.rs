//! Unpacks a compressed file while it is read, block by block, on a thread of its own.
//!
//! What a file is packed with is told by its first bytes, never by its name. Several members (gzip), frames
//! (zstd) or streams (bzip2, xz) one behind the other are one file. An archive that breaks off, is corrupt, has
//! something else behind it or unpacks to more than the bound is a data fault that says how far it could be read.

use super::ahead::{Ahead, BLOCK, Blocks};
use super::source::SourceFile;
use crate::fault;
use std::io::{BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many bytes tell what a file is.
const TELLING: usize = 16;

/// The greatest dictionary or window an archive may ask for: 128 MiB, the bound of the programs zstd and xz too
/// unless they are told otherwise (xz takes some more beside its dictionary).
const WINDOW_LOG: u32 = 27;
const XZ_MEMORY: u64 = (1 << WINDOW_LOG) + (16 << 20);

/// What a file is packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// What bzip2 writes.
    Bzip2,
    /// The .xz format, version 1.2.
    Xz,
}

impl Packing {
    /// What a file that begins with these bytes is packed with; it takes [`TELLING`] of them to be sure.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        [Self::Gzip, Self::Zstd, Self::Bzip2, Self::Xz].into_iter().find(|packing| packing.begins(head))
    }

    /// The name of the form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// Whether a member begins here.
    fn begins(self, head: &[u8]) -> bool {
        match self {
            Self::Gzip => head.starts_with(b"\x1F\x8B\x08"),
            // A frame, or one of the sixteen kinds that are to be skipped.
            Self::Zstd => head.starts_with(b"\x28\xB5\x2F\xFD") || matches!(head, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]),
            // `BZh` alone could be a header. A block or the end of the stream follows it.
            Self::Bzip2 => matches!(
                head,
                [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
                    | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..]
            ),
            Self::Xz => head.starts_with(b"\xFD7zXZ\x00"),
        }
    }

    /// Unpacks the one member that begins here and takes no byte behind it.
    fn member<'a>(self, packed: &'a mut Packed) -> std::io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::GzDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?.single_frame();
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(packed)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
        })
    }
}

/// Begins to unpack a file whose first bytes were read already, on a thread of its own; `bound` is the greatest number of
/// bytes it may unpack to. Reading it gives a data fault when the archive is not sound or unpacks to too much.
///
/// # Errors
/// A transient fault when the system gives no thread.
pub fn unpack(source: SourceFile, head: &[u8], packing: Packing, bound: u64) -> anyhow::Result<Ahead> {
    let head = head.to_owned();
    Ahead::begin("unpack", source.read_so_far(), move |blocks, delivered| {
        let packed = Packed::new(source, &head, delivered);
        Unpacker { packed, packing, bound, unpacked: 0, block: vec![0; BLOCK], filled: 0, blocks }.run()
    })
}

/// The delivered bytes, as decoders want to see them.
struct Packed {
    source: SourceFile,
    block: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// Bytes that were taken by decoders.
    taken: u64,
    delivered: Arc<AtomicU64>,
    /// Why the file itself couldn't be read.
    failed: Option<anyhow::Error>,
}

impl Packed {
    fn new(source: SourceFile, head: &[u8], delivered: Arc<AtomicU64>) -> Self {
        let mut block = vec![0; BLOCK];
        block[..head.len()].copy_from_slice(head);
        Self { source, block, start: 0, end: head.len(), at_end: false, taken: 0, delivered, failed: None }
    }

    /// Reads more behind what is in sight.
    fn fill(&mut self) -> std::io::Result<()> {
        self.block.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = self.source.read(&mut self.block[self.end..]).map_err(|error| {
            self.failed = Some(error);
            std::io::Error::other("the file can't be read")
        })?;
        self.end += count;
        self.at_end = count == 0;
        self.delivered.fetch_add(count as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The next bytes: [`TELLING`] of them at least, fewer only at the end of the file.
    fn head(&mut self) -> std::io::Result<&[u8]> {
        while self.end - self.start < TELLING && !self.at_end {
            self.fill()?;
        }
        Ok(&self.block[self.start..self.end])
    }
}

impl Read for Packed {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Packed {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.start == self.end {
            self.fill()?;
        }
        Ok(&self.block[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.taken += count as u64;
    }
}

/// Why unpacking ends before the end of the file.
enum Stop {
    /// Nobody reads on.
    Unwanted,
    /// There is more than the bound.
    Beyond,
    /// Something stands behind the archive.
    Behind,
    /// The archive is not sound, or the file can't be read.
    Broken(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error)
    }
}

/// The work of the thread.
struct Unpacker {
    packed: Packed,
    packing: Packing,
    bound: u64,
    unpacked: u64,
    block: Vec<u8>,
    filled: usize,
    blocks: Blocks,
}

impl Unpacker {
    fn run(mut self) -> anyhow::Result<SourceFile> {
        loop {
            match self.member().and_then(|()| self.goes_on()) {
                Ok(true) => {}
                Ok(false) => return Ok(self.packed.source),
                Err(stop) => return Err(self.fault(&stop)),
            }
        }
    }

    fn member(&mut self) -> Result<(), Stop> {
        let mut member = self.packing.member(&mut self.packed)?;
        loop {
            // One byte more than fits is asked for, and never one beyond that.
            let room = usize::try_from(self.bound - self.unpacked).unwrap_or(usize::MAX).saturating_add(1);
            let end = self.block.len().min(self.filled.saturating_add(room));
            let count = member.read(&mut self.block[self.filled..end])?;
            if count == 0 {
                return Ok(());
            }
            if count == room {
                return Err(Stop::Beyond);
            }
            self.filled += count;
            self.unpacked += count as u64;
            if self.filled == self.block.len() {
                pass_on(&self.blocks, &mut self.block, &mut self.filled)?;
            }
        }
    }

    /// Whether another member follows; hands over the last block where none does.
    fn goes_on(&mut self) -> Result<bool, Stop> {
        // Between and behind its streams xz allows zeros in fours.
        while self.packing == Packing::Xz && self.packed.head()?.starts_with(&[0; 4]) {
            self.packed.consume(4);
        }
        let head = self.packed.head()?;
        if !head.is_empty() {
            return if self.packing.begins(head) { Ok(true) } else { Err(Stop::Behind) };
        }
        pass_on(&self.blocks, &mut self.block, &mut self.filled)?;
        Ok(false)
    }

    fn fault(&mut self, stop: &Stop) -> anyhow::Error {
        if let Some(error) = self.packed.failed.take() {
            return error;
        }
        // Whoever is still delivering the file explains any archive that is not sound.
        if let Some(change) = self.packed.source.change(0) {
            return fault::transient(format!("the file {change}"));
        }
        let (name, size, bound) = (self.packing.name(), self.packed.source.size(), self.bound);
        let (taken, unpacked) = (self.packed.taken, self.unpacked);
        fault::data(match stop {
            Stop::Unwanted => return fault::bug("the file was unpacked for nobody"),
            Stop::Beyond => format!(
                "the file's {size} bytes (packed with {name}) unpack to more than {bound}, which is \
                 dialect.max_unpacked_bytes; nothing beyond that was read"
            ),
            Stop::Behind => format!(
                "something else stands behind the {name} archive, from byte {taken} of {size} on; \
                 the {unpacked} bytes unpacked before it were not loaded"
            ),
            Stop::Broken(error) if error.kind() == ErrorKind::UnexpectedEof || self.packed.at_end => format!(
                "the {name} archive breaks off: its {size} bytes were read to the end and unpacked to {unpacked} \
                 bytes, but more should follow; have it delivered again"
            ),
            Stop::Broken(error) => format!(
                "the {name} archive is corrupt near byte {taken} of {size} ({error}); the {unpacked} bytes \
                 unpacked before it were not loaded; have it delivered again"
            ),
        })
    }
}

fn pass_on(blocks: &Blocks, block: &mut Vec<u8>, filled: &mut usize) -> Result<(), Stop> {
    if blocks.pass_on(block, std::mem::take(filled)) { Ok(()) } else { Err(Stop::Unwanted) }
}
