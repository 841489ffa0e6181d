//! Finds the bytes that structure a file, sixteen at a time.

use super::split::Bytes;
use wide::u8x16;

/// How many bytes are looked at together.
pub(super) const STEP: usize = 16;

/// The bytes that are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needles([u8x16; 4]);

impl Needles {
    pub(super) fn new(bytes: [u8; 4]) -> Self {
        Self(bytes.map(u8x16::splat))
    }

    /// Which of the [`STEP`] bytes from `at` on are among them, the first in the lowest bit, and what is known of all
    /// of them. Behind the end of the window nothing is found.
    #[inline]
    pub(super) fn hits(&self, window: &[u8], at: usize) -> (u32, Bytes) {
        let rest = &window[at..];
        match rest.first_chunk::<STEP>() {
            Some(chunk) => self.of(u8x16::new(*chunk)),
            None => {
                // A blank is none of the needles, or the mask below cuts it off.
                let mut chunk = [b' '; STEP];
                chunk[..rest.len()].copy_from_slice(rest);
                let (hits, known) = self.of(u8x16::new(chunk));
                (hits & ((1 << rest.len()) - 1), known)
            }
        }
    }

    #[inline]
    fn of(&self, chunk: u8x16) -> (u32, Bytes) {
        let [delimiter, quote, line_feed, carriage_return] = self.0;
        let hits = (chunk.simd_eq(delimiter) | chunk.simd_eq(quote))
            | (chunk.simd_eq(line_feed) | chunk.simd_eq(carriage_return));
        // The highest bit of a byte tells that it is not ASCII.
        let odd = chunk | chunk.simd_eq(u8x16::ZERO);
        (hits.to_bitmask(), if odd.to_bitmask() == 0 { Bytes::Ascii } else { Bytes::Any })
    }
}
