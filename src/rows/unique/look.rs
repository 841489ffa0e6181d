//! The first of two readings of a file whose last row of a key is kept: nothing is taken from it but the keys.

use super::{Keep, Superseded};
use crate::fault;
use crate::rows::dataset::Dataset;
use crate::rows::reader::{self, Row, Sink};
use crate::rows::reject::Reject;
use crate::rows::source::SourceFile;
use bytes::BytesMut;
use tokio_util::sync::CancellationToken;

/// So many bytes of rows are looked at before they are forgotten.
const ROOM: usize = 64 * 1024;

/// Whether a file of this dataset has to be looked through before it is read.
#[must_use]
pub fn is_needed(dataset: &Dataset) -> bool {
    dataset.unique_keep == Keep::Last && !dataset.unique.is_empty()
}

/// Finds the rows that a later one supersedes.
///
/// # Errors
/// What reading the file says; a transient fault for `cancel`.
pub fn superseded(source: SourceFile, dataset: &Dataset, cancel: &CancellationToken) -> anyhow::Result<Superseded> {
    reader::look(source, dataset, &mut Forgotten { buffer: BytesMut::with_capacity(ROOM + 4096), cancel })
}

struct Forgotten<'a> {
    buffer: BytesMut,
    cancel: &'a CancellationToken,
}

impl Forgotten<'_> {
    fn go_on(&self) -> anyhow::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(fault::transient("the reading of the file was cancelled; nothing was changed"));
        }
        Ok(())
    }
}

impl Sink for Forgotten<'_> {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    fn accepted(&mut self, _row: &Row<'_>) -> anyhow::Result<()> {
        if self.buffer.len() < ROOM {
            return Ok(());
        }
        self.buffer.clear();
        self.go_on()
    }

    fn rejected(&mut self, _reject: &Reject<'_>) -> anyhow::Result<()> {
        self.go_on()
    }
}
