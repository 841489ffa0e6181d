//! What a database lacks for Bursar to make its tables there, and what is set in it, without changing anything.

use super::session;
use anyhow::Context;
use sqlx::PgPool;

/// The oldest major version that everything here works on.
const OLDEST: i32 = 13;

/// The extensions that the task queue is made with.
const EXTENSIONS: [&str; 2] = ["hstore", "pgcrypto"];

#[derive(sqlx::FromRow)]
struct Facts {
    version: i32,
    role: String,
    database: String,
    may_create: bool,
    has_schemas: bool,
}

#[derive(sqlx::FromRow)]
struct Extension {
    is_installed: bool,
    is_available: bool,
    is_trusted: bool,
}

/// Everything that is in the way, each in a sentence that says what to do.
///
/// # Errors
/// What the server says when it can't be asked.
pub async fn problems(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    let facts: Facts = sqlx::query_as(
        "select current_setting('server_version_num')::integer / 10000 as version,
                current_user::text as role,
                current_database()::text as database,
                has_database_privilege(current_database(), 'CREATE') as may_create,
                to_regnamespace('bursar') is not null and to_regnamespace('apalis') is not null as has_schemas",
    )
    .fetch_one(pool)
    .await
    .context("look at the database")?;
    let Facts { version, role, database, may_create, has_schemas } = facts;
    let mut problems = Vec::new();
    if version < OLDEST {
        problems.push(format!("the server is PostgreSQL {version}; {OLDEST} is the oldest that will do"));
    }
    if !may_create && !has_schemas {
        problems.push(format!(
            "the role {role} may not make the schemas bursar and apalis: grant create on database \"{database}\" to {role}"
        ));
    }
    for name in EXTENSIONS {
        problems.extend(lacking(pool, name, may_create).await?);
    }
    Ok(problems)
}

async fn lacking(pool: &PgPool, name: &str, may_create: bool) -> anyhow::Result<Option<String>> {
    let Extension { is_installed, is_available, is_trusted } = sqlx::query_as(
        "select exists (select from pg_extension where extname = $1) as is_installed,
                exists (select from pg_available_extensions where name = $1) as is_available,
                exists (select from pg_available_extension_versions where name = $1 and trusted)
                    or (select rolsuper from pg_roles where rolname = current_user) as is_trusted",
    )
    .bind(name)
    .fetch_one(pool)
    .await
    .with_context(|| format!("look for the extension {name}"))?;
    Ok(match (is_installed, is_available, may_create && is_trusted) {
        (true, _, _) | (_, true, true) => None,
        (false, false, _) => {
            Some(format!("the extension {name} is not to be had there: install PostgreSQL's contrib package"))
        }
        (false, true, false) => {
            Some(format!("the role may not make the extension {name}; have a superuser say: create extension {name}"))
        }
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
