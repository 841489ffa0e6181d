//! The keys of `config/bursar.toml`.

use crate::config::charges::Charges;
use crate::config::http::Http;
use crate::config::metronome::Metronome;
use crate::config::notify::Notify;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use validator::Validate;

/// `config/bursar.toml`: how this installation runs. Every key can also be set as `BURSAR__SECTION__KEY`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsFile {
    /// Folders.
    #[validate(nested)]
    pub paths: Paths,
    /// The database connection.
    #[validate(nested)]
    pub database: Database,
    /// What the daemon answers on.
    #[validate(nested)]
    pub http: Http,
    /// How runs are worked on.
    #[validate(nested)]
    pub engine: Engine,
    /// Where alerts are told.
    #[validate(nested)]
    pub notify: Notify,
    /// The Metronome billing API.
    #[validate(nested)]
    pub metronome: Metronome,
    /// Charges, and the invoices made of them.
    #[validate(nested)]
    pub charges: Charges,
}

/// Folders; a relative one is relative to where the program is started.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// Where files are delivered; a dataset's `file` is relative to it (`BURSAR_INBOX_DIR`).
    pub inbox: PathBuf,
    /// Where reports are written (`BURSAR_OUTPUT_DIR`).
    pub output: PathBuf,
    /// Where the program keeps what is its own: the embedded PostgreSQL, spools (`BURSAR_DATA_DIR`).
    pub data: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self { inbox: "data".into(), output: "output".into(), data: ".bursar".into() }
    }
}

/// The database connection; its address comes from `DATABASE_URL` alone, because it holds a password.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// The schema that the customers' tables lie in.
    pub schema: String,
    /// How long to wait for a connection, in seconds.
    #[validate(range(min = 1, max = 3600))]
    pub connect_timeout_s: u64,
    /// How long a load waits for other users of its table before it gives up, in seconds.
    #[validate(range(min = 1, max = 86400))]
    pub lock_timeout_s: u64,
    /// How many connections one process opens at most; without it as many as it can use and the server allows.
    #[validate(range(min = 3, max = 1000))]
    pub max_connections: Option<u32>,
}

impl Default for Database {
    fn default() -> Self {
        Self { schema: "public".into(), connect_timeout_s: 10, lock_timeout_s: 60, max_connections: None }
    }
}

/// How runs are worked on.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// How many tasks one process works on at a time.
    #[validate(range(min = 1, max = 256))]
    pub parallel_tasks: usize,
    /// How many tasks are under way at a time over all jobs and daemons; without it there is no limit.
    #[validate(range(min = 1, max = 10_000))]
    pub max_parallel_tasks: Option<u32>,
    /// How long a stopping daemon waits for running tasks before it hands them back, in seconds.
    #[validate(range(min = 0, max = 3600))]
    pub grace_s: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self { parallel_tasks: 4, max_parallel_tasks: None, grace_s: 30 }
    }
}
