//! Connections that break in the midst of a file, and files that change meanwhile.

use super::*;
use crate::proxy::{Proxy, Way};

const PATTERN: &str = "s3://bucket/{customer.code}.csv";

#[tokio::test(flavor = "multi_thread")]
async fn a_load_goes_on_where_its_connection_broke() {
    let s3 = S3::start().await;
    let proxy = Proxy::to_address(s3.address);
    proxy.cut_after(700_000);
    let text = big(2_500_000);
    s3.put("A.csv", &text);
    let world = world_reading(PATTERN).await;
    run_a(&world, &variables_at(proxy.address())).code(0);
    let loaded: i64 = world.scalar("select count(*) from customer_rating_agency_a").await;
    assert_eq!(loaded, count_rows(&text));
    let bytes: i64 = world.scalar("select file_bytes from bursar.loads").await;
    assert_eq!(usize::try_from(bytes).expect("a size"), text.len());
    let gets = s3.asked("GET /bucket/A.csv").len();
    assert!((4..20).contains(&gets), "it took {gets} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_from_which_nothing_comes_is_transient_and_asked_a_few_times_only() {
    let s3 = S3::start().await;
    s3.put("A.csv", ratings(&["1,10,20,high-value"]));
    let proxy = Proxy::to_address(s3.address);
    proxy.cut_after(1);
    let world = world_reading(PATTERN).await;
    let command = ["parse", "customer_rating", "s3://bucket/A.csv"];
    let ran = run_with(&world, &command, &variables_at(proxy.address())).code(75);
    assert!(ran.messages().contains("s3://bucket/A.csv"), "{}", ran.messages());
    let heads = s3.asked("HEAD ").len();
    assert!((2..=10).contains(&heads), "{heads}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_overwritten_before_the_load_goes_on_is_not_mixed_with_the_old_one() {
    let s3 = S3::start().await;
    let proxy = Proxy::to_address(s3.address);
    proxy.cut_after(700_000);
    let path = s3.put("A.csv", big(2_500_000));
    let (other, mut gets) = (big(2_500_000).replace("high-value", "low--value"), 0);
    s3.before(move |method, asked| {
        gets += usize::from(*method == Method::GET && asked.starts_with("/bucket/A.csv"));
        if gets == 2 {
            put(&path, other.as_bytes());
        }
    });
    let world = world_reading(PATTERN).await;
    nothing_loaded_because_it_changed(&world, run_job_once(&world, &variables_at(proxy.address()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_overwritten_behind_the_reader_is_not_loaded() {
    let s3 = S3::start().await;
    let path = s3.put("A.csv", ratings(&["1,10,20,high-value"]));
    let (mut heads, mut gets) = (0, 0);
    s3.before(move |method, asked| {
        gets += usize::from(*method == Method::GET && asked.starts_with("/bucket/A.csv"));
        heads += usize::from(*method == Method::HEAD);
        if gets == 1 && heads == 2 {
            put(&path, ratings(&["2,10,20,high-value"]).as_bytes());
        }
    });
    let world = world_reading(PATTERN).await;
    nothing_loaded_because_it_changed(&world, run_job_once(&world, &s3.variables())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_goes_while_it_is_read_is_not_loaded() {
    let s3 = S3::start().await;
    let path = s3.put("A.csv", ratings(&["1,10,20,high-value"]));
    let mut heads = 0;
    s3.before(move |method, _| {
        heads += usize::from(*method == Method::HEAD);
        if heads == 2 {
            let _ = std::fs::remove_file(&path);
        }
    });
    let world = world_reading(PATTERN).await;
    nothing_loaded_because_it_changed(&world, run_job_once(&world, &s3.variables())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_server_stands_still_ends_when_it_is_told_to() {
    let s3 = S3::start().await;
    let proxy = Arc::new(Proxy::to_address(s3.address));
    s3.put("A.csv", big(2_500_000));
    let (reached, mut reading) = tokio::sync::mpsc::unbounded_channel();
    let stalling = Arc::clone(&proxy);
    s3.before(move |method, asked| {
        if *method == Method::GET && asked.starts_with("/bucket/A.csv") {
            stalling.stall(Way::ToProgram);
            let _ = reached.send(());
        }
    });
    let world = world_reading(PATTERN).await;
    let arguments = ["run-job", "customer-ratings", "--date", "2025-05-13", "--customer", "agency_a"];
    let mut command = world.command(&arguments);
    let mut running = command.envs(variables_at(proxy.address())).spawn().expect("start bursar");
    reading.recv().await.expect("the file is read");
    let told = std::time::Instant::now();
    let process = nix::unistd::Pid::from_raw(running.id().try_into().expect("a process"));
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).expect("tell it to stop");
    let ended = tokio::task::spawn_blocking(move || running.wait()).await.expect("wait").expect("the program");
    assert!(!ended.success(), "{ended}");
    // The network alone would give up after half a minute.
    assert!(told.elapsed().as_secs() < 20, "{:?}", told.elapsed());
    assert_eq!(world.scalar::<i64>("select count(*) from bursar.loads").await, 0);
}

/// Runs the job with one attempt for each task.
fn run_job_once(world: &World, variables: &[(&'static str, String)]) -> Ran {
    world.edit("jobs/customer-ratings.toml", |text| {
        text.replace("kind = \"load\"", "kind = \"load\"\nretry = { attempts = 1 }")
    });
    run_a(world, variables)
}

async fn nothing_loaded_because_it_changed(world: &World, ran: Ran) {
    let ran = ran.code(75);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("s3://bucket/A.csv") && said.contains("changed while it was read"), "{said}");
    assert_eq!(world.scalar::<i64>("select count(*) from bursar.loads").await, 0);
    assert_eq!(world.rows("agency_a").await, [""; 0]);
}
