//! Takes SQL that operators write apart into tokens: enough to find parameters and names, never to rewrite meaning.
//!
//! Strings, quoted names, dollar quotes and comments are passed over as PostgreSQL reads them, so that a
//! colon or a semicolon in them is not mistaken for anything.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A bare name or keyword.
    Word,
    /// A name in double quotes.
    QuotedName,
    /// `:name`
    Parameter,
    /// A string, a number or an operator character.
    Other,
}

/// A piece of SQL and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What it is.
    pub token: Token,
    /// Its text; of a parameter or a quoted name without colon or quotes.
    pub text: &'a str,
    /// Its first byte.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

/// The tokens of `sql`, without blanks and comments.
#[must_use]
pub fn tokens(sql: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < sql.len() {
        let rest = &sql[at..];
        let (token, length) = next(rest);
        if let Some(token) = token {
            let text = match token {
                Token::Parameter => &rest[1..length],
                Token::QuotedName => rest[..length].trim_matches('"'),
                Token::Word | Token::Other => &rest[..length],
            };
            pieces.push(Piece { token, text, start: at, end: at + length });
        }
        at += length;
    }
    pieces
}

/// The token `rest` starts with (none for blanks and comments) and its length.
fn next(rest: &str) -> (Option<Token>, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    let second = rest[first.len_utf8()..].chars().next().unwrap_or(' ');
    match (first, second) {
        ('-', '-') => (None, rest.find('\n').unwrap_or(rest.len())),
        ('/', '*') => (None, comment(rest)),
        ('\'', _) => (Some(Token::Other), quoted(rest, '\'')),
        ('e' | 'E', '\'') => (Some(Token::Other), 1 + escape_string(&rest[1..])),
        ('"', _) => (Some(Token::QuotedName), quoted(rest, '"')),
        ('$', _) => dollar(rest).map_or((Some(Token::Other), 1), |length| (Some(Token::Other), length)),
        (':', ':') => (Some(Token::Other), 2),
        (':', c) if is_word_start(c) => (Some(Token::Parameter), 1 + word(&rest[1..])),
        (c, _) if c.is_whitespace() => (None, c.len_utf8()),
        (c, _) if is_word_start(c) => (Some(Token::Word), word(rest)),
        (c, _) if c.is_ascii_digit() => (Some(Token::Other), word(rest)),
        (c, _) => (Some(Token::Other), c.len_utf8()),
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

/// Comments nest in PostgreSQL.
fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0usize);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a quoted text whose quote is doubled within it.
fn quoted(rest: &str, quote: char) -> usize {
    let mut from = 1;
    while let Some(at) = rest[from..].find(quote) {
        from += at + 1;
        if !rest[from..].starts_with(quote) {
            return from;
        }
        from += 1;
    }
    rest.len()
}

fn escape_string(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\\', Some(_)) | (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn dollar(rest: &str) -> Option<usize> {
    let tag_end = rest[1..].find('$')? + 2;
    let tag = &rest[..tag_end];
    let is_tag = tag[1..tag_end - 1].chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag[1..].starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| rest[tag_end..].find(tag).map_or(rest.len(), |at| at + 2 * tag_end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(sql: &str) -> Vec<&str> {
        tokens(sql).into_iter().filter(|p| p.token == Token::Parameter).map(|p| p.text).collect()
    }

    #[test]
    fn a_parameter_is_found_only_where_sql_would_read_one() {
        let sql = "select ':a', \":b\", x::date, $$ :c $$, $t$ :d $t$, E'\\':e' -- :f\n /* :g /* */ :h */ where d = :run_date";
        assert_eq!(parameters(sql), ["run_date"]);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_without_panic_and_in_order(sql in ".{0,200}") {
            let mut end = 0;
            for piece in tokens(&sql) {
                prop_assert!(piece.start >= end && piece.end > piece.start);
                end = piece.end;
            }
        }
    }
}
