//! A database of the bench's own, on the server that the settings name.

use crate::config::{DatabaseUrl, Environment, Settings};
use crate::db::Database;
use crate::fault;
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

pub(super) const DATABASE: &str = "bursar_bench";

/// Makes it, empty.
pub(super) async fn make(database: &Database) -> anyhow::Result<()> {
    drop(database).await?;
    sqlx::raw_sql("create database bursar_bench template template0")
        .execute(&database.pool)
        .await
        .context("make the bench's database")?;
    Ok(())
}

/// Drops it, where it is there.
pub(super) async fn drop(database: &Database) -> anyhow::Result<()> {
    sqlx::raw_sql("drop database if exists bursar_bench with (force)")
        .execute(&database.pool)
        .await
        .context("drop the bench's database")?;
    Ok(())
}

/// A folder that goes when it is dropped, where loads keep what is on its way.
pub(super) fn folder(settings: &Settings) -> anyhow::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&settings.file.paths.data)
        .or_else(|_| tempfile::tempdir())
        .map_err(|error| fault::config(format!("can't make a folder for the bench: {error}")))
}

/// Its address.
pub(super) fn url(settings: &Settings, database: &Database) -> anyhow::Result<String> {
    if let Some(embedded) = database.embedded() {
        return Ok(format!("postgres:///{DATABASE}?host={}&user=bursar", embedded.socket_dir().display()));
    }
    let url = settings.database_url.as_ref().map(|u| u.text.expose_secret().to_owned()).unwrap_or_default();
    let (base, query) = url.split_once('?').map_or((url.as_str(), String::new()), |(b, q)| (b, format!("?{q}")));
    // A server that is reached by a socket has no host before the name: postgres:///NAME?host=/FOLDER.
    let server = base.rsplit_once('/').filter(|(s, name)| s.contains("://") && !name.is_empty()).map(|(s, _)| s);
    let server = server.ok_or_else(|| fault::config("DATABASE_URL must name a database for the bench"))?;
    Ok(format!("{server}/{DATABASE}{query}"))
}

/// Its address, to open it in this process.
pub(super) fn database_url(
    settings: &Settings,
    database: &Database,
    environment: &Environment,
) -> anyhow::Result<DatabaseUrl> {
    let text = SecretString::from(url(settings, database)?);
    DatabaseUrl::parse(&text, environment).map_err(|message| fault::config(format!("DATABASE_URL {message}")))
}
