//! Triage: many rejects of one cause are one finding, with its lines, an example and what may have happened.
//!
//! Rejects go by one after the other; what is kept of them is their findings.

mod cause;

use super::column::Column;
use super::dataset::Dataset;
use super::header::folded;
use super::quarantine::{Filter, matching};
use anyhow::Context;
use cause::{Cause, Hint, Shape};
use chrono::NaiveDate;
use futures_util::TryStreamExt;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::HashMap;
use std::sync::Arc;

/// A gap of more lines than this between two rejects of one cause begins another run of lines.
const GAP: i64 = 1000;

/// A cause of more runs than this is scattered over the file: one finding, not many.
const MOST_RUNS: usize = 5;

/// Many rejects of one cause.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The load that met them.
    pub load_id: i64,
    /// The dataset's name.
    pub dataset: String,
    /// The customer's name.
    pub customer: String,
    /// The day it is for.
    pub run_date: NaiveDate,
    /// The dataset's column; none where the records as a whole are at fault.
    pub column: Option<String>,
    /// The code of the errors; of records with a cause as a whole that of their first error.
    pub code: String,
    /// How many rejects.
    pub count: u64,
    /// The line of the first of them.
    pub first_line: i64,
    /// The line of the last of them.
    pub last_line: i64,
    /// Whether they are strewn over those lines.
    pub scattered: bool,
    /// The number of one of them.
    pub example: i64,
    /// What is wrong with that one.
    pub message: String,
    /// What may have happened, and what to do.
    pub suggestion: String,
}

/// Reads the rejects that match and gives their findings, the most frequent first.
///
/// # Errors
/// What the server says.
pub async fn triage(
    connection: &mut PgConnection,
    filter: &Filter,
    dataset_of: impl Fn(&str, &str) -> Option<Arc<Dataset>>,
) -> anyhow::Result<Vec<Finding>> {
    let loads = loads(connection, filter, dataset_of).await?;
    let query = matching!(
        "select r.id, r.load_id, r.line, r.payload, r.errors,
                case when r.error_class = 'encoding' then substring(r.raw from 1 for 4096) end as raw",
        " order by r.load_id, r.line"
    );
    let mut groups = IndexMap::new();
    let mut rows = sqlx::query_as_with::<_, Row, _>(query, filter.arguments()?).fetch(connection);
    while let Some(row) = rows.try_next().await.context("read the rejects")? {
        let Some(load) = loads.get(&row.load_id) else { continue };
        for cause in load.shape.causes(&row) {
            let key = (row.load_id, cause.column.clone(), cause.code.clone(), cause.of_the_row);
            groups.entry(key).or_insert_with(Group::default).add(&row, cause);
        }
    }
    let mut findings: Vec<Finding> = Vec::new();
    for ((load_id, column, code, _), group) in groups {
        let Some(load) = loads.get(&load_id) else { continue };
        findings.extend(group.findings(load_id, load, column.as_deref(), &code));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.count));
    Ok(findings)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    load_id: i64,
    line: i64,
    payload: Json<serde_json::Map<String, Value>>,
    errors: Value,
    raw: Option<Vec<u8>>,
}

struct Load {
    dataset: String,
    customer: String,
    run_date: NaiveDate,
    shape: Shape,
}

type LoadRow = (i64, String, String, NaiveDate, Option<Json<Vec<String>>>);

async fn loads(
    connection: &mut PgConnection,
    filter: &Filter,
    dataset_of: impl Fn(&str, &str) -> Option<Arc<Dataset>>,
) -> anyhow::Result<HashMap<i64, Load>> {
    let query = matching!(
        "select m.id, m.dataset, m.customer, m.run_date, y.names
           from bursar.loads as m left join bursar.layouts as y on y.load_id = m.id
          where m.id in (select r.load_id",
        ")"
    );
    let rows: Vec<LoadRow> = sqlx::query_as_with(query, filter.arguments()?)
        .fetch_all(connection)
        .await
        .context("look for the loads of the rejects")?;
    let load = |(id, dataset, customer, run_date, names): LoadRow| {
        let names = names.map(|names| names.0).unwrap_or_default();
        let shape = Shape::new(dataset_of(&dataset, &customer), names);
        (id, Load { dataset, customer, run_date, shape })
    };
    Ok(rows.into_iter().map(load).collect())
}

/// Rejects of one load, column and code.
#[derive(Default)]
struct Group {
    runs: Vec<Run>,
    is_scattered: bool,
}

/// Rejects that stand near each other.
struct Run {
    count: u64,
    first_line: i64,
    last_line: i64,
    example: i64,
    message: String,
    votes: HashMap<Hint, u64>,
}

impl Group {
    fn add(&mut self, row: &Row, cause: Cause) {
        let near = self.is_scattered || self.runs.last().is_some_and(|run| row.line - run.last_line <= GAP);
        if !near {
            self.runs.push(Run {
                count: 0,
                first_line: row.line,
                last_line: row.line,
                example: row.id,
                message: cause.message,
                votes: HashMap::new(),
            });
        }
        if let Some(run) = self.runs.last_mut() {
            run.count += 1;
            run.last_line = row.line;
            cause.hints.into_iter().for_each(|hint| *run.votes.entry(hint).or_default() += 1);
        }
        if self.runs.len() > MOST_RUNS {
            self.scatter();
        }
    }

    /// Makes one run of all.
    fn scatter(&mut self) {
        self.is_scattered = true;
        let mut runs = std::mem::take(&mut self.runs).into_iter();
        let Some(mut all) = runs.next() else { return };
        for run in runs {
            all.count += run.count;
            all.last_line = run.last_line;
            run.votes.into_iter().for_each(|(hint, votes)| *all.votes.entry(hint).or_default() += votes);
        }
        self.runs = vec![all];
    }

    fn findings(self, load_id: i64, load: &Load, column: Option<&str>, code: &str) -> Vec<Finding> {
        let scattered = self.is_scattered;
        let finding = |run: Run| Finding {
            load_id,
            dataset: load.dataset.clone(),
            customer: load.customer.clone(),
            run_date: load.run_date,
            column: column.map(str::to_owned),
            code: code.to_owned(),
            count: run.count,
            first_line: run.first_line,
            last_line: run.last_line,
            scattered,
            example: run.example,
            suggestion: load.shape.suggestion(code, run.count, &run.votes),
            message: run.message,
        };
        self.runs.into_iter().map(finding).collect()
    }
}

/// Where a header has each of the dataset's columns.
fn places(dataset: &Dataset, names: &[String]) -> Vec<Option<usize>> {
    let names: Vec<String> = names.iter().map(|name| folded(name)).collect();
    let find = |header: &String| names.iter().position(|name| *name == folded(header));
    let place = |column: &Column| match column.position {
        Some(position) => position.checked_sub(1).filter(|place| *place < names.len()),
        None => column.headers.iter().find_map(find),
    };
    dataset.columns.iter().map(place).collect()
}
