//! WHAT the business wants: one folder for each system, none importing another.
//!
//! A system is a value. A new one is a folder and a line in [`ALL`].

pub mod billing_export;
pub mod charges;
pub mod customer_ratings;
pub mod metronome;
pub mod receivables;
mod reports;

use crate::catalog::Parts;
use crate::engine::task::{KindSpec, TaskKind};
use crate::http::Routes;
use crate::rows::publish::target::Target;
use crate::tasks::{self, Deps};
use futures_util::future::{BoxFuture, join_all};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a system hands over.
pub struct System {
    /// Its name.
    pub name: &'static str,
    /// The kinds of tasks that only it has.
    pub kinds: &'static [KindSpec],
    /// Tables of its own that datasets' rows can go into.
    pub targets: &'static [&'static Target],
    /// Builds the kinds.
    pub build: fn(&Deps) -> Vec<Arc<dyn TaskKind>>,
    /// What it answers over HTTP.
    pub routes: fn(&Deps) -> Option<Routes>,
    /// What it does beside a daemon's work, until it is told to stop.
    pub beside: Option<Beside>,
}

/// Something that is done beside a daemon's work.
pub type Beside = for<'a> fn(&'a Deps, &'a CancellationToken) -> BoxFuture<'a, ()>;

/// Every system.
pub const ALL: &[System] =
    &[billing_export::SYSTEM, charges::SYSTEM, customer_ratings::SYSTEM, metronome::SYSTEM, receivables::SYSTEM];

/// What configuration can name of what systems bring.
#[must_use]
pub fn parts() -> Parts {
    Parts {
        kinds: tasks::SHARED.into_iter().chain(ALL.iter().flat_map(|s| s.kinds.iter().copied())).collect(),
        targets: ALL.iter().flat_map(|s| s.targets.iter().copied()).collect(),
    }
}

/// What all systems answer over HTTP, and the reports that can be asked.
#[must_use]
pub fn routes(deps: &Deps) -> Vec<Routes> {
    let own = ALL.iter().filter_map(|system| (system.routes)(deps));
    own.chain([reports::routes(deps)]).collect()
}

/// What systems do beside a daemon's work, until `stop`.
pub async fn beside(deps: &Deps, stop: &CancellationToken) {
    let each = ALL.iter().filter_map(|system| system.beside).map(|beside| beside(deps, stop));
    join_all(each).await;
}

/// Builds every kind of task.
#[must_use]
pub fn build_kinds(deps: &Deps) -> Vec<Arc<dyn TaskKind>> {
    tasks::build_shared(deps).into_iter().chain(ALL.iter().flat_map(|s| (s.build)(deps))).collect()
}
