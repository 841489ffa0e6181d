//! Opens a delivered file and reads it once, hashing what goes by; a file that changes meanwhile is refused.
//!
//! A file lies in a folder, in a bucket (S3, Google, Azure) or on a web server. [`Places`] opens what is in no folder:
//! its bytes are fetched ahead on the runtime, and read here block by block as from a disk.

pub mod address;
mod fetch;
mod local;
pub mod objects;
mod places;
pub mod trouble;
mod web;

use crate::escape;
use crate::fault;
use chrono::{DateTime, Utc};
use fetch::RemoteFile;
pub use fetch::{Seen, ask};
use local::LocalFile;
pub use places::{Located, Places};
use ring::digest;
use std::path::Path;
use trouble::changed;

/// An open file, its first bytes looked at, its hash growing as it is read.
pub struct SourceFile {
    bytes: Bytes,
    hash: digest::Context,
    read: u64,
}

impl std::fmt::Debug for SourceFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SourceFile")
            .field("bytes", &self.bytes)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Bytes {
    Local(LocalFile),
    Remote(RemoteFile),
}

/// A file that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// Bytes read, which is the file's size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// When its bytes were last changed, by its own account (mtime, Last-Modified; in whole microseconds). The
    /// beginning of 1970 where a web server does not tell it.
    pub modified_at: DateTime<Utc>,
}

impl SourceFile {
    /// Opens a regular file.
    ///
    /// # Errors
    /// A data fault when it is missing, empty or not a file; a configuration fault when it may not be read.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::local(path)?.check_not_empty()
    }

    fn local(path: &Path) -> anyhow::Result<Self> {
        LocalFile::open(path).map(|file| Self::from_bytes(Bytes::Local(file)))
    }

    /// Takes a file that lies in no folder.
    fn remote(file: RemoteFile) -> Self {
        Self::from_bytes(Bytes::Remote(file))
    }

    fn from_bytes(bytes: Bytes) -> Self {
        Self { bytes, hash: digest::Context::new(&digest::SHA256), read: 0 }
    }

    fn check_not_empty(self) -> anyhow::Result<Self> {
        if self.known_size() == Some(0) {
            let shown = escape::path(self.path());
            return Err(fault::data(format!("{shown} is empty (0 bytes); a header and rows were expected")));
        }
        Ok(self)
    }

    /// The file's size when it was opened, in bytes; 0 where a web server does not tell it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.known_size().unwrap_or_default()
    }

    fn known_size(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::Local(file) => Some(file.size()),
            Bytes::Remote(file) => file.size(),
        }
    }

    /// When the file's bytes were last changed, as [`FileIdentity::modified_at`].
    #[must_use]
    pub fn modified_at(&self) -> DateTime<Utc> {
        match &self.bytes {
            Bytes::Local(file) => file.modified_at,
            Bytes::Remote(file) => file.modified_at(),
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn read_so_far(&self) -> u64 {
        self.read
    }

    /// Where the file lies: its path, or its address as it may be shown.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.bytes {
            Bytes::Local(file) => &file.path,
            Bytes::Remote(file) => file.shown(),
        }
    }

    /// Reads into `block`; 0 at the end of the file.
    ///
    /// # Errors
    /// What the operating system says, or whoever keeps the file.
    pub fn read(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        let count = match &mut self.bytes {
            Bytes::Local(file) => file.read(block)?,
            Bytes::Remote(file) => file.read(block)?,
        };
        self.hash.update(&block[..count]);
        self.read += count as u64;
        Ok(count)
    }

    /// How the file is another one than was opened, of which `least` bytes at least should have been read; none where
    /// it is the same.
    #[must_use]
    pub fn change(&self, least: u64) -> Option<String> {
        let now = match &self.bytes {
            Bytes::Local(file) => file.change(least, self.read)?,
            Bytes::Remote(file) => file.change()?,
        };
        Some(changed(&format!("{} bytes when opened, {} read, {now} now", self.size(), self.read)))
    }

    /// Closes the file after its last byte was read, and makes sure that it is still the one that was opened.
    ///
    /// # Errors
    /// A transient fault when it changed while it was read: somebody is still delivering it.
    pub fn finish(self) -> anyhow::Result<FileIdentity> {
        if let Some(change) = self.change(self.size()) {
            return Err(fault::transient(format!("{} {change}", escape::path(self.path()))));
        }
        let modified_at = self.modified_at();
        Ok(FileIdentity { bytes: self.read, sha256: hex(self.hash.finish().as_ref()), modified_at })
    }
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
