//! Compiles `config/reports/NAME.toml` and the SQL file beside it.

use super::names::{self, Known};
use crate::config::{At, Ident, Problems, Source, suggest};
use crate::rows::source::hex;
use crate::sql::{Piece, Token, tokens};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// `config/reports/NAME.toml`: a report's file name and columns; its SQL is in `NAME.sql` beside it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseReport {
    /// Its name, an identifier; both files are called the same.
    pub name: String,
    /// The name of the file it writes, with the run date as `%Y%m%d` and the like.
    pub file: String,
    /// Its columns, exactly as the SQL names them and in that order.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
}

/// A checked report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    pub name: Ident,
    /// The name of the file it writes, with date specifiers.
    pub file: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The query, with `$1` for the run date.
    pub query: String,
    /// Where the SQL lies.
    pub sql_file: String,
    /// The SQL's SHA-256 in hexadecimal.
    pub sql_sha256: String,
    /// The datasets whose measures it reads.
    pub datasets: Vec<String>,
}

impl Report {
    /// The name of the file it writes for a run date.
    #[must_use]
    pub fn file_name(&self, run_date: NaiveDate) -> String {
        run_date.format(&self.file).to_string()
    }
}

/// The parameters that a report's SQL may name.
const PARAMETERS: [&str; 1] = ["run_date"];

/// What a query can begin with.
const QUERIES: [&str; 5] = ["select", "with", "values", "table", "("];

/// A report's query, checked.
struct Query {
    text: String,
    file: String,
    sha256: String,
    datasets: Vec<String>,
}

/// Compiles a report; everything wrong with it is a problem. Its SQL is checked also where its TOML has no shape.
pub fn compile_report(
    source: &Source,
    loose: Option<LooseReport>,
    known: Known<'_>,
    problems: &mut Problems,
) -> Option<Report> {
    let before = problems.len();
    let query = compile_query(source, known, problems);
    let loose = loose?;
    let name = Ident::parse(&loose.name)
        .map_err(|error| problems.push(source.problem(&At::key("name"), error.to_string())))
        .ok();
    if name.is_some() {
        source.check_name(&loose.name, problems);
    }
    check_file_name(source, &loose.file, problems);
    check_columns(source, &loose.columns, problems);
    (problems.len() == before).then_some(())?;
    let query = query?;
    Some(Report {
        name: name?,
        file: loose.file,
        columns: loose.columns,
        query: query.text,
        sql_file: query.file,
        sql_sha256: query.sha256,
        datasets: query.datasets,
    })
}

fn compile_query(source: &Source, known: Known<'_>, problems: &mut Problems) -> Option<Query> {
    let path = source.path().with_extension("sql");
    if !path.exists() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        problems
            .push(source.problem(&At::file(), format!("there is no {name} beside it, which holds the report's SQL")));
        return None;
    }
    let sql = Source::read(&path, problems)?;
    let text = bind_parameters(&sql, problems);
    let datasets = names::check(&sql, known, problems);
    Some(Query { text, file: path.display().to_string(), sha256: hex(&Sha256::digest(sql.text())), datasets })
}

fn check_file_name(source: &Source, file: &str, problems: &mut Problems) {
    let mut problem = |message: String| problems.push(source.problem(&At::key("file"), message));
    let (Some(name), Some(another)) = (on(file, NaiveDate::default()), on(file, NaiveDate::MAX)) else {
        return problem(format!("{file:?} has a specifier that is none of a date; write %% for a percent sign"));
    };
    let is_plain = !name.contains(|c: char| c == '/' || c == '\\' || c.is_control()) && !name.starts_with('.');
    if name.is_empty() || !is_plain {
        problem(format!("{name:?} is no name for a file in the output folder: no path, no leading dot"));
    } else if name == another {
        problem("must hold the run date (as %Y%m%d), or each day would overwrite the one before".to_owned());
    }
}

/// The file's name on a day; none when the day does not tell it.
fn on(file: &str, day: NaiveDate) -> Option<String> {
    let mut name = String::new();
    write!(name, "{}", day.format(file)).ok().map(|()| name)
}

fn check_columns(source: &Source, columns: &[String], problems: &mut Problems) {
    for (i, column) in columns.iter().enumerate() {
        let at = At::key("columns").index(i);
        if let Err(error) = Ident::parse(column) {
            problems.push(source.problem(&at, error.to_string()));
        }
        if columns[..i].contains(column) {
            problems.push(source.problem(&at, format!("the column {column} is there twice")));
        }
    }
}

/// Puts `$1` for `:run_date`, drops a closing semicolon, refuses unknown parameters and further statements.
fn bind_parameters(sql: &Source, problems: &mut Problems) -> String {
    let pieces = tokens(sql.text());
    let mut query = String::with_capacity(sql.text().len());
    let mut copied = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let replacement = match (piece.token, piece.text) {
            (Token::Parameter, "run_date") => "$1::date",
            (Token::Parameter, name) => {
                let message = format!("the parameter :{name} is unknown{}", suggest(name, PARAMETERS));
                problems.push(sql.problem_at(piece.start, message));
                continue;
            }
            (Token::Other, ";") if i + 1 == pieces.len() => "",
            (Token::Other, ";") => {
                problems
                    .push(sql.problem_at(piece.start, "a report is one statement; nothing may follow its semicolon"));
                break;
            }
            _ => continue,
        };
        query.push_str(&sql.text()[copied..piece.start]);
        query.push_str(replacement);
        copied = piece.end;
    }
    query.push_str(&sql.text()[copied..]);
    check_statement(sql, &pieces, problems);
    query
}

/// A report must be a query, and one of a run date.
fn check_statement(sql: &Source, pieces: &[Piece<'_>], problems: &mut Problems) {
    let Some(first) = pieces.first() else {
        return problems.push(sql.problem(&At::file(), "the file holds no SQL"));
    };
    if !QUERIES.iter().any(|word| first.text.eq_ignore_ascii_case(word)) {
        problems
            .push(sql.problem_at(first.start, format!("a report is a query; it can't begin with {:?}", first.text)));
    }
    if !pieces.iter().any(|piece| piece.token == Token::Parameter) {
        problems.push(sql.problem(&At::file(), "the SQL does not name :run_date; a report is of one run date"));
    }
}
