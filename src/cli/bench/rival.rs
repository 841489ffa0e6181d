//! The two that are measured against each other, both as processes of their own on the same table.

use super::place::{self, DATABASE};
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
use std::time::Duration;
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
    parallel: u16,
}

/// What is loaded, and how.
pub(super) struct Shape<'a> {
    /// So many, each with a file and a table.
    pub(super) customers: u16,
    /// The dataset's `publish`.
    pub(super) publish: &'a str,
    /// Tasks at a time.
    pub(super) parallel: u16,
}

/// What one of the two took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// From the start of the process to its end.
    pub(super) seconds: f64,
    /// The user CPU time of the server's processes, where they are on this machine.
    pub(super) server_cpu_s: Option<f64>,
    /// The most memory it held.
    pub(super) peak_memory_bytes: u64,
    /// Rows it rejected.
    pub(super) rejected: u64,
}

impl Arena {
    pub(super) async fn build(
        settings: &Settings,
        database: &Database,
        folder: &Path,
        shape: &Shape<'_>,
    ) -> anyhow::Result<Self> {
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
            parallel: shape.parallel,
        };
        arena.configure(shape)?;
        Ok(arena)
    }

    /// The dataset, its customers, a job of one load for each, a script of psql that does the same.
    fn configure(&self, shape: &Shape<'_>) -> anyhow::Result<()> {
        let customers = (1..=shape.customers).map(|n| format!("[[customer]]\nname = \"bench{n}\"\ncode = \"X{n}\"\n"));
        let customers: String = customers.collect();
        let dataset = format!("publish = {:?}\n{DATASET}", shape.publish);
        let script: String = (1..=shape.customers).map(|n| self.copy_script(n)).collect();
        let config = self.folder.join("config");
        let write = |relative: &str, bytes: &[u8]| -> std::io::Result<()> {
            let path = config.join(relative);
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, bytes)
        };
        let written = write("customers.toml", customers.as_bytes())
            .and_then(|()| write("floor.sql", script.as_bytes()))
            .and_then(|()| write("datasets/customer_rating.toml", dataset.as_bytes()))
            .and_then(|()| write("jobs/bench.toml", JOB.as_bytes()))
            .and_then(|()| std::fs::create_dir_all(self.folder.join("inbox/ratings")));
        written.map_err(|error| fault::config(format!("can't write to {}: {error}", self.folder.display())))
    }

    fn copy_script(&self, customer: u16) -> String {
        let file = self.clean_file(customer);
        format!(
            "begin;\ntruncate customer_rating_bench{customer};\n\
             \\copy customer_rating_bench{customer} from '{}' with (format csv, header)\ncommit;\n",
            file.display()
        )
    }

    pub(super) fn clean_file(&self, customer: u16) -> PathBuf {
        self.folder.join(format!("clean{customer}.csv"))
    }

    pub(super) fn delivered_file(&self, customer: u16) -> PathBuf {
        self.folder.join(format!("inbox/ratings/Customer Rating Agency X{customer} Inc.csv"))
    }

    pub(super) fn server_version(&self) -> &str {
        &self.server_version
    }

    /// What is measured first must not pay for what was measured before it. Gives the number of the server's first
    /// process, where it is on this machine.
    async fn settle(&self) -> anyhow::Result<Option<u32>> {
        let mut connection = self.connect().await?;
        if sqlx::raw_sql("checkpoint").execute(&mut connection).await.is_err() {
            tracing::warn!("the role may not checkpoint; the rounds disturb each other more");
        }
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .context("ask for the server process")?;
        let postmaster = stat(pid.unsigned_abs()).and_then(|stat| stat.get(1)?.parse().ok());
        connection.close().await.context("close the bench's connection")?;
        Ok(postmaster)
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.url).context("the bench's database")?;
        PgConnection::connect_with(&options).await.context("connect to the bench's database")
    }

    /// The server's user CPU time since then; looked at when it knows that the processes of the measured one are gone.
    async fn cpu_since(&self, postmaster: Option<u32>, before: Option<f64>) -> Option<f64> {
        let (postmaster, before) = (postmaster?, before?);
        for _ in 0..250 {
            if !has_sessions(postmaster) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        user_cpu_s(postmaster).map(|after| after - before)
    }

    /// One `psql`: TRUNCATE and \copy of each clean file in one transaction, one after the other.
    pub(super) async fn floor(&self) -> anyhow::Result<Taken> {
        self.prepare_table().await?;
        let postmaster = self.settle().await?;
        let cpu = postmaster.and_then(user_cpu_s);
        let stopwatch = Stopwatch::start();
        let output = Command::new(&self.psql)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(&self.url)
            .arg("-f")
            .arg(self.folder.join("config/floor.sql"))
            .output()
            .await
            .map_err(|error| fault::config(format!("can't start {}: {error}", self.psql.display())))?;
        let seconds = stopwatch.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err(fault::bug(format!("psql failed: {}", String::from_utf8_lossy(&output.stderr))));
        }
        let server_cpu_s = self.cpu_since(postmaster, cpu).await;
        Ok(Taken { seconds, server_cpu_s, peak_memory_bytes: 0, rejected: 0 })
    }

    /// The table must be there before the first round, whoever comes first.
    async fn prepare_table(&self) -> anyhow::Result<()> {
        self.bursar(&["migrate"]).await.map(drop)
    }

    /// The same rows, some of them bad, by this program, for a day after all those before.
    pub(super) async fn load(&self, day: NaiveDate) -> anyhow::Result<Taken> {
        let postmaster = self.settle().await?;
        let cpu = postmaster.and_then(user_cpu_s);
        let stopwatch = Stopwatch::start();
        let output = self.bursar(&["run-job", "bench", "--json", "--date", &day.to_string()]).await?;
        let seconds = stopwatch.elapsed().as_secs_f64();
        let summary: Value = serde_json::from_slice(&output).context("read the run's summary")?;
        Ok(Taken {
            seconds,
            server_cpu_s: self.cpu_since(postmaster, cpu).await,
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
            .env("BURSAR__ENGINE__PARALLEL_TASKS", self.parallel.to_string())
            .output()
            .await
            .context("start this program again")?;
        if !output.status.success() {
            return Err(fault::bug(format!("the load failed: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok(output.stdout)
    }
}

/// What Linux says of a process, from its state on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = text.rsplit_once(") ")?;
    Some(behind_name.split(' ').map(str::to_owned).collect())
}

/// Whether a server has sessions in the bench's database, or such as it has not taken leave of yet.
fn has_sessions(postmaster: u32) -> bool {
    let is_session = |pid: u32| {
        let parent = stat(pid).and_then(|stat| stat.get(1)?.parse::<u32>().ok());
        let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let title = String::from_utf8_lossy(&title);
        // One that is gone has no title any more.
        parent == Some(postmaster) && (title.is_empty() || (title.contains(DATABASE) && !title.contains("autovacuum")))
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).any(is_session)
}

/// The user CPU time of a process's children that have ended, in seconds. Ticks are hundredths on every Linux.
fn user_cpu_s(pid: u32) -> Option<f64> {
    let ticks: u32 = stat(pid)?.get(13)?.parse().ok()?;
    Some(f64::from(ticks) / 100.0)
}
