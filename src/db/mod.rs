//! The database: where it is, its pool of connections, its migrations.

pub mod check;
pub mod embedded;
pub mod fence;
pub mod interrupt;

use crate::config::Settings;
use crate::fault;
use anyhow::Context;
use embedded::{Embedded, Options};
use secrecy::ExposeSecret;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Row};
use std::str::FromStr;
use std::time::Duration;
use tokio::time::timeout;

/// The database's name, in the embedded server and in the shipped container files.
pub const DATABASE: &str = "CustomerRatingData";

/// An open database.
#[derive(Debug)]
pub struct Database {
    /// Its connections; `search_path` is `bursar`, the customers' schema, and where the queue's types are.
    pub pool: PgPool,
    /// Connections for the queue. They don't wait for the disk: what the queue says is a hint, and the truth is kept
    /// through [`Self::pool`].
    pub queue: PgPool,
    /// Connections for answers over HTTP: few, so that loads are not starved; they can't write, and a statement ends
    /// after ten seconds.
    pub reader: PgPool,
    embedded: Option<Embedded>,
    lock_timeout_s: u64,
}

impl Database {
    /// Connects to `DATABASE_URL`, or starts (or joins) the embedded PostgreSQL.
    ///
    /// # Errors
    /// A configuration fault when there is no way to a database; a transient one when it is away.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let (options, embedded) = if let Some(url) = &settings.database_url {
            (parse_url(url.expose_secret())?, None)
        } else {
            let embedded =
                Embedded::start(&embedded_options(settings)).await.context("start the embedded PostgreSQL")?;
            (embedded.connect_options(), Some(embedded))
        };
        let pool = connect(settings, options.clone()).await?;
        let queue = queue_pool(settings, options.clone());
        let reader = reader_pool(settings, options);
        check_encoding(&pool).await?;
        if embedded.is_some() {
            set_search_path(&pool, &settings.file.database.schema).await?;
        }
        Ok(Self { pool, queue, reader, embedded, lock_timeout_s: settings.file.database.lock_timeout_s })
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
        let mut migrator = sqlx::migrate!("./ddl");
        migrator.create_schema("bursar");
        migrator.dangerous_set_table_name("bursar.migrations");
        let context = "make Bursar's own tables (schema bursar)";
        if self.is_migrated(&migrator).await.context(context)? {
            return Ok(());
        }
        // A connection of its own: what is set for it ends with it.
        let mut connection = self.pool.acquire().await.context(context)?.detach();
        sqlx::query("select set_config('lock_timeout', $1, false)")
            .bind(format!("{}s", self.lock_timeout_s))
            .execute(&mut connection)
            .await
            .context(context)?;
        migrator.run(&mut connection).await.context(context)?;
        connection.close().await.context(context)
    }

    async fn is_migrated(&self, migrator: &Migrator) -> sqlx::Result<bool> {
        let made = "select to_regclass('bursar.migrations') is not null";
        if !sqlx::query_scalar(made).fetch_one(&self.pool).await? {
            return Ok(false);
        }
        let applied: Vec<(i64, Vec<u8>, bool)> =
            sqlx::query_as("select version, checksum, success from bursar.migrations order by version")
                .fetch_all(&self.pool)
                .await?;
        Ok(applied.into_iter().eq(migrator.iter().map(|m| (m.version, m.checksum.to_vec(), true))))
    }

    /// Closes the connections and, where this process is its last user, stops the embedded server.
    ///
    /// # Errors
    /// When the embedded server does not stop.
    pub async fn close(self) -> anyhow::Result<()> {
        self.reader.close().await;
        self.queue.close().await;
        self.pool.close().await;
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

fn parse_url(url: &str) -> anyhow::Result<PgConnectOptions> {
    // sqlx takes any scheme, and would show `USER:PASSWORD@…` as the name of a database.
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let options = if is_postgres { PgConnectOptions::from_str(url).ok() } else { None };
    options.ok_or_else(|| {
        fault::config("DATABASE_URL is not a PostgreSQL address; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
    })
}

async fn connect(settings: &Settings, options: PgConnectOptions) -> anyhow::Result<PgPool> {
    let place = place(&options);
    let file = &settings.file;
    let path = format!("bursar, {}, apalis, public", file.database.schema);
    let connections = u32::try_from(file.engine.parallel_tasks * 3 + 4).unwrap_or(64);
    let patience_s = file.database.connect_timeout_s;
    let options = options.application_name("bursar");
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_outside_transactions(connection)))
        .acquire_timeout(Duration::from_secs(patience_s))
        .after_connect(move |connection, _| {
            let path = path.clone();
            Box::pin(async move {
                // No statement here runs so long that compiling it is worth what loading the compiler costs each process.
                let set = "select set_config('search_path', $1, false), set_config('jit', 'off', false)";
                sqlx::query(set).bind(path).execute(connection).await?;
                Ok(())
            })
        })
        .connect_with(options.clone())
        .await;
    if let Err(sqlx::Error::PoolTimedOut) = pool {
        let why = why_not(&options).await;
        return Err(fault::transient(format!("connect to the database {place}: not within {patience_s} s: {why}")));
    }
    pool.with_context(|| format!("connect to the database {place}"))
}

/// One connection listens, the others fetch and acknowledge. A process that is paused in the middle of that must not
/// keep its message from the others.
///
/// A worker of the queue that is stopped is dropped wherever it is, also while it commits: the rollback that follows finds
/// no transaction any more, which the server warns of. Nothing is lost by that, and nobody is to be alarmed.
fn queue_pool(settings: &Settings, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(4)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_outside_transactions(connection)))
        .acquire_timeout(Duration::from_secs(settings.file.database.connect_timeout_s))
        .connect_lazy_with(options.application_name("bursar").options([
            ("search_path", "apalis, bursar, public"),
            ("synchronous_commit", "off"),
            ("idle_in_transaction_session_timeout", "5s"),
            ("client_min_messages", "error"),
        ]))
}

/// Whether a connection that somebody used before is fit for the next one. Who is dropped while a transaction is being
/// begun leaves it open, and the driver does not know of it: what came next would never be committed.
///
/// The statement goes as one message: prepared, its own transaction begins some microseconds before it is executed, and
/// every connection would look unfit.
async fn is_outside_transactions(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(connection).await?.try_get(0)
}

/// A client waits for what is asked here: it is told soon when there is no connection for it.
fn reader_pool(settings: &Settings, options: PgConnectOptions) -> PgPool {
    let path = format!("bursar, {}, public", settings.file.database.schema);
    PgPoolOptions::new()
        .max_connections(8)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_outside_transactions(connection)))
        .acquire_timeout(Duration::from_secs(settings.file.database.connect_timeout_s.min(10)))
        .connect_lazy_with(options.application_name("bursar").options([
            ("search_path", path.as_str()),
            ("default_transaction_read_only", "on"),
            ("statement_timeout", "10s"),
            ("jit", "off"),
        ]))
}

/// Files are UTF-8, and so is what is kept of them: a database of another encoding can't take every character.
async fn check_encoding(pool: &PgPool) -> anyhow::Result<()> {
    let (database, encoding): (String, String) =
        sqlx::query_as("select current_database()::text, current_setting('server_encoding')")
            .fetch_one(pool)
            .await
            .context("look at the database's encoding")?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(fault::config(format!(
        "the database {database} has the encoding {encoding}, and Bursar needs UTF8: \
         create database … encoding 'UTF8' template template0"
    )))
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

/// Why there is no connection: the pool tries again and again, and in the end does not say what it met.
async fn why_not(options: &PgConnectOptions) -> String {
    match timeout(Duration::from_secs(1), PgConnection::connect_with(options)).await {
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(_)) => "it answers only now, try again".to_owned(),
        Err(_) => "it does not answer".to_owned(),
    }
}

/// The database's address without its password.
fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or("");
    match options.get_socket() {
        Some(socket) => format!("{database} at {}", socket.display()),
        None => format!("{database} at {}:{} as {}", options.get_host(), options.get_port(), options.get_username()),
    }
}
