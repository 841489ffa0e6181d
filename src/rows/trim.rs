//! Blanks around values.

/// Blanks outside ASCII, in UTF-8: U+0085 (next line), U+00A0 (no-break space), U+1680, U+2000 to U+200B (spaces of fixed
/// width and the zero-width space), U+2028 and U+2029 (line and paragraph separators), U+202F (narrow no-break space),
/// U+205F, U+2060 (word joiner), U+3000 (ideographic space) and U+FEFF (a byte order mark within the text).
const BLANKS: [&str; 22] = [
    "\u{85}", "\u{a0}", "\u{1680}", "\u{2000}", "\u{2001}", "\u{2002}", "\u{2003}", "\u{2004}", "\u{2005}", "\u{2006}",
    "\u{2007}", "\u{2008}", "\u{2009}", "\u{200a}", "\u{200b}", "\u{2028}", "\u{2029}", "\u{202f}", "\u{205f}",
    "\u{2060}", "\u{3000}", "\u{feff}",
];

/// A text without the blanks around it, those of Unicode included.
#[inline]
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    match text {
        [first, .., last] if !first.is_ascii() || !last.is_ascii() => trim_unicode(text),
        _ => text,
    }
}

#[cold]
fn trim_unicode(mut text: &[u8]) -> &[u8] {
    // A byte that begins a character never stands within another one, so an end that looks like a blank is one.
    while let Some(rest) = BLANKS.iter().find_map(|blank| text.strip_prefix(blank.as_bytes())) {
        text = rest.trim_ascii_start();
    }
    while let Some(rest) = BLANKS.iter().find_map(|blank| text.strip_suffix(blank.as_bytes())) {
        text = rest.trim_ascii_end();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_blank_is_cut_from_both_ends_and_none_from_within() {
        for blank in BLANKS.iter().chain(&[" ", "\t", "\r\n"]) {
            assert_eq!(
                trim(format!("{blank} {blank}a{blank}é{blank}{blank} ").as_bytes()),
                format!("a{blank}é").as_bytes()
            );
            assert_eq!(trim(format!("{blank}{blank}").as_bytes()), b"");
        }
        assert_eq!(trim(b"\x80\xa0"), b"\x80\xa0", "bytes that are no text stay");
    }

    proptest! {
        #[test]
        fn what_is_blank_to_the_standard_library_is_blank_here(text in "[ \u{85}\u{a0}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}aé\u{4e00}]{0,6}") {
            prop_assert_eq!(trim(text.as_bytes()), text.trim().as_bytes());
        }
    }
}
