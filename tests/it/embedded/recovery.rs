//! After processes that were killed: servers, their users, and starts half done.

use super::*;

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
async fn a_server_that_died_while_it_is_used_is_started_again_with_what_was_committed() {
    let home = data_dir();
    let server = start(home.path()).await;
    keep_a_row(&server).await;
    assert_eq!(server.revive().await.unwrap(), None, "it runs");
    kill(server_pid(home.path()), Signal::SIGKILL).unwrap();

    let mut revived = None;
    while revived.is_none() {
        revived = server.revive().await.unwrap();
    }

    assert_eq!(revived, Some(Origin::Recovered));
    assert_eq!(kept_row(&server).await, "a row");
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
async fn a_server_whose_process_is_out_of_sight_is_not_doubled() {
    let home = data_dir();
    let server = start(home.path()).await;
    let socket = server.socket_dir().join(".s.PGSQL.5432");
    server.stop().await.unwrap();
    fs::write(pid_file(home.path()), format!("{}\n", std::process::id())).unwrap();
    let _other_containers_server = UnixListener::bind(socket).unwrap();

    let error = refusal(&options(home.path())).await;

    assert!(error.contains("container"), "{error}");
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
