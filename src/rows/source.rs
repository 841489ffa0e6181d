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

    /// Bytes read so far.
    #[must_use]
    pub const fn read_so_far(&self) -> u64 {
        self.read
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

    /// How the file is another one than was opened, of which `least` bytes at least should have been read; none where
    /// it is the same.
    #[must_use]
    pub fn change(&self, least: u64) -> Option<String> {
        let of = |metadata: std::io::Result<Metadata>| metadata.ok().map(|m| Fingerprint::of(&m));
        let (after, at_path) = (of(self.file.metadata()), of(std::fs::metadata(&self.path)));
        let is_same = after == Some(self.opened) && at_path == after && (least..=self.opened.size).contains(&self.read);
        (!is_same).then(|| {
            format!(
                "changed while it was read ({} bytes when opened, {} read, {} now); it may still be being \
                 delivered: nothing was loaded, run again when it is complete",
                self.opened.size,
                self.read,
                at_path.map_or_else(|| "gone".to_owned(), |f| f.size.to_string()),
            )
        })
    }

    /// Closes the file after its last byte was read, and makes sure that it is still the one that was opened.
    ///
    /// # Errors
    /// A transient fault when it changed while it was read: somebody is still delivering it.
    pub fn finish(self) -> anyhow::Result<FileIdentity> {
        if let Some(change) = self.change(self.opened.size) {
            return Err(fault::transient(format!("{} {change}", self.path.display())));
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
const OTHER_FORMS: [(&[u8], &str); 3] = [
    (b"\xFF\xFE\x00\x00", "UTF-32 text"),
    (b"\x00\x00\xFE\xFF", "UTF-32 text"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet"),
];

/// Refuses a file whose first bytes say that it is no text that can be read.
///
/// # Errors
/// A data fault that says what the file is.
pub fn refuse_other_forms(head: &[u8]) -> anyhow::Result<()> {
    match OTHER_FORMS.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, form)) => Err(fault::data(format!(
            "the file is {form}; text in UTF-8, or in the encoding that dialect.encoding names, was expected"
        ))),
        None => Ok(()),
    }
}
