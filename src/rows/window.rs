//! The text in sight of the reader, block by block.

use super::encoding::Encoding;
use super::footer::Footer;
use super::input::Input;

/// How many bytes are read at a time; it never changes a result.
pub const BLOCK: usize = 256 * 1024;

/// Ctrl-Z, by which DOS and CP/M ended a text.
const END_MARK: u8 = 0x1A;

/// The most bytes at the end of a file that may be Ctrl-Z without being a record.
const MAX_END_MARKS: usize = 4096;

/// The text in sight: `block[start..shown]`, which begins at `offset` of the file as delivered (and unpacked).
pub(super) struct Window {
    pub(super) encoding: Encoding,
    pub(super) offset: u64,
    block: Vec<u8>,
    start: usize,
    /// What lies from here to `end` may be the footer or end marks and is not shown.
    shown: usize,
    end: usize,
    /// How many bytes before `end` are end marks if nothing follows them.
    end_marks: usize,
    at_end: bool,
    footer: Option<Footer>,
}

impl Window {
    pub(super) fn new(encoding: Encoding, footer: Option<Footer>) -> Self {
        Self {
            encoding,
            offset: 0,
            block: vec![0; BLOCK],
            start: 0,
            shown: 0,
            end: 0,
            end_marks: 0,
            at_end: false,
            footer,
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.block[self.start..self.shown]
    }

    /// Whether no more bytes will be shown.
    #[inline]
    pub(super) const fn at_end(&self) -> bool {
        self.at_end
    }

    /// How many delivered bytes the first `length` of the text were.
    #[inline]
    pub(super) fn delivered_length(&self, length: usize) -> u64 {
        self.encoding.delivered_length(&self.bytes()[..length])
    }

    #[inline]
    pub(super) fn advance(&mut self, length: usize) {
        self.offset += self.delivered_length(length);
        self.start += length;
    }

    /// Shows more bytes behind those in sight, or none where they may be the footer.
    pub(super) fn fill(&mut self, input: &mut Input) -> anyhow::Result<()> {
        self.block.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end * 2 > self.block.len() {
            self.block.resize(self.block.len() * 2, 0);
        }
        let count = input.read(&mut self.block[self.end..])?;
        let text_before = self.end - self.end_marks;
        self.at_end = count == 0;
        self.end += count;
        let last = self.block[self.start..self.end].iter().rev().take(MAX_END_MARKS);
        self.end_marks = last.take_while(|byte| **byte == END_MARK).count();
        let text_end = self.end - self.end_marks;
        let held = match &mut self.footer {
            Some(footer) => footer.hold(&self.block[text_before..text_end], self.at_end)?,
            None => 0,
        };
        self.shown = text_end - held;
        Ok(())
    }

    /// Shows the footer that was held back. Only at the end.
    pub(super) const fn show_footer(&mut self) {
        self.shown = self.end - self.end_marks;
    }

    /// Shows the end marks that were held back. Only at the end.
    pub(super) const fn show_end_marks(&mut self) {
        self.shown = self.end;
    }
}
