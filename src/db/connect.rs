//! The first connection: how the server is reached, and why it is not.

use crate::config::{DatabaseHost, DatabaseUrl};
use crate::fault;
use anyhow::Context;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How the sessions call themselves if the address does not say so.
const APPLICATION_NAME: &str = "bursar";

/// The pause after the first attempt that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How to connect to an address. Sessions are set up with SET when they are open, so no startup parameter is sent that
/// a pooler refuses.
///
/// # Errors
/// A configuration fault if the driver does not know the `sslmode`.
pub(super) fn options(url: &DatabaseUrl) -> anyhow::Result<PgConnectOptions> {
    let ssl_mode = url.ssl_mode.parse().map_err(fault::config)?;
    let mut options = PgConnectOptions::new_without_pgpass().port(url.port).ssl_mode(ssl_mode);
    options = match &url.host {
        DatabaseHost::Name(name) => options.host(name),
        DatabaseHost::Socket(folder) => options.socket(folder),
    };
    if let Some(user) = &url.user {
        options = options.username(user);
    }
    if let Some(password) = &url.password {
        options = options.password(password.expose_secret());
    }
    if let Some(database) = &url.database {
        options = options.database(database);
    }
    if let Some(path) = &url.ssl_root_cert {
        options = options.ssl_root_cert(path);
    }
    if let Some(path) = &url.ssl_cert {
        options = options.ssl_client_cert(path);
    }
    if let Some(path) = &url.ssl_key {
        options = options.ssl_client_key(path);
    }
    if !url.options.is_empty() {
        options = options.options(url.options.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    let name = url.application_name.as_deref().unwrap_or(APPLICATION_NAME);
    Ok(options.application_name(name).extra_float_digits(None))
}

/// Connects; what may pass (a server that starts, is restarted or has no connection left) is tried again until
/// `patience` is over.
///
/// # Errors
/// A transient fault that says what kept it from connecting for so long; else what the server says.
pub(super) async fn connect(options: &PgConnectOptions, patience: Duration) -> anyhow::Result<PgConnection> {
    let context = || format!("connect to the database {}", place(options));
    let (deadline, mut pause) = (Instant::now() + patience, FIRST_PAUSE);
    let mut met = "it does not answer".to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, PgConnection::connect_with(options)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) if may_pass(&error) => met = fault::told(&error.into()),
            Ok(Err(error)) => return Err(error).with_context(context),
            Err(_) => {}
        }
        if Instant::now() + pause >= deadline {
            return Err(fault::transient(format!("{}: not within {} s: {met}", context(), patience.as_secs())));
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("53300" | "57P03")),
        _ => false,
    }
}

/// The database's address without its password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{database} at {}", socket.display()),
        None => format!("{database} at {}:{} as {}", options.get_host(), options.get_port(), options.get_username()),
    }
}
