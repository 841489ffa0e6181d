//! `bursar tokens`

use super::{Context, show, usage};
use crate::config::{Role, is_name};
use crate::http::{NewToken, new_token};
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token for the API and print it, once, with the lines to add to the configuration, which hold its hash.
    New(New),
}

#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Whose it is: stands in the log.
    name: String,
    /// What it may do: `read` asks, `operate` also changes.
    #[arg(long, value_enum)]
    role: Word,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Word {
    Read,
    Operate,
}

impl Command {
    pub(super) const fn is_json(&self) -> bool {
        let Self::New(new) = self;
        new.json
    }
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    let Command::New(New { name, role, json }) = command;
    if !is_name(name) {
        return Err(usage(format!("{name:?} is no name for a token; write 1 to 64 of a-z A-Z 0-9 . _ -")));
    }
    let (role, word) = match role {
        Word::Read => (Role::Read, "read"),
        Word::Operate => (Role::Operate, "operate"),
    };
    let NewToken { text, sha256 } = new_token()?;
    if *json {
        show::json(&json!({"token": text, "name": name, "role": role, "sha256": sha256}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = context.config.join("bursar.toml");
    show::line(&text)?;
    show::line(&format!(
        "\nThis is the token; it is not shown again. Put these lines into {} and start the daemon again\n\
         (in the file that http.tokens_file names, the first is [[token]]):\n\n\
         [[http.token]]\nname = \"{name}\"\nrole = \"{word}\"\nsha256 = \"{sha256}\"",
        settings.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}
