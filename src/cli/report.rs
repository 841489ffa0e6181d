//! `bursar report`: asks a report for its rows.

use super::{Context, runs, show, signals, usage};
use crate::app;
use crate::clock::Clock;
use crate::config::suggest;
use crate::report::ask::{Reader, ask};
use crate::report::compile::Report;
use crate::report::parameter::Values;
use crate::report::query::Kind;
use anyhow::Context as _;
use chrono::NaiveDate;
use serde_json::{Map, Value};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The report's name.
    name: String,
    /// The run date, as YYYY-MM-DD; today (UTC) where it is not given.
    #[arg(long, value_name = "DATE")]
    date: Option<NaiveDate>,
    /// A parameter that the report declares; may be given for each.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, String)>,
    /// The run date to compare with: the same as --param against=DATE.
    #[arg(long, value_name = "DATE")]
    against: Option<String>,
    /// How the rows are printed; a table on a terminal, else CSV.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Csv,
    Table,
    Json,
}

impl Arguments {
    pub(super) fn is_json(&self) -> bool {
        self.format == Some(Format::Json)
    }
}

fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts.ok_or_else(|| "write NAME=VALUE".to_owned())
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let cancel = signals::stop_token()?;
    let settings = context.settings()?;
    let catalog = app::compile(&settings)?;
    let report = catalog.reports.get(&arguments.name).ok_or_else(|| {
        let hint = suggest(&arguments.name, catalog.reports.keys().map(String::as_str));
        usage(format!("there is no report {:?}{hint}", arguments.name))
    })?;
    let values = values(report, &arguments)?;
    let database = runs::open(&settings).await?;
    let asking = print(&database.pool, report, &values, arguments.format.unwrap_or_else(usual));
    let asked = signals::unless_stopped(&cancel, Box::pin(asking)).await;
    database.close().await?;
    asked?;
    Ok(ExitCode::SUCCESS)
}

fn usual() -> Format {
    if std::io::stdout().is_terminal() { Format::Table } else { Format::Csv }
}

fn values(report: &Report, arguments: &Arguments) -> anyhow::Result<Values> {
    let run_date = arguments.date.unwrap_or_else(|| Clock::system().now().date_naive());
    let against = arguments.against.iter().map(|date| ("against".to_owned(), date.clone()));
    let given: Vec<(String, String)> = arguments.parameters.iter().cloned().chain(against).collect();
    Values::parse(report, run_date, &given).map_err(|problems| usage(problems.join("; ")))
}

async fn print(pool: &sqlx::PgPool, report: &Report, values: &Values, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Csv => {
            let mut printer = Csv { report, out: csv::Writer::from_writer(std::io::stdout()) };
            let asked = ask(pool, report, values, &mut printer).await;
            let done = asked.and_then(|_| printer.out.flush().context("print the report"));
            show::unless_gone(done).map(drop)
        }
        Format::Table => {
            let mut printer = Table { report, table: None };
            ask(pool, report, values, &mut printer).await?;
            printer.table.map_or(Ok(()), |table| show::line(&table))
        }
        Format::Json => {
            let mut printer = Json { report, kinds: Vec::new(), rows: Vec::new() };
            ask(pool, report, values, &mut printer).await?;
            show::json(&printer.rows)
        }
    }
}

struct Csv<'a, W: Write> {
    report: &'a Report,
    out: csv::Writer<W>,
}

impl<W: Write + Send> Reader for Csv<'_, W> {
    fn begin(&mut self, _: &[Kind]) -> anyhow::Result<()> {
        self.out.write_record(&self.report.headers).map_err(of_output)
    }

    fn row(&mut self, values: &[Option<String>]) -> anyhow::Result<()> {
        self.out.write_record(values.iter().map(|v| v.as_deref().unwrap_or_default())).map_err(of_output)
    }
}

/// What the output said, so that one who went away is known.
fn of_output(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => anyhow::anyhow!("print the report: {kind:?}"),
    }
}

struct Table<'a> {
    report: &'a Report,
    table: Option<comfy_table::Table>,
}

impl Reader for Table<'_> {
    fn begin(&mut self, kinds: &[Kind]) -> anyhow::Result<()> {
        let headers: Vec<&str> = self.report.headers.iter().map(String::as_str).collect();
        let numbers: Vec<usize> = kinds
            .iter()
            .enumerate()
            .filter(|(_, k)| matches!(k, Kind::Integer | Kind::Decimal))
            .map(|(i, _)| i)
            .collect();
        self.table = Some(show::table(&headers, &numbers));
        Ok(())
    }

    fn row(&mut self, values: &[Option<String>]) -> anyhow::Result<()> {
        if let Some(table) = &mut self.table {
            table.add_row(values.iter().map(|v| v.as_deref().unwrap_or_default()));
        }
        Ok(())
    }
}

/// An array of objects. Decimals are texts, so that no reader takes them for floats.
struct Json<'a> {
    report: &'a Report,
    kinds: Vec<Kind>,
    rows: Vec<Value>,
}

impl Reader for Json<'_> {
    fn begin(&mut self, kinds: &[Kind]) -> anyhow::Result<()> {
        self.kinds = kinds.to_vec();
        Ok(())
    }

    fn row(&mut self, values: &[Option<String>]) -> anyhow::Result<()> {
        let fields = self.report.columns.iter().zip(&self.kinds).zip(values);
        let value = |((column, kind), text): ((&String, &Kind), &Option<String>)| {
            (column.clone(), text.as_ref().map_or(Value::Null, |text| kind.json(text)))
        };
        self.rows.push(Value::Object(fields.map(value).collect::<Map<String, Value>>()));
        Ok(())
    }
}
