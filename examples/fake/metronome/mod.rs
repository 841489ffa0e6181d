//! A server that answers as the Metronome API does: cursors, bearer check, its errors, and trouble on demand.

#![allow(
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::result_large_err,
    reason = "the example and the tests each use a part of it"
)]

mod answers;
mod data;
mod trouble;

use axum::Router;
use axum::routing::{get, post};
pub use data::{Customer, EUROPE, USD_CENTS, amounts};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
pub use trouble::Trouble;

/// The token it takes.
pub const TOKEN: &str = "fake-token";

/// What it has and how it behaves.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Whom it knows.
    pub customers: Customers,
    /// Items of a page where the request does not say it.
    pub page: usize,
    /// What happens to requests now and then, in turn; the same request again is answered.
    pub trouble: Vec<Trouble>,
    /// Of so many requests one meets trouble.
    pub every: usize,
    /// Requests whose path holds this text are always answered with this status.
    pub refused: BTreeMap<String, u16>,
    /// Whether a cursor leads back to the page it came from.
    pub is_endless: bool,
}

/// Whom it knows: customers that are made when they are asked for, or these.
#[derive(Clone, Debug)]
pub enum Customers {
    Generated { customers: usize, invoices: usize },
    Given(Vec<Customer>),
}

impl Scenario {
    /// Customers of every kind, made up.
    pub fn generated(customers: usize, invoices: usize) -> Self {
        Self::of(Customers::Generated { customers, invoices })
    }

    /// These customers.
    pub fn given(customers: Vec<Customer>) -> Self {
        Self::of(Customers::Given(customers))
    }

    fn of(customers: Customers) -> Self {
        Self { customers, page: 20, trouble: Vec::new(), every: 1, refused: BTreeMap::new(), is_endless: false }
    }

    fn count(&self) -> usize {
        match &self.customers {
            Customers::Generated { customers, .. } => *customers,
            Customers::Given(customers) => customers.len(),
        }
    }

    fn at(&self, index: usize) -> Customer {
        match &self.customers {
            Customers::Generated { invoices, .. } => data::made_up(index, *invoices),
            Customers::Given(customers) => customers[index].clone(),
        }
    }

    fn find(&self, id: &str) -> Option<Customer> {
        match &self.customers {
            Customers::Generated { customers, .. } => {
                data::index_of(id).filter(|index| index < customers).map(|index| self.at(index))
            }
            Customers::Given(customers) => customers.iter().find(|c| c.id == id).cloned(),
        }
    }
}

/// The server while it runs.
pub struct Fake {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    scenario: Mutex<Scenario>,
    asked: AtomicUsize,
    answered: AtomicUsize,
    /// Requests that have met trouble already.
    met: Mutex<HashSet<String>>,
    /// How often each path was answered.
    paths: Mutex<HashMap<String, usize>>,
}

impl Fake {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that were answered with what they asked for.
    pub fn answered(&self) -> usize {
        self.state.answered.load(Ordering::Relaxed)
    }

    /// How often a path (or a POST's path and body) was answered with what it asked for.
    pub fn answered_at(&self, part: &str) -> usize {
        let paths = self.state.paths.lock().expect("paths");
        paths.iter().filter(|(path, _)| path.contains(part)).map(|(_, count)| count).sum()
    }

    /// It behaves otherwise from now on.
    pub fn change(&self, change: impl FnOnce(&mut Scenario)) {
        change(&mut self.state.scenario.lock().expect("the scenario"));
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
    let state = Arc::new(State {
        scenario: Mutex::new(scenario),
        asked: AtomicUsize::new(0),
        answered: AtomicUsize::new(0),
        met: Mutex::default(),
        paths: Mutex::default(),
    });
    let router = Router::new()
        .route("/v1/customers", get(answers::customers))
        .route("/v1/customers/{customer}/invoices", get(answers::invoices))
        .route("/v1/credits/listEntries", post(answers::ledgers))
        .route("/v1/contracts/customerBalances/getNetBalance", post(answers::net_balance))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), trouble::meet))
        .with_state(Arc::clone(&state));
    let task = tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    Ok(Fake { address, state, task })
}
