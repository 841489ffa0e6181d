//! Migrations, run with no more rights than they need.
//!
//! `create schema if not exists` asks for CREATE on the database even where the schema exists. So schemas are looked up
//! first, and the statements for those that exist are left out: an administrator can make them for the role.

use crate::fault;
use anyhow::Context;
use sqlx::migrate::{Migrate, Migration, Migrator};
use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Schemas that nobody else may use, although the migrations take them as they are.
const OWN: [&str; 2] = ["bursar", "bursar_staged"];

/// Migrations, and the table that records which of them are applied.
#[derive(Debug)]
pub struct Migrations {
    migrator: Migrator,
    /// The schema of the table that records them; it is made first.
    home: &'static str,
    /// That table.
    table: &'static str,
}

/// A schema that a migration makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MadeSchema<'m> {
    /// Its name.
    pub name: &'m str,
    /// Whether the migration works with a schema that holds something already.
    pub may_hold_others: bool,
}

impl Migrations {
    /// Bursar's own.
    #[must_use]
    pub fn own() -> Self {
        Self::new(sqlx::migrate!("./ddl"), "bursar", "migrations")
    }

    /// Migrations that are recorded in the table `home.table`.
    #[must_use]
    pub fn new(mut migrator: Migrator, home: &'static str, table: &'static str) -> Self {
        migrator.dangerous_set_table_name(format!("{home}.{table}"));
        // They are made by `run`, and only if they do not exist.
        migrator.create_schemas = Cow::Borrowed(&[]);
        Self { migrator, home, table }
    }

    /// The schema of the table that records the migrations.
    #[must_use]
    pub const fn home(&self) -> &'static str {
        self.home
    }

    /// The schemas that all of them make.
    #[must_use]
    pub fn schemas(&self) -> BTreeSet<MadeSchema<'_>> {
        self.migrator.iter().flat_map(made_by).collect()
    }

    /// Whether all are applied as they are, and no others.
    ///
    /// # Errors
    /// What the server says.
    pub async fn are_applied(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let applied = self.applied(connection).await?;
        Ok(applied.into_iter().eq(self.migrator.iter().map(|m| (m.version, m.checksum.to_vec(), true))))
    }

    /// Whether the newest is applied; a newer program may have applied more.
    ///
    /// # Errors
    /// What the server says.
    pub async fn is_newest_applied(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let applied = self.applied(connection).await?.into_iter().filter(|(.., success)| *success);
        let newest = self.migrator.iter().map(|m| m.version).max();
        Ok(applied.map(|(version, ..)| version).max() >= newest)
    }

    /// Whether the role may read which of them are applied.
    ///
    /// # Errors
    /// What the server says.
    pub async fn are_readable(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "select coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')), true)
               from pg_class as c
               join pg_namespace as n on n.oid = c.relnamespace
              where n.nspname = $1 and c.relname = $2",
        )
        .bind(self.home)
        .bind(self.table)
        .fetch_one(connection)
        .await
    }

    /// The schemas that those make which are not applied yet.
    ///
    /// # Errors
    /// What the server says.
    pub async fn pending_schemas(&self, connection: &mut PgConnection) -> sqlx::Result<BTreeSet<MadeSchema<'_>>> {
        let applied = self.applied(connection).await?;
        let is_pending = |m: &&Migration| applied.iter().all(|(version, ..)| *version != m.version);
        Ok(self.migrator.iter().filter(is_pending).flat_map(made_by).collect())
    }

    /// Version, checksum and success of each that was applied.
    async fn applied(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<(i64, Vec<u8>, bool)>> {
        let is_there: bool = sqlx::query_scalar(
            "select exists (
                    select from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
                     where n.nspname = $1 and c.relname = $2)",
        )
        .bind(self.home)
        .bind(self.table)
        .fetch_one(&mut *connection)
        .await?;
        if !is_there {
            return Ok(Vec::new());
        }
        let query = format!("select version, checksum, success from {}.{} order by version", self.home, self.table);
        sqlx::query_as(AssertSqlSafe(query)).fetch_all(connection).await
    }

    /// Applies those that are lacking, one process at a time.
    ///
    /// # Errors
    /// A configuration fault if the role may not, a schema is taken by somebody else, or the database was made by a newer
    /// version.
    pub async fn run(mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        // The migrator takes the same lock again.
        connection.lock().await?;
        let existing: BTreeSet<String> = sqlx::query_scalar("select nspname::text from pg_namespace")
            .fetch_all(&mut *connection)
            .await?
            .into_iter()
            .collect();
        let taken = taken(connection, &self).await?;
        if !taken.is_empty() {
            return Err(fault::config(taken.join("; ")));
        }
        if !existing.contains(self.home) {
            connection.execute(AssertSqlSafe(format!("create schema {}", self.home))).await?;
        }
        for migration in self.migrator.migrations.to_mut() {
            let kept: Vec<&str> =
                migration.sql.as_str().lines().filter(|line| !makes_one_of(line, &existing, self.home)).collect();
            migration.sql = AssertSqlSafe(kept.join("\n")).into_sql_str();
        }
        self.migrator.run(&mut *connection).await?;
        connection.unlock().await.context("let others migrate")
    }
}

/// Schemas that somebody else uses and migrations that are not applied yet would make, each in a sentence.
///
/// # Errors
/// What the server says.
pub async fn taken(connection: &mut PgConnection, migrations: &Migrations) -> sqlx::Result<Vec<String>> {
    let pending = migrations.pending_schemas(connection).await?;
    let own = pending.into_iter().filter(|made| !made.may_hold_others || OWN.contains(&made.name));
    let names: Vec<&str> = own.map(|made| made.name).collect();
    sqlx::query_scalar(
        "select format('the schema %I is taken: it holds %s that Bursar did not make, owned by %s; rename it '
                       '(alter schema %I rename to …) or use another database',
                       n.nspname, string_agg(c.relname, ', ' order by c.relname), pg_get_userbyid(n.nspowner), n.nspname)
           from pg_namespace as n
           join pg_class as c on c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
          where n.nspname = any ($1)
            and not (n.nspname = 'bursar' and c.relname = 'migrations')
          group by n.oid, n.nspname, n.nspowner
          order by n.nspname",
    )
    .bind(names)
    .fetch_all(connection)
    .await
}

/// The schemas that a migration makes.
fn made_by(migration: &Migration) -> Vec<MadeSchema<'_>> {
    migration.sql.as_str().lines().filter_map(made_in).collect()
}

/// The schema that a line of SQL makes.
fn made_in(line: &str) -> Option<MadeSchema<'_>> {
    let rest = strip_words(line.trim().strip_suffix(';')?, "create schema ")?;
    let plain = strip_words(rest, "if not exists ");
    Some(MadeSchema { name: plain.unwrap_or(rest).trim(), may_hold_others: plain.is_some() })
}

fn strip_words<'t>(text: &'t str, words: &str) -> Option<&'t str> {
    let (first, rest) = text.split_at_checked(words.len())?;
    first.eq_ignore_ascii_case(words).then_some(rest)
}

fn makes_one_of(line: &str, existing: &BTreeSet<String>, home: &str) -> bool {
    made_in(line).is_some_and(|made| made.name == home || existing.contains(made.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_that_makes_a_schema_is_found() {
        let own = Migrations::own();
        let names: Vec<&str> = own.schemas().into_iter().map(|made| made.name).collect();
        let all: Vec<&str> = own.migrator.iter().map(|m| m.sql.as_str()).collect();
        assert_eq!(names.len(), all.concat().to_lowercase().matches("create schema").count(), "{names:?}");
        assert!(names.contains(&"bursar_staged"), "{names:?}");
        let made = made_in("    CREATE SCHEMA IF NOT EXISTS apalis;");
        assert_eq!(made, Some(MadeSchema { name: "apalis", may_hold_others: true }));
        assert_eq!(made_in("comment on schema apalis is 'create schema x';"), None);
    }
}
