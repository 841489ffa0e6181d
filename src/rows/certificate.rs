//! The certificate of a load: the proof that every record of the file was loaded, rejected or skipped.

use super::parts::Account;
use crate::fault;
use serde::{Deserialize, Serialize};

/// What became of a span of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A good row.
    Loaded,
    /// A bad row, kept in quarantine.
    Rejected,
    /// The header.
    Header,
    /// A line with nothing on it.
    Blank,
    /// A line before the header that the dataset says to skip.
    Preamble,
    /// A comment.
    Comment,
    /// A line that sums the others up.
    Trailer,
    /// One of the last lines that the dataset says to skip.
    Footer,
    /// The header again, among the rows.
    RepeatedHeader,
    /// A record of delimiters only that the dataset says to skip.
    EmptyRow,
    /// The Ctrl-Z bytes (0x1A) that end the file.
    EndMark,
    /// The byte order mark; bytes, but no record.
    ByteOrderMark,
}

/// Counts taken while a file is read; each span must begin where the one before it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records the splitter found.
    pub records: u64,
    /// Good rows.
    pub loaded: u64,
    /// Bad rows.
    pub rejected: u64,
    /// Good rows that had fewer fields than the header and were padded with nulls (`dialect.ragged = "pad"`).
    pub padded: u64,
    /// Records that are no rows, by kind.
    pub skipped: Skipped,
    /// Bytes that lie in one of those.
    pub bytes_covered: u64,
    /// Gaps or overlaps between spans; anything but 0 is a bug.
    pub gaps: u64,
}

/// Records that are no rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The records of the header.
    pub header: u64,
    /// Lines with nothing on them.
    pub blank: u64,
    /// First lines, as many as `dialect.skip_lines` says.
    pub preamble: u64,
    /// Lines that begin with `dialect.comment`.
    pub comment: u64,
    /// Lines that begin with `dialect.trailer`.
    pub trailer: u64,
    /// Last lines, as many as `dialect.footer_lines` says.
    pub footer: u64,
    /// Records that repeat the header (`dialect.repeated_header = "skip"`).
    pub repeated_header: u64,
    /// Records of delimiters only, with `dialect.empty_rows = "skip"`.
    pub empty_rows: u64,
    /// 1 if the file ends with Ctrl-Z (0x1A), however many they are.
    pub end_mark: u64,
}

impl Skipped {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let lines = self.blank + self.preamble + self.comment + self.trailer + self.footer;
        self.header + lines + self.repeated_header + self.empty_rows + self.end_mark
    }
}

impl Tally {
    /// Counts a record found by the splitter, before anything is known of it.
    #[inline]
    pub const fn found(&mut self) {
        self.records += 1;
    }

    /// Accounts for the bytes `offset..offset + length`.
    #[inline]
    pub const fn cover(&mut self, fate: Fate, offset: u64, length: u64) {
        if offset != self.bytes_covered {
            self.gaps += 1;
        }
        self.bytes_covered = offset + length;
        match fate {
            Fate::Loaded => self.loaded += 1,
            Fate::Rejected => self.rejected += 1,
            Fate::Header => self.skipped.header += 1,
            Fate::Blank => self.skipped.blank += 1,
            Fate::Preamble => self.skipped.preamble += 1,
            Fate::Comment => self.skipped.comment += 1,
            Fate::Trailer => self.skipped.trailer += 1,
            Fate::Footer => self.skipped.footer += 1,
            Fate::RepeatedHeader => self.skipped.repeated_header += 1,
            Fate::EmptyRow => self.skipped.empty_rows += 1,
            Fate::EndMark => self.skipped.end_mark += 1,
            Fate::ByteOrderMark => {}
        }
    }
}

/// The whole account of a load: what the reader counted, what the file is, what the server counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The delivered file's size in bytes.
    pub bytes: u64,
    /// What it unpacked to, in bytes, which the spans then tile; none where it is not compressed.
    pub unpacked_bytes: Option<u64>,
    /// The file's SHA-256, in hexadecimal.
    pub sha256: String,
    /// What the reader counted.
    #[serde(flatten)]
    pub tally: Tally,
    /// Rows the server says it took into the table; none where no server was asked.
    pub copied_rows: Option<u64>,
    /// Rows the server says it took into quarantine; none where no server was asked.
    pub copied_rejects: Option<u64>,
    /// What should be checked: rows that were padded, skipped lines that read as rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the parts held that the file was put together from; none where it was delivered as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Account>,
}

impl Certificate {
    /// The equations that do not hold; a sound load has none.
    #[must_use]
    pub fn imbalances(&self) -> Vec<String> {
        let tally = &self.tally;
        let skipped = tally.skipped.total();
        let rows = tally.loaded + tally.rejected;
        let parts = self.parts.as_ref();
        let equations = [
            (
                "records of the parts = loaded + rejected + superseded",
                parts.map_or(rows, |parts| parts.records),
                rows + parts.map_or(0, |parts| parts.superseded),
            ),
            ("records = loaded + rejected + skipped", tally.records, tally.loaded + tally.rejected + skipped),
            (
                "bytes of the (unpacked) file = bytes covered",
                self.unpacked_bytes.unwrap_or(self.bytes),
                tally.bytes_covered,
            ),
            ("gaps between spans = 0", tally.gaps, 0),
            ("rows copied = rows loaded", self.copied_rows.unwrap_or(tally.loaded), tally.loaded),
            ("rejects copied = rows rejected", self.copied_rejects.unwrap_or(tally.rejected), tally.rejected),
        ];
        equations
            .iter()
            .filter(|(_, left, right)| left != right)
            .map(|(law, left, right)| format!("{law} does not hold: {left} ≠ {right}"))
            .collect()
    }

    /// Refuses a load that does not balance.
    ///
    /// # Errors
    /// A bug fault that names every equation that does not hold.
    pub fn check(&self) -> anyhow::Result<()> {
        let imbalances = self.imbalances();
        if imbalances.is_empty() {
            return Ok(());
        }
        Err(fault::bug(format!("the load's certificate does not balance: {}", imbalances.join("; "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Certificate {
        let mut tally = Tally::default();
        for (fate, offset, length) in [(Fate::Header, 0, 4), (Fate::Loaded, 4, 3), (Fate::Rejected, 7, 2)] {
            tally.found();
            tally.cover(fate, offset, length);
        }
        Certificate {
            bytes: 9,
            unpacked_bytes: None,
            sha256: String::new(),
            tally,
            copied_rows: Some(1),
            copied_rejects: Some(1),
            notes: Vec::new(),
            parts: None,
        }
    }

    #[test]
    fn a_sound_load_balances() {
        assert_eq!(sound().imbalances(), Vec::<String>::new());
    }

    #[test]
    fn every_single_lost_or_invented_thing_is_found() {
        let breaks: [fn(&mut Certificate); 8] = [
            |c| c.bytes += 1,
            |c| c.unpacked_bytes = Some(10),
            |c| c.tally.records += 1,
            |c| c.tally.loaded -= 1,
            |c| c.copied_rows = Some(2),
            |c| c.copied_rejects = Some(0),
            |c| c.parts = Some(Account { records: 3, superseded: 2, parts: Vec::new() }),
            |c| c.tally.cover(Fate::ByteOrderMark, 8, 1),
        ];
        for breaks in breaks {
            let mut certificate = sound();
            breaks(&mut certificate);
            assert!(certificate.check().is_err(), "{certificate:?}");
        }
    }
}
