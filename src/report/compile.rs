//! Compiles `config/reports/NAME.toml` and the SQL file beside it.

use super::names;
use crate::config::{At, Ident, Problems, Source, suggest};
use crate::rows::dataset::Dataset;
use crate::rows::source::hex;
use crate::sql::{Token, tokens};
use chrono::format::{Item, StrftimeItems};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

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

/// The parameters that a report's SQL may name.
const PARAMETERS: [&str; 1] = ["run_date"];

/// Compiles a report; everything wrong with it is a problem.
pub fn compile_report(source: &Source, loose: LooseReport, datasets: &[&Dataset], problems: &mut Problems) -> Option<Report> {
    let before = problems.len();
    let name = Ident::parse(&loose.name)
        .map_err(|error| problems.push(source.problem(&At::key("name"), error.to_string())))
        .ok();
    if source.path().file_stem().is_some_and(|stem| stem != loose.name.as_str()) {
        problems.push(source.problem(&At::key("name"), format!("the file of the report {0} must be called {0}.toml", loose.name)));
    }
    check_file_name(source, &loose.file, problems);
    check_columns(source, &loose.columns, problems);
    let sql = Source::read(&source.path().with_extension("sql"), problems)?;
    let query = bind_parameters(&sql, problems);
    let used = names::check(&sql, datasets, problems);
    (problems.len() == before).then_some(())?;
    Some(Report {
        name: name?,
        file: loose.file,
        columns: loose.columns,
        query,
        sql_file: sql.path().display().to_string(),
        sql_sha256: hex(&Sha256::digest(sql.text())),
        datasets: used,
    })
}

fn check_file_name(source: &Source, file: &str, problems: &mut Problems) {
    let mut problem = |message: &str| problems.push(source.problem(&At::key("file"), message));
    if file.is_empty() || file.contains(['/', '\\', '\0']) || file.starts_with('.') {
        problem("is the name of a file in the output folder, without a path");
    }
    if StrftimeItems::new(file).any(|item| item == Item::Error) {
        problem("has an unknown date specifier; write %% for a percent sign");
    } else if chrono::NaiveDate::default().format(file).to_string() == chrono::NaiveDate::MAX.format(file).to_string() {
        problem("must hold the run date (as %Y%m%d), or each day would overwrite the one before");
    }
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
                problems.push(sql.problem_at(piece.start, "a report is one statement; nothing may follow its semicolon"));
                continue;
            }
            _ => continue,
        };
        query.push_str(&sql.text()[copied..piece.start]);
        query.push_str(replacement);
        copied = piece.end;
    }
    query.push_str(&sql.text()[copied..]);
    if pieces.is_empty() {
        problems.push(sql.problem_at(0, "the file holds no SQL"));
    }
    query
}
