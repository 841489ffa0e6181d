//! Names that may stand in SQL: the one door through which a table's or a column's name gets there.

use std::fmt;

/// A PostgreSQL identifier: a lower-case letter, then lower-case letters, digits or `_`; at most 63 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ident(String);

/// Why a text is not an [`Ident`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentError {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// PostgreSQL would cut it off.
    #[error("the name {0:?} has {1} bytes; PostgreSQL's limit is 63")]
    TooLong(String, usize),
    /// A character that would need quotes, or worse.
    #[error(
        "{0:?} is not an identifier: {1:?} may not stand there (a lower-case letter first, then letters, digits, `_`)"
    )]
    Character(String, char),
}

impl Ident {
    /// Parses a name; it is the only way to make an `Ident`.
    ///
    /// # Errors
    /// [`IdentError`], which names the offending character.
    pub fn parse(name: &str) -> Result<Self, IdentError> {
        if name.is_empty() {
            return Err(IdentError::Empty);
        }
        let wrong = name
            .char_indices()
            .find(|(i, c)| !c.is_ascii_lowercase() && (*i == 0 || !(c.is_ascii_digit() || *c == '_')));
        match wrong {
            Some((_, c)) => Err(IdentError::Character(name.to_owned(), c)),
            None if name.len() > 63 => Err(IdentError::TooLong(name.to_owned(), name.len())),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The name that stands for nobody in particular; see `Customer::house`.
    #[must_use]
    pub fn house() -> Self {
        Self("house".to_owned())
    }

    /// The bare name, for messages and bound parameters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in double quotes, as it stands in SQL (a column may be called `order`).
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Ident {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A table's (or view's) name with its schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    /// The schema it lies in.
    pub schema: Ident,
    /// Its name there.
    pub name: Ident,
}

impl Table {
    /// `"schema"."name"`, as it stands in SQL.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", self.schema.quoted(), self.name.quoted())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        assert_eq!(Ident::parse("agency_a1").unwrap().quoted(), "\"agency_a1\"");
        for bad in ["", "1a", "_a", "A", "a-b", "a b", "a\"; drop table x", "ä"] {
            assert!(Ident::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Ident::parse(&"a".repeat(63)).is_ok());
        assert!(Ident::parse(&"a".repeat(64)).is_err());
    }
}
