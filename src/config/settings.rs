//! The program's own settings: `config/bursar.toml`, then the environment over it.

use super::environment::Environment;
use super::problem::Problems;
use super::source::Source;
use crate::fault;
use anyhow::Context;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
}

impl Default for Database {
    fn default() -> Self {
        Self { schema: "public".into(), connect_timeout_s: 10, lock_timeout_s: 60 }
    }
}

/// What the daemon answers on.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port (`BURSAR_HTTP_BIND`).
    pub bind: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 8080)) }
    }
}

/// How runs are worked on.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// How many tasks one process works on at a time.
    #[validate(range(min = 1, max = 256))]
    pub parallel_tasks: usize,
    /// How long a stopping daemon waits for running tasks before it cancels them, in seconds.
    #[validate(range(min = 0, max = 3600))]
    pub grace_s: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self { parallel_tasks: 4, grace_s: 30 }
    }
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the configuration files lie.
    pub config_dir: PathBuf,
    /// The keys of `bursar.toml`, with the environment applied.
    pub file: SettingsFile,
    /// `DATABASE_URL`; without it the embedded PostgreSQL is used.
    pub database_url: Option<SecretString>,
    /// `BURSAR_POSTGRES_BIN`: the folder of PostgreSQL's programs.
    pub postgres_bin: Option<PathBuf>,
    /// `BURSAR_POSTGRES_USER`: the account that runs the embedded PostgreSQL when started as root.
    pub postgres_user: Option<String>,
}

/// Variables with a short name, and the key each sets.
const SHORT_NAMES: [(&str, &str); 4] = [
    ("BURSAR_INBOX_DIR", "paths.inbox"),
    ("BURSAR_OUTPUT_DIR", "paths.output"),
    ("BURSAR_DATA_DIR", "paths.data"),
    ("BURSAR_HTTP_BIND", "http.bind"),
];

impl Settings {
    /// Reads `bursar.toml` in `config_dir` (it may be missing) and lays the environment over it.
    ///
    /// # Errors
    /// A configuration fault that names every problem of the file, or the variable that can't be.
    pub fn load(config_dir: &Path, environment: &Environment) -> anyhow::Result<Self> {
        let path = config_dir.join("bursar.toml");
        let mut builder = config::Config::builder();
        if path.exists() {
            let mut problems = Problems::default();
            let source = Source::read(&path, &mut problems);
            let _shape: Option<SettingsFile> = source.as_ref().and_then(|s| s.typed(&mut problems));
            problems.into_result()?;
            let text = source.map(|s| s.text().to_owned()).unwrap_or_default();
            builder = builder.add_source(config::File::from_str(&text, config::FileFormat::Toml));
        }
        let variables = environment.all().clone().into_iter().collect();
        builder = builder.add_source(
            config::Environment::with_prefix("BURSAR").prefix_separator("__").separator("__").source(Some(variables)),
        );
        for (variable, key) in SHORT_NAMES {
            builder = builder.set_override_option(key, environment.var(variable))?;
        }
        let file: SettingsFile = builder
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| fault::config(format!("settings (bursar.toml and BURSAR__… variables): {error}")))?;
        check(&file)?;
        Ok(Self {
            config_dir: config_dir.to_owned(),
            file,
            database_url: environment.secret("DATABASE_URL").context("the database's address")?,
            postgres_bin: environment.path("BURSAR_POSTGRES_BIN"),
            postgres_user: environment.var("BURSAR_POSTGRES_USER").map(str::to_owned),
        })
    }
}

fn check(file: &SettingsFile) -> anyhow::Result<()> {
    file.validate().map_err(|errors| {
        let mut lines: Vec<String> = errors.to_string().lines().map(str::to_owned).collect();
        lines.sort();
        fault::config(format!("settings out of bounds: {}", lines.join("; ")))
    })?;
    super::Ident::parse(&file.database.schema)
        .map_err(|error| fault::config(format!("database.schema: {error}")))?;
    Ok(())
}
