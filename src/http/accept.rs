//! Which of the forms an answer has is wanted: the header Accept (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

/// A form that an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Format {
    /// Its media type, as it is compared.
    pub(super) const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
        }
    }

    /// Its media type, as it is sent.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// The form that is wanted most; the first where several are wanted alike. None where none is acceptable.
pub(super) fn wanted(headers: &HeaderMap, offered: &[Format]) -> Option<Format> {
    let accepted: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if !headers.contains_key(header::ACCEPT) {
        return offered.first().copied();
    }
    let ranges: Vec<Range<'_>> = accepted.iter().flat_map(|text| text.split(',')).filter_map(Range::parse).collect();
    let mut best: Option<(Format, u16)> = None;
    for format in offered {
        let quality = quality(&ranges, format.essence());
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((*format, quality));
        }
    }
    best.map(|(format, _)| format)
}

/// A media range with its quality in thousandths.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let is_quality = |part: &&str| part.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("q="));
        let quality = match parts.find(is_quality) {
            Some(part) => thousandths(&part[2..])?,
            None => 1000,
        };
        Some(Self { kind, subtype, quality })
    }

    /// How well the range names a media type: 3 by its name, 1 as one of all; none where it does not.
    fn closeness(&self, essence: &str) -> Option<u8> {
        let (kind, subtype) = essence.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(1),
            (k, "*") if k.eq_ignore_ascii_case(kind) => Some(2),
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some(3),
            _ => None,
        }
    }
}

/// `1`, `0.5`, `0.25`: at most three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    let part: u16 = if are_digits { format!("{part:0<3}").parse().ok()? } else { return None };
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// The quality of a media type: that of the range that names it most closely.
fn quality(ranges: &[Range<'_>], essence: &str) -> u16 {
    let named = ranges.iter().filter_map(|range| Some((range.closeness(essence)?, range.quality)));
    named.max_by_key(|(closeness, _)| *closeness).map_or(0, |(_, quality)| quality)
}
