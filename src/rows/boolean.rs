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
    /// The words of a column, where it has some of its own; told are the key and what is wrong with it.
    pub(super) fn compile(
        yes: Option<&[String]>,
        no: Option<&[String]>,
        mut problem: impl FnMut(&str, String),
    ) -> Option<Self> {
        for (key, words, other, others) in [("true", yes, "false", no), ("false", no, "true", yes)] {
            if words.is_some_and(<[String]>::is_empty) {
                problem(key, "lists no word".to_owned());
            }
            if words.is_some() && others.is_none() {
                let why = "a column has words of its own for both or for none";
                problem(key, format!("needs {other} beside it: {why}"));
            }
        }
        let (yes, no) = (yes?, no?);
        if let Some(word) = yes.iter().find(|word| no.contains(word)) {
            problem("false", format!("{word:?} means true already"));
        }
        Some(Self { yes: yes.to_vec(), no: no.to_vec() })
    }

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
