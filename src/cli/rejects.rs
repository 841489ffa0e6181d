//! `bursar rejects`: what lies in quarantine, and what an operator does about it.

mod discard;
mod export;
mod list;
mod one;
mod redrive;
mod triage;

use super::scope::Scope;
use super::{Context, runs, usage};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::db::Database;
use crate::rows::ledger_list;
use crate::rows::quarantine::{Filter, Status};
use crate::rows::reject::Code;
use serde_json::Value;
use sqlx::PgPool;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List rejects, the oldest first.
    List(list::Arguments),
    /// Group rejects by cause: one finding for each, with its lines and what may be behind it.
    Triage(triage::Arguments),
    /// Show one reject: its bytes, every error, where it stands, what became of it.
    Show(one::Arguments),
    /// Write the open rejects of a load out, as they were delivered, for correction.
    Export(export::Arguments),
    /// Add corrected rejects to their customer's table.
    Redrive(redrive::Arguments),
    /// Let rejects go, with a reason.
    Discard(discard::Arguments),
}

/// Which rejects are meant.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Which {
    #[command(flatten)]
    scope: Scope,
    /// Only those that this load met.
    #[arg(long, value_name = "ID")]
    load: Option<i64>,
    /// Only with an error of this code.
    #[arg(long, value_name = "CODE", value_parser = parse_code)]
    code: Option<String>,
    /// Only with an error in this column of the dataset; "" for the record as a whole.
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
}

fn parse_code(word: &str) -> Result<String, String> {
    let codes = Code::ALL.map(Code::as_str);
    let known = codes.contains(&word);
    known.then(|| word.to_owned()).ok_or_else(|| format!("no code of an error; known are {}", codes.join(", ")))
}

/// The configuration; nothing where it can't be read, which is no reason not to show what was loaded.
fn configured(settings: &Settings) -> Catalog {
    crate::app::compile(settings).unwrap_or_default()
}

impl Which {
    async fn check(&self, pool: &PgPool, catalog: &Catalog) -> anyhow::Result<()> {
        self.scope.check(pool, catalog).await?;
        match self.load {
            Some(id) => ledger_list::check_id(pool, id).await,
            None => Ok(()),
        }
    }

    fn filter(&self, status: Option<Status>) -> Filter {
        Filter {
            dataset: self.scope.dataset.clone(),
            customer: self.scope.customer.clone(),
            from: self.scope.from(),
            to: self.scope.to(),
            load: self.load,
            status,
            code: self.code.clone(),
            column: self.column.clone(),
            ids: None,
        }
    }
}

impl Command {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::List(arguments) => arguments.json,
            Self::Triage(arguments) => arguments.json,
            Self::Show(arguments) => arguments.json,
            Self::Discard(arguments) => arguments.json,
            Self::Redrive(arguments) => arguments.json,
            Self::Export(_) => false,
        }
    }
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let settings = context.settings()?;
    match command {
        Command::List(arguments) => list::run(&settings, &arguments).await,
        Command::Triage(arguments) => triage::run(&settings, &arguments).await,
        Command::Show(arguments) => one::run(&settings, &arguments).await,
        Command::Export(arguments) => export::run(&settings, &arguments).await,
        Command::Redrive(arguments) => Box::pin(redrive::run(&settings, &arguments)).await,
        Command::Discard(arguments) => discard::run(&settings, &arguments).await,
    }
}

/// The database, its own tables up to date.
async fn open(settings: &Settings) -> anyhow::Result<Database> {
    let database = runs::open(settings).await?;
    match database.migrate().await {
        Ok(()) => Ok(database),
        Err(error) => {
            database.close().await?;
            Err(error)
        }
    }
}

/// Who does something: the account and the machine.
pub(super) fn operator() -> String {
    let account = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let account = account.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name);
    format!("{account}@{}", nix::unistd::gethostname().unwrap_or_default().to_string_lossy())
}

/// Errors in short: `column.code` of each.
fn short(errors: &Value) -> String {
    let each = |error: &Value| {
        let text = |key: &str| error[key].as_str().unwrap_or("row").to_owned();
        format!("{}.{}", text("column"), text("code"))
    };
    errors.as_array().into_iter().flatten().map(each).collect::<Vec<_>>().join(" ")
}
