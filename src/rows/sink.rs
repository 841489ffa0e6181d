//! What takes the rows that the reader finds, and a good row as it sees it.

use super::record::Cells;
use super::reject::Reject;
use bytes::BytesMut;

/// Takes what the reader finds.
pub trait Sink {
    /// Where the next good row is encoded; a refused row is cut off again.
    fn buffer(&mut self) -> &mut BytesMut;

    /// A good row was appended to the buffer.
    ///
    /// # Errors
    /// When it can't be taken; reading ends.
    fn accepted(&mut self, row: &Row<'_>) -> anyhow::Result<()>;

    /// A bad row was found.
    ///
    /// # Errors
    /// When it can't be taken; reading ends.
    fn rejected(&mut self, reject: &Reject<'_>) -> anyhow::Result<()>;
}

/// A good row: its place and its values.
#[derive(Debug)]
pub struct Row<'a> {
    pub(super) cells: Cells<'a>,
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) length: usize,
}

impl Row<'_> {
    /// The line it starts on, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Its first byte's place in the file (unpacked, as delivered), from 0, and its length, line end included.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        (self.offset, self.cells.encoding.delivered_length(&self.cells.window[..self.length]))
    }

    /// The text of the dataset's column `index`, quotes resolved, or what a null stands for in it; none for a null.
    pub fn value<'b>(&'b self, index: usize, scratch: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        self.cells.text_of(index, scratch)
    }
}
