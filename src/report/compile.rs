//! Compiles `config/reports/NAME.toml` and the SQL file beside it.

use super::bind::{Bound, bind, type_of};
use super::names::{self, Known};
use super::parameter::{LooseParameter, Parameter, ParameterType, RUN_DATE, compile_parameters};
use super::query::{Needed, default_date};
use crate::config::{At, Ident, Problems, Source, Table, TextPlace, suggest};
use crate::rows::source::hex;
use crate::sql::{Token, tokens};
use chrono::{NaiveDate, NaiveTime};
use ring::digest;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write;

/// `config/reports/NAME.toml`: a report's file name and columns; its SQL is in `NAME.sql` beside it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseReport {
    /// Its name, an identifier; both files are called the same.
    pub name: String,
    /// The name of the file it writes, with the run date as `%Y%m%d` and the like; `%H%M%S` is the time, in UTC, at
    /// which the first run of the job for the run date began. Without it the report can only be asked.
    pub file: Option<String>,
    /// Its columns, exactly as the SQL names them and in that order.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
    /// What the file's header says of each column, where it is not the column's name.
    pub headers: Option<Vec<String>>,
    /// What it can be asked for beside the run date.
    #[serde(default)]
    pub parameter: Vec<LooseParameter>,
    /// Relations that must hold something before the report can be written or asked; its provenance tells what.
    #[serde(default)]
    pub source: Vec<LooseSource>,
}

/// A `[[source]]` of a report.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseSource {
    /// A table or view with a column `run_date`, as `schema.name`.
    pub relation: String,
    /// The parameter whose date it must hold something of.
    #[serde(default = "default_date")]
    pub date: String,
}

/// A checked report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    pub name: Ident,
    /// The name of the file it writes, with specifiers of date and time; none where it can only be asked.
    pub file: Option<String>,
    /// Its columns.
    pub columns: Vec<String>,
    /// What the file's header says of each.
    pub headers: Vec<String>,
    /// The query.
    pub sql: Bound,
    /// What it can be asked for.
    pub parameters: Vec<Parameter>,
    /// What it needs to be there.
    pub sources: Vec<Needed>,
    /// Where the SQL lies.
    pub sql_file: String,
    /// The SQL's SHA-256 in hexadecimal.
    pub sql_sha256: String,
    /// The datasets whose measures it reads.
    pub datasets: Vec<String>,
}

impl Report {
    /// Returns the tokens of its query: what is left of it without comments and blanks.
    #[must_use]
    pub fn tokens(&self) -> Vec<&str> {
        let query = &self.sql.query;
        tokens(query).into_iter().map(|piece| &query[piece.start..piece.end]).collect()
    }

    /// The name of the file it writes for a run date whose first run began at this time; without the time its
    /// place shows letters. None where it can only be asked.
    #[must_use]
    pub fn file_name(&self, run_date: NaiveDate, began: Option<NaiveTime>) -> Option<String> {
        on(self.file.as_ref()?, run_date, began)
    }
}

/// A report's query, checked.
struct Query {
    bound: Bound,
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
    let declared = loose.as_ref().map(|loose| compile_parameters(source, &loose.parameter, problems));
    let declared = declared.map(|declared| bind_existence(source, loose.as_ref(), declared, problems));
    let is_asked = loose.as_ref().is_some_and(|loose| loose.file.is_none());
    let query = compile_query(source, known, declared.as_deref(), is_asked, problems);
    let (loose, parameters) = (loose?, declared?);
    let name = Ident::parse(&loose.name)
        .map_err(|error| problems.push(source.problem(&At::key("name"), error.to_string())))
        .ok();
    if name.is_some() {
        source.check_name(&loose.name, problems);
    }
    if let Some(file) = &loose.file {
        check_file_name(source, file, problems);
    }
    check_columns(source, &loose.columns, problems);
    check_headers(source, &loose, problems);
    let sources = compile_sources(source, &loose.source, &parameters, problems);
    (problems.len() == before).then_some(())?;
    let query = query?;
    Some(Report {
        name: name?,
        file: loose.file,
        headers: loose.headers.unwrap_or_else(|| loose.columns.clone()),
        columns: loose.columns,
        sql: query.bound,
        parameters,
        sources,
        sql_file: query.file,
        sql_sha256: query.sha256,
        datasets: query.datasets,
    })
}

fn compile_query(
    source: &Source,
    known: Known<'_>,
    declared: Option<&[Parameter]>,
    is_asked: bool,
    problems: &mut Problems,
) -> Option<Query> {
    let path = source.path().with_extension("sql");
    if !path.exists() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        problems
            .push(source.problem(&At::file(), format!("there is no {name} beside it, which holds the report's SQL")));
        return None;
    }
    let sql = Source::read(&path, problems)?;
    let Bound { query, binds } = bind_declared(&sql, declared, is_asked, problems);
    for parameter in declared.into_iter().flatten() {
        if !binds.iter().any(|name| name == parameter.name.as_str()) {
            let at = At::key("parameter").index(parameter.position).then("name");
            problems.push(source.problem(&at, format!("the SQL does not name :{}", parameter.name)));
        }
    }
    let datasets = names::check(&sql, known, problems);
    let sha256 = hex(digest::digest(&digest::SHA256, sql.text().as_bytes()).as_ref());
    Some(Query { bound: Bound { query, binds }, file: path.display().to_string(), sha256, datasets })
}

/// Binds a report's own SQL. `declared` is `None` if the TOML has no shape: then nothing can be said of parameters.
fn bind_declared(sql: &Source, declared: Option<&[Parameter]>, is_asked: bool, problems: &mut Problems) -> Bound {
    let place = TextPlace::whole_file(sql.path());
    let at = |offset: usize, message: String| place.problem(sql.text(), offset, message);
    let parameters = declared.unwrap_or_default();
    let bound = bind(sql.text(), parameters, &at, problems);
    let pieces = tokens(sql.text());
    if pieces.is_empty() {
        problems.push(sql.problem(&At::file(), "the file holds no SQL"));
    }
    let is_misnamed =
        pieces.iter().any(|piece| piece.token == Token::Parameter && type_of(parameters, piece.text).is_none());
    // A misspelt name was reported; it may well be this one.
    if !is_asked && !is_misnamed && !pieces.is_empty() && !bound.binds.iter().any(|name| name == RUN_DATE) {
        problems.push(sql.problem(&At::file(), "the SQL does not name :run_date; a report is of one run date"));
    }
    bound
}

/// Binds the queries that decide whether a parameter's value exists (`must_exist`).
fn bind_existence(
    source: &Source,
    loose: Option<&LooseReport>,
    mut parameters: Vec<Parameter>,
    problems: &mut Problems,
) -> Vec<Parameter> {
    let declared = parameters.clone();
    for parameter in &mut parameters {
        let Some(sql) = loose.and_then(|loose| loose.parameter[parameter.position].must_exist.as_deref()) else {
            continue;
        };
        let place = source.text_place(&existence_at(parameter.position));
        let at = |offset: usize, message: String| place.problem(sql, offset, message);
        let bound = bind(sql, &declared, &at, problems);
        if !bound.binds.iter().any(|name| name == parameter.name.as_str()) {
            problems.push(at(0, format!("the query does not name :{}", parameter.name)));
        }
        parameter.must_exist = Some(bound);
    }
    parameters
}

/// The key of a parameter's `must_exist`.
pub(super) fn existence_at(position: usize) -> At {
    At::key("parameter").index(position).then("must_exist")
}

fn check_file_name(source: &Source, file: &str, problems: &mut Problems) {
    let mut problem = |message: String| problems.push(source.problem(&At::key("file"), message));
    let (Some(name), Some(another)) = (on(file, NaiveDate::default(), None), on(file, NaiveDate::MAX, None)) else {
        let form = "that is none of a date or a time (%H, %M, %S); write %% for a percent sign";
        return problem(format!("{file:?} has a specifier {form}"));
    };
    let is_plain = !name.contains(|c: char| c == '/' || c == '\\' || c.is_control()) && !name.starts_with('.');
    if name.is_empty() || !is_plain {
        problem(format!("{name:?} is no name for a file in the output folder: no path, no leading dot"));
    } else if name == another {
        problem("must hold the run date (as %Y%m%d), or each day would overwrite the one before".to_owned());
    }
}

/// The file's name on a day; none when the day does not tell it.
fn on(file: &str, day: NaiveDate, began: Option<NaiveTime>) -> Option<String> {
    let (mut pattern, mut characters) = (String::new(), file.chars());
    while let Some(c) = characters.next() {
        let specifier = if c == '%' { characters.next() } else { None };
        match (specifier, began) {
            (Some(part @ ('H' | 'M' | 'S')), Some(time)) => pattern += &time.format(&format!("%{part}")).to_string(),
            (Some(part @ ('H' | 'M' | 'S')), None) => pattern.extend([part, part]),
            (specifier, _) => pattern.extend(std::iter::once(c).chain(specifier)),
        }
    }
    let mut name = String::new();
    write!(name, "{}", day.format(&pattern)).ok().map(|()| name)
}

fn check_headers(source: &Source, loose: &LooseReport, problems: &mut Problems) {
    let Some(headers) = &loose.headers else { return };
    if headers.len() != loose.columns.len() {
        let message = format!("names {} columns; there are {}", headers.len(), loose.columns.len());
        problems.push(source.problem(&At::key("headers"), message));
    }
    for (i, header) in headers.iter().enumerate() {
        let at = At::key("headers").index(i);
        if header.is_empty() || header.contains(char::is_control) {
            problems.push(source.problem(&at, format!("{header:?} is no text of one line")));
        } else if headers[..i].contains(header) {
            problems.push(source.problem(&at, format!("the header {header} is there twice")));
        }
    }
}

fn compile_sources(
    source: &Source,
    loose: &[LooseSource],
    parameters: &[Parameter],
    problems: &mut Problems,
) -> Vec<Needed> {
    let is_date = |p: &&Parameter| p.r#type == ParameterType::Date;
    let dates: Vec<&str> = parameters.iter().filter(is_date).map(|p| p.name.as_str()).chain([RUN_DATE]).collect();
    let mut compiled = Vec::new();
    for (i, LooseSource { relation, date }) in loose.iter().enumerate() {
        let at = |key: &str| At::key("source").index(i).then(key);
        if !dates.contains(&date.as_str()) {
            let hint = suggest(date, dates.iter().copied());
            problems.push(source.problem(&at("date"), format!("there is no parameter {date:?} that is a date{hint}")));
        }
        let parts = relation.split_once('.').map(|(schema, name)| (Ident::parse(schema), Ident::parse(name)));
        match parts {
            Some((Ok(schema), Ok(name))) => {
                compiled.push(Needed { relation: Table { schema, name }, date: date.clone() });
            }
            _ => problems
                .push(source.problem(&at("relation"), format!("{relation:?} is no relation; write schema.name"))),
        }
    }
    compiled
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
