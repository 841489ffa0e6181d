//! Ways to a database that are wrong, closed, slow or crowded.

use super::{TODAY, assert_says, assert_yesterday, delivered};
use crate::running::{Running, Stall};
use crate::support::{Ran, World};
use nix::sys::signal::Signal;
use sqlx::AssertSqlSafe;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_connections_is_transient_within_the_connect_timeout() {
    let world = World::new().await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silence = silent.local_addr().expect("an address");
    for (address, why) in [(nobody, "Connection refused"), (silence, "it does not answer")] {
        let url = format!("postgres://someone:s3cret@{address}/nowhere?sslmode=disable");
        let since = Instant::now();
        let ran = world_at(&world, &url).await.code(75);
        assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
        assert_says(&ran, &["connect to the database nowhere at 127.0.0.1", "as someone", "not within 1 s", why]);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// What the job comes to with another `DATABASE_URL`, with patience for one second.
async fn world_at(world: &World, url: &str) -> Ran {
    Running::of(world.command(&TODAY).env("DATABASE_URL", url).env("BURSAR__DATABASE__CONNECT_TIMEOUT_S", "1"))
        .ended()
        .await
}

/// A server that refuses everybody with an SQLSTATE, as PostgreSQL does.
fn refusing(code: &'static str, message: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
            let length = u32::try_from(fields.len() + 4).expect("short");
            let _ = stream.write_all(&[b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat());
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_database_is_a_configuration_fault_and_a_starting_server_is_not() {
    let world = World::new().await;
    for (code, message, exit) in [
        ("28P01", "password authentication failed for user \"someone\"", 78),
        ("28000", "no pg_hba.conf entry for host", 78),
        ("3D000", "database \"nowhere\" does not exist", 78),
        ("57P03", "the database system is starting up", 75),
        ("53300", "sorry, too many clients already", 75),
    ] {
        let url = format!("postgres://someone:s3cret@{}/nowhere?sslmode=disable", refusing(code, message));
        let ran = world_at(&world, &url).await.code(exit);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
        if exit == 78 {
            assert_says(&ran, &["connect to the database nowhere at 127.0.0.1", message]);
        }
    }
    let missing = world.database_url().replace(&world.database, "no_such_database");
    let ran = world_at(&world, &missing).await.code(78);
    assert_says(&ran, &["database \"no_such_database\" does not exist"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_database_url_is_a_configuration_fault_and_never_shown() {
    let world = World::new().await;
    for url in [
        "postgres://someone:s3cret@host:port/db",
        "postgres://someone:s3/cret@host/db",
        "someone:s3cret@localhost/db",
        "mysql://someone:s3cret@localhost/db",
        "host=localhost password=s3cret",
        "postgres://someone:s3cret@localhost/db?sslmode=perhaps",
        "s3cret",
    ] {
        let ran = world_at(&world, url).await.code(78);
        assert!(ran.messages().contains("environment: DATABASE_URL: "), "{url}: {}", ran.stderr);
        assert!(!ran.stderr.contains("s3"), "{url}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_databases_address_can_come_from_a_file_but_not_from_both() {
    let world = World::new().await;
    world.deliver_all();
    let file = world.write("secret", format!("{}\n", world.database_url()));
    let mut command = world.command(&TODAY);
    command.env_remove("DATABASE_URL").env("DATABASE_URL_FILE", &file);
    Running::of(&mut command).ended().await.code(0);
    let ran = Running::of(world.command(&TODAY).env("DATABASE_URL_FILE", &file)).ended().await.code(78);
    assert!(ran.messages().contains("both DATABASE_URL and DATABASE_URL_FILE are set"), "{}", ran.stderr);
    let mut command = world.command(&TODAY);
    command.env_remove("DATABASE_URL").env("DATABASE_URL_FILE", world.path("nowhere"));
    let ran = Running::of(&mut command).ended().await.code(78);
    assert!(ran.messages().contains("DATABASE_URL_FILE names"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_is_a_configuration_fault() {
    let world = World::bare().await;
    world.deliver_all();
    let role = format!("{}_role", world.database);
    let mut admin = world.connect().await;
    sqlx::raw_sql(AssertSqlSafe(format!("create role {role} login"))).execute(&mut admin).await.expect("a role");
    let url = world.database_url().replace("user=bursar", &format!("user={role}"));
    let ran = world_at(&world, &url).await;
    sqlx::raw_sql(AssertSqlSafe(format!("drop role {role}"))).execute(&mut admin).await.expect("drop it");
    assert_says(&ran.code(78), &["permission denied for database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_start_at_once_on_an_empty_database_make_its_tables_once() {
    for _ in 0..3 {
        let world = World::bare().await;
        let all: Vec<Running> = (0..4).map(|_| Running::start(&world, &["migrate"])).collect();
        for one in all {
            one.ended().await.code(0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let world = delivered().await;
    let newer = "insert into bursar.migrations (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)";
    sqlx::raw_sql(newer).execute(&mut world.connect().await).await.expect("a later migration");
    let ran = world.bursar(&TODAY).code(78);
    assert_says(&ran, &["9999"]);
    assert_yesterday(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_customer_does_not_wait_longer_for_a_load_than_a_load_would() {
    let world = delivered().await;
    let mut stall = Stall::of(&world, "agency_a").await;
    let first = Running::start(&world, &TODAY);
    stall.reached().await;
    world.edit("customers.toml", |text| text + "\n[[customer]]\nname = \"agency_e\"\ncode = \"E\"\n");
    let ran =
        Running::of(world.command(&["migrate"]).env("BURSAR__DATABASE__LOCK_TIMEOUT_S", "1")).ended().await.code(75);
    assert_says(&ran, &["the view public.customer_rating", "is in use by bursar (process", "waited 1 s"]);
    stall.release().await;
    first.ended().await.code(0);
    world.bursar(&["migrate"]).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_obeyed_while_the_database_does_not_answer() {
    let world = World::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://someone@{}/nowhere?sslmode=disable", silent.local_addr().expect("an address"));
    for (arguments, code) in [(&TODAY[..], 75), (&["serve"], 0)] {
        let running = Running::of(world.command(arguments).env("DATABASE_URL", &url));
        let (_connection, _) = silent.accept().expect("it connects");
        let since = Instant::now();
        running.signal(Signal::SIGTERM);
        running.ended().await.code(code);
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    }
}
