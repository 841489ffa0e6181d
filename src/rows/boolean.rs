//! The words for true and false.

/// The words of a column's own; the case of letters matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What means true.
    pub yes: Vec<String>,
    /// What means false.
    pub no: Vec<String>,
}

impl Words {
    /// What a text means, if anything.
    #[must_use]
    pub fn parse(&self, text: &[u8]) -> Option<bool> {
        let holds = |words: &[String]| words.iter().any(|word| word.as_bytes() == text);
        if holds(&self.yes) { Some(true) } else { holds(&self.no).then_some(false) }
    }

    /// All of them, for messages.
    #[must_use]
    pub fn list(&self) -> String {
        [&self.yes[..], &self.no[..]].concat().join(", ")
    }
}

/// What a text means where a column has no words of its own: true, t, yes, 1, false, f, no, 0 in any case.
#[must_use]
pub fn parse_boolean(text: &[u8]) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|w| text.eq_ignore_ascii_case(w.as_bytes()));
    if is(["true", "t", "yes", "1"]) { Some(true) } else { is(["false", "f", "no", "0"]).then_some(false) }
}
