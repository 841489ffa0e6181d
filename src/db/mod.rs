//! The database: where it is, its pool of connections, its migrations.

pub mod check;
mod connect;
pub mod embedded;
pub mod fence;
pub mod interrupt;
pub mod migrations;
pub mod patience;
mod pools;
pub mod prepare;
pub mod room;
mod session;

use crate::config::{Ident, Settings};
use crate::fault;
use anyhow::Context;
use embedded::{Embedded, Options};
use migrations::Migrations;
use pools::Pools;
pub use pools::explain;
use room::{Limits, Room};
use session::Server;
use sqlx::{Connection, PgConnection, PgPool, Row};
use std::time::Duration;
use tokio::time::timeout;
use tracing::warn;

/// The database's name, in the embedded server and in the shipped container files.
pub const DATABASE: &str = "CustomerRatingData";

/// How long connections may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// An open database.
#[derive(Debug)]
pub struct Database {
    /// Its connections; `search_path` is `bursar`, the customers' schema, and where the queue's types are.
    pub pool: PgPool,
    /// Connections for the queue. They don't wait for the disk: what the queue says is a hint, and the truth is kept
    /// through [`Self::pool`]. If there are too few connections for a pool of its own, they are those of [`Self::pool`].
    pub queue: PgPool,
    /// Connections for answers over HTTP: few, so that loads are not starved; they can't write, and a statement ends
    /// after ten seconds.
    pub reader: PgPool,
    /// How many connections there are.
    pub room: Room,
    embedded: Option<Embedded>,
    lock_timeout_s: u64,
}

impl Database {
    /// Connects to `DATABASE_URL`, or starts (or joins) the embedded PostgreSQL.
    ///
    /// # Errors
    /// A configuration fault when there is no way to a database; a transient one when it is away.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let file = &settings.file;
        let mut patience_s = file.database.connect_timeout_s;
        let (options, embedded) = if let Some(url) = &settings.database_url {
            patience_s = url.connect_timeout_s.unwrap_or(patience_s);
            (connect::options(url)?, None)
        } else {
            let embedded =
                Embedded::start(&embedded_options(settings)).await.context("start the embedded PostgreSQL")?;
            (embedded.connect_options().application_name("bursar").extra_float_digits(None), Some(embedded))
        };
        let place = connect::place(&options);
        let context = || format!("connect to the database {place}");
        let patience = Duration::from_secs(patience_s);
        let pools = Pools { options, patience, schema: Ident::parse(&file.database.schema)? };
        // What keeps a pool from connecting is never heard of, so the first connection is not a pool's.
        let mut first = connect::connect(&pools.options, patience).await?;
        let server = pools.set_up(&mut first).await.with_context(context)?;
        check_encoding(&server)?;
        let limits = Limits::find(&mut first).await.with_context(context)?;
        let room = Room::new(file.engine.parallel_tasks, file.database.max_connections, &limits)?;
        let (pool, newest) = pools.work(room.work).await.with_context(context)?;
        check_pooling(&mut first, &server, newest).await?;
        // However closing it goes, the server lets go of it.
        let _ = first.close().await;
        let queue = room.queue.map_or_else(|| pool.clone(), |connections| pools.queue(connections));
        let reader = pools.reader(room.reader);
        if embedded.is_some() {
            set_search_path(&pool, &file.database.schema).await?;
        }
        Ok(Self { pool, queue, reader, room, embedded, lock_timeout_s: file.database.lock_timeout_s })
    }

    /// The embedded server, when there is one.
    #[must_use]
    pub const fn embedded(&self) -> Option<&Embedded> {
        self.embedded.as_ref()
    }

    /// Makes or updates Bursar's own tables; where they are as they should be, it only looks.
    ///
    /// # Errors
    /// A configuration fault when the role may not, or the database was made by a newer version.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        let context = "make Bursar's own tables (schema bursar)";
        let migrations = Migrations::own();
        let mut connection = self.pool.acquire().await.context(context)?;
        if migrations.are_applied(&mut connection).await.context(context)? {
            return Ok(());
        }
        // A connection of its own: what is set for it ends with it.
        let mut connection = connection.detach();
        sqlx::query("select set_config('lock_timeout', $1, false)")
            .bind(format!("{}s", self.lock_timeout_s))
            .execute(&mut connection)
            .await
            .context(context)?;
        migrations.run(&mut connection).await.context(context)?;
        connection.close().await.context(context)
    }

    /// Closes the connections and, where this process is its last user, stops the embedded server.
    ///
    /// # Errors
    /// When the embedded server does not stop.
    pub async fn close(self) -> anyhow::Result<()> {
        let closing = async { tokio::join!(self.reader.close(), self.queue.close(), self.pool.close()) };
        if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            warn!("connections to the database did not close within {} s and are dropped", CLOSE_TIMEOUT.as_secs());
        }
        match self.embedded {
            Some(embedded) => embedded.stop().await.context("stop the embedded PostgreSQL"),
            None => Ok(()),
        }
    }
}

fn embedded_options(settings: &Settings) -> Options {
    Options {
        data_dir: settings.file.paths.data.clone(),
        binaries: settings.postgres_bin.clone(),
        account: settings.postgres_user.clone(),
        database: DATABASE.to_owned(),
    }
}

/// Files are UTF-8, and so is what is kept of them: a database of another encoding can't take every character.
fn check_encoding(server: &Server) -> anyhow::Result<()> {
    let Server { database, encoding, .. } = server;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(fault::config(format!(
        "the database {database} has the encoding {encoding}, and Bursar needs UTF8: \
         create database … encoding 'UTF8' template template0"
    )))
}

/// Refuses a pooler that gives one server process to several clients in turn. Two sessions that are open at the same
/// time never share a process, and one never moves to another, unless there is such a pooler.
async fn check_pooling(first: &mut PgConnection, server: &Server, second: i32) -> anyhow::Result<()> {
    let now: i32 = sqlx::raw_sql("select pg_backend_pid()")
        .fetch_one(first)
        .await
        .and_then(|row| row.try_get(0))
        .context("look which server process a session has")?;
    if server.pid == second || server.pid != now {
        return Err(fault::config(
            "DATABASE_URL leads to a pooler in transaction (or statement) pooling mode, and Bursar keeps locks and settings \
             in its sessions: give it the server's own address, or a pool in session mode (PgBouncer: pool_mode = session)",
        ));
    }
    Ok(())
}

/// Lets people who open the embedded database find the customers' tables first, then the program's own.
async fn set_search_path(pool: &PgPool, schema: &str) -> anyhow::Result<()> {
    let context = "set the database's search path";
    let path: Option<String> = sqlx::query_scalar(
        "select quote_ident($1) || ', bursar' as path
          where not exists (
                select from pg_db_role_setting as s join pg_database as d on d.oid = s.setdatabase
                 where d.datname = current_database() and s.setrole = 0
                   and 'search_path=' || quote_ident($1) || ', bursar' = any (s.setconfig))",
    )
    .bind(schema)
    .fetch_optional(pool)
    .await
    .context(context)?;
    let Some(path) = path else { return Ok(()) };
    let mut transaction = pool.begin().await.context(context)?;
    sqlx::query("select set_config('search_path', $1, true)")
        .bind(path)
        .execute(&mut *transaction)
        .await
        .context(context)?;
    sqlx::raw_sql("alter database \"CustomerRatingData\" set search_path from current")
        .execute(&mut *transaction)
        .await
        .context(context)?;
    transaction.commit().await.context(context)
}
