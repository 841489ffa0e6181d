//! A server that answers as the stream API, Rutter and a mail service do: keys whose first outcome is kept, jobs in every
//! state, webhooks that are signed, and trouble on demand. It counts what it made.

#![allow(
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "the example and the tests each use a part of it"
)]

mod book;
mod charges;
mod routes;
mod trouble;
mod webhook;

use book::Book;
pub use book::Mail;
pub use charges::charge;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
pub use trouble::{Happening, Step};
pub use webhook::signature;

/// The credentials it takes.
pub const CLIENT_ID: &str = "fake-client";
/// The secret that belongs to it, which webhooks are signed with.
pub const CLIENT_SECRET: &str = "fake/secret+of the client";
/// The access token.
pub const ACCESS_TOKEN: &str = "fake-access&token";
/// The stream API's token.
pub const STREAM_TOKEN: &str = "fake-stream-token";

/// Called at each step of a request for an invoice, with the invoice's number.
pub type Hook = Arc<dyn Fn(Step, &str) + Send + Sync>;

/// How it behaves.
#[derive(Clone)]
pub struct Scenario {
    /// What happens to requests for an invoice, in turn; when none is left, or for all others, `usual`.
    pub plan: VecDeque<Happening>,
    /// What happens to requests for one invoice, by its number, before anything else.
    pub plan_of: BTreeMap<String, VecDeque<Happening>>,
    /// What happens otherwise.
    pub usual: Happening,
    /// Takes one of these by chance in place of `usual`.
    pub chaos: Vec<Happening>,
    /// Charges with these texts; any other UUID is a good charge of its own.
    pub charges: BTreeMap<String, String>,
    /// Whether other charges are not known.
    pub is_strict: bool,
    /// The stream API answers so.
    pub stream_status: Option<u16>,
    /// Where webhooks go.
    pub webhook: Option<String>,
    /// How long an answer takes.
    pub delay: Duration,
    /// The mail service answers so, as often.
    pub mail: VecDeque<u16>,
    /// Where a job is asked for, this is answered first, as often.
    pub polls: VecDeque<u16>,
    /// Told of each step.
    pub hook: Option<Hook>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            plan: VecDeque::new(),
            plan_of: BTreeMap::new(),
            usual: Happening::Sync,
            chaos: Vec::new(),
            charges: BTreeMap::new(),
            is_strict: false,
            stream_status: None,
            webhook: None,
            delay: Duration::ZERO,
            mail: VecDeque::new(),
            polls: VecDeque::new(),
            hook: None,
        }
    }
}

/// The server; it is gone when this is.
pub struct Fake {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

/// What it knows.
pub(crate) struct State {
    address: SocketAddr,
    scenario: Mutex<Scenario>,
    book: Mutex<Book>,
}

impl Fake {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base for all three services.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a program is to be told to use it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("STREAMOS_BASE_URL", format!("{}/stream", self.url())),
            ("STREAMOS_API_TOKEN", STREAM_TOKEN.to_owned()),
            ("RUTTER_BASE_URL", self.url()),
            ("RUTTER_CLIENT_ID", CLIENT_ID.to_owned()),
            ("RUTTER_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("RUTTER_ACCESS_TOKEN", ACCESS_TOKEN.to_owned()),
        ]
    }

    /// Where mail is posted.
    pub fn mail_url(&self) -> String {
        format!("{}/mail/send?key=fake-mail-key", self.url())
    }

    /// How many invoices of a number there are.
    pub fn invoices_of(&self, number: &str) -> usize {
        self.book().invoices.iter().filter(|invoice| invoice.number == number).count()
    }

    /// How many invoices there are.
    pub fn invoices(&self) -> usize {
        self.book().invoices.len()
    }

    /// The body of the request of an invoice.
    pub fn request_of(&self, number: &str) -> Option<String> {
        self.book().invoices.iter().find(|invoice| invoice.number == number).map(|invoice| invoice.request.clone())
    }

    /// How many requests for invoices came.
    pub fn asked(&self) -> usize {
        self.book().asked
    }

    /// How many keys were used.
    pub fn keys(&self) -> usize {
        self.book().keys_seen.len()
    }

    /// How often jobs were asked for.
    pub fn polled(&self) -> usize {
        self.book().polled
    }

    /// The ids of all jobs.
    pub fn jobs(&self) -> Vec<String> {
        self.book().jobs.keys().cloned().collect()
    }

    /// The webhook of a job that is done: its body and its signature.
    pub fn webhook_of(&self, job: &str) -> (String, String) {
        let body = webhook::body(&self.book(), job);
        let signature = webhook::signature(body.as_bytes());
        (body, signature)
    }

    /// The mails that were taken, each once.
    pub fn mails(&self) -> Vec<Mail> {
        self.book().mails.clone()
    }

    /// It behaves otherwise from now on.
    pub fn change(&self, change: impl FnOnce(&mut Scenario)) {
        change(&mut self.state.scenario.lock().expect("the scenario"));
    }

    /// What happens next, in turn.
    pub fn plan(&self, plan: impl IntoIterator<Item = Happening>) {
        let plan: Vec<Happening> = plan.into_iter().collect();
        self.change(|scenario| scenario.plan.extend(plan));
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.state.book.lock().expect("the book")
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts it.
pub async fn start(scenario: Scenario, at: SocketAddr) -> std::io::Result<Fake> {
    let listener = TcpListener::bind(at).await?;
    let address = listener.local_addr()?;
    let state = Arc::new(State { address, scenario: Mutex::new(scenario), book: Mutex::default() });
    let serving = Arc::clone(&state);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let state = Arc::clone(&serving);
            tokio::spawn(async move {
                let service = service_fn(move |request| routes::answer(Arc::clone(&state), request));
                // A service that fails cuts the connection, which is what it is to do then.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(Fake { address, state, task })
}
