//! The pages that show the document, in a real browser.

use super::Api;
use crate::support::World;
use std::process::{Command, Stdio};

/// The page as the browser has made it after so much of its own time; none where there is no browser.
fn shown(world: &World, address: &str, budget_ms: u32) -> Option<String> {
    let quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
    let made = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"])
        .args(quiet)
        .arg(format!("--user-data-dir={}", world.path("chromium").display()))
        .arg(format!("--virtual-time-budget={budget_ms}"))
        .args(["--dump-dom", address])
        .env("HOME", world.path("home"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match made {
        Ok(made) => Some(String::from_utf8_lossy(&made.stdout).into_owned()),
        Err(error) => {
            eprintln!("skipped: chromium can't be started here: {error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_pages_show_the_operations_with_nothing_from_elsewhere() {
    let world = World::new().await;
    let api = Api::start(&world, &[]).await;
    for (path, operation) in [("/docs", "operations-daemon-getHealth"), ("/redoc", "Whether the process is alive")] {
        let page = api.get(path, &[]);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(!page.body.contains("http://") && !page.body.contains("https://"), "{}", page.body);
        let address = format!("http://{}{path}", api.address);
        // On a busy machine the browser's time runs out before its scripts have run: it is given more.
        for budget_ms in [10_000, 20_000, 40_000, 80_000, 160_000] {
            let Some(shown) = shown(&world, &address, budget_ms) else { return };
            if shown.contains(operation) {
                break;
            }
            assert!(budget_ms < 160_000, "{path} shows no operation:\n{shown:.2000}");
        }
    }
}
