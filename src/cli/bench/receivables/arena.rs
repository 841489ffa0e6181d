//! A database and a folder of the bench's own, filled by a load and answered from by a daemon, both this program.

use crate::clock::Stopwatch;
use crate::fault;
use crate::http;
use anyhow::Context;
use chrono::NaiveDate;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

const DATASET: &str = include_str!("../../../../config/datasets/receivables_invoice.toml");

/// A configuration has one; the dataset is not delivered customer by customer.
const CUSTOMERS: &str = "[[customer]]\nname = \"bench\"\n";

const JOB: &str =
    "name = \"receivables\"\n[[task]]\nname = \"load\"\nkind = \"load\"\ndataset = \"receivables_invoice\"\n";

/// A table as loads stage their rows in, and a bare copy into it.
const FLOOR: &str = "set client_min_messages = warning;
set datestyle = 'ISO, MDY';
create table if not exists public.floor (
    customer_name text, invoice_number text, invoice_date date, customer_po_number text, bill_total numeric(18, 2),
    applied numeric(18, 2), status text, currency text, contact_name text, contact_phone text, contact_email text,
    customer_terms text, due_date date);
begin;
truncate public.floor;
";

/// So often a daemon is asked whether it is there, a tenth of a second apart.
const TRIES: u32 = 300;

pub(super) struct Arena {
    folder: PathBuf,
    url: String,
    psql: PathBuf,
}

/// A daemon that answers.
pub(super) struct Daemon {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Arena {
    /// Where `psql` is is found out by whoever knows the server.
    pub(super) fn new(folder: &Path, url: String, psql: PathBuf) -> anyhow::Result<Self> {
        let arena = Self { folder: folder.to_owned(), url, psql };
        let write = |relative: &str, text: &str| -> std::io::Result<()> {
            let path = folder.join("config").join(relative);
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, text)
        };
        let copy = format!(
            "{FLOOR}\\copy public.floor from '{}' with (format csv, header)\ncommit;\n",
            arena.file().display()
        );
        let written = write("customers.toml", CUSTOMERS)
            .and_then(|()| write("datasets/receivables_invoice.toml", DATASET))
            .and_then(|()| write("jobs/receivables.toml", JOB))
            .and_then(|()| write("floor.sql", &copy))
            .and_then(|()| std::fs::create_dir_all(folder.join("inbox/receivables")));
        written.map_err(|error| fault::config(format!("can't write to {}: {error}", folder.display())))?;
        Ok(arena)
    }

    /// The file that is loaded.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join("inbox/receivables/invoices.csv")
    }

    /// Makes the tables.
    pub(super) async fn migrate(&self) -> anyhow::Result<()> {
        finish(&mut self.bursar(&["migrate"])?, "making the tables").await.map(drop)
    }

    /// Loads the file for a day; gives the seconds from the start of the process to its end.
    pub(super) async fn load(&self, day: NaiveDate) -> anyhow::Result<f64> {
        finish(&mut self.bursar(&["run-job", "receivables", "--date", &day.to_string()])?, "the load").await
    }

    /// One `psql` with a bare \copy of the file; gives its seconds.
    pub(super) async fn floor(&self) -> anyhow::Result<f64> {
        let mut psql = Command::new(&self.psql);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url, "-f"])
            .arg(self.folder.join("config/floor.sql"));
        finish(&mut psql, "psql").await
    }

    /// Starts a daemon, and waits until it answers.
    pub(super) async fn serve(&self) -> anyhow::Result<Daemon> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.context("find a free port")?;
        let log = self.folder.join("serve.log");
        let child = self
            .bursar(&["serve"])?
            .env("BURSAR_HTTP_BIND", address.to_string())
            .env("BURSAR__HTTP__REQUESTS_PER_SECOND", "1000000")
            .stderr(File::create(&log).context("make the daemon's log")?)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start this program again")?;
        let daemon = Daemon { address, child };
        for _ in 0..TRIES {
            if http::ask_health(address).await.is_ok() {
                return Ok(daemon);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        Err(fault::bug(format!("the daemon does not answer: {said}")))
    }

    fn bursar(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        command
            .args(arguments)
            .env("DATABASE_URL", &self.url)
            .env_remove("DATABASE_URL_FILE")
            .env("BURSAR_CONFIG_DIR", self.folder.join("config"))
            .env("BURSAR_INBOX_DIR", self.folder.join("inbox"))
            .env("BURSAR_OUTPUT_DIR", self.folder.join("output"))
            .env("BURSAR_DATA_DIR", self.folder.join("state"));
        Ok(command)
    }
}

/// Runs it to its end; gives the seconds that took.
async fn finish(command: &mut Command, what: &str) -> anyhow::Result<f64> {
    let stopwatch = Stopwatch::start();
    let ran = command.output().await.map_err(|error| fault::config(format!("can't start {what}: {error}")))?;
    if !ran.status.success() {
        return Err(fault::bug(format!("{what} failed: {}", String::from_utf8_lossy(&ran.stderr))));
    }
    Ok(stopwatch.elapsed().as_secs_f64())
}

impl Daemon {
    /// Has it stop as an operator would.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.ok_or_else(|| fault::bug("the daemon ended before it was told to"))?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).context("stop the daemon")?;
        self.child.wait().await.context("wait for the daemon's end").map(drop)
    }
}
