//! What the tests stand on: a real PostgreSQL, a fresh database and a folder of its own for each test,
//! and the program itself, run as its users run it.

use bursar::config::{Environment, Settings};
use bursar::db::Database;
use bursar::db::embedded::{Embedded, Options};
use bursar::engine::queue;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgPool};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex, Weak};
use tempfile::TempDir;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// The server all tests of this process share; the last test to let go of it stops it.
static SERVER: tokio::sync::Mutex<Weak<Server>> = tokio::sync::Mutex::const_new(Weak::new());

/// Databases are made one at a time: they are copies of templates that nobody else may be using.
static CREATING: Mutex<()> = Mutex::new(());

pub struct Server {
    place: Place,
    /// A database with Bursar's own tables, which most tests begin with a copy of.
    template: String,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Place {
    Given(String),
    Private(Embedded),
}

impl Server {
    /// `DATABASE_URL` where it is set, else a private server under the target folder.
    async fn shared() -> Arc<Self> {
        let mut shared = SERVER.lock().await;
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let place = match std::env::var("DATABASE_URL") {
            Ok(url) => Place::Given(url),
            Err(_) => Place::Private(Embedded::start(&options()).await.expect("a PostgreSQL for the tests")),
        };
        // Where nobody listens when a line of the program would first be logged, a test that listens from then on may
        // never hear it.
        let listener = tracing_subscriber::registry().with(LevelFilter::INFO);
        let _ = tracing::subscriber::set_global_default(listener);
        let server = Arc::new(Self { place, template: new_name("template") });
        server.make_template().await;
        *shared = Arc::downgrade(&server);
        server
    }

    async fn make_template(&self) {
        self.administer(format!("create database {} template template0", self.template)).expect("make a database");
        let environment = Environment::of(vec![("DATABASE_URL", self.url(&self.template))]);
        let settings = Settings::load(&shipped_config(), &environment).expect("the shipped settings");
        let database = Database::open(&settings).await.expect("connect to the template");
        database.migrate().await.expect("Bursar's own tables");
        queue::set_up(&database.pool).await.expect("the queue's tables");
        database.close().await.expect("leave the template");
    }

    /// Runs a statement on the server, one at a time.
    fn administer(&self, statement: String) -> sqlx::Result<()> {
        let admin = self.admin();
        blocking(move || async move {
            let mut connection = PgConnection::connect_with(&admin).await?;
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.map(drop)
        })
    }

    fn admin(&self) -> PgConnectOptions {
        match &self.place {
            Place::Given(url) => PgConnectOptions::from_str(url).expect("DATABASE_URL"),
            Place::Private(embedded) => embedded.connect_options(),
        }
    }

    fn url(&self, database: &str) -> String {
        match &self.place {
            Place::Given(url) => {
                let (base, query) =
                    url.split_once('?').map_or((url.as_str(), String::new()), |(b, q)| (b, format!("?{q}")));
                let server = base.rsplit_once('/').expect("DATABASE_URL names a database").0;
                format!("{server}/{database}{query}")
            }
            Place::Private(embedded) => {
                format!("postgres:///{database}?host={}&user=bursar", embedded.socket_dir().display())
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.administer(format!("drop database if exists {} with (force)", self.template));
    }
}

/// A name for a database that nobody else has.
fn new_name(kind: &str) -> String {
    format!("bursar_{kind}_{}", uuid::Uuid::new_v4().simple())
}

fn shipped_config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// The address of a database with another host and port.
fn url_at(url: &str, address: SocketAddr, database: &str) -> String {
    let (server, query) = url.split_once('?').unwrap_or((url, ""));
    let credentials = server
        .split_once("//")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .map_or(String::new(), |(credentials, _)| format!("{credentials}@"));
    let elsewhere = ["host=", "port="];
    let query: Vec<&str> = query.split('&').filter(|key| !elsewhere.iter().any(|e| key.starts_with(e))).collect();
    format!("postgres://{credentials}{address}/{database}?{}", query.join("&"))
}

fn options() -> Options {
    Options {
        data_dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bursar"),
        binaries: std::env::var_os("BURSAR_POSTGRES_BIN").map(PathBuf::from),
        account: std::env::var("BURSAR_POSTGRES_USER").ok(),
        database: "tests".to_owned(),
    }
}

/// A folder of a test's own.
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Writes a file below the test's folder.
    pub fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, bytes).expect("write a file");
        path
    }
}

/// A test's own folder and database.
pub struct World {
    folder: Folder,
    pub database: String,
    server: Arc<Server>,
}

impl Deref for World {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

/// What a command of the program came to.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    #[expect(clippy::needless_pass_by_value, reason = "it is read up here")]
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The lines for people on stderr, without the log's JSON lines.
    pub fn messages(&self) -> String {
        self.stderr.lines().filter(|l| !l.starts_with('{')).collect::<Vec<_>>().join("\n")
    }

    /// Asserts the exit code, showing what was said when it is another.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The result that was printed with `--json`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.stdout, self.stderr))
    }
}

impl World {
    /// The shipped configuration, an empty inbox, a database with Bursar's own tables, all empty.
    pub async fn new() -> Self {
        let server = Server::shared().await;
        let template = server.template.clone();
        Self::from(server, &template)
    }

    /// As [`World::new`], with a database in which there is nothing at all.
    pub async fn bare() -> Self {
        Self::from(Server::shared().await, "template0")
    }

    fn from(server: Arc<Server>, template: &str) -> Self {
        let database = new_name("test");
        server.administer(format!("create database {database} template {template}")).expect("make a database");
        let folder = Folder::new();
        copy_dir(&shipped_config(), &folder.path("config"));
        for name in ["inbox", "output"] {
            std::fs::create_dir_all(folder.path(name)).expect("a folder");
        }
        // One job is due by itself; the others are run by those whose files they take in.
        for job in ["billing-export", "receivables"] {
            let job = folder.path(&format!("config/jobs/{job}.toml"));
            let text = std::fs::read_to_string(&job).expect("the shipped job");
            let keys = ["schedule", "timezone", "catchup", "overlap"];
            let lines = text.lines().filter(|line| !keys.iter().any(|key| line.starts_with(key)));
            std::fs::write(&job, lines.collect::<Vec<_>>().join("\n")).expect("the job");
        }
        Self { folder, database, server }
    }

    /// Delivers the file of a customer, by its code (`A` for `agency_a`).
    pub fn deliver(&self, code: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        self.write(&format!("inbox/ratings/Customer Rating Agency {code} Inc.csv"), bytes)
    }

    /// Delivers a good file for every agency.
    pub fn deliver_all(&self) {
        for (i, code) in ["A", "B", "C", "D"].iter().enumerate() {
            self.deliver(code, ratings(&[&format!("{},10,20,high-value", 100 + i)]));
        }
    }

    /// Changes a configuration file.
    pub fn edit(&self, relative: &str, change: impl FnOnce(String) -> String) {
        let path = self.path("config").join(relative);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, change(text)).expect("write configuration");
    }

    pub fn database_url(&self) -> String {
        self.server.url(&self.database)
    }

    /// The test's database where another address leads to the same server.
    pub fn database_url_at(&self, address: SocketAddr) -> String {
        url_at(&self.database_url(), address, &self.database)
    }

    /// How to connect to the server itself.
    pub fn server_options(&self) -> PgConnectOptions {
        self.server.admin()
    }

    /// The environment the program is run with.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |relative: &str| self.path(relative).display().to_string();
        vec![
            ("DATABASE_URL", self.database_url()),
            ("BURSAR_CONFIG_DIR", path("config")),
            ("BURSAR_INBOX_DIR", path("inbox")),
            ("BURSAR_OUTPUT_DIR", path("output")),
            ("BURSAR_DATA_DIR", path("state")),
            ("BURSAR_HTTP_BIND", "127.0.0.1:0".to_owned()),
        ]
    }

    /// The program's settings in this world, for tests that build the program in their own process.
    pub fn settings(&self) -> Settings {
        Settings::load(&self.path("config"), &Environment::of(self.environment())).expect("settings")
    }

    /// The program with arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
        command
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(self.environment())
            .current_dir(self.path(""))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn bursar(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("start bursar"))
    }

    /// Runs the shipped job for a date.
    pub fn run_job(&self, date: &str, more: &[&str]) -> Ran {
        self.bursar(&[&["run-job", "customer-ratings", "--date", date], more].concat())
    }

    /// Connections to the test's database.
    pub async fn pool(&self) -> PgPool {
        let options = PgConnectOptions::from_str(&self.database_url()).expect("the test's database");
        PgPoolOptions::new().max_connections(4).connect_with(options).await.expect("connect to the test's database")
    }

    /// One connection to the test's database.
    pub async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.database_url()).expect("the test's database");
        PgConnection::connect_with(&options).await.expect("connect to the test's database")
    }

    /// A connection to another database of the same server.
    pub async fn admin(&self) -> PgConnection {
        PgConnection::connect_with(&self.server.admin()).await.expect("connect to the server")
    }

    /// A single value from the database.
    pub async fn scalar<T>(&self, query: &str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let pool = self.pool().await;
        sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&pool)
            .await
            .unwrap_or_else(|e| panic!("{query}: {e}"))
    }

    /// Values from the database.
    pub async fn column(&self, query: &str) -> Vec<String> {
        let pool = self.pool().await;
        let values = sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(&pool).await;
        values.unwrap_or_else(|e| panic!("{query}: {e}"))
    }

    /// Statements of an analyst or an administrator.
    pub async fn sql(&self, statements: &str) {
        let mut connection = self.connect().await;
        let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await;
        done.unwrap_or_else(|e| panic!("{statements}: {e}"));
    }

    /// The rows of a customer's table as text, sorted.
    pub async fn rows(&self, customer: &str) -> Vec<String> {
        let pool = self.pool().await;
        let query = format!("select t::text from customer_rating_{customer} as t order by 1");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&pool).await.expect("the table")
    }

    /// The report of a date (`20250513`), where it was written.
    pub fn report(&self, date: &str) -> Option<String> {
        std::fs::read_to_string(self.path(&format!("output/Customer_Rating_Aggregate_Report_{date}.csv"))).ok()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.server.administer(format!("drop database if exists {} with (force)", self.database));
    }
}

/// Runs a future on a thread of its own, also from within a runtime.
fn blocking<T: Send, F: Future<Output = T>>(make: impl FnOnce() -> F + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _one_at_a_time = CREATING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(make())
        });
        thread.join().expect("no panic")
    })
}

pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the shipped configuration").map(|e| e.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy a file");
        }
    }
}

/// A ratings file with these rows.
pub fn ratings(rows: &[&str]) -> String {
    let mut text = "customer_number,customer_rating,customer_rating_limit,customer_status\r\n".to_owned();
    for row in rows {
        text.push_str(row);
        text.push_str("\r\n");
    }
    text
}

/// The folder of real data. `None` where `BURSAR_REAL_DATA` is not set.
pub fn real_data() -> Option<PathBuf> {
    std::env::var_os("BURSAR_REAL_DATA").map(PathBuf::from)
}
