//! Asks the server whether it understands a report's SQL, before the report is run.

use super::compile::{Report, existence_at};
use super::names::VIEW;
use crate::config::{At, Problems, Source, TextPlace};
use crate::db::prepare::{Answer, Prepared, names};
use crate::rows::dataset::Dataset;
use crate::rows::measure::measure_columns;
use crate::rows::table::columns_of;
use crate::sql::{Piece, Token, tokens};
use anyhow::Context;
use sqlx::PgPool;
use std::sync::Arc;

/// Whether the database has all tables that reports may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// `bursar migrate` has made them, and the role may use them.
    Made,
    /// Not yet: that a relation does not exist, or may not be read, is no fault of the report.
    Lacking,
}

/// What the server refuses of a report, each at its line; `source` is the report's TOML file. Nothing is run. The views of
/// `datasets` are those that the configuration describes, whether `bursar migrate` has made them or not.
///
/// # Errors
/// When the server can't be asked.
pub async fn problems(
    pool: &PgPool,
    report: &Report,
    source: &Source,
    datasets: &[Arc<Dataset>],
    tables: Tables,
) -> anyhow::Result<Problems> {
    let mut connection = pool.acquire().await.context("take a connection to check reports")?;
    let mut problems = Problems::default();
    let read: Vec<&Arc<Dataset>> = datasets.iter().filter(|d| report.datasets.contains(&d.name.to_string())).collect();
    let views: Vec<View> = read.iter().flat_map(|dataset| View::list(dataset)).collect();
    let before = format!("{}select * from (", with(&views));
    let sql = unqualified(&report.sql.query, &views);
    let prepared = Prepared { before: &before, sql: &sql, after: "\n) as report" };
    match prepared.ask(&mut connection).await? {
        Answer::Columns(columns) if names(&columns) != report.columns => {
            let (found, declared) = (names(&columns).join(", "), report.columns.join(", "));
            let message = format!("{} returns the columns {found}; the report declares {declared}", report.sql_file);
            problems.push(source.problem(&At::key("columns"), message));
        }
        Answer::Columns(_) => {}
        Answer::Refused(refusal) if tables == Tables::Lacking && refusal.is_out_of_reach() => {}
        Answer::Refused(refusal) => {
            let place = TextPlace::whole_file(&report.sql_file);
            problems.push(prepared.problem(&place, &refusal, "the server refuses the report: "));
        }
    }
    for parameter in &report.parameters {
        let Some(existence) = &parameter.must_exist else { continue };
        let prepared = Prepared { before: "select exists (", sql: &existence.query, after: "\n)" };
        match prepared.ask(&mut connection).await? {
            Answer::Refused(refusal) if !(tables == Tables::Lacking && refusal.is_out_of_reach()) => {
                let place = source.text_place(&existence_at(parameter.position));
                problems.push(prepared.problem(&place, &refusal, "the server refuses the query: "));
            }
            _ => {}
        }
    }
    Ok(problems)
}

/// A view that a report may read, as the configuration describes it.
struct View {
    schema: String,
    name: String,
    /// A query of its columns, which are all null.
    query: String,
}

impl View {
    fn new(schema: &str, name: String, columns: &[(String, String)]) -> Self {
        let nulls: Vec<String> = columns.iter().map(|(name, kind)| format!("null::{kind} as \"{name}\"")).collect();
        Self { schema: schema.to_owned(), name, query: format!("select {}", nulls.join(", ")) }
    }

    /// The views of a dataset.
    fn list(dataset: &Dataset) -> Vec<Self> {
        let measures = Self::new("bursar", format!("{VIEW}{}", dataset.name), &measure_columns(dataset));
        let columns = columns_of(dataset).into_iter().map(|(name, kind, _)| (name.to_string(), kind));
        let columns: Vec<_> = std::iter::once(("customer".to_owned(), "text".to_owned())).chain(columns).collect();
        let consolidated = dataset.consolidated.as_ref();
        let consolidated = consolidated.map(|name| Self::new(dataset.schema.as_str(), name.to_string(), &columns));
        std::iter::once(measures).chain(consolidated).collect()
    }
}

/// The views as `with` queries.
fn with(views: &[View]) -> String {
    if views.is_empty() {
        return String::new();
    }
    let each: Vec<String> = views.iter().map(|view| format!("\"{}\" as ({})", view.name, view.query)).collect();
    format!("with {} ", each.join(", "))
}

/// The query with blanks in place of the schemas of these views, so that a `with` query of their name is read.
fn unqualified(sql: &str, views: &[View]) -> String {
    let mut query = sql.to_owned();
    for window in tokens(sql).windows(3) {
        let [schema, point, name] = window else { continue };
        let is = |piece: &Piece<'_>, text: &str| match piece.token {
            Token::Word => piece.text.eq_ignore_ascii_case(text),
            Token::QuotedName => piece.text == text,
            Token::Parameter | Token::Other => false,
        };
        if point.text == "." && views.iter().any(|view| is(schema, &view.schema) && is(name, &view.name)) {
            query.replace_range(schema.start..point.end, &" ".repeat(point.end - schema.start));
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::{View, unqualified};

    #[test]
    fn a_schema_is_blanked_out_in_front_of_a_view_alone() {
        let views = [View::new("bursar", "load_measures_a".to_owned(), &[])];
        let sql = "select m.x, 'bursar.load_measures_a' from bursar.Load_measures_a as m, \"bursar\".\"load_measures_a\", mine.load_measures_a";
        let expected = "select m.x, 'bursar.load_measures_a' from        Load_measures_a as m,          \"load_measures_a\", mine.load_measures_a";
        assert_eq!(unqualified(sql, &views), expected);
    }
}
