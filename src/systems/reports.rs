//! Reports that can be asked, over HTTP: each that writes no file of its own is an operation, with the parameters that
//! it declares.

use crate::http::{
    Heading, Month, Operation, Paging, Param, Params, Problem, Routes, Spec, Table, Value, Window, sentence,
};
use crate::report::ask::{Reader, ask};
use crate::report::compile::Report;
use crate::report::parameter::{Parameter, ParameterType, RUN_DATE, Values};
use crate::report::query::Kind;
use crate::tasks::Deps;
use chrono::NaiveDate;
use std::fmt::Display;

const ABOUT: &str = "What is configured to be asked: `config/reports/`. Decimals are texts with all their digits.";

/// The longest text that a parameter takes.
const LONGEST: usize = 1000;

/// So many decimals a parameter's number has at most.
const MOST_DECIMALS: u32 = 12;

/// JSON's numbers are exact up to here.
const MOST: i64 = 9_007_199_254_740_991;

/// What is answered.
pub(super) fn routes(deps: &Deps) -> Routes {
    let catalog = deps.catalog.get();
    let asked = catalog.reports.values().filter(|report| report.file.is_none());
    asked.map(|report| operation(deps, report)).fold(Routes::new("reports", ABOUT), Routes::with)
}

fn operation(deps: &Deps, report: &Report) -> Operation {
    let (deps, name) = (deps.clone(), report.name.to_string());
    Operation::get(&format!("/reports/{name}"), &format!("report_{name}"), &format!("The report {name}"))
        .missing(
            "There is nothing of the run date, a parameter names something that does not exist, or the report was changed \
             since the daemon has started.",
        )
        .takes((Given::of(report), Paging::up_to(10_000, 1_000)))
        .tabulates(&report.columns, move |(given, window)| answer(deps.clone(), name.clone(), given, window))
}

/// The parameters of a report, as clients write them.
struct Given(Vec<Spec>);

impl Given {
    fn of(report: &Report) -> Self {
        let run_date = is_of_run_date(report).then(|| {
            Param::date(RUN_DATE)
                .example("2026-01-31")
                .about("The run date; today (UTC) where it is not given.")
                .spec()
                .clone()
        });
        Self(report.parameters.iter().map(spec).chain(run_date).collect())
    }
}

/// Whether an answer depends on the run date.
fn is_of_run_date(report: &Report) -> bool {
    report.sql.binds.iter().any(|name| name == RUN_DATE) || report.sources.iter().any(|source| source.date == RUN_DATE)
}

fn spec(parameter: &Parameter) -> Spec {
    let name = parameter.name.as_str();
    let spec = match parameter.r#type {
        ParameterType::Date => Param::date(name).example("2026-01-31").spec().clone(),
        ParameterType::Month => Param::month(name).example("2026-01").spec().clone(),
        ParameterType::Text => Param::text(name, LONGEST).spec().clone(),
        ParameterType::Integer => Param::integer(name).between(-MOST, MOST).spec().clone(),
        ParameterType::Decimal => Param::decimal(name, MOST_DECIMALS).spec().clone(),
        ParameterType::Boolean => Param::boolean(name).spec().clone(),
    };
    Spec { is_required: parameter.required, about: sentence(&parameter.about), ..spec }
}

impl Params for Given {
    type Values = Vec<(String, String)>;

    fn specs(&self) -> Vec<Spec> {
        self.0.clone()
    }

    fn values(&self, found: &mut dyn Iterator<Item = Option<Value>>) -> Option<Self::Values> {
        let mut values = Vec::new();
        for spec in &self.0 {
            values.extend(found.next()?.map(|value| (spec.name.clone(), text(&value))));
        }
        Some(values)
    }
}

/// A value as a report takes it.
fn text(value: &Value) -> String {
    let written: &dyn Display = match value {
        Value::Integer(number) => number,
        Value::Date(date) => date,
        Value::Month(month) => return month_of(*month),
        Value::Text(text) => text,
        Value::Boolean(is) => is,
        Value::Decimal(number) => number,
    };
    written.to_string()
}

fn month_of(month: Month) -> String {
    month.first_day().format("%Y-%m").to_string()
}

async fn answer(deps: Deps, name: String, given: Vec<(String, String)>, window: Window) -> anyhow::Result<Table> {
    let catalog = deps.catalog.get();
    let changed = |why: String| Problem::not_found(format!("The report {name} was changed: {why}."));
    let report = catalog.reports.get(&name).filter(|report| report.file.is_none());
    let report = report.ok_or_else(|| changed("it can't be asked any more".to_owned()))?;
    let (dates, given): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| name == RUN_DATE);
    let date = dates.first().and_then(|(_, date)| date.parse::<NaiveDate>().ok());
    let run_date = date.unwrap_or_else(|| deps.clock.now().date_naive());
    let values = Values::parse(report, run_date, &given).map_err(|problems| changed(problems.join("; ")))?;
    let mut kept = Kept { window, kinds: Vec::new(), passed: 0, rows: Vec::new() };
    let total = ask(&deps.reader, report, &values, &mut kept).await?;
    let heading = |(name, kind): (&String, &Kind)| Heading { name: name.clone(), is_free_text: *kind == Kind::Text };
    let columns = report.columns.iter().zip(&kept.kinds).map(heading).collect();
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    Ok(Table { columns, page: window.page(kept.rows, total) })
}

/// Keeps the rows of a page, and passes over the others.
struct Kept {
    window: Window,
    kinds: Vec<Kind>,
    passed: i64,
    rows: Vec<Vec<serde_json::Value>>,
}

impl Reader for Kept {
    fn begin(&mut self, kinds: &[Kind]) -> anyhow::Result<()> {
        self.kinds = kinds.to_vec();
        Ok(())
    }

    fn row(&mut self, values: &[Option<String>]) -> anyhow::Result<()> {
        let place = self.passed - self.window.offset;
        if (0..self.window.limit).contains(&place) {
            let value = |(kind, text): (&Kind, &Option<String>)| {
                text.as_ref().map_or(serde_json::Value::Null, |text| kind.json(text))
            };
            self.rows.push(self.kinds.iter().zip(values).map(value).collect());
        }
        self.passed += 1;
        Ok(())
    }

    fn nothing(&self, why: String) -> anyhow::Error {
        Problem::not_found(sentence(&why)).into()
    }
}
