//! Several users of one server: the first starts it, the last stops it.

use super::*;

#[tokio::test]
#[ignore = "the other process of other tests"]
async fn a_user_in_another_process() {
    // Run by itself, it has nobody to serve.
    let Ok(data_dir) = std::env::var(DATA_DIR) else {
        return;
    };
    let _server = start(Path::new(&data_dir)).await;
    println!("in use");
    std::future::pending::<()>().await;
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
async fn of_many_that_start_at_once_one_makes_the_cluster_and_the_others_join() {
    let home = data_dir();
    let options = options(home.path());

    let (one, two, three) =
        tokio::join!(Embedded::start(&options), Embedded::start(&options), Embedded::start(&options));

    let servers = [one, two, three].map(Result::unwrap);
    let created = servers.iter().filter(|server| server.origin() == Origin::Created).count();
    let joined = servers.iter().filter(|server| server.origin() == Origin::Joined).count();
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
async fn any_number_of_databases_share_the_server() {
    let home = data_dir();
    let server = start(home.path()).await;

    for name in ["one", "two"] {
        let other = Embedded::start(&Options { database: name.to_owned(), ..options(home.path()) }).await.unwrap();
        assert_eq!(ask(&other, "select current_database()::text").await, name);
        other.stop().await.unwrap();
    }
    server.stop().await.unwrap();
}
