//! What a database lacks for Bursar to migrate and load there. Nothing is changed.

use super::migrations::{Migrations, taken};
use super::session;
use anyhow::Context;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;

/// The oldest major version that everything here works on.
const MIN_VERSION: i32 = 13;

/// The extensions that the task queue is made with.
const EXTENSIONS: [&str; 2] = ["hstore", "pgcrypto"];

/// Where the queue's sessions look for the types of the extensions.
const EXTENSION_SCHEMAS: [&str; 4] = ["apalis", "bursar", "public", "pg_catalog"];

/// The schema in which loads make tables.
const STAGED: &str = "bursar_staged";

/// The number of tables that a message names.
const MAX_EXAMPLES: usize = 3;

#[derive(sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Facts {
    version: i32,
    role: String,
    database: String,
    may_create: bool,
    may_use_temporary: bool,
    is_standby: bool,
    is_read_only: bool,
}

#[derive(sqlx::FromRow)]
struct Extension {
    installed_in: Option<String>,
    is_available: bool,
    is_trusted: bool,
}

#[derive(sqlx::FromRow)]
struct Schema {
    name: String,
    owner: String,
    may_use: bool,
    may_create: bool,
    other_owners: Vec<String>,
    not_writable: Vec<String>,
}

/// Everything that is in the way of these migrations and of loads, each in a sentence that says what to do.
///
/// # Errors
/// What the server says when it can't be asked.
pub async fn problems(pool: &PgPool, all: &[&Migrations]) -> anyhow::Result<Vec<String>> {
    let context = "look at the database";
    let mut connection = pool.acquire().await.context(context)?;
    let facts: Facts = sqlx::query_as(
        "select current_setting('server_version_num')::integer / 10000 as version,
                quote_ident(current_user) as role,
                quote_ident(current_database()) as database,
                has_database_privilege(current_database(), 'CREATE') as may_create,
                has_database_privilege(current_database(), 'TEMPORARY') as may_use_temporary,
                pg_is_in_recovery() as is_standby,
                current_setting('transaction_read_only')::boolean as is_read_only",
    )
    .fetch_one(&mut *connection)
    .await
    .context(context)?;
    let mut problems = facts.problems();
    for name in EXTENSIONS {
        problems.extend(lacking(&mut connection, name, &facts).await?);
    }
    for migrations in all {
        problems.extend(of_schemas(&mut connection, migrations, &facts).await.context(context)?);
    }
    Ok(problems)
}

impl Facts {
    fn problems(&self) -> Vec<String> {
        let Self { version, role, database, .. } = self;
        let mut problems = Vec::new();
        if *version < MIN_VERSION {
            problems.push(format!("the server is PostgreSQL {version}; {MIN_VERSION} is the oldest that is supported"));
        }
        if self.is_standby {
            problems.push("the server is a standby, which takes no changes: connect to the primary".to_owned());
        } else if self.is_read_only {
            problems.push(format!(
                "the sessions of the role {role} are read-only (default_transaction_read_only is on): \
                 alter role {role} in database {database} set default_transaction_read_only = off"
            ));
        }
        if !self.may_use_temporary {
            problems.push(format!(
                "the role {role} may not make temporary tables: grant temporary on database {database} to {role}"
            ));
        }
        problems
    }
}

/// What is lacking for migrations to be applied, or, if they are, for their tables to be used.
async fn of_schemas(
    connection: &mut PgConnection,
    migrations: &Migrations,
    facts: &Facts,
) -> sqlx::Result<Vec<String>> {
    let Facts { role, database, may_create, .. } = facts;
    let mut problems = Vec::new();
    // If that can't be read, somebody has applied them.
    let mut are_applied = true;
    if migrations.are_readable(connection).await? {
        are_applied = migrations.is_newest_applied(connection).await?;
        problems.extend(taken(connection, migrations).await?);
    }
    let names: BTreeSet<&str> =
        migrations.schemas().into_iter().map(|made| made.name).chain([migrations.home()]).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let found: Vec<Schema> =
        sqlx::query_as(include_str!("check_schemas.sql")).bind(&names).fetch_all(&mut *connection).await?;
    let lacking: Vec<&str> = names.into_iter().filter(|name| found.iter().all(|schema| schema.name != *name)).collect();
    if are_applied && !lacking.is_empty() {
        let lacking = lacking.join(", ");
        problems.push(format!("schemas of Bursar do not exist any more, restore them from a backup: {lacking}"));
    } else if !lacking.is_empty() && !may_create {
        let make: Vec<String> =
            lacking.iter().map(|name| format!("create schema {name} authorization {role}")).collect();
        problems.push(format!(
            "the role {role} may not make the schemas {}: grant create on database {database} to {role}, or have an \
             administrator run: {};",
            lacking.join(", "),
            make.join("; ")
        ));
    }
    for schema in &found {
        problems.extend(schema.problems(role, are_applied));
    }
    Ok(problems)
}

impl Schema {
    fn problems(&self, role: &str, are_applied: bool) -> Vec<String> {
        let Self { name, owner, .. } = self;
        let mut problems = Vec::new();
        if !self.may_use {
            problems.push(format!(
                "the role {role} may not use the schema {name} (owner {owner}): grant usage on schema {name} to {role}"
            ));
        }
        if !self.may_create && (!are_applied || name == STAGED) {
            problems.push(format!(
                "the role {role} may not make tables in the schema {name} (owner {owner}): \
                 grant create on schema {name} to {role}"
            ));
        }
        if !are_applied && !self.other_owners.is_empty() {
            let owners = self.other_owners.join(", ");
            problems.push(format!(
                "the role {role} does not own all tables of the schema {name}, which migrations change: grant {owners} to {role}"
            ));
        }
        if are_applied && self.may_use && !self.not_writable.is_empty() {
            problems.push(format!(
                "the role {role} may not read and write {} in the schema {name}: \
                 grant select, insert, update, delete on all tables in schema {name} to {role}; \
                 grant usage on all sequences in schema {name} to {role}",
                examples(&self.not_writable)
            ));
        }
        problems
    }
}

/// `a, b, c and 4 more`
fn examples(names: &[String]) -> String {
    let shown = names.iter().take(MAX_EXAMPLES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_EXAMPLES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

async fn lacking(connection: &mut PgConnection, name: &str, facts: &Facts) -> anyhow::Result<Option<String>> {
    let Extension { installed_in, is_available, is_trusted } = sqlx::query_as(
        "select (select n.nspname::text from pg_extension as e join pg_namespace as n on n.oid = e.extnamespace
                  where e.extname = $1) as installed_in,
                exists (select from pg_available_extensions where name = $1) as is_available,
                exists (select from pg_available_extension_versions where name = $1 and trusted)
                    or (select rolsuper from pg_roles where rolname = current_user) as is_trusted",
    )
    .bind(name)
    .fetch_one(connection)
    .await
    .with_context(|| format!("look for the extension {name}"))?;
    let Facts { role, database, may_create, .. } = facts;
    Ok(match installed_in {
        Some(schema) if EXTENSION_SCHEMAS.contains(&schema.as_str()) => None,
        Some(schema) => Some(format!(
            "the extension {name} is in the schema {schema}, where the queue does not find it: \
             alter extension {name} set schema public"
        )),
        None if !is_available => {
            Some(format!("the extension {name} is not available on the server: install PostgreSQL's contrib package"))
        }
        None if !is_trusted => Some(format!(
            "the role {role} may not make the extension {name}; have a superuser run: create extension {name}"
        )),
        None if !may_create => Some(format!(
            "the role {role} may not make the extension {name}: grant create on database {database} to {role}, or have an \
             administrator run: create extension {name}"
        )),
        None => None,
    })
}

/// Settings of the role and the database that Bursar's own sessions override: what other clients see of its tables
/// still depends on them.
///
/// # Errors
/// What the server says when it can't be asked.
pub async fn overridden_settings(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    let settings: Vec<(String, String)> = sqlx::query_as(
        "select case when s.setrole = 0 then format('database %s', d.datname)
                     when s.setdatabase = 0 then format('role %s', r.rolname)
                     else format('role %s in the database %s', r.rolname, d.datname)
                end,
                setting
           from pg_db_role_setting as s
           left join pg_database as d on d.oid = s.setdatabase
           left join pg_roles as r on r.oid = s.setrole
           cross join unnest(s.setconfig) as setting
          where (s.setrole = 0 or r.rolname = session_user) and (s.setdatabase = 0 or d.datname = current_database())
          order by 1, 2",
    )
    .fetch_all(pool)
    .await
    .context("look for settings of the role and the database")?;
    let pinned = settings.into_iter().filter_map(|(whose, setting)| {
        let (name, value) = setting.split_once('=')?;
        (name != "search_path" && session::is_pinned(name)).then(|| {
            format!("the {whose} sets {name} = {value}: Bursar's sessions override it, other clients' sessions have it")
        })
    });
    Ok(pinned.collect())
}
