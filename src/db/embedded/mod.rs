//! The private PostgreSQL that serves where no `DATABASE_URL` is given.
//!
//! One server per data directory, shared by every process that uses it: the first one starts
//! it, the others join, the last one stops it. They are counted by file locks, so a process that
//! is killed counts no more; a server that it left behind is taken over by the next process.
//!
//! The server runs with PostgreSQL's own defaults and is as durable as any (`fsync` is on). It
//! listens on no network: its socket lies in a folder that only its account can enter. It needs
//! programs of PostgreSQL, which are found or fetched, and an account that is not root.
//!
//! Knows nothing of tables and schemas.

mod account;
mod binaries;
mod cluster;
mod download;
mod holder;
mod lease;
mod lock;
mod place;
mod process;
mod session;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;

use binaries::Binaries;
use lease::Lease;
use place::Place;

/// What a private server needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Holds the cluster, in its folder `postgres`, and what belongs to it. Made if missing.
    pub data_dir: PathBuf,
    /// The folder of `postgres` and `initdb`. None: they are looked for, then downloaded.
    pub binaries: Option<PathBuf>,
    /// The account that runs the server where root starts it. None: `postgres`, else `nobody`;
    /// for an existing cluster, its owner.
    pub account: Option<String>,
    /// The database to connect to, made if missing. Any name.
    pub database: String,
}

/// How a server came to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Started here, with a new cluster.
    Created,
    /// Started here, after an orderly stop.
    Started,
    /// Started here, after a server that crashed or was killed: it recovered what was committed.
    Recovered,
    /// Others use it already.
    Joined,
    /// It ran without any user, whose process was killed.
    Adopted,
}

impl Origin {
    /// Whether the server ran before.
    #[must_use]
    pub fn is_joined(self) -> bool {
        matches!(self, Self::Joined | Self::Adopted)
    }
}

/// A use of the private server. Without `stop` it ends when dropped, on the dropping thread.
#[derive(Debug)]
pub struct Embedded {
    lease: Mutex<Lease>,
    place: Place,
    binaries: Binaries,
    database: String,
    origin: Origin,
}

impl Embedded {
    /// Starts the data directory's server or joins it, and makes the cluster and the database
    /// where they are missing. Takes about half a second for a new cluster, else a twentieth.
    ///
    /// # Errors
    /// A configuration fault that says what to do when there are no programs, no account or no
    /// place for the cluster, or somebody else holds it; a transient one when the server or
    /// another process that is starting it does not get ready.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let place = Place::settle(&options.data_dir, options.account.as_deref())?;
        let mut lease = Lease::begin(place.clone()).await?;
        cluster::clear_leftovers(&place);
        let major = cluster::major(&place.cluster())?;
        let binaries = binaries::find(options.binaries.as_deref(), &place.downloads(), major).await?;
        if major.is_none() {
            cluster::create(&place, &binaries).await?;
        }
        place.make_socket_dir()?;
        let origin = match lease.bring_up(&binaries, &options.database).await? {
            Origin::Started if major.is_none() => Origin::Created,
            origin => origin,
        };
        let embedded = Self { lease: Mutex::new(lease), place, binaries, database: options.database.clone(), origin };
        embedded.announce(begun);
        Ok(embedded)
    }

    /// How to connect to the database: the socket, the cluster's superuser, no password.
    pub fn connect_options(&self) -> PgConnectOptions {
        session::options(&self.place, &self.database)
    }

    /// The folder of `psql` and the other programs.
    pub fn binaries(&self) -> &Path {
        &self.binaries.folder
    }

    /// The folder of the server's socket (`psql --host`).
    pub fn socket_dir(&self) -> &Path {
        &self.place.socket_dir
    }

    /// How the server came to run.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Starts the server again if its process has ended while this uses it. Returns how it came to run; `None` if it
    /// runs.
    ///
    /// # Errors
    /// As [`Embedded::start`].
    pub async fn revive(&self) -> anyhow::Result<Option<Origin>> {
        let mut lease = self.lease.lock().await;
        if lease.server_runs() {
            return Ok(None);
        }
        lease.renew(&self.binaries, &self.database).await.map(Some)
    }

    /// Ends this use. The last user's stop shuts the server down, connections or not, and
    /// returns when it has ended.
    ///
    /// # Errors
    /// A transient fault when the server does not end; others when the locks fail.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut lease = self.lease.into_inner();
        tokio::task::spawn_blocking(move || lease.end()).await.context("stop the private PostgreSQL")?
    }

    fn announce(&self, begun: Instant) {
        let elapsed_ms = begun.elapsed().as_millis();
        let cluster = self.place.cluster();
        tracing::info!(
            postgres.major = self.binaries.major,
            postgres.account = %self.place.account.name,
            postgres.socket_dir = %self.place.socket_dir.display(),
            elapsed_ms,
            "private PostgreSQL {} in {}: {:?}",
            self.binaries.major,
            cluster.display(),
            self.origin
        );
    }
}
