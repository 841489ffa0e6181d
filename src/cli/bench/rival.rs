//! The two that are measured against each other, both as processes of their own on the same table.

use super::place;
use crate::clock::Stopwatch;
use crate::config::Settings;
use crate::db::Database;
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio::process::Command;

/// The shape of the ratings files.
const DATASET: &str = include_str!("customer_rating.toml");

const JOB: &str = "name = \"bench\"\n[[task]]\nname = \"load\"\nkind = \"load\"\ndataset = \"customer_rating\"\nfor_each = \"customer\"\n";

/// A database and a folder of their own, made for the measurement and gone after it.
pub(super) struct Arena {
    folder: PathBuf,
    url: String,
    psql: PathBuf,
    server_version: String,
}

/// What a load took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// From the start of the process to its end.
    pub(super) seconds: f64,
    /// The most memory it held.
    pub(super) peak_memory_bytes: u64,
    /// Rows it rejected.
    pub(super) rejected: u64,
}

impl Arena {
    pub(super) async fn build(settings: &Settings, database: &Database, folder: &Path) -> anyhow::Result<Self> {
        place::make(database).await?;
        let server_version: String = sqlx::query_scalar("select current_setting('server_version')")
            .fetch_one(&database.pool)
            .await
            .context("ask for the server's version")?;
        let arena = Self {
            folder: folder.to_owned(),
            url: place::url(settings, database)?,
            psql: database.embedded().map_or_else(|| PathBuf::from("psql"), |e| e.binaries().join("psql")),
            server_version,
        };
        arena.configure()?;
        Ok(arena)
    }

    /// The dataset, one customer, a job of one load.
    fn configure(&self) -> anyhow::Result<()> {
        let config = self.folder.join("config");
        let write = |relative: &str, bytes: &[u8]| -> std::io::Result<()> {
            let path = config.join(relative);
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, bytes)
        };
        let written = write("customers.toml", b"[[customer]]\nname = \"bench\"\ncode = \"X\"\n")
            .and_then(|()| write("datasets/customer_rating.toml", DATASET.as_bytes()))
            .and_then(|()| write("jobs/bench.toml", JOB.as_bytes()))
            .and_then(|()| std::fs::create_dir_all(self.folder.join("inbox/ratings")));
        written.map_err(|error| fault::config(format!("can't write to {}: {error}", self.folder.display())))
    }

    pub(super) fn clean_file(&self) -> PathBuf {
        self.folder.join("clean.csv")
    }

    pub(super) fn delivered_file(&self) -> PathBuf {
        self.folder.join("inbox/ratings/Customer Rating Agency X Inc.csv")
    }

    pub(super) fn server_version(&self) -> &str {
        &self.server_version
    }

    /// What is measured first must not pay for what was measured before it.
    async fn settle(&self) -> anyhow::Result<()> {
        let options = PgConnectOptions::from_str(&self.url).context("the bench's database")?;
        let mut connection = PgConnection::connect_with(&options).await.context("connect to the bench's database")?;
        if sqlx::raw_sql("checkpoint").execute(&mut connection).await.is_err() {
            tracing::warn!("the role may not checkpoint; the rounds disturb each other more");
        }
        connection.close().await.context("close the bench's connection")
    }

    /// Seconds of `psql`: TRUNCATE and \copy of the clean file in one transaction.
    pub(super) async fn floor(&self) -> anyhow::Result<f64> {
        self.prepare_table().await?;
        self.settle().await?;
        let copy =
            format!("\\copy customer_rating_bench from '{}' with (format csv, header)", self.clean_file().display());
        let stopwatch = Stopwatch::start();
        let output = Command::new(&self.psql)
            .args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(&self.url)
            .args(["-c", "truncate customer_rating_bench", "-c", &copy])
            .output()
            .await
            .map_err(|error| fault::config(format!("can't start {}: {error}", self.psql.display())))?;
        let seconds = stopwatch.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err(fault::bug(format!("psql failed: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok(seconds)
    }

    /// The table must be there before the first round, whoever comes first.
    async fn prepare_table(&self) -> anyhow::Result<()> {
        self.bursar(&["migrate"]).await.map(drop)
    }

    /// The same rows, some of them bad, by this program, for a day after all those before.
    pub(super) async fn load(&self, day: NaiveDate) -> anyhow::Result<Taken> {
        self.settle().await?;
        let stopwatch = Stopwatch::start();
        let output = self.bursar(&["run-job", "bench", "--json", "--date", &day.to_string()]).await?;
        let seconds = stopwatch.elapsed().as_secs_f64();
        let summary: Value = serde_json::from_slice(&output).context("read the run's summary")?;
        Ok(Taken {
            seconds,
            peak_memory_bytes: summary["peak_memory_bytes"].as_u64().unwrap_or(0),
            rejected: summary["tasks"][0]["outcome"]["certificate"]["rejected"].as_u64().unwrap_or(0),
        })
    }

    async fn bursar(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let program = std::env::current_exe().context("find this program")?;
        let output = Command::new(program)
            .args(arguments)
            .env("DATABASE_URL", &self.url)
            .env_remove("DATABASE_URL_FILE")
            .env("BURSAR_CONFIG_DIR", self.folder.join("config"))
            .env("BURSAR_INBOX_DIR", self.folder.join("inbox"))
            .env("BURSAR_OUTPUT_DIR", self.folder.join("output"))
            .env("BURSAR_DATA_DIR", self.folder.join("state"))
            .output()
            .await
            .context("start this program again")?;
        if !output.status.success() {
            return Err(fault::bug(format!("the load failed: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok(output.stdout)
    }
}
