//! Finds the place at which the quoting of a record breaks.

use super::field::{Marks, escaped_letter};
use memchr::{memchr, memmem};

/// The character, from 1, at which the quoting of a record breaks: the quote that is not closed or that may not stand
/// there, the escape before something that needs none. `None` if nothing is wrong with these bytes.
#[must_use]
pub(super) fn character_of_fault(record: &[u8], marks: &Marks) -> Option<usize> {
    let at = byte_of_fault(record, marks)?;
    Some(String::from_utf8_lossy(&record[..at]).chars().count() + 1)
}

fn byte_of_fault(record: &[u8], marks: &Marks) -> Option<usize> {
    let Some(quote) = marks.quote else { return stray_escape(record, marks.escape?, &marks.delimiter) };
    let is_blank = |byte: &u8| marks.trim && matches!(byte, b' ' | b'\t') && marks.delimiter.first() != Some(byte);
    let mut start = 0;
    loop {
        let rest = &record[start..];
        let blanks = rest.iter().take_while(|byte| is_blank(byte)).count();
        if rest.get(blanks) == Some(&quote) {
            let opened = start + blanks;
            let closed = match closing_quote(record, opened, quote, marks) {
                Ok(closed) => closed,
                Err(fault) => return Some(fault),
            };
            let behind = &record[closed + 1..];
            let behind = &behind[behind.iter().take_while(|byte| is_blank(byte)).count()..];
            if behind.is_empty() {
                return None;
            }
            if !behind.starts_with(&marks.delimiter) {
                return Some(closed);
            }
            start = record.len() - behind.len() + marks.delimiter.len();
        } else {
            let end = memmem::find(rest, &marks.delimiter);
            let stray = memchr(quote, &rest[..end.unwrap_or(rest.len())]);
            if let Some(stray) = stray {
                return Some(start + stray);
            }
            start += end? + marks.delimiter.len();
        }
    }
}

/// The quote that closes the field whose quote is at `opened`, or else what is wrong: that quote, or an escape.
fn closing_quote(record: &[u8], opened: usize, quote: u8, marks: &Marks) -> Result<usize, usize> {
    let mut at = opened + 1;
    while let Some(byte) = record.get(at) {
        let behind = record.get(at + 1..).unwrap_or_default();
        if Some(*byte) == marks.escape {
            let is_delimiter = behind.starts_with(&marks.delimiter);
            let needs_escape = |byte: &u8| *byte == quote || Some(*byte) == marks.escape;
            if !is_delimiter && behind.first().is_some_and(|byte| !needs_escape(byte)) {
                return Err(at);
            }
            at += 2;
        } else if *byte == quote && behind.first() == Some(&quote) {
            at += 2;
        } else if *byte == quote {
            return Ok(at);
        } else {
            at += 1;
        }
    }
    Err(opened)
}

/// The first escape of a record without quotes that stands before something that needs none.
fn stray_escape(record: &[u8], escape: u8, delimiter: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(escape, &record[at..])?;
        let behind = &record[at + 1..];
        let is_null = behind.first() == Some(&b'N')
            && (at == 0 || record[..at].ends_with(delimiter))
            && (behind.len() == 1 || behind[1..].starts_with(delimiter));
        let is_known = |byte: &u8| *byte == escape || escaped_letter(*byte).is_some();
        if !is_null && !behind.starts_with(delimiter) && behind.first().is_some_and(|byte| !is_known(byte)) {
            return Some(at);
        }
        at = (at + 2).min(record.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::line_end::LineEnd;

    fn at(record: &str, escape: Option<u8>, quote: Option<u8>) -> Option<usize> {
        character_of_fault(
            record.as_bytes(),
            &Marks { delimiter: b",".to_vec(), quote, escape, trim: false, line_end: LineEnd::Any },
        )
    }

    #[test]
    fn the_character_that_breaks_a_records_quoting_is_found() {
        let quote = Some(b'"');
        for (record, character) in
            [("1,low\"value", 6), ("é,\"open", 3), ("\"a\"x,2", 3), ("\"a\"\"b\",\"c\" ,d", 10), ("a,\"\"\"", 3)]
        {
            assert_eq!(at(record, None, quote), Some(character), "{record}");
        }
        for record in ["a,b", "\"a\"\"b\",c", "", "\"a\",\"b\""] {
            assert_eq!(at(record, None, quote), None, "{record}");
        }
        assert_eq!(at("\"a\\\"b\",\"c\\d\"", Some(b'\\'), quote), Some(10));
        assert_eq!(at("a\\tb,\\N,c\\q", Some(b'\\'), None), Some(10));
        assert_eq!(at("a\\,b,\\N", Some(b'\\'), None), None);
    }

    #[test]
    fn blanks_around_a_quoted_field_are_no_fault_with_trim() {
        let marks =
            Marks { delimiter: b",".to_vec(), quote: Some(b'"'), escape: None, trim: true, line_end: LineEnd::Any };
        assert_eq!(character_of_fault(b"a, \"b, c\" ,d", &marks), None);
        assert_eq!(character_of_fault(b"a, \"b\" c,d", &marks), Some(6));
    }
}
