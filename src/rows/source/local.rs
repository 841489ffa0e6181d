//! A file in a folder.

use super::super::complete::modified_at;
use crate::escape;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, Utc};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An open file, and what it was when it was opened.
#[derive(Debug)]
pub(super) struct LocalFile {
    pub(super) path: PathBuf,
    file: File,
    opened: Fingerprint,
    pub(super) modified_at: DateTime<Utc>,
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

impl LocalFile {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = escape::path(path);
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
        let opened = Fingerprint::of(&metadata);
        Ok(Self { path: path.to_owned(), file, opened, modified_at: modified_at(&metadata) })
    }

    pub(super) const fn size(&self) -> u64 {
        self.opened.size
    }

    pub(super) fn read(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        loop {
            match self.file.read(block) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("can't read {}", escape::path(&self.path))),
            }
        }
    }

    /// What the file is now where it is another one than was opened, of which `least` to all bytes should be read.
    pub(super) fn change(&self, least: u64, read: u64) -> Option<String> {
        let of = |metadata: std::io::Result<Metadata>| metadata.ok().map(|m| Fingerprint::of(&m));
        let (after, at_path) = (of(self.file.metadata()), of(std::fs::metadata(&self.path)));
        let is_same = after == Some(self.opened) && at_path == after && (least..=self.opened.size).contains(&read);
        (!is_same).then(|| at_path.map_or_else(|| "gone".to_owned(), |f| f.size.to_string()))
    }
}
