//! Records without quotes in which an escape acts: the text format of `COPY` and `LOAD DATA`.

use super::{Bytes, Field, Form, Scan, Seen, Splitter};
use crate::rows::field::escaped_letter;
use crate::rows::line_end::Ending;
use crate::rows::reject::Code;
use crate::rows::scan::STEP;

impl Splitter {
    /// Goes through a record in which the escape takes their meaning from a delimiter, a line end and itself, and gives
    /// letters one.
    pub(super) fn escaped_record(&self, escape: u8, window: &[u8], at_end: bool, scan: &mut Scan) -> Seen {
        let (mut start, mut from, mut form) = (0, 0, Form::Bare);
        for at in (0..window.len()).step_by(STEP) {
            let (mut hits, known) = self.needles.hits(window, at);
            scan.see(known);
            while hits != 0 {
                let found = at + hits.trailing_zeros() as usize;
                hits &= hits - 1;
                if found < from {
                    continue;
                }
                if window[found] == escape {
                    let length = match self.escaped_bare(&window[found + 1..], found == start, at_end) {
                        Ok(length) => length,
                        Err(seen) => return seen,
                    };
                    from = found + 1 + length;
                    scan.lines += self.marks.line_end.count(&window[found + 1..from]);
                    (form, scan.bytes) = (Form::BareEscaped, Bytes::Any);
                } else if window[found..].starts_with(&self.marks.delimiter) {
                    scan.fields.push(Field { start, end: found, form });
                    start = found + self.marks.delimiter.len();
                    (from, form) = (start, Form::Bare);
                } else {
                    let length = match self.marks.line_end.ending(window, found, at_end) {
                        Ending::Own(length) => length,
                        Ending::Foreign(length) => {
                            scan.stray = Some(found);
                            length
                        }
                        Ending::Stray if found == 0 => 1,
                        Ending::Stray => {
                            scan.pass_stray(found);
                            continue;
                        }
                        Ending::Text => continue,
                        Ending::More => return Seen::More,
                    };
                    scan.fields.push(Field { start, end: found, form });
                    return Seen::Record { content: found, length: found + length };
                }
            }
        }
        if !at_end {
            return Seen::More;
        }
        let content = if scan.is_line_start(window.len()) { window.len() - 1 } else { window.len() };
        if start <= content {
            scan.fields.push(Field { start, end: content, form });
        }
        Seen::Record { content, length: window.len() }
    }

    /// How many bytes behind the escape of a bare field belong to it. `\N` is a null, and a whole field.
    fn escaped_bare(&self, rest: &[u8], is_first: bool, at_end: bool) -> Result<usize, Seen> {
        let (delimiter, line_end) = (self.marks.delimiter.as_slice(), &self.marks.line_end);
        match line_end.ending(rest, 0, at_end) {
            Ending::Own(length) | Ending::Foreign(length) => return Ok(length),
            Ending::Stray => return Ok(1),
            Ending::More => return Err(Seen::More),
            Ending::Text => {}
        }
        let ends = |rest: &[u8]| {
            rest.is_empty() || rest.starts_with(delimiter) || line_end.ending(rest, 0, true) != Ending::Text
        };
        match rest {
            _ if rest.starts_with(delimiter) => Ok(delimiter.len()),
            _ if !at_end && delimiter.starts_with(rest) => Err(Seen::More),
            [first, ..] if Some(*first) == self.marks.escape || escaped_letter(*first).is_some() => Ok(1),
            [b'N', behind @ ..] if is_first && !at_end && delimiter.starts_with(behind) => Err(Seen::More),
            [b'N', behind @ ..] if is_first && ends(behind) => Ok(1),
            _ => Err(Seen::Broken(Code::StrayEscape)),
        }
    }
}
