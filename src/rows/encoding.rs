//! Encodings other than UTF-8: decoded before the splitter sees them, and mapped back for what is kept of them.
//!
//! Decoding loses nothing. The single-byte encodings give each byte a character of its own (windows-1252 as the
//! WHATWG Encoding Standard has it, where no byte is undefined). A half surrogate pair of UTF-16 becomes the three
//! bytes it would have if UTF-8 allowed it (WTF-8), and a last byte that is half a unit the mark [`HALF`] and two
//! bytes more: neither is UTF-8, so that a value that holds one is refused. So the bytes as delivered and their
//! number follow from the decoded ones alone.

use encoding_rs::{Decoder, WINDOWS_1252, mem};
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;

/// What a dataset says of its files' encoding; a byte order mark says it better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Declared {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16; big endian where the first byte is 0, else little endian.
    #[serde(rename = "utf-16")]
    Utf16,
    /// ISO 8859-1: each byte is the character of its number.
    #[serde(rename = "latin-1")]
    Latin1,
    /// Windows-1252, which many call Latin-1 or ANSI.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// How a file's bytes stand for text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8: nothing is decoded.
    Utf8,
    /// UTF-16, the low byte of a unit first.
    Utf16Little,
    /// UTF-16, the high byte of a unit first.
    Utf16Big,
    /// ISO 8859-1.
    Latin1,
    /// Windows-1252.
    Windows1252,
}

/// Stands before the two bytes (each `0x80` and half of it) of a last byte that is half a unit; never in UTF-8.
const HALF: u8 = 0xFF;

impl Encoding {
    /// The encoding of a file that begins with these bytes: what its byte order mark says, else what is declared.
    #[must_use]
    pub fn of(head: &[u8], declared: Declared) -> Self {
        match (head, declared) {
            ([0xEF, 0xBB, 0xBF, ..], _) => Self::Utf8,
            ([0xFE, 0xFF, ..], _) | ([0, ..], Declared::Utf16) => Self::Utf16Big,
            ([0xFF, 0xFE, ..], _) | (_, Declared::Utf16) => Self::Utf16Little,
            (_, Declared::Utf8) => Self::Utf8,
            (_, Declared::Latin1) => Self::Latin1,
            (_, Declared::Windows1252) => Self::Windows1252,
        }
    }

    /// How many bytes of the delivered text became these; they may begin and end anywhere, and lengths add up.
    #[inline]
    #[must_use]
    pub fn delivered_length(self, decoded: &[u8]) -> u64 {
        match self {
            Self::Utf8 => decoded.len() as u64,
            Self::Latin1 | Self::Windows1252 => decoded.iter().filter(|b| !is_inner(**b)).count() as u64,
            Self::Utf16Little | Self::Utf16Big => decoded.iter().map(|b| utf16_bytes(*b)).sum(),
        }
    }

    /// The bytes of the delivered text that became these; a character that is cut off at the end is left out.
    #[must_use]
    pub fn delivered(self, decoded: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Utf8 => Cow::Borrowed(decoded),
            Self::Latin1 => Cow::Owned(characters(decoded).map(|c| c.to_le_bytes()[0]).collect()),
            Self::Windows1252 => WINDOWS_1252.encode(whole_characters(decoded)).0,
            Self::Utf16Little => Cow::Owned(utf16(decoded, u16::to_le_bytes)),
            Self::Utf16Big => Cow::Owned(utf16(decoded, u16::to_be_bytes)),
        }
    }
}

/// The delivered bytes of decoded UTF-16.
fn utf16(decoded: &[u8], bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mut delivered = Vec::with_capacity(decoded.len() * 2);
    for character in characters(decoded) {
        match character {
            0x1_0000..0x11_0000 => {
                let [high, low] = [0xD800 + ((character - 0x1_0000) >> 10), 0xDC00 + (character & 0x3FF)];
                delivered.extend([high, low].into_iter().filter_map(|u| u16::try_from(u).ok()).flat_map(bytes_of));
            }
            0x11_0000.. => delivered.push(character.to_le_bytes()[0]),
            unit => delivered.extend(u16::try_from(unit).ok().into_iter().flat_map(bytes_of)),
        }
    }
    delivered
}

/// Whether a byte goes on with a character that another byte began.
const fn is_inner(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// How many bytes of UTF-16 the character has that this byte begins.
const fn utf16_bytes(byte: u8) -> u64 {
    match byte {
        0x80..=0xBF => 0,
        0xF0..=0xF7 => 4,
        HALF => 1,
        _ => 2,
    }
}

/// The numbers of the characters, surrogates too; half a unit is `0x11_0000` and its byte.
fn characters(decoded: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = decoded;
    std::iter::from_fn(move || {
        let (first, length, bits) = match *rest.first()? {
            byte @ 0..=0x7F => (byte, 1, 0x7F),
            byte @ 0xC0..=0xDF => (byte, 2, 0x1F),
            byte @ 0xE0..=0xEF => (byte, 3, 0x0F),
            byte @ 0xF0..=0xF7 => (byte, 4, 0x07),
            byte => (byte, 3, 0),
        };
        let (character, behind) = rest.split_at_checked(length)?;
        rest = behind;
        if first == HALF {
            return Some(0x11_0000 + (u32::from(character[1] & 0x0F) << 4) + u32::from(character[2] & 0x0F));
        }
        let inner = |number: u32, byte: &u8| (number << 6) + u32::from(byte & 0x3F);
        Some(character[1..].iter().fold(u32::from(first & bits), inner))
    })
}

/// The text without a character that is cut off at its end.
fn whole_characters(decoded: &[u8]) -> &str {
    decoded.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// Decodes a text piece by piece.
pub struct Decoding {
    encoding: Encoding,
    windows: Decoder,
    /// What the last piece ended with and can't be decoded alone: half a unit, half a pair.
    left: Vec<u8>,
}

impl std::fmt::Debug for Decoding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Decoding").field("encoding", &self.encoding).finish_non_exhaustive()
    }
}

impl Decoding {
    /// A decoder of one text.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, windows: WINDOWS_1252.new_decoder_without_bom_handling(), left: Vec::new() }
    }

    /// Appends what a piece says to `out`; an empty piece is the end of the text.
    pub fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        match self.encoding {
            Encoding::Utf8 => out.extend_from_slice(piece),
            Encoding::Latin1 => {
                out.resize(start + piece.len() * 2, 0);
                let written = mem::convert_latin1_to_utf8(piece, &mut out[start..]);
                out.truncate(start + written);
            }
            Encoding::Windows1252 => {
                out.resize(start + piece.len() * 3, 0);
                let (_, _, written, _) = self.windows.decode_to_utf8(piece, &mut out[start..], false);
                out.truncate(start + written);
            }
            Encoding::Utf16Little => self.utf16(piece, u16::from_le_bytes, out),
            Encoding::Utf16Big => self.utf16(piece, u16::from_be_bytes, out),
        }
    }

    fn utf16(&mut self, piece: &[u8], unit_of: fn([u8; 2]) -> u16, out: &mut Vec<u8>) {
        let joined = [&self.left[..], piece].concat();
        self.left.clear();
        let (pairs, half) = joined.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().copied().map(unit_of).collect();
        if !piece.is_empty() && units.last().is_some_and(|unit| matches!(unit, 0xD800..=0xDBFF)) {
            units.pop();
            self.left.extend_from_slice(&joined[units.len() * 2..]);
        } else if !piece.is_empty() {
            self.left.extend_from_slice(half);
        }
        decode_units(&units, out);
        if let ([byte], true) = (half, piece.is_empty()) {
            out.extend_from_slice(&[HALF, 0x80 | (byte >> 4), 0x80 | (byte & 0x0F)]);
        }
    }
}

/// Appends units as UTF-8, a half pair as the three bytes that UTF-8 would have for it.
fn decode_units(units: &[u16], out: &mut Vec<u8>) {
    let mut rest = units;
    while !rest.is_empty() {
        let (valid, behind) = rest.split_at(mem::utf16_valid_up_to(rest));
        let start = out.len();
        out.resize(start + valid.len() * 3, 0);
        let written = mem::convert_utf16_to_utf8(valid, &mut out[start..]);
        out.truncate(start + written);
        rest = behind;
        if let Some((half, behind)) = behind.split_first() {
            let low = |shift: u16| 0x80 | u8::try_from((half >> shift) & 0x3F).unwrap_or_default();
            out.extend_from_slice(&[0xED, low(6), low(0)]);
            rest = behind;
        }
    }
}
