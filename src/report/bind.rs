//! Puts placeholders for a report's parameters into its SQL.

use super::parameter::{Parameter, ParameterType, RUN_DATE};
use crate::config::{Problem, Problems, suggest};
use crate::sql::{Piece, Token, tokens};

/// SQL with placeholders for parameters. A placeholder holds no line end: lines are those of the configuration.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The SQL.
    pub query: String,
    /// The names of the parameters that are `$1`, `$2` and so on.
    pub binds: Vec<String>,
}

/// What a query can begin with.
const QUERIES: [&str; 5] = ["select", "with", "values", "table", "("];

/// The type of the parameter `name`, if it is declared.
pub(super) fn type_of(declared: &[Parameter], name: &str) -> Option<ParameterType> {
    let found = declared.iter().find(|p| p.name.as_str() == name);
    if name == RUN_DATE { Some(ParameterType::Date) } else { found.map(|p| p.r#type) }
}

/// Puts placeholders for parameters and drops a closing semicolon. Unknown parameters, further statements and what is no
/// query are problems; `at` makes the problem at a byte of `sql`.
pub(super) fn bind(
    sql: &str,
    declared: &[Parameter],
    at: &dyn Fn(usize, String) -> Problem,
    problems: &mut Problems,
) -> Bound {
    let pieces = tokens(sql);
    let (mut query, mut binds) = (String::with_capacity(sql.len()), Vec::<String>::new());
    let mut copied = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let replacement = match (piece.token, piece.text) {
            (Token::Parameter, name) => match type_of(declared, name) {
                Some(kind) => kind.placeholder(number(&mut binds, name)),
                None => {
                    let known = declared.iter().map(|p| p.name.as_str()).chain([RUN_DATE]);
                    problems.push(at(piece.start, format!("the parameter :{name} is unknown{}", suggest(name, known))));
                    continue;
                }
            },
            (Token::Other, ";") if i + 1 == pieces.len() => String::new(),
            (Token::Other, ";") => {
                let message = "a report is one statement; nothing may follow its semicolon".to_owned();
                problems.push(at(piece.start, message));
                break;
            }
            _ => continue,
        };
        query.push_str(&sql[copied..piece.start]);
        query.push_str(&replacement);
        copied = piece.end;
    }
    query.push_str(&sql[copied..]);
    check_query(&pieces, at, problems);
    Bound { query, binds }
}

/// The number of a parameter's placeholder, from 1.
fn number(binds: &mut Vec<String>, name: &str) -> usize {
    let known = binds.iter().position(|bound| bound == name);
    known.unwrap_or_else(|| {
        binds.push(name.to_owned());
        binds.len() - 1
    }) + 1
}

/// Only a query can be run.
fn check_query(pieces: &[Piece<'_>], at: &dyn Fn(usize, String) -> Problem, problems: &mut Problems) {
    let Some(first) = pieces.first() else { return };
    if !QUERIES.iter().any(|word| first.text.eq_ignore_ascii_case(word)) {
        problems.push(at(first.start, format!("a report is a query; it can't begin with {:?}", first.text)));
    }
}
