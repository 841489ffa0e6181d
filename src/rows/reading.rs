//! What a whole file came to.

use super::certificate::{Certificate, Tally};
use super::layout::Layout;
use super::source::FileIdentity;
use super::trailer::TrailerLine;

/// What a whole file came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The delivered file's size and hash.
    pub identity: FileIdentity,
    /// What it unpacked to, in bytes; none where it is not compressed.
    pub unpacked_bytes: Option<u64>,
    /// The counts.
    pub tally: Tally,
    /// Columns of the header that the dataset doesn't know and was told to ignore.
    pub ignored_columns: Vec<String>,
    /// Optional columns of the dataset that the header lacks.
    pub absent_columns: Vec<String>,
    /// How the file is written.
    pub layout: Layout,
    /// Its trailer lines, as far as they are kept.
    pub trailers: Vec<TrailerLine>,
    /// What should be checked.
    pub notes: Vec<String>,
}

impl Reading {
    /// The account of a file; how many rows and rejects a server took, if it was asked.
    #[must_use]
    pub fn certificate(&self, copied_rows: Option<u64>, copied_rejects: Option<u64>) -> Certificate {
        Certificate {
            bytes: self.identity.bytes,
            unpacked_bytes: self.unpacked_bytes,
            sha256: self.identity.sha256.clone(),
            tally: self.tally.clone(),
            copied_rows,
            copied_rejects,
            notes: self.notes.clone(),
            parts: None,
        }
    }
}
