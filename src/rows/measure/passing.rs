//! Measures that are taken while the rows pass, from the very bytes that the server is given.
//!
//! A second pass over its rows costs the server a sixth of a load. Counts and sums, which is what most measures are,
//! need none. What is not written in one of these forms the server is asked for ([`super::take`]); a property holds
//! that both say the same.
//!
//! The forms: `count(*)`, `count(column)`, `sum(column)` of an integer, bigint or numeric; each of them
//! `filter (where column = 'text')`, and within `coalesce(…, 0)` or another whole number.

use super::{Measure, MeasureType};
use crate::rows::column::{Column, Kind};
use crate::sql::{Piece, Token, tokens};
use serde_json::{Map, Value};
use std::ops::Range;

/// What PostgreSQL does not take for a column's name without quotes (`pg_get_keywords()`, reserved in any way).
pub const KEYWORDS: &str = "all analyse analyze and any array as asc asymmetric authorization binary both case cast check \
    collate collation column concurrently constraint create cross current_catalog current_date current_role \
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end except false \
    fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral \
    leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps \
    placing primary references returning right select session_user similar some symmetric system_user table tablesample \
    then to trailing true union unique user using variadic verbose when where window with";

/// The measures of a dataset, all of which can be taken so.
#[derive(Clone, Debug)]
pub struct Passing {
    measures: Vec<Running>,
    /// How many fields of a row are looked at.
    looked_at: usize,
    fields: Vec<Option<Range<usize>>>,
}

#[derive(Clone, Debug)]
struct Running {
    name: String,
    form: Form,
    rows: u64,
    /// In units of the last digit.
    sum: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Form {
    what: What,
    /// The only rows: those in which this column has this text.
    only: Option<(usize, String)>,
    /// What stands for a null.
    instead: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Rows,
    Count(usize),
    Sum(usize, Scale),
}

/// How a number stands in a row, and how many digits it has behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Integer,
    Bigint,
    Numeric(u32),
}

impl Passing {
    /// Compiles the measures over these columns; none where one of them has to be asked for, as all are then.
    #[must_use]
    pub fn compile(measures: &[Measure], columns: &[Column]) -> Option<Self> {
        let running = |measure: &Measure| {
            let form = (measure.kind == MeasureType::Numeric).then(|| Form::parse(&measure.sql, columns))??;
            Some(Running { name: measure.name.to_string(), form, rows: 0, sum: 0 })
        };
        let measures = measures.iter().map(running).collect::<Option<Vec<_>>>()?;
        let looked_at = measures.iter().flat_map(|m| m.form.places()).max().map_or(0, |place| place + 1);
        Some(Self { measures, looked_at, fields: vec![None; looked_at] })
    }

    /// Takes in a row, as it stands in a binary COPY; none where it is not whole, or a sum has grown beyond all bounds.
    #[must_use]
    pub fn take_in(&mut self, row: &[u8]) -> Option<()> {
        let mut at = 2;
        for field in &mut self.fields[..self.looked_at] {
            let length = i32::from_be_bytes(*row.get(at..)?.first_chunk()?);
            at += 4;
            // A null has a length below zero, and no bytes.
            *field = usize::try_from(length).ok().map(|length| at..at + length);
            at = field.as_ref().map_or(at, |field| field.end);
        }
        let row = row.get(..at)?;
        let value = |place: usize| self.fields[place].clone().and_then(|field| row.get(field));
        for measure in &mut self.measures {
            if let Some((place, text)) = &measure.form.only
                && value(*place) != Some(text.as_bytes())
            {
                continue;
            }
            match measure.form.what {
                What::Rows => measure.rows += 1,
                What::Count(place) => measure.rows += u64::from(value(place).is_some()),
                What::Sum(place, scale) => {
                    if let Some(bytes) = value(place) {
                        measure.rows += 1;
                        measure.sum = measure.sum.checked_add(scale.read(bytes)?)?;
                    }
                }
            }
        }
        Some(())
    }

    /// Name to value, each as the text that the server would give.
    #[must_use]
    pub fn finish(self) -> Value {
        Value::Object(self.measures.into_iter().map(Running::finish).collect::<Map<_, _>>())
    }
}

impl Running {
    fn finish(self) -> (String, Value) {
        let text = match (self.form.what, self.rows) {
            (What::Rows | What::Count(_), rows) => Some(rows.to_string()),
            (What::Sum(..), 0) => self.form.instead.map(|number| number.to_string()),
            (What::Sum(_, Scale::Integer | Scale::Bigint), _) => Some(self.sum.to_string()),
            (What::Sum(_, Scale::Numeric(scale)), _) => Some(decimal(self.sum, scale)),
        };
        (self.name, text.map_or(Value::Null, Value::from))
    }
}

/// A number of units of the last digit, with so many digits behind the point.
fn decimal(units: i128, scale: u32) -> String {
    let digits = scale as usize;
    let text = format!("{:0width$}", units.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    let sign = if units < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

impl Scale {
    fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Integer(_) => Some(Self::Integer),
            Kind::Bigint(_) => Some(Self::Bigint),
            Kind::Numeric { scale, .. } => Some(Self::Numeric(*scale)),
            _ => None,
        }
    }

    fn read(self, bytes: &[u8]) -> Option<i128> {
        match self {
            Self::Integer => Some(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            Self::Bigint => Some(i64::from_be_bytes(bytes.try_into().ok()?).into()),
            Self::Numeric(scale) => numeric(bytes, scale),
        }
    }
}

/// A numeric in units of the last of `scale` digits behind the point. In a COPY it stands as digits of ten thousand: how
/// many, the first one's place, the sign, the digits behind the point, and they themselves.
fn numeric(bytes: &[u8], scale: u32) -> Option<i128> {
    let (head, digits) = bytes.split_first_chunk::<8>()?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let first = i32::from(word(2).cast_signed());
    let mut units = 0i128;
    for (place, digit) in digits.chunks_exact(2).take(word(0).into()).enumerate() {
        let digit = i128::from(u16::from_be_bytes([digit[0], digit[1]]));
        let power = 4 * (first - i32::try_from(place).ok()?) + i32::try_from(scale).ok()?;
        let shift = 10i128.checked_pow(power.unsigned_abs())?;
        units = units.checked_add(if power < 0 { digit / shift } else { digit.checked_mul(shift)? })?;
    }
    match word(4) {
        0 => Some(units),
        0x4000 => Some(-units),
        _ => None,
    }
}

impl Form {
    fn parse(sql: &str, columns: &[Column]) -> Option<Self> {
        let pieces = tokens(sql);
        if !is_read_alike(sql, &pieces) {
            return None;
        }
        let mut rest = Rest { pieces: &pieces, columns };
        if rest.word("coalesce").is_none() {
            let form = rest.aggregate()?;
            return rest.pieces.is_empty().then_some(form);
        }
        rest.symbol("(")?;
        let form = rest.aggregate()?;
        rest.symbol(",")?;
        let instead = rest.other()?;
        let instead = instead.bytes().all(|byte| byte.is_ascii_digit()).then(|| instead.parse().ok())??;
        rest.symbol(")")?;
        rest.pieces.is_empty().then_some(Self { instead: Some(instead), ..form })
    }

    /// The columns it looks at.
    fn places(&self) -> impl Iterator<Item = usize> {
        let what = match self.what {
            What::Rows => None,
            What::Count(place) | What::Sum(place, _) => Some(place),
        };
        what.into_iter().chain(self.only.as_ref().map(|(place, _)| *place))
    }
}

/// Whether there is nothing in a text that the server might take apart in another way: blanks, comments and quotes that
/// are not the usual ones.
fn is_read_alike(sql: &str, pieces: &[Piece<'_>]) -> bool {
    let is_unusual = ["\r", "/*", "\"\""].iter().any(|unusual| sql.contains(unusual));
    let literals = pieces.iter().filter(|piece| piece.text.starts_with('\''));
    let beyond_ascii = |text: &str| text.bytes().filter(|byte| !byte.is_ascii()).count();
    !is_unusual && beyond_ascii(sql) == literals.map(|literal| beyond_ascii(literal.text)).sum::<usize>()
}

/// What of a measure was not read yet. Each step gives nothing where something else stands there.
struct Rest<'a> {
    pieces: &'a [Piece<'a>],
    columns: &'a [Column],
}

impl<'a> Rest<'a> {
    fn aggregate(&mut self) -> Option<Form> {
        let is_sum = self.word("sum").is_some();
        if !is_sum {
            self.word("count")?;
        }
        self.symbol("(")?;
        let what = if is_sum {
            let place = self.column()?;
            What::Sum(place, Scale::of(&self.columns[place].kind)?)
        } else if self.symbol("*").is_some() {
            What::Rows
        } else {
            What::Count(self.column()?)
        };
        self.symbol(")")?;
        let only = if self.word("filter").is_some() { Some(self.filter()?) } else { None };
        Some(Form { what, only, instead: None })
    }

    fn filter(&mut self) -> Option<(usize, String)> {
        self.symbol("(")?;
        self.word("where")?;
        let place = self.column().filter(|place| matches!(self.columns[*place].kind, Kind::Text(_)))?;
        self.symbol("=")?;
        let literal = self.other()?.strip_prefix('\'')?.strip_suffix('\'')?;
        self.symbol(")")?;
        // What a backslash means depends on a setting of the server.
        (!literal.contains('\\')).then(|| (place, literal.replace("''", "'")))
    }

    fn next(&mut self, is_it: impl Fn(&Piece<'a>) -> bool) -> Option<&'a Piece<'a>> {
        let (piece, rest) = self.pieces.split_first().filter(|(piece, _)| is_it(piece))?;
        self.pieces = rest;
        Some(piece)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.next(|piece| piece.token == Token::Word && piece.text.eq_ignore_ascii_case(word)).map(drop)
    }

    fn symbol(&mut self, symbol: &str) -> Option<()> {
        self.next(|piece| piece.token == Token::Other && piece.text == symbol).map(drop)
    }

    fn other(&mut self) -> Option<&'a str> {
        self.next(|piece| piece.token == Token::Other).map(|piece| piece.text)
    }

    fn column(&mut self) -> Option<usize> {
        let piece = self.next(|piece| matches!(piece.token, Token::Word | Token::QuotedName))?;
        let name = if piece.token == Token::Word { piece.text.to_ascii_lowercase() } else { piece.text.to_owned() };
        let is_keyword = piece.token == Token::Word && KEYWORDS.split(' ').any(|keyword| keyword == name);
        if is_keyword { None } else { self.columns.iter().position(|column| column.name.as_str() == name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ident;
    use crate::rows::column::{IntegerRule, Range as Bounds, TextRule};

    fn columns() -> Vec<Column> {
        let rule = IntegerRule { min: i64::MIN, max: i64::MAX, allowed: None, written: None, is_a_range: true };
        let range = Bounds { min: None, max: None };
        let kinds = [
            ("small", Kind::Integer(rule.clone())),
            ("big", Kind::Bigint(rule)),
            ("money", Kind::Numeric { precision: 12, scale: 2, range, written: None }),
            ("words", Kind::Text(TextRule::default())),
            ("user", Kind::Text(TextRule::default())),
        ];
        let column = |(name, kind): (&str, Kind)| Column {
            name: Ident::parse(name).expect("a name"),
            headers: vec![name.to_owned()],
            position: None,
            kind,
            nullable: true,
            optional: false,
            blank: None,
            null_quoted: false,
        };
        kinds.into_iter().map(column).collect()
    }

    fn compile(sql: &str, kind: MeasureType) -> Option<Passing> {
        let name = Ident::parse("measure").expect("a name");
        Passing::compile(&[Measure { name, sql: sql.to_owned(), kind }], &columns())
    }

    /// Rows of the five columns, each a value as it stands in a COPY.
    fn row(values: [Option<&[u8]>; 5]) -> Vec<u8> {
        let mut row = 5i16.to_be_bytes().to_vec();
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).expect("a length"));
            row.extend(length.to_be_bytes());
            row.extend(value.unwrap_or_default());
        }
        row
    }

    /// -1234.5: two digits of ten thousand before the point, one behind it.
    const MONEY: [u8; 12] = [0, 2, 0, 0, 0x40, 0, 0, 2, 0x04, 0xD2, 0x13, 0x88];

    #[test]
    fn what_is_written_in_the_plain_forms_needs_no_second_pass() {
        let rows = [
            row([Some(&7i32.to_be_bytes()), Some(&(-9i64).to_be_bytes()), Some(&MONEY), Some(b"it's"), None]),
            row([None, Some(&2i64.to_be_bytes()), Some(&MONEY), None, None]),
        ];
        for (sql, expected) in [
            ("count(*)", Some("2")),
            ("COUNT( small )", Some("1")),
            ("count(\"user\")", Some("0")),
            ("sum(small)", Some("7")),
            ("sum(big) -- all of it", Some("-7")),
            ("coalesce(sum(money), 0)", Some("-2469.00")),
            ("count(*) filter (where words = 'it''s')", Some("1")),
            ("sum(big) filter (where words = 'it')", None),
            ("coalesce(sum(big) filter (where words = 'it'), 007)", Some("7")),
        ] {
            let mut passing = compile(sql, MeasureType::Numeric).unwrap_or_else(|| panic!("{sql}"));
            for row in &rows {
                passing.take_in(row).expect("a whole row");
            }
            let expected = serde_json::json!({ "measure": expected });
            assert_eq!(passing.finish(), expected, "{sql}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_asked_of_the_server() {
        for sql in [
            "min(small)",
            "count(distinct small)",
            "count(all small)",
            "sum(small) + 1",
            "sum(small, big)",
            "sum(words)",
            "sum(*)",
            "count(nothing)",
            "count(user)",
            "coalesce(sum(small), -1)",
            "coalesce(sum(small), 0.5)",
            "coalesce(sum(small), 99999999999999999999)",
            "count(*) filter (where small = '7')",
            "count(*) filter (where words = E'it')",
            "count(*) filter (where words = 'a\\b')",
            "count(*) filter (where words >= 'it')",
            "count(*) filter (where words = 'it' or true)",
            "public.count(*)",
            "count(*)::text",
            "sum(small) -- all of it\r + 1",
            "sum(small) /* all of it",
            "count(\u{a0}small)",
            "count(\"\"\"small\"\"\")",
        ] {
            assert!(compile(sql, MeasureType::Numeric).is_none(), "{sql}");
        }
        assert!(compile("count(*)", MeasureType::Text).is_none());
    }

    #[test]
    fn a_row_that_is_not_whole_is_none() {
        let whole = row([Some(&7i32.to_be_bytes()), None, Some(&MONEY), Some(b"x"), None]);
        for length in 0..whole.len() - 4 {
            let passing = compile("count(*) filter (where words = 'x')", MeasureType::Numeric);
            assert_eq!(passing.expect("a plain form").take_in(&whole[..length]), None, "{length}");
        }
    }
}
