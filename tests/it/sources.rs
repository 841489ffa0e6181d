//! Files that lie in no folder: a real S3 server and a real web server, on loopback.

mod cut;
mod deliveries;
mod memory;
mod refusals;
mod web;

use crate::support::{Folder, Ran, World, ratings};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a test does before a request is answered: it is told the method and the path with its query.
type Hook = Box<dyn FnMut(&Method, &str) + Send>;

/// An S3 server over a folder, which checks signatures.
pub struct S3 {
    folder: Folder,
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    hook: Arc<Mutex<Option<Hook>>>,
    serving: JoinHandle<()>,
}

impl S3 {
    /// A server with the bucket `bucket`.
    pub async fn start() -> Self {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path("bucket")).expect("a bucket");
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path("")).expect("a file system"));
        builder.set_auth(SimpleAuth::from_single("reader", "a-good-secret"));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, hook) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Option<Hook>>>::default());
        let (noted, hooked) = (Arc::clone(&asked), Arc::clone(&hook));
        let answer = service_fn(move |request: Request<Incoming>| {
            let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
            noted.lock().expect("the list").push(format!("{} {path}", request.method()));
            if let Some(hook) = hooked.lock().expect("the hook").as_mut() {
                hook(request.method(), &path);
            }
            let service = service.clone();
            async move { service.call(request.map(s3s::Body::from)).await }
        });
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let serve = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serve.serve_connection(TokioIo::new(socket), answer.clone()));
            }
        });
        Self { folder, address, asked, hook, serving }
    }

    /// Puts an object there, at once.
    pub fn put(&self, key: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        put(&self.path(key), bytes.as_ref());
        self.path(key)
    }

    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path(&format!("bucket/{key}"))
    }

    /// Before each request from now on.
    pub fn before(&self, hook: impl FnMut(&Method, &str) + Send + 'static) {
        *self.hook.lock().expect("the hook") = Some(Box::new(hook));
    }

    /// The requests so far that begin like this.
    pub fn asked(&self, beginning: &str) -> Vec<String> {
        let asked = self.asked.lock().expect("the list");
        asked.iter().filter(|asked| asked.starts_with(beginning)).cloned().collect()
    }

    /// The environment of a program that reads there.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        variables_at(self.address)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    let draft = path.with_extension("draft");
    std::fs::write(&draft, bytes).expect("write an object");
    std::fs::rename(draft, path).expect("put it in place");
}

pub fn variables_at(address: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ACCESS_KEY_ID", "reader".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "a-good-secret".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_REGION", "us-east-1".to_owned()),
    ]
}

/// A world whose ratings come from somewhere else.
pub async fn world_reading(pattern: &str) -> World {
    let world = World::new().await;
    set_pattern(&world, pattern);
    world
}

pub fn set_pattern(world: &World, pattern: &str) {
    world.edit("datasets/customer_rating.toml", |text| {
        let line =
            |line: &str| if line.starts_with("file = ") { format!("file = {pattern:?}") } else { line.to_owned() };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    });
}

/// Runs the shipped job for agency A.
pub fn run_a(world: &World, variables: &[(&'static str, String)]) -> Ran {
    run_with(world, &["run-job", "customer-ratings", "--date", "2025-05-13", "--customer", "agency_a"], variables)
}

pub fn run_with(world: &World, arguments: &[&str], variables: &[(&'static str, String)]) -> Ran {
    Ran::of(world.command(arguments).envs(variables.iter().cloned()).output().expect("start bursar"))
}

/// A good file of about so many bytes.
pub fn big(bytes: usize) -> String {
    let mut text = ratings(&[]);
    let mut number = 0;
    while text.len() < bytes {
        number += 1;
        write!(text, "{number},{},20,high-value\r\n", number % 100).expect("a row");
    }
    text
}

pub fn count_rows(text: &str) -> i64 {
    i64::try_from(text.lines().count()).expect("few rows") - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_from_a_bucket_is_a_load() {
    let s3 = S3::start().await;
    s3.put("in/ratings/A 20250513.csv", ratings(&["1,10,20,high-value", "x,10,20,high-value"]));
    let world = world_reading("s3://bucket/in/ratings/{customer.code} %Y%m%d*.csv").await;
    run_a(&world, &s3.variables()).code(0);
    assert_eq!(world.rows("agency_a").await, ["(1,10,20,high-value)"]);
    let path: String = world.scalar("select file_path from bursar.loads").await;
    assert_eq!(path, "s3://bucket/in/ratings/A 20250513.csv");
    let rejected: String = world.scalar("select file from bursar.file_invalid_rows").await;
    assert_eq!(rejected, "A 20250513.csv");
    let asked = s3.asked("GET /bucket?list-type=2");
    assert!(asked.len() == 1 && asked[0].contains("prefix=in%2Fratings%2FA+20250513"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_object_again_is_known_by_its_bytes() {
    let s3 = S3::start().await;
    s3.put("A.csv", ratings(&["1,10,20,high-value"]));
    let world = world_reading("s3://bucket/{customer.code}.csv").await;
    run_a(&world, &s3.variables()).code(0);
    let again = run_a(&world, &s3.variables()).code(0);
    assert!(again.messages().contains("took in the same bytes"), "{}", again.messages());
    assert_eq!(world.scalar::<i64>("select count(*) from bursar.loads").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_file_in_a_bucket_is_unpacked_and_parsed() {
    use std::io::Write;
    let s3 = S3::start().await;
    let text = big(300_000);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text.as_bytes()).expect("pack");
    s3.put("A.csv.gz", packed.finish().expect("pack"));
    let world = World::new().await;
    let parsed = run_with(&world, &["parse", "customer_rating", "s3://bucket/A.csv.gz", "--json"], &s3.variables());
    let parsed = parsed.code(0).json();
    assert_eq!(parsed["certificate"]["loaded"], count_rows(&text), "{parsed}");
    assert_eq!(parsed["certificate"]["unpacked_bytes"], text.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_object_it_would_load() {
    let s3 = S3::start().await;
    s3.put("A.csv", ratings(&["1,10,20,high-value"]));
    let world = world_reading("s3://bucket/{customer.code}.csv").await;
    world.bursar(&["migrate"]).code(0);
    let arguments =
        ["run-job", "customer-ratings", "--date", "2025-05-13", "--customer", "agency_a", "--dry-run", "--json"];
    let told = run_with(&world, &arguments, &s3.variables()).code(0).json();
    assert_eq!(told[0]["loads"][0]["file"], "s3://bucket/A.csv", "{told}");
}
