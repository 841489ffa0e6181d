//! Checks what a measure says against the columns of its dataset and PostgreSQL's functions, without a server.
//!
//! Only what is certain is a problem. A function that is not PostgreSQL's may be the operator's own: it is a warning,
//! and `bursar check --database` asks the server.

use super::{MeasureType, passing};
use crate::config::{Problem, Problems, suggest};
use crate::rows::column::{Column, Kind};
use crate::sql::{Piece, Token, tokens};

/// PostgreSQL's aggregates (versions 13 to 18).
const AGGREGATES: &str = include_str!("aggregates.txt");

/// PostgreSQL's other functions that an expression may call.
const FUNCTIONS: &str = include_str!("functions.txt");

/// Words that an expression may hold besides the reserved ones, and that name no column.
const WORDS: &str = "absent at between by bigint boolean character day decimal document double empty error escape exclude \
    exists extract filter first following groups hour ignore int integer interval json keys last lax minute month name nfc \
    nfd nfkc nfkd no normalized nulls numeric of over overlay partition passing position preceding precision range real \
    respect row rows scalar second smallint strict substring text ties time timestamp trim unbounded unconditional unknown \
    value values varchar varying with within without wrapper year zone";

/// The columns that measures are taken over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// The names of all columns, also of those that have problems of their own.
    pub(super) names: &'a [&'a str],
    /// Those that have none.
    pub(super) columns: &'a [Column],
}

/// Checks a measure; `at` makes the problem at a byte of `sql`.
pub(super) fn check(
    sql: &str,
    kind: MeasureType,
    known: Known<'_>,
    at: &dyn Fn(usize, String) -> Problem,
    problems: &mut Problems,
) {
    let pieces = tokens(sql);
    let expression = Expression { sql, pieces: &pieces, known };
    let before = problems.len();
    if let Some((offset, message)) = expression.unclosed_quote() {
        return problems.push(at(offset, message));
    }
    for (i, piece) in pieces.iter().enumerate() {
        let found = expression.wrong_operator(i).or_else(|| expression.unknown_column(i));
        if let Some(message) = found {
            problems.push(at(piece.start, message));
        } else if let Some(message) = expression.unknown_function(i) {
            problems.warn(at(piece.start, message));
        }
    }
    if problems.len() > before {
        return;
    }
    if !expression.may_aggregate() {
        let message = "is no aggregate: a measure is one value over all rows of a load, such as count(*)";
        return problems.push(at(0, message.to_owned()));
    }
    if let Some(message) = expression.wrong_type(kind) {
        problems.push(at(0, message));
    }
}

struct Expression<'a> {
    sql: &'a str,
    pieces: &'a [Piece<'a>],
    known: Known<'a>,
}

impl Expression<'_> {
    /// Whether the token at `i`, if there is one, is this word or symbol.
    fn has_text(&self, i: Option<usize>, text: &str) -> bool {
        let piece = i.and_then(|i| self.pieces.get(i));
        piece.is_some_and(|piece| piece.token != Token::QuotedName && piece.text.eq_ignore_ascii_case(text))
    }

    /// A token as the server reads a name: bare ones in lower case.
    fn name(&self, i: usize) -> String {
        let piece = &self.pieces[i];
        if piece.token == Token::Word { piece.text.to_lowercase() } else { piece.text.to_owned() }
    }

    fn is_name(&self, i: usize) -> bool {
        matches!(self.pieces[i].token, Token::Word | Token::QuotedName)
    }

    fn unclosed_quote(&self) -> Option<(usize, String)> {
        let is_open = |piece: &&Piece<'_>| {
            let raw = &self.sql[piece.start..piece.end];
            let quote = if piece.token == Token::QuotedName { '"' } else { '\'' };
            raw.starts_with(quote) && raw.matches(quote).count() % 2 == 1
        };
        let open = self.pieces.iter().find(is_open)?;
        let quote = if open.token == Token::QuotedName { '"' } else { '\'' };
        Some((open.start, format!("a quote ({quote}) is opened and not closed")))
    }

    fn wrong_operator(&self, i: usize) -> Option<String> {
        let is_double = self.has_text(Some(i), "=")
            && self.has_text(Some(i + 1), "=")
            && self.pieces[i].end == self.pieces[i + 1].start
            && !self.has_text(i.checked_sub(1), "=");
        is_double.then(|| "PostgreSQL has no operator ==; equality is written =".to_owned())
    }

    fn unknown_column(&self, i: usize) -> Option<String> {
        if !self.is_name(i) || self.is_no_column(i) {
            return None;
        }
        let (name, names) = (self.name(i), self.known.names);
        if names.contains(&name.as_str()) {
            return None;
        }
        if self.pieces[i].token == Token::QuotedName {
            return Some(format!(
                "the dataset has no column {name:?}; double quotes are for names, a text is written in single quotes: '{name}'"
            ));
        }
        Some(format!("the dataset has no column {name:?}{}", suggest(&name, names.iter().copied())))
    }

    /// Whether a name can be something else than a column: a keyword, a function, a type, a part of a longer name, an
    /// argument's name, or a name that a subquery brings.
    fn is_no_column(&self, i: usize) -> bool {
        let before = i.checked_sub(1);
        let is_after = |words: &[&str]| words.iter().any(|word| self.has_text(before, word));
        let is_followed = |symbols: &[&str]| symbols.iter().any(|symbol| self.has_text(Some(i + 1), symbol));
        let is_typed_literal = self.pieces.get(i + 1).is_some_and(|next| next.text.starts_with('\''));
        let is_argument = is_followed(&[":"]) || is_followed(&["="]) && self.has_text(Some(i + 2), ">");
        let is_field_of_time = is_after(&["("]) && self.has_text(i.checked_sub(2), "extract");
        self.is_keyword(i)
            || is_followed(&["(", ".", "&"])
            || is_typed_literal
            || is_argument
            || is_field_of_time
            || is_after(&[".", "::", "as", "collate", "returning"])
            || self.has_subquery()
    }

    fn is_keyword(&self, i: usize) -> bool {
        let name = self.name(i);
        self.pieces[i].token == Token::Word && (has(passing::KEYWORDS, &name) || has(WORDS, &name))
    }

    fn has_subquery(&self) -> bool {
        (0..self.pieces.len()).any(|i| self.has_text(Some(i), "select"))
    }

    /// Whether a function is called at `i`, by its bare name.
    fn is_call(&self, i: usize) -> bool {
        let before = i.checked_sub(1);
        let is_type = ["::", "as", "."].iter().any(|word| self.has_text(before, word));
        self.is_name(i) && self.has_text(Some(i + 1), "(") && !is_type && !self.is_keyword(i)
    }

    fn unknown_function(&self, i: usize) -> Option<String> {
        let name = self.name(i);
        if !self.is_call(i) || has(AGGREGATES, &name) || has(FUNCTIONS, &name) {
            return None;
        }
        let hint = suggest(&name, AGGREGATES.split_whitespace().chain(FUNCTIONS.split_whitespace()));
        let hint = if hint.starts_with("; did you mean") { hint } else { String::new() };
        Some(format!("PostgreSQL has no function {name}{hint} (if it is your own, check --database asks the server)"))
    }

    /// Whether there is an aggregate, or what may be one.
    fn may_aggregate(&self) -> bool {
        let is_qualified_call =
            |i: usize| self.is_name(i) && self.has_text(i.checked_sub(1), ".") && self.has_text(Some(i + 1), "(");
        let calls = (0..self.pieces.len()).filter(|i| self.is_call(*i)).any(|i| !has(FUNCTIONS, &self.name(i)));
        calls || (0..self.pieces.len()).any(is_qualified_call) || self.has_subquery()
    }

    /// Why the result can't be of the type that is declared; only `AGGREGATE(COLUMN)`, perhaps with a filter, is judged.
    fn wrong_type(&self, declared: MeasureType) -> Option<String> {
        let is_plain = self.has_text(Some(1), "(") && self.has_text(Some(3), ")");
        let is_whole = self.pieces.len() == 4 || self.has_text(Some(4), "filter") && self.closes_at_end(5);
        if !is_plain || !is_whole || !self.is_name(0) || !self.is_name(2) {
            return None;
        }
        let (function, name) = (self.name(0), self.name(2));
        let column = self.known.columns.iter().find(|column| column.name.as_str() == name)?;
        let (found, sql_type) = (Family::from_kind(&column.kind), column.kind.sql_type());
        let result = match function.as_str() {
            "min" | "max" if found == Family::Boolean => {
                return Some(format!("PostgreSQL has no {function}({sql_type}); write bool_or or bool_and"));
            }
            "min" | "max" => found,
            "sum" | "avg" if found != Family::Number => {
                return Some(format!("{function} adds numbers up, and {name} is {sql_type}"));
            }
            "count" | "sum" | "avg" => Family::Number,
            _ => return None,
        };
        if result.casts_to(declared) {
            return None;
        }
        let (result, declared) = (result.as_str(), declared.sql_type());
        Some(format!(
            "{function}({name}) is a {result}, and the measure is declared as {declared}: \
             write {{ sql = \"…\", type = \"{result}\" }}"
        ))
    }

    /// Whether the parenthesis at `i` is closed by the last token.
    fn closes_at_end(&self, i: usize) -> bool {
        let mut depth = 0;
        for (at, piece) in self.pieces.iter().enumerate().skip(i) {
            match piece.text {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at + 1 == self.pieces.len();
            }
        }
        false
    }
}

fn has(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|known| known == name)
}

/// Types between which a measure's result is cast alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Number,
    Text,
    Date,
    Timestamp,
    Boolean,
    Other,
}

impl Family {
    const fn from_kind(kind: &Kind) -> Self {
        match kind {
            Kind::Integer(_) | Kind::Bigint(_) | Kind::Numeric { .. } => Self::Number,
            Kind::Text(_) => Self::Text,
            Kind::Date(..) => Self::Date,
            Kind::Timestamp(..) => Self::Timestamp,
            Kind::Boolean(_) => Self::Boolean,
            Kind::Uuid | Kind::Json | Kind::Map => Self::Other,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "numeric",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Boolean => "boolean",
            Self::Text | Self::Other => "text",
        }
    }

    /// Whether PostgreSQL has a cast to the type; it may still refuse a value.
    const fn casts_to(self, declared: MeasureType) -> bool {
        match declared {
            MeasureType::Text => true,
            MeasureType::Numeric => matches!(self, Self::Number | Self::Text | Self::Other),
            MeasureType::Date | MeasureType::Timestamp => {
                matches!(self, Self::Date | Self::Timestamp | Self::Text | Self::Other)
            }
            // Of the numbers only an integer has it.
            MeasureType::Boolean => !matches!(self, Self::Date | Self::Timestamp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, TextPlace};
    use crate::rows::column::{LooseColumn, compile_columns};
    use crate::rows::dialect::Dialect;

    fn columns() -> Vec<Column> {
        let types = [
            ("premium", "numeric(12,2)"),
            ("status", "text"),
            ("day", "date"),
            ("seen_at", "timestamp"),
            ("paid", "boolean"),
        ];
        let loose: Vec<LooseColumn> = types
            .iter()
            .map(|(name, kind)| serde_json::from_value(serde_json::json!({"name": name, "type": kind})).unwrap())
            .collect();
        compile_columns(&Source::of("x.toml", ""), &loose, &Dialect::default(), &mut Problems::default())
    }

    /// Problems and warnings.
    fn said(sql: &str, kind: MeasureType) -> (Vec<String>, Vec<String>) {
        let (columns, place) = (columns(), TextPlace::whole_file("x.toml"));
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let mut problems = Problems::default();
        let known = Known { names: &names, columns: &columns };
        check(sql, kind, known, &|offset, message| place.problem(sql, offset, message), &mut problems);
        let texts = |list: Vec<Problem>| list.into_iter().map(|p| p.message).collect();
        (texts(problems.warnings()), texts(problems.sorted()))
    }

    #[test]
    fn what_the_server_takes_is_no_problem() {
        for sql in [
            "count(*)",
            "coalesce(sum(premium) filter (where status = 'x' and day > date '2026-01-01'), 0)",
            "Sum(Premium)::numeric(12, 2) / nullif(count(*), 0)",
            "sum(case when \"paid\" is not true then premium else 0 end)",
            "percentile_cont(0.5) within group (order by premium desc nulls last)",
            "sum(extract(epoch from seen_at at time zone 'UTC'))",
            "count(*) filter (where status ~ E'a\\'b' or status collate \"C\" >= 'a')",
            "sum(cast(status as double precision)) -- premum",
            "max(make_interval(days => 2) + seen_at) > now()",
            "(select count(anything) from other)",
            "public.my_sum(premium)",
            "count(*) filter (where premium between 1 and 2 and status like any (array['a', 'b']))",
            "sum(trim(both ' ' from status)::numeric)",
        ] {
            let kind = if sql.starts_with("max(") { MeasureType::Boolean } else { MeasureType::Numeric };
            assert_eq!(said(sql, kind), (vec![], vec![]), "{sql}");
        }
    }

    #[test]
    fn what_can_not_be_right_is_a_problem() {
        use MeasureType::{Boolean, Numeric, Timestamp};
        for (sql, kind, message) in [
            ("sum(premum)", Numeric, "the dataset has no column \"premum\"; did you mean \"premium\"?"),
            ("count(*) filter (where status == 'x')", Numeric, "PostgreSQL has no operator ==; equality is written ="),
            (
                "count(*) filter (where status = \"x\")",
                Numeric,
                "the dataset has no column \"x\"; double quotes are for names, a text is written in single quotes: 'x'",
            ),
            ("count(*) filter (where status = 'x)", Numeric, "a quote (') is opened and not closed"),
            (
                "premium * 2",
                Numeric,
                "is no aggregate: a measure is one value over all rows of a load, such as count(*)",
            ),
            ("sum(status)", Numeric, "sum adds numbers up, and status is text"),
            (
                "max(seen_at)",
                Numeric,
                "max(seen_at) is a timestamp, and the measure is declared as numeric: \
                 write { sql = \"…\", type = \"timestamp\" }",
            ),
            (
                "count(paid) filter (where paid)",
                Timestamp,
                "count(paid) is a numeric, and the measure is declared as timestamp: \
                 write { sql = \"…\", type = \"numeric\" }",
            ),
            ("max(paid)", Boolean, "PostgreSQL has no max(boolean); write bool_or or bool_and"),
        ] {
            assert_eq!(said(sql, kind), (vec![], vec![message.to_owned()]), "{sql}");
        }
    }

    #[test]
    fn a_function_that_is_not_postgresqls_is_a_warning() {
        let (warnings, problems) = said("summe(premium) + my_own(status)", MeasureType::Numeric);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            warnings,
            [
                "PostgreSQL has no function summe; did you mean \"sum\"? (if it is your own, check --database asks the server)",
                "PostgreSQL has no function my_own (if it is your own, check --database asks the server)",
            ]
        );
    }
}
