//! What can't be done is refused with a reason and a way out.

use super::*;

#[tokio::test]
async fn without_programs_the_error_names_all_four_ways() {
    let home = data_dir();
    let wrong = Options { binaries: Some(home.path().to_path_buf()), ..options(home.path()) };

    let error = refusal(&wrong).await;

    for way in ["BURSAR_POSTGRES_BIN", "packages", "downloaded", "DATABASE_URL"] {
        assert!(error.contains(way), "{way}: {error}");
    }
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_not_touched() {
    let home = data_dir();
    fs::create_dir(home.path().join("postgres")).unwrap();
    fs::write(home.path().join("postgres/PG_VERSION"), "12\n").unwrap();
    let installed = Options { binaries: Some(installed_programs().await), ..options(home.path()) };

    let error = refusal(&installed).await;

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

    let error = refusal(&options(home.path())).await;

    assert!(error.contains("shared_buffers"), "{error}");
}

#[tokio::test]
async fn root_runs_it_as_another_account_and_keeps_to_it() {
    if !geteuid().is_root() {
        return;
    }
    let home = data_dir();
    let as_nobody = Options { account: Some("nobody".to_owned()), ..options(home.path()) };
    Embedded::start(&as_nobody).await.unwrap().stop().await.unwrap();
    let as_postgres = Options { account: Some("postgres".to_owned()), ..options(home.path()) };

    let error = refusal(&as_postgres).await;

    assert!(error.contains("nobody") && error.contains("chown"), "{error}");
    start(home.path()).await.stop().await.unwrap();
}
