//! Opens a delivered file and reads it once, hashing what goes by; a file that changes meanwhile is refused.

use super::complete::modified_at;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An open file, its first bytes looked at, its hash growing as it is read.
#[derive(Debug)]
pub struct SourceFile {
    path: PathBuf,
    file: File,
    opened: Fingerprint,
    modified_at: DateTime<Utc>,
    hash: Sha256,
    read: u64,
}

/// What must be the same before and after reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        }
    }
}

/// A file that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// Bytes read, which is the file's size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// When its bytes were last changed, by its own account (mtime, in whole microseconds).
    pub modified_at: DateTime<Utc>,
}

impl SourceFile {
    /// Opens a regular file.
    ///
    /// # Errors
    /// A data fault when it is missing, empty or not a file; a configuration fault when it may not be read.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        // Looked at before it is opened: opening a pipe would wait until somebody writes to it.
        let metadata = std::fs::metadata(path).with_context(|| format!("can't open {shown}"))?;
        if metadata.is_dir() {
            return Err(fault::data(format!("{shown} is a directory; a file was expected")));
        }
        if !metadata.is_file() {
            return Err(fault::data(format!("{shown} is not a regular file (a pipe or a device?)")));
        }
        let file = File::open(path).with_context(|| format!("can't open {shown}"))?;
        let metadata = file.metadata().with_context(|| format!("can't look at {shown}"))?;
        if metadata.len() == 0 {
            return Err(fault::data(format!("{shown} is empty (0 bytes); a header and rows were expected")));
        }
        let opened = Fingerprint::of(&metadata);
        let modified_at = modified_at(&metadata);
        Ok(Self { path: path.to_owned(), file, opened, modified_at, hash: Sha256::new(), read: 0 })
    }

    /// The file's size when it was opened, in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.opened.size
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads into `block`; 0 at the end of the file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        loop {
            match self.file.read(block) {
                Ok(count) => {
                    self.hash.update(&block[..count]);
                    self.read += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("can't read {}", self.path.display())),
            }
        }
    }

    /// Closes the file after its last byte was read, and makes sure that it is still the one that was opened.
    ///
    /// # Errors
    /// A transient fault when it changed while it was read: somebody is still delivering it.
    pub fn finish(self) -> anyhow::Result<FileIdentity> {
        let shown = self.path.display();
        let after = Fingerprint::of(&self.file.metadata().with_context(|| format!("can't look at {shown}"))?);
        let at_path = std::fs::metadata(&self.path).ok().map(|m| Fingerprint::of(&m));
        if after != self.opened || at_path != Some(self.opened) || self.read != self.opened.size {
            return Err(fault::transient(format!(
                "{shown} changed while it was read ({} bytes when opened, {} read, {} now); it may still be \
                 being delivered: nothing was loaded, run again when it is complete",
                self.opened.size,
                self.read,
                at_path.map_or_else(|| "gone".to_owned(), |f| f.size.to_string()),
            )));
        }
        let sha256 = hex(&self.hash.finalize());
        Ok(FileIdentity { bytes: self.read, sha256, modified_at: self.modified_at })
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

/// Forms a file can have by mistake, by their first bytes.
const OTHER_FORMS: [(&[u8], &str); 8] = [
    (b"\xFF\xFE\x00\x00", "UTF-32 text"),
    (b"\xFF\xFE", "UTF-16 text (little endian)"),
    (b"\xFE\xFF", "UTF-16 text (big endian)"),
    (b"\x1F\x8B", "compressed with gzip"),
    (b"\x28\xB5\x2F\xFD", "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"\xFD7zXZ\x00", "compressed with xz"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet"),
];

/// Refuses a file whose first bytes say that it is no UTF-8 text.
///
/// # Errors
/// A data fault that says what the file is.
pub fn refuse_other_forms(head: &[u8]) -> anyhow::Result<()> {
    match OTHER_FORMS.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, form)) => Err(fault::data(format!("the file is {form}; UTF-8 text was expected"))),
        None => Ok(()),
    }
}
