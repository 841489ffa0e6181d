//! Files on a web server.

use super::*;
use crate::proxy::Proxy;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

/// How a server serves its one file, `/in/A_20250513.csv`.
#[derive(Clone, Debug)]
struct Serves {
    bytes: String,
    /// Nothing else is known of it where there is none.
    tag: Option<&'static str>,
    has_ranges: bool,
    has_head: bool,
    /// What the header `Authorization` must be.
    authorization: Option<&'static str>,
    /// Instead of the file.
    status: Option<StatusCode>,
}

fn serves(bytes: String) -> Serves {
    Serves { bytes, tag: Some("\"1\""), has_ranges: true, has_head: true, authorization: None, status: None }
}

struct Web {
    address: SocketAddr,
    serves: Arc<Mutex<Serves>>,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Web {
    async fn start(serves: Serves) -> Self {
        let (serves, asked) = (Arc::new(Mutex::new(serves)), Arc::<Mutex<Vec<String>>>::default());
        let router = axum::Router::new().fallback(answer).with_state((Arc::clone(&serves), Arc::clone(&asked)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
        Self { address, serves, asked, serving }
    }

    fn change(&self, change: impl FnOnce(&mut Serves)) {
        change(&mut self.serves.lock().expect("what is served"));
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the list").clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Shared = (Arc<Mutex<Serves>>, Arc<Mutex<Vec<String>>>);

async fn answer(State((serves, asked)): State<Shared>, request: axum::extract::Request) -> Response<Body> {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let range = header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).map(str::to_owned);
    let noted = range.as_ref().map_or_else(String::new, |from| format!(" from {from}"));
    asked.lock().expect("the list").push(format!("{} {path}{noted}", request.method()));
    let serves = serves.lock().expect("what is served").clone();
    if let Some(status) = serves.status {
        return status.into_response();
    }
    if *request.method() == Method::HEAD && !serves.has_head {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if serves.authorization.is_some_and(|wanted| header("authorization") != wanted) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if !path.starts_with("/in/A_20250513.csv") {
        return (StatusCode::NOT_FOUND, "it is not here").into_response();
    }
    let is_same = serves.tag.is_some_and(|tag| header("if-range") == tag);
    file(&serves, range.filter(|_| serves.has_ranges && is_same))
}

fn file(serves: &Serves, from: Option<String>) -> Response<Body> {
    let mut headers = HeaderMap::new();
    if let Some(tag) = serves.tag {
        headers.insert("etag", HeaderValue::from_static(tag));
        headers.insert("last-modified", HeaderValue::from_static("Tue, 13 May 2025 08:00:00 GMT"));
    }
    let total = serves.bytes.len();
    match from.map(|from| from.parse::<usize>().expect("an offset")) {
        None => (headers, serves.bytes.clone()).into_response(),
        Some(from) => {
            let range = format!("bytes {from}-{}/{total}", total - 1);
            headers.insert("content-range", range.parse().expect("a range"));
            (StatusCode::PARTIAL_CONTENT, headers, serves.bytes[from..].to_owned()).into_response()
        }
    }
}

async fn world_of(address: SocketAddr) -> World {
    world_reading(&format!("http://{address}/in/{{customer.code}}_%Y%m%d.csv?token=a-secret-word")).await
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_web_server_is_loaded_and_its_query_is_kept_secret() {
    let web = Web::start(serves(ratings(&["1,10,20,high-value"]))).await;
    let world = world_of(web.address).await;
    let ran = run_a(&world, &[]).code(0);
    assert_eq!(world.rows("agency_a").await, ["(1,10,20,high-value)"]);
    let path: String = world.scalar("select file_path from bursar.loads").await;
    assert_eq!(path, format!("http://{}/in/A_20250513.csv", web.address));
    let name: String = world.scalar("select file_name from bursar.loads").await;
    assert_eq!(name, "A_20250513.csv");
    assert!(web.asked().iter().all(|asked| asked.ends_with("?token=a-secret-word")), "{:?}", web.asked());
    assert!(!said(&ran).contains("a-secret-word"), "{}", said(&ran));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_ranges_is_asked_for_the_rest() {
    let text = big(2_000_000);
    let web = Web::start(serves(text.clone())).await;
    let proxy = Proxy::to_address(web.address);
    proxy.cut_after(700_000);
    let world = world_of(proxy.address()).await;
    run_a(&world, &[]).code(0);
    let loaded: i64 = world.scalar("select count(*) from customer_rating_agency_a").await;
    assert_eq!(loaded, count_rows(&text));
    let rest = web.asked().into_iter().filter(|asked| asked.contains(" from ")).count();
    assert!(rest >= 2, "{:?}", web.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ranges_or_with_another_file_what_broke_off_is_transient_and_nothing_is_loaded() {
    let odd: [fn(&mut Serves); 2] = [|serves| serves.has_ranges = false, |serves| serves.tag = None];
    for change in odd {
        let web = Web::start(serves(big(2_000_000))).await;
        web.change(change);
        let proxy = Proxy::to_address(web.address);
        proxy.cut_after(700_000);
        let world = World::new().await;
        let address = format!("http://{}/in/A_20250513.csv?token=a-secret-word", proxy.address());
        let ran = run_with(&world, &["parse", "customer_rating", &address], &[]).code(75);
        assert!(ran.messages().contains("it broke off after"), "{}", ran.messages());
        assert!(!ran.messages().contains("a-secret-word"), "{}", ran.messages());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_data_and_what_is_not_allowed_names_its_variable() {
    let web = Web::start(serves(ratings(&["1,10,20,high-value"]))).await;
    let world = world_of(web.address).await;
    let run = |variables: &[(&'static str, String)], code: i32, wanted: &str| {
        let ran = run_a(&world, variables).code(code);
        assert!(said(&ran).contains(wanted) && !said(&ran).contains("a-secret-word"), "{wanted}: {}", said(&ran));
        said(&ran)
    };
    web.change(|serves| serves.status = Some(StatusCode::NOT_FOUND));
    run(&[], 65, "no file of agency_a for 2025-05-13: nothing matches http://127.0.0.1");
    web.change(|serves| serves.status = None);
    web.change(|serves| serves.authorization = Some("Bearer of-good-news"));
    let variable = format!("BURSAR_AUTHORIZATION_127_0_0_1_{}", web.address.port());
    run(&[], 78, &format!("{variable} is not set"));
    let variable: &'static str = variable.leak();
    let bad = run(&[(variable, "Bearer of-bad-news".to_owned())], 78, &format!("{variable} is set and not enough"));
    assert!(!bad.contains("of-bad-news"), "{bad}");
    run_a(&world, &[(variable, "Bearer of-good-news".to_owned())]).code(0);
    web.change(|serves| serves.status = Some(StatusCode::FOUND));
    run(&[], 78, "redirects are not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_transient() {
    let web = Web::start(serves(ratings(&["1,10,20,high-value"]))).await;
    web.change(|serves| serves.status = Some(StatusCode::BAD_GATEWAY));
    let world = World::new().await;
    let address = format!("http://{}/in/A_20250513.csv", web.address);
    let ran = run_with(&world, &["parse", "customer_rating", &address], &[]).code(75);
    assert!(ran.messages().contains("502"), "{}", ran.messages());
    assert!((2..=10).contains(&web.asked().len()), "{:?}", web.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_head_is_asked_by_get() {
    let web = Web::start(serves(ratings(&["1,10,20,high-value"]))).await;
    web.change(|serves| serves.has_head = false);
    let world = world_of(web.address).await;
    run_a(&world, &[]).code(0);
    assert_eq!(world.rows("agency_a").await, ["(1,10,20,high-value)"]);
}
