//! What kind of failure an error is, and the exit code that follows from it.
//!
//! Our own errors are tagged where they are born ([`config`], [`data`], [`transient`], [`bug`]);
//! foreign ones are judged in one table, [`judge`]. Knows nothing of what failed.

mod server;

use crate::escape;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use std::fmt::{self, Display};

/// The class of an error: it decides the exit code and whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The world outside was away for a moment (connection cut, lock held): the same again may work.
    Transient,
    /// What was delivered is not what was agreed (missing file, bad header, gate).
    Data,
    /// The configuration or the installation is wrong; an operator must change it.
    Config,
    /// Bursar itself is wrong.
    Bug,
}

impl Fault {
    /// The process exit code, after `sysexits.h`: 75, 65, 78, 70.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Transient => 75,
            Self::Data => 65,
            Self::Config => 78,
            Self::Bug => 70,
        }
    }

    /// The word kept in tables and printed in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Data => "data",
            Self::Config => "config",
            Self::Bug => "bug",
        }
    }

    /// Reads the word kept in tables; one that is unknown is a bug's.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        [Self::Transient, Self::Data, Self::Config].into_iter().find(|f| f.as_str() == word).unwrap_or(Self::Bug)
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Tagged {
    fault: Fault,
    message: String,
}

fn tagged(fault: Fault, message: &impl Display) -> anyhow::Error {
    anyhow::Error::new(Tagged { fault, message: message.to_string() })
}

/// An error an operator mends in the configuration or the installation (exit code 78).
pub fn config(message: impl Display) -> anyhow::Error {
    tagged(Fault::Config, &message)
}

/// An error in what was delivered (exit code 65).
pub fn data(message: impl Display) -> anyhow::Error {
    tagged(Fault::Data, &message)
}

/// An error that may be gone at the next try (exit code 75).
pub fn transient(message: impl Display) -> anyhow::Error {
    tagged(Fault::Transient, &message)
}

/// An error that should have been impossible (exit code 70).
pub fn bug(message: impl Display) -> anyhow::Error {
    tagged(Fault::Bug, &message)
}

const NO_CONNECTION: &str = "no connection to the database was free in time";

/// A name or an id that belongs to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotFound(String);

/// An error in a request that names something that does not exist: exit code 64 on the command line, 404 over HTTP. To a
/// task it is a data fault.
pub fn not_found(message: impl Display) -> anyhow::Error {
    anyhow::Error::new(NotFound(message.to_string()))
}

/// Whether the request names something that does not exist ([`not_found`]).
#[must_use]
pub fn is_not_found(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<NotFound>().is_some())
}

/// Tells an error with all its causes, the outermost first, in one line. What PostgreSQL said is told once, with
/// its detail and its hint; sqlx would tell it twice, with a line of the server's own source.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let server = of_server(cause);
        let text = match (server, cause.downcast_ref()) {
            (Some(error), _) => server::message(error),
            (None, Some(sqlx::Error::PoolTimedOut)) => NO_CONNECTION.to_owned(),
            (None, _) => cause.to_string(),
        };
        if !told.ends_with(&text) {
            let colon = if told.is_empty() { "" } else { ": " };
            told.push_str(colon);
            told.push_str(&text);
        }
        if server.is_some() {
            break;
        }
    }
    // Causes quote names and values that others chose.
    escape::lines(&told).into_owned()
}

/// What PostgreSQL said, where that is the cause.
fn of_server<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a dyn DatabaseError> {
    let error = match cause.downcast_ref() {
        Some(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Some(error),
        _ => cause.downcast_ref(),
    };
    error.and_then(sqlx::Error::as_database_error)
}

/// Judges an error: the outermost of its causes that has a class decides; without one it is a [`Fault::Bug`].
#[must_use]
pub fn judge(error: &anyhow::Error) -> Fault {
    error.chain().find_map(judge_cause).unwrap_or(Fault::Bug)
}

fn judge_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Fault> {
    if let Some(tagged) = cause.downcast_ref::<Tagged>() {
        return Some(tagged.fault);
    }
    if cause.is::<NotFound>() {
        return Some(Fault::Data);
    }
    if let Some(error) = cause.downcast_ref::<sqlx::Error>() {
        return Some(judge_sqlx(error));
    }
    if let Some(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = cause.downcast_ref() {
        return Some(judge_sqlx(error));
    }
    if cause.is::<MigrateError>() {
        return Some(Fault::Config);
    }
    cause.downcast_ref::<std::io::Error>().map(judge_io)
}

fn judge_io(error: &std::io::Error) -> Fault {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound | Kind::IsADirectory | Kind::InvalidData | Kind::UnexpectedEof => Fault::Data,
        Kind::PermissionDenied | Kind::NotADirectory | Kind::ReadOnlyFilesystem => Fault::Config,
        _ => Fault::Transient,
    }
}

fn judge_sqlx(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Configuration(_) => Fault::Config,
        // A socket that belongs to somebody else.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Fault::Config,
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_) => Fault::Transient,
        sqlx::Error::Database(error) => server::judge(error.as_ref()),
        _ => Fault::Bug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn context_keeps_the_class() {
        let error = Err::<(), _>(data("bad header")).context("load x").unwrap_err();
        assert_eq!(judge(&error), Fault::Data);
        assert_eq!(told(&error), "load x: bad header");
    }

    #[test]
    fn what_a_cause_repeats_is_told_once() {
        let refused = std::io::Error::other("refused");
        let error = anyhow::Error::new(sqlx::Error::Io(refused)).context("connect");
        assert_eq!(told(&error), "connect: error communicating with database: refused");
    }

    #[test]
    fn an_untagged_error_is_a_bug() {
        assert_eq!(judge(&anyhow::anyhow!("?")), Fault::Bug);
        assert_eq!(judge(&anyhow::Error::new(sqlx::Error::PoolTimedOut)), Fault::Transient);
    }
}
