//! Sessions with the database: what they don't depend on, what they refuse, and how few are enough.

use crate::running::{Running, until};
use crate::support::{Folder, Ran, World, ratings};
use bursar::db::Database;
use bursar::db::embedded::{Embedded, Options};
use nix::sys::signal::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Settings that would break loads, as an administrator may set them for people.
const SETTINGS: [(&str, &str); 14] = [
    ("default_transaction_isolation", "repeatable read"),
    ("statement_timeout", "300ms"),
    ("lock_timeout", "1ms"),
    ("idle_in_transaction_session_timeout", "1ms"),
    ("quote_all_identifiers", "on"),
    ("DateStyle", "German"),
    ("IntervalStyle", "iso_8601"),
    ("TimeZone", "Asia/Tokyo"),
    ("extra_float_digits", "-3"),
    ("bytea_output", "escape"),
    ("row_security", "on"),
    ("synchronous_commit", "off"),
    ("session_replication_role", "replica"),
    // The last: no other can be set after it.
    ("default_transaction_read_only", "on"),
];

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_database_change_nothing_of_what_a_session_does() {
    let world = World::new().await;
    for (name, value) in SETTINGS {
        world.sql(&format!("alter database {} set {name} = '{value}'", world.database)).await;
    }
    let database = Database::open(&world.settings()).await.expect("the database");
    for (pool, kind, read_only, statement, idle, commit) in [
        (&database.pool, "work", "off", "0", "0", "on"),
        (&database.queue, "queue", "off", "0", "5s", "off"),
        (&database.reader, "reader", "on", "10s", "0", "on"),
    ] {
        for (name, expected) in [
            ("default_transaction_isolation", "read committed"),
            ("transaction_isolation", "read committed"),
            ("transaction_read_only", read_only),
            ("statement_timeout", statement),
            ("lock_timeout", "0"),
            ("idle_in_transaction_session_timeout", idle),
            ("quote_all_identifiers", "off"),
            ("DateStyle", "ISO, MDY"),
            ("IntervalStyle", "postgres"),
            ("TimeZone", "UTC"),
            ("extra_float_digits", "1"),
            ("bytea_output", "hex"),
            ("row_security", "off"),
            ("synchronous_commit", commit),
            ("session_replication_role", "origin"),
        ] {
            let set: String =
                sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(pool).await.expect("it");
            assert_eq!(set, expected, "{kind}: {name}");
        }
    }
    database.close().await.expect("close");
    world.deliver_all();
    // A second load compares the table that is there.
    for date in ["2025-05-13", "2025-05-14"] {
        world.run_job(date, &[]).code(0);
    }
    let checked = world.bursar(&["check", "--database", "--json"]).code(0).json();
    let notes = checked["notes"].to_string();
    for (name, value) in SETTINGS {
        assert!(notes.contains(&format!("sets {name} = {value}: Bursar's sessions override it")), "{name}: {notes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_only_a_superuser_can_switch_on_again_are_not_done_without() {
    let world = World::new().await;
    let role = limited(&world, "").await;
    world.sql(&format!("alter role {role} set session_replication_role = replica")).await;
    let ran = bursar_as(&world, &role, &["check", "--database"]);
    drop_role(&world, &role).await;
    let said = ran.code(78).messages();
    assert!(said.contains("session_replication_role = replica") && said.contains("superuser"), "{said}");
}

/// A server of the test's own: what is done to it concerns nobody else.
fn own_server(folder: &Folder) -> Options {
    Options {
        data_dir: folder.path("own"),
        binaries: std::env::var_os("BURSAR_POSTGRES_BIN").map(Into::into),
        account: std::env::var("BURSAR_POSTGRES_USER").ok(),
        database: "own".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_is_refused_by_name_and_used_once_it_does() {
    let world = World::new().await;
    let folder = Folder::new();
    std::fs::set_permissions(folder.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("enter it");
    let options = own_server(&folder);
    let server = Embedded::start(&options).await.expect("a server");
    let check = |server: &Embedded| {
        let url = format!("postgres:///own?host={}&user=bursar", server.socket_dir().display());
        Ran::of(world.command(&["check", "--database"]).env("DATABASE_URL", url).output().expect("start bursar"))
    };
    let say = async |server: &Embedded, statement: &'static str| {
        let mut connection = PgConnection::connect_with(&server.connect_options()).await.expect("connect");
        sqlx::raw_sql(statement).execute(&mut connection).await.expect(statement);
    };
    check(&server).code(0);
    say(&server, "alter system set default_transaction_read_only = on").await;
    say(&server, "select pg_reload_conf()").await;
    let said = check(&server).code(75).messages();
    assert!(said.contains("its configuration sets default_transaction_read_only = on"), "{said}");
    say(&server, "alter system reset default_transaction_read_only").await;
    server.stop().await.expect("stop it");
    // A server that was shut down and finds this file is a standby of nobody: it only reads.
    let cluster = options.data_dir.join("postgres");
    let signal = cluster.join("standby.signal");
    std::fs::write(&signal, "").expect("make it a standby");
    let owner = std::fs::metadata(cluster.join("PG_VERSION")).expect("the cluster");
    std::os::unix::fs::chown(&signal, Some(owner.uid()), Some(owner.gid())).expect("give it");
    let server = Embedded::start(&options).await.expect("a standby");
    let said = check(&server).code(75).messages();
    assert!(said.contains("the server is a standby (in recovery)"), "{said}");
    say(&server, "select pg_promote()").await;
    check(&server).code(0);
    server.stop().await.expect("stop it");
}

/// A role that may do what Bursar needs in the test's database.
async fn limited(world: &World, options: &str) -> String {
    let role = format!("{}_role", world.database);
    world
        .sql(&format!(
            "create role {role} login {options};
             grant create on database {} to {role};
             grant all on schema bursar, bursar_staged, apalis, public to {role};
             grant usage on schema billing_export, charges, metronome, receivables, uac to {role};
             grant all on all tables in schema bursar, apalis, billing_export, charges, metronome, receivables, uac
                to {role};
             grant all on all sequences in schema bursar, apalis, billing_export, charges, metronome, receivables, uac
                to {role};",
            world.database
        ))
        .await;
    role
}

/// Limits how many sessions a role may have, when the server has ended the ones that its last process left.
async fn limit_to(world: &World, role: &str, sessions: u8) {
    let query = format!("select count(*) from pg_stat_activity where usename = '{role}'");
    until("the server has ended the role's sessions", async || world.scalar::<i64>(&query).await == 0).await;
    world.sql(&format!("alter role {role} connection limit {sessions}")).await;
}

async fn drop_role(world: &World, role: &str) {
    world.sql(&format!("reassign owned by {role} to current_user; drop owned by {role}; drop role {role}")).await;
}

fn url_as(world: &World, role: &str) -> String {
    world.database_url().replace("user=bursar", &format!("user={role}"))
}

fn bursar_as(world: &World, role: &str, arguments: &[&str]) -> Ran {
    Ran::of(world.command(arguments).env("DATABASE_URL", url_as(world, role)).output().expect("start bursar"))
}

#[tokio::test(flavor = "multi_thread")]
async fn three_connections_are_enough_for_a_job_and_four_for_a_daemon() {
    let world = World::new().await;
    let role = limited(&world, "connection limit 3").await;
    world.deliver_all();
    world.edit("datasets/customer_rating.toml", |text| text.replace("\n[gate]", "\npublish = \"swap\"\n[gate]"));
    let job = |date| ["run-job", "customer-ratings", "--date", date];
    let since = Instant::now();
    bursar_as(&world, &role, &job("2025-05-13")).code(0);
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    world.deliver("A", ratings(&["1,2,3,low-value", "x,2,3,low-value"]));
    bursar_as(&world, &role, &job("2025-05-14")).code(0);
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)"]);
    assert_eq!(world.scalar::<i64>("select count(*) from bursar.file_invalid_rows").await, 1);
    let said = bursar_as(&world, &role, &["check", "--database"]).code(0).messages();
    assert!(said.contains(&format!("the role {role} may open 3")) && said.contains("a daemon 4"), "{said}");
    let said = bursar_as(&world, &role, &["serve"]).code(78).messages();
    assert!(said.contains("a daemon needs 4 connections"), "{said}");

    limit_to(&world, &role, 4).await;
    let daemon = Running::of(world.command(&["serve"]).env("DATABASE_URL", url_as(&world, &role)));
    daemon.says("answering on http://").await;
    let others = Instant::now();
    let said = bursar_as(&world, &role, &job("2025-05-15")).code(75).messages();
    assert!(said.contains("too many connections"), "{said}");
    assert!(others.elapsed() < Duration::from_secs(30), "{:?}", others.elapsed());
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);

    limit_to(&world, &role, 2).await;
    let said = bursar_as(&world, &role, &job("2025-05-15")).code(78).messages();
    assert!(said.contains(&format!("the role {role} may open 2")), "{said}");
    drop_role(&world, &role).await;
}

/// `PgBouncer` before the tests' server.
struct Bouncer {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Bouncer {
    /// None where `PgBouncer` is not installed.
    fn start(world: &World, pool_mode: &str) -> Option<Self> {
        let binary = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"];
        let binary = binary.into_iter().find(|binary| Path::new(binary).exists())?;
        let server = world.server_options();
        let (folder, address) = (Folder::new(), free_address());
        let host = server.get_socket().map_or(server.get_host().to_owned(), |socket| socket.display().to_string());
        let configuration = folder.write(
            "pgbouncer.ini",
            format!(
                "[databases]\n* = host={host} port={} user={}\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\n\
                 unix_socket_dir =\nauth_type = any\npool_mode = {pool_mode}\n",
                server.get_port(),
                server.get_username(),
                address.ip(),
                address.port()
            ),
        );
        let mut command = Command::new(binary);
        command.arg(&configuration).stdout(Stdio::null()).stderr(Stdio::null());
        // It refuses to run as root, and only the server's own account may enter the folder of its socket.
        if let Some(socket) = server.get_socket().filter(|_| nix::unistd::geteuid().is_root()) {
            let owner = std::fs::metadata(socket).expect("the server's socket");
            std::os::unix::fs::chown(folder.path(""), Some(owner.uid()), Some(owner.gid())).expect("give the folder");
            command.uid(owner.uid()).gid(owner.gid());
        }
        let child = command.spawn().expect("start PgBouncer");
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(since.elapsed() < Duration::from_secs(20), "PgBouncer does not listen");
            std::thread::yield_now();
        }
        Some(Self { child, address, _folder: folder })
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbouncer_is_used_in_session_mode_and_refused_in_others() {
    let world = World::new().await;
    world.deliver_all();
    let Some(session) = Bouncer::start(&world, "session") else {
        eprintln!("NOT TESTED: PgBouncer is not installed (apt-get install pgbouncer)");
        return;
    };
    let job = ["run-job", "customer-ratings", "--date", "2025-05-14"];
    let through = |bouncer: &Bouncer, arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env("DATABASE_URL", world.database_url_at(bouncer.address));
        command
    };
    Ran::of(through(&session, &job).output().expect("start bursar")).code(0);
    let daemon = Running::of(&mut through(&session, &["serve"]));
    daemon.says("answering on http://").await;
    let said = daemon.said();
    let address = said.split("http://").nth(1).and_then(|rest| rest.split([',', ' ', '"']).next()).expect("an address");
    let mut stream = TcpStream::connect(address).expect("connect to the daemon");
    write!(stream, "GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("\"database\":\"ok\""), "{answer}");
    daemon.signal(Signal::SIGTERM);
    daemon.ended().await.code(0);
    for mode in ["transaction", "statement"] {
        let bouncer = Bouncer::start(&world, mode).expect("it is installed");
        let said = Ran::of(through(&bouncer, &job).output().expect("start bursar")).code(78).messages();
        assert!(said.contains("transaction (or statement) pooling mode"), "{mode}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_comes_from_where_psql_takes_it() {
    let world = World::new().await;
    let environment: Vec<(String, String)> = {
        let options: PgConnectOptions = world.server_options();
        let host = options.get_socket().map_or(options.get_host().to_owned(), |socket| socket.display().to_string());
        [
            ("PGHOST", host),
            ("PGPORT", options.get_port().to_string()),
            ("PGUSER", options.get_username().to_owned()),
            ("PGDATABASE", world.database.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    };
    let mut command = world.command(&["check", "--database"]);
    command.env("DATABASE_URL", "postgres://").envs(environment);
    Ran::of(command.output().expect("start bursar")).code(0);
}
