//! What should be checked of a file that was read: no fault, but what a fault looks like.

use super::certificate::{Fate, Tally};
use super::dialect::Dialect;

/// Rows that may hold shifted values, and skipped lines that may be rows.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// The line of the first padded row.
    padded: Option<u64>,
    trailers: Lines,
    footers: Lines,
}

/// Skipped lines that read as rows.
#[derive(Debug, Default)]
struct Lines {
    count: u64,
    first: u64,
}

impl Suspects {
    /// Notes a row that was padded.
    pub(super) fn pad(&mut self, line: u64) {
        self.padded.get_or_insert(line);
    }

    /// Notes a skipped line that reads as a row.
    pub(super) fn skip(&mut self, fate: Fate, line: u64) {
        let lines = if fate == Fate::Trailer { &mut self.trailers } else { &mut self.footers };
        if lines.count == 0 {
            lines.first = line;
        }
        lines.count += 1;
    }

    /// The notes, as sentences.
    pub(super) fn notes(&self, tally: &Tally, dialect: &Dialect) -> Vec<String> {
        let padded = self.padded.map(|line| {
            format!(
                "{} of {} loaded rows have fewer fields than the header and were padded with nulls (dialect.ragged = \
                 \"pad\"), the first on line {line}; where a delimiter was lost their values are in the wrong columns \
                 (gate.max_padded bounds their number)",
                tally.padded, tally.loaded
            )
        });
        let trailers = self.trailers.note(&format!("dialect.trailer = {:?}", dialect.trailer), tally.skipped.trailer);
        let footers =
            self.footers.note(&format!("dialect.footer_lines = {}", dialect.footer_lines), tally.skipped.footer);
        padded.into_iter().chain(trailers).chain(footers).collect()
    }
}

impl Lines {
    fn note(&self, key: &str, skipped: u64) -> Option<String> {
        let Self { count, first } = self;
        (*count > 0).then(|| {
            format!("{count} of {skipped} lines that {key} skipped read as rows, the first on line {first}; check that no row is lost")
        })
    }
}
