//! The grammar of JSON (RFC 8259), without recursion and without allocation.

use super::{JsonError, MAX_DECIMALS, MAX_DEPTH, MAX_VALUES, MAX_WHOLE_DIGITS};

/// Checks that a text is JSON that jsonb can keep.
///
/// # Errors
/// The first reason why it is not.
pub(super) fn check(json: &str) -> Result<(), JsonError> {
    let mut checker = Checker {
        text: json.as_bytes(),
        at: 0,
        depth: 0,
        objects: [0; MAX_DEPTH.div_ceil(64)],
        values: 0,
        beyond: None,
    };
    checker.document()?;
    checker.beyond.map_or(Ok(()), Err)
}

struct Checker<'a> {
    text: &'a [u8],
    at: usize,
    /// How many arrays and objects are open.
    depth: usize,
    /// One bit for each of them: whether it is an object.
    objects: [u64; MAX_DEPTH.div_ceil(64)],
    values: usize,
    /// What PostgreSQL can't keep, in a text that may be JSON.
    beyond: Option<JsonError>,
}

impl Checker<'_> {
    fn document(&mut self) -> Result<(), JsonError> {
        loop {
            self.skip_blanks();
            self.values += 1;
            if self.values > MAX_VALUES {
                return Err(JsonError::TooManyValues);
            }
            match self.peek() {
                Some(b'{') => {
                    self.open(true)?;
                    if !self.closes(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(false)?;
                    if !self.closes(b']') {
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return Err(self.expected("a value")),
            }
            if self.is_ended()? {
                return Ok(());
            }
        }
    }

    /// Goes on behind a value to the next one; whether there is none.
    fn is_ended(&mut self) -> Result<bool, JsonError> {
        loop {
            self.skip_blanks();
            if self.depth == 0 {
                return if self.at == self.text.len() { Ok(true) } else { Err(self.expected("the end")) };
            }
            let is_object = self.is_in_object();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if is_object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if is_object => self.close(),
                Some(b']') if !is_object => self.close(),
                _ => return Err(self.expected(if is_object { ", or }" } else { ", or ]" })),
            }
        }
    }

    const fn expected(&self, expected: &'static str) -> JsonError {
        JsonError::NotJson { at: self.at, expected }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn open(&mut self, is_object: bool) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if is_object {
            self.objects[word] |= bit;
        } else {
            self.objects[word] &= !bit;
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether an array or object that was just opened has no members; it is closed then.
    fn closes(&mut self, end: u8) -> bool {
        self.skip_blanks();
        let is_empty = self.peek() == Some(end);
        if is_empty {
            self.close();
        }
        is_empty
    }

    const fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    const fn is_in_object(&self) -> bool {
        let innermost = self.depth - 1;
        self.objects[innermost / 64] >> (innermost % 64) & 1 == 1
    }

    /// A member's name and the colon behind it.
    fn key(&mut self) -> Result<(), JsonError> {
        self.skip_blanks();
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        self.string()?;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.expected(":"));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(byte) if byte >= b' ' => self.at += 1,
                Some(_) => return Err(self.expected("an escape in place of a control character")),
                None => return Err(self.expected("a closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                return Ok(());
            }
            Some(b'u') => {}
            _ => return Err(self.expected("an escape that JSON knows")),
        }
        match self.unit()? {
            0 => self.beyond = self.beyond.or(Some(JsonError::NulByte)),
            0xD800..=0xDBFF => {
                let is_pair = self.text[self.at..].starts_with(b"\\u") && matches!(self.unit()?, 0xDC00..=0xDFFF);
                if !is_pair {
                    return Err(self.expected("the second half of a surrogate pair"));
                }
            }
            0xDC00..=0xDFFF => return Err(self.expected("the first half of a surrogate pair before the second")),
            _ => {}
        }
        Ok(())
    }

    /// The number of a `\uXXXX`.
    fn unit(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at + 2..self.at + 6);
        let digit = |n: u32, byte: &u8| Some(n * 16 + char::from(*byte).to_digit(16)?);
        let unit = digits.and_then(|digits| digits.iter().try_fold(0, digit));
        let unit = unit.ok_or_else(|| self.expected("four hexadecimal digits behind \\u"))?;
        self.at += 6;
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.at += usize::from(self.peek() == Some(b'-'));
        let starts_with_zero = self.peek() == Some(b'0');
        let (whole, _) = self.digits()?;
        if starts_with_zero && whole > 1 {
            self.at -= usize::try_from(whole).unwrap_or_default() - 1;
            return Err(self.expected("no digit behind a leading zero"));
        }
        let mut decimals = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            (decimals, _) = self.digits()?;
        }
        let mut exponent = 0;
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            let is_negative = self.peek() == Some(b'-');
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            let (_, value) = self.digits()?;
            exponent = if is_negative { -value } else { value };
        }
        if whole + exponent > MAX_WHOLE_DIGITS || decimals - exponent > MAX_DECIMALS {
            self.beyond = self.beyond.or(Some(JsonError::NumberOutOfRange));
        }
        Ok(())
    }

    /// Passes over one digit or more: how many, and their number as far as it matters.
    fn digits(&mut self) -> Result<(i64, i64), JsonError> {
        let (start, mut value) = (self.at, 0_i64);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = (value * 10 + i64::from(digit - b'0')).min(i64::from(i32::MAX));
            self.at += 1;
        }
        if self.at == start {
            return Err(self.expected("a digit"));
        }
        Ok((i64::try_from(self.at - start).unwrap_or(i64::MAX), value))
    }
}
