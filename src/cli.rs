//! Commands and their arguments.

mod alerts;
mod backfill;
mod bench;
mod charges;
mod check;
mod deliveries;
mod demo;
mod dry_run;
mod health;
mod jobs;
mod loads;
mod migrate;
mod notes;
mod occurrences;
mod parse;
mod progress;
mod psql;
mod rejects;
mod reload;
mod report;
mod run_job;
mod runs;
mod schema;
mod scope;
mod serve;
mod show;
mod signals;
mod status;
mod tokens;
mod workers;
mod zones;

use crate::config::{Environment, Settings};
use crate::fault;
use crate::outbound;
use crate::telemetry::{self, DaemonLog};
use clap::{Parser, Subcommand};
use progress::Bars;
use serde_json::json;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// What the daemon logs unless `RUST_LOG` is set. What libraries log at every start is of no use to an operator, nor is
/// the text of a load's statement that takes more than a second; why a pool opens no session is logged once, by
/// [`crate::db`].
const DAEMON_LOG: &str = "info,sqlx=warn,sqlx::query=error,sqlx_core::pool=off,tokio_cron_scheduler=warn";

/// What a command logs off a terminal unless `RUST_LOG` is set: not the outcomes that it prints itself
/// ([`engine::task::OUTCOME_TARGET`](crate::engine::task::OUTCOME_TARGET)).
const COMMAND_LOG: &str = "info,sqlx=warn,sqlx::query=error,sqlx_core::pool=off,bursar::outcome=off";

/// What a command logs on a terminal unless `RUST_LOG` is set: warnings that its own result does not contain.
const TERMINAL_LOG: &str = "warn,sqlx::query=error,sqlx_core::pool=off,bursar::outcome=off";

/// Wrong usage, after `sysexits.h`.
const USAGE: u8 = 64;

/// Takes in the files that are delivered each day, keeps the books, and reports.
///
/// Without `DATABASE_URL` a private PostgreSQL is kept under the data directory.
/// Exit codes: 0 success, 1 `status` found something that needs attention, 64 usage, 65 data, 70 bug, 75 try again, 78 configuration.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    /// The folder of configuration files.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "BURSAR_CONFIG_DIR",
        default_value = "config",
        hide_env_values = true
    )]
    config: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: jobs at their schedules, and the API.
    Serve,
    /// Show whether everything is all right: what needs attention, what is running, what is due next.
    ///
    /// Exits with 0 if nothing needs attention, else with 1.
    Status(status::Arguments),
    /// Run a job for one run date, or for each of a range.
    RunJob(run_job::Arguments),
    /// List runs, show one, retry what failed in it, or cancel it.
    #[command(subcommand)]
    Runs(runs::Command),
    /// List the jobs, and when each is due next; pause or resume one, or reset its schedule.
    Jobs(jobs::Arguments),
    /// List the instants at which jobs were due, with what became of each.
    Occurrences(occurrences::Arguments),
    /// Have the daemons read their configuration again.
    Reload,
    /// List the processes that work on tasks.
    Workers(workers::Arguments),
    /// List what was to be delivered, until when, and what became of it; today's where no date is given.
    Deliveries(deliveries::Arguments),
    /// List loads, show one, and accept or discard those that are held.
    #[command(subcommand)]
    Loads(loads::Command),
    /// List the alerts that are open, or test the channels they are told by.
    Alerts(alerts::Arguments),
    /// List rejects, triage them, show one, export them for correction, redrive or discard them.
    #[command(subcommand)]
    Rejects(rejects::Command),
    /// List the charges that are, or are to be, invoices.
    #[command(subcommand)]
    Charges(charges::Command),
    /// Ask a report for its rows, with the parameters it declares.
    Report(report::Arguments),
    /// Check the whole configuration and name every problem.
    Check(check::Arguments),
    /// Parse a file as a dataset, without a database.
    Parse(parse::Arguments),
    /// Load the sample files into a database, and show the report.
    Demo,
    /// Write the JSON Schemas of the configuration files.
    Schema(schema::Arguments),
    /// Make tokens for the API.
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Make or update the database's tables, then stop.
    Migrate,
    /// Ask the daemon on this machine whether it is alive.
    Health,
    /// Open psql on the embedded PostgreSQL.
    Psql(psql::Arguments),
    /// Measure the load against a bare \copy.
    Bench(bench::Arguments),
}

impl Command {
    /// Whether the result is for a program.
    fn is_json(&self) -> bool {
        match self {
            Self::Status(arguments) => arguments.json,
            Self::RunJob(arguments) => arguments.json,
            Self::Charges(charges::Command::List(arguments)) => arguments.json,
            Self::Runs(command) => command.is_json(),
            Self::Workers(arguments) => arguments.json,
            Self::Jobs(arguments) => arguments.json,
            Self::Occurrences(arguments) => arguments.json,
            Self::Deliveries(arguments) => arguments.json,
            Self::Loads(command) => command.is_json(),
            Self::Alerts(arguments) => arguments.json,
            Self::Rejects(command) => command.is_json(),
            Self::Report(arguments) => arguments.is_json(),
            Self::Check(arguments) => arguments.json,
            Self::Tokens(command) => command.is_json(),
            Self::Parse(arguments) => arguments.json,
            _ => false,
        }
    }
}

/// Arguments that name something there isn't.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

fn usage(message: String) -> anyhow::Error {
    WrongUsage(message).into()
}

/// What every command is given.
struct Context {
    config: PathBuf,
    environment: Environment,
    bars: Arc<Bars>,
}

impl Context {
    fn settings(&self) -> anyhow::Result<Settings> {
        Settings::load(&self.config, &self.environment)
    }

    /// Starts logging for a command that prints its result itself.
    fn log_quietly(&self) {
        self.log(if Bars::are_shown() { TERMINAL_LOG } else { COMMAND_LOG });
    }

    /// Starts a daemon's log, which blocks nobody.
    fn log_daemon(&self) -> DaemonLog {
        DaemonLog::start(self.environment.var("RUST_LOG").unwrap_or(DAEMON_LOG))
    }

    fn log(&self, directives: &str) {
        telemetry::start(self.environment.var("RUST_LOG").unwrap_or(directives), self.bars.suspend());
    }
}

/// The whole program: the exit code of what `arguments` ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>, environment: &Environment) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let context = Context { config: arguments.config, environment: environment.clone(), bars: Arc::new(Bars::new()) };
    let is_json = arguments.command.is_json();
    run(&context, arguments.command).unwrap_or_else(|error| fail(&error, is_json))
}

/// Says what went wrong: to people on stderr, and to a program in place of the result it waits for.
fn fail(error: &anyhow::Error, is_json: bool) -> ExitCode {
    let message = fault::told(error);
    show::last_message(&format!("error: {message}"));
    let (fault, code) = judge(error);
    if is_json {
        // Nobody is left to tell when stdout is gone too.
        let _ = show::json(&json!({"error": {"fault": fault, "message": message}}));
    }
    ExitCode::from(code)
}

/// The name of an error's class, and its exit code.
fn judge(error: &anyhow::Error) -> (&'static str, u8) {
    match fault::judge(error) {
        _ if error.is::<WrongUsage>() || fault::is_not_found(error) => ("usage", USAGE),
        fault => (fault.as_str(), fault.exit_code()),
    }
}

fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    outbound::use_ring();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match command {
            Command::Serve => serve::run(context).await,
            Command::Status(arguments) => status::run(context, &arguments).await,
            Command::RunJob(arguments) => run_job::run(context, arguments).await,
            Command::Runs(command) => runs::run(context, command).await,
            Command::Reload => reload::run(context).await,
            Command::Workers(arguments) => workers::run(context, &arguments).await,
            Command::Jobs(arguments) => jobs::run(context, &arguments).await,
            Command::Occurrences(arguments) => occurrences::run(context, &arguments).await,
            Command::Deliveries(arguments) => deliveries::run(context, arguments).await,
            Command::Loads(command) => loads::run(context, command).await,
            Command::Alerts(arguments) => alerts::run(context, &arguments).await,
            Command::Rejects(command) => rejects::run(context, command).await,
            Command::Charges(charges::Command::List(arguments)) => charges::list(context, &arguments).await,
            Command::Report(arguments) => report::run(context, arguments).await,
            Command::Check(arguments) => check::run(context, &arguments).await,
            Command::Parse(arguments) => parse::run(context, &arguments).await,
            Command::Demo => demo::run(context).await,
            Command::Schema(arguments) => schema::run(context, &arguments),
            Command::Tokens(command) => tokens::run(context, &command),
            Command::Migrate => migrate::run(context).await,
            Command::Health => health::run(context).await,
            Command::Psql(arguments) => psql::run(context, &arguments).await,
            Command::Bench(arguments) => bench::run(context, arguments).await,
        }
    });
    // A reading thread that waits for a slow disk must not keep a stopped program alive.
    runtime.shutdown_background();
    code
}
