//! Spells characters that a terminal would act on instead of showing them: control characters, line ends, marks of
//! direction and characters without a width. Everything that is printed or logged goes through here.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// Whether a terminal acts on a character.
#[must_use]
pub const fn is_acting(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}'
            | '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
    )
}

/// Delivered bytes as a text in which nothing acts: `\u{1b}`, `\n`, `\xff` for bytes that are no UTF-8, and `\\` for a
/// backslash, so that different bytes have different texts.
#[must_use]
pub fn value(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ => push(&mut text, character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A path or a file's name, as [`value`].
#[must_use]
pub fn path(path: &Path) -> String {
    value(path.as_os_str().as_encoded_bytes())
}

/// A message of one line: also its line ends are spelt.
#[must_use]
pub fn line(text: &str) -> String {
    spelt(text, &[])
}

/// A text of several lines, such as a table: its line ends are kept.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    let acts = |character| is_acting(character) && character != '\n';
    if text.contains(acts) { Cow::Owned(spelt(text, &['\n'])) } else { Cow::Borrowed(text) }
}

/// The same JSON, in which such characters are escaped as JSON has it.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let acts = |character| is_acting(character) && character != '\n';
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        // All of them lie in the first plane, where a character is one unit.
        if acts(character) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn spelt(text: &str, kept: &[char]) -> String {
    let mut spelt = String::with_capacity(text.len());
    for character in text.chars() {
        if kept.contains(&character) {
            spelt.push(character);
        } else {
            push(&mut spelt, character);
        }
    }
    spelt
}

fn push(text: &mut String, character: char) {
    match character {
        '\n' | '\r' | '\t' => text.extend(character.escape_default()),
        _ if is_acting(character) => text.extend(character.escape_unicode()),
        _ => text.push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[31mred\nb\u{9b}c\u{202e}d\u{2028}e\r\t\u{7f}";

    #[test]
    fn what_a_terminal_acts_on_is_spelt() {
        let spelt = "a\\u{1b}[31mred\\nb\\u{9b}c\\u{202e}d\\u{2028}e\\r\\t\\u{7f}";
        assert_eq!(value(HOSTILE.as_bytes()), spelt);
        assert_eq!(line(HOSTILE), spelt);
        assert_eq!(lines(HOSTILE), spelt.replace("\\n", "\n"));
        assert_eq!(value(b"\\n\xFF\xC3\xA9"), "\\\\n\\xffé");
        assert_eq!(line("C:\\é 名 ‘x’"), "C:\\é 名 ‘x’");
        assert_eq!(path(Path::new("in/\u{7}.csv")), "in/\\u{7}.csv");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"file": HOSTILE});
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let escaped = json(&pretty);
        assert!(!escaped.contains(|c| is_acting(c) && c != '\n'), "{escaped:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
