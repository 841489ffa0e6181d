//! The text of a delivered file: unpacked where it is compressed, decoded where it is not UTF-8.

use super::ahead::Ahead;
use super::dialect::Dialect;
use super::encoding::{Decoding, Encoding};
use super::foreign::{self, SIGHT};
use super::source::{FileIdentity, SourceFile};
use super::unpack::{Packing, unpack};
use crate::fault;
use anyhow::Context;
use std::io::{ErrorKind, Read};

/// So many bytes are decoded at a time; it never changes a result.
const PIECE: usize = 64 * 1024;

/// A file of more bytes is read and hashed on a thread of its own; for less it is not worth one.
const LARGE: u64 = 4 * 1024 * 1024;

/// A file that is read once, from its first byte to its last.
#[derive(Debug)]
pub struct Input {
    /// Bytes that were looked at and not yet read.
    head: Vec<u8>,
    bytes: Bytes,
    encoding: Encoding,
    /// None where there is nothing to decode.
    decoded: Option<Decoded>,
}

/// Decodes piece by piece.
#[derive(Debug)]
struct Decoded {
    decoding: Decoding,
    piece: Vec<u8>,
    text: Vec<u8>,
    taken: usize,
    at_end: bool,
}

#[derive(Debug)]
enum Bytes {
    Plain(SourceFile),
    Ahead(Ahead),
    Packed(Ahead),
    Text(Text),
}

/// Text that is no file.
struct Text {
    from: Box<dyn Read>,
    read: u64,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Text").field("read", &self.read).finish_non_exhaustive()
    }
}

impl Input {
    /// Looks at the first bytes: unpacks what is compressed, refuses what is no text at all.
    ///
    /// # Errors
    /// A data fault that says what the file is; what reading says.
    pub fn open(source: SourceFile, dialect: &Dialect) -> anyhow::Result<Self> {
        let mut input = Self::of(Bytes::Plain(source));
        input.look()?;
        let packing = Packing::of(&input.head);
        if let Some(packing) = packing {
            input = input.unpack(packing, dialect.max_unpacked_bytes)?;
            input.look()?;
            if let Some(again) = Packing::of(&input.head) {
                let (name, again) = (packing.name(), again.name());
                return Err(fault::data(format!("the file is packed twice, with {name} and within with {again}")));
            }
        }
        input.decoded_by(dialect, packing)?.read_ahead()
    }

    /// The same for text that is no file: it is neither hashed nor unpacked.
    ///
    /// # Errors
    /// See [`Input::open`].
    pub fn of_text(from: Box<dyn Read>, dialect: &Dialect) -> anyhow::Result<Self> {
        let mut input = Self::of(Bytes::Text(Text { from, read: 0 }));
        input.look()?;
        input.decoded_by(dialect, None)
    }

    fn decoded_by(mut self, dialect: &Dialect, packing: Option<Packing>) -> anyhow::Result<Self> {
        foreign::refuse(&self.head, dialect.encoding, packing)?;
        self.encoding = Encoding::of(&self.head, dialect.encoding);
        self.decoded = (self.encoding != Encoding::Utf8).then(|| Decoded::new(self.encoding));
        Ok(self)
    }

    fn read_ahead(mut self) -> anyhow::Result<Self> {
        self.bytes = match self.bytes {
            Bytes::Plain(source) if source.size() > LARGE => Bytes::Ahead(Ahead::read_on(source)?),
            bytes => bytes,
        };
        Ok(self)
    }

    const fn of(bytes: Bytes) -> Self {
        Self { head: Vec::new(), bytes, encoding: Encoding::Utf8, decoded: None }
    }

    /// What the text was decoded from.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn unpack(self, packing: Packing, bound: u64) -> anyhow::Result<Self> {
        let Bytes::Plain(source) = self.bytes else { return Err(fault::bug("unpacked twice")) };
        Ok(Self::of(Bytes::Packed(unpack(source, &self.head, packing, bound)?)))
    }

    /// Brings the first bytes in sight: fewer than [`SIGHT`] only where there are no more.
    fn look(&mut self) -> anyhow::Result<()> {
        let mut block = [0; SIGHT];
        while self.head.len() < SIGHT {
            match self.bytes.read(&mut block[self.head.len()..])? {
                0 => break,
                count => self.head.extend_from_slice(&block[self.head.len()..][..count]),
            }
        }
        Ok(())
    }

    /// Reads text into `block`, as UTF-8 as far as it can be; 0 at its end.
    ///
    /// # Errors
    /// What the operating system says; a data fault for an archive that is not sound.
    pub fn read(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        let Some(mut decoded) = self.decoded.take() else { return self.read_bytes(block) };
        let read = decoded.read(block, |piece| self.read_bytes(piece));
        self.decoded = Some(decoded);
        read
    }

    fn read_bytes(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        if self.head.is_empty() {
            return self.bytes.read(block);
        }
        let looked_at = self.head.len().min(block.len());
        block[..looked_at].copy_from_slice(&self.head[..looked_at]);
        self.head.drain(..looked_at);
        Ok(looked_at + self.bytes.read(&mut block[looked_at..])?)
    }

    /// Bytes of the delivered file that were read so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        match &self.bytes {
            Bytes::Plain(source) => source.read_so_far(),
            Bytes::Ahead(ahead) | Bytes::Packed(ahead) => ahead.delivered(),
            Bytes::Text(text) => text.read,
        }
    }

    /// Closes the file after its last byte was read; gives what it is as delivered, and how many bytes it unpacked
    /// to where it was compressed.
    ///
    /// # Errors
    /// A transient fault when it changed while it was read.
    pub fn finish(self) -> anyhow::Result<(FileIdentity, Option<u64>)> {
        match self.bytes {
            Bytes::Plain(source) => Ok((source.finish()?, None)),
            Bytes::Ahead(ahead) => Ok((ahead.finish()?.0, None)),
            Bytes::Packed(unpacking) => unpacking.finish().map(|(identity, bytes)| (identity, Some(bytes))),
            Bytes::Text(_) => Err(fault::bug("text that is no file has no identity")),
        }
    }
}

impl Decoded {
    fn new(encoding: Encoding) -> Self {
        let decoding = Decoding::new(encoding);
        Self { decoding, piece: vec![0; PIECE], text: Vec::new(), taken: 0, at_end: false }
    }

    fn read(
        &mut self,
        block: &mut [u8],
        mut bytes: impl FnMut(&mut [u8]) -> anyhow::Result<usize>,
    ) -> anyhow::Result<usize> {
        while self.taken == self.text.len() && !self.at_end {
            let count = bytes(&mut self.piece)?;
            self.text.clear();
            self.taken = 0;
            self.decoding.decode(&self.piece[..count], &mut self.text);
            self.at_end = count == 0;
        }
        let count = block.len().min(self.text.len() - self.taken);
        block[..count].copy_from_slice(&self.text[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

impl Bytes {
    fn read(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        match self {
            Self::Plain(source) => source.read(block),
            Self::Ahead(ahead) | Self::Packed(ahead) => ahead.read(block),
            Self::Text(text) => text.read(block),
        }
    }
}

impl Text {
    fn read(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        loop {
            match self.from.read(block) {
                Ok(count) => {
                    self.read += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("can't read the text"),
            }
        }
    }
}
