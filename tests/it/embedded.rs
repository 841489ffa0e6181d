//! The private PostgreSQL: started, shared, taken over, recovered, stopped.

mod recovery;
mod refusals;
mod sharing;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bursar::db::embedded::{Embedded, Options, Origin};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

const DATABASE: &str = "CustomerRatingData";

/// Where another process of this program finds its data directory.
const DATA_DIR: &str = "BURSAR_TEST_DATA_DIR";

/// A data directory that another account may pass through, as tests may be run by root.
fn data_dir() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn options(data_dir: &Path) -> Options {
    Options { data_dir: data_dir.to_path_buf(), binaries: None, account: None, database: DATABASE.to_owned() }
}

async fn start(data_dir: &Path) -> Embedded {
    Embedded::start(&options(data_dir)).await.unwrap()
}

async fn refusal(options: &Options) -> String {
    Embedded::start(options).await.unwrap_err().to_string()
}

async fn connect(server: &Embedded) -> PgConnection {
    PgConnection::connect_with(&server.connect_options()).await.unwrap()
}

async fn ask(server: &Embedded, query: &'static str) -> String {
    let mut connection = connect(server).await;
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

async fn keep_a_row(server: &Embedded) {
    let rows = "create table kept as select 'a row' as text";
    connect(server).await.execute(rows).await.unwrap();
}

async fn kept_row(server: &Embedded) -> String {
    ask(server, "select text from kept").await
}

fn pid_file(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres/postmaster.pid")
}

fn server_pid(data_dir: &Path) -> Pid {
    let record = fs::read_to_string(pid_file(data_dir)).unwrap();
    Pid::from_raw(record.lines().next().unwrap().parse().unwrap())
}

/// Starts another process that uses the server, and waits until it does.
fn user_in_another_process(data_dir: &Path) -> Child {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::sharing::a_user_in_another_process"), "--ignored", "--nocapture"])
        .env(DATA_DIR, data_dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("in use")), "it did not start");
    child
}

fn kill_without_warning(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_first_start_makes_the_cluster_and_the_database() {
    let home = data_dir();

    let server = start(home.path()).await;

    assert_eq!(server.origin(), Origin::Created);
    assert_eq!(ask(&server, "select current_database()::text").await, DATABASE);
    assert_eq!(ask(&server, "show server_encoding").await, "UTF8");
    assert_eq!(ask(&server, "show data_checksums").await, "on");
    assert!(server.binaries().join("postgres").is_file());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn data_survives_a_stop_and_a_start() {
    let home = data_dir();
    let server = start(home.path()).await;
    keep_a_row(&server).await;
    server.stop().await.unwrap();

    let server = start(home.path()).await;

    assert_eq!(server.origin(), Origin::Started);
    assert_eq!(kept_row(&server).await, "a row");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_connections() {
    let home = data_dir();
    let server = start(home.path()).await;
    let mut connection = connect(&server).await;

    server.stop().await.unwrap();

    assert!(!pid_file(home.path()).exists());
    connection.ping().await.unwrap_err();
}

#[tokio::test]
async fn a_use_that_is_dropped_ends_the_server_too() {
    let home = data_dir();

    drop(start(home.path()).await);

    assert!(!pid_file(home.path()).exists());
}

#[tokio::test]
async fn commits_reach_the_disk() {
    let home = data_dir();
    let server = start(home.path()).await;

    assert_eq!(ask(&server, "show fsync").await, "on");
    assert_eq!(ask(&server, "show synchronous_commit").await, "on");
    assert_eq!(ask(&server, "show full_page_writes").await, "on");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn it_listens_on_no_network_and_only_its_account_reaches_the_socket() {
    let home = data_dir();
    let server = start(home.path()).await;

    assert_eq!(ask(&server, "show listen_addresses").await, "");
    let network_rules = "select count(*)::text from pg_hba_file_rules
        where type <> 'local' and auth_method <> 'reject'";
    assert_eq!(ask(&server, network_rules).await, "0");
    let mode = fs::metadata(server.socket_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_path_is_no_obstacle() {
    let home = data_dir();
    let long = home.path().join("x".repeat(120));

    let server = start(&long).await;

    assert!(server.socket_dir().starts_with("/tmp"));
    assert_eq!(ask(&server, "select 'here'").await, "here");
    let socket_dir = server.socket_dir().to_path_buf();
    server.stop().await.unwrap();
    fs::remove_dir_all(socket_dir).unwrap();
}

#[tokio::test]
async fn a_path_and_a_database_may_have_any_name() {
    let home = data_dir();
    let odd = home.path().join("a, \"b\" 'c' -D é");
    let database = r#"it's "mine""#.to_owned();

    let server = Embedded::start(&Options { database: database.clone(), ..options(&odd) }).await.unwrap();

    assert_eq!(ask(&server, "select current_database()::text").await, database);
    let joined = start(&odd).await;
    assert_eq!(joined.origin(), Origin::Joined);
    joined.stop().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn roots_own_folder_has_its_cluster_elsewhere() {
    if !geteuid().is_root() {
        return;
    }
    let locked = tempfile::tempdir().unwrap();
    fs::set_permissions(locked.path(), Permissions::from_mode(0o700)).unwrap();
    let server = start(&locked.path().join("data")).await;
    let elsewhere = server.socket_dir().parent().unwrap().to_path_buf();
    assert!(elsewhere.starts_with("/var/lib/bursar"));
    keep_a_row(&server).await;
    server.stop().await.unwrap();

    let server = start(&locked.path().join("data")).await;

    assert_eq!(kept_row(&server).await, "a row");
    server.stop().await.unwrap();
    fs::remove_dir_all(elsewhere).unwrap();
}
