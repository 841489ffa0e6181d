//! JSON read as what is expected of it; what does not fit is named by its place.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::fmt;

/// A value as its text: what is read of it is up to whoever knows it, and numbers keep their digits.
pub type Item = Box<RawValue>;

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where, as `lines[1].total`; empty where it is the whole, or no JSON at all.
    pub path: String,
    /// What was found and expected.
    pub why: String,
}

impl Misfit {
    /// Its place below another.
    #[must_use]
    pub fn below(&self, path: &str) -> String {
        if self.path.is_empty() { path.to_owned() } else { format!("{path}.{}", self.path) }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.path.is_empty() { "JSON" } else { &self.path }, self.why)
    }
}

/// Reads the whole of a text as `T`; fields that `T` does not name are passed over.
///
/// # Errors
/// What does not fit.
pub fn read<T: DeserializeOwned>(text: impl AsRef<[u8]>) -> Result<T, Misfit> {
    if is_markup(text.as_ref()) {
        return Err(Misfit { path: String::new(), why: "expected JSON, found an HTML or XML page".to_owned() });
    }
    let mut reader = serde_json::Deserializer::from_slice(text.as_ref());
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        // A place that the reader knows no name of.
        let path = path.trim_end_matches(['?', '.']).to_owned();
        Misfit { path, why: error.into_inner().to_string() }
    })?;
    let end = reader.end().map_err(|error| Misfit { path: String::new(), why: error.to_string() });
    end.map(|()| value)
}

/// Returns whether a text of the document contains a NUL character, which PostgreSQL can't store.
#[must_use]
pub fn has_nul(document: &[u8]) -> bool {
    let mut rest = document;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = &rest[at + 1..];
        if escape.starts_with(b"u0000") {
            return true;
        }
        // The escaped byte may be a backslash itself, which begins no escape.
        rest = escape.get(1..).unwrap_or_default();
    }
    document.contains(&0)
}

/// Returns whether a text that should be JSON is an HTML or XML page instead, as proxies and sign-in pages answer.
#[must_use]
pub fn is_markup(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    text.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        count: u8,
        raw: Item,
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_place() {
        let misfit = |text: &str| read::<Outer>(text).unwrap_err();
        let why = |text: &str| misfit(text).to_string();
        let at = why(r#"{"inner":[{"count":1,"raw":2},{"count":"x","raw":2}]}"#);
        assert!(at.starts_with("inner[1].count: invalid type: string \"x\", expected u8"), "{at}");
        assert!(why(r#"{"inner":[{"count":1}]}"#).starts_with("inner[0]: missing field `raw`"));
        assert_eq!(why("<html>"), "JSON: expected JSON, found an HTML or XML page");
        assert!(why("{bad").starts_with("JSON: key must be a string"), "{}", why("{bad"));
        assert!(why(r#"{"inner":[{bad"#).starts_with("inner[0]: key must be a string"), "{}", why(r#"{"inner":[{bad"#));
        assert!(why(r#"{"inner":[]} more"#).starts_with("JSON: trailing characters"));
        assert_eq!(misfit("{bad").below("body"), "body");
        assert_eq!(misfit(r#"{"inner":1}"#).below("body"), "body.inner");
        read::<Outer>(r#"{"inner":[{"count":1,"raw":7163.18750,"new":0}],"more":null}"#).unwrap();
    }

    #[test]
    fn a_nul_is_found_wherever_a_text_escapes_it_and_nowhere_else() {
        for text in [r#"{"id":"a\u0000b"}"#, r#"["\\\u0000"]"#, "[\"a\0\"]"] {
            assert!(has_nul(text.as_bytes()), "{text:?}");
        }
        for text in [r#"{"id":"a\\u0000b"}"#, r#"["\u"#, r#"["\u00e9"]"#, "[\"\\"] {
            assert!(!has_nul(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn markup_is_told_from_json() {
        assert!(is_markup(b" \n<!DOCTYPE html>"));
        assert!(is_markup(b"\xEF\xBB\xBF<html>"));
        assert!(!is_markup(b"{\"a\":\"<html>\"}"));
        assert!(!is_markup(b""));
    }
}
