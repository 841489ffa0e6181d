//! What ends the records of a file, and how line ends are found. Knows no quote and no field.

use memchr::memmem;
use memchr::{memchr, memchr2, memchr2_iter};
use std::fmt;

/// What ends a record outside quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LineEnd {
    /// LF, CR LF and CR, mixed in any way.
    #[default]
    Any,
    /// LF.
    Lf,
    /// CR LF.
    CrLf,
    /// CR.
    Cr,
    /// Other text; LF and CR are then characters like any other.
    Custom(Vec<u8>),
}

/// What a byte that may begin a line end does begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A line end of this many bytes that ends the record.
    Own(usize),
    /// The same, but it is not the line end of the file.
    Foreign(usize),
    /// A byte of a line end that is not the file's and does not end the record.
    Stray,
    /// Plain text.
    Text,
    /// More bytes are needed.
    More,
}

impl LineEnd {
    /// The line end that a dialect names; `None` for `auto`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => None,
            "any" => Some(Self::Any),
            "lf" | "\n" => Some(Self::Lf),
            "crlf" | "\r\n" => Some(Self::CrLf),
            "cr" | "\r" => Some(Self::Cr),
            custom => Some(Self::Custom(custom.into())),
        }
    }

    /// The line end that these bytes are; `Any` if they are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            b"\n" => Self::Lf,
            b"\r\n" => Self::CrLf,
            b"\r" => Self::Cr,
            _ => Self::Any,
        }
    }

    /// What ends the lines that are skipped as they stand: comments and the lines around the rows.
    #[must_use]
    pub fn of_skipped_lines(&self) -> Self {
        if matches!(self, Self::Custom(_)) { self.clone() } else { Self::Any }
    }

    /// The bytes with which a line end may begin.
    pub(super) fn first_bytes(&self) -> [u8; 2] {
        match self {
            Self::Custom(text) => [text[0]; 2],
            _ => *b"\n\r",
        }
    }

    /// What stands at `at`, a byte outside quotes.
    #[inline]
    pub(super) fn ending(&self, window: &[u8], at: usize, at_end: bool) -> Ending {
        let rest = &window[at..];
        if let Self::Custom(text) = self {
            return match rest {
                _ if rest.starts_with(text) => Ending::Own(text.len()),
                _ if !at_end && text.starts_with(rest) => Ending::More,
                _ => Ending::Text,
            };
        }
        let length = match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\r'] if !at_end => return Ending::More,
            [b'\n' | b'\r', ..] => 1,
            _ => return Ending::Text,
        };
        match (self, rest[0], length) {
            (Self::Any, ..) | (Self::CrLf, _, 2) | (Self::Lf, b'\n', 1) | (Self::Cr, b'\r', 1) => Ending::Own(length),
            (_, _, 2) => Ending::Foreign(length),
            _ => Ending::Stray,
        }
    }

    /// Whether a new line begins behind the byte at `at`, one of [`LineEnd::first_bytes`] within quotes.
    #[inline]
    pub(super) fn is_counted(&self, window: &[u8], at: usize) -> bool {
        match self {
            Self::Custom(text) => window[at..].starts_with(text),
            // CR LF counts once.
            _ => window[at] == b'\r' || at == 0 || window[at - 1] != b'\r',
        }
    }

    /// Finds the first line end that ends a record, whatever stands before it: the number of bytes before it, and with
    /// it. `None` if more bytes could show it.
    #[must_use]
    pub fn find(&self, window: &[u8], at_end: bool) -> Option<(usize, usize)> {
        let found = match self {
            Self::Any => memchr2(b'\n', b'\r', window),
            // One that is not the file's own: its CR belongs to it.
            Self::Lf => memchr(b'\n', window).map(|at| at - usize::from(at > 0 && window[at - 1] == b'\r')),
            Self::Cr => memchr(b'\r', window),
            Self::CrLf => memmem::find(window, b"\r\n"),
            Self::Custom(text) => {
                return memmem::find(window, text)
                    .map(|at| (at, at + text.len()))
                    .or_else(|| at_end.then_some((window.len(), window.len())));
            }
        };
        match found {
            Some(at) => match &window[at..] {
                [b'\r', b'\n', ..] => Some((at, at + 2)),
                [b'\r'] if !at_end => None,
                _ => Some((at, at + 1)),
            },
            None => at_end.then_some((window.len(), window.len())),
        }
    }

    /// How many of the last bytes may be the beginning of a line end.
    pub(super) fn unfinished(&self, bytes: &[u8]) -> usize {
        match self {
            Self::Custom(text) => bytes.len().min(text.len() - 1),
            _ => usize::from(bytes.last() == Some(&b'\r')),
        }
    }

    /// Counts the line ends in a text: LF, CR LF and CR, whichever ends the records, or the custom one.
    #[must_use]
    pub fn count(&self, text: &[u8]) -> u64 {
        let count = match self {
            Self::Custom(end) => memmem::find_iter(text, end).count(),
            _ => memchr2_iter(b'\n', b'\r', text).count() - memmem::find_iter(text, b"\r\n").count(),
        };
        count as u64
    }
}

impl fmt::Display for LineEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("LF, CR LF or CR"),
            Self::Lf => formatter.write_str("LF"),
            Self::CrLf => formatter.write_str("CR LF"),
            Self::Cr => formatter.write_str("CR"),
            Self::Custom(text) => write!(formatter, "{:?}", String::from_utf8_lossy(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_that_is_not_the_files_ends_no_record_but_for_cr_lf() {
        let ending = |line_end: &LineEnd, text: &[u8]| line_end.ending(text, 0, true);
        let cases: [(LineEnd, [Ending; 3]); 4] = [
            (LineEnd::Any, [Ending::Own(1), Ending::Own(1), Ending::Own(2)]),
            (LineEnd::Lf, [Ending::Own(1), Ending::Stray, Ending::Foreign(2)]),
            (LineEnd::Cr, [Ending::Stray, Ending::Own(1), Ending::Foreign(2)]),
            (LineEnd::CrLf, [Ending::Stray, Ending::Stray, Ending::Own(2)]),
        ];
        for (line_end, expected) in cases {
            let found = [&b"\nx"[..], b"\rx", b"\r\nx"].map(|text| ending(&line_end, text));
            assert_eq!(found, expected, "{line_end}");
            assert_eq!(line_end.ending(b"\r", 0, false), Ending::More, "{line_end}");
        }
        let custom = LineEnd::Custom(b"~\n".to_vec());
        assert_eq!([&b"~\n"[..], b"~x"].map(|text| ending(&custom, text)), [Ending::Own(2), Ending::Text]);
        assert_eq!(custom.ending(b"~", 0, false), Ending::More);
    }

    #[test]
    fn the_first_line_end_is_found_with_the_cr_before_it() {
        let text = b"a\rb\nc\r\nd";
        for (line_end, expected) in
            [(LineEnd::Any, (1, 2)), (LineEnd::Cr, (1, 2)), (LineEnd::Lf, (3, 4)), (LineEnd::CrLf, (5, 7))]
        {
            assert_eq!(line_end.find(text, false), Some(expected), "{line_end}");
            assert_eq!(line_end.find(b"abc", false), None);
            assert_eq!(line_end.find(b"abc", true), Some((3, 3)));
        }
        assert_eq!(LineEnd::Lf.find(b"a\r\nb", false), Some((1, 3)));
        assert_eq!(LineEnd::Custom(b"~".to_vec()).find(b"a\nb~c", false), Some((3, 4)));
    }
}
