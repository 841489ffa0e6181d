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
        assert!(why("<html>").starts_with("JSON: expected value"));
        assert!(why("{bad").starts_with("JSON: key must be a string"), "{}", why("{bad"));
        assert!(why(r#"{"inner":[{bad"#).starts_with("inner[0]: key must be a string"), "{}", why(r#"{"inner":[{bad"#));
        assert!(why(r#"{"inner":[]} more"#).starts_with("JSON: trailing characters"));
        assert_eq!(misfit("{bad").below("body"), "body");
        assert_eq!(misfit(r#"{"inner":1}"#).below("body"), "body.inner");
        read::<Outer>(r#"{"inner":[{"count":1,"raw":7163.18750,"new":0}],"more":null}"#).unwrap();
    }
}
