//! What every session is set to before it is used, whatever the server, the database and the role set.
//!
//! A load's correctness must not depend on settings that an administrator made for people: under `repeatable read` an
//! older run date would not see that a newer one was published. So a session pins them with SET when it is opened, as
//! `pg_dump` does. Startup options would do the same in one message less, but `PgBouncer` refuses them.

use crate::config::Ident;
use crate::fault;
use anyhow::Context;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use tracing::{info, warn};

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Loads, runs, the ledger.
    Work,
    /// The task queue. Its sessions don't wait for the disk: what the queue says is a hint, and the truth is kept by
    /// [`Self::Work`]. A process that is paused in a transaction must not keep its message from the others. A worker of
    /// the queue that is stopped is dropped wherever it is, also while it commits: the rollback that follows finds no
    /// transaction, which the server warns of, and nobody is to be alarmed.
    Queue,
    /// Answers over HTTP: read-only, and a statement ends after ten seconds.
    Read,
}

/// Settings that are the same for every session. One that a server's version does not have is left out.
const PINNED: [(&str, &str); 27] = [
    ("array_nulls", "on"),
    ("backslash_quote", "safe_encoding"),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("default_transaction_deferrable", "off"),
    ("default_transaction_isolation", "read committed"),
    ("exit_on_error", "off"),
    ("extra_float_digits", "1"),
    ("gin_fuzzy_search_limit", "0"),
    ("idle_session_timeout", "0"),
    ("IntervalStyle", "postgres"),
    // No statement here runs so long that compiling it is worth what loading the compiler costs each process.
    ("jit", "off"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("lock_timeout", "0"),
    ("quote_all_identifiers", "off"),
    ("restrict_nonsystem_relation_kind", ""),
    // A policy that hides rows would make counts wrong in silence; so it is an error.
    ("row_security", "off"),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
    ("timezone_abbreviations", "Default"),
    ("transaction_timeout", "0"),
    ("transform_null_equals", "off"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
];

/// Settings whose value depends on what the session is for.
const OF_PURPOSE: [&str; 6] = [
    "search_path",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "client_min_messages",
    "synchronous_commit",
    "default_transaction_read_only",
];

/// A standby's sessions can't write, nor those of a server that was made read-only in its own configuration. Read-only
/// for the role or the database is a setting for people, as the others are; replication's role switches off triggers
/// and foreign keys, and only a superuser can switch them on again.
const CONDITIONAL: [(&str, &str); 3] = [
    (
        "default_transaction_read_only",
        "case when current_setting('default_transaction_read_only') = 'on' and (select source from pg_settings where name \
         = 'default_transaction_read_only') in ('database', 'user', 'database user', 'client') then 'off' end",
    ),
    ("session_replication_role", "case when current_setting('is_superuser') = 'on' then 'origin' end"),
    ("synchronous_commit", "case when current_setting('synchronous_commit') = 'off' then 'on' end"),
];

impl Purpose {
    fn pins(self, schema: &Ident) -> Vec<(&'static str, String)> {
        let (path, statement_timeout, idle_timeout, messages) = match self {
            Self::Work => (format!("bursar, {schema}, apalis, public"), "0", "0", "notice"),
            Self::Queue => ("apalis, bursar, public".to_owned(), "0", "5s", "error"),
            Self::Read => (format!("bursar, {schema}, public"), "10s", "0", "notice"),
        };
        let mut pins = vec![
            ("search_path", path),
            ("statement_timeout", statement_timeout.to_owned()),
            ("idle_in_transaction_session_timeout", idle_timeout.to_owned()),
            ("client_min_messages", messages.to_owned()),
        ];
        match self {
            Self::Work => {}
            Self::Queue => pins.push(("synchronous_commit", "off".to_owned())),
            Self::Read => pins.push(("default_transaction_read_only", "on".to_owned())),
        }
        pins
    }

    /// Whether its sessions must be able to write.
    pub(super) const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// Whether a setting is one that sessions pin.
pub(super) fn is_pinned(name: &str) -> bool {
    let conditional = CONDITIONAL.iter().map(|(name, _)| *name);
    PINNED.iter().map(|(name, _)| *name).chain(OF_PURPOSE).chain(conditional).any(|pin| pin.eq_ignore_ascii_case(name))
}

/// Opens sessions for one purpose.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    purpose: Purpose,
    statement: Arc<str>,
    is_refused: Arc<AtomicBool>,
    /// The server process behind the session that was opened last.
    newest: Arc<AtomicI32>,
}

/// A session that was set up, and its server.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Server {
    pub pid: i32,
    is_standby: bool,
    is_read_only: bool,
    replication_role: String,
    pub database: String,
    pub encoding: String,
}

const SERVER: &str = "select pg_backend_pid() as pid, pg_is_in_recovery() as is_standby, \
                      current_setting('default_transaction_read_only') = 'on' as is_read_only, \
                      current_setting('session_replication_role') as replication_role, \
                      current_database()::text as database, current_setting('server_encoding') as encoding";

impl Sessions {
    pub(super) fn new(purpose: Purpose, schema: &Ident) -> Self {
        let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let pinned = PINNED.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(purpose.pins(schema));
        let mut pins: Vec<(&str, String)> = pinned.map(|(name, value)| (name, literal(&value))).collect();
        for (name, value) in CONDITIONAL {
            if !pins.iter().any(|(pinned, _)| *pinned == name) {
                pins.push((name, value.to_owned()));
            }
        }
        let pins: Vec<String> = pins.iter().map(|(name, value)| format!("({}, {value})", literal(name))).collect();
        // Both in one message.
        let statement = format!(
            "select set_config(name, value, false) from (values {}) as pin (name, value) \
             where value is not null and current_setting(name, true) is not null; {SERVER}",
            pins.join(", ")
        );
        Self { purpose, statement: statement.into(), is_refused: Arc::default(), newest: Arc::default() }
    }

    /// Sets a new session up.
    ///
    /// # Errors
    /// A transient fault if the sessions write and the server is a standby or read-only; a configuration fault if
    /// triggers and foreign keys are switched off and can't be switched on.
    pub(super) async fn set_up(&self, connection: &mut PgConnection) -> anyhow::Result<Server> {
        let rows = sqlx::raw_sql(AssertSqlSafe(self.statement.to_string()))
            .fetch_all(connection)
            .await
            .context("set the session up")?;
        let row = rows.last().ok_or_else(|| fault::transient("the server did not say what it is"))?;
        let server = Server::from_row(row).context("set the session up")?;
        self.newest.store(server.pid, Ordering::Release);
        if self.purpose.writes() {
            server.check_writable()?;
        }
        Ok(server)
    }

    /// As [`Self::set_up`], for a pool: it tries a session again that was refused, and does not say why it was.
    pub(super) async fn set_up_in_pool(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let set_up = self.set_up(connection).await;
        let was_refused = self.is_refused.swap(set_up.is_err(), Ordering::AcqRel);
        match set_up {
            Ok(_) if was_refused => info!("sessions are opened again"),
            Ok(_) => {}
            Err(error) => {
                let message = fault::told(&error);
                if !was_refused {
                    warn!("no session is opened, and it is tried again until one is: {message}");
                }
                return Err(sqlx::Error::Protocol(message));
            }
        }
        Ok(())
    }

    /// The server process behind the session that was opened last.
    pub(super) fn newest(&self) -> i32 {
        self.newest.load(Ordering::Acquire)
    }
}

impl Server {
    fn check_writable(&self) -> anyhow::Result<()> {
        if self.is_standby {
            return Err(fault::transient(
                "the server is a standby (in recovery), which takes no writes: Bursar needs the primary; give an \
                 address that follows it",
            ));
        }
        if self.is_read_only {
            return Err(fault::transient(
                "the server takes no writes: its configuration sets default_transaction_read_only = on",
            ));
        }
        if self.replication_role != "origin" {
            return Err(fault::config(format!(
                "session_replication_role = {} is set for the role or the database, which switches off triggers and \
                 foreign keys: have a superuser reset it (alter role … reset session_replication_role)",
                self.replication_role
            )));
        }
        Ok(())
    }
}
