//! Asks the server whether it understands SQL of the configuration. Nothing is run.

use crate::config::{Problem, TextPlace};
use anyhow::Context;
use sqlx::postgres::{PgColumn, PgDatabaseError, PgErrorPosition};
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, SqlSafeStr};

/// SQL of the configuration, with what the program puts around it.
#[derive(Clone, Debug)]
pub struct Prepared<'a> {
    /// What stands in front of the SQL.
    pub before: &'a str,
    /// The SQL, with placeholders for parameters.
    pub sql: &'a str,
    /// What stands behind it.
    pub after: &'a str,
}

/// What the server says of a statement.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It understands the statement, which returns these columns.
    Columns(Vec<PgColumn>),
    /// It refuses the statement.
    Refused(Refusal),
}

/// Why the server refuses a statement.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// SQLSTATE.
    pub code: String,
    /// The server's words.
    pub message: String,
    /// The byte of the statement that they are about.
    offset: Option<usize>,
}

impl Refusal {
    /// Whether a table, view, schema or a schema's function does not exist, or the role may not use it.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        let name = self.message.split('(').next().unwrap_or_default();
        let is_function_of_schema = self.code == "42883" && name.contains('.');
        is_function_of_schema || ["42P01", "3F000", "42501"].contains(&self.code.as_str())
    }
}

impl Prepared<'_> {
    /// Has the server describe the statement.
    ///
    /// # Errors
    /// A transient fault if the server can't be asked.
    pub async fn ask(&self, connection: &mut PgConnection) -> anyhow::Result<Answer> {
        let statement = format!("{}{}{}", self.before, self.sql, self.after);
        match connection.describe(AssertSqlSafe(statement.clone()).into_sql_str()).await {
            Ok(described) => Ok(Answer::Columns(described.columns().to_vec())),
            Err(sqlx::Error::Database(error)) => {
                let position = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::position);
                let offset = match position {
                    Some(PgErrorPosition::Original(character)) => {
                        statement.char_indices().nth(character.saturating_sub(1)).map(|(offset, _)| offset)
                    }
                    _ => None,
                };
                let code = error.code().unwrap_or_default().into_owned();
                Ok(Answer::Refused(Refusal { code, message: message_of(error.as_ref()), offset }))
            }
            Err(error) => Err(error).context("ask the server whether it understands a statement"),
        }
    }

    /// The refusal as a problem at its line; `what` names the SQL.
    #[must_use]
    pub fn problem(&self, place: &TextPlace, refusal: &Refusal, what: &str) -> Problem {
        let offset = refusal.offset.unwrap_or_default().saturating_sub(self.before.len()).min(self.sql.len());
        place.problem(self.sql, offset, format!("{what}{}", refusal.message))
    }
}

/// The names of columns.
#[must_use]
pub fn names(columns: &[PgColumn]) -> Vec<&str> {
    columns.iter().map(Column::name).collect()
}

fn message_of(error: &dyn sqlx::error::DatabaseError) -> String {
    let hint = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::hint);
    let parts = [Some(error.message()), hint];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
