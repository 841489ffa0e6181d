//! The private PostgreSQL: started, shared, taken over, recovered, stopped.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bursar::db::embedded::{Embedded, Options, Origin};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
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
    Options {
        data_dir: data_dir.to_path_buf(),
        binaries: None,
        account: None,
        database: DATABASE.to_owned(),
    }
}

async fn start(data_dir: &Path) -> Embedded {
    Embedded::start(&options(data_dir)).await.unwrap()
}

async fn connect(server: &Embedded) -> PgConnection {
    PgConnection::connect_with(&server.connect_options())
        .await
        .unwrap()
}

async fn ask(server: &Embedded, query: &'static str) -> String {
    let mut connection = connect(server).await;
    sqlx::query_scalar(query)
        .fetch_one(&mut connection)
        .await
        .unwrap()
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
        .args([
            "--exact",
            &format!("{module}::a_user_in_another_process"),
            "--ignored",
            "--nocapture",
        ])
        .env(DATA_DIR, data_dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .map_while(Result::ok)
            .any(|line| line.ends_with("in use")),
        "it did not start"
    );
    child
}

fn kill_without_warning(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
#[ignore = "the other process of the tests below"]
async fn a_user_in_another_process() {
    let Ok(data_dir) = std::env::var(DATA_DIR) else {
        return;
    };
    let _server = start(Path::new(&data_dir)).await;
    println!("in use");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_first_start_makes_the_cluster_and_the_database() {
    let home = data_dir();

    let server = start(home.path()).await;

    assert_eq!(server.origin(), Origin::Created);
    assert_eq!(
        ask(&server, "select current_database()::text").await,
        DATABASE
    );
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
async fn the_server_is_left_to_the_users_that_remain() {
    let home = data_dir();
    let first = start(home.path()).await;
    let second = start(home.path()).await;
    assert_eq!(second.origin(), Origin::Joined);

    first.stop().await.unwrap();

    assert_eq!(ask(&second, "select 'here'").await, "here");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_users_stop_ends_the_server() {
    let home = data_dir();
    let first = start(home.path()).await;
    let second = start(home.path()).await;
    first.stop().await.unwrap();
    assert!(pid_file(home.path()).exists());

    second.stop().await.unwrap();

    assert!(!pid_file(home.path()).exists());
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
async fn a_start_that_is_given_up_leaves_no_server() {
    let home = data_dir();
    start(home.path()).await.stop().await.unwrap();

    for wait in [5, 10, 15, 20, 25, 30] {
        let patience = std::time::Duration::from_millis(wait);
        let started = tokio::time::timeout(patience, Embedded::start(&options(home.path()))).await;
        drop(started);

        assert!(!pid_file(home.path()).exists(), "given up after {wait} ms");
    }
}

#[tokio::test]
async fn of_many_that_start_at_once_one_makes_the_cluster_and_the_others_join() {
    let home = data_dir();
    let options = options(home.path());

    let (one, two, three) = tokio::join!(
        Embedded::start(&options),
        Embedded::start(&options),
        Embedded::start(&options)
    );

    let servers = [one, two, three].map(Result::unwrap);
    let created = servers
        .iter()
        .filter(|server| server.origin() == Origin::Created)
        .count();
    let joined = servers
        .iter()
        .filter(|server| server.origin() == Origin::Joined)
        .count();
    assert_eq!((created, joined), (1, 2));
    for server in servers {
        server.stop().await.unwrap();
    }
    assert!(!pid_file(home.path()).exists());
}

#[tokio::test]
async fn another_process_shares_the_server() {
    let home = data_dir();
    let other = user_in_another_process(home.path());

    let server = start(home.path()).await;
    assert_eq!(server.origin(), Origin::Joined);
    server.stop().await.unwrap();

    assert!(pid_file(home.path()).exists(), "the other process needs it");
    kill_without_warning(other);
    start(home.path()).await.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_of_a_killed_process_is_taken_over() {
    let home = data_dir();
    kill_without_warning(user_in_another_process(home.path()));
    let orphan = server_pid(home.path());

    let server = start(home.path()).await;

    assert_eq!(server.origin(), Origin::Adopted);
    assert_eq!(server_pid(home.path()), orphan);
    server.stop().await.unwrap();
    assert!(!pid_file(home.path()).exists());
}

#[tokio::test]
async fn a_killed_server_recovers_what_was_committed() {
    let home = data_dir();
    let crashed = start(home.path()).await;
    keep_a_row(&crashed).await;
    let _busy = connect(&crashed).await;
    kill(server_pid(home.path()), Signal::SIGKILL).unwrap();

    let server = start(home.path()).await;

    assert_eq!(server.origin(), Origin::Recovered);
    assert_eq!(kept_row(&server).await, "a row");
    crashed.stop().await.unwrap();
    server.stop().await.unwrap();
    assert!(!pid_file(home.path()).exists());
}

#[tokio::test]
async fn a_number_that_another_program_has_by_now_is_no_server() {
    let home = data_dir();
    start(home.path()).await.stop().await.unwrap();
    fs::write(pid_file(home.path()), format!("{}\n", std::process::id())).unwrap();

    let server = start(home.path()).await;

    assert_eq!(server.origin(), Origin::Recovered);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_killed_initdb_left_is_cleared() {
    let home = data_dir();
    let leftover = home.path().join("postgres.new-1");
    fs::create_dir_all(leftover.join("base")).unwrap();

    let server = start(home.path()).await;

    assert!(!leftover.exists());
    server.stop().await.unwrap();
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
    let network_rules = "select count(*)::text from pg_hba_file_rules where type <> 'local' and auth_method <> 'reject'";
    assert_eq!(ask(&server, network_rules).await, "0");
    let mode = fs::metadata(server.socket_dir())
        .unwrap()
        .permissions()
        .mode();
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

    let server = Embedded::start(&Options {
        database: database.clone(),
        ..options(&odd)
    })
    .await
    .unwrap();

    assert_eq!(
        ask(&server, "select current_database()::text").await,
        database
    );
    let joined = start(&odd).await;
    assert_eq!(joined.origin(), Origin::Joined);
    joined.stop().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn any_number_of_databases_share_the_server() {
    let home = data_dir();
    let server = start(home.path()).await;

    for name in ["one", "two"] {
        let other = Embedded::start(&Options {
            database: name.to_owned(),
            ..options(home.path())
        })
        .await
        .unwrap();
        assert_eq!(ask(&other, "select current_database()::text").await, name);
        let rename = AssertSqlSafe(format!("comment on database {name} is 'ours'"));
        connect(&other).await.execute(rename).await.unwrap();
        other.stop().await.unwrap();
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn without_programs_the_error_names_all_four_ways() {
    let home = data_dir();
    let wrong = Options {
        binaries: Some(home.path().to_path_buf()),
        ..options(home.path())
    };

    let error = Embedded::start(&wrong).await.unwrap_err().to_string();

    for way in [
        "BURSAR_POSTGRES_BIN",
        "packages",
        "downloaded",
        "DATABASE_URL",
    ] {
        assert!(error.contains(way), "{way}: {error}");
    }
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_not_touched() {
    let home = data_dir();
    fs::create_dir(home.path().join("postgres")).unwrap();
    fs::write(home.path().join("postgres/PG_VERSION"), "12\n").unwrap();
    let installed = Options {
        binaries: Some(installed_programs().await),
        ..options(home.path())
    };

    let error = Embedded::start(&installed).await.unwrap_err().to_string();

    assert!(error.contains("PostgreSQL 12"), "{error}");
}

async fn installed_programs() -> PathBuf {
    let home = data_dir();
    let server = start(home.path()).await;
    let programs = server.binaries().to_path_buf();
    server.stop().await.unwrap();
    programs
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let home = data_dir();
    start(home.path()).await.stop().await.unwrap();
    let configuration = home.path().join("postgres/postgresql.conf");
    fs::write(configuration, "shared_buffers = 'much'\n").unwrap();

    let error = Embedded::start(&options(home.path()))
        .await
        .unwrap_err()
        .to_string();

    assert!(error.contains("shared_buffers"), "{error}");
}

#[tokio::test]
async fn root_runs_it_as_another_account_and_keeps_to_it() {
    if !geteuid().is_root() {
        return;
    }
    let home = data_dir();
    let as_nobody = Options {
        account: Some("nobody".to_owned()),
        ..options(home.path())
    };
    Embedded::start(&as_nobody)
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let as_postgres = Options {
        account: Some("postgres".to_owned()),
        ..options(home.path())
    };

    let error = Embedded::start(&as_postgres).await.unwrap_err().to_string();

    assert!(
        error.contains("nobody") && error.contains("chown"),
        "{error}"
    );
    start(home.path()).await.stop().await.unwrap();
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
