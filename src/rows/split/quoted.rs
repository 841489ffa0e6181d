//! Quoted fields: where they end, and what stands behind them.

use super::{Bytes, Delimit, Scan, Seen, Splitter};
use crate::rows::field::{Field, Form};
use crate::rows::line_end::Ending;
use crate::rows::reject::Code;
use crate::rows::scan::STEP;
use memchr::memchr2;

/// Where a quoted field ends, how it is written, and what is left of the chunk that its last quote lies in: the
/// chunk's place, and the hits that were not looked at.
type Closed = (usize, Form, Option<(usize, u32)>);

/// What stands behind a quoted field.
enum Behind {
    Field(usize),
    End(Seen),
}

impl Splitter {
    /// Takes in the field whose first byte behind its quote is at `start`, in the chunk at `at` with these hits left.
    /// Gives where the next field begins, and what is left of the chunk.
    #[inline]
    pub(super) fn quoted(
        &self,
        delimiter: &impl Delimit,
        window: &[u8],
        (at, hits, start): (usize, u32, usize),
        at_end: bool,
        scan: &mut Scan,
    ) -> Result<(usize, Option<(usize, u32)>), Seen> {
        let (end, form, rest) = match self.marks.escape {
            None => self.closing_quote(window, (at, hits), start, at_end, scan)?,
            Some(escape) => {
                scan.bytes = Bytes::Any;
                self.escaped_close(escape, window, start, at_end, scan)?
            }
        };
        scan.fields.push(Field { start, end, form });
        match self.behind(delimiter, window, end + 1, at_end, scan) {
            Behind::End(seen) => Err(seen),
            Behind::Field(next) => Ok((next, rest)),
        }
    }

    /// Finds the quote that closes a field whose first byte is at `start`: in what is left of a chunk, then in those
    /// behind it. Gives its place, how the field is written, and what is left of the chunk it lies in.
    #[inline]
    fn closing_quote(
        &self,
        window: &[u8],
        (mut at, mut hits): (usize, u32),
        start: usize,
        at_end: bool,
        scan: &mut Scan,
    ) -> Result<Closed, Seen> {
        let quote = self.marks.quote.unwrap_or(b'"');
        let [one, other] = self.marks.line_end.first_bytes();
        let (mut form, mut from) = (Form::Quoted, start);
        loop {
            while hits != 0 {
                let found = at + hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let byte = window[found];
                if byte == one || byte == other {
                    scan.lines += u64::from(self.marks.line_end.is_counted(window, found));
                } else if byte == quote && found >= from {
                    match window.get(found + 1) {
                        None if !at_end => return Err(Seen::More),
                        Some(next) if *next == quote => (form, from) = (Form::Escaped, found + 2),
                        _ => return Ok((found, form, Some((at, hits)))),
                    }
                }
            }
            at += STEP;
            if at >= window.len() {
                return Err(if at_end { Seen::Broken(Code::UnclosedQuote) } else { Seen::More });
            }
            let known;
            (hits, known) = self.needles.hits(window, at);
            scan.see(known);
        }
    }

    /// The same where there is an escape.
    fn escaped_close(
        &self,
        escape: u8,
        window: &[u8],
        start: usize,
        at_end: bool,
        scan: &mut Scan,
    ) -> Result<Closed, Seen> {
        let quote = self.marks.quote.unwrap_or(b'"');
        let (mut form, mut from) = (Form::Quoted, start);
        loop {
            let Some(found) = memchr2(quote, escape, &window[from..]) else {
                return Err(if at_end { Seen::Broken(Code::UnclosedQuote) } else { Seen::More });
            };
            let end = from + found;
            if window[end] == escape {
                from = end + 1 + self.escaped(&window[end + 1..], at_end)?;
                form = Form::Escaped;
                continue;
            }
            match window.get(end + 1) {
                None if !at_end => return Err(Seen::More),
                Some(byte) if *byte == quote => (form, from) = (Form::Escaped, end + 2),
                _ => {
                    scan.lines += self.marks.line_end.count(&window[start..end]);
                    return Ok((end, form, None));
                }
            }
        }
    }

    /// How many bytes behind an escape lose their meaning.
    fn escaped(&self, rest: &[u8], at_end: bool) -> Result<usize, Seen> {
        let delimiter = self.marks.delimiter.as_slice();
        match rest.first() {
            None if at_end => Err(Seen::Broken(Code::UnclosedQuote)),
            None => Err(Seen::More),
            Some(b'\n' | b'\r') => Ok(1),
            byte if byte == self.marks.quote.as_ref() || byte == self.marks.escape.as_ref() => Ok(1),
            _ if rest.starts_with(delimiter) => Ok(delimiter.len()),
            _ if !at_end && delimiter.starts_with(rest) => Err(Seen::More),
            Some(_) => match self.marks.line_end.ending(rest, 0, at_end) {
                Ending::Own(length) => Ok(length),
                Ending::More => Err(Seen::More),
                _ => Err(Seen::Broken(Code::StrayEscape)),
            },
        }
    }

    /// Looks at what stands behind the quote that closed a field.
    fn behind(&self, delimiter: &impl Delimit, window: &[u8], at: usize, at_end: bool, scan: &mut Scan) -> Behind {
        let rest = &window[at..];
        match rest.first() {
            None if at_end => return Behind::End(Seen::Record { content: at, length: at }),
            None => return Behind::End(Seen::More),
            first if first == self.marks.delimiter.first() => match delimiter.length(rest) {
                Some(length) => return Behind::Field(at + length),
                None if !at_end && self.marks.delimiter.starts_with(rest) => return Behind::End(Seen::More),
                None => return Behind::End(Seen::Broken(Code::StrayQuote)),
            },
            Some(_) => {}
        }
        match self.marks.line_end.ending(window, at, at_end) {
            Ending::Own(length) => Behind::End(Seen::Record { content: at, length: at + length }),
            Ending::Foreign(length) => {
                scan.stray = Some(at);
                Behind::End(Seen::Record { content: at, length: at + length })
            }
            // What follows is taken for more fields of the record.
            Ending::Stray => {
                scan.pass_stray(at);
                Behind::Field(at + 1)
            }
            Ending::More => Behind::End(Seen::More),
            Ending::Text => match rest.iter().take_while(|byte| self.is_blank(**byte)).count() {
                0 => Behind::End(Seen::Broken(Code::StrayQuote)),
                blanks => self.behind(delimiter, window, at + blanks, at_end, scan),
            },
        }
    }
}
