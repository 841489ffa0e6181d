//! `bursar check`

mod database;

use super::{Context, show, usage};
use crate::catalog::{Catalog, effective};
use crate::config::{ALLOW_HTTP, Ident, Problem, Problems, Settings, SettingsFile};
use crate::fault::{self, Fault};
use crate::rows::dataset::Setting;
use crate::rows::source::Places;
use crate::rows::source::address::shown;
use crate::systems;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Check the database, too: its version and encoding, everything that `migrate` and loads need the role to be allowed
    /// to do, tables that differ from their datasets, and whether the server understands each measure and report.
    /// Changes nothing there.
    #[arg(long)]
    database: bool,
    /// With --database: print only the SQL statements that repair the tables that differ from their datasets.
    #[arg(long, requires = "database", conflicts_with = "json")]
    sql: bool,
    /// Print the configuration of a dataset that is in force, with the file and line that sets each value.
    #[arg(long, value_name = "DATASET")]
    show: Option<String>,
    /// With --show: as it is for this customer.
    #[arg(long, value_name = "NAME", requires = "show")]
    customer: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut problems = Problems::default();
    let settings = Settings::compile(&context.config, &context.environment, &mut problems);
    let schema = settings.as_ref().map(|settings| settings.file.database.schema.clone());
    let schema = Ident::parse(&schema.unwrap_or_else(|| SettingsFile::default().database.schema))?;
    let (catalog, others) = Catalog::compile(&context.config, &schema, &systems::parts());
    problems.extend(others);
    let mut notes = Vec::new();
    if arguments.sql {
        problems.into_result()?;
        if let Some(settings) = &settings {
            database::repair_sql(settings, &catalog).await?.map_or(Ok(()), |sql| show::line(&sql))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let (Some(settings), true) = (&settings, arguments.database) {
        let found = database::check(context, settings, &catalog).await?;
        problems.extend(found.problems);
        notes = found.notes;
    }
    let places = settings.as_ref().map(Places::new);
    if let Some(places) = places {
        problems.extend(of_sources(&places, &catalog));
    }
    let (warnings, problems) = (problems.warnings(), problems.sorted());
    if let (Some(dataset), true) = (&arguments.show, problems.is_empty()) {
        return show_settings(context, &catalog, dataset, arguments);
    }
    if arguments.json {
        let mut found = json!({"problems": problems, "notes": notes});
        if !warnings.is_empty() {
            found["warnings"] = json!(warnings);
        }
        show::json(&found)?;
    } else if problems.is_empty() {
        let declared = [
            counted(catalog.customers.len(), "customer"),
            counted(catalog.datasets.len(), "dataset"),
            counted(catalog.reports.len(), "report"),
            counted(catalog.jobs.len(), "job"),
        ];
        show::line(&format!("{}: {}; no problems", context.config.display(), declared.join(", ")))?;
    }
    if !arguments.json {
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        for note in &notes {
            eprintln!("note: {note}");
        }
    }
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.json {
        for problem in &problems {
            show::message(&problem.to_string());
        }
        eprintln!("error: {} in {}", counted(problems.len(), "problem"), context.config.display());
    }
    Ok(ExitCode::from(Fault::Config.exit_code()))
}

/// Prints the configuration of a dataset that is in force.
fn show_settings(
    context: &Context,
    catalog: &Catalog,
    dataset: &str,
    arguments: &Arguments,
) -> anyhow::Result<ExitCode> {
    let dataset = catalog.dataset(dataset).map_err(|error| usage(fault::told(&error)))?;
    let customer = arguments.customer.as_deref();
    let deliverer = customer.map(|name| catalog.deliverer(dataset, name).map_err(|error| usage(fault::told(&error))));
    let deliverer = deliverer.transpose()?;
    let settings = effective(&context.config, dataset, deliverer.as_ref().map(|deliverer| &*deliverer.customer))?;
    if arguments.json {
        show::json(&json!({"dataset": dataset.name.as_str(), "customer": customer, "settings": settings}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines: Vec<(String, &Setting)> = settings.iter().map(|s| (format!("{} = {}", s.key, s.value), s)).collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    for (line, setting) in &lines {
        show::line(&format!("{line:width$}  # {}", setting.from.as_deref().unwrap_or("default")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the environment lacks for the places that files are to come from, each variable once.
fn of_sources(places: &Places, catalog: &Catalog) -> Problems {
    let mut found = BTreeMap::new();
    for dataset in catalog.datasets.values() {
        let deliverers = catalog.deliverers(dataset);
        let own = deliverers.iter().map(|customer| dataset.of_customer(customer).file.as_str());
        for pattern in own.chain([dataset.file.as_str()]) {
            if let Some((variable, why)) = places.problem(pattern) {
                let shown = shown(pattern);
                found.entry((variable.unwrap_or(ALLOW_HTTP), why)).or_insert((dataset.name.clone(), shown));
            }
        }
    }
    let mut problems = Problems::default();
    for ((variable, why), (dataset, pattern)) in found {
        let message = format!("{why} (the dataset {dataset} reads {pattern})");
        problems.push(Problem::of_environment(variable, message));
    }
    problems
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
