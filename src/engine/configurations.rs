//! The configurations that processes work by. A run carries the hash of the one it was opened under, and each of its
//! tasks is done by a process that has it: the one in force, or an earlier one that is kept while such runs are open.

use crate::config::Fingerprint;
use anyhow::Context;
use sqlx::PgPool;
use sqlx::types::Json;
use std::collections::{BTreeMap, HashSet};

/// The schedules of a configuration's jobs as they were parsed, by job.
pub type Schedules = BTreeMap<String, String>;

/// What the engine asks of the configurations of this process.
pub trait Configurations: Send + Sync {
    /// The configuration in force: runs that this process opens carry its hash.
    fn present(&self) -> Configuration;

    /// The hashes of the configurations whose runs this process works on: the one in force, then earlier ones that are
    /// kept because runs opened under them are open.
    fn served(&self) -> Vec<String>;
}

/// A configuration, as other processes know it.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The hash of what it compiles to.
    pub hash: String,
    /// The hash of each of its parts.
    pub fingerprint: Fingerprint,
    /// When its jobs are due.
    pub schedules: Schedules,
}

/// No configuration at all: for an engine whose jobs come from no file.
#[derive(Clone, Copy, Debug)]
pub struct Unconfigured;

impl Configurations for Unconfigured {
    fn present(&self) -> Configuration {
        Configuration::default()
    }

    fn served(&self) -> Vec<String> {
        vec![String::new()]
    }
}

/// How a process came by the configuration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was started with it. A configuration that was known before is as old as it was.
    AtStart,
    /// A reload changed to it: it is the latest decision about schedules.
    ByReload,
}

/// Makes a configuration known to other processes.
///
/// # Errors
/// A database fault.
pub async fn record(pool: &PgPool, configuration: &Configuration, taken: Taken) -> anyhow::Result<()> {
    sqlx::query(
        "insert into bursar.configurations (hash, parts, schedules) values ($1, $2, $3)
         on conflict (hash) do update set taken_at = excluded.taken_at where $4",
    )
    .bind(&configuration.hash)
    .bind(Json(&configuration.fingerprint))
    .bind(Json(&configuration.schedules))
    .bind(taken == Taken::ByReload)
    .execute(pool)
    .await
    .context("record the configuration")?;
    Ok(())
}

/// Returns the parts in which a recorded configuration is not this one; none if it was never recorded.
///
/// # Errors
/// A database fault.
pub async fn differences(pool: &PgPool, hash: &str, from: &Fingerprint) -> anyhow::Result<Vec<String>> {
    let parts: Option<Json<Fingerprint>> =
        sqlx::query_scalar("select parts from bursar.configurations where hash = $1")
            .bind(hash)
            .fetch_optional(pool)
            .await
            .context("compare two configurations")?;
    Ok(parts.map_or_else(Vec::new, |parts| parts.0.differences(from)))
}

/// Returns those of these configurations under which runs are open.
///
/// # Errors
/// A database fault.
pub async fn in_use(pool: &PgPool, hashes: &[String]) -> anyhow::Result<HashSet<String>> {
    let found: Vec<String> = sqlx::query_scalar(
        "select distinct config_hash from bursar.runs where state = 'running' and config_hash = any($1)",
    )
    .bind(hashes)
    .fetch_all(pool)
    .await
    .context("look for runs under earlier configurations")?;
    Ok(found.into_iter().collect())
}
